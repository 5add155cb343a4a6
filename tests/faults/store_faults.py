"""The table of store faults: sections of rows."""

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.process import until
from support.redis import Redis, ScriptedRedis


@dataclass
class Sqlite:
    """The directory of a SQLite store."""

    directory: Path
    # The end of the row.
    later: ExitStack

    @property
    def file(self) -> Path:
        return self.directory / "tokens.db"


ALWAYS, ONCE, NEVER = "yes", "in one process", "no"
"""The processes that count a failure. The first one that meets a damaged file replaces it."""


@dataclass(frozen=True)
class StoreFault:
    """A fault of a store, and its documented consequence: every client gets its token, by a token request of its own.

    `begin` is a context in which the fault lasts. `says` is in the log of every host. A fault that `precedes` begins
    before the hosts start. `recovery` is the remedy, if the store does not recover by itself.
    """

    name: str
    title: str
    begin: Callable[..., AbstractContextManager[Any]]
    says: str | None
    precedes: bool = False
    counted: str = ALWAYS
    recovery: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    # The clients have tokens in the store, of another host, which the fault makes unusable.
    of_values: bool = False


# Redis.

GARBLED = "of another type"
SLOW = "no reply within"


def scripted(name: str, title: str, says: str, command: str, **script: Any) -> StoreFault:
    """A fault of the scripted Redis."""

    @contextmanager
    def begin(fake: ScriptedRedis) -> Iterator[None]:
        reply = script.get("reply", "").replace("PORT", str(fake.redis_port))
        fake.script(command, **{**script, **({"reply": reply} if reply else {})})
        yield
        fake.control("/_control/well", "POST")

    return StoreFault(f"redis-{name}", title, begin, says)


def of_redis(name: str, title: str, says: str | None, begin: Callable[..., Any], **more: Any) -> StoreFault:
    """A fault of a real Redis."""
    return StoreFault(f"server-{name}", title, contextmanager(begin), says, **more)


def killed(redis: Redis) -> Iterator[None]:
    redis.stop(signal.SIGKILL)
    yield
    redis.start()


def stopped(redis: Redis) -> Iterator[None]:
    redis.kill(signal.SIGSTOP)
    yield
    redis.kill(signal.SIGCONT)


def configured(*settings: tuple[str, str, str]) -> Callable[[Redis], Iterator[None]]:
    """Name, value of the fault, and value afterwards."""

    def begin(redis: Redis) -> Iterator[None]:
        for name, value, _ in settings:
            redis.cli("CONFIG", "SET", name, value)
        yield
        for name, _, value in settings:
            redis.cli("CONFIG", "SET", name, value)

    return begin


def replica(serves: str) -> Callable[[Redis], Iterator[None]]:
    def begin(redis: Redis) -> Iterator[None]:
        redis.cli("CONFIG", "SET", "replica-serve-stale-data", serves)
        redis.cli("REPLICAOF", "127.0.0.1", "1")
        yield
        redis.cli("REPLICAOF", "NO", "ONE")

    return begin


def crowded(redis: Redis) -> Iterator[None]:
    with socket.create_connection(("127.0.0.1", redis.port)) as other:
        # This connection remains.
        other.sendall(b"CONFIG SET maxclients 1\r\nCLIENT KILL TYPE normal\r\n")
        until(lambda: refuses(redis), "the server to be full")
        yield
        other.sendall(b"CONFIG SET maxclients 1000\r\n")
        other.recv(100)


def refuses(redis: Redis) -> bool:
    with socket.create_connection(("127.0.0.1", redis.port)) as other:
        try:
            other.sendall(b"PING\r\n")
            return other.recv(100).startswith(b"-ERR max number of clients")
        except ConnectionResetError:
            return True


def password_wanted(redis: Redis) -> Iterator[None]:
    redis.cli("CONFIG", "SET", "requirepass", "secret")
    # Connections that are open stay open.
    redis.cli("-a", "secret", "--no-auth-warning", "CLIENT", "KILL", "TYPE", "normal")
    yield
    redis.cli("-a", "secret", "--no-auth-warning", "CONFIG", "SET", "requirepass", "")


def flushed(redis: Redis) -> Iterator[None]:
    redis.cli("FLUSHALL")
    yield


def changed(script: str) -> Callable[[Redis], Iterator[None]]:
    """Changes each value that the store holds."""

    def begin(redis: Redis) -> Iterator[None]:
        redis.cli("EVAL", f"for _, key in ipairs(redis.call('KEYS', '{{credgate:}}v*')) do {script} end", "0")
        yield

    return begin


# SQLite.


def of_sqlite(name: str, title: str, says: str | None, begin: Callable[..., Any], **more: Any) -> StoreFault:
    return StoreFault(f"sqlite-{name}", title, contextmanager(begin), says, **more)


def made(store: Sqlite) -> Path:
    store.directory.mkdir(mode=0o700, exist_ok=True)
    store.file.touch(mode=0o600)
    return store.file


def gone(store: Sqlite) -> None:
    shutil.rmtree(store.directory, ignore_errors=True)


def foreign_schema(store: Sqlite) -> Iterator[None]:
    with sqlite3.connect(made(store)) as connection:
        connection.execute("CREATE TABLE customers (name TEXT PRIMARY KEY)")
    connection.close()
    yield
    gone(store)


def other_version(store: Sqlite) -> Iterator[None]:
    with sqlite3.connect(made(store)) as connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute("PRAGMA user_version = 99")
        connection.execute("CREATE TABLE entries (name TEXT PRIMARY KEY)")
    connection.close()
    yield
    gone(store)


def no_database(store: Sqlite) -> Iterator[None]:
    made(store).write_bytes(b"no database " * 1000)
    yield


def cut_off(store: Sqlite) -> Iterator[None]:
    with sqlite3.connect(made(store)) as connection:
        connection.execute("CREATE TABLE entries (name TEXT PRIMARY KEY)")
        connection.execute("CREATE TABLE more (name TEXT PRIMARY KEY)")
    connection.close()
    store.file.write_bytes(store.file.read_bytes()[:3000])
    yield


def directory_in_its_place(store: Sqlite) -> Iterator[None]:
    store.directory.mkdir(mode=0o700)
    store.file.mkdir()
    yield
    store.file.rmdir()


def link_to_nowhere(store: Sqlite) -> Iterator[None]:
    made(store).unlink()
    store.file.symlink_to("/nonexistent/tokens.db")
    yield
    store.file.unlink()


def of_another_user(store: Sqlite) -> Iterator[None]:
    store.directory.mkdir(mode=0o700)
    os.chown(store.directory, 33, 33)
    yield
    os.chown(store.directory, os.getuid(), os.getgid())


def writable_by_others(store: Sqlite) -> Iterator[None]:
    store.directory.mkdir()
    store.directory.chmod(0o777)
    yield
    store.directory.chmod(0o700)


def mount(store: Sqlite, options: str) -> None:
    """A file system in memory, until the hosts have ended."""
    store.directory.mkdir(mode=0o700, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"mode=700,{options}", "small", str(store.directory)]
    subprocess.run(command, check=True, timeout=20)
    store.later.callback(subprocess.run, ["umount", "-l", store.directory], check=True, timeout=20)


def read_only(store: Sqlite) -> Iterator[None]:
    mount(store, "ro")
    yield
    subprocess.run(["mount", "-o", "remount,rw", store.directory], check=True, timeout=20)


def full(store: Sqlite) -> Iterator[None]:
    mount(store, "size=2m")
    with (store.directory / "filler").open("wb", buffering=0) as filler:
        while written(filler):
            pass
    yield
    (store.directory / "filler").unlink()


def written(filler: Any) -> bool:
    try:
        return bool(filler.write(bytes(4096)))
    except OSError:
        return False


def file_deleted(store: Sqlite) -> Iterator[None]:
    for file in store.directory.glob("tokens.db*"):
        file.unlink()
    yield


def directory_deleted(store: Sqlite) -> Iterator[None]:
    gone(store)
    yield


def replace(store: Sqlite, mode: int) -> None:
    # Otherwise SQLite may repair the file from its log.
    for log in store.directory.glob("tokens.db-*"):
        log.unlink()
    other = store.directory / "other"
    other.write_bytes(b"no database " * 1000)
    other.chmod(mode)
    other.rename(store.file)


def overwritten(store: Sqlite) -> Iterator[None]:
    replace(store, 0o600)
    yield


def readable_by_others(store: Sqlite) -> Iterator[None]:
    replace(store, 0o644)
    yield
    store.file.chmod(0o600)


def emptied(store: Sqlite) -> Iterator[None]:
    os.truncate(store.file, 0)
    yield


def pages_damaged(store: Sqlite) -> Iterator[None]:
    """Noise in all pages, and no log to repair them from."""
    with store.file.open("r+b") as file:
        file.write(os.urandom(store.file.stat().st_size))
    for name in ("tokens.db-wal", "tokens.db-shm"):
        path = store.directory / name
        if path.exists():
            with path.open("r+b") as file:
                file.write(os.urandom(path.stat().st_size))
    yield


def locked(store: Sqlite) -> Iterator[None]:
    program = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1])\nc.execute('BEGIN EXCLUSIVE')\nprint(flush=True)\ninput()"
    holder = subprocess.Popen(["python3", "-c", program, store.file], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout and holder.stdout.readline()
    yield
    holder.communicate(b"\n", timeout=20)


APPLICATION = 0x43524754

SECTIONS: dict[str, list[StoreFault]] = {
    "Redis, replies": [
        scripted("loading", "`LOADING`", "it is starting", "GETRANGE", reply="-LOADING Redis is loading the dataset in memory\r\n"),
        scripted("busy", "`BUSY`", "it is busy", "GETRANGE", reply="-BUSY Redis is busy running a script\r\n"),
        scripted("try-again", "`TRYAGAIN`", "it is busy", "GETRANGE", reply="-TRYAGAIN Multiple keys request\r\n"),
        scripted("cluster-down", "`CLUSTERDOWN`", "Cluster is being reconfigured", "GETRANGE", reply="-CLUSTERDOWN The cluster is down\r\n"),
        scripted("moved", "`MOVED` in circles", "it is busy", "GETRANGE", reply="-MOVED 7 :PORT\r\n"),
        scripted("moved-nowhere", "`MOVED` without an address", "it is busy", "GETRANGE", reply="-MOVED nonsense\r\n"),
        scripted("oom", "`OOM` to writes", "out of memory", "SET", reply="-OOM command not allowed when used memory > 'maxmemory'\r\n"),
        scripted("read-only", "`READONLY` to writes", "it is a replica", "EVAL", reply="-READONLY You can't write against a read only replica\r\n"),
        scripted("misconf", "`MISCONF` to writes", "cannot save", "SET", reply="-MISCONF Redis is configured to save\r\n"),
        scripted("no-permission", "`NOPERM` to scripts", "lacks a permission", "EVAL", reply="-NOPERM this user has no permissions\r\n"),
        scripted("no-auth", "`NOAUTH`", "requires a user and a password", "GETRANGE", reply="-NOAUTH Authentication required\r\n"),
        scripted("error", "an unknown error", "replies with an error", "GETRANGE", reply="-XYZZY nothing happens\r\n"),
        scripted("http", "another protocol", "not in Redis's protocol", "*", reply="HTTP/1.1 400 Bad Request\r\n\r\n"),
        scripted("closed", "the connection closes without a reply", "connection broke", "GETRANGE", hang_up=True),
        scripted("cut", "the connection closes in a reply", "connection broke", "GETRANGE", cut=3),
        scripted("silent", "no reply to reads", SLOW, "GETRANGE", hang=True),
        scripted("silent-put", "no reply to writes", SLOW, "SET", hang=True),
        scripted("late", "replies come late", SLOW, "EVAL", late=2.0),
        scripted("number", "a number for a value", GARBLED, "GETRANGE", reply=":7\r\n"),
        scripted("list", "a list for a value", GARBLED, "GETRANGE", reply="*1\r\n$1\r\nx\r\n"),
        scripted("lease-text", "a text for a lease", GARBLED, "EVAL", reply="$5\r\nmaybe\r\n"),
        scripted("purge-text", "a text for the number of the latest purge", GARBLED, "GET", reply="$4\r\nsoon\r\n"),
        scripted("endless-list", "a list of a billion elements", SLOW, "GETRANGE", reply="*1000000000\r\n"),
        scripted("endless-value", "a value of a gigabyte", SLOW, "GETRANGE", reply="$1000000000\r\n" + "x" * 1_000_000),
        scripted("swapped", "replies in another order", GARBLED, "GETRANGE", swap=True),
    ],
    "Redis, servers": [
        of_redis("killed", "the server is down", "store Redis", killed),
        of_redis("stopped", "the server hangs", SLOW, stopped),
        of_redis("full", "the memory is full", "out of memory", configured(("maxmemory", "1", "0"), ("maxmemory-policy", "noeviction", "noeviction"))),
        of_redis("failover", "the server has become a replica", "it is a replica", replica("yes")),
        of_redis("no-primary", "a replica without its primary", "it is busy, or its Cluster", replica("no")),
        of_redis("few-replicas", "too few replicas to write", "it is a replica, or has too few", configured(("min-replicas-to-write", "1", "0"))),
        of_redis("crowded", "too many clients", "store Redis", crowded),
        of_redis("password", "the password has changed", "requires a user and a password", password_wanted),
        of_redis("flushed", "all data is lost", None, flushed, counted=NEVER, of_values=True),
        of_redis("foreign-values", "values of another program", None, changed("redis.call('SET', key, 'token')"), counted=NEVER, of_values=True),
        of_redis("cut-values", "half of each value", None, changed("redis.call('SET', key, string.sub(redis.call('GET', key), 1, 60))"), counted=NEVER, of_values=True),
        of_redis("huge-values", "values of 5 MB", None, changed("redis.call('SETRANGE', key, 5000000, 'x')"), counted=NEVER, of_values=True),
        of_redis("other-type", "lists instead of values", GARBLED, changed("redis.call('DEL', key) redis.call('RPUSH', key, 'x')"), of_values=True),
    ],
    "SQLite, before the start": [
        of_sqlite("foreign", "a database of another program", "store SQLite", foreign_schema, precedes=True, recovery="delete the directory"),
        of_sqlite("version", "a store of another version", "store SQLite", other_version, precedes=True, recovery="delete the directory"),
        of_sqlite("nonsense", "a file that is no database", "store SQLite", no_database, precedes=True, counted=ONCE),
        of_sqlite("cut", "a database that ends early", "store SQLite", cut_off, precedes=True, counted=ONCE),
        of_sqlite("directory", "a directory in the place of the file", "store SQLite", directory_in_its_place, precedes=True),
        of_sqlite("link", "a link to nowhere", "store SQLite", link_to_nowhere, precedes=True),
        of_sqlite("owner", "the directory is another user's", "store SQLite", of_another_user, precedes=True),
        of_sqlite("mode", "anybody may write in the directory", "store SQLite", writable_by_others, precedes=True),
        of_sqlite("read-only", "a read-only file system", "store SQLite", read_only, precedes=True),
        of_sqlite("full", "a full file system", "store SQLite", full, precedes=True),
    ],
    "SQLite, during use": [
        of_sqlite("deleted", "the file is deleted", None, file_deleted, counted=NEVER, of_values=True),
        of_sqlite("no-directory", "the directory is deleted", None, directory_deleted, counted=NEVER, of_values=True),
        of_sqlite("overwritten", "the file is replaced by one that is no database", "store SQLite", overwritten, counted=ONCE),
        of_sqlite("readable", "the file is replaced by one that anybody may read", "accessible to others", readable_by_others),
        of_sqlite("emptied", "the file is emptied", None, emptied, counted=NEVER),
        of_sqlite("damaged", "noise in all pages", "store SQLite", pages_damaged, counted=ONCE),
        of_sqlite("locked", "another process locks the file", "store SQLite", locked, options={"store_timeout": 200}),
    ],
}  # fmt: skip

STORE_FAULTS = [fault for faults in SECTIONS.values() for fault in faults]
