"""Credentials in two headers that a gate names: accepted, hidden from the upstream, and kept out of logs and memory."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import ALICE
from support.h2 import H2Connection
from support.http import ask
from support.lab import Scripted, Upstream, values_of
from support.nginx import Nginx, gate, location
from support.process import free_port
from support.replay import ask_raw

Start = Callable[..., Nginx]

NAMES = ["credgate_client_id_header X-Client-Id", "credgate_client_secret_header X-Client-Secret"]
FORMAT = """log_format all escape=json '{"id":"$http_x_client_id","secret":"$http_x_client_secret","line":"$request",'
    '"copy":"$copy","client":"$credgate_client_id","cause":"$credgate_cause","uri":"$uri"}';
    map $http_x_client_secret $copy { default ""; "" none; }
    limit_req_zone $http_x_client_secret zone=early:1m rate=10000r/s;"""
SENT = {"X-Client-Id": ALICE.id, "X-Client-Secret": ALICE.secret}
WRONG = {**SENT, "X-Client-Secret": ALICE.wrong().secret}


@pytest.fixture
def servers(nginx: Start, scripted: Scripted, upstream: Upstream, tmp_path: Path) -> Nginx:
    """A server with a location for each way of a request, and logs of all that nginx can log."""
    on, proxied = gate(scripted.issuer, *NAMES), f"proxy_pass {upstream.url}"
    server = "limit_req zone=early burst=1000; log_subrequest on; error_page 401 = @denied;\n"
    for path, lines in {
        "/gated/": [*on, proxied],
        "/dry/": ["credgate dry_run", *on[1:], proxied],
        "/optional/": ["credgate optional", *on[1:], proxied],
        "/open/": [proxied],
        "/mirror/": [*on, "mirror /open/mirror", proxied],
        "/any/": [*on, "satisfy any", "allow all", proxied],
        "/denied/": [*on, "deny all", proxied],
        "/unreachable/": [*on, f"proxy_pass http://127.0.0.1:{free_port()}"],
        "/sent/": [*on, "proxy_set_header X-Sent $http_x_client_secret", proxied],
        "@denied": [proxied],
    }.items():
        server += location(path, *lines)
    logs = f"access_log {tmp_path}/all.log all; error_log {tmp_path}/info.log info;"
    other = f"server {{ listen 127.0.0.1:{free_port()}; }}"
    return nginx(server, http=f"{FORMAT} {logs} {other}")


def logged(server: Nginx, directory: Path) -> str:
    server.stop(signal.SIGQUIT)
    return (directory / "all.log").read_text() + (directory / "info.log").read_text()


@pytest.mark.parametrize("protocol", ["http1", "http2"])
@pytest.mark.parametrize("headers", [SENT, WRONG])
@pytest.mark.parametrize(
    "path", ["gated", "optional", "open", "mirror", "any", "denied", "unreachable", "sent", "dry", "missing"]
)
def test_no_log_contains_the_secret_header(
    servers: Nginx, tmp_path: Path, path: str, headers: dict[str, str], protocol: str
) -> None:
    if protocol == "http1":
        ask(servers.port, f"/{path}/", headers=headers)
    else:
        connection = H2Connection(servers.h2_port)
        connection.ask(target=f"/{path}/", headers=headers)
        connection.close()
    text = logged(servers, tmp_path)
    assert f'"uri":"/{path}/' in text, "nothing was logged: this test could not fail"
    assert ALICE.traces(text) == []


@pytest.mark.parametrize("path", ["gated", "mirror", "any", "sent"])
def test_an_allowed_request_goes_upstream_without_the_headers(servers: Nginx, upstream: Upstream, path: str) -> None:
    spelled = {**SENT, "Other": "1"}
    for _ in range(2):
        answer = ask(servers.port, f"/{path}/", headers=spelled)
        assert answer.status == 200, answer
    for seen in upstream.seen:
        assert ALICE.traces(seen["raw"]) == []
        assert values_of(seen, "x-client-id") == values_of(seen, "x-client-secret") == []
        assert values_of(seen, "x-sent") == []
        assert values_of(seen, "other") == ["1"]
    assert len(values_of(upstream.last, "authorization")) == (0 if path == "any" else 1)


def test_an_error_page_for_a_denial_gets_no_credentials(servers: Nginx, upstream: Upstream) -> None:
    answer = ask(servers.port, "/gated/", headers=WRONG)
    assert answer.status == 200
    assert ALICE.traces(upstream.last["raw"]) == []
    assert values_of(upstream.last, "x-client-secret") == values_of(upstream.last, "x-client-id") == []


def test_a_dry_run_changes_no_header(servers: Nginx, upstream: Upstream) -> None:
    assert ask(servers.port, "/dry/", headers=SENT).status == 200
    assert values_of(upstream.last, "x-client-secret") == [ALICE.secret]


def test_a_repeated_header_is_denied(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    directives = [*gate(scripted.issuer, *NAMES), "add_header X-Cause $credgate_cause always", f"proxy_pass {upstream.url}"]
    server = nginx("underscores_in_headers on;" + location("/", *directives))
    lines = "".join(f"{name}: {value}\r\n" for name, value in SENT.items())
    for more in ("X-Client-Id: bob", "X_Client_Secret: other"):
        request = f"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}{more}\r\n\r\n"
        status, headers, _ = ask_raw(server.port, request.encode())
        assert (status, headers["x-cause"]) == (400, "repeated_parameter")
    assert upstream.seen == [] and scripted.state["token"] == 0


def test_another_gate_after_a_redirect_finds_the_same_credentials(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    on = gate(scripted.issuer, *NAMES)
    first = location("/first/", *on, "credgate_scopes first", "try_files /missing /second/")
    second = location("/second/", *on, "credgate_scopes second", f"proxy_pass {upstream.url}")
    server = nginx(first + second)
    answer = ask(server.port, "/first/", headers=SENT)
    assert answer.status == 200 and scripted.state["last"]["form"]["scope"] == "second"
    assert ALICE.traces(upstream.last["raw"]) == []
