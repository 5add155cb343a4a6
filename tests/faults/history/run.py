"""Makes a history: workers, kills, and the provider."""

import multiprocessing
import random
import sys
import time
from contextlib import contextmanager
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from faults.history.check import Report, check
from faults.history.worker import Work, main
from support.process import Service, free_port
from support.redis import Redis
from support.store import a_pepper

STORES = ("sqlite", "redis")
STORE_TIMEOUT = 5_000
"""`store_timeout`, in milliseconds: a busy machine is no failure of the store."""


@contextmanager
def engine(store: str, directory: Path) -> Iterator[dict[str, Any]]:
    """The options of all engines."""
    options = {"store_timeout": STORE_TIMEOUT}
    if store == "sqlite":
        yield {**options, "store": f"sqlite:{directory}/store/tokens.db"}
        return
    with Redis(directory / "redis").start() as redis:
        yield {**options, "store": redis.url(), "store_pepper_file": str(a_pepper(directory))}


def make(
    store: str,
    directory: Path,
    *,
    operations: int,
    workers: int = 4,
    clients: int = 100,
    kill_every: float = 0.7,
    of_each: bool = False,
) -> Path:
    """Makes a history of about as many operations, and returns its directory. `of_each`: SQLite stores that are not
    shared."""
    events = directory / "history"
    events.mkdir(parents=True)
    port = free_port()
    command = [sys.executable, "-m", "faults.history.provider", str(port), str(events / "provider")]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["faults.history.worker"])
    with engine(store, directory) as options, Service(command, directory / "provider.log", port=port).start():
        if of_each:
            options["store"] = options["store"].replace("/store/", "/store-{number}/")
        work = Work(events, f"http://127.0.0.1:{port}", options, clients, operations)
        team = Team(context, work, workers)
        while team.done() < operations:
            time.sleep(kill_every * random.uniform(0.5, 1.5))
            team.kill_one()
        team.stop()
    return events


class Team:
    """The workers. One that is killed is replaced."""

    def __init__(self, context: Any, work: Work, workers: int):
        self.context, self.work, self.number = context, work, 0
        self.log = (work.directory / "runner").open("a", buffering=1)
        self.running: dict[int, Any] = {}
        for _ in range(workers):
            self.start_one()

    def start_one(self) -> None:
        self.number += 1
        process = self.context.Process(target=main, args=(self.number, self.work), daemon=True)
        process.start()
        self.running[self.number] = process

    def kill_one(self) -> None:
        self.end(random.choice(list(self.running)))
        self.start_one()

    def end(self, number: int) -> None:
        process = self.running.pop(number)
        process.kill()
        process.join()
        self.log.write(f"killed {time.monotonic_ns()} {number}\n")

    def stop(self) -> None:
        for number in list(self.running):
            self.end(number)
        self.log.close()

    def done(self) -> int:
        """The operations so far, by the size of the files: a request takes two lines."""
        size = sum(file.stat().st_size for file in self.work.directory.glob("worker-*"))
        return size // BYTES


BYTES = 115
"""Of an operation in a history, at least."""


def measure(directory: Path, *, operations: int) -> dict[str, Report]:
    """Makes and checks a history of each store."""
    return {store: check(make(store, directory / store, operations=operations)) for store in STORES}
