"""Repetition that exposes rare faults: reloads under load, disconnects, killed workers.

CREDGATE_LONG=1 makes it often: 200 reloads, 1,000 clients that leave.
"""

import os
import random
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import ALICE, BOB
from support.h2 import H2Connection
from support.http import SOURCES, Client, ask
from support.lab import Provider, Scripted, Upstream
from support.nginx import Nginx, guarded, location, upgradable, waiting
from support.process import allow_descriptors, descriptors, until

Start = Callable[..., Nginx]

LONG = bool(os.environ.get("CREDGATE_LONG"))
METRICS = location("= /metrics", "credgate_metrics")


@contextmanager
def load(server: Nginx, clients: list[Client]) -> Iterator[list[str]]:
    """Requests from all sides while the block runs; answers what went wrong with them."""
    wrong: list[str] = []
    over = threading.Event()

    def go(client: Client) -> None:
        while not over.is_set():
            try:
                status = ask(server.port, headers=client.basic).status
                if status != 200:
                    wrong.append(f"{client.id}: {status}")
            except OSError as error:
                wrong.append(f"{client.id}: {error!r}")

    threads = [threading.Thread(target=go, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    try:
        yield wrong
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_reloads_under_load_lose_no_request(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    server = nginx(guarded(upstream.url, provider.issuer) + METRICS, workers=2)
    assert ask(server.port, headers=ALICE.basic).status == 200
    server.reload()
    before, old = descriptors(server.pid), set[int]()
    reloads = 200 if LONG else 15
    with load(server, [ALICE, BOB, ALICE]) as wrong:
        for number in range(reloads):
            old |= server.reload()
            if number == reloads // 3:
                held = resident(server.pid)
    assert wrong == []
    grown = resident(server.pid) - held
    print(f"\n{grown} KiB more in the master after {reloads - reloads // 3 - 1} further reloads")
    # A sanitizer holds on to what is freed.
    assert grown <= 2 * reloads or "ASAN_OPTIONS" in os.environ, "the master keeps nothing of a configuration that is over"
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in old), "the old workers' end")
    assert len(server.workers) == 2
    assert descriptors(server.pid) <= before + 2, "the master keeps no descriptor of a cycle that is over"
    assert waiting(server) == 0


def http1(client: Client, source: str) -> list[bytes]:
    """The bytes that a client sends, in one piece."""
    request = {"target": "/", "method": "GET", "headers": {}, "body": "", **client.request(source)}
    fields = {"Host": "x", "Content-Length": str(len(request["body"])), **request["headers"]}
    head = [
        f"{request['method']} {request['target']} HTTP/1.1",
        *(f"{name}: {value}" for name, value in fields.items()),
    ]
    return ["\r\n".join([*head, "", request["body"]]).encode()]


def http2(client: Client, source: str) -> list[bytes]:
    """The same, and a last frame that resets the stream."""
    near, far = socket.socketpair()
    with near, far:
        connection = H2Connection(over=near)
        stream = connection.send(**client.request(source))
        request = far.recv(65536)
        connection.cancel(stream)
        return [request, far.recv(65536)]


@pytest.mark.parametrize("protocol", [http1, http2])
def test_disconnects_at_any_moment_leak_nothing(
    nginx: Start, scripted: Scripted, upstream: Upstream, protocol: Callable[[Client, str], list[bytes]]
) -> None:
    server = nginx(guarded(upstream.url, scripted.issuer) + METRICS)
    worker, port = server.workers, server.port if protocol is http1 else server.h2_port
    chance = random.Random(7)
    for number in range(1000 if LONG else 150):
        request, *more = protocol(Client(f"client{number}", "Kanarie7Qz"), chance.choice(SOURCES))
        with socket.create_connection(("127.0.0.1", port)) as connection:
            if chance.random() < 0.3:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            whole = chance.random() < 0.5
            connection.sendall(request if whole else request[: chance.randint(1, len(request))])
            time.sleep(chance.random() * 0.004)
            for last in more:
                connection.sendall(last if whole else b"")
    until(lambda: waiting(server) == 0 and server.busy == 0, "nobody to wait")
    assert server.workers == worker, "no worker has died"
    assert scripted.state["token"] > 0, "some have come as far as the provider"
    assert ask(server.port, headers=ALICE.basic).status == 200


def test_thousands_of_waiters_block_no_other_request_and_end_by_their_deadline(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    number = 10_000 if LONG else 1_500
    most = allow_descriptors()
    assert most > number + 1000, f"{most} descriptors are too few"
    deadline = 30 if LONG else 6
    free = location("= /free", f"proxy_pass {upstream.url}")
    server = nginx(
        guarded(upstream.url, scripted.issuer, f"credgate_timeout {deadline}s") + METRICS + free,
        main=f"worker_rlimit_nofile {most};",
        connections=number + number // 4 + 500,
    )
    worker = next(iter(server.workers))
    scripted.hold()
    before = resident(worker)
    waiters = []
    for client in range(number):
        waiter = socket.create_connection(("127.0.0.1", server.port), timeout=60)
        basic = Client(f"client{client}", "Kanarie7Qz").basic["Authorization"]
        waiter.sendall(f"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: {basic}\r\n\r\n".encode())
        waiters.append(waiter)
    until(lambda: waiting(server) >= 0.9 * number, "everybody to wait", deadline)
    print(f"\n{(resident(worker) - before) / number:.1f} KiB for each request that waits")
    for _ in range(20):
        assert ask(server.port, "/free").status == 200
    statuses = [waiter.recv(12)[9:12] for waiter in waiters]
    for waiter in waiters:
        waiter.close()
    # Those whose exchange was under way, and those behind them when the provider had failed once too often.
    assert set(statuses) <= {b"503", b"504"} and b"504" in statuses
    assert waiting(server) == 0


def resident(pid: int) -> int:
    """KiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def test_killed_workers_are_replaced_and_others_keep_serving(
    nginx: Start, provider: Provider, upstream: Upstream
) -> None:
    server = nginx(guarded(upstream.url, provider.issuer) + METRICS, workers=2)
    for _ in range(8):
        victim = next(iter(server.workers))
        os.kill(victim, signal.SIGKILL)
        until(lambda: victim not in server.workers and len(server.workers) == 2, "another worker")
        assert ask(server.port, headers=ALICE.basic).status == 200
    # A killed worker leaves nginx's own alert, and no other.
    alarms = server.alarms()
    assert all("exited on signal 9" in alarm for alarm in alarms), alarms
    server.error_log.write_text("")


def test_a_binary_upgrade_hands_over(provider: Provider, upstream: Upstream, tmp_path: Path) -> None:
    server = Nginx(tmp_path / "nginx", guarded(upstream.url, provider.issuer) + METRICS)
    with upgradable(server) as upgrade:
        assert ask(server.port, headers=ALICE.basic).status == 200
        upgrade()
        for _ in range(5):
            assert ask(server.port, headers=ALICE.basic).status == 200
    assert server.alarms() == []
