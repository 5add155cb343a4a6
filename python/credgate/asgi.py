"""ASGI middleware: authenticates clients before Starlette, FastAPI or any other application.

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
    """Lets what comes with credentials through to `app`, with a token in their place.

    That is requests, and the handshakes of WebSockets. The application finds `credgate.client_id`,
    `credgate.claims` and `credgate.outcome` in its scope. What is denied is answered here. Where
    credentials are `optional`, a request that would be answered with 401 passes without a token,
    and without what it brought.

    The application gets a scope of its own. In the server's, secrets in the query are overwritten,
    as that is what servers log.
    """

    def __init__(self, app: App, gate: Gate, *, optional: bool = False) -> None:
        """Put a gate before an application."""
        self.app = app
        self.gate = gate.optional() if optional else gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        kind = scope["type"]
        if kind == "lifespan":
            await self.app(scope, receive, send)
            return
        if kind not in {"http", "websocket"}:
            message = f"connections of the type {kind!r} are not guarded, and so not let through"
            raise ValueError(message)
        query: bytes = scope.get("query_string", b"")
        scope["query_string"] = redact_query(query)
        headers: Headers = list(scope["headers"])
        body = await _Body.read(self.gate, scope, headers, receive)
        if body.left:
            return
        outcome = await self.gate.authenticate_async(
            method=scope.get("method", "GET"),
            # Several are one list, which is no credential (RFC 9110, section 5.3).
            authorization=_joined(headers, b"authorization"),
            query=query,
            content_type=_joined(headers, b"content-type"),
            body=body.whole,
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
    """A body, and how the application gets it."""

    def __init__(
        self, gate: Gate, scope: Scope, content_type: bytes | None, receive: Receive
    ) -> None:
        super().__init__(gate, scope.get("method", "GET"), content_type)
        self._receive = receive
        self._first: Message | None = None
        self.left = False

    @classmethod
    async def read(cls, gate: Gate, scope: Scope, headers: Headers, receive: Receive) -> _Body:
        """Read it where it may hold credentials, and no more of it than may."""
        body = cls(gate, scope, _joined(headers, b"content-type"), receive)
        announced = length((_joined(headers, b"content-length") or b"").decode("latin-1"))
        if scope["type"] != "http" or not body.is_wanted(announced):
            return body
        read = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                body.left = True
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
        """Take the credentials out; `headers` are made to fit."""
        body = self.without_credentials()
        if body is None or self._first is None:
            return
        self._first["body"] = body
        headers[:] = [one for one in headers if _name(one) not in DESCRIBING]
        headers.append((b"content-length", str(len(body)).encode()))

    async def receive(self) -> Message:
        """Give the application what has been read, and then what comes."""
        message, self._first = self._first, None
        return message if message is not None else await self._receive()


def _name(header: tuple[bytes, bytes]) -> str:
    return spelling(header[0].decode("latin-1"))


def _joined(headers: Headers, name: bytes) -> bytes | None:
    values = [value for key, value in headers if key.lower() == name]
    return b", ".join(values) if values else None


def _replaced(headers: Headers, outcome: Allow) -> Headers:
    """Answer the headers of the request that goes upstream."""
    named = outcome.headers
    names = {spelling(name) for name, _ in named}
    kept = [header for header in headers if _name(header) not in names]
    ours = [(name.encode(), value.encode()) for name, value in named if value is not None]
    return kept + ours


def _noting(send: Send, outcome: Allow) -> Send:
    """Tell the gate what the application answers: it may not like the token."""

    async def noting(message: Message) -> None:
        if message["type"] in {"http.response.start", "websocket.http.response.start"}:
            outcome.note_upstream_status(message["status"])
        await send(message)

    return noting


async def _deny(outcome: Deny, scope: Scope, receive: Receive, send: Send) -> None:
    prefix = ""
    if scope["type"] == "websocket":
        await receive()  # websocket.connect, which is what is answered
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            await send({"type": "websocket.close", "code": 1008})
            return
        prefix = "websocket."
    body = outcome.body.encode()
    headers = [(name.encode(), value.encode()) for name, value in outcome.headers]
    headers.append((b"content-length", str(len(body)).encode()))
    start = {"type": f"{prefix}http.response.start", "status": outcome.http_status, "headers": headers}
    await send(start)
    content = b"" if scope.get("method") == "HEAD" else body
    await send({"type": f"{prefix}http.response.body", "body": content})
