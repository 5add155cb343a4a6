"""Waits for outcomes: no request blocks another, every waiter wakes, nothing leaks."""

import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable

import pytest
from conftest import ALICE, BOB, CAROL
from support.h2 import H2Connection
from support.http import Client, Connection, ask
from support.lab import Provider, Scripted, Upstream
from support.nginx import Nginx, location, waiting
from support.openresty import gate, guarded, start
from support.process import descriptors, gone, opened, until

Start = Callable[..., Nginx]

LONG = bool(os.environ.get("CREDGATE_LONG"))


def served(path: str, text: str) -> str:
    """A location that prints with Lua."""
    return f"location {path} {{ content_by_lua_block {{ {text} }} }}\n"


METRICS = served("= /metrics", 'ngx.print(require("resty.credgate").metrics())')
HEAP = served("= /heap", 'collectgarbage() collectgarbage() ngx.print(collectgarbage("count"))')


def request_of(client: Client) -> bytes:
    return f"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Basic {client.pair}\r\n\r\n".encode()


@pytest.fixture
def server(nginx: Start, scripted: Scripted, upstream: Upstream) -> Nginx:
    free = location("= /free", f"proxy_pass {upstream.url}")
    return start(nginx, f"gate = {gate(scripted.issuer)}", guarded(upstream.url) + METRICS + HEAP + free)


def test_concurrent_misses_share_one_exchange(server: Nginx, scripted: Scripted) -> None:
    scripted.hold()
    waiters = [socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in range(500)]
    for waiter in waiters:
        waiter.sendall(request_of(ALICE))
    until(lambda: waiting(server) == 500, "all waiters")
    scripted.release()
    answers = []
    for waiter in waiters:
        answers.append(waiter.recv(12))
        waiter.close()
    assert set(answers) == {b"HTTP/1.1 200"}
    assert scripted.state["token"] == 1
    assert waiting(server) == 0


def test_wait_lasts_up_to_the_gate_timeout(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    server = start(nginx, f"gate = {gate(scripted.issuer, timeout=60_000)}", guarded(upstream.url))
    scripted.hold()
    pending = Connection(server.port)
    pending.send(headers=ALICE.basic)
    until(lambda: scripted.state["waiting"] == 1, "the exchange")
    time.sleep(2.5)  # longer than the grace of 2 s
    scripted.release()
    assert pending.receive().status == 200
    pending.close()


def test_waiting_request_delays_no_other_request(server: Nginx, scripted: Scripted) -> None:
    assert ask(server.port, headers=BOB.basic).status == 200
    scripted.hold()
    pending = Connection(server.port)
    pending.send(headers=ALICE.basic)
    until(lambda: scripted.state["waiting"] == 1, "the exchange")
    for _ in range(20):
        assert ask(server.port, "/free").status == 200
        assert ask(server.port, headers=BOB.basic).header("X-Credgate-Status") == "HIT"
        assert ask(server.port).status == 401
    scripted.release()
    assert pending.receive().header("X-Credgate-Status") == "MISS"
    pending.close()


@pytest.mark.parametrize("check_client_abort", ["on", "off"])
def test_client_aborts_leak_no_waiter_and_no_descriptor(
    nginx: Start, scripted: Scripted, upstream: Upstream, check_client_abort: str
) -> None:
    server = start(
        nginx,
        f"gate = {gate(scripted.issuer)}",
        guarded(upstream.url, "", f"lua_check_client_abort {check_client_abort}") + METRICS + HEAP,
    )
    assert ask(server.port, headers=ALICE.basic).status == 200
    (worker,) = server.workers
    before = descriptors(worker)
    scripted.hold()
    for number in range(100):
        with socket.create_connection(("127.0.0.1", server.port)) as leaving:
            leaving.sendall(request_of(Client(f"client{number}", "Kanarie7Qz")))
            until(lambda number=number: waiting(server) == number + 1, "the request")
    streams = H2Connection(server.h2_port)
    for number in range(20):
        streams.cancel(streams.send(headers=Client(f"stream{number}", "Kanarie7Qz").basic))
    streams.close()
    ask(server.port, "/heap")
    scripted.release()
    until(lambda: waiting(server) == 0 and server.busy == 0, "the end of all waits")
    assert ask(server.port, headers=BOB.basic).status == 200
    until(lambda: descriptors(worker) <= before + 2, "the end of their descriptors")


def test_sequential_requests_leak_no_memory_and_no_descriptor(server: Nginx) -> None:
    connection = Connection(server.port)
    (worker,) = server.workers
    number = 10_000 if LONG else 1_000

    def send(first: int) -> tuple[float, int]:
        for client in range(first, first + number // 2):
            headers = Client(f"client{client}", "Kanarie7Qz").basic
            for cache_status in ("MISS", "HIT"):
                assert connection.ask(headers=headers).header("X-Credgate-Status") == cache_status
        return float(ask(server.port, "/heap").body), descriptors(worker)

    send(0)
    (heap, before), (later_heap, later) = send(number), send(2 * number)
    connection.close()
    print(f"\nLua memory: {heap:.0f} KiB, {later_heap:.0f} KiB after {number} further requests")
    assert later_heap - heap < 20
    assert later <= before + 1
    assert waiting(server) == 0


def test_token_works_in_light_threads_and_timers(nginx: Start, provider: Provider) -> None:
    threads = f"""
        local function token(client, secret) return (gate:token(client, secret)) end
        local one = ngx.thread.spawn(token, "alice", {ALICE.secret!r})
        local two = ngx.thread.spawn(token, "bob", {BOB.secret!r})
        local _, first = ngx.thread.wait(one)
        local _, second = ngx.thread.wait(two)
        ngx.print(first and second and first ~= second and "both" or "no")
    """
    timer = """
        ngx.timer.at(0, function() local token = gate:token("carol", SECRET) ngx.shared.results:set("token", #token) end)
    """
    result = served("= /result", 'ngx.print(ngx.shared.results:get("token") or "not yet")')
    init = f"gate = {gate(provider.issuer)} SECRET = ngx.decode_base64('{CAROL.pair}'):sub(7)"
    server = start(
        nginx,
        init,
        served("= /threads", threads) + served("= /timer", timer) + result,
        http="lua_shared_dict results 32k;\n",
    )
    assert ask(server.port, "/threads").body == b"both"
    ask(server.port, "/timer")
    until(lambda: ask(server.port, "/result").body.isdigit(), "the timer")


def test_requests_wait_in_their_own_queues_with_lua_code_cache_off(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    server = start(
        nginx, f"gate = {gate(scripted.issuer)}", guarded(upstream.url) + METRICS, http="lua_code_cache off;\n"
    )
    assert ask(server.port, headers=ALICE.basic).header("X-Credgate-Status") == "MISS"
    assert ask(server.port, headers=ALICE.basic).header("X-Credgate-Status") == "HIT"
    scripted.hold()
    waiters = [socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in range(20)]
    for number, waiter in enumerate(waiters):
        waiter.sendall(request_of(Client(f"client{number % 4}", "Kanarie7Qz")))
    until(lambda: waiting(server) >= 20, "all waiters")
    scripted.release()
    assert {waiter.recv(12) for waiter in waiters} == {b"HTTP/1.1 200"}
    for waiter in waiters:
        waiter.close()
    assert scripted.state["token"] == 5
    alarms = server.alarms()
    assert all("lua_code_cache is off" in alarm for alarm in alarms), alarms
    server.error_log.write_text("")


def test_reload_lets_waiting_requests_finish(server: Nginx, scripted: Scripted) -> None:
    assert ask(server.port, headers=BOB.basic).status == 200
    scripted.hold()
    pending = Connection(server.port)
    pending.send(headers=ALICE.basic)
    until(lambda: scripted.state["waiting"] == 1, "the exchange")
    (old,) = server.reload()
    assert ask(server.port, "/free").status == 200
    scripted.release()
    assert pending.receive().status == 200
    pending.close()
    until(lambda: gone(old), "the end of the old worker", 5)


def test_idle_worker_quits_at_once(server: Nginx) -> None:
    assert ask(server.port, headers=ALICE.basic).status == 200
    (old,) = server.reload()
    until(lambda: gone(old), "the end of the old worker", 5)
    assert ask(server.port, headers=ALICE.basic).status == 200
    server.kill(signal.SIGQUIT)
    until(lambda: server.exited, "the end of nginx", 5)


def test_old_workers_exit_after_repeated_reloads(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    server = start(nginx, f"gate = {gate(provider.issuer)}", guarded(upstream.url), workers=2)
    old: set[int] = set()
    for _ in range(30 if LONG else 6):
        for client in (ALICE, BOB):
            assert ask(server.port, headers=client.basic).status == 200
        old |= server.reload()
    until(lambda: all(gone(pid) for pid in old), "the end of the old workers")


def test_doorbell_leaves_no_file(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    with tempfile.TemporaryDirectory() as directory:
        own = f"env TMPDIR={directory};"
        server = start(nginx, f"gate = {gate(scripted.issuer)}", guarded(upstream.url), main=own)
        before = os.stat(directory).st_mtime_ns
        assert ask(server.port, headers=ALICE.basic).status == 200
        assert os.stat(directory).st_mtime_ns > before, "the socket was there"
        assert os.listdir(directory) == []
        (worker,) = server.workers
        # The connection remains, by which the library wakes the worker.
        assert opened(worker, "socket") >= 2


def test_requests_after_close_start_a_new_engine(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    close = served("= /close", 'require("resty.credgate").close() ngx.print("closed")')
    server = start(nginx, f"gate = {gate(scripted.issuer)}", guarded(upstream.url) + close)
    for _ in range(3):
        assert ask(server.port, headers=ALICE.basic).header("X-Credgate-Status") == "MISS"
        assert ask(server.port, headers=ALICE.basic).header("X-Credgate-Status") == "HIT"
        assert ask(server.port, "/close").body == b"closed"


def test_close_ends_waits_without_affecting_the_next_engine(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    close = served("= /close", 'require("resty.credgate").close() ngx.print("closed")')
    token = served("= /token", f"ngx.print(tostring(select(2, gate:token('alice', {ALICE.secret!r}))))")
    init = f"gate = {gate(scripted.issuer)} hasty = {gate(scripted.issuer, timeout=300)}"
    hasty = guarded(upstream.url, path="/hasty", called="hasty")
    server = start(nginx, init, guarded(upstream.url) + hasty + METRICS + close + token)
    scripted.hold()
    early, late = [Connection(server.port) for _ in range(2)], Connection(server.port)
    early[0].send("/hasty", headers=ALICE.basic)
    early[1].send("/token")
    until(lambda: waiting(server) == 2, "both waiters")
    assert ask(server.port, "/close").body == b"closed"
    late.send(headers=BOB.basic)
    answer = early[0].receive()
    assert (answer.status, answer.header("Retry-After")) == (503, "1")
    assert answer.json() == {"message": "The gateway cannot authenticate requests at the moment"}
    assert early[1].receive().body == b"closed"
    until(lambda: waiting(server) == 1, "the request after close")
    scripted.release()
    assert late.receive().header("X-Credgate-Status") == "MISS"
    for connection in (*early, late):
        connection.close()
