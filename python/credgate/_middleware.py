"""The parts that the ASGI and WSGI middleware share."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from credgate import redact_query

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from credgate import Allow, Deny, Gate

# Names and values.
Headers = list[tuple[bytes, bytes]]
# Headers that describe the body. They are wrong once the body is rewritten.
DESCRIBING = {
    "content-digest",
    "content-length",
    "content-md5",
    "digest",
    "repr-digest",
    "transfer-encoding",
}
# Headers that keep a token out of caches (RFC 6749 section 5.1).
NO_STORE = [("cache-control", "no-store"), ("pragma", "no-cache")]
# Maximum digits of a Content-Length: int() raises on thousands of digits.
LONGEST = 20
SERVER_ERROR = 500


def spelling(name: str) -> str:
    """Return the canonical name of a header: servers treat "_" as "-" and ignore case."""
    return name.lower().replace("_", "-")


def variable(name: str) -> str:
    """Return the WSGI and CGI variable of a header."""
    return f"HTTP_{name.upper().replace('-', '_')}"


class Body:
    """The body of a request. `whole` is None unless all of it has been read."""

    def __init__(
        self,
        gate: Gate,
        method: str | bytes,
        authorization: bytes | None,
        content_type: bytes | None,
        headers: Headers,
    ) -> None:
        """Create it before anything has been read."""
        self._gate = gate
        self._method = method
        self._authorization = authorization
        self._content_type = content_type
        self._headers = headers
        self.whole: bytes | None = None

    def is_wanted(self, size: int | None) -> bool:
        """Return whether it can contain credentials, given its size in bytes if known."""
        return self._gate.wants_body(
            method=self._method,
            authorization=self._authorization,
            content_type=self._content_type,
            content_length=size,
            headers=self._headers,
        )

    def without_credentials(self) -> bytes | None:
        """Return the body for the upstream; None if it is unchanged."""
        if self.whole is None:
            return None
        body = self._gate.hide_body(self._content_type, self.whole)
        return body if body != self.whole else None


def entries(outcome: Allow) -> dict[str, Any]:
    """Return the entries that the middleware adds to the scope or environ."""
    return {
        "credgate.outcome": outcome,
        "credgate.client_id": outcome.client_id,
        "credgate.claims": outcome.claims,
    }


def note_denial(logger: logging.Logger, outcome: Deny, scope: MutableMapping[str, Any]) -> None:
    """Log a denial, and put it into the server's scope or environ, for layers further out."""
    scope["credgate.outcome"] = outcome
    level = logging.WARNING if outcome.http_status >= SERVER_ERROR else logging.INFO
    logger.log(level, "denied with %s: %s", outcome.http_status, reason(outcome))


def reason(outcome: Deny) -> str:
    """Return the cause of a denial, with its detail."""
    return f"{outcome.cause}: {outcome.detail}" if outcome.detail else outcome.cause


def token_headers(body: bytes) -> list[tuple[str, str]]:
    """Return the headers of a token endpoint's success response."""
    return [
        ("content-type", "application/json; charset=utf-8"),
        ("content-length", str(len(body))),
    ]


def check_headers(outcome: Allow) -> list[tuple[str, str]]:
    """Return the response headers of a check that allows the request.

    Envoy removes the headers that x-envoy-auth-headers-to-remove names from the request.
    """
    headers = [(name, value) for name, value in outcome.headers if value is not None]
    removed = ",".join(name for name, value in outcome.headers if value is None)
    if removed:
        headers.append(("x-envoy-auth-headers-to-remove", removed))
    return [*headers, ("content-length", "0")]


def redacted(uri: str) -> str:
    """Return a URI that is safe to log: without secrets in its query."""
    path, mark, query = uri.partition("?")
    return f"{path}{mark}{redact_query(query)}"


def hidden(gate: Gate, uri: str) -> str:
    """Return a URI for the upstream: without credentials in its query."""
    path, _, query = uri.partition("?")
    query = gate.hide_query(query.encode("latin-1")).decode("latin-1")
    return f"{path}?{query}" if query else path


def length(text: str | None) -> int | None:
    """Return the value of a Content-Length header; None if it is absent or invalid."""
    if text and len(text) < LONGEST and text.isascii() and text.isdigit():
        return int(text)
    return None
