"""The scene of a flood: one nginx with two workers, its provider and its upstream, and warm clients, whose every answer is
judged."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from soak.cast import GATES, KNOWN
from soak.exchange import exchange
from soak.excuses import Excuses
from soak.hosts import WORKERS, nginx
from soak.judge import Judge
from soak.provider import Provider
from soak.requests import Asked, Requests
from soak.samples import sample
from soak.upstream import Upstream
from support.http import SOURCES
from support.nginx import Nginx
from support.process import free_port

RATE = 100.0
"""Requests of warm clients in a second."""
TICK = 0.05
MIB = 1024**2


@dataclass
class Result:
    """The figures of a flood. Provider requests are those beyond the warm clients' own; memory is the growth of a worker."""

    name: str
    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    provider: dict[str, int] = field(default_factory=dict)
    budget: dict[str, int] = field(default_factory=dict)
    warm: int = 0
    failures: list[str] = field(default_factory=list)
    memory: float = 0.0
    bound: float = 0.0
    problems: list[str] = field(default_factory=list)

    def check(self, allowed: set[int]) -> None:
        """`allowed` are the statuses that attackers may get."""
        if unexpected := {status: count for status, count in self.statuses.items() if status not in allowed}:
            self.problems.append(f"attackers got {unexpected}")
        for name, count in self.provider.items():
            if count > self.budget[name]:
                self.problems.append(f"{count} {name} requests, {self.budget[name]} at most")
        if self.memory > self.bound:
            self.problems.append(f"a worker grew by {self.memory / MIB:.1f} MiB, {self.bound / MIB:.1f} at most")
        if self.failures:
            self.problems.append(f"{len(self.failures)} failures of warm clients, such as {self.failures[:3]}")
        if self.warm == 0:
            self.problems.append("no warm client worked")

    def served(self, count: int) -> None:
        """`count` of the flood's requests have the right credentials, and must be served."""
        if self.statuses[200] != count:
            self.problems.append(f"{self.statuses[200]} of {count} requests with the right secret were served")


class Scene:
    """All parts of it, while they run."""

    def __init__(self, server: Nginx, provider: Provider, upstream: Upstream):
        self.server, self.provider, self.upstream = server, provider, upstream
        self.chance = random.Random(7)
        self.judge = Judge(provider.mint, Excuses(), {"nginx": "sqlite"})
        self.requests = Requests(self.chance, provider.mint)
        self.clock = asyncio.get_running_loop().time
        self.tasks: set[asyncio.Task[None]] = set()
        self.warm = 0
        self.peak = 0
        self.before: dict[int, int] = {}

    def memory(self) -> dict[int, int]:
        """Bytes by worker."""
        samples = (sample("", pid, 0) for pid in self.server.workers)
        return {one.pid: one.resident * 1024 for one in samples if one}

    async def ask(self, asked: Asked) -> None:
        answer = await exchange(self.server.port, asked.request)
        self.judge.judge(asked, answer, self.upstream.seen.pop(asked.number, None))
        self.warm += 1

    async def warm_up(self) -> None:
        """Each worker gets to know each client: connections reach the workers at random."""
        for _ in range(8):
            for gate in GATES:
                await asyncio.gather(*(self.ask(self.requests.make("header", "nginx", gate, one)) for one in KNOWN))
        self.before = self.memory()

    async def work(self) -> None:
        """The warm clients, until it is cancelled."""
        begin, sent = self.clock(), 0
        while True:
            due = int((self.clock() - begin) * RATE)
            for _ in range(min(due - sent, int(RATE))):
                kind, client = self.chance.choice([*SOURCES, "own"]), self.chance.choice(KNOWN)
                gate = "invoices" if kind == "own" else self.chance.choice(GATES)
                task = asyncio.create_task(self.ask(self.requests.make(kind, "nginx", gate, client)))
                self.tasks.add(task)
                task.add_done_callback(self.tasks.discard)
            sent = due
            now = self.memory()
            self.peak = max([self.peak, *(now[pid] - self.before.get(pid, 0) for pid in now)])
            await asyncio.sleep(TICK)

    async def during(self, name: str, flood: Coroutine[Any, Any, Counter[int]]) -> Result:
        """The figures of a flood, with warm clients meanwhile."""
        result, self.peak, self.warm = Result(name), 0, 0
        counts, begin, wrong = self.provider.counts.copy(), self.clock(), len(self.judge.wrong)
        working = asyncio.create_task(self.work())
        try:
            result.statuses = await flood
            result.seconds = self.clock() - begin
        finally:
            working.cancel()
        await asyncio.gather(*self.tasks)
        grown = self.provider.counts - counts
        result.provider = {
            "token": grown["token: refused"], "jwks": grown["jwks"], "metadata": grown["openid-configuration"],
        }  # fmt: skip
        result.warm, result.memory = self.warm, self.peak
        result.failures = self.judge.wrong[wrong:]
        if set(self.memory()) != set(self.before):
            result.problems.append("a worker died")
        return result


@asynccontextmanager
async def scene(directory: Path, provider: Provider | None = None) -> AsyncIterator[Scene]:
    provider, upstream = provider or Provider(free_port()), Upstream(free_port())
    await provider.listen()
    await upstream.listen()
    store = {"store": f"sqlite:{directory}/store/tokens.db"}
    server = nginx(directory, upstream, store, provider.issuer, "keepalive_requests 10000000;\n")
    assert server.configured_workers == WORKERS
    with server:
        one = Scene(server, provider, upstream)
        await one.warm_up()
        yield one
