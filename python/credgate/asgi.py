"""ASGI middleware: authenticates clients for Starlette, FastAPI or any other application.

>>> import credgate, credgate.asgi
>>> gate = credgate.Gate(issuer="https://tenant.auth0.com/")
>>> async def app(scope, receive, send): ...
>>> guarded = credgate.asgi.Middleware(app, gate)
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from credgate import redact_query
from credgate._middleware import (
    DESCRIBING,
    NO_STORE,
    Body,
    Headers,
    check_headers,
    entries,
    length,
    note_denial,
    spelling,
    token_headers,
)

if TYPE_CHECKING:
    from credgate import Allow, Deny, Gate

__all__ = ["Check", "Middleware", "TokenEndpoint"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# The headers that the middleware itself reads.
READ = {b"authorization", b"content-length", b"content-type", b"traceparent"}
_logger = logging.getLogger(__name__)
_NO_STORE = [(name.encode(), value.encode()) for name, value in NO_STORE]


class Middleware:
    """Replaces the credentials of requests and WebSocket handshakes with a token.

    The scope of the application has `credgate.client_id`, `credgate.claims` and `credgate.outcome`.
    The middleware itself responds to denied requests, and logs the reason. If `optional` is true,
    requests that would get 401 reach the application without a token and without their credentials,
    also if the provider refused these. Their `credgate.client_id` is None.

    The application gets a copy of the scope. In the server's own scope, the middleware overwrites
    secrets in the query, because servers log it; the scope of a denied request gets
    `credgate.outcome`.
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
        own = _read(headers)
        body = await _Body.read(self.gate, scope, headers, own, receive)
        if body.disconnected:
            return
        outcome = await self.gate.authenticate_async(
            method=scope.get("method", "GET"),
            authorization=own.get(b"authorization"),
            query=query,
            content_type=own.get(b"content-type"),
            body=body.whole,
            peer=(scope.get("client") or [None])[0],
            traceparent=own.get(b"traceparent") if self._traces else None,
            headers=headers,
        )
        if not outcome.allowed:
            note_denial(_logger, outcome, scope)
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


class TokenEndpoint:
    """An application: an OAuth 2.0 token endpoint that answers from the cache of a gate.

    It takes the requests of RFC 6749 section 4.4.2 and returns the responses of sections 5.1 and
    5.2. Raises ConfigError if the gate exchanges no credentials of clients.
    """

    def __init__(self, gate: Gate) -> None:
        """Serve the tokens of a gate."""
        self._guarded = Middleware(_send_token, gate.token_endpoint())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await self._guarded(scope, receive, _with_no_store(send))


class Check:
    """An application that other proxies ask about their requests.

    It responds with 200 and the headers for the upstream, or with the denial: for Traefik's
    ForwardAuth, Envoy's HTTP ext_authz and nginx's auth_request. It searches headers only, because
    it cannot remove anything from a query or a body. Raises ConfigError if the gate searches no
    header. If `optional` is true, requests that would get 401 get 200 without a token.
    """

    def __init__(self, gate: Gate, *, optional: bool = False) -> None:
        """Answer for a gate."""
        self._guarded = Middleware(_send_headers, gate.external(), optional=optional)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await self._guarded(scope, receive, _with_no_store(send))


class _Body(Body):
    """The body of a request. Passes it on to the application."""

    def __init__(
        self,
        gate: Gate,
        scope: Scope,
        headers: Headers,
        read: dict[bytes, bytes],
        receive: Receive,
    ) -> None:
        super().__init__(
            gate,
            scope.get("method", "GET"),
            read.get(b"authorization"),
            read.get(b"content-type"),
            headers,
        )
        self._receive = receive
        self._first: Message | None = None
        self.disconnected = False

    @classmethod
    async def read(
        cls,
        gate: Gate,
        scope: Scope,
        headers: Headers,
        read_headers: dict[bytes, bytes],
        receive: Receive,
    ) -> _Body:
        """Read the body, up to max_body_bytes, if it can contain credentials."""
        body = cls(gate, scope, headers, read_headers, receive)
        announced = length(read_headers.get(b"content-length", b"").decode("latin-1"))
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
    return _spelling(header[0])


def _spell(name: bytes) -> str:
    return spelling(name.decode("latin-1"))


_spelling: Callable[[bytes], str] = lru_cache(maxsize=1024)(_spell)


def _read(headers: Headers) -> dict[bytes, bytes]:
    """Return the headers of READ, by lower-case name.

    Several of one name form a list (RFC 9110 section 5.3): the gate rejects one of credentials.
    """
    read: dict[bytes, bytes] = {}
    for key, value in headers:
        name = key.lower()
        if name in READ:
            read[name] = read[name] + b", " + value if name in read else value
    return read


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


async def _send_token(scope: Scope, _receive: Receive, send: Send) -> None:
    outcome: Allow = _http(scope)["credgate.outcome"]
    body = (outcome.token_response or "").encode()
    await _send(send, token_headers(body), body)


async def _send_headers(scope: Scope, _receive: Receive, send: Send) -> None:
    await _send(send, check_headers(_http(scope)["credgate.outcome"]), b"")


def _http(scope: Scope) -> Scope:
    """Return the scope of a request. A server takes the error for lifespan as "unsupported"."""
    if scope["type"] != "http":
        message = f"cannot serve a connection of type {scope['type']!r}"
        raise ValueError(message)
    return scope


async def _send(send: Send, headers: list[tuple[str, str]], body: bytes) -> None:
    encoded = [(name.encode(), value.encode()) for name, value in headers]
    await send({"type": "http.response.start", "status": 200, "headers": encoded})
    await send({"type": "http.response.body", "body": body})


def _with_no_store(send: Send) -> Send:
    """Wrap `send` to keep every response out of caches (RFC 6749 section 5.1)."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *_NO_STORE]
        await send(message)

    return sending
