"""The extension module; use it through `credgate`."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, final, overload

from typing_extensions import Self, Unpack

from credgate._configuration import Settings
from credgate._diagnosis import Diagnosis
from credgate._options import EngineOptions
from credgate._types import Text

__all__ = [
    "Allow",
    "ConfigError",
    "CredgateError",
    "DeniedError",
    "Deny",
    "Gate",
    "Problem",
    "Queue",
    "Request",
    "Token",
    "__version__",
    "close",
    "config_fields",
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
    """The base class of the package's exceptions.

    Raised itself if the system refuses a thread or a file descriptor, and after a fork in the
    middle of a call.
    """

    retry_after: int | None

class ConfigError(CredgateError):
    """Settings or engine options are invalid; the message has a line for each.

    `problems` is a tuple with a `Problem` for each. `code` is the number of the C ABI: 2001 not
    JSON, 2002 unknown field, 2003 invalid value, 2004 unreadable file.
    """

    problems: tuple[Problem, ...]
    code: int

@final
class Problem:
    """A problem of settings or engine options."""

    def __new__(cls, field: str | None, message: str) -> Self: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    @property
    def field(self) -> str | None:
        """The field or the option, or None if all of them are at fault."""
    @property
    def message(self) -> str:
        """The problem and its remedy, which begin with the place of a value inside the field."""

class DeniedError(CredgateError):
    """There is no token for this client.

    `cause` is the reason, such as "credentials_refused"; `http_status` the HTTP status of the
    denial; `retry_after` the seconds to wait before the next attempt, or None.
    """

    cause: str
    http_status: int

class Allow:
    """The request may go upstream: forward it with `headers`."""

    @property
    def allowed(self) -> Literal[True]:
        """True. On `Deny`, False."""
    @property
    def cache_status(self) -> str:
        """One of "HIT", "STALE", "MISS", "JOINED", "SHARED", "ANONYMOUS" or "PREFLIGHT"."""
    @property
    def source(self) -> str | None:
        """The place: "header", "query", "body", "headers" or "host". None without a token."""
    @property
    def client_id(self) -> str | None:
        """The id of the client. None if the request passes without a token."""
    @property
    def authorization(self) -> str | None:
        """The token with its scheme: "Bearer ...". To forward a request, use `headers`."""
    @property
    def access_token(self) -> str | None:
        """The token without a scheme."""
    @property
    def headers(self) -> list[tuple[str, str | None]]:
        """The headers to set upstream, by lower-case name. None: remove the client's header."""
    @property
    def expires_in(self) -> int | None:
        """The seconds for which the token is still served. None if it is not cached."""
    @property
    def token_response(self) -> str | None:
        """The body of a token endpoint's success response, JSON. None without token."""
    @property
    def claims(self) -> dict[str, Any] | None:
        """The claims of the token. None if it is not a JWT."""
    def claim(self, name: str) -> str | None:
        """Return a claim by its name or path; None if it is absent.

        A path joins names with "__"; array positions start at 1: "realm_access__roles__1". Strings
        are returned unchanged, other values as JSON. None also for a string with control
        characters.
        """
    def note_upstream_status(self, http_status: int) -> bool:
        """Report the status code of the upstream's response; return whether the token was dropped.

        It is dropped if the gate's purge_token_on_upstream_status_codes has this status, unless
        the token was received within the last ten seconds or has already been replaced.
        """

@final
class Token(Allow):
    """The token of a client: an `Allow` that always has a token."""

    @property
    def client_id(self) -> str: ...
    @property
    def authorization(self) -> str: ...
    @property
    def access_token(self) -> str: ...

@final
class Deny:
    """The request is denied: respond with `http_status`, `headers` and `body`."""

    @property
    def allowed(self) -> Literal[False]:
        """False. On `Allow`, True."""
    @property
    def cache_status(self) -> str:
        """One of "NONE", "MISS", "JOINED" or "NEGATIVE"."""
    @property
    def cause(self) -> str:
        """The reason, such as "credentials_refused"; the same as in metrics."""
    @property
    def http_status(self) -> int:
        """The HTTP status to respond with."""
    @property
    def challenge(self) -> str | None:
        """The value of WWW-Authenticate; None if the denial has no challenge."""
    @property
    def retry_after(self) -> int | None:
        """The seconds of Retry-After; None if the denial has none."""
    @property
    def content_type(self) -> str:
        """The media type of the body."""
    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers to respond with: content-type, www-authenticate, retry-after."""
    @property
    def body(self) -> str:
        """The JSON body to respond with."""
    @property
    def detail(self) -> str:
        """One line for the operator's log; may be empty. Contains no secret."""

class Gate:
    """A compiled configuration. Creating one starts no thread and opens no connection.

    The configuration is a mapping, JSON text, or keyword arguments: the settings that
    `python -m credgate settings` prints. Kong's plugin object and another gate are accepted too.
    Raises ConfigError, which names the field, if it is invalid.
    """

    @overload
    def __new__(cls, config: Mapping[str, object] | str | Gate) -> Self: ...
    @overload
    def __new__(cls, config: None = None, **settings: Unpack[Settings]) -> Self: ...
    def authenticate(
        self,
        *,
        method: Text = "GET",
        authorization: Text | None = None,
        query: Text | None = None,
        content_type: Text | None = None,
        body: Text | None = None,
        args: Mapping[str, Text | None] | None = None,
        client_id: Text | None = None,
        client_secret: Text | None = None,
        peer: Text | None = None,
        traceparent: Text | None = None,
        headers: Iterable[tuple[Text, Text]] | None = None,
    ) -> Allow | Deny:
        """Authenticate a request; on a miss, wait for the exchange.

        Pass the parts of the request unchanged: `query` is without "?" and not decoded. Reject a
        request with several Authorization headers before calling this. `args` are values for the
        gate's token_post_args_host. If `client_id` and `client_secret` are given, the request is
        not searched for credentials; an empty one is a denial. `peer` is the IP address of the
        client: exchanges without a token are counted for it (refusals_per_source). `traceparent` is
        the header of that name, which the token request gets if the gate forwards it
        (`wants_traceparent`). `headers` are names and values, as received; the gate reads only
        those that it names (client_id_header, client_secret_header).
        """
    def _authenticate(  # for `credgate.Gate.authenticate_async`
        self,
        method: Text | None,
        authorization: Text | None,
        query: Text | None,
        content_type: Text | None,
        body: Text | None,
        args: Mapping[str, Text | None] | None,
        client_id: Text | None,
        client_secret: Text | None,
        peer: Text | None,
        traceparent: Text | None,
        headers: Iterable[tuple[Text, Text]] | None,
    ) -> Allow | Deny | Request: ...
    @overload
    def token(
        self,
        client_id: None = None,
        client_secret: None = None,
        args: Mapping[str, Text | None] | None = None,
    ) -> Token: ...
    @overload
    def token(
        self,
        client_id: Text,
        client_secret: Text,
        args: Mapping[str, Text | None] | None = None,
    ) -> Token:
        """Return the token of a client; on a miss, wait for the exchange.

        Raises DeniedError if there is no token. Without an id and a secret, the client is the
        gate's own (client_id in the configuration); ValueError if it has none. `args` are values
        for the gate's token_post_args_host.
        """
    def _token(  # for `credgate.Gate.token_async`
        self,
        client_id: Text | None,
        client_secret: Text | None,
        args: Mapping[str, Text | None] | None,
    ) -> Token | Request: ...
    def purge(self, client_id: str | None = None) -> None:
        """Drop the cached tokens and refusals of one client, or of all clients.

        It returns at once, for any number of tokens.
        """
    def wants_body(
        self,
        *,
        method: Text,
        content_type: Text | None,
        content_length: int | None = None,
        authorization: Text | None = None,
        headers: Iterable[tuple[Text, Text]] | None = None,
    ) -> bool:
        """Return whether the body can contain credentials for this gate and must be passed to it.

        `content_length` is in bytes, None if unknown. Call it again once the length is known. A
        body of unknown length is not wanted beside an `authorization`, or `headers`, that the gate
        searches.
        """
    @overload
    def hide_query(self, query: bytes | bytearray) -> bytes: ...
    @overload
    def hide_query(self, query: str) -> str:
        """Return a query string for the upstream: without credentials.

        It is unchanged if the gate does not search the query or `hide_credentials` is off. All
        other bytes stay unchanged.
        """
    @overload
    def hide_body(self, content_type: Text | None, body: bytes | bytearray) -> bytes: ...
    @overload
    def hide_body(self, content_type: Text | None, body: str) -> str:
        """Return a body for the upstream: without credentials.

        It is unchanged if the gate does not search bodies or `hide_credentials` is off. All other
        bytes stay unchanged.
        """
    @overload
    def check(
        self,
        client_id: None = None,
        client_secret: None = None,
        args: Mapping[str, Text | None] | None = None,
    ) -> Diagnosis: ...
    @overload
    def check(
        self,
        client_id: Text,
        client_secret: Text,
        args: Mapping[str, Text | None] | None = None,
    ) -> Diagnosis:
        """Request a token as a first request would, and explain each step.

        Neither reads nor fills the cache. Blocks until the provider has responded. The diagnosis
        contains neither the secret nor the token. Without an id and a secret, the client is the
        gate's own (client_id); ValueError if it has none. `args` are values for the arguments of
        token_post_args_host and token_post_args_client.
        """
    def _optional(self) -> Gate: ...  # for `credgate.Gate.optional`
    def _token_endpoint(self) -> Gate: ...  # for `credgate.Gate.token_endpoint`
    def _external(self) -> Gate: ...  # for `credgate.Gate.external`
    @property
    def config(self) -> dict[str, Any]:
        """The effective configuration: includes defaults, masks the operator's secrets."""
    @property
    def warnings(self) -> list[str]:
        """Warnings about dangerous settings. They are logged when the gate is created."""
    @property
    def args(self) -> list[str]:
        """The names in token_post_args_host: arguments that each request may set."""
    @property
    def wants_traceparent(self) -> bool:
        """Whether the gate forwards `traceparent`, so that it must be passed to `authenticate`."""
    @property
    def credential_headers(self) -> list[str]:
        """The names of the headers with the client's id and secret, in lower case.

        Empty if the gate names none (client_id_header, client_secret_header).
        """
    @property
    def timeout(self) -> float:
        """The maximum time that a request waits for its token, in seconds.

        The setting of this name is in milliseconds.
        """

def configure(**options: Unpack[EngineOptions]) -> None:
    """Set the engine options of this process and of its future children.

    Call it before the first request, purge, metrics or report, which create the engine; options
    left out get their defaults. `cache_max_bytes`, `cache_max_entries`, `max_waiting` and
    `max_exchanges` are limits; `provider_pause_max` is the maximum time for which an open circuit
    breaker keeps exchanges from a provider, in seconds; `metrics_clients` is the maximum number of
    clients with counters of their own; `store` and the options that begin with `store_` configure
    the shared store. Raises ConfigError if an option is unknown or invalid, or if the engine
    already runs with other options.
    """

def metrics() -> str:
    """Return the metrics of this process in the Prometheus text format; create its engine."""

def report() -> dict[str, Any]:
    """Return the same metrics as a short report: a dict without histograms."""

def purge(client_id: str | None = None) -> None:
    """Drop the cached tokens and refusals of one client, or of all clients, in all gates.

    It returns at once, for any number of tokens.
    """

@overload
def redact_query(query: bytes | bytearray) -> bytes: ...
@overload
def redact_query(query: str) -> str:
    """Return a query string that is safe to log.

    The value of every client_secret is overwritten with "*", in any spelling of the name. All other
    bytes stay unchanged.
    """

# For `credgate._waiting`.

def config_fields() -> str:
    """Return the fields of a configuration and those that only Kong has, as JSON."""

@final
class Request:
    """A request to a gate that is not served from the cache."""

@final
class Queue:
    """The completion queue of one event loop."""

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
