"""A run: traffic at a bounded rate, an event now and then, a sample now and then, and each answer judged."""

import asyncio
import random
import subprocess
import time
from collections import Counter
from collections.abc import Coroutine, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from soak.cast import CLIENTS, GATES, STRANGERS
from soak.chaos import Chaos
from soak.exchange import exchange, leave
from soak.excuses import Excuses
from soak.hosts import Stage, running
from soak.judge import Judge
from soak.log import Log
from soak.pace import Pace
from soak.provider import Provider
from soak.requests import Asked, Requests
from soak.samples import sample
from soak.upstream import Upstream
from support.nginx import Nginx
from support.process import free_port

SHARES = {"nginx": 45, "sqlite": 30, "lua": 20, "python": 5}
TICK = 0.04
FORGET = 60.0
"""Seconds after which a request of a client that has left is forgotten."""


class Run:
    """One soak."""

    def __init__(self, pace: Pace, chance: random.Random, stage: Stage, provider: Provider, upstream: Upstream, log: Log):
        self.pace, self.chance, self.stage, self.provider, self.upstream, self.log = (
            pace, chance, stage, provider, upstream, log,
        )  # fmt: skip
        self.excuses = Excuses()
        self.judge = Judge(provider.mint, self.excuses, {host.name: host.store for host in stage.hosts})
        self.requests = Requests(chance, provider.mint)
        self.chaos = Chaos(
            random.Random(chance.random()), stage, provider, self.excuses, self.judge, self.wave, self.crowd, pace.fault
        )
        self.hosts = {host.name: host for host in stage.hosts}
        self.left: dict[str, tuple[float, Asked]] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.events: Counter[str] = Counter()
        self.reported = 0
        self.clock = asyncio.get_running_loop().time
        self.begin = self.clock()

    @property
    def elapsed(self) -> float:
        return self.clock() - self.begin

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def whole(self) -> None:
        self.log.write("begin", time=time.time(), seconds=self.pace.seconds)
        async with asyncio.TaskGroup() as group:
            others = [group.create_task(self.cause()), group.create_task(self.observe())]
            try:
                await self.send()
            finally:
                for task in others:
                    task.cancel()
        await asyncio.sleep(1)
        self.forget(0)
        self.write_state()
        self.log.write("end", time=time.time(), elapsed=self.elapsed)

    async def send(self) -> None:
        names, shares = list(SHARES), list(SHARES.values())
        sent = 0
        while self.elapsed < self.pace.seconds:
            due = int(self.elapsed * self.pace.rate)
            # After a standstill of this machine nobody sends what was missed.
            sent = max(sent, due - int(self.pace.rate))
            for _ in range(due - sent):
                name = self.chance.choices(names, shares)[0]
                self.ask(self.requests.draw(name, self.hosts[name].is_header_only))
            sent = due
            await asyncio.sleep(TICK)

    def ask(self, asked: Asked) -> None:
        self.spawn(self.leave(asked) if asked.kind == "leaves" else self.exchange(asked))

    async def exchange(self, asked: Asked) -> None:
        answer = await exchange(self.hosts[asked.host].service.port, asked.request)
        self.judge.judge(asked, answer, self.upstream.seen.pop(asked.number, None))

    async def leave(self, asked: Asked) -> None:
        self.left[asked.number] = self.clock(), asked
        port = self.hosts[asked.host].service.port
        await leave(port, asked.request, self.chance.uniform(0.3, 1.5), self.chance.uniform(0, 0.004))
        self.judge.verdicts["leaves"] += 1

    def wave(self) -> None:
        """All clients at once."""
        for host in self.stage.hosts:
            for client in CLIENTS:
                for gate in GATES:
                    self.ask(self.requests.make("header", host.name, gate, client, host.is_header_only))

    def crowd(self) -> None:
        """A hundred clients that leave."""
        for _ in range(100):
            host = self.chance.choice(self.stage.nginxes)
            self.ask(self.requests.make("leaves", host.name, self.chance.choice(GATES), self.chance.choice(CLIENTS)))

    async def cause(self) -> None:
        """Events, until it is cancelled."""
        while True:
            await asyncio.sleep(self.chance.uniform(*self.pace.pause(self.elapsed)))
            begin = self.elapsed
            kind = await self.chaos.event(self.pace.is_restless(begin))
            self.events[kind] += 1
            self.log.write("event", event=kind, begin=round(begin, 1), end=round(self.elapsed, 1))

    async def observe(self) -> None:
        """Samples, until it is cancelled."""
        while True:
            await asyncio.sleep(self.pace.between_samples)
            self.forget(FORGET)
            for host in self.stage.hosts:
                for role, pid in host.processes.items():
                    if taken := sample(role, pid, round(self.elapsed, 1)):
                        self.log.write("sample", **asdict(taken))
            self.write_state()

    def forget(self, seconds: float) -> None:
        """Clients that left some time ago: not even their requests may carry a secret upstream."""
        for number, (time_left, asked) in list(self.left.items()):
            if self.clock() - time_left > seconds:
                del self.left[number]
                if (seen := self.upstream.seen.pop(number, None)) and (leak := self.judge.leak(asked, seen)):
                    self.judge.report(asked, None, leak)

    def write_state(self) -> None:
        for leak in self.upstream.leaks:
            self.judge.wrong.append(f"{leak}: the upstream got a secret")
        self.upstream.leaks.clear()
        for wrong in self.judge.wrong[self.reported :]:
            self.log.write("wrong", time=round(self.elapsed, 1), what=wrong)
        self.reported = len(self.judge.wrong)
        sizes = {f"{name}.db": file.stat().st_size for name, file in self.stage.files.items() if file.exists()}
        self.log.write(
            "state",
            elapsed=round(self.elapsed, 1),
            verdicts=self.judge.verdicts,
            wrong=self.reported,
            events=self.events,
            provider=self.provider.counts,
            stores=sizes | self.redis_sizes(),
            longest=round(self.judge.longest, 2),
            waiting=len(self.tasks),
        )

    def redis_sizes(self) -> dict[str, int]:
        """Nothing while it is down."""
        try:
            _, _, memory = self.stage.redis.cli("INFO", "memory").partition(b"used_memory:")
            return {"redis keys": int(self.stage.redis.cli("DBSIZE").split()[-1]), "redis bytes": int(memory.split()[0])}
        except (subprocess.CalledProcessError, ValueError, IndexError):
            return {}


async def soak(pace: Pace, seed: int, directory: Path, provider: Provider | None = None) -> None:
    """Runs, and writes the log."""
    provider, upstream = provider or Provider(free_port()), Upstream(free_port())
    await provider.listen()
    await upstream.listen()
    log = Log(directory / "log.jsonl")
    log.write("seed", seed=seed)
    with running(directory, upstream, provider.issuer) as stage:
        await Run(pace, random.Random(seed), stage, provider, upstream, log).whole()
        for finding in in_logs(stage):
            log.write("wrong", time=pace.seconds, what=finding)


def in_logs(stage: Stage) -> Iterator[str]:
    """Alarms of nginx, other than that of a killed worker, and secrets."""
    for host in stage.hosts:
        text = b"".join(file.read_bytes() for file in host.service.log.parent.glob("*.log"))
        for client in (*CLIENTS, *STRANGERS):
            if client.traces(text):
                yield f"{host.name} logged the secret of {client.id}"
        if isinstance(host.service, Nginx):
            for alarm in host.service.alarms():
                if "exited on signal 9" not in alarm:
                    yield f"{host.name} logged: {alarm[:300]}"
