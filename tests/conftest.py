"""Fixtures: the laboratory once for all tests, nginx once for each."""

import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.http import Client
from support.lab import Authority, Provider, Scripted, Upstream
from support.nginx import Nginx
from support.redis import Redis, ScriptedRedis
from support.store import PATIENT, a_pepper, directives

# A shell that runs the tests in the background makes them, and the programs that they start, ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Secrets contain every kind of character that an encoding might change.
ALICE = Client("alice", "Kanarie7Qz+/%&=:?#x")
BOB = Client("bob", "Sperling4Wt~!@$^*(y)")
CAROL = Client("carol", "Amsel2Rk'\"<>,;|z")
DAVE = Client("dave", "Drossel9Lm`{}[]\\q")
CLIENTS = (ALICE, BOB, CAROL, DAVE)


@pytest.fixture(autouse=True)
def _engine() -> None:
    """In tests of the Python package, each test has an engine of its own: nothing is cached, all counts are zero."""
    if package := sys.modules.get("credgate"):
        package.close()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="session")
def _provider(logs: Path) -> Iterator[Provider]:
    with Provider(CLIENTS, logs / "provider.log").start() as provider:
        yield provider


@pytest.fixture(scope="session")
def _tls_provider(logs: Path, authority: Authority) -> Iterator[Provider]:
    with Provider(CLIENTS, logs / "tls-provider.log", tls=authority).start() as provider:
        yield provider


@pytest.fixture(scope="session")
def _scripted(logs: Path) -> Iterator[Scripted]:
    with Scripted(logs / "scripted.log").start() as scripted:
        yield scripted


@pytest.fixture(scope="session")
def _upstream(logs: Path) -> Iterator[Upstream]:
    with Upstream(logs / "upstream.log").start() as upstream:
        yield upstream


@pytest.fixture
def provider(_provider: Provider) -> Provider:
    """The certified provider, with its counts at zero."""
    _provider.reset()
    return _provider


@pytest.fixture
def tls_provider(_tls_provider: Provider) -> Provider:
    """The certified provider over https."""
    _tls_provider.reset()
    return _tls_provider


@pytest.fixture
def scripted(_scripted: Scripted) -> Iterator[Scripted]:
    """The provider that misbehaves on request; well-behaved so far."""
    _scripted.reset()
    yield _scripted
    _scripted.reset()


@pytest.fixture
def upstream(_upstream: Upstream) -> Upstream:
    """The upstream, with nothing seen."""
    _upstream.reset()
    return _upstream


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Callable[..., Nginx]]:
    """Starts an nginx; it must quit by itself at the end, with no alert in its log."""
    started: list[Nginx] = []

    def start(server: str, **options: Any) -> Nginx:
        instance = Nginx(tmp_path / f"nginx{len(started)}", server, **options)
        started.append(instance)
        return instance.start()

    yield start
    for instance in started:
        instance.stop(signal.SIGQUIT)
    assert not [alarm for instance in started for alarm in instance.alarms()]


@pytest.fixture(scope="session")
def _redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with Redis(tmp_path_factory.mktemp("redis")).start() as redis:
        yield redis


@pytest.fixture
def redis(_redis: Redis) -> Redis:
    """A real server, empty."""
    _redis.cli("FLUSHALL")
    return _redis


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[Callable[..., Redis]]:
    """Starts a server for one test."""
    started: list[Redis] = []

    def start(**options: object) -> Redis:
        server = Redis(tmp_path / f"redis{len(started)}", **options)  # type: ignore[arg-type]
        started.append(server)
        return server.start()

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="session")
def _scripted_redis(logs: Path) -> Iterator[ScriptedRedis]:
    with ScriptedRedis(logs / "scripted-redis.log").start() as fake:
        yield fake


@pytest.fixture
def fake(_scripted_redis: ScriptedRedis) -> ScriptedRedis:
    """The Redis that misbehaves on request; well-behaved so far."""
    _scripted_redis.reset()
    return _scripted_redis


@pytest.fixture
def pepper(tmp_path: Path) -> Path:
    return a_pepper(tmp_path)


@pytest.fixture
def shared_directory() -> Iterator[Path]:
    """A directory in memory that every user may traverse."""
    directory = Path(tempfile.mkdtemp(prefix="credgate-", dir="/dev/shm"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path, pepper: Path) -> str:
    """Directives for either store, empty so far."""
    if request.param == "sqlite":
        return directives(f"sqlite:{tmp_path}/store/tokens.db", None, PATIENT)
    redis: Redis = request.getfixturevalue("redis")
    return directives(redis.url(), pepper, PATIENT)
