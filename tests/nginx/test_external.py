"""`credgate_check`: other proxies ask about their requests."""

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ALICE, BOB
from support.endpoints import CHECKS, endpoints, replay_checks
from support.http import FORM, Connection, ask
from support.lab import Provider, Scripted, Upstream, bearer, values_of
from support.nginx import STATUS, Nginx, gate, location
from support.process import until
from support.replay import asker, paths

Start = Callable[..., Nginx]


def check(issuer: str, *more: str, path: str = "= /check") -> str:
    """The location that another proxy asks."""
    return location(path, *gate(issuer)[1:], "credgate_check", STATUS, *more)


def asking(upstream: str, issuer: str, *more: str) -> str:
    """An nginx that asks itself, as the recipe says."""
    return location(
        "/",
        "auth_request /check",
        "auth_request_set $token $sent_http_authorization",
        "auth_request_set $client $credgate_client_id",
        "add_header X-Client $client",
        "proxy_set_header Authorization $token",
        f"proxy_pass {upstream}",
    ) + check(issuer, "internal", *more)


def test_vectors(nginx: Start, scripted: Scripted, tmp_path: Path) -> None:
    places = paths(CHECKS)
    server = "large_client_header_buffers 8 64k;\n" + endpoints(tmp_path, places, scripted.issuer, "credgate_check")
    replay_checks(asker(nginx(server).port, places), scripted)


def test_auth_request_lets_the_right_clients_in(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    server = nginx(asking(upstream.url, provider.issuer))
    for _ in range(3):
        answer = ask(server.port, "/orders?keep=1", method="POST", headers={**ALICE.basic, **FORM}, body="keep=2")
        assert (answer.status, answer.header("X-Client")) == (200, ALICE.id), answer
        seen = answer.json()
        assert bearer(seen) and ALICE.traces(seen["raw"]) == []
        assert seen["body"] == "keep=2"
    assert provider.count["token"] == 1


def test_auth_request_keeps_the_wrong_ones_out(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    server = nginx(asking(upstream.url, provider.issuer, "credgate_clients_allowed alice"))
    for headers, status in [
        ({}, 401),
        (ALICE.wrong().basic, 401),
        ({"Authorization": "Bearer forged"}, 401),
        (BOB.basic, 403),
        ({"Authorization": "Basic !"}, 403),
    ]:
        answer = ask(server.port, headers=headers)
        assert answer.status == status, answer
        assert (answer.header("WWW-Authenticate") is not None) == (status == 401)
    assert ask(server.port, f"/?{ALICE.parameters}").status == 401
    assert upstream.seen == []


def test_auth_request_waits_for_an_exchange(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    scripted.hold()
    server = nginx(asking(upstream.url, scripted.issuer))
    connections = [Connection(server.port) for _ in range(10)]
    for connection in connections:
        connection.send(headers=ALICE.basic)
    until(lambda: scripted.state["waiting"] == 1 and server.busy == 10, "the waiting requests")
    connections.pop().close()
    scripted.release()
    assert {connection.receive().status for connection in connections} == {200}
    assert scripted.state["token"] == 1
    for connection in connections:
        connection.close()


def test_a_failing_provider_is_an_error_of_the_server(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    scripted.script(status=500, body="")
    server = nginx(asking(upstream.url, scripted.issuer))
    assert ask(server.port, headers=ALICE.basic).status == 500
    assert upstream.seen == []


def test_a_secret_is_in_no_log(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    line = "log_format all '$request $http_authorization $credgate_client_id $client';"
    server = nginx("access_log all.log all;\n" + asking(upstream.url, provider.issuer), http=line)
    token = bearer(ask(server.port, headers=ALICE.basic).json())
    until(lambda: (server.directory / "all.log").exists(), "the log")
    until(lambda: b"\n" in (server.directory / "all.log").read_bytes(), "its line")
    log = (server.directory / "all.log").read_bytes()
    assert ALICE.traces(log, server.logs) == [] and token.encode() not in log


def test_claims_of_the_token_are_in_the_response(nginx: Start, provider: Provider) -> None:
    names = ("credgate_upstream_header X-Client client_id", "credgate_upstream_header X-Team team")
    server = nginx(check(provider.issuer, *names))
    answer = ask(server.port, "/check", headers={**ALICE.basic, "X-Team": "forged"})
    assert (answer.status, answer.header("X-Client")) == (200, ALICE.id), answer
    assert answer.header("X-Team") is None
    assert answer.header("x-envoy-auth-headers-to-remove") == "x-team"


def test_a_token_in_another_header_removes_the_credentials(nginx: Start, provider: Provider) -> None:
    server = nginx(check(provider.issuer, "credgate_upstream_access_token_header X-Token"))
    answer = ask(server.port, "/check", headers=ALICE.basic)
    assert answer.header("X-Token") and answer.header("Authorization") is None
    assert answer.header("x-envoy-auth-headers-to-remove") == "authorization"


def test_optional_lets_clients_without_credentials_in(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    server = nginx(asking(upstream.url, provider.issuer, "credgate optional"))
    answer = ask(server.port)
    assert answer.status == 200 and values_of(answer.json(), "authorization") == []
    assert bearer(ask(server.port, headers=ALICE.basic).json())


def test_traefik_forward_auth(nginx: Start, provider: Provider) -> None:
    """Traefik asks with a GET, the client's headers, and the original request in X-Forwarded-*."""
    server = nginx(check(provider.issuer))
    forwarded = {
        "X-Forwarded-Method": "OPTIONS",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "api.example.com",
        "X-Forwarded-Uri": f"/orders?{BOB.parameters}",
        "X-Forwarded-For": "192.0.2.1",
    }
    answer = ask(server.port, "/check", headers={**forwarded, **ALICE.basic})
    assert (answer.status, answer.body) == (200, b"")
    assert (answer.header("Authorization") or "").startswith("Bearer ")
    answer = ask(server.port, "/check", headers=forwarded)
    assert answer.status == 401 and answer.header("Authorization") is None
    assert answer.header("WWW-Authenticate")


def test_a_forwarded_method_opens_nothing(nginx: Start, provider: Provider) -> None:
    server = nginx(check(provider.issuer, "credgate_run_on_preflight off"))
    assert ask(server.port, "/check", headers={"X-Forwarded-Method": "OPTIONS"}).status == 401
    # Envoy asks with the method of the request.
    assert ask(server.port, "/check", method="OPTIONS").status == 200


@pytest.mark.parametrize("mode", ["off", "dry_run"])
def test_another_mode_is_refused(tmp_path: Path, provider: Provider, mode: str) -> None:
    server = Nginx(tmp_path / "wrong", check(provider.issuer, f"credgate {mode}"))
    assert 'credgate: "credgate_check" needs "credgate on", which is its default' in server.check().stderr


def test_a_gate_without_a_header_is_refused(tmp_path: Path, provider: Provider) -> None:
    places = "credgate_client_credentials_param_type query body"
    said = Nginx(tmp_path / "wrong", check(provider.issuer, places)).check().stderr
    assert 'must contain "header" or "headers" for an external check' in said


def test_a_check_exchanges_the_credentials_that_variables_select(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    own = ("credgate_client_id $http_x_id", "credgate_client_secret $http_x_secret")
    server = nginx(asking(upstream.url, scripted.issuer, *own))
    answer = ask(server.port, headers={"X-Id": "alice", "X-Secret": "s3cret"})
    assert answer.status == 200 and bearer(answer.json()) == "token-of-alice"
    upstream.reset()
    assert ask(server.port, headers=ALICE.basic).status == 401
    assert upstream.seen == []


def test_a_token_endpoint_does_not_serve_the_token_of_the_gateway(tmp_path: Path, scripted: Scripted) -> None:
    own = ("credgate_client_id alice", "credgate_client_secret s3cret")
    said = Nginx(tmp_path / "wrong", location("/", *gate(scripted.issuer)[1:], *own, "credgate_token")).check().stderr
    assert '"credgate_client_id" directive must not be set for a token endpoint' in said, said
