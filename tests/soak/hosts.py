"""The hosts of a soak: nginx with Redis, nginx with SQLite, Lua with the same Redis, and a Python process with another SQLite."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faults.hosts import start_lua, start_nginx, start_python
from soak.cast import settings
from soak.upstream import Upstream
from support.nginx import Nginx, location
from support.process import Service
from support.redis import Redis
from support.store import a_pepper

WORKERS = 2
STORE_TIMEOUT = 1000
"""Milliseconds: more than the default, because other programs use this machine too."""


@dataclass
class Host:
    """A running host. `store` is the name of its store."""

    name: str
    service: Service
    store: str

    @property
    def is_header_only(self) -> bool:
        return not isinstance(self.service, Nginx)

    @property
    def processes(self) -> dict[str, int]:
        """Its processes by role."""
        roles = {f"{self.name} {'master' if isinstance(self.service, Nginx) else 'process'}": self.service.pid}
        if isinstance(self.service, Nginx):
            # A worker that leaves after a reload is no sample of the new ones.
            roles |= {f"{self.name} worker {pid}": pid for pid in self.service.workers}
        return roles


@dataclass
class Stage:
    """All hosts, and the store that can be killed."""

    hosts: list[Host]
    redis: Redis
    files: dict[str, Path]

    @property
    def nginxes(self) -> list[Host]:
        return [host for host in self.hosts if isinstance(host.service, Nginx)]


@contextmanager
def running(directory: Path, upstream: Upstream, issuer: str) -> Iterator[Stage]:
    gates = settings(issuer)
    directory.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        redis = stack.enter_context(Redis(directory / "redis").start())
        shared = {"store": redis.url(), "store_pepper_file": str(a_pepper(directory))}
        files = {name: directory / name / "store/tokens.db" for name in ("sqlite", "python")}
        of_python = {"store": f"sqlite:{files['python']}"}
        lua = start_lua(directory / "lua", upstream, gates, patient(shared), workers=WORKERS, quiet=True)
        python = start_python(directory / "python", upstream, gates, patient(of_python))
        hosts = [
            Host("nginx", nginx(directory / "nginx", upstream, shared, issuer), "redis"),
            Host("sqlite", nginx(directory / "sqlite", upstream, {"store": f"sqlite:{files['sqlite']}"}, issuer), "sqlite"),
            Host("lua", lua.service, "redis"),
            Host("python", python.service, "python"),
        ]
        for host in hosts:
            host.service.start()
            stack.callback(host.service.stop)
        yield Stage(hosts, redis, files)


def nginx(directory: Path, upstream: Upstream, store: dict[str, Any], issuer: str, more: str = "") -> Nginx:
    more += location("= /purge", "credgate_purge")
    server = start_nginx(directory, upstream, settings(issuer), patient(store), more, workers=WORKERS, quiet=True).service
    assert isinstance(server, Nginx)
    return server


def patient(store: dict[str, Any]) -> dict[str, Any]:
    """Settings of a store, with more time for it."""
    return {**store, "store_timeout": STORE_TIMEOUT}
