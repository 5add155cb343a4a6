"""`gate:judge` and `gate:hide`: nothing is answered, and no credential reaches the upstream or a log."""

from collections.abc import Callable
from typing import Any

import pytest

from conftest import ALICE
from support.http import Answer, ask
from support.lab import Provider, Scripted, Upstream, bearer, values_of
from support.nginx import Nginx, location
from support.openresty import gate, start

Start = Callable[..., Nginx]
SOURCES = ("header", "query", "form", "json")


def judged(upstream: str, options: str = "", *more: str) -> str:
    """A location that judges each request, and says in headers what the outcome is."""
    access = f"""access_by_lua_block {{
        local outcome = gate:judge {{ {options} }}
        ngx.header["X-Allowed"] = tostring(outcome.allowed)
        ngx.header["X-Cause"] = outcome.cause
        ngx.header["X-Status"] = outcome.http_status
        ngx.header["X-Client"] = outcome.client_id
        ngx.header["X-Cache"] = outcome.cache_status
    }}"""
    return location("/", *more, f"proxy_pass {upstream}").replace("{\n", "{\n    " + access + "\n", 1)


def hidden(upstream: str, options: str = "") -> str:
    """A location that something else guards."""
    access = f"access_by_lua_block {{ gate:hide {{ {options} }} }}"
    return location("/", f"proxy_pass {upstream}").replace("{\n", "{\n    " + access + "\n", 1)


def is_clean(answer: Answer, server: Nginx) -> bool:
    """Whether neither the upstream nor a log has a credential of Alice."""
    return ALICE.traces(answer.body) == [] and ALICE.traces(server.logs) == []


@pytest.mark.parametrize("source", SOURCES)
def test_allowed_request_has_its_token(nginx: Start, provider: Provider, upstream: Upstream, source: str) -> None:
    server = start(nginx, f"gate = {gate(provider.issuer)}", judged(upstream.url))
    for cache_status in ("MISS", "HIT"):
        answer = ask(server.port, **ALICE.request(source))
        assert answer.header("X-Allowed") == "true"
        assert answer.header("X-Client") == "alice"
        assert answer.header("X-Cache") == cache_status
        assert bearer(answer.json())
        assert is_clean(answer, server)
    assert provider.count["token"] == 1


@pytest.mark.parametrize("source", SOURCES)
def test_denied_request_goes_on_without_credentials(
    nginx: Start, provider: Provider, upstream: Upstream, source: str
) -> None:
    server = start(nginx, f"gate = {gate(provider.issuer, upstream_headers=[CLAIM])}", judged(upstream.url))
    request = ALICE.wrong().request(source)
    request["headers"] = {**request.get("headers", {}), "X-Sub": "forged"}
    answer = ask(server.port, **request)
    assert answer.status == 200
    assert answer.header("X-Allowed") == "false"
    assert answer.header("X-Cause") == "credentials_refused"
    assert answer.header("X-Status") == "401"
    assert not values_of(answer.json(), "authorization")
    assert "forged" not in answer.body.decode()
    assert is_clean(answer, server)


CLAIM = {"header": "X-Sub", "path": ["sub"]}


def test_request_without_credentials_is_denied_and_goes_on(
    nginx: Start, provider: Provider, upstream: Upstream
) -> None:
    server = start(nginx, f"gate = {gate(provider.issuer)}", judged(upstream.url))
    answer = ask(server.port)
    assert (answer.status, answer.header("X-Cause")) == (200, "no_credentials")
    assert provider.count["token"] == 0


def test_another_scheme_stays_for_another_authentication(
    nginx: Start, provider: Provider, upstream: Upstream
) -> None:
    server = start(nginx, f"gate = {gate(provider.issuer)}", judged(upstream.url, "keep_authorization = true"))
    answer = ask(server.port, headers={"Authorization": "Negotiate abc"})
    assert answer.header("X-Allowed") == "false"
    assert values_of(answer.json(), "authorization") == ["Negotiate abc"]
    answer = ask(server.port, headers=ALICE.basic)
    assert answer.header("X-Allowed") == "true"
    assert bearer(answer.json())


def test_provider_that_does_not_answer_is_an_outcome(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    scripted.hold()
    server = start(nginx, f"gate = {gate(scripted.issuer, timeout=300)}", judged(upstream.url))
    answer = ask(server.port, headers=ALICE.basic)
    assert (answer.status, answer.header("X-Status")) == (200, "504")
    assert answer.header("X-Cause") == "provider_timeout"
    assert is_clean(answer, server)


@pytest.mark.parametrize("source", SOURCES)
def test_hide_removes_credentials_and_asks_nobody(
    nginx: Start, provider: Provider, upstream: Upstream, source: str
) -> None:
    server = start(nginx, f"gate = {gate(provider.issuer, upstream_headers=[CLAIM])}", hidden(upstream.url))
    request = ALICE.request(source, "/path")
    request["headers"] = {**request.get("headers", {}), "X-Sub": "forged"}
    answer = ask(server.port, **request)
    assert answer.status == 200
    assert answer.json()["line"].split()[1].startswith("/path")
    assert not values_of(answer.json(), "authorization")
    assert "forged" not in answer.body.decode()
    assert is_clean(answer, server)
    assert provider.count["token"] == 0


def test_hide_removes_named_headers(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    named: dict[str, Any] = {"client_id_header": "X-Client-Id", "client_secret_header": "X-Client-Secret"}
    server = start(nginx, f"gate = {gate(provider.issuer, **named)}", hidden(upstream.url))
    answer = ask(server.port, headers={"X-Client-Id": ALICE.id, "X-Client-Secret": ALICE.secret})
    assert not values_of(answer.json(), "x-client-id")
    assert is_clean(answer, server)


def test_hide_keeps_the_header_of_another_authentication(
    nginx: Start, provider: Provider, upstream: Upstream
) -> None:
    server = start(nginx, f"gate = {gate(provider.issuer)}", hidden(upstream.url, "keep_authorization = true"))
    answer = ask(server.port, f"/?{ALICE.parameters}", headers={"Authorization": "Bearer abc"})
    assert values_of(answer.json(), "authorization") == ["Bearer abc"]
    assert is_clean(answer, server)
