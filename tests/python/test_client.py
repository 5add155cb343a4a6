"""Client-side authentication for httpx and httpx2 (sync and async), requests and aiohttp."""

import asyncio
import io
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import credgate
import credgate.aiohttp
import credgate.httpx
import credgate.httpx2
import credgate.requests
import httpx
import httpx2
import pytest
import requests

from conftest import ALICE
from support.lab import Provider, Scripted
from support.local import Answer, Local, Seen, serving
from support.python import Watched, fresh_gate

Send = Callable[..., int]
LIBRARIES: dict[str, Any] = {"httpx": (httpx, credgate.httpx), "httpx2": (httpx2, credgate.httpx2)}


def by_httpx(name: str, with_gate: credgate.Gate, url: str, *, client: Any = ALICE, options: Any = None, **request: Any) -> int:
    library, module = LIBRARIES[name]
    auth = module.Auth(with_gate, client.id, client.secret, **(options or {}))
    with library.Client(auth=auth, trust_env=False, follow_redirects=True) as session:
        status: int = session.request(request.pop("method", "GET"), url, **request).status_code
        return status


def by_httpx_async(name: str, with_gate: credgate.Gate, url: str, *, client: Any = ALICE, options: Any = None, **request: Any) -> int:
    library, module = LIBRARIES[name]

    async def send() -> int:
        auth = module.Auth(with_gate, client.id, client.secret, **(options or {}))
        async with library.AsyncClient(auth=auth, trust_env=False, follow_redirects=True) as session:
            status: int = (await session.request(request.pop("method", "GET"), url, **request)).status_code
            return status

    return asyncio.run(send())


def by_requests(with_gate: credgate.Gate, url: str, *, client: Any = ALICE, options: Any = None, **request: Any) -> int:
    auth = credgate.requests.Auth(with_gate, client.id, client.secret, **(options or {}))
    if "content" in request:
        request["data"] = request.pop("content")
    with requests.Session() as session:
        session.trust_env = False
        session.auth = auth
        return session.request(request.pop("method", "GET"), url, **request).status_code


def by_aiohttp(with_gate: credgate.Gate, url: str, *, client: Any = ALICE, options: Any = None, **request: Any) -> int:
    async def send() -> int:
        hosts = {"hosts": [urlsplit(url).hostname], **(options or {})}
        auth = credgate.aiohttp.Auth(with_gate, client.id, client.secret, **hosts)
        if "content" in request:
            request["data"] = request.pop("content")
        async with aiohttp.ClientSession(middlewares=[auth]) as session:
            async with session.request(request.pop("method", "GET"), url, **request) as response:
                return response.status

    return asyncio.run(send())


SYNC: dict[str, Send] = {**{name: partial(by_httpx, name) for name in LIBRARIES}, "requests": by_requests}
ASYNC: dict[str, Send] = {**{f"{name}-async": partial(by_httpx_async, name) for name in LIBRARIES}, "aiohttp": by_aiohttp}
SENDS = {**SYNC, **ASYNC}


@pytest.fixture(params=SENDS)
def send(request: pytest.FixtureRequest) -> Send:
    return SENDS[request.param]


def ok(_: Seen) -> Answer:
    return 200, {}, b"{}"


def bearer(seen: Seen) -> str:
    assert seen.authorization is not None
    return seen.authorization.removeprefix("Bearer ")


def test_requests_carry_one_cached_token(send: Send, provider: Provider) -> None:
    with_gate = fresh_gate(provider.issuer)
    with serving(ok) as api:
        assert [send(with_gate, f"{api.url}/{number}") for number in range(3)] == [200] * 3
        tokens = {bearer(seen) for seen in api.seen}
    assert len(tokens) == 1 and next(iter(tokens)).startswith("eyJ")
    assert provider.count["token"] == 1
    assert ALICE.traces(*(str(seen) for seen in api.seen)) == []


@pytest.fixture
def forgetful(provider: Provider) -> Iterator[tuple[credgate.Gate, Local]]:
    """A gate, and an API that rejects the first token that it sees; the gate has dropped that token by then."""
    with_gate = fresh_gate(provider.issuer)
    refused: list[str] = []

    def answer(seen: Seen) -> Answer:
        token = bearer(seen)
        if not refused:
            refused.append(token)
            with_gate.purge(ALICE.id)
        return (401, {}, b"no") if token in refused else (200, {}, b"{}")

    with serving(answer) as api:
        yield with_gate, api


def test_a_rejected_token_is_replaced_once(send: Send, forgetful: tuple[credgate.Gate, Local], provider: Provider) -> None:
    with_gate, api = forgetful
    assert send(with_gate, api.url, method="POST", content=b"body") == 200
    assert [seen.body for seen in api.seen] == [b"body", b"body"]
    assert len({bearer(seen) for seen in api.seen}) == 2
    assert provider.count["token"] == 2


def test_the_status_of_a_rejected_request_is_reported_to_the_gate(send: Send, provider: Provider) -> None:
    with_gate, noted = fresh_gate(provider.issuer), []

    def on_status(status: int) -> None:
        noted.append(status)
        with_gate.purge(ALICE.id)  # as the gate does itself with a token older than ten seconds

    with serving(lambda _: (401 if len(api.seen) == 1 else 200, {}, b"")) as api:
        assert send(Watched(with_gate, on_status), api.url) == 200
        assert noted == [401]
        assert len({bearer(seen) for seen in api.seen}) == 2


def test_a_rejected_response_is_in_the_history(forgetful: tuple[credgate.Gate, Local]) -> None:
    with_gate, api = forgetful
    with requests.Session() as session:
        session.trust_env = False
        session.auth = credgate.requests.Auth(with_gate, ALICE.id, ALICE.secret)
        response = session.get(api.url)
        assert (response.status_code, [refused.status_code for refused in response.history]) == (200, [401])
        sent = [answer.request.headers["Authorization"] for answer in (*response.history, response)]
        assert sent == [seen.authorization for seen in api.seen]


@pytest.mark.parametrize("by", [by_requests, by_aiohttp])
def test_a_file_is_resent_from_its_initial_position(by: Send, forgetful: tuple[credgate.Gate, Local]) -> None:
    with_gate, api = forgetful
    file = io.BytesIO(b"headbody")
    file.seek(4)
    assert by(with_gate, api.url, method="POST", data=file) == 200
    assert [seen.body for seen in api.seen] == [b"body", b"body"]


def test_a_body_that_can_be_sent_only_once_is_not_resent(send: Send, forgetful: tuple[credgate.Gate, Local]) -> None:
    with_gate, api = forgetful
    pieces: Any = iter([b"a", b"b"])
    if send in ASYNC.values():

        async def generated() -> Any:
            for piece in (b"a", b"b"):
                yield piece

        pieces = generated()
    assert send(with_gate, api.url, method="POST", content=pieces) == 401
    assert [seen.body for seen in api.seen] == [b"ab"]


def test_a_401_after_a_redirect_repeats_only_the_redirected_request(send: Send, provider: Provider) -> None:
    with_gate = fresh_gate(provider.issuer)

    def answer(seen: Seen) -> Answer:
        if seen.method == "POST":
            return 303, {"Location": "/orders/1"}, b""
        if sum(one.method == "GET" for one in api.seen) == 1:
            with_gate.purge(ALICE.id)
            return 401, {}, b"no"
        return 200, {}, b"{}"

    with serving(answer) as api:
        assert send(with_gate, f"{api.url}/orders", method="POST", content=b"tea") == 200
        assert [(seen.method, seen.target, seen.body) for seen in api.seen] == [
            ("POST", "/orders", b"tea"), ("GET", "/orders/1", b""), ("GET", "/orders/1", b""),
        ]  # fmt: skip
    assert [bearer(seen) == bearer(api.seen[0]) for seen in api.seen] == [True, True, False]


def test_a_401_after_a_307_repeats_the_body_at_the_new_url(send: Send, provider: Provider) -> None:
    with_gate = fresh_gate(provider.issuer)

    def answer(seen: Seen) -> Answer:
        if seen.target == "/orders":
            return 307, {"Location": "/v2/orders"}, b""
        if len(api.seen) == 2:
            with_gate.purge(ALICE.id)
            return 401, {}, b"no"
        return 200, {}, b"{}"

    with serving(answer) as api:
        assert send(with_gate, f"{api.url}/orders", method="POST", content=b"tea") == 200
        assert [(seen.target, seen.body) for seen in api.seen] == [("/orders", b"tea"), *[("/v2/orders", b"tea")] * 2]


def test_a_request_is_not_repeated_with_a_new_token(send: Send, provider: Provider) -> None:
    with_gate = fresh_gate(provider.issuer)
    with serving(lambda _: (401, {}, b"no")) as api:
        assert send(with_gate, api.url) == 401
        # The gate keeps a new token, so there is no other one to try.
        assert len(api.seen) == 1
    assert provider.count["token"] == 1


if "CREDGATE_LONG" in os.environ:

    def test_a_token_older_than_ten_seconds_is_dropped_after_a_401(provider: Provider) -> None:
        with_gate = fresh_gate(provider.issuer)
        with serving(lambda _: (401 if len(api.seen) == 2 else 200, {}, b"")) as api:
            assert by_requests(with_gate, api.url) == 200
            time.sleep(11)
            assert by_requests(with_gate, api.url) == 200
            assert [bearer(seen) == bearer(api.seen[0]) for seen in api.seen] == [True, True, False]


def test_a_token_does_not_follow_a_redirect_to_another_host(send: Send, provider: Provider) -> None:
    with_gate = fresh_gate(provider.issuer)
    with serving(lambda _: (401, {}, b"no")) as other:
        elsewhere = other.url.replace("127.0.0.1", "localhost")
        with serving(lambda _: (302, {"Location": elsewhere}, b"")) as api:
            assert send(with_gate, api.url) == 401
        assert [seen.authorization for seen in other.seen] == [None]
    assert (bearer(api.seen[0]).startswith("eyJ"), len(api.seen)) == (True, 1), "the rejecting host got no token"


def test_a_token_is_sent_only_to_the_given_hosts(send: Send, provider: Provider) -> None:
    with_gate = fresh_gate(provider.issuer)
    with serving(ok) as api:
        assert send(with_gate, api.url, options={"hosts": ["api.example.com"]}) == 200
        assert send(with_gate, api.url, options={"hosts": ["127.0.0.1"]}) == 200
        assert [seen.authorization is not None for seen in api.seen] == [False, True]


@pytest.mark.parametrize("url", ["http://api.example.com/", "http://10.0.0.1/", "http://localhost.example.com/"])
def test_a_token_is_not_sent_over_plain_http(url: str, send: Send) -> None:
    with pytest.raises(ValueError, match="use https"):
        send(fresh_gate("https://a.example"), url)


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_websocket_handshake_over_tls_carries_the_token(name: str, provider: Provider) -> None:
    library, module = LIBRARIES[name]
    auth = module.Auth(fresh_gate(provider.issuer), ALICE.id, ALICE.secret, hosts=["api.example.com"])
    assert "Authorization" in next(auth.sync_auth_flow(library.Request("GET", "wss://api.example.com/"))).headers
    with pytest.raises(ValueError, match="use https"):
        next(auth.sync_auth_flow(library.Request("GET", "ws://api.example.com/")))


def test_a_refused_client_sends_no_request(send: Send, provider: Provider) -> None:
    with serving(ok) as api:
        with pytest.raises(credgate.DeniedError) as raised:
            send(fresh_gate(provider.issuer), api.url, client=ALICE.wrong())
        assert (raised.value.http_status, api.seen) == (401, [])
    assert ALICE.traces(str(raised.value), repr(raised.value)) == []


@pytest.mark.parametrize("name", LIBRARIES)
def test_one_auth_serves_concurrent_requests(name: str, scripted: Scripted) -> None:
    with_gate = fresh_gate(scripted.issuer)
    library, module = LIBRARIES[name]

    async def all_of_them(url: str) -> list[int]:
        auth = module.Auth(with_gate, ALICE.id, ALICE.secret)
        async with library.AsyncClient(auth=auth, trust_env=False) as session:
            return [answer.status_code for answer in await asyncio.gather(*(session.get(url) for _ in range(50)))]

    with serving(ok) as api:
        assert asyncio.run(all_of_them(api.url)) == [200] * 50
    assert scripted.state["token"] == 1


def test_a_gate_with_own_credentials_needs_no_others(send: Send, provider: Provider) -> None:
    with_gate = fresh_gate(provider.issuer, client_id=ALICE.id, client_secret=ALICE.secret)
    with serving(ok) as api:
        assert send(with_gate, api.url, client=SimpleNamespace(id=None, secret=None)) == 200
        assert bearer(api.seen[0]).startswith("eyJ")
    assert provider.count["by_client"]["alice"] == 1


def test_half_a_pair_of_credentials_is_an_error(send: Send) -> None:
    for client in (SimpleNamespace(id="id", secret=None), SimpleNamespace(id=None, secret="secret")):
        with pytest.raises(ValueError, match="client_id and client_secret must be passed together"):
            send(fresh_gate("https://a.example"), "https://api.example.com/", client=client)


def test_aiohttp_needs_the_hosts_that_receive_the_token() -> None:
    with pytest.raises(TypeError, match="hosts"):
        credgate.aiohttp.Auth(fresh_gate("https://a.example"), ALICE.id, ALICE.secret)  # type: ignore[call-arg]


@pytest.mark.parametrize("module", [credgate.httpx, credgate.httpx2, credgate.requests, credgate.aiohttp])
def test_repr_contains_no_secret(module: Any) -> None:
    auth = module.Auth(fresh_gate("https://a.example"), ALICE.id, ALICE.secret, hosts=["a.example"])
    assert ALICE.traces(repr(auth)) == []
    assert repr(auth) == f"<{module.__name__}.Auth client_id='alice'>"
    own = module.Auth(fresh_gate("https://a.example", client_id="own", client_secret=ALICE.secret), hosts=["a.example"])
    assert repr(own) == f"<{module.__name__}.Auth client_id='own'>"


def auth(module: Any, *client: str, hosts: Any) -> Any:
    return module.Auth(fresh_gate("https://a.example"), *(client or (ALICE.id, ALICE.secret)), hosts=hosts)


MODULES = [credgate.httpx, credgate.httpx2, credgate.requests, credgate.aiohttp]


@pytest.mark.parametrize("module", MODULES)
def test_a_host_that_no_url_can_have_is_an_error(module: Any) -> None:
    for host in ("https://api.example.com", "api.example.com:8443", "api.example.com/orders", "[::1]:8443"):
        with pytest.raises(ValueError, match="must be a name or an address, without scheme, port and path"):
            auth(module, hosts=[host])
    with pytest.raises(TypeError, match="hosts must be a list, such as .'api.example.com'."):
        auth(module, hosts="api.example.com")


def test_hosts_may_be_addresses(send: Send, provider: Provider) -> None:
    with serving(ok) as api:
        assert send(fresh_gate(provider.issuer), api.url, options={"hosts": ["127.0.0.1", "[::1]", "::1"]}) == 200
        assert bearer(api.seen[0]).startswith("eyJ")
    assert auth(credgate.httpx, hosts=["[::1]"])._hosts == auth(credgate.httpx, hosts=["::1"])._hosts


@pytest.mark.parametrize("module", MODULES)
def test_a_gate_without_a_client_of_its_own_needs_credentials_at_once(module: Any) -> None:
    with pytest.raises(ValueError, match="the gate has no client of its own: pass client_id and client_secret, or set client_id"):
        module.Auth(fresh_gate("https://a.example"), hosts=["a.example"])
