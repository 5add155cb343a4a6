"""`credgate.proxy.create_app`: the development proxy as an ASGI application."""

import asyncio
from threading import Event
from typing import Any

import credgate
import credgate.proxy
import httpx2
import pytest

from conftest import ALICE, BOB
from support.lab import Provider, Upstream, bearer
from support.local import Seen, serving
from support.python import fresh_gate

async def answers(app: Any, *requests: dict[str, Any]) -> list[httpx2.Response]:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://gateway.example") as client:
        return [await client.request(**{"method": "GET", "url": "/", **request}) for request in requests]


def one(app: Any, **request: Any) -> httpx2.Response:
    return asyncio.run(answers(app, request))[0]


def test_the_upstream_receives_a_token_and_forwarded_headers(provider: Provider, upstream: Upstream) -> None:
    app = credgate.proxy.create_app(fresh_gate(provider.issuer), f"{upstream.url}/base/")
    response = one(app, url="/a//b/../c%2F?q=1", headers={**ALICE.basic, "X_Forwarded_For": "6.6.6.6"})
    assert response.status_code == 200
    seen = upstream.last
    assert bearer(seen).startswith("eyJ")
    forwarded = {name.lower(): value for name, value in seen["headers"] if "forwarded" in name.lower()}
    assert forwarded == {"x-forwarded-for": "127.0.0.1", "x-forwarded-host": "gateway.example", "x-forwarded-proto": "http"}
    assert ALICE.traces(str(seen)) == []


def test_requests_without_credentials_pass_an_optional_gate(provider: Provider, upstream: Upstream) -> None:
    gate = fresh_gate(provider.issuer)
    assert one(credgate.proxy.create_app(gate, upstream.url)).status_code == 401
    assert one(credgate.proxy.create_app(gate, upstream.url, optional=True)).status_code == 200


def test_a_cookie_of_the_upstream_does_not_reach_another_client(provider: Provider) -> None:
    async def both(url: str) -> list[httpx2.Response]:
        app = credgate.proxy.create_app(fresh_gate(provider.issuer), url)
        return [response for client in (ALICE, BOB) for response in await answers(app, {"headers": client.basic})]

    with serving(lambda _: (200, {"Set-Cookie": "session=alice"}, b"")) as local:
        responses = asyncio.run(both(local.url))
    assert [response.headers["set-cookie"] for response in responses] == ["session=alice"] * 2
    assert ["cookie" in seen.headers for seen in local.seen] == [False, False]


def test_each_request_is_logged_without_a_secret(
    provider: Provider, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "credgate.proxy")
    app = credgate.proxy.create_app(fresh_gate(provider.issuer), upstream.url)
    one(app, url=f"/x?{ALICE.parameters}")
    one(app, url=f"/x?{ALICE.wrong().parameters}", method="G\x1b[1MT")
    lines = [record.getMessage() for record in caplog.records if record.name == "credgate.proxy"]
    assert ALICE.traces(*lines) == []
    assert lines[0].startswith("200 GET /x?client_id=alice&client_secret=***") and " alice MISS " in lines[0]
    assert lines[1].startswith(r"401 G\x1b[1MT /x?client_id=alice&client_secret=***")
    assert " ms credentials_refused: " in lines[1] and lines[0].endswith(" ms")


@pytest.mark.parametrize(
    "url", ["ftp://a", "http://", "a.example", "http://a.example:80800", "http://a.example:x", "http://[::1", "http://a.example/?q=1"]
)
def test_an_unusable_upstream_is_a_value_error(url: str) -> None:
    with pytest.raises(ValueError, match="must be an http:// or https:// URL without a query"):
        credgate.proxy.create_app(fresh_gate("https://a.example"), url)


def test_a_slow_upstream_is_a_gateway_timeout(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credgate.proxy, "TIMEOUT", httpx2.Timeout(5, read=0.05).as_dict())
    released = Event()

    def answer(_: Seen) -> Any:
        released.wait(30)
        return 200, {}, b""

    with serving(answer) as local:
        response = one(credgate.proxy.create_app(fresh_gate(provider.issuer), local.url), headers=ALICE.basic)
        released.set()
    assert response.status_code == 504
    assert response.json()["message"].startswith("The upstream does not respond")


def test_a_websocket_scope_is_closed(provider: Provider, upstream: Upstream) -> None:
    app = credgate.proxy.create_app(fresh_gate(provider.issuer), upstream.url)
    messages: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        messages.append(message)

    asyncio.run(app({"type": "websocket", "headers": []}, receive, send))
    assert (messages, upstream.seen) == ([{"type": "websocket.close"}], [])
    with pytest.raises(ValueError, match="lifespan"):
        asyncio.run(app({"type": "lifespan"}, receive, send))
