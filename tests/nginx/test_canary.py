"""A canary in the query, the header and the body, in every server of an nginx in which one location has a gate."""

import re
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import ALICE
from support.h2 import H2Connection
from support.http import SOURCES, ask
from support.lab import Provider, Upstream
from support.nginx import Nginx, gate, location
from support.process import free_port, until

Start = Callable[..., Nginx]

VARIABLES = """
    args query_string request request_uri uri document_uri request_filename arg_client_secret arg_client_id is_args
    request_body request_body_file http_authorization remote_user sent_http_location credgate_authorization
    credgate_request credgate_client_id credgate_presented_client_id copy mapped captured proxy_host upstream_addr
""".split()
FORMAT = "log_format all escape=json '{" + ",".join(f'"{name}":"${name}"' for name in VARIABLES) + "}';"

# Paths of one server, with and without a gate.
PLACES = {
    "gated": "/gated/",
    "ungated": "/ungated/",
    "unreachable": "/unreachable/",
    "gated-unreachable": "/gated-unreachable/",
    "redirect": "/redirect/",
    "slash": "/slash",
    "limited": "/limited/",
    "too-large": "/too-large/",
    "missing": "/missing/",
    "set": "/set/",
    "rewritten": "/rewritten/",
    "subrequest": "/subrequest/",
    "denied": "/denied/",
}


class Servers:
    """One nginx with a gated server, a redirecting one and the default one for unknown hosts."""

    def __init__(self, nginx: Start, directory: Path, upstream: Upstream, issuer: str, *, gated: bool = True):
        self.plain, self.unknown = free_port(), free_port()
        nowhere = f"proxy_pass http://127.0.0.1:{free_port()}"
        proxied = f"proxy_pass {upstream.url}"
        on = gate(issuer) if gated else ["expires off"]
        (directory / "site/slash").mkdir(parents=True)
        logs = f"access_log {directory}/json.log all; access_log {directory}/combined.log combined;"
        http = f"""{FORMAT}
            {logs} error_log {directory}/notice.log notice;
            limit_req_zone $server_port zone=one:32k rate=1r/m;
            limit_req_zone $request_uri zone=two:1m rate=10000r/s;
            limit_req_zone $http_authorization zone=three:1m rate=10000r/s;
            map $args $mapped {{ default $args; }}
            map $uri $copy {{ default ""; }}
            map $uri $captured {{ default ""; }}
            server {{ listen 127.0.0.1:{self.plain}; server_name known; return 301 https://$host$request_uri; }}
            server {{ listen 127.0.0.1:{self.unknown} default_server; return 444; }}
        """
        server = f"root {directory}/site; log_subrequest on; limit_req zone=two burst=1000; limit_req zone=three burst=1000;\n"
        for path, lines in {
            "/gated/": [*on, proxied],
            "/ungated/": [proxied],
            "/unreachable/": [nowhere],
            "/gated-unreachable/": [*on, nowhere],
            "/redirect/": ["return 301 https://$host$request_uri"],
            "= /slash": [],
            "/limited/": ["limit_req zone=one", proxied],
            "/too-large/": ["client_max_body_size 1", proxied],
            "/missing/": [],
            "/set/": ["set $whole $request_uri", 'if ($args ~ "client_secret=(?<part>[^&]+)") { set $one 1; } set $two 2', proxied],
            "/rewritten/": ["rewrite ^ $request_uri break", proxied],
            "/subrequest/": ["mirror /ungated/mirror", proxied],
            "/denied/": ["deny all"],
        }.items():
            server += location(path, *lines)
        self.directory = directory
        self.server = nginx(server, http=http)

    def written(self) -> bytes:
        names = ("json.log", "combined.log", "notice.log")
        return b"".join((self.directory / name).read_bytes() for name in names)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("protocol", ["http1", "http2"])
@pytest.mark.parametrize("place", PLACES)
def test_no_log_of_any_location_contains_a_secret(
    nginx: Start, provider: Provider, upstream: Upstream, tmp_path: Path, place: str, protocol: str, source: str
) -> None:
    servers = Servers(nginx, tmp_path, upstream, provider.issuer)
    for client in (ALICE, ALICE.wrong()):
        request = client.request(source, PLACES[place])
        if protocol == "http1":
            ask(servers.server.port, **request)
        else:
            connection = H2Connection(servers.server.h2_port)
            connection.ask(**request)
            connection.close()
    servers.server.stop(signal.SIGQUIT)
    written = servers.written()
    assert PLACES[place].encode() in written, "nothing was logged: this test could not fail"
    assert ALICE.traces(written) == []


def test_the_canary_is_logged_without_a_gate(
    nginx: Start, provider: Provider, upstream: Upstream, tmp_path: Path
) -> None:
    servers = Servers(nginx, tmp_path, upstream, provider.issuer, gated=False)
    ask(servers.server.port, **ALICE.request("query", "/redirect/"))
    servers.server.stop(signal.SIGQUIT)
    assert ALICE.traces(servers.written())


def test_a_redirect_keeps_the_query_of_the_client(
    nginx: Start, provider: Provider, upstream: Upstream, tmp_path: Path
) -> None:
    servers = Servers(nginx, tmp_path, upstream, provider.issuer)
    target = f"/a%20b?{ALICE.parameters}&x=1"
    for port, target in ((servers.plain, target), (servers.server.port, f"/redirect{target}")):
        answer = ask(port, target, headers={"Host": "known"})
        assert (answer.status, answer.header("Location")) == (301, f"https://known{target}")
    answer = ask(servers.server.port, f"/ungated/?{ALICE.parameters}")
    assert answer.json()["line"] == f"GET /ungated/?{ALICE.parameters} HTTP/1.0"
    servers.server.stop(signal.SIGQUIT)
    assert ALICE.traces(servers.written()) == []


@pytest.mark.parametrize(
    "line",
    [
        "GET /{} HTTP/1.1",
        "GET http://127.0.0.1/{} HTTP/1.1",
        "GET /{} with spaces HTTP/1.1",
        "GE T /{} HTTP/1.1",
        "GET /{}",
        "GET /{} HTTP/9.9",
        "CONNECT /{} HTTP/1.1",
    ],
)
@pytest.mark.parametrize("rest", ["Host: a b", "Host: x\r\nAuthorization: a\r\nAuthorization: b", "Host: x\r\nbad header"])
def test_no_log_contains_the_secret_of_a_malformed_request(
    nginx: Start, provider: Provider, upstream: Upstream, tmp_path: Path, line: str, rest: str
) -> None:
    servers = Servers(nginx, tmp_path, upstream, provider.issuer)
    head = f"{line.format('?' + ALICE.parameters)}\r\n{rest}\r\n\r\n"
    for port in (servers.server.port, servers.plain, servers.unknown):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(head.encode())
            while connection.recv(65536):
                pass
    until(lambda: (tmp_path / "combined.log").read_text().count("\n") >= 3, "the log")
    servers.server.stop(signal.SIGQUIT)
    assert ALICE.traces(servers.written()) == []


@pytest.mark.parametrize("source", SOURCES)
def test_no_log_of_another_server_contains_a_secret(
    nginx: Start, provider: Provider, upstream: Upstream, tmp_path: Path, source: str
) -> None:
    servers = Servers(nginx, tmp_path, upstream, provider.issuer)
    request = ALICE.request(source)
    ask(servers.plain, **request)
    with pytest.raises(OSError):
        ask(servers.unknown, **request)
    servers.server.stop(signal.SIGQUIT)
    assert len(re.findall(rb'"(?:GET|POST) ', (tmp_path / "combined.log").read_bytes())) == 2
    assert ALICE.traces(servers.written()) == []


def test_the_scheme_and_the_user_of_basic_remain_in_the_log(
    nginx: Start, provider: Provider, upstream: Upstream, tmp_path: Path
) -> None:
    servers = Servers(nginx, tmp_path, upstream, provider.issuer)
    ask(servers.server.port, "/ungated/", headers=ALICE.basic)
    ask(servers.server.port, "/gated/", headers=ALICE.basic)
    servers.server.stop(signal.SIGQUIT)
    log = (tmp_path / "json.log").read_text()
    assert '"http_authorization":"Basic *"' in log and '"remote_user":"alice"' in log
    assert '"http_authorization":"Bearer *"' in log and '"credgate_authorization":""' in log
    assert "eyJ" not in log
