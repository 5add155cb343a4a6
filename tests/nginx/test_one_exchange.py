"""Without `credgate_store`, the workers of one nginx share their tokens through a file of nginx's own."""

import os
import pwd
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import ALICE
from support.lab import Scripted, Upstream
from support.nginx import MANY_WORKERS, Nginx, guarded, upgradable
from support.process import free_port, until
from support.store import OPERATING, Start, Volley, all_pending, counted, spread

WORKERS = pwd.getpwnam("www-data")


def served(scripted: Scripted, upstream: Upstream) -> str:
    return guarded(upstream.url, scripted.issuer) + OPERATING


def cold(server: Nginx, scripted: Scripted, count: int = 1000, port: int = 0) -> int:
    """The exchanges caused by concurrent requests, all of which wait before the provider answers the first."""
    before = scripted.state["token"]
    scripted.hold()
    volley = Volley([port or server.port], [ALICE], count)
    all_pending([server], count)
    scripted.release()
    assert set(volley.statuses()) == {200}
    return int(scripted.state["token"]) - before


def warm(server: Nginx, scripted: Scripted, count: int = 400, port: int = 0) -> int:
    """The exchanges caused by concurrent requests for a token that a worker has had."""
    before = scripted.state["token"]
    assert set(Volley([port or server.port], [ALICE], count).statuses()) == {200}
    return int(scripted.state["token"]) - before


@pytest.mark.parametrize("workers", [4, MANY_WORKERS])
def test_a_thousand_cold_requests_cause_one_exchange_per_host(
    nginx: Start, scripted: Scripted, upstream: Upstream, workers: int
) -> None:
    port = free_port()
    server = nginx(OPERATING, http=spread(served(scripted, upstream), port), workers=workers)
    assert cold(server, scripted, port=port) == 1
    assert counted(server, "failures") == 0
    old = server.reload()
    assert warm(server, scripted, port=port) == 0
    until(lambda: len(server.workers) == workers, "the old workers' end")
    old = server.workers
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(server.workers - old) == workers, "new workers")
    assert warm(server, scripted, port=port) == 0
    until(lambda: server.errors.count("exited on signal 9") == workers, "the master's report")
    assert len(server.alarms()) == workers, "nginx reports the deaths, and nothing else"
    server.error_log.write_text("")


def test_a_binary_upgrade_causes_no_exchange(scripted: Scripted, upstream: Upstream, tmp_path: Path) -> None:
    server = Nginx(tmp_path / "nginx", served(scripted, upstream), workers=4)
    with upgradable(server) as upgrade:
        assert cold(server, scripted, 100) == 1
        upgrade()
        assert warm(server, scripted) == 0
    assert server.alarms() == []


def test_with_store_off_each_worker_exchanges(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    port = free_port()
    http = "credgate_store off;" + spread(served(scripted, upstream), port)
    server = nginx(OPERATING, http=http, workers=4)
    assert cold(server, scripted, port=port) == 4
    assert not (server.directory / "credgate").exists()


def test_the_default_directory_belongs_to_the_workers_only(
    nginx: Start, scripted: Scripted, upstream: Upstream, shared_directory: Path
) -> None:
    """It is beside the directory of client_body_temp_path."""
    body = f"client_body_temp_path {shared_directory}/temp/body;"
    (shared_directory / "temp").mkdir()
    server = nginx(f"{body}{served(scripted, upstream)}", workers=2, user="www-data")
    assert cold(server, scripted, 100) == 1
    directory = shared_directory / "temp/credgate"
    found = directory.stat()
    assert (found.st_uid, found.st_mode & 0o7777) == (WORKERS.pw_uid, 0o700)
    assert {file.name for file in directory.iterdir()} >= {"tokens.db", "tokens.db.pepper"}
    assert {file.stat().st_mode & 0o7777 for file in directory.iterdir()} == {0o600}


def somebody_elses(directory: Path) -> None:
    (directory / "credgate").mkdir(mode=0o700)


def writable_by_others(directory: Path) -> None:
    made = directory / "credgate"
    made.mkdir()
    made.chmod(0o777)
    os.chown(made, WORKERS.pw_uid, WORKERS.pw_gid)


def a_file(directory: Path) -> None:
    made = directory / "credgate"
    made.touch(mode=0o700)
    os.chown(made, WORKERS.pw_uid, WORKERS.pw_gid)


def read_only(directory: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "readonly", directory], check=True, timeout=20)
    (directory / "body").mkdir(mode=0o700)
    os.chown(directory / "body", WORKERS.pw_uid, WORKERS.pw_gid)
    subprocess.run(["mount", "-o", "remount,ro", directory], check=True, timeout=20)


@pytest.fixture
def parent(shared_directory: Path) -> Iterator[Path]:
    yield shared_directory
    subprocess.run(["umount", "-q", "-l", shared_directory], timeout=20)


@pytest.mark.parametrize("prepare", [somebody_elses, writable_by_others, a_file, read_only])
def test_without_a_usable_directory_each_worker_exchanges_after_one_warning(
    nginx: Start, scripted: Scripted, upstream: Upstream, parent: Path, prepare: Callable[[Path], None]
) -> None:
    prepare(parent)
    port = free_port()
    body = f"client_body_temp_path {parent}/body;"
    http = spread(body + served(scripted, upstream), port)
    server = nginx(body + OPERATING, http=http, workers=2, user="www-data")
    assert cold(server, scripted, 100, port) == 2
    assert counted(server, "failures") == 0
    (warning,) = (line for line in server.errors.splitlines() if "workers do not share tokens" in line)
    assert "[warn]" in warning and 'set "credgate_store"' in warning
