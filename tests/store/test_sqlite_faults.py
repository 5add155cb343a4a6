"""Clients get their tokens despite every fault of a SQLite file; each fault is counted and logged."""

import os
import pwd
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import ALICE, BOB
from support.http import Client
from support.lab import Scripted, Upstream
from support.nginx import Nginx
from support.process import until
from support.store import PATIENT, Start, counted, directives, gateway, status

USER = pwd.getpwnam("www-data")


def survives(server: Nginx, scripted: Scripted) -> None:
    """A client gets its token, and the failure is counted and logged."""
    exchanges = scripted.state["token"]
    assert status(server, ALICE) == "MISS"
    assert scripted.state["token"] == exchanges + 1
    assert counted(server, "failures") > 0
    assert status(server, ALICE) == "HIT"
    server.stop(signal.SIGQUIT)
    assert "credgate: store SQLite" in server.errors


def a_file(directory: Path) -> Path:
    """A file that others write: the workers' user's."""
    directory.mkdir(mode=0o755, exist_ok=True)
    file = directory / "tokens.db"
    file.touch()
    for one in (directory, file):
        os.chown(one, USER.pw_uid, USER.pw_gid)
    return file


def foreign_schema(directory: Path) -> None:
    with sqlite3.connect(a_file(directory)) as connection:
        connection.execute("CREATE TABLE entries (name TEXT PRIMARY KEY)")
        connection.execute("CREATE TABLE values_of_somebody (name TEXT PRIMARY KEY)")


def no_database(directory: Path) -> None:
    a_file(directory).write_bytes(b"no database " * 1000)


def cut_off(directory: Path) -> None:
    foreign_schema(directory)
    file = directory / "tokens.db"
    file.write_bytes(file.read_bytes()[:3000])


def not_ours_to_read(directory: Path) -> None:
    file = a_file(directory)
    os.chown(file, 0, 0)
    file.chmod(0o600)


def read_only_directory(directory: Path) -> None:
    directory.mkdir(mode=0o555)


def somebody_elses_directory(directory: Path) -> None:
    directory.mkdir(mode=0o700)


def a_directory_in_the_files_place(directory: Path) -> None:
    (directory / "tokens.db").mkdir(parents=True)
    for one in (directory, directory / "tokens.db"):
        os.chown(one, USER.pw_uid, USER.pw_gid)


def a_link_to_nowhere(directory: Path) -> None:
    a_file(directory).unlink()
    (directory / "tokens.db").symlink_to("/nonexistent/tokens.db")


BEFORE: list[Callable[[Path], None]] = [
    foreign_schema, no_database, cut_off, not_ours_to_read, read_only_directory, somebody_elses_directory,
    a_directory_in_the_files_place, a_link_to_nowhere,
]  # fmt: skip


@pytest.mark.parametrize("prepare", BEFORE, ids=[fault.__name__.replace("_", "-") for fault in BEFORE])
def test_a_foreign_or_damaged_file_costs_no_request(
    nginx: Start, scripted: Scripted, upstream: Upstream, shared_directory: Path, prepare: Callable[[Path], None]
) -> None:
    prepare(shared_directory / "store")
    store = directives(f"sqlite:{shared_directory}/store/tokens.db", None, PATIENT)
    survives(gateway(nginx, store, scripted, upstream, user="www-data"), scripted)


@pytest.fixture
def small(shared_directory: Path) -> Iterator[Path]:
    """A file system of two megabytes, of the workers' user."""
    owned = f"size=2m,mode=755,uid={USER.pw_uid},gid={USER.pw_gid}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", owned, "small", shared_directory], check=True, timeout=20)
    yield shared_directory
    subprocess.run(["umount", "-l", shared_directory], check=True, timeout=20)


def test_a_full_file_system_costs_no_request(
    nginx: Start, scripted: Scripted, upstream: Upstream, small: Path
) -> None:
    fill(small)
    store = directives(f"sqlite:{small}/tokens.db", None, PATIENT)
    survives(gateway(nginx, store, scripted, upstream, user="www-data"), scripted)


def test_a_file_system_that_fills_up_costs_no_request(nginx: Start, scripted: Scripted, upstream: Upstream, small: Path) -> None:
    store = directives(f"sqlite:{small}/tokens.db", None, PATIENT)
    server = gateway(nginx, store, scripted, upstream, user="www-data")
    assert status(server, BOB) == "MISS"
    fill(small)
    clients = iter(range(1_000_000))
    until(lambda: one_more(server, next(clients)) and counted(server, "failures") > 0, "the end of the room", 60)
    (small / "filler").unlink()
    second = gateway(nginx, store, scripted, upstream, user="www-data")
    puts = counted(second, "puts")
    until(lambda: one_more(second, next(clients)) and counted(second, "puts") > puts, "room", 30)


def fill(directory: Path) -> None:
    with (directory / "filler").open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(4096))
        except OSError:
            pass


def one_more(server: Nginx, number: int) -> bool:
    """A client that is new gets its token."""
    return status(server, Client(f"client-{number}", "s3cret" * 20)) == "MISS"


def deleted_file(directory: Path) -> None:
    for file in directory.glob("tokens.db*"):
        file.unlink()


def deleted_directory(directory: Path) -> None:
    shutil.rmtree(directory)


def overwritten(directory: Path) -> None:
    """By somebody who writes a file and renames it, as one should."""
    other = directory / "other"
    other.write_bytes(b"no database " * 1000)
    other.rename(directory / "tokens.db")


@pytest.mark.parametrize("fault", [deleted_file, deleted_directory, overwritten])
def test_a_file_that_breaks_during_use_costs_no_request(
    nginx: Start, scripted: Scripted, upstream: Upstream, tmp_path: Path, fault: Callable[[Path], None]
) -> None:
    """The file of that name counts, not the deleted one that is still open: a second process sees the same as the first."""
    directory = tmp_path / "store"
    store = directives(f"sqlite:{directory}/tokens.db", None, PATIENT)
    first = gateway(nginx, store, scripted, upstream)
    assert status(first, BOB) == "MISS"
    fault(directory)
    assert status(first, ALICE) == "MISS"
    assert status(first, BOB) == "HIT"


def test_a_deleted_file_is_recreated_and_shared_again(
    nginx: Start, scripted: Scripted, upstream: Upstream, tmp_path: Path
) -> None:
    directory = tmp_path / "store"
    store = directives(f"sqlite:{directory}/tokens.db", None, PATIENT)
    first, second = (gateway(nginx, store, scripted, upstream) for _ in range(2))
    assert [status(server, BOB) for server in (first, second)] == ["MISS", "SHARED"]
    deleted_file(directory)
    until(lambda: shared_again(first, second), "the file to be shared again")


NEXT = iter(range(1_000_000))


def shared_again(first: Nginx, second: Nginx) -> bool:
    client = Client(f"again-{next(NEXT)}", "s3cret")
    return [status(server, client) for server in (first, second)] == ["MISS", "SHARED"]


LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
input()
"""


def test_a_file_locked_by_another_process_costs_no_request(
    nginx: Start, scripted: Scripted, upstream: Upstream, tmp_path: Path
) -> None:
    directory = tmp_path / "store"
    store = directives(f"sqlite:{directory}/tokens.db")
    server = gateway(nginx, store, scripted, upstream)
    assert status(server, BOB) == "MISS"
    holder = subprocess.Popen(
        ["python3", "-c", LOCK, directory / "tokens.db"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout and holder.stdout.readline() == b"locked\n"
    assert status(server, ALICE) == "MISS"
    assert counted(server, "failures") > 0
    holder.communicate(b"\n", timeout=20)
    second = gateway(nginx, store, scripted, upstream)
    until(lambda: shared_again(server, second), "the lock's end")


def test_the_directory_is_created_for_the_workers_user_only(
    nginx: Start, scripted: Scripted, upstream: Upstream, shared_directory: Path
) -> None:
    directory = shared_directory / "store"
    store = directives(f"sqlite:{directory}/tokens.db", None, PATIENT)
    servers = [gateway(nginx, store, scripted, upstream, user="www-data") for _ in range(2)]
    assert [status(server, ALICE) for server in servers] == ["MISS", "SHARED"]
    info = directory.stat()
    assert (info.st_uid, info.st_gid, info.st_mode & 0o777) == (USER.pw_uid, USER.pw_gid, 0o700)
    files = {file.name: file.stat() for file in directory.iterdir()}
    assert {"tokens.db", "tokens.db.pepper"} <= set(files)
    assert {(info.st_uid, info.st_mode & 0o777) for info in files.values()} == {(USER.pw_uid, 0o600)}


def test_a_directory_of_another_user_is_left_unchanged_and_reported(
    nginx: Start, scripted: Scripted, upstream: Upstream, shared_directory: Path
) -> None:
    directory = shared_directory / "store"
    directory.mkdir(mode=0o700)
    store = directives(f"sqlite:{directory}/tokens.db", None, PATIENT)
    server = gateway(nginx, store, scripted, upstream, user="www-data")
    assert status(server, ALICE) == "MISS"
    assert (directory.stat().st_uid, directory.stat().st_mode & 0o777) == (0, 0o700)
    assert f'"{directory}" is owned by user 0, but workers run as user {USER.pw_uid}' in server.errors
