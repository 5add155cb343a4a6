"""Credentials over HTTP/3, in every place."""

import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from conftest import ALICE, BOB
from support import h3
from support.http import SOURCES, Answer
from support.lab import Authority, Provider, Upstream, bearer
from support.nginx import Nginx, guarded, location
from support.process import free_port

Asker = Callable[..., Answer]


@pytest.fixture
def serve(nginx: Callable[..., Nginx], authority: Authority) -> Callable[[str], tuple[Nginx, Asker]]:
    """Starts an nginx with one server over HTTP/3; returns a function that asks it."""

    def start(server: str) -> tuple[Nginx, Asker]:
        port = free_port()
        tls = f"ssl_certificate {authority.cert}; ssl_certificate_key {authority.key};"
        listen = f"listen 127.0.0.1:{port} quic reuseport; listen 127.0.0.1:{port} ssl; {tls}"
        started = nginx("", http=f"server {{ {listen} {server} }}")
        return started, partial(h3.ask, port, ca=authority.ca)

    return start


def test_the_canary_is_seen_where_nothing_hides_it(serve: Callable[[str], tuple[Nginx, Asker]]) -> None:
    server, ask = serve(location("/", "return 204"))
    assert ask(**ALICE.request("query")).status == 204
    server.stop(signal.SIGQUIT)
    assert ALICE.traces(server.logs)


@pytest.mark.parametrize("source", SOURCES)
def test_credentials_become_a_token_and_leave_no_trace(
    serve: Callable[[str], tuple[Nginx, Asker]], provider: Provider, upstream: Upstream, source: str, logs: Path
) -> None:
    server, ask = serve(guarded(upstream.url, provider.issuer))
    for status in ("MISS", "HIT"):
        answer = ask(**ALICE.request(source))
        assert (answer.status, answer.header("x-credgate-status")) == (200, status)
        assert bearer(upstream.last)
        assert ALICE.traces(upstream.last["raw"]) == []
    wrong = BOB.wrong()
    assert ask(**wrong.request(source)).status == 401
    assert ask().status == 401
    server.stop(signal.SIGQUIT)
    written = server.logs + b"".join(file.read_bytes() for file in logs.iterdir())
    assert b'HTTP/3.0" 200' in written and b'HTTP/3.0" 401' in written
    for client in (ALICE, wrong):
        assert client.traces(written) == []


def test_an_ungated_location_logs_no_secret_either(
    serve: Callable[[str], tuple[Nginx, Asker]], provider: Provider, upstream: Upstream
) -> None:
    server, ask = serve(location("/open/", "return 204") + guarded(upstream.url, provider.issuer))
    assert ask(**ALICE.request("query", "/open/")).status == 204
    server.stop(signal.SIGQUIT)
    assert b'HTTP/3.0" 204' in server.logs
    assert ALICE.traces(server.logs) == []
