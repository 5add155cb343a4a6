"""A process that works with a shared store until it is killed, or has done its part."""

import logging
import os
import random
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import credgate

from faults.history import GATES

COUNT_EVERY = 200
"""Operations between two lines about failures of the store."""

THINK = 0.001
"""The pause before each operation of a worker that keeps all tokens, in seconds."""


@dataclass(frozen=True)
class Work:
    """The part of a worker."""

    directory: Path
    issuer: str
    engine: dict[str, Any]
    clients: int
    # Operations of each thread.
    operations: int
    threads: int = 2
    # Probabilities of an operation.
    purge: float = 0.002
    purge_all: float = 0.0001
    wrong: float = 0.002


def main(number: int, work: Work) -> None:
    logging.disable()
    # One of three keeps all tokens, and has time to think; the others go to the store almost every time.
    keeps_all = number % 3 == 0
    store = work.engine["store"].format(number=number)
    credgate.configure(**{**work.engine, "store": store}, cache_max_entries=10_000 if keeps_all else 16)
    settings = {"issuer": work.issuer, "allow_loopback_http": True, "traceparent": True}
    unlimited = {"refusals_per_client": 0, "refusals_per_gate": 0}
    gates = {audience: credgate.Gate({**settings, **unlimited, "audience": audience}) for audience in GATES}
    threads = [threading.Thread(target=operate, args=(number, thread, work, gates, THINK if keeps_all else 0)) for thread in range(work.threads)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()


def operate(number: int, thread: int, work: Work, gates: dict[str, credgate.Gate], think: float) -> None:
    chance = random.Random(os.urandom(16))
    file = os.open(work.directory / f"worker-{number}-{thread}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(*words: object) -> None:
        os.write(file, (" ".join(map(str, words)) + "\n").encode())

    for count in range(1, work.operations + 1):
        operation = f"{number}-{thread}-{count}"
        client = f"client-{chance.randrange(work.clients)}"
        kind = chance.random()
        if kind < work.purge:
            target = "*" if kind < work.purge_all else client
            note("purge", operation, time.monotonic_ns(), target)
            credgate.purge(None if target == "*" else client)
            note("purged", operation, time.monotonic_ns())
            continue
        gate = chance.choice(GATES)
        time.sleep(think)
        is_wrong = kind > 1 - work.wrong
        secret = f"{'wrong' if is_wrong else 'secret'}-of-{client}"
        trace = f"00-{number:08x}{thread:04x}{count:020x}-{1:016x}-01"
        note("op", operation, time.monotonic_ns(), f"{client}/{gate}", "wrong" if is_wrong else "right")
        outcome = gates[gate].authenticate(client_id=client, client_secret=secret, traceparent=trace)
        now = time.monotonic_ns()
        if outcome.allowed:
            note("end", operation, now, outcome.cache_status, outcome.access_token)
        else:
            note("end", operation, now, f"{outcome.cache_status}:{outcome.cause}", "-")
        if count % COUNT_EVERY == 0:
            note("failures", time.monotonic_ns(), credgate.report()["store"]["failures"])
    os.close(file)
