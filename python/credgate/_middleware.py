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
