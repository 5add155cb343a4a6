"""ASGI middleware, called as a server calls it."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import credgate
import credgate.asgi
import pytest

from conftest import ALICE, CLIENTS
from support.http import FORM, JSON, SOURCES
from support.lab import Provider, Scripted
from support.python import UNVERIFIED, Watched, denials_are_logged, fresh_gate, unsigned


@dataclass
class Served:
    """The result of a request: the scope that the application saw, and the messages that the server got."""

    server: dict[str, Any]
    sent: list[dict[str, Any]] = field(default_factory=list)
    seen: dict[str, Any] | None = None
    body: bytes = b""

    @property
    def status(self) -> int | None:
        return next((message["status"] for message in self.sent if "status" in message), None)

    @property
    def headers(self) -> dict[str, str]:
        start = next(message for message in self.sent if "headers" in message)
        return {name.decode(): value.decode() for name, value in start["headers"]}

    @property
    def response_body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)

    def arrived(self, name: str) -> list[str]:
        assert self.seen is not None
        return [value.decode() for key, value in self.seen["headers"] if key.decode().lower() == name]


def serve(with_gate: credgate.Gate, *, optional: bool = False, status: int = 200, **request: Any) -> Served:
    """Sends a request through the middleware to an application that reads the whole body and responds with `status`."""
    target = request.get("target", "/")
    headers = request.get("headers", {})
    pairs = list(headers.items()) if isinstance(headers, dict) else headers
    body = request.get("body", b"")
    pieces = [body.encode() if isinstance(body, str) else body] if isinstance(body, (str, bytes)) else list(body)
    if isinstance(body, (str, bytes)) and body:
        pairs = [*pairs, ("content-length", str(len(pieces[0])))]
    scope = {
        "type": request.get("type", "http"),
        "path": target.partition("?")[0],
        "query_string": target.partition("?")[2].encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in pairs],
        "extensions": request.get("extensions", {}),
    }
    if scope["type"] == "http":
        scope["method"] = request.get("method", "GET")
    served = Served(scope)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        served.seen = scope
        if scope["type"] == "websocket":
            assert (await receive())["type"] == "websocket.connect"
            await send({"type": "websocket.accept"})
            return
        more = True
        while more:
            message = await receive()
            served.body += message["body"]
            more = message["more_body"]
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})

    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages[-1]["more_body"] = False
    if scope["type"] == "websocket":
        messages = [{"type": "websocket.connect"}]
    messages = request.get("messages", messages)

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: dict[str, Any]) -> None:
        served.sent.append(message)

    asyncio.run(credgate.asgi.Middleware(app, with_gate, optional=optional)(scope, receive, send))
    return served


@pytest.mark.parametrize("source", SOURCES)
def test_credentials_from_any_source_are_replaced_with_a_token(source: str, provider: Provider) -> None:
    served = serve(fresh_gate(provider.issuer), **ALICE.request(source, "/x"))
    assert served.status == 200 and served.seen is not None
    assert served.arrived("authorization")[0].startswith("Bearer eyJ") and len(served.arrived("authorization")) == 1
    assert served.seen["credgate.client_id"] == "alice"
    assert served.seen["credgate.claims"]["aud"] == "https://example.com/"
    assert served.seen["credgate.outcome"].allowed
    received = [served.seen["query_string"], served.body, *(b"".join(pair) for pair in served.seen["headers"])]
    assert ALICE.traces(*received) == []
    assert ALICE.traces(served.server["query_string"]) == [], "the server logs this"
    if source == "query":
        assert served.seen["query_string"] == b"keep=1"
        assert b"client_secret=***" in served.server["query_string"]
    if source in ("form", "json"):
        assert json.loads(served.body) == {"keep": 1} if source == "json" else served.body == b"keep=1"
        assert served.arrived("content-length") == [str(len(served.body))]


def test_the_canary_is_found_if_hide_credentials_is_off(provider: Provider) -> None:
    served = serve(fresh_gate(provider.issuer, hide_credentials=False), **ALICE.request("query"))
    assert served.seen is not None
    assert ALICE.traces(served.seen["query_string"]) != []
    assert ALICE.traces(served.server["query_string"]) == []


def test_the_middleware_responds_to_a_denied_request(provider: Provider) -> None:
    served = serve(fresh_gate(provider.issuer), headers=ALICE.wrong().basic)
    assert served.seen is None
    assert (served.status, served.response_body) == (401, b'{"message":"Unauthorized"}')
    assert served.headers == {
        "content-type": "application/json; charset=utf-8",
        "www-authenticate": 'Basic realm="127.0.0.1", charset="UTF-8"',
        "content-length": "26",
    }
    head = serve(fresh_gate(provider.issuer), method="HEAD")
    assert (head.status, head.response_body, head.headers["content-length"]) == (401, b"", "26")


def test_a_rate_limit_of_the_provider_becomes_503_with_retry_after(scripted: Scripted) -> None:
    scripted.script(status=429, headers={"retry-after": "7"})
    served = serve(fresh_gate(scripted.issuer), headers=ALICE.basic)
    assert (served.status, served.headers["retry-after"]) == (503, "7")


def test_with_optional_credentials_a_request_without_a_token_passes(provider: Provider) -> None:
    with_gate = fresh_gate(provider.issuer, upstream_headers=[{"header": "x-client", "path": ["sub"]}])
    served = serve(with_gate, optional=True, headers={"X-Client": "root", "x_client": "root"})
    assert served.status == 200 and served.seen is not None
    assert served.seen["credgate.client_id"] is None and served.seen["credgate.claims"] is None
    assert served.arrived("x-client") == served.arrived("x_client") == []
    refused = serve(with_gate, optional=True, headers=ALICE.wrong().basic)
    assert refused.status == 200 and refused.arrived("authorization") == []
    twice = serve(with_gate, optional=True, target=f"/?{ALICE.parameters}", headers=ALICE.basic)
    assert twice.status == 400, "a malformed request is denied by an optional gate too"


def test_no_spelling_of_a_header_that_the_gate_sets_gets_through(provider: Provider) -> None:
    with_gate = fresh_gate(provider.issuer, upstream_headers=[{"header": "x-client-name", "path": ["client_id"]}])
    spoofed = [("X-Client-Name", "root"), ("x_client_name", "root"), ("X-Client_Name", "root"), ("x-other", "kept")]
    served = serve(with_gate, headers=[*ALICE.basic.items(), *spoofed])
    assert served.seen is not None
    spellings = {key: value for key, value in served.seen["headers"] if b"client" in key}
    assert spellings == {b"x-client-name": b"alice"}
    assert served.arrived("x-other") == ["kept"]


def test_a_non_ascii_claim_is_forwarded_as_utf_8(scripted: Scripted) -> None:
    scripted.script(json=unsigned(name="Zoë 日本"))
    with_gate = fresh_gate(scripted.issuer, **UNVERIFIED, upstream_headers=[{"header": "x-name", "path": ["name"]}])
    assert serve(with_gate, headers=ALICE.basic).arrived("x-name") == ["Zoë 日本"]


@pytest.mark.parametrize("second", [ALICE.basic["Authorization"], "Bearer x"])
def test_several_authorization_headers_are_a_bad_request(second: str, provider: Provider) -> None:
    served = serve(fresh_gate(provider.issuer), headers=[*ALICE.basic.items(), ("authorization", second)])
    assert (served.status, served.seen) == (400, None)


def test_credentials_are_removed_from_a_body_in_several_messages(provider: Provider) -> None:
    body = f"{ALICE.parameters}&keep=1".encode()
    pieces = [b"", body[:5], b"", body[5:30], body[30:], b""]
    headers = {**FORM, "Transfer-Encoding": "chunked", "Digest": "sha-256=x", "Content-MD5": "x"}
    served = serve(fresh_gate(provider.issuer), method="POST", headers=headers, body=pieces)
    assert (served.status, served.body) == (200, b"keep=1")
    assert served.arrived("content-length") == ["6"]
    assert served.arrived("transfer-encoding") == served.arrived("digest") == served.arrived("content-md5") == []


def test_a_body_without_credentials_is_unchanged(provider: Provider) -> None:
    headers = {**ALICE.basic, **JSON, "Digest": "sha-256=x"}
    served = serve(fresh_gate(provider.issuer), method="POST", headers=headers, body='{"a" : 1}')
    assert (served.status, served.body, served.arrived("digest")) == (200, b'{"a" : 1}', ["sha-256=x"])
    assert served.arrived("content-length") == ["9"]


def test_a_body_over_the_limit_is_streamed_to_the_application(provider: Provider) -> None:
    with_gate = fresh_gate(provider.issuer, max_body_bytes=100)
    pieces = [b"x" * 60, b"y" * 60, b"z" * 60]
    served = serve(with_gate, method="POST", headers={**ALICE.basic, **FORM}, body=pieces)
    assert (served.status, served.body) == (200, b"".join(pieces))
    denied = serve(with_gate, method="POST", headers=FORM, body=[ALICE.parameters.encode(), b"&" * 100, b"never read"])
    assert denied.status == 401


def test_a_body_of_another_media_type_is_streamed_to_the_application(provider: Provider) -> None:
    for headers in ({"Content-Type": "multipart/form-data"}, {"Content-Type": "text/plain"}):
        served = serve(fresh_gate(provider.issuer), method="POST", headers={**headers, **ALICE.basic}, body=[b"a", b"b"])
        assert (served.status, served.body) == (200, b"ab")


def test_a_client_that_disconnects_while_sending_gets_no_response(provider: Provider) -> None:
    gone = [{"type": "http.request", "body": b"client_id=a", "more_body": True}, {"type": "http.disconnect"}]
    served = serve(fresh_gate(provider.issuer), method="POST", headers=FORM, messages=gone)
    assert (served.sent, served.seen) == ([], None)


def test_a_websocket_handshake_is_authenticated(provider: Provider) -> None:
    served = serve(fresh_gate(provider.issuer), type="websocket", headers=ALICE.basic)
    assert served.sent == [{"type": "websocket.accept"}] and served.seen is not None
    assert served.seen["credgate.client_id"] == "alice"
    by_query = serve(fresh_gate(provider.issuer), type="websocket", target=f"/?{ALICE.parameters}")
    assert by_query.seen is not None and by_query.seen["query_string"] == b""


def test_a_denied_websocket_gets_a_response_or_is_closed(provider: Provider) -> None:
    served = serve(fresh_gate(provider.issuer), type="websocket")
    assert (served.sent, served.seen) == ([{"type": "websocket.close", "code": 1008}], None)
    denied = serve(fresh_gate(provider.issuer), type="websocket", extensions={"websocket.http.response": {}})
    assert (denied.status, denied.response_body) == (401, b'{"message":"Unauthorized"}')
    assert [message["type"] for message in denied.sent] == ["websocket.http.response.start", "websocket.http.response.body"]


def test_a_preflight_passes_if_run_on_preflight_is_off(provider: Provider) -> None:
    assert serve(fresh_gate(provider.issuer), method="OPTIONS").status == 401
    served = serve(fresh_gate(provider.issuer, run_on_preflight=False), method="OPTIONS")
    assert served.status == 200 and served.seen is not None
    assert served.seen["credgate.outcome"].cache_status == "PREFLIGHT"


def test_lifespan_passes_and_an_unknown_connection_type_is_rejected() -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    guarded = credgate.asgi.Middleware(app, fresh_gate("https://a.example"))
    asyncio.run(guarded({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="cannot guard a connection of type 'webtransport'"):
        asyncio.run(guarded({"type": "webtransport"}, None, None))  # type: ignore[arg-type]
    assert seen == ["lifespan"]


def test_the_status_of_the_application_is_reported_to_the_gate(provider: Provider) -> None:
    noted: list[int] = []
    serve(Watched(fresh_gate(provider.issuer), noted.append), headers=ALICE.basic, status=401)  # type: ignore[arg-type]
    assert noted == [401]


def test_concurrent_misses_of_one_client_share_one_exchange(scripted: Scripted) -> None:
    with_gate = fresh_gate(scripted.issuer)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    guarded = credgate.asgi.Middleware(app, with_gate)
    statuses: list[int] = []

    async def one() -> None:
        scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": [(b"authorization", header)]}

        async def send(message: Any) -> None:
            statuses.append(message["status"])

        await guarded(scope, None, send)  # type: ignore[arg-type]

    header = ALICE.basic["Authorization"].encode()

    async def all_of_them() -> None:
        await asyncio.gather(*(one() for _ in range(100)))

    asyncio.run(all_of_them())
    assert statuses == [200] * 100
    assert scripted.state["token"] == 1


def test_every_client_gets_its_own_token(provider: Provider) -> None:
    with_gate = fresh_gate(provider.issuer)
    for client in CLIENTS:
        served = serve(with_gate, **client.request("form"))
        assert served.seen is not None
        assert served.seen["credgate.claims"]["client_id"] == served.seen["credgate.client_id"] == client.id


def test_a_denial_is_logged_with_its_reason_and_left_in_the_servers_scope(
    provider: Provider, scripted: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    denials_are_logged("credgate.asgi", serve, ALICE, (provider, scripted), caplog)
