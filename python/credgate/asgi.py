"""ASGI middleware: authenticates clients for Starlette, FastAPI or any other application.

>>> import credgate, credgate.asgi
>>> gate = credgate.Gate(issuer="https://tenant.auth0.com/")
>>> async def app(scope, receive, send): ...
>>> guarded = credgate.asgi.Middleware(app, gate)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from credgate import redact_query
from credgate._middleware import DESCRIBING, Body, entries, length, spelling

if TYPE_CHECKING:
    from credgate import Allow, Deny, Gate

__all__ = ["Middleware"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]


class Middleware:
    """Replaces the credentials of requests and WebSocket handshakes with a token.

    The scope of the application has `credgate.client_id`, `credgate.claims` and `credgate.outcome`.
    The middleware itself responds to denied requests. If `optional` is true, requests that would
    get 401 reach the application without a token and without their credentials.

    The application gets a copy of the scope. In the server's own scope, the middleware overwrites
    secrets in the query, because servers log it.
    """

    def __init__(self, app: App, gate: Gate, *, optional: bool = False) -> None:
        """Guard an application with a gate."""
        self.app = app
        self.gate = gate.optional() if optional else gate
        self._traces = gate.wants_traceparent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        kind = scope["type"]
        if kind == "lifespan":
            await self.app(scope, receive, send)
            return
        if kind not in {"http", "websocket"}:
            message = f"cannot guard a connection of type {kind!r}"
            raise ValueError(message)
        query: bytes = scope.get("query_string", b"")
        scope["query_string"] = redact_query(query)
        headers: Headers = list(scope["headers"])
        body = await _Body.read(self.gate, scope, headers, receive)
        if body.disconnected:
            return
        outcome = await self.gate.authenticate_async(
            method=scope.get("method", "GET"),
            # Several headers form one list (RFC 9110 section 5.3), which the gate rejects.
            authorization=_joined(headers, b"authorization"),
            query=query,
            content_type=_joined(headers, b"content-type"),
            body=body.whole,
            peer=(scope.get("client") or [None])[0],
            traceparent=_joined(headers, b"traceparent") if self._traces else None,
        )
        if not outcome.allowed:
            await _deny(outcome, scope, receive, send)
            return
        body.hide(headers)
        upstream = {
            **scope,
            **entries(outcome),
            "query_string": self.gate.hide_query(query),
            "headers": _replaced(headers, outcome),
        }
        await self.app(upstream, body.receive, _noting(send, outcome))


class _Body(Body):
    """The body of a request. Passes it on to the application."""

    def __init__(self, gate: Gate, scope: Scope, headers: Headers, receive: Receive) -> None:
        super().__init__(
            gate,
            scope.get("method", "GET"),
            _joined(headers, b"authorization"),
            _joined(headers, b"content-type"),
        )
        self._receive = receive
        self._first: Message | None = None
        self.disconnected = False

    @classmethod
    async def read(cls, gate: Gate, scope: Scope, headers: Headers, receive: Receive) -> _Body:
        """Read the body, up to max_body_bytes, if it can contain credentials."""
        body = cls(gate, scope, headers, receive)
        announced = length((_joined(headers, b"content-length") or b"").decode("latin-1"))
        if scope["type"] != "http" or not body.is_wanted(announced):
            return body
        read = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                body.disconnected = True
                return body
            read += message.get("body", b"")
            more: bool = message.get("more_body", False)
            if not more or (read and not body.is_wanted(len(read))):
                break
        body._first = {"type": "http.request", "body": bytes(read), "more_body": more}
        if not more:
            body.whole = bytes(read)
        return body

    def hide(self, headers: Headers) -> None:
        """Remove the credentials, and adapt `headers`."""
        body = self.without_credentials()
        if body is None or self._first is None:
            return
        self._first["body"] = body
        headers[:] = [header for header in headers if _name(header) not in DESCRIBING]
        headers.append((b"content-length", str(len(body)).encode()))

    async def receive(self) -> Message:
        """Return the part of the body that has been read, then the rest."""
        message, self._first = self._first, None
        return message if message is not None else await self._receive()


def _name(header: tuple[bytes, bytes]) -> str:
    return spelling(header[0].decode("latin-1"))


def _joined(headers: Headers, name: bytes) -> bytes | None:
    values = [value for key, value in headers if key.lower() == name]
    return b", ".join(values) if values else None


def _replaced(headers: Headers, outcome: Allow) -> Headers:
    """Return the headers of the request with those of the outcome set or removed."""
    replaced = {spelling(name) for name, _ in outcome.headers}
    kept = [header for header in headers if _name(header) not in replaced]
    added = [(name, value) for name, value in outcome.headers if value is not None]
    return kept + [(name.encode(), value.encode()) for name, value in added]


def _noting(send: Send, outcome: Allow) -> Send:
    """Wrap `send` to report the status of the response: the application may reject the token."""

    async def noting(message: Message) -> None:
        if message["type"] in {"http.response.start", "websocket.http.response.start"}:
            outcome.note_upstream_status(message["status"])
        await send(message)

    return noting


async def _deny(outcome: Deny, scope: Scope, receive: Receive, send: Send) -> None:
    prefix = ""
    if scope["type"] == "websocket":
        await receive()  # websocket.connect
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            await send({"type": "websocket.close", "code": 1008})
            return
        prefix = "websocket."
    body = outcome.body.encode()
    headers = [(name.encode(), value.encode()) for name, value in outcome.headers]
    headers.append((b"content-length", str(len(body)).encode()))
    start = {
        "type": f"{prefix}http.response.start",
        "status": outcome.http_status,
        "headers": headers,
    }
    await send(start)
    content = b"" if scope.get("method") == "HEAD" else body
    await send({"type": f"{prefix}http.response.body", "body": content})
