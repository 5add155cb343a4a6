"""The extension module; use it through `credgate`."""

from collections.abc import Mapping
from typing import Any, Literal, final, overload

from typing_extensions import Self, Unpack

from credgate._configuration import Settings
from credgate._diagnosis import Diagnosis
from credgate._types import Text

__all__ = [
    "Allow",
    "ConfigError",
    "CredgateError",
    "DeniedError",
    "Deny",
    "Gate",
    "Queue",
    "Request",
    "Token",
    "__version__",
    "close",
    "configure",
    "metrics",
    "note_fork",
    "notice_fork",
    "purge",
    "redact_query",
    "report",
    "to_token",
]

__version__: str

class CredgateError(Exception):
    """What goes wrong for those who configure and operate. `code` is that of the C ABI."""

    code: int
    retry_after: int | None

class ConfigError(CredgateError):
    """The configuration is at fault; the message names the field."""

class DeniedError(CredgateError):
    """No token is to be had.

    `code` is the cause, by its number in the C ABI; `status` what HTTP has for it;
    `retry_after` the seconds after which to try again, or None.
    """

    status: int

class Allow:
    """The request goes upstream, with the token."""

    @property
    def allowed(self) -> Literal[True]:
        """Tell it from a denial."""
    @property
    def cache_status(self) -> str:
        """What it was: "HIT", "MISS", "JOINED", "SHARED", "STALE", "ANONYMOUS" or "PREFLIGHT"."""
    @property
    def source(self) -> str | None:
        """Where the credentials were: "header", "query", "body" or "host". None without a token."""
    @property
    def client_id(self) -> str | None:
        """Whose token it is. None where the request passes without a token."""
    @property
    def authorization(self) -> str | None:
        """The token as an Authorization header has it: "Bearer ...". See `headers`."""
    @property
    def access_token(self) -> str | None:
        """The token alone."""
    @property
    def headers(self) -> list[tuple[str, str | None]]:
        """The headers to send upstream, by lower-case name; None takes the client's away."""
    @property
    def expires_in(self) -> int | None:
        """For how many seconds the token is served still. None where it is not kept."""
    @property
    def claims(self) -> dict[str, Any] | None:
        """What the token says. None where it is no JWT."""
    def claim(self, name: str) -> str | None:
        """Answer a claim by its name, or by a path joined by "__", with positions from 1.

        Text as it is, anything else as JSON.
        """
    def note_upstream_status(self, status: int) -> bool:
        """Tell what the upstream answered. True where the token is not used again."""

@final
class Token(Allow):
    """The token of a client: an `Allow` that has one for certain."""

    @property
    def client_id(self) -> str: ...
    @property
    def authorization(self) -> str: ...
    @property
    def access_token(self) -> str: ...

@final
class Deny:
    """The request is answered here."""

    @property
    def allowed(self) -> Literal[False]:
        """Tell it from what is allowed."""
    @property
    def cache_status(self) -> str:
        """What it was: "NONE", "MISS", "JOINED" or "NEGATIVE"."""
    @property
    def code(self) -> int:
        """The cause, by its number in the C ABI."""
    @property
    def cause(self) -> str:
        """The cause by its name in metrics, such as "credentials_refused"."""
    @property
    def http_status(self) -> int:
        """The HTTP status to answer."""
    @property
    def challenge(self) -> str | None:
        """The value of WWW-Authenticate."""
    @property
    def retry_after(self) -> int | None:
        """Seconds for Retry-After."""
    @property
    def content_type(self) -> str:
        """The media type of the body."""
    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers to answer: content-type, www-authenticate, retry-after."""
    @property
    def body(self) -> str:
        """The body to answer, JSON."""
    @property
    def detail(self) -> str:
        """One line for the operator's log, or nothing."""

class Gate:
    """One compiled configuration. Starts no thread and opens no connection.

    It is a mapping, its JSON text, or settings by their names in core/CONFIGURATION.md; also Kong's
    plugin object; or another gate. Raises ConfigError, naming the field.
    """

    @overload
    def __new__(cls, config: Mapping[str, object] | str | Gate) -> Self: ...
    @overload
    def __new__(cls, config: None = None, **settings: Unpack[Settings]) -> Self: ...
    def _ask(  # for `credgate.Gate.authenticate`
        self,
        method: Text | None,
        authorization: Text | None,
        query: Text | None,
        content_type: Text | None,
        body: Text | None,
        args: Mapping[str, Text | None] | None,
        client_id: Text | None,
        client_secret: Text | None,
    ) -> Allow | Deny | Request: ...
    def _token(  # for `credgate.Gate.token`
        self,
        client_id: Text,
        client_secret: Text,
        args: Mapping[str, Text | None] | None,
    ) -> Token | Request: ...
    def purge(self, client_id: str | None = None) -> int:
        """Drop the tokens of a client, or of all, and what is remembered of refusals.

        Answers how many tokens that were.
        """
    def wants_body(
        self,
        *,
        method: Text,
        content_type: Text | None,
        content_length: int | None = None,
    ) -> bool:
        """Tell whether the body of such a request should be read and shown.

        It can hold something for this gate. Ask again when a length has become known.
        """
    @overload
    def hide_query(self, query: bytes | bytearray) -> bytes: ...
    @overload
    def hide_query(self, query: str) -> str:
        """Answer a query string as it goes upstream: without credentials.

        Where the query is no place of this gate, as it is. All else stays byte for byte.
        """
    @overload
    def hide_body(self, content_type: Text | None, body: bytes | bytearray) -> bytes: ...
    @overload
    def hide_body(self, content_type: Text | None, body: str) -> str:
        """Answer a body as it goes upstream: without credentials.

        Where the body is no place of this gate, as it is. All else stays byte for byte.
        """
    def check(
        self,
        client_id: Text,
        client_secret: Text,
        args: Mapping[str, Text | None] | None = None,
    ) -> Diagnosis:
        """Ask the provider for a token as a first request would; tell what happened at each step.

        Nothing is kept, and nothing taken from the cache. It waits for the provider, and is for
        a terminal. What it answers holds neither the secret nor the token. `args` are values for
        arguments of the token request that come with each request.
        """
    def _optional(self) -> Gate: ...  # for `credgate.Gate.optional`
    @property
    def config(self) -> dict[str, Any]:
        """The configuration in effect: defaults included, the operator's secrets masked."""
    @property
    def warnings(self) -> list[str]:
        """What in the configuration is allowed and yet dangerous; logged when the gate is made."""
    @property
    def args(self) -> list[str]:
        """The names of the arguments for which each request may bring values."""
    @property
    def timeout(self) -> float:
        """The deadline of a whole exchange, discovery included, in seconds."""

def configure(**options: object) -> None:
    """Set options of this process's engine, and of those of its children.

    cache_max_bytes, cache_max_entries, max_waiting, max_exchanges. To be called before the first
    request. Raises ConfigError where an option cannot be, and where the engine runs with others.
    """

def metrics() -> str:
    """Answer what this process has done, in Prometheus's text format."""

def report() -> dict[str, Any]:
    """Answer the same in short."""

def purge(client_id: str | None = None) -> int:
    """Drop the tokens of a client, or of all, in all gates, and what is remembered of refusals.

    Answers how many tokens that were.
    """

@overload
def redact_query(query: bytes | bytearray) -> bytes: ...
@overload
def redact_query(query: str) -> str:
    """Answer a query string for a line that is logged.

    The value of every client_secret is overwritten with "*", whatever its spelling.
    """

# What `credgate._waiting` is made of.

@final
class Request:
    """A request and the gate that it came to."""

    def wait(self) -> Allow | Deny: ...

@final
class Queue:
    """Where one event loop finds its outcomes."""

    def __new__(cls) -> Self: ...
    def is_usable(self) -> bool: ...
    def fileno(self) -> int: ...
    def begin(self, request: Request) -> Allow | Deny | int: ...
    def collect(self) -> list[tuple[int, Allow | Deny]]: ...
    def cancel(self, ticket: int) -> None: ...

def to_token(outcome: Allow | Deny) -> Token: ...
def close() -> None: ...
def note_fork() -> None: ...
def notice_fork() -> bool: ...
