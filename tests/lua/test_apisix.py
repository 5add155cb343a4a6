"""The plugin of Apache APISIX, with a stand-in for APISIX (tests/support/apisix)."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import ALICE, BOB
from support.apisix_gateway import apisix
from support.examples import blocks
from support.gateway import four_settings
from support.http import SOURCES, Answer, ask
from support.lab import Authority, Provider, Scripted, Upstream, bearer
from support.nginx import Nginx
from support.process import ROOT, free_port, until

Start = Callable[..., Nginx]

LUA = ROOT / "ffi/lua"
README = (LUA / "APISIX.md").read_text()

def post(server: Nginx, path: str, value: Any) -> Answer:
    return ask(server.port, path, method="POST", body=json.dumps(value), headers={"Content-Type": "text/plain"})


@pytest.fixture
def settings(provider: Provider) -> dict[str, Any]:
    return four_settings(provider.issuer)


LOOK = "before = standin.look"


@pytest.mark.parametrize("source", SOURCES)
def test_upstream_gets_the_token_and_no_log_a_secret(
    nginx: Start, upstream: Upstream, settings: dict[str, Any], source: str
) -> None:
    server = apisix(nginx, upstream, {"/": settings}, LOOK)
    for _ in range(2):
        answer = ask(server.port, **ALICE.request(source, "/orders?a=b" if source == "header" else "/orders"))
        assert answer.status == 200
        token = bearer(answer.json())
    until(lambda: server.logs.count(b"logged: ") == 2, "the log of both requests", 10)
    assert ALICE.traces(answer.body) == ALICE.traces(server.logs) == []
    assert token.encode() not in server.logs


@pytest.mark.parametrize("source", SOURCES)
def test_wrong_secret_is_denied(nginx: Start, upstream: Upstream, settings: dict[str, Any], source: str) -> None:
    server = apisix(nginx, upstream, {"/": settings}, LOOK)
    wrong = ALICE.wrong()
    answer = ask(server.port, **wrong.request(source))
    assert (answer.status, answer.json()) == (401, {"message": "Unauthorized"})
    assert answer.header("WWW-Authenticate")
    assert answer.header("Content-Type") == "application/json; charset=utf-8"
    until(lambda: b"logged: " in server.logs, "the log", 10)
    assert wrong.traces(server.logs) == [] and not upstream.last


def test_request_without_credentials_is_challenged(nginx: Start, upstream: Upstream, settings: dict[str, Any]) -> None:
    answer = ask(apisix(nginx, upstream, {"/": settings}).port)
    assert (answer.status, answer.header("WWW-Authenticate") is None) == (401, False)


@pytest.mark.parametrize("when", ["before", "after"])
def test_plugin_that_builds_the_uri_sees_no_secret(
    nginx: Start, upstream: Upstream, settings: dict[str, Any], when: str
) -> None:
    server = apisix(nginx, upstream, {"/": settings}, f"{when} = standin.rewrite_uri")
    for query, left in (("", ""), ("a=b&", "?a=b")):
        assert ask(server.port, f"/orders?{query}{ALICE.parameters}").status == 200
        target = upstream.last["line"].split()[1]
        assert target == "/rewritten" + left or (when == "after" and target == "/rewritten?" + left[1:])
    until(lambda: server.logs.count(b"logged: ") == 2, "the log of both requests", 10)
    assert ALICE.traces(server.logs) == []


def test_schema_errors_name_the_field(nginx: Start, upstream: Upstream, settings: dict[str, Any]) -> None:
    server = apisix(nginx, upstream, {"/": settings})
    assert post(server, "/check_schema", {**settings, "_meta": {"disable": False}}).body == b"valid\n"
    for conf, field in (({}, "issuer"), ({**settings, "scope": "a"}, "scope"), ({**settings, "timeout": -1}, "timeout")):
        assert post(server, "/check_schema", conf).body.decode().startswith(f"{field}: ")


def test_settings_that_apisix_adds_are_judged(nginx: Start, upstream: Upstream, settings: dict[str, Any]) -> None:
    server = apisix(nginx, upstream, {"/": settings})
    answer = post(server, "/check_schema", {**settings, "_meta": {"disable": "yes"}})
    assert answer.body.startswith(b'property "_meta" validation failed: ')


def test_routes_have_gates_of_their_own(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    own = {"/a": four_settings(provider.issuer), "/b": four_settings(provider.issuer, scopes_required=["none"])}
    server = apisix(nginx, upstream, own)
    assert ask(server.port, "/a", headers=ALICE.basic).status == 200
    assert ask(server.port, "/b", headers=ALICE.basic).status == 403


def test_equal_configuration_keeps_its_tokens(
    nginx: Start, provider: Provider, upstream: Upstream, settings: dict[str, Any]
) -> None:
    server = apisix(nginx, upstream, {"/": settings})
    assert ask(server.port, headers=ALICE.basic).status == 200
    post(server, "/change", {"routes": {"/": {**settings, "_meta": {"priority": 1}}}})
    assert ask(server.port, headers=ALICE.basic).status == 200
    assert provider.count["token"] == 1
    post(server, "/change", {"routes": {"/": {**settings, "scopes_required": ["none"]}}})
    assert ask(server.port, headers=ALICE.basic).status == 403


def test_references_are_resolved_at_each_request(
    nginx: Start, provider: Provider, upstream: Upstream, settings: dict[str, Any]
) -> None:
    own = {**settings, "client_id": ALICE.id, "client_secret": "$secret://vault/alice"}
    server = apisix(nginx, upstream, {"/": own})
    answer = ask(server.port)
    assert (answer.status, provider.count["token"]) == (500, 0)
    assert b"a reference to a secret cannot be resolved" in server.logs
    post(server, "/change", {"secrets": {"vault/alice": ALICE.secret}})
    assert ask(server.port).status == 200
    post(server, "/change", {"secrets": {"vault/alice": BOB.secret}})
    assert ask(server.port).status >= 400
    assert ALICE.traces(server.logs) == []


def test_token_that_the_upstream_refuses_is_dropped(nginx: Start, scripted: Scripted) -> None:
    port = free_port()
    http = f"server {{ listen 127.0.0.1:{port}; return 401; }}\n"
    server = apisix(nginx, f"http://127.0.0.1:{port}", {"/": four_settings(scripted.issuer)}, http=http)

    def dropped() -> bool:
        assert ask(server.port, headers=ALICE.basic).status == 401
        return b"dropped the token, because the upstream returned 401" in server.logs

    assert not dropped()
    # The library keeps a refused token for ten seconds.
    until(dropped, "the end of the token", 20)


def test_documented_route_works(
    nginx: Start, tls_provider: Provider, upstream: Upstream, authority: Authority
) -> None:
    (text,) = blocks("json", README)
    route = json.loads(text.replace("https://tenant.auth0.com", tls_provider.issuer))
    conf = route["plugins"]["credgate"] | {"ssl_trusted_certificate": str(authority.ca)}
    server = apisix(nginx, upstream, {"/": conf})
    assert ask(server.port, headers=ALICE.basic).status == 200
    assert bearer(upstream.last)


def test_documented_engine_options_are_options(nginx: Start, upstream: Upstream, settings: dict[str, Any]) -> None:
    _, engine = blocks("yaml", README)
    (store,) = re.findall(r'store: (".*")', engine)
    server = apisix(nginx, upstream, {"/": settings}, init=f"plugin_attr = {{ credgate = {{ store = {store} }} }}")
    assert ask(server.port).status == 401
    assert b"plugin_attr" not in server.logs


def test_rock_installs_the_plugin(tmp_path: Path) -> None:
    tree = tmp_path / "lua"
    shutil.copytree(LUA, tree)
    command = ["luarocks", "--lua-version", "5.1", "make", "--deps-mode", "none", "--tree", tmp_path / "rocks"]
    made = subprocess.run(
        [*command, "apisix-plugin-credgate-0.1.0-1.rockspec"], cwd=tree, capture_output=True, text=True, timeout=120
    )
    assert made.returncode == 0, made.stdout + made.stderr
    assert (tmp_path / "rocks/share/lua/5.1/apisix/plugins/credgate.lua").is_file()


@pytest.mark.parametrize("source", ["header", "query"])
def test_request_without_a_gate_leaves_no_secret_in_a_log(
    nginx: Start, upstream: Upstream, settings: dict[str, Any], source: str
) -> None:
    own = {**settings, "client_id": "a", "client_secret": "$env://NONE"}
    server = apisix(nginx, upstream, {"/": own}, LOOK)
    assert ask(server.port, **ALICE.request(source)).status == 500
    until(lambda: b"logged: " in server.logs, "the log", 10)
    assert ALICE.traces(server.logs) == []


def test_engine_options_come_from_plugin_attr(nginx: Start, upstream: Upstream, settings: dict[str, Any]) -> None:
    server = apisix(nginx, upstream, {"/": settings}, init="plugin_attr = { credgate = { cache_max_entries = -1 } }")
    text = b"plugin_attr or CREDGATE_ENGINE: engine options: cache_max_entries: "
    until(lambda: text in server.logs, "the error", 10)
