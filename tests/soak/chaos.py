"""The events of the chaos, drawn from a seeded deck, in which every kind comes as often as it should."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from soak.cast import CLIENTS
from soak.exchange import Request, encode, exchange
from soak.excuses import AFTER_A_KILLED_WORKER, AFTER_A_PROVIDER_FAULT, AFTER_A_STORE_KILL, Excuses
from soak.hosts import Host, Stage
from soak.judge import Judge, Purge
from soak.provider import FAULTS, Provider
from support.nginx import Nginx
from support.process import until

RESTLESS = ["reload"] * 5 + ["kill a worker"] * 4
"""Events that replace workers."""
QUIET = ["kill the store", "purge", "purge", "wave", "crowd leaves", *(f"provider: {fault}" for fault in FAULTS)]


@dataclass
class Deck:
    """Events in random order, all of them before any comes again."""

    chance: random.Random
    cards: list[str] = field(default_factory=list)
    withheld: list[str] = field(default_factory=list)

    def draw(self, is_restless: bool) -> str:
        while True:
            if not self.cards:
                self.cards = self.withheld + RESTLESS * (not self.withheld) + QUIET
                self.withheld = []
                self.chance.shuffle(self.cards)
            card = self.cards.pop()
            if is_restless or card not in RESTLESS:
                return card
            self.withheld.append(card)


@dataclass
class Chaos:
    """Causes events. `wave` and `crowd` send the requests of those two."""

    chance: random.Random
    stage: Stage
    provider: Provider
    excuses: Excuses
    judge: Judge
    wave: Callable[[], None]
    crowd: Callable[[], None]
    seconds: tuple[float, float]
    """The shortest and the longest fault."""

    def __post_init__(self) -> None:
        self.deck = Deck(self.chance)
        self.clock = asyncio.get_running_loop().time

    async def event(self, is_restless: bool) -> str:
        """Causes one, and returns its kind."""
        kind = self.deck.draw(is_restless)
        try:
            await self.cause(kind)
        except (TimeoutError, RuntimeError, OSError) as error:
            self.judge.wrong.append(f"{kind}: {error!r}")
        return kind

    async def cause(self, kind: str) -> None:
        match kind:
            case "reload":
                await asyncio.to_thread(_server(self.chance.choice(self.stage.nginxes)).reload)
            case "kill a worker":
                await self.kill_worker(self.chance.choice(self.stage.nginxes))
            case "kill the store":
                await self.kill_store()
            case "purge":
                await self.purge(self.chance.choice(CLIENTS).id)
            case "wave":
                self.wave()
            case "crowd leaves":
                self.crowd()
            case _:
                await self.provider_fault(kind.removeprefix("provider: "))

    async def provider_fault(self, fault: str) -> None:
        excuse = self.excuses.begin("provider", self.clock())
        await self.provider.break_down(fault)
        await asyncio.sleep(self.chance.uniform(*self.seconds))
        await self.provider.mend()
        excuse.end = self.clock() + AFTER_A_PROVIDER_FAULT

    async def kill_worker(self, host: Host) -> None:
        server = _server(host)
        victim = self.chance.choice(sorted(server.workers))
        excuse = self.excuses.begin(f"worker {host.name}", self.clock())
        excuse.end = self.clock() + AFTER_A_KILLED_WORKER
        os.kill(victim, signal.SIGKILL)
        alive = server.configured_workers

        def replaced() -> bool:
            return victim not in server.workers and len(server.workers) >= alive

        await asyncio.to_thread(until, replaced, "another worker")

    async def kill_store(self) -> None:
        redis = self.stage.redis
        excuse = self.excuses.begin("store", self.clock())
        redis.stop(signal.SIGKILL)
        await asyncio.sleep(self.chance.uniform(*self.seconds))
        await asyncio.to_thread(redis.start)
        excuse.end = self.clock() + AFTER_A_STORE_KILL

    async def purge(self, client_id: str) -> None:
        """Lua learns of it through the store, which it shares with nginx. The Python process is not asked."""
        begin, issued = self.clock(), time.time()
        raw = Request(encode(f"/purge?client_id={client_id}", "POST", {}))
        for host in self.stage.hosts:
            if host.name in ("nginx", "sqlite"):
                answer = await exchange(host.service.port, raw)
                if answer.status != 200 and not self.excuses.holds(f"worker {host.name}", answer.begin, answer.end):
                    self.judge.wrong.append(f"purge on {host.name}: {answer.status}")
        self.judge.purges[client_id] = Purge(begin, self.clock(), issued)


def _server(host: Host) -> Nginx:
    assert isinstance(host.service, Nginx)
    return host.service
