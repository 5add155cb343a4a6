"""`gate:token_endpoint` and `gate:check`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ALICE, BOB
from support.endpoints import (
    CHECKS,
    GRANT,
    TOKEN_REQUESTS,
    replay_checks,
    replay_token_requests,
    token_request,
)
from support.http import FORM, Connection, ask
from support.lab import Provider, Scripted, Upstream, bearer
from support.nginx import Nginx, location
from support.openresty import gate, guarded, start
from support.process import until
from support.replay import Ask, asker, paths
from support.vectors import Vector

Start = Callable[..., Nginx]

REPORT = """on_denied = function(denial)
    ngx.header["X-Error"] = denial.cause
    ngx.header["Content-Length"] = #denial.body
    ngx.print(denial.body)
    return ngx.exit(denial.http_status)
end"""


def serving(path: str, call: str, *more: str) -> str:
    """A location whose content is a call of a gate."""
    return location(path, *more).replace("{\n", f"{{\n    content_by_lua_block {{ {call} }}\n", 1)


def replaying(start_nginx: Start, issuer: str, directory: Path, vectors: list[Vector], method: str) -> Ask:
    places = paths(vectors)
    init = ["gates = {}"]
    server = "large_client_header_buffers 8 64k;\nclient_max_body_size 1m;\n"
    for config, path in places.items():
        file = directory / f"{path[1:]}.json"
        own = {"issuer": issuer, "allow_loopback_http": True, "cache_tokens": False}
        file.write_text(json.dumps({**own, **json.loads(config)}))
        init.append(f'gates["{path}"] = assert(require("resty.credgate").new(io.open("{file}"):read("*a")))')
        server += serving(f"= {path}", f'gates["{path}"]:{method} {{ {REPORT} }}')
    return asker(start(start_nginx, "\n".join(init), server).port, places)


def test_vectors_of_token_requests(nginx: Start, scripted: Scripted, tmp_path: Path) -> None:
    replay_token_requests(replaying(nginx, scripted.issuer, tmp_path, TOKEN_REQUESTS, "token_endpoint"), scripted)


def test_vectors_of_checks(nginx: Start, scripted: Scripted, tmp_path: Path) -> None:
    replay_checks(replaying(nginx, scripted.issuer, tmp_path, CHECKS, "check"), scripted)


@pytest.fixture
def server(nginx: Start, provider: Provider, upstream: Upstream) -> Nginx:
    return start(
        nginx,
        f"gate = {gate(provider.issuer)}",
        serving("= /token", "gate:token_endpoint()")
        + serving("= /check", "gate:check()", "internal")
        + guarded(upstream.url)
        + location(
            "/asking",
            "auth_request /check",
            "auth_request_set $token $sent_http_authorization",
            "proxy_set_header Authorization $token",
            f"proxy_pass {upstream.url}",
        ),
    )


def test_a_thousand_requests_of_a_client_are_one_exchange(server: Nginx, provider: Provider) -> None:
    connection = Connection(server.port)
    tokens = set()
    for _ in range(1000):
        answer = connection.ask("/token", method="POST", headers={**ALICE.basic, **FORM}, body=GRANT)
        assert answer.status == 200, answer
        tokens.add(answer.json()["access_token"])
    connection.close()
    forwarded = ask(server.port, headers=ALICE.basic)
    assert forwarded.header("X-Credgate-Status") == "HIT"
    assert tokens == {bearer(forwarded.json())}
    assert provider.count["token"] == 1


def test_concurrent_requests_wait_for_one_exchange(nginx: Start, scripted: Scripted) -> None:
    scripted.hold()
    server = start(nginx, f"gate = {gate(scripted.issuer)}", serving("= /token", "gate:token_endpoint()"))
    connections = [Connection(server.port) for _ in range(20)]
    for connection in connections:
        connection.send("/token", method="POST", headers=FORM, body=f"{GRANT}&{ALICE.parameters}")
    until(lambda: scripted.state["waiting"] == 1 and server.busy == 20, "the waiting requests")
    scripted.release()
    assert {connection.receive().status for connection in connections} == {200}
    assert scripted.state["token"] == 1
    for connection in connections:
        connection.close()


def test_auth_request_decides_on_requests(server: Nginx, upstream: Upstream) -> None:
    answer = ask(server.port, "/asking", headers=ALICE.basic)
    assert answer.status == 200
    assert bearer(answer.json()) and ALICE.traces(answer.body) == []
    upstream.reset()
    for headers, status in [({}, 401), (ALICE.wrong().basic, 401), ({"Authorization": "Basic !"}, 403)]:
        assert ask(server.port, "/asking", headers=headers).status == status
    assert upstream.seen == []


def test_a_secret_is_in_no_log(server: Nginx) -> None:
    for client in (ALICE, BOB.wrong()):
        token_request(server.port, client)
        ask(server.port, "/token", method="POST", headers=FORM, body=f"{GRANT}&{client.parameters}")
        ask(server.port, f"/token?{client.parameters}", method="POST", headers=FORM, body=GRANT)
        ask(server.port, "/asking", headers=client.basic)
    until(lambda: server.access_log.read_bytes().count(b"\n") >= 8, "the log")
    for client in (ALICE, BOB.wrong()):
        assert client.traces(server.logs) == []


def test_the_host_sets_arguments(nginx: Start, scripted: Scripted) -> None:
    made: dict[str, Any] = {"token_post_args_host": ["tenant"]}
    call = "gate:token_endpoint { args = { tenant = ngx.var.http_x_tenant } }"
    server = start(nginx, f"gate = {gate(scripted.issuer, **made)}", serving("= /token", call))
    headers = {**ALICE.basic, **FORM, "X-Tenant": "t1"}
    answer = ask(server.port, "/token", method="POST", headers=headers, body=f"{GRANT}&tenant=forged")
    assert answer.status == 200
    assert scripted.state["last"]["form"]["tenant"] == "t1"


@pytest.mark.parametrize(
    "method, settings, words",
    [
        ("token_endpoint", {"auth_methods": ["bearer"], "audience_required": ["a"]}, "auth_methods: must contain"),
        ("check", {"client_credentials_param_type": ["query"]}, "client_credentials_param_type: must contain"),
    ],
)
def test_a_gate_that_does_not_fit_raises(
    nginx: Start, scripted: Scripted, method: str, settings: dict[str, Any], words: str
) -> None:
    server = start(nginx, f"gate = {gate(scripted.issuer, **settings)}", serving("/", f"gate:{method}()"))
    assert ask(server.port, headers=ALICE.basic).status == 500
    assert f"credgate: {words}" in server.errors


def test_a_check_exchanges_credentials_of_the_host(nginx: Start, scripted: Scripted) -> None:
    made = {"client_credentials_param_type": ["host"]}
    call = "gate:check { client_id = ngx.var.http_x_id, client_secret = ngx.var.http_x_secret }"
    server = start(nginx, f"gate = {gate(scripted.issuer, **made)}", serving("= /check", call))
    answer = ask(server.port, "/check", headers={"X-Id": "alice", "X-Secret": "s3cret"})
    assert (answer.status, answer.header("Authorization")) == (200, "Bearer token-of-alice")
    assert ask(server.port, "/check", headers=ALICE.basic).status == 401
