"""Without an active gate, an nginx with the module loaded responds byte for byte like one without it."""

import re
import signal
import socket
from collections.abc import Callable

import pytest

from conftest import ALICE
from support.http import ask
from support.lab import Provider, Upstream
from support.nginx import Nginx, guarded, location
from support.process import until

Start = Callable[..., Nginx]

BASIC = ALICE.basic["Authorization"].encode()
FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"
SECRETS = ALICE.parameters.encode()

REQUESTS = {
    "get": b"GET /a%20b//c?x=%2F HTTP/1.1\r\nHost: x\r\n\r\n",
    "head": b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n",
    "http-1.0": b"GET / HTTP/1.0\r\n\r\n",
    "basic": b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: " + BASIC + b"\r\n\r\n",
    "query": b"GET /?" + SECRETS + b"&x=1 HTTP/1.1\r\nHost: x\r\n\r\n",
    "form": b"POST / HTTP/1.1\r\nHost: x\r\n" + FORM + b"Content-Length: %d\r\n\r\n" % len(SECRETS) + SECRETS,
    "chunked": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "options": b"OPTIONS / HTTP/1.1\r\nHost: x\r\n\r\n",
    "underscores": b"GET / HTTP/1.1\r\nHost: x\r\nX_Y: 1\r\nX-Y: 2\r\nx-y: 3\r\n\r\n",
    "two": b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n",
    "static": b"GET /static HTTP/1.1\r\nHost: x\r\n\r\n",
    "not-found": b"GET /none HTTP/1.1\r\nHost: x\r\n\r\n",
    "denied": b"GET /denied HTTP/1.1\r\nHost: x\r\n\r\n",
    "no-host": b"GET / HTTP/1.1\r\n\r\n",
    "nonsense": b"nonsense\r\n\r\n",
    "two-authorizations": b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n",
}


def answer(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request)
        connection.settimeout(0.3)
        received = b""
        try:
            while chunk := connection.recv(65536):
                received += chunk
        except TimeoutError:
            pass
    return re.sub(rb"Date: [^\r]*", b"Date: -", received)


@pytest.mark.parametrize("name", REQUESTS)
def test_responses_and_forwarded_requests_are_identical_with_the_module_loaded(nginx: Start, upstream: Upstream, name: str) -> None:
    server = (
        location("/", f"proxy_pass {upstream.url}")
        + location("= /static", 'return 200 "static"')
        + location("= /none", "return 404")
        + location("= /denied", "deny all")
    )
    came = []
    for loaded in (True, False):
        upstream.reset()
        instance = nginx(server, loaded=loaded)
        received = answer(instance.port, REQUESTS[name]).replace(str(instance.port).encode(), b"PORT")
        seen = [request["raw"] for request in upstream.seen]
        # It is written when the connection has been closed, which may linger.
        lines = 2 if name == "two" else 1
        until(lambda instance=instance, lines=lines: instance.access_log.read_text().count("\n") >= lines, "the log")
        logged = instance.access_log.read_text()
        came.append((received, seen, re.sub(r"\[[^]]*\]", "[-]", logged)))
    assert came[0] == came[1]
    assert came[0][0], "there is an answer to compare"


def test_a_single_process_nginx_works(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    server = nginx(
        guarded(upstream.url, provider.issuer) + location("= /metrics", "credgate_metrics"), main="master_process off;"
    )
    for how in ("MISS", "HIT"):
        assert ask(server.port, headers=ALICE.basic).header("X-Credgate-Status") == how
    assert b'credgate_requests_total{outcome="allow",cache_status="hit"} 1' in ask(server.port, "/metrics").body
    server.kill(signal.SIGQUIT)
    assert server.wait() == 0
