"""`credgate_token`: a token endpoint that answers from the cache."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path

import jwt
import pytest
from conftest import ALICE, BOB
from support.endpoints import (
    GRANT,
    TOKEN_REQUESTS,
    endpoints,
    replay_token_requests,
    token_request,
)
from support.h2 import H2Connection
from support.http import FORM, Connection, ask
from support.lab import Provider, Scripted, Upstream, bearer
from support.nginx import STATUS, Nginx, gate, guarded, location
from support.process import until
from support.replay import asker, paths

Start = Callable[..., Nginx]


def endpoint(issuer: str, *more: str, path: str = "= /token") -> str:
    """The location of a token endpoint, whose gate is on without `credgate on`."""
    return location(path, *gate(issuer)[1:], "credgate_token", STATUS, *more)


@pytest.fixture
def server(nginx: Start, provider: Provider, upstream: Upstream) -> Nginx:
    return nginx(endpoint(provider.issuer) + guarded(upstream.url, provider.issuer))


def test_vectors(nginx: Start, scripted: Scripted, tmp_path: Path) -> None:
    places = paths(TOKEN_REQUESTS)
    server = "client_max_body_size 1m;\n" + endpoints(tmp_path, places, scripted.issuer, "credgate_token")
    replay_token_requests(asker(nginx(server).port, places), scripted)


def test_a_thousand_requests_of_a_client_are_one_exchange(server: Nginx, provider: Provider) -> None:
    connection = Connection(server.port)
    tokens = set()
    for number in range(1000):
        headers = {**ALICE.basic, **FORM}
        answer = connection.ask("/token", method="POST", headers=headers, body=GRANT)
        assert answer.status == 200, answer
        assert answer.header("X-Credgate-Status") == ("HIT" if number else "MISS")
        tokens.add(answer.json()["access_token"])
    connection.close()
    assert len(tokens) == 1
    assert provider.count["token"] == 1


def test_the_token_is_the_one_that_the_gate_forwards(server: Nginx, provider: Provider) -> None:
    answer = token_request(server.port, ALICE)
    assert answer.header("Content-Type") == "application/json; charset=utf-8"
    response = answer.json()
    assert response["token_type"] == "Bearer"
    forwarded = ask(server.port, headers=ALICE.basic)
    assert forwarded.header("X-Credgate-Status") == "HIT"
    assert bearer(forwarded.json()) == response["access_token"]
    claims = jwt.decode(response["access_token"], options={"verify_signature": False})
    assert 0 <= response["expires_in"] <= claims["exp"] - time.time() + 1
    assert provider.count["token"] == 1


def test_a_token_without_a_lifetime_has_no_expires_in(nginx: Start, scripted: Scripted) -> None:
    scripted.script(json={"access_token": "t", "token_type": "Bearer"})
    server = nginx(endpoint(scripted.issuer))
    for _ in range(2):
        assert "expires_in" not in token_request(server.port, ALICE).json()
    assert scripted.state["token"] == 1


def test_a_wrong_secret_is_an_invalid_client(server: Nginx) -> None:
    answer = token_request(server.port, ALICE.wrong())
    assert (answer.status, answer.json()["error"]) == (401, "invalid_client")
    assert answer.all("WWW-Authenticate") == ['Basic realm="127.0.0.1", charset="UTF-8"']
    assert answer.all("Cache-Control") == ["no-store"]


def test_a_failing_provider_is_a_server_error(nginx: Start, scripted: Scripted) -> None:
    scripted.script(status=500, body="")
    answer = token_request(nginx(endpoint(scripted.issuer)).port, ALICE)
    assert (answer.status, answer.json()["error"]) == (502, "server_error")
    assert answer.header("Retry-After")


def pieces(text: str) -> Iterable[bytes]:
    for character in text:
        yield character.encode()


def test_a_body_may_be_chunked(server: Nginx, provider: Provider) -> None:
    body = f"{GRANT}&{ALICE.parameters}"
    headers = {**FORM, "Transfer-Encoding": "chunked"}
    connection = Connection(server.port)
    for _ in range(2):
        answer = connection.ask("/token", method="POST", headers=headers, body=pieces(body))
        assert answer.status == 200, answer
    connection.close()
    assert provider.count["token"] == 1


def test_http_2(server: Nginx, provider: Provider) -> None:
    connection = H2Connection(server.h2_port)
    for headers, body in [(ALICE.basic, GRANT), ({}, f"{GRANT}&{ALICE.parameters}")]:
        for told in (True, False):
            answer = connection.receive(
                connection.send("/token", method="POST", headers={**FORM, **headers}, body=body, told=told)
            )
            assert answer.status == 200 and answer.json()["access_token"], answer
    connection.close()
    assert provider.count["token"] == 1


def test_modules_of_the_access_phase_guard_it(nginx: Start, provider: Provider) -> None:
    server = nginx(
        endpoint(provider.issuer, "deny all") + endpoint(provider.issuer, "limit_req zone=one", path="= /limited"),
        http="limit_req_zone $binary_remote_addr zone=one:1m rate=1r/m;",
    )
    assert token_request(server.port, ALICE).status == 403
    assert provider.count["token"] == 0
    statuses = [token_request(server.port, ALICE, target="/limited").status for _ in range(2)]
    assert statuses == [200, 503]


def test_satisfy_any_does_not_open_it(nginx: Start, provider: Provider) -> None:
    server = nginx(endpoint(provider.issuer, "satisfy any", "allow all"))
    assert token_request(server.port, ALICE).status == 200
    answer = token_request(server.port, ALICE.wrong())
    assert (answer.status, answer.json()["error"]) == (401, "invalid_client")


def test_a_provider_block_configures_it(nginx: Start, provider: Provider) -> None:
    settings = "".join(f"{directive.removeprefix('credgate_')};\n" for directive in gate(provider.issuer)[1:])
    http = f"credgate_provider one {{ {settings} }}\nmap $http_x_tenant $tenant {{ default none; one one; }}"
    server = nginx(location("= /token", "credgate_provider $tenant", "credgate_token"), http=http)
    headers = {**ALICE.basic, **FORM}
    answer = ask(server.port, "/token", method="POST", headers={**headers, "X-Tenant": "one"}, body=GRANT)
    assert answer.status == 200, answer
    answer = ask(server.port, "/token", method="POST", headers=headers, body=GRANT)
    assert (answer.status, answer.json()["error"]) == (500, "server_error")


def test_a_mirror_gets_no_credentials(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    server = nginx(
        endpoint(provider.issuer, "mirror /mirror")
        + location("= /mirror", "internal", f"proxy_pass {upstream.url}/mirror?")
    )
    assert token_request(server.port, ALICE).status == 200
    answer = ask(server.port, "/token", method="POST", headers=FORM, body=f"{GRANT}&{BOB.parameters}")
    assert answer.status == 200
    until(lambda: len(upstream.seen) == 2, "the mirrored requests")
    for seen in upstream.seen:
        assert ALICE.traces(seen["raw"]) == [] and BOB.traces(seen["raw"]) == []


def test_a_secret_is_in_no_log(nginx: Start, provider: Provider) -> None:
    line = "log_format all '$request $args $request_body $http_authorization $credgate_presented_client_id';"
    server = nginx(endpoint(provider.issuer, "access_log all.log all"), http=line)
    for client in (ALICE, BOB.wrong()):
        token_request(server.port, client)
        ask(server.port, "/token", method="POST", headers=FORM, body=f"{GRANT}&{client.parameters}")
        ask(server.port, f"/token?{client.parameters}", method="POST", headers=FORM, body=GRANT)
        ask(server.port, f"/token?{client.parameters}")
    token = token_request(server.port, ALICE).json()["access_token"]
    until(lambda: (server.directory / "all.log").read_bytes().count(b"\n") == 9, "the log")
    log = (server.directory / "all.log").read_bytes()
    for client in (ALICE, BOB.wrong()):
        assert client.traces(log, server.logs) == []
    assert b"client_secret=*" in log and token.encode() not in log


def test_concurrent_requests_wait_for_one_exchange(nginx: Start, scripted: Scripted) -> None:
    scripted.hold()
    server = nginx(endpoint(scripted.issuer))
    connections = [Connection(server.port) for _ in range(20)]
    for connection in connections:
        connection.send("/token", method="POST", headers=FORM, body=f"{GRANT}&{ALICE.parameters}")
    until(lambda: scripted.state["waiting"] == 1 and server.busy == 20, "the waiting requests")
    # One leaves.
    connections.pop().close()
    scripted.release()
    assert {connection.receive().status for connection in connections} == {200}
    assert scripted.state["token"] == 1
    for connection in connections:
        connection.close()


@pytest.mark.parametrize("mode", ["off", "optional", "dry_run"])
def test_another_mode_is_refused(nginx: Start, provider: Provider, mode: str) -> None:
    server = Nginx(nginx("").directory.parent / "wrong", endpoint(provider.issuer, f"credgate {mode}"))
    assert 'credgate: "credgate_token" needs "credgate on", which is its default' in server.check().stderr


@pytest.mark.parametrize("mode", ["off", "optional", "dry_run"])
def test_another_mode_is_not_inherited(nginx: Start, provider: Provider, mode: str) -> None:
    server = nginx(
        f"credgate {mode};\n"
        + "".join(f"{one};\n" for one in gate(provider.issuer)[1:])
        + location("= /token", "credgate_token")
    )
    assert token_request(server.port, ALICE).status == 200
    assert token_request(server.port, ALICE.wrong()).status == 401


def test_mistakes_are_found_when_the_configuration_is_read(tmp_path: Path, provider: Provider) -> None:
    for number, (text, words) in enumerate(
        [
            (endpoint(provider.issuer, "credgate_check"), "is duplicate, or beside the other one"),
            (
                endpoint(provider.issuer, "proxy_pass http://127.0.0.1:1"),
                "cannot be combined with another directive that provides the content",
            ),
            (location("/", "credgate_token"), 'no "credgate_issuer"'),
            (
                endpoint(provider.issuer, "credgate_auth_methods bearer", "credgate_audience_required a"),
                '"client_credentials" for a token endpoint',
            ),
        ]
    ):
        said = Nginx(tmp_path / str(number), text).check().stderr
        assert words in said, said
