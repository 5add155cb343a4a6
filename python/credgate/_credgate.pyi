"""The extension module; use it through `credgate`."""

from collections.abc import Mapping
from typing import Literal, final

__all__ = ["Allow", "ConfigError", "CredgateError", "Deny", "Gate", "__version__"]

__version__: str

class CredgateError(Exception):
    """What goes wrong for those who configure and operate. `code` is that of the C ABI."""

    code: int

class ConfigError(CredgateError):
    """The configuration is at fault; the message names the field."""

@final
class Allow:
    """The request goes upstream, with the token."""

    @property
    def allowed(self) -> Literal[True]: ...
    @property
    def how(self) -> str:
        """How it came about: "HIT", "MISS", "JOINED", "STALE", "ANONYMOUS" or "PREFLIGHT"."""
    @property
    def source(self) -> str | None:
        """Where the credentials were: "header", "query" or "body". None without a token."""
    @property
    def client_id(self) -> str | None:
        """Whose token it is. None where the request passes without a token."""
    @property
    def authorization(self) -> str | None:
        """The token as an Authorization header has it: "Bearer ...". See `headers`."""
    @property
    def headers(self) -> list[tuple[str, str | None]]:
        """The headers to send upstream, by lower-case name; None takes the client's away."""

@final
class Deny:
    """The request is answered here."""

    @property
    def allowed(self) -> Literal[False]: ...
    @property
    def how(self) -> str:
        """How it came about: "NONE", "MISS", "JOINED" or "NEGATIVE"."""
    @property
    def code(self) -> int:
        """The cause, by its number in the C ABI."""
    @property
    def status(self) -> int:
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
    def body(self) -> str:
        """The body to answer, JSON."""
    @property
    def detail(self) -> str:
        """One line for the operator's log, or nothing."""

@final
class Gate:
    """One compiled configuration. Starts no thread and opens no connection."""

    def __new__(cls, config: Mapping[str, object] | str) -> Gate:
        """Compile a configuration: a mapping, or its JSON text; also Kong's plugin object.

        Raises ConfigError, naming the field.
        """
    def authenticate(
        self,
        *,
        method: str | bytes = "GET",
        authorization: str | bytes | None = None,
        query: str | bytes | None = None,
        content_type: str | bytes | None = None,
        body: str | bytes | None = None,
    ) -> Allow | Deny:
        """Authenticate a request; waits for an exchange where one is needed."""
