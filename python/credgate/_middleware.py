"""What the middleware of both interfaces has in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from credgate import redact_query

if TYPE_CHECKING:
    from credgate import Allow, Gate

# What describes a body as it was: wrong once that is another.
DESCRIBING = {
    "content-digest",
    "content-length",
    "content-md5",
    "digest",
    "repr-digest",
    "transfer-encoding",
}
# Digits of a length: Python refuses to read too many.
LONGEST = 20


def spelling(name: str) -> str:
    """Answer the one name of all spellings of a header that servers take for the same."""
    return name.lower().replace("_", "-")


def variable(name: str) -> str:
    """Answer where WSGI and CGI have a header."""
    return f"HTTP_{name.upper().replace('-', '_')}"


class Body:
    """The body of a request, as far as it has been read."""

    def __init__(self, gate: Gate, method: str | bytes, content_type: bytes | None) -> None:
        """Begin with none of it."""
        self._gate = gate
        self._method = method
        self._content_type = content_type
        self.whole: bytes | None = None

    def is_wanted(self, size: int | None) -> bool:
        """Tell whether it may hold credentials, by what is known of its size."""
        return self._gate.wants_body(
            method=self._method, content_type=self._content_type, content_length=size
        )

    def without_credentials(self) -> bytes | None:
        """Answer it as it goes upstream; None where it stays as it is."""
        if self.whole is None:
            return None
        body = self._gate.hide_body(self._content_type, self.whole)
        return body if body != self.whole else None


def entries(outcome: Allow) -> dict[str, Any]:
    """Answer what the application finds in its scope, or its environ."""
    return {
        "credgate.outcome": outcome,
        "credgate.client_id": outcome.client_id,
        "credgate.claims": outcome.claims,
    }


def redacted(uri: str) -> str:
    """Answer a URI for a log: without secrets in its query."""
    path, mark, query = uri.partition("?")
    return f"{path}{mark}{redact_query(query)}"


def hidden(gate: Gate, uri: str) -> str:
    """Answer a URI as it goes upstream: without credentials in its query."""
    path, _, query = uri.partition("?")
    query = gate.hide_query(query.encode("latin-1")).decode("latin-1")
    return f"{path}?{query}" if query else path


def length(text: str | None) -> int | None:
    """Answer a Content-Length; None where it is not known."""
    if text and len(text) < LONGEST and text.isascii() and text.isdigit():
        return int(text)
    return None
