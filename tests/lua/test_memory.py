"""Credentials in the memory of a worker after the end of its requests."""

from collections.abc import Callable
from pathlib import Path

from conftest import ALICE
from support.http import FORM, Client, Connection, ask
from support.lab import Provider, Scripted, Upstream
from support.memory import memory
from support.nginx import Nginx
from support.openresty import gate, guarded, start
from support.process import until

Start = Callable[..., Nginx]


def traces(server: Nginx, client: Client = ALICE) -> list[bytes]:
    (worker,) = server.workers
    return [trace for mapping in memory(worker) for trace in client.traces(mapping)]


def test_secret_is_in_memory_during_a_wait_only(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    scripted.hold()
    server = start(nginx, f"gate = {gate(scripted.issuer)}", guarded(upstream.url))
    pending = Connection(server.port)
    pending.send(**ALICE.request("query"))
    until(lambda: scripted.state["waiting"] == 1, "the exchange")
    assert traces(server)
    scripted.release()
    assert pending.receive().status == 200
    pending.close()
    until(lambda: server.busy == 0, "the end of the request")
    assert traces(server) == []


def test_header_and_query_secrets_leave_no_trace_in_memory(
    nginx: Start, provider: Provider, upstream: Upstream
) -> None:
    server = start(nginx, f"gate = {gate(provider.issuer)}", guarded(upstream.url))
    for source in ("header", "query"):
        for _ in range(100):
            assert ask(server.port, **ALICE.request(source)).status == 200
    until(lambda: server.busy == 0, "the end of the requests")
    assert traces(server) == []


def test_query_secret_beside_a_body_leaves_no_trace_in_memory(
    nginx: Start, provider: Provider, upstream: Upstream
) -> None:
    server = start(nginx, f"gate = {gate(provider.issuer)}", guarded(upstream.url))
    request = {**ALICE.request("query"), "method": "POST", "headers": FORM, "body": "keep=1"}
    for _ in range(50):
        assert ask(server.port, **request).status == 200
    until(lambda: server.busy == 0, "the end of the requests")
    assert traces(server) == []


def test_kept_authorization_leaves_no_trace_in_memory(
    nginx: Start, provider: Provider, upstream: Upstream, tmp_path: Path
) -> None:
    log = tmp_path / "headers.log"
    seen = guarded(upstream.url, "keep_authorization = true", f"access_log {log} headers")
    server = start(nginx, f"gate = {gate(provider.issuer)}", seen, http="log_format headers '<$http_authorization>';")
    for _ in range(50):
        assert ask(server.port, headers=ALICE.basic).status == 200
    until(lambda: server.busy == 0, "the end of the requests")
    assert log.read_text().splitlines() == ["<->"] * 50
    assert traces(server) == []


def test_refused_secret_leaves_no_trace_in_memory(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    server = start(nginx, f"gate = {gate(provider.issuer)}", guarded(upstream.url))
    for source in ("query", "header"):
        for _ in range(20):
            assert ask(server.port, **ALICE.wrong().request(source)).status == 401
    until(lambda: server.busy == 0, "the end of the requests")
    assert traces(server, ALICE.wrong()) == []
