"""A reverse proxy for development, as an ASGI application: pip install "credgate[proxy]".

>>> import credgate, credgate.proxy
>>> gate = credgate.Gate(issuer="https://tenant.auth0.com/")
>>> app = credgate.proxy.create_app(gate, "http://127.0.0.1:8080")
"""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING
from wsgiref.util import is_hop_by_hop

import anyio
import httpx2

from credgate import redact_query
from credgate._middleware import reason, spelling
from credgate.asgi import Middleware

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Container

    from credgate import Allow, Deny, Gate
    from credgate._middleware import Headers
    from credgate.asgi import App, Message, Receive, Scope, Send

__all__ = ["create_app"]

LAST_PORT = 65535
TIMEOUT = httpx2.Timeout(60).as_dict()
# Headers that a client cannot hide from the gate by naming them in Connection.
SEARCHED = {"authorization", "content-type"}
FRAMING = {"content-length", "transfer-encoding"}
# C0 and C1 control characters, which would control the terminal.
CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}

_logger = logging.getLogger(__name__)


def create_app(gate: Gate, upstream: str, *, optional: bool = False) -> App:
    """Return an application that forwards requests to an upstream, guarded by a gate.

    It logs one line per request, without secrets, with the reason of a denial. If `optional` is
    true, requests that would get 401 are forwarded without a token. Raises ValueError if
    `upstream` is not a usable URL.
    """
    guarded = Middleware(_Forward(upstream), gate, optional=optional)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()  # websocket.connect
            await send({"type": "websocket.close"})
            return
        if scope["type"] != "http":
            message = f"cannot forward a connection of type {scope['type']!r}"
            raise ValueError(message)
        upgrades = [value.lower() for _, value in _named(scope["headers"], {"upgrade"})]
        scope["credgate.proxy"] = {}
        # Before the gate sets its headers. A copy of the scope would leave the server's unredacted.
        scope["headers"] = _end_to_end(scope["headers"], keep={*SEARCHED, *FRAMING})
        send = _logging(send, scope)
        if b"websocket" in upgrades:
            await _respond(send, 501, "The development proxy does not carry WebSocket connections")
        else:
            await guarded(scope, receive, send)

    return app


class _Forward:
    """The application behind the gate."""

    def __init__(self, upstream: str) -> None:
        problem = "must be an http:// or https:// URL without a query"
        try:
            self._url = httpx2.URL(upstream)
        except httpx2.InvalidURL as error:
            raise ValueError(problem) from error
        is_http = self._url.scheme in {"http", "https"} and self._url.host
        if not is_http or self._url.query or (self._url.port or 0) > LAST_PORT:
            raise ValueError(problem)
        # A transport adds neither headers nor cookies, and uses no HTTP_PROXY. Kept connections
        # would fail requests when the upstream restarts.
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
        self._transport = httpx2.AsyncHTTPTransport(limits=limits)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["credgate.proxy"]["outcome"] = scope["credgate.outcome"]
        target: bytes = scope["raw_path"]
        if not target.startswith(b"/"):
            await _respond(send, 400, "The request target must be a path")
            return
        if scope["query_string"]:
            target += b"?" + scope["query_string"]
        request = httpx2.Request(
            scope["method"],
            self._url,
            headers=_forwarded(scope),
            content=_body(receive) if _named(scope["headers"], FRAMING) else None,
            # The target stays as it is: a URL would be normalized.
            extensions={"target": self._url.raw_path.rstrip(b"/") + target, "timeout": TIMEOUT},
        )
        try:
            response = await self._transport.handle_async_request(request)
        except _DisconnectedError:
            return
        except httpx2.TransportError as error:
            status = 504 if isinstance(error, httpx2.TimeoutException) else 502
            await _respond(send, status, f"The upstream does not respond: {error}")
            return
        try:
            await _pass_on(response, receive, send)
        finally:
            await response.aclose()


class _DisconnectedError(Exception):
    """The client is gone before the end of its request."""


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _DisconnectedError
        yield message.get("body", b"")
        more = message.get("more_body", False)


async def _pass_on(response: httpx2.Response, receive: Receive, send: Send) -> None:
    """Stream a response until its end or the client's."""
    headers = _end_to_end(response.headers.raw)
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        try:
            async for piece in response.aiter_raw():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        except httpx2.TransportError:
            _logger.warning("The upstream ended its response too early")
        else:
            await send({"type": "http.response.body"})
        group.cancel_scope.cancel()


def _named(headers: Headers, names: set[str]) -> Headers:
    return [header for header in headers if spelling(header[0].decode("latin-1")) in names]


def _end_to_end(headers: Headers, *, keep: Container[str] = ()) -> Headers:
    """Return the headers without those of one connection (RFC 9110 section 7.6.1), and Expect."""
    connection = b",".join(value for _, value in _named(headers, {"connection"})).decode("latin-1")
    gone = {spelling(name.strip()) for name in connection.split(",")}
    gone |= {"expect", "proxy-connection", "trailer"}
    names = [spelling(name.decode("latin-1")) for name, _ in headers]
    return [
        header
        for name, header in zip(names, headers)
        if name in keep or not (name in gone or is_hop_by_hop(name))
    ]


def _forwarded(scope: Scope) -> Headers:
    """Return the headers for the upstream, with new X-Forwarded headers."""
    headers: Headers = scope["headers"]
    ours = [
        (b"x-forwarded-for", (scope.get("client") or [""])[0].encode()),
        (b"x-forwarded-host", b",".join(value for _, value in _named(headers, {"host"}))),
        (b"x-forwarded-proto", scope["scheme"].encode()),
    ]
    names = {"host", "transfer-encoding", *(name.decode() for name, _ in ours)}
    if _named(headers, {"transfer-encoding"}):
        names.add("content-length")  # RFC 9112 section 6.3
    replaced = _named(headers, names)
    return [header for header in headers if header not in replaced] + ours


async def _respond(send: Send, status: int, message: str) -> None:
    body = json.dumps({"message": message}).encode()
    headers = [
        (b"content-type", b"application/json; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _logging(send: Send, scope: Scope) -> Send:
    """Wrap `send` to log a line for the response."""
    started = time.monotonic()

    async def logging_send(message: Message) -> None:
        if message["type"] == "http.response.start":
            outcome: Allow | None = scope["credgate.proxy"].get("outcome")
            denial: Deny | None = scope.get("credgate.outcome")
            client = f"{outcome.client_id or '-'} {outcome.cache_status}" if outcome else "-"
            query = redact_query(scope["query_string"])
            target = (scope["raw_path"] + (b"?" if query else b"") + query).decode("latin-1")
            took = round((time.monotonic() - started) * 1000)
            line = f"{message['status']} {scope['method']} {target} {client} {took} ms"
            if denial:
                line += f" {reason(denial)}"
            _logger.info("%s", line.translate(CONTROLS))
        await send(message)

    return logging_send
