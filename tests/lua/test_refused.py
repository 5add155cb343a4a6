"""Refused clients in the error log: the line of the nginx module, in Lua and in the plugins over it."""

import re
from collections.abc import Callable
from urllib.parse import quote

import pytest

from conftest import ALICE
from support.apisix_gateway import apisix
from support.fail2ban import found
from support.gateway import four_settings
from support.http import SOURCES, Client, ask
from support.kong_gateway import Gateway
from support.lab import Provider, Scripted, Upstream
from support.nginx import Nginx, location
from support.openresty import gate, guarded, start

Start = Callable[..., Nginx]


def in_lua(nginx: Start, issuer: str, upstream: Upstream) -> Nginx:
    return start(nginx, f"gate = {gate(issuer)}", guarded(upstream.url))


def in_kong(nginx: Start, issuer: str, upstream: Upstream) -> Nginx:
    kong = Gateway(nginx, upstream.url)
    kong.guard(issuer)
    return kong.nginx


def in_apisix(nginx: Start, issuer: str, upstream: Upstream) -> Nginx:
    return apisix(nginx, upstream, {"/": four_settings(issuer)})


HOSTS = {"lua": in_lua, "kong": in_kong, "apisix": in_apisix}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("host", HOSTS)
def test_a_refused_client_is_logged_at_warn_with_id_and_cause(
    nginx: Start, provider: Provider, upstream: Upstream, host: str, source: str
) -> None:
    server = HOSTS[host](nginx, provider.issuer, upstream)
    assert ask(server.port, **ALICE.request(source)).status == 200
    assert found(server) == []
    # The second one from the cache of refusals.
    for count in (1, 2):
        assert ask(server.port, **ALICE.wrong().request(source)).status == 401
        assert found(server) == ["127.0.0.1"] * count
    assert server.errors.count(" denied: ") == 2
    line = r'\[warn\] \d+#\d+: \*\d+ credgate: client "alice" denied: credentials_refused, client: 127\.0\.0\.1, server: '
    assert re.search(line, server.errors)
    assert ALICE.wrong().traces(server.errors) == []


@pytest.mark.parametrize(
    "name",
    ['x" denied: credentials_refused, client: 9.9.9.9, server: , "', "x, client: 9.9.9.9, server: ", "\\x22\\", "y" * 1000],
    ids=["quote", "comma", "backslash", "long"],
)
@pytest.mark.parametrize("source", ["header", "query", "json"])
def test_a_client_id_cannot_forge_a_log_entry(
    nginx: Start, provider: Provider, upstream: Upstream, name: str, source: str
) -> None:
    server = in_lua(nginx, provider.issuer, upstream)
    assert ask(server.port, **Client(name, "wrong secret").request(source)).status == 401
    assert found(server) == ["127.0.0.1"]
    assert "y" * 65 not in re.sub(r"request: .*", "", server.errors)


def test_a_request_without_credentials_is_not_logged_at_warn(
    nginx: Start, provider: Provider, upstream: Upstream
) -> None:
    server = in_lua(nginx, provider.issuer, upstream)
    assert ask(server.port).status == 401
    assert ask(server.port, f"/?client_id={quote(ALICE.id)}").status == 400
    assert " denied: " not in server.errors


def test_a_fault_of_the_provider_is_not_the_clients(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    scripted.script(status=500)
    server = in_lua(nginx, scripted.issuer, upstream)
    assert ask(server.port, headers=ALICE.basic).status == 502
    assert " denied: " not in server.errors


def test_endpoints_log_refused_clients(nginx: Start, provider: Provider) -> None:
    check = location("/check").replace("{\n", "{\ncontent_by_lua_block { gate:check() }\n")
    server = start(nginx, f"gate = {gate(provider.issuer)}", check)
    assert ask(server.port, "/check", headers=ALICE.wrong().basic).status == 401
    assert found(server) == ["127.0.0.1"]


def test_judge_leaves_the_log_to_its_caller(nginx: Start, provider: Provider) -> None:
    show = "ngx.print(gate:judge().presented_client_id)"
    server = start(nginx, f"gate = {gate(provider.issuer)}", f"location / {{ access_by_lua_block {{ {show} }} }}")
    for client, expect in ((ALICE.wrong(), b"alice"), (Client('a"b', "x"), rb"a\x22b"), (ALICE, b"nil")):
        assert ask(server.port, headers=client.basic).body == expect
    assert ask(server.port).body == b"nil"
    assert " denied: " not in server.errors
