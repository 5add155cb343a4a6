"""Replies of the faulty provider, as pieces on the wire."""

import json
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any


class End(Enum):
    """The end of a connection, before or in the middle of a reply."""

    CLOSE = "close"
    RESET = "reset"
    HANG = "hang"


Piece = bytes | float | End
"""Bytes to send, seconds to wait, or an end."""

Reply = Callable[[dict[str, Any]], Iterable[Piece]]
"""The pieces in place of the usual response, which is a JSON object."""

JSON = ("Content-Type", "application/json")


def head(status: int | str, *headers: tuple[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"HTTP/1.1 {status} Lab\r\n{lines}\r\n".encode("latin-1")


def message(status: int | str, body: bytes, *headers: tuple[str, str]) -> bytes:
    """A complete response."""
    return head(status, *headers, ("Content-Length", str(len(body)))) + body


def usual(value: dict[str, Any]) -> list[Piece]:
    return [message(200, json.dumps(value).encode(), JSON)]


def raw(*pieces: Piece) -> Reply:
    """These pieces."""
    return lambda _: pieces


def http(status: int | str, body: str | bytes = b"", **headers: str) -> Reply:
    """A complete response; `retry_after` is the header `Retry-After`."""
    data = body.encode() if isinstance(body, str) else body
    named = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return raw(message(status, data, *named))


def oauth(status: int, error: str, description: str | None = None, **headers: str) -> Reply:
    """An error response of RFC 6749 section 5.2."""
    value = {"error": error} | ({"error_description": description} if description else {})
    return http(status, json.dumps(value), content_type="application/json", **headers)


def merge(**changes: Any) -> Reply:
    """The usual response with changed members; None removes one."""
    return lambda value: usual({name: item for name, item in (value | changes).items() if item is not None})


def body(change: Callable[[bytes], bytes]) -> Reply:
    """The usual body, changed, in a complete response."""
    return lambda value: [message(200, change(json.dumps(value).encode()), JSON)]


def framed(frame: Callable[[bytes], Iterable[Piece]]) -> Reply:
    """The usual body in another frame: head and all."""
    return lambda value: frame(json.dumps(value).encode())


def chunked(*pieces: Piece) -> Reply:
    """The head of a chunked response, and then these pieces."""
    return raw(head(200, JSON, ("Transfer-Encoding", "chunked")), *pieces)


def endless(start: bytes, again: bytes, pause: float = 0.0) -> Reply:
    """A response that never ends, with a pause in seconds before each further part."""

    def pieces(_: dict[str, Any]) -> Iterable[Piece]:
        yield start
        while True:
            yield pause
            yield again

    return pieces


def slowly(seconds: float) -> Reply:
    """The usual response, with a pause before each byte."""

    def pieces(value: dict[str, Any]) -> Iterable[Piece]:
        (whole,) = usual(value)
        assert isinstance(whole, bytes)
        for byte in whole:
            yield seconds
            yield bytes([byte])

    return pieces
