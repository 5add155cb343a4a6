"""Credentials that the gateway or the caller supplies, in Lua."""

from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import ALICE
from support.http import FORM, ask
from support.lab import Provider, Scripted, Upstream, bearer, values_of
from support.nginx import Nginx, location
from support.openresty import ROUTES, gate, guarded, lua, start

Start = Callable[..., Nginx]


def own(issuer: str, file: Path, **more: str) -> str:
    return f'gate = {gate(issuer, client_id="alice", client_secret_file=str(file), **more)}'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "gateway.secret"
    file.write_text(f"{ALICE.secret}\n")
    return file


@pytest.mark.parametrize("route", ROUTES)
def test_a_request_without_credentials_gets_the_gateways_token(
    nginx: Start, provider: Provider, upstream: Upstream, file: Path, route: str
) -> None:
    server = start(nginx, own(provider.issuer, file), guarded(upstream.url, route=route))
    for status in ("MISS", "HIT"):
        answer = ask(server.port, headers={"Authorization": "Basic %"})
        assert (answer.status, answer.header("X-Credgate-Status"), answer.header("X-Client")) == (200, status, "alice")
        assert bearer(upstream.last)
    assert provider.count["by_client"] == {"alice": 1}
    assert "client_id is set: every request gets a token" in server.errors
    assert ALICE.traces(upstream.last["raw"], server.logs) == []


def test_the_clients_own_parameters_pass_unchanged(
    nginx: Start, scripted: Scripted, upstream: Upstream, file: Path
) -> None:
    init = own(scripted.issuer, file, upstream_access_token_header="x-token")
    server = start(nginx, init, guarded(upstream.url, route="header"))
    query, body = "client_id=app&client_id=twice", "client_id=b&x=1"
    headers = FORM | {"Authorization": "Basic YXBwOnB3"}
    assert ask(server.port, f"/?{query}", method="POST", headers=headers, body=body).status == 200
    assert upstream.last["line"].split()[1] == f"/?{query}" and upstream.last["body"] == body
    assert values_of(upstream.last, "authorization") == ["Basic YXBwOnB3"]
    assert values_of(upstream.last, "x-token") == ["token-of-alice"]


def test_the_callers_credentials_are_exchanged(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    init = f"""gate = {gate(provider.issuer, client_credentials_param_type="host")}
        secrets = {{ alice = {lua(ALICE.secret)} }}"""
    options = "client_id = ngx.var.http_x_client, client_secret = secrets[ngx.var.http_x_client or 0]"
    server = start(nginx, init, guarded(upstream.url, options))
    assert ask(server.port, headers={"X-Client": "alice"} | ALICE.wrong().basic).status == 200
    assert bearer(upstream.last)
    upstream.reset()
    for headers in ({"X-Client": "bob"}, {}, ALICE.basic):
        assert ask(server.port, f"/?{ALICE.parameters}", headers=headers).status == 401
    assert not upstream.last


def test_authenticate_and_token_take_them_too(nginx: Start, scripted: Scripted, file: Path) -> None:
    init = f"""gate = {gate(scripted.issuer, client_credentials_param_type="host")}
        mine = {gate(scripted.issuer, client_id="alice", client_secret_file=str(file))}"""
    show = """content_by_lua_block {
        local function is(...) ngx.say(...) end
        local outcome = gate:authenticate { client_id = "bob", client_secret = "s" }
        is(outcome.client_id, " ", outcome.source)
        is(gate:authenticate({ client_id = "bob" }).cause)
        is(gate:authenticate({}).cause)
        is((mine:token()))
        is(select(2, mine:token()).client_id)
        is((gate:token()))
        is(pcall(gate.token, gate, "bob"))
        is(pcall(gate.authenticate, gate, { client_id = 1 }))
    }"""
    server = start(nginx, init, location("/").replace("{\n", "{\n" + show + "\n"))
    lines = ask(server.port).body.decode().splitlines()
    assert lines[:2] == ["bob host", "empty_credential"]
    assert lines[2] == "no_credentials"
    assert lines[3:6] == ["token-of-alice", "alice", "nil"]
    assert all(line.startswith("false") and "must be strings" in line for line in lines[6:])
