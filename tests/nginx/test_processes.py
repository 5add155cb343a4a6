"""Which of nginx's processes does what, in every way that nginx can be set up."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import ALICE, BOB
from support.http import ask
from support.lab import Provider, Scripted, Upstream
from support.nginx import BINARY, Nginx, guarded, location
from support.process import descriptors, free_port, opened, until

Start = Callable[..., Nginx]

BUILT = subprocess.run([BINARY, "-V"], capture_output=True, text=True, check=True, timeout=60).stderr
# Debian's nginx has epoll only.
METHODS = ["epoll"] + [method for method in ("poll", "select") if f"--with-{method}_module" in BUILT]


def threads(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/task"))


def names(server: Nginx) -> dict[int, str]:
    """The master's children by what they call themselves."""
    return {pid: Path(f"/proc/{pid}/cmdline").read_text().split("\0")[0] for pid in server.workers}


@pytest.mark.parametrize("method", METHODS)
def test_completions_wake_a_worker_with_every_event_method(
    nginx: Start, scripted: Scripted, upstream: Upstream, method: str
) -> None:
    server = nginx(guarded(upstream.url, scripted.issuer), events=f"use {method};", connections=512)
    for client in (ALICE, BOB):
        statuses = [ask(server.port, headers=client.basic).header("X-Credgate-Status") for _ in range(2)]
        assert statuses == ["MISS", "HIT"]
    scripted.script(status=500)
    assert ask(server.port, headers=ALICE.wrong().basic).status == 502


def test_workers_with_reuseport_have_separate_caches(
    nginx: Start, provider: Provider, upstream: Upstream
) -> None:
    port = free_port()
    shared = f"server {{ listen 127.0.0.1:{port} reuseport;\n{guarded(upstream.url, provider.issuer)}}}\n"
    nginx(location("/", "return 204"), http=shared, workers=4)
    answers = [ask(port, headers=ALICE.basic) for _ in range(40)]
    assert {answer.status for answer in answers} == {200}
    misses = [answer for answer in answers if answer.header("X-Credgate-Status") == "MISS"]
    assert 1 <= len(misses) <= 4
    assert provider.count["token"] == len(misses)


def test_the_thread_starts_with_the_first_exchange_and_in_workers_only(
    nginx: Start, provider: Provider, upstream: Upstream, tmp_path: Path
) -> None:
    cache = f"proxy_cache_path {tmp_path}/cache keys_zone=pages:1m;"
    server = nginx(guarded(upstream.url, provider.issuer), http=cache)
    until(lambda: any("cache manager" in name for name in names(server).values()), "the cache manager")
    (worker,) = (pid for pid, name in names(server).items() if "worker" in name)
    assert threads(worker) == 1, "nobody has asked for a token"
    assert ask(server.port, headers=ALICE.basic).status == 200
    assert threads(worker) > 1
    others = [server.pid, *(pid for pid in names(server) if pid != worker)]
    assert [threads(pid) for pid in others] == [1] * len(others)
    # nginx has descriptors of that kind of its own.
    assert all(opened(pid, "eventfd") < opened(worker, "eventfd") for pid in others)


def test_workers_without_a_gate_have_neither_thread_nor_descriptor(nginx: Start, upstream: Upstream) -> None:
    def held(server: Nginx) -> tuple[int, int]:
        (worker,) = server.workers
        return threads(worker), descriptors(worker)

    bare = nginx(location("/", f"proxy_pass {upstream.url}"), loaded=False)
    server = nginx(location("/", f"proxy_pass {upstream.url}"))
    # A connection of the tests' own may be open a moment longer.
    until(lambda: held(bare) == held(server), "the same numbers")
