"""The memory that workers share: counters of any number of workers."""

import os
import signal
from pathlib import Path

import pytest
from conftest import ALICE
from support.http import ask
from support.lab import Provider, Upstream
from support.nginx import MANY_WORKERS, Nginx, guarded, location
from support.process import free_port, gone, until
from support.store import OPERATING, Start, Volley, spread

FULL = 'increase "credgate_zone"'


def total(server: Nginx) -> float:
    """All requests that the metrics know."""
    lines = ask(server.port, "/metrics").body.decode().splitlines()
    return sum(float(line.split()[1]) for line in lines if line.startswith("credgate_requests_total{"))


def served(provider: Provider, upstream: Upstream) -> str:
    return guarded(upstream.url, provider.issuer) + OPERATING


def get(port: int, count: int) -> None:
    assert set(Volley([port], [ALICE], count).statuses()) == {200}


def test_metrics_count_the_requests_of_more_than_128_workers(
    nginx: Start, provider: Provider, upstream: Upstream
) -> None:
    port = free_port()
    server = nginx(OPERATING, http=spread(served(provider, upstream), port), workers=MANY_WORKERS)
    get(port, 1000)
    until(lambda: total(server) == 1000, "the numbers of all workers")
    old = server.reload()
    get(port, 500)
    until(lambda: all(gone(pid) for pid in old), "the old workers' end")
    until(lambda: total(server) == 1500, "the numbers of old and new workers")
    assert FULL not in server.errors


def test_a_full_zone_is_logged_once_and_loses_no_request(
    nginx: Start, provider: Provider, upstream: Upstream
) -> None:
    """The smallest zone has room for some twenty workers. The others are counted when they exit."""
    port = free_port()
    server = nginx(OPERATING, http="credgate_zone 64k;" + spread(served(provider, upstream), port), workers=30)
    get(port, 300)
    until(lambda: FULL in server.errors, "the warning")
    assert total(server) < 300
    old = server.reload()
    until(lambda: all(gone(pid) for pid in old), "the old workers' end")
    until(lambda: total(server) == 300, "the numbers of all workers")
    assert server.errors.count(FULL) == 1


def test_a_worker_without_room_gets_the_room_of_a_killed_one(
    nginx: Start, provider: Provider, upstream: Upstream
) -> None:
    server = nginx(served(provider, upstream), http="credgate_zone 64k;", workers=30)
    until(lambda: FULL in server.errors and len(server.workers) == 30, "the warning, and all workers")
    old = server.workers
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(server.workers - old) == 30, "new workers")
    until(lambda: server.errors.count("exited on signal 9") == 30, "the master's report")
    assert ask(server.port, headers=ALICE.basic).status == 200
    server.reload()
    until(lambda: total(server) == 1, "the number of the exited worker")
    server.error_log.write_text("")


@pytest.mark.parametrize(
    ("size", "reason"), [("32k", 'size "32k" in "credgate_zone" directive is too small'), ("x", "invalid value")]
)
def test_an_invalid_zone_size_is_refused(tmp_path: Path, size: str, reason: str) -> None:
    result = Nginx(tmp_path / "checked", location("/", "return 204"), http=f"credgate_zone {size};").check()
    assert result.returncode == 1 and reason in result.stderr


def test_a_reload_may_change_the_size_of_the_zone(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    """The counters start again, as those of every zone of nginx do."""
    server = nginx(served(provider, upstream), http="credgate_zone 128k;", workers=2)
    assert ask(server.port, headers=ALICE.basic).status == 200
    until(lambda: total(server) == 1, "the numbers")
    text = server.conf.read_text()
    server.conf.write_text(text.replace("credgate_zone 128k;", "credgate_zone 256k;"))
    server.reload()
    until(lambda: total(server) == 0, "the new zone")
    # A configuration that fails leaves the zone of the running one alone.
    server.conf.write_text(text + "nonsense;")
    server.kill(signal.SIGHUP)
    until(lambda: "nonsense" in server.errors, "the failure")
    (worker, *_) = server.workers
    os.kill(worker, signal.SIGKILL)
    until(lambda: len(server.workers - {worker}) == 2, "another worker")
    assert ask(server.port, headers=ALICE.basic).status == 200
    until(lambda: total(server) == 1, "the numbers")
    assert all("signal 9" in alarm or "nonsense" in alarm for alarm in server.alarms())
    server.error_log.write_text("")
