"""A row of the table of provider faults."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from faults.replies import Reply


@dataclass(frozen=True)
class Verdict:
    """The response to a client. `status` 200 is a token."""

    status: int
    cause: str | None = None
    retry_after: int | None = None

    def __str__(self) -> str:
        seconds = "" if self.retry_after is None else f" retry {self.retry_after}"
        return f"{self.status} {self.cause or 'token'}{seconds}"


@dataclass(frozen=True)
class Listener:
    """A fault of connections. The row has a port of its own."""

    kind: str
    tls: bool = True


@dataclass(frozen=True)
class Fault:
    """A fault, and the documented response to it.

    `recovery` is the maximum number of seconds from the end of the fault to the next success; None is the next request.
    """

    name: str
    title: str
    reply: Reply | None = None
    expect: Verdict = field(default_factory=lambda: Verdict(502, "provider_response_invalid", 5))
    recovery: float | None = None
    where: str = "token"
    listener: Listener | None = None
    # The HTTP/2 server's own fault, by name.
    h2: str | None = None
    # Lines for the resolver instead of the address of the listener.
    resolves_to: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    # Changes the token that the provider signs.
    forge: Callable[..., str] | None = None
    # The number of clients that ask, one after the other, before the one whose response counts.
    before: int = 0
    # The recovery is that of another client.
    others_recover: bool = False

    @property
    def is_warm(self) -> bool:
        """Whether another client gets its token before the fault begins, and is served from the cache during it."""
        return self.where == "token"
