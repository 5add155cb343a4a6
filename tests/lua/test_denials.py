"""Denials: the response, and no secret in logs, error pages and other modules."""

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import ALICE, BOB
from support.h2 import H2Connection
from support.http import FORM, SOURCES, Connection, ask
from support.lab import Provider, Scripted, Upstream, bearer, values_of
from support.nginx import Nginx, location
from support.openresty import ROUTES, gate, guarded, start
from support.process import free_port, until

Start = Callable[..., Nginx]

EXIT = "on_denied = function(denial) return ngx.exit(denial.http_status) end"


def degraded(upstream: Upstream) -> tuple[str, str]:
    """Returns an `error_page` for denials, and its location, which proxies without a gate."""
    return "error_page 400 401 502 504 = @degraded", location("@degraded", f"proxy_pass {upstream.url}")


def test_on_denied_sends_its_own_response(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    options = """on_denied = function(denial)
        ngx.header["Content-Type"] = "text/plain"
        ngx.print(denial.cause, " ", denial.http_status, " ", denial.cache_status, " ", tostring(denial.allowed))
        return ngx.exit(denial.http_status)
    end"""
    server = start(nginx, f"gate = {gate(scripted.issuer)}", guarded(upstream.url, options))
    answer = ask(server.port, headers=ALICE.wrong().basic)
    assert (answer.status, answer.body) == (401, b"credentials_refused 401 MISS false")
    assert answer.header("WWW-Authenticate")
    answer = ask(server.port)
    assert (answer.status, answer.body) == (401, b"no_credentials 401 NONE false")


def test_on_denied_can_exit_to_an_error_page(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    page = location("= /denied", 'return 401 "a page"')
    server = start(
        nginx, f"gate = {gate(scripted.issuer)}", guarded(upstream.url, EXIT, "error_page 401 /denied") + page
    )
    answer = ask(server.port)
    assert (answer.status, answer.body) == (401, b"a page")
    assert answer.header("WWW-Authenticate")


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("route", ROUTES)
def test_proxying_error_page_gets_no_secret_if_the_provider_is_down(
    nginx: Start, upstream: Upstream, route: str, source: str
) -> None:
    page, place = degraded(upstream)
    issuer = f"http://127.0.0.1:{free_port()}"
    server = start(nginx, f"gate = {gate(issuer)}", guarded(upstream.url, EXIT, page, route=route) + place)
    assert ask(server.port, **ALICE.request(source)).status == 200, "the error page"
    assert values_of(upstream.last, "authorization") == []
    if source != "header":
        assert "keep" in upstream.last["line"] + upstream.last["body"], "the rest is unchanged"
    connection = H2Connection(server.h2_port)
    assert connection.ask(**ALICE.request(source)).status == 200
    connection.close()
    assert not ALICE.traces(server.logs, json.dumps(upstream.seen))


@pytest.mark.parametrize("source", SOURCES)
def test_proxying_error_page_gets_no_refused_secret(
    nginx: Start, provider: Provider, upstream: Upstream, source: str
) -> None:
    page, place = degraded(upstream)
    server = start(nginx, f"gate = {gate(provider.issuer)}", guarded(upstream.url, EXIT, page) + place)
    assert ask(server.port, **ALICE.wrong().request(source)).status == 200
    twice = BOB.request(source, f"/?{BOB.parameters}&keep=1" if source != "query" else "/")
    twice["headers"] = {**twice.get("headers", {}), **BOB.basic}
    assert ask(server.port, **twice).status == 200, "credentials in two places, denied with 400"
    assert len(upstream.seen) == 2
    for client in (ALICE.wrong(), BOB):
        assert not client.traces(server.logs, json.dumps(upstream.seen))


def test_proxying_error_page_gets_no_secret_after_the_deadline(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    scripted.hold()
    page, place = degraded(upstream)
    server = start(nginx, f"gate = {gate(scripted.issuer, timeout=300)}", guarded(upstream.url, EXIT, page) + place)
    for source in SOURCES:
        assert ask(server.port, **ALICE.request(source)).status == 200
    assert len(upstream.seen) == len(SOURCES)
    assert not ALICE.traces(server.logs, json.dumps(upstream.seen))


def test_default_denial_ignores_error_page(nginx: Start, upstream: Upstream) -> None:
    page, place = degraded(upstream)
    issuer = f"http://127.0.0.1:{free_port()}"
    server = start(nginx, f"gate = {gate(issuer)}", guarded(upstream.url, "", page) + place)
    assert ask(server.port, headers=ALICE.basic).status == 502
    assert not upstream.last


@pytest.mark.parametrize("source", SOURCES)
def test_client_abort_during_a_wait_logs_no_secret(
    nginx: Start, scripted: Scripted, upstream: Upstream, source: str
) -> None:
    scripted.hold()
    server = start(nginx, f"gate = {gate(scripted.issuer)}", guarded(upstream.url, "", "lua_check_client_abort on"))
    leaving = Connection(server.port)
    leaving.send(**ALICE.request(source))
    until(lambda: scripted.state["waiting"] == 1, "the exchange")
    leaving.close()
    until(lambda: server.busy == 0, "the end of the request")
    assert b'" 499 ' in server.logs
    assert not ALICE.traces(server.logs)


def test_client_abort_before_the_body_logs_no_secret(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    server = start(nginx, f"gate = {gate(provider.issuer)}", guarded(upstream.url))
    head = f"POST /?{ALICE.parameters}&keep=1 HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM['Content-Type']}\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as leaving:
        leaving.sendall(f"{head}Content-Length: 100\r\n\r\nkeep".encode())
        until(lambda: server.busy == 1, "the request")
    until(lambda: server.busy == 0, "the end of the request")
    assert b"POST /?client_id=alice&client_secret=***" in server.logs
    assert not ALICE.traces(server.logs)
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as slow:
        slow.sendall(f"{head}Content-Length: 7\r\n\r\n".encode())
        until(lambda: server.busy == 1, "the request")
        assert ask(server.port, method="POST", headers=FORM, body=BOB.parameters).header("X-Client") == "bob"
        slow.sendall(b"body=ab")
        assert slow.recv(12) == b"HTTP/1.1 200"
    assert (upstream.last["line"].split()[1], upstream.last["body"]) == ("/?keep=1", "body=ab")
    assert not ALICE.traces(server.logs, json.dumps(upstream.seen))


@pytest.fixture
def people(tmp_path: Path) -> list[str]:
    """Directives that allow BOB by `auth_basic` as well as the clients of a gate."""
    file = tmp_path / "people"
    file.write_text(f"{BOB.id}:{{PLAIN}}{BOB.secret}\n")
    return ["satisfy any", "auth_basic people", f"auth_basic_user_file {file}"]


@pytest.mark.parametrize("gate_runs", ["first", "last"])
def test_keep_authorization_lets_auth_basic_check_the_header(
    nginx: Start, scripted: Scripted, upstream: Upstream, people: list[str], gate_runs: str
) -> None:
    order = "access_by_lua_no_postpone on;\n" if gate_runs == "first" else ""
    scripted.script(status=401, body='{"error": "invalid_client"}')
    options = f"keep_authorization = true, {EXIT}"
    server = start(nginx, f"gate = {gate(scripted.issuer)}", guarded(upstream.url, options, *people), http=order)
    assert ask(server.port, headers=BOB.basic).status == 200
    assert values_of(upstream.last, "authorization") == []
    # One request with each of the two authentication methods.
    assert scripted.state["token"] == (2 if gate_runs == "first" else 0)
    assert ask(server.port, headers=BOB.wrong().basic).status == 401
    scripted.reset()
    assert ask(server.port, headers=ALICE.basic).header("X-Credgate-Status") == "MISS"
    assert bearer(upstream.last)
    assert not ALICE.traces(server.logs, json.dumps(upstream.seen))


def test_authorization_stays_with_keep_authorization_only(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    other = """on_denied = function(denial)
        if ngx.var.http_authorization ~= "Key 42" then return ngx.exit(denial.http_status) end
    end"""
    places = guarded(upstream.url, f"keep_authorization = true, {other}", path="/kept") + guarded(upstream.url, other)
    server = start(nginx, f"gate = {gate(scripted.issuer)}", places)
    key = {"Authorization": "Key 42"}
    assert ask(server.port, "/kept", headers=key).status == 200
    assert ask(server.port, "/", headers=key).status == 401
    assert ask(server.port, "/kept", headers={"Authorization": "Key 43"}).status == 401


def test_keep_authorization_ignores_5xx_and_anonymous_requests(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    page, place = degraded(upstream)
    options = f"keep_authorization = true, {EXIT}"
    down = gate(f"http://127.0.0.1:{free_port()}")
    places = guarded(upstream.url, options, page, path="/down", called="down") + place
    places += guarded(upstream.url, options, route="header")
    server = start(nginx, f"down = {down} gate = {gate(scripted.issuer, anonymous=True)}", places)
    for path, client in (("/down", ALICE), ("/", ALICE.wrong())):
        assert ask(server.port, path, headers=client.basic).status == 200
        assert values_of(upstream.last, "authorization") == []
        assert not client.traces(server.logs, json.dumps(upstream.seen))
