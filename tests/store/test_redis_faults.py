"""Clients get their tokens despite every fault of a Redis; each fault is counted and logged."""

import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import ALICE, BOB
from support.lab import Authority, Scripted, Upstream
from support.nginx import Nginx
from support.process import until
from support.redis import Redis, ScriptedRedis
from support.store import PATIENT, Start, counted, directives, gateway, status

Servers = Callable[..., Redis]

VALUES = "{credgate:}v"


def survives(server: Nginx, scripted: Scripted, says: str) -> None:
    """A client gets its token, the failure is counted, and the log says what it is."""
    before = counted(server, "failures")
    exchanges = scripted.state["token"]
    assert status(server, ALICE) == "MISS"
    assert scripted.state["token"] == exchanges + 1
    assert counted(server, "failures") > before
    assert status(server, ALICE) == "HIT"
    server.stop(signal.SIGQUIT)
    assert says in server.errors


def patience(says: str) -> str:
    """So that what is waited for in vain is not waited for long, and everything else comes whatever the machine does."""
    return "credgate_store_timeout 20ms;" if says == SLOW else PATIENT


SLOW = "no reply within"

SCRIPTED = {
    "starting": (
        {"command": "GETRANGE", "reply": "-LOADING Redis is loading the dataset in memory\r\n"},
        "it is starting",
    ),
    "busy": ({"command": "GETRANGE", "reply": "-BUSY Redis is busy running a script\r\n"}, "it is busy"),
    "try-again": ({"command": "GETRANGE", "reply": "-TRYAGAIN Multiple keys request\r\n"}, "it is busy"),
    "moved-in-circles": ({"command": "GETRANGE", "reply": "-MOVED 7 :PORT\r\n"}, "disagree about the location"),
    "moved-to-nowhere": ({"command": "GETRANGE", "reply": "-MOVED nonsense\r\n"}, "it is busy"),
    "cannot-save": ({"command": "SET", "reply": "-MISCONF Redis is configured to save\r\n"}, "cannot save"),
    "unknown-error": ({"command": "GETRANGE", "reply": "-XYZZY nothing happens\r\n"}, "replies with an error"),
    "no-scripts": ({"command": "EVAL", "reply": "-NOPERM this user has no permissions\r\n"}, "lacks a permission"),
    "no-redis": ({"command": "*", "reply": "HTTP/1.1 400 Bad Request\r\n\r\n"}, "not in Redis's protocol"),
    "killed-before-a-reply": ({"command": "GETRANGE", "hang_up": True}, "connection broke"),
    "killed-in-a-reply": ({"command": "GETRANGE", "cut": 3}, "connection broke"),
    "silent": ({"command": "GETRANGE", "hang": True}, SLOW),
    "silent-to-a-put": ({"command": "SET", "hang": True}, SLOW),
    "late": ({"command": "EVAL", "late": 1.0}, SLOW),
    "a-number-for-a-value": ({"command": "GETRANGE", "reply": ":7\r\n"}, "of another type"),
    "a-list-for-a-value": ({"command": "GETRANGE", "reply": "*1\r\n$1\r\nx\r\n"}, "of another type"),
    "text-for-a-lease": ({"command": "EVAL", "reply": "$5\r\nmaybe\r\n"}, "of another type"),
    "nonsense-for-the-latest-purge": ({"command": "GET", "reply": "$4\r\nsoon\r\n"}, "of another type"),
    "a-list-without-end": ({"command": "GETRANGE", "reply": "*1000000000\r\n"}, SLOW),
    "a-value-without-end": ({"command": "GETRANGE", "reply": "$1000000000\r\n" + "x" * 10_000_000}, "connection broke"),
    "replies-swapped": ({"command": "GETRANGE", "swap": True}, "of another type"),
}


@pytest.mark.parametrize("name", SCRIPTED)
def test_a_misbehaving_redis_costs_no_request(
    nginx: Start, scripted: Scripted, upstream: Upstream, fake: ScriptedRedis, pepper: Path, name: str
) -> None:
    script, says = SCRIPTED[name]
    # The first look of a connection is the one that tries it.
    later = {"after": 1} if script["command"] == "GETRANGE" and "circles" not in name else {}
    reply = {"reply": script["reply"].replace("PORT", str(fake.redis_port))} if "reply" in script else {}
    fake.script(**{**script, **later, **reply})
    store = directives(fake.url, pepper, patience(says))
    survives(gateway(nginx, store, scripted, upstream), scripted, says)


@contextmanager
def killed(redis: Redis) -> Iterator[None]:
    redis.stop(signal.SIGKILL)
    yield


@contextmanager
def stopped(redis: Redis) -> Iterator[None]:
    redis.kill(signal.SIGSTOP)
    yield
    redis.kill(signal.SIGCONT)


@contextmanager
def configured(redis: Redis, *settings: str) -> Iterator[None]:
    for setting in settings:
        redis.cli("CONFIG", "SET", *setting.split())
    yield


@contextmanager
def crowded(redis: Redis) -> Iterator[None]:
    redis.cli("CONFIG", "SET", "maxclients", "1")
    with socket.create_connection(("127.0.0.1", redis.port)):
        until(lambda: refuses(redis), "the server to be full")
        yield


def refuses(redis: Redis) -> bool:
    with socket.create_connection(("127.0.0.1", redis.port)) as other:
        other.sendall(b"PING\r\n")
        return other.recv(100).startswith(b"-ERR max number of clients")


@contextmanager
def replica(redis: Redis, serves: str) -> Iterator[None]:
    redis.cli("CONFIG", "SET", "replica-serve-stale-data", serves)
    redis.cli("REPLICAOF", "127.0.0.1", "1")
    yield


REAL: dict[str, tuple[Callable[[Redis], Any], str]] = {
    "down": (killed, "cannot be reached: connection refused"),
    "hangs": (stopped, SLOW),
    "full": (lambda redis: configured(redis, "maxmemory 1", "maxmemory-policy noeviction"), "out of memory"),
    "read-only": (lambda redis: replica(redis, "yes"), "it is a replica"),
    "replica-without-primary": (lambda redis: replica(redis, "no"), "it is busy, or its Cluster"),
    "too-few-replicas": (lambda redis: configured(redis, "min-replicas-to-write 1"), "it is a replica, or has too few"),
    "too-many-clients": (crowded, "store Redis"),
}


@pytest.mark.parametrize("name", REAL)
def test_a_failing_redis_costs_no_request(
    nginx: Start, scripted: Scripted, upstream: Upstream, own_redis: Servers, pepper: Path, name: str
) -> None:
    fault, says = REAL[name]
    redis = own_redis()
    server = gateway(nginx, directives(redis.url(), pepper, patience(says)), scripted, upstream)
    with fault(redis):
        survives(server, scripted, says)


@dataclass
class Door:
    """The login, and the error of a refused one."""

    url: Callable[[Redis], str]
    says: str
    trusts: bool = True


DOORS = {
    "wrong-password": Door(lambda redis: f"redis://gateway:wrong@127.0.0.1:{redis.port}/", "password were refused"),
    "no-password": Door(lambda redis: redis.url(), "requires a user and a password"),
    "no-permission": Door(lambda redis: f"redis://poor:poor@127.0.0.1:{redis.port}/", "its user lacks a permission"),
    "no-such-database": Door(lambda redis: f"redis://admin:admin@127.0.0.1:{redis.port}/99", "the database was refused"),
    "unknown-authority": Door(
        lambda redis: f"rediss://admin:admin@127.0.0.1:{redis.tls_port}/", "its certificate is not trusted", trusts=False
    ),
    "no-tls": Door(lambda redis: f"rediss://admin:admin@127.0.0.1:{redis.port}/", SLOW),
    "tls-and-nobody-said-so": Door(lambda redis: f"redis://admin:admin@127.0.0.1:{redis.tls_port}/", "connection broke"),
    "no-such-socket": Door(lambda redis: f"redis+unix://{redis.directory}/none.sock", "cannot be reached"),
    "no-such-name": Door(lambda redis: "redis://nowhere.invalid/", "cannot be reached"),
}  # fmt: skip


@pytest.fixture(scope="module")
def guarded_redis(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Redis]:
    redis = Redis(
        tmp_path_factory.mktemp("guarded"), tls=authority, login="~* +@all", options=("user poor on >poor ~x",)
    )
    with redis.start():
        yield redis


@pytest.mark.parametrize("name", DOORS)
def test_a_refused_login_costs_no_request(
    nginx: Start,
    scripted: Scripted,
    upstream: Upstream,
    guarded_redis: Redis,
    authority: Authority,
    pepper: Path,
    name: str,
) -> None:
    door = DOORS[name]
    trusted = f"credgate_store_ca_file {authority.ca};" if door.trusts else ""
    store = directives(door.url(guarded_redis), pepper, trusted, patience(door.says))
    survives(gateway(nginx, store, scripted, upstream), scripted, door.says)


def test_a_cluster_without_a_node_for_the_keys_costs_no_request(
    nginx: Start, scripted: Scripted, upstream: Upstream, own_redis: Servers, pepper: Path
) -> None:
    redis = own_redis(cluster=True)
    server = gateway(nginx, directives(redis.url(), pepper, PATIENT), scripted, upstream)
    survives(server, scripted, "its Cluster is being reconfigured")


# The values of a store that held a token.
PLANTED = {
    "another-type": ("redis.call('DEL', key) redis.call('RPUSH', key, 'x')", "of another type"),
    "a-huge-value": ("redis.call('SETRANGE', key, 50000000, 'x')", ""),
    "nothing-sealed": ("redis.call('SET', key, 'token')", ""),
    "an-empty-value": ("redis.call('SET', key, '')", ""),
    "a-bit-flipped": ("redis.call('SETBIT', key, 400, 1 - redis.call('GETBIT', key, 400))", ""),
    "half-a-value": ("redis.call('SET', key, string.sub(redis.call('GET', key), 1, 60))", ""),
}


@pytest.mark.parametrize("name", PLANTED)
def test_foreign_values_are_ignored(
    nginx: Start, scripted: Scripted, upstream: Upstream, redis: Redis, pepper: Path, name: str
) -> None:
    script, says = PLANTED[name]
    store = directives(redis.url(), pepper, PATIENT)
    assert status(gateway(nginx, store, scripted, upstream), ALICE) == "MISS"
    plant = (
        f"for _, key in ipairs(redis.call('KEYS', '{VALUES}*')) do {script} end return #redis.call('KEYS', '{VALUES}*')"
    )
    assert redis.cli("EVAL", plant, "0") == b"1"
    second = gateway(nginx, store, scripted, upstream)
    assert status(second, ALICE) == "MISS"
    assert counted(second, "misses") == 1
    assert scripted.state["token"] == 2
    if says:
        second.stop(signal.SIGQUIT)
        assert says in second.errors
    else:
        # It was put right.
        assert status(gateway(nginx, store, scripted, upstream), ALICE) == "SHARED"


def test_swapped_values_are_ignored(
    nginx: Start, scripted: Scripted, upstream: Upstream, fake: ScriptedRedis, pepper: Path
) -> None:
    store = directives(fake.url, pepper, PATIENT)
    first = gateway(nginx, store, scripted, upstream)
    assert [status(first, client) for client in (ALICE, BOB)] == ["MISS", "MISS"]
    fake.exchange()
    second = gateway(nginx, store, scripted, upstream)
    assert [status(second, client) for client in (ALICE, BOB)] == ["MISS", "MISS"]
    assert scripted.state["token"] == 4
    third = gateway(nginx, store, scripted, upstream)
    assert [status(third, client) for client in (ALICE, BOB)] == ["SHARED", "SHARED"]


def test_a_replayed_expired_value_is_ignored(
    nginx: Start, scripted: Scripted, upstream: Upstream, redis: Redis, pepper: Path
) -> None:
    store = directives(redis.url(), pepper, PATIENT)
    scripted.script(merge={"expires_in": 2})
    first = gateway(nginx, store, scripted, upstream, "credgate_eagerly_expire 0s")
    assert status(first, ALICE) == "MISS"
    key = redis.cli("EVAL", f"return redis.call('KEYS', '{VALUES}*')[1]", "0")
    kept = subprocess.run(
        ["redis-cli", "-p", str(redis.port), "EVAL", f"local key = redis.call('KEYS', '{VALUES}*')[1] "
         "redis.call('SET', 'kept', redis.call('GET', key)) return redis.call('SET', 'key', key)", "0"],
        check=True, capture_output=True, timeout=20,
    )  # fmt: skip
    assert key and b"OK" in kept.stdout
    until(lambda: redis.keys("v") == 0, "its end")
    redis.cli("EVAL", "redis.call('SET', redis.call('GET', 'key'), redis.call('GET', 'kept')) return 1", "0")
    assert redis.keys("v") == 1
    assert status(gateway(nginx, store, scripted, upstream, "credgate_eagerly_expire 0s"), ALICE) == "MISS"
    assert scripted.state["token"] == 2


def test_the_matrix_has_thirty_faults() -> None:
    """With those of an SQLite file, in the next file, and of the core."""
    assert len({*SCRIPTED, *REAL, *DOORS, *PLANTED}) >= 40
