"""The cost of a hit in Python: `python -m bench.python [--rounds N] [--seconds N]`.

Calls are made one after the other in one thread; the cases run in shuffled rounds of one process.
"""

import asyncio
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import credgate
import credgate.asgi

from bench.cases import MACHINE
from bench.figures import Table, options, quartiles, spread, write
from support.lab import Provider
from support.python import gate

FLOOR = "dict"
BURST = 1000
"""Calls between two looks at the clock."""


@dataclass(frozen=True)
class Call:
    """A way to come by a token that is known already: `once` is a function, or a coroutine function."""

    name: str
    what: str
    once: Callable[[], Any]


def cases(issuer: str) -> Iterator[Call]:
    """Each ends with the value of an Authorization header, of the same client at the same provider."""
    with_provider = gate(issuer, refresh_ahead=1)
    header = MACHINE.basic["Authorization"]
    known = {header: with_provider.token(MACHINE.id, MACHINE.secret).access_token}

    def dictionary() -> str:
        return f"Bearer {known[header]}"

    def hit() -> str | None:
        outcome = with_provider.authenticate(authorization=header)
        return outcome.authorization if outcome.allowed else None

    def request() -> str | None:
        outcome = with_provider.authenticate(
            method="GET", authorization=header, query="page=1", content_type=None, body=None
        )
        return outcome.authorization if outcome.allowed else None

    def token() -> str:
        return with_provider.token(MACHINE.id, MACHINE.secret).authorization

    async def empty() -> str:
        return f"Bearer {known[header]}"

    async def hit_async() -> str | None:
        outcome = await with_provider.authenticate_async(authorization=header)
        return outcome.authorization if outcome.allowed else None

    async def token_async() -> str:
        return (await with_provider.token_async(MACHINE.id, MACHINE.secret)).authorization

    app = credgate.asgi.Middleware(respond, with_provider)

    async def asgi_bare() -> None:
        await respond(scope(header), nothing, ignore)

    async def asgi() -> None:
        await app(scope(header), nothing, ignore)

    yield Call(FLOOR, "a dict that is asked for the header itself, and an f-string", dictionary)
    yield Call("hit", "Gate.authenticate, credentials in Basic", hit)
    yield Call("request", "the same, shown all parts of a request", request)
    yield Call("token", "Gate.token, id and secret at hand", token)
    yield Call("dict_async", "the dict in a coroutine", empty)
    yield Call("hit_async", "await Gate.authenticate_async, credentials in Basic", hit_async)
    yield Call("token_async", "await Gate.token_async", token_async)
    yield Call("asgi_bare", "an ASGI application that responds with 200", asgi_bare)
    yield Call("asgi", "the same, behind credgate.asgi.Middleware", asgi)


def scope(authorization: str) -> dict[str, Any]:
    """A request as a server passes it on."""
    headers = {"host": "api.example.com", "user-agent": "curl/8.5.0", "accept": "*/*", "authorization": authorization}
    return {
        "type": "http", "method": "GET", "path": "/orders", "query_string": b"page=1", "client": ("127.0.0.1", 51234),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip


async def respond(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def nothing() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def ignore(_message: Any) -> None:
    pass


async def burst(call: Call) -> float:
    """Nanoseconds of one call, of a burst of them."""
    times = range(BURST)
    once: Callable[[], Any] | Callable[[], Awaitable[Any]] = call.once
    if asyncio.iscoroutinefunction(once):
        before = time.perf_counter_ns()
        for _ in times:
            await once()
    else:
        before = time.perf_counter_ns()
        for _ in times:
            once()
    return (time.perf_counter_ns() - before) / BURST


async def round_of(call: Call, seconds: float) -> float:
    """The minimum of many bursts: other load on the machine only adds to it."""
    end = time.perf_counter() + seconds
    best = await burst(call)
    while time.perf_counter() < end:
        best = min(best, await burst(call))
    return best


async def measure(calls: list[Call], rounds: int, seconds: float) -> dict[str, list[float]]:
    expected = [call.once() for call in calls if not asyncio.iscoroutinefunction(call.once)]
    assert len(set(expected)) == 1 and expected[0], "all have the same token"
    costs: dict[str, list[float]] = {call.name: [] for call in calls}
    for number in range(rounds):
        print(f"· round {number + 1} of {rounds} ...", flush=True)
        for call in random.sample(calls, len(calls)):
            costs[call.name].append(await round_of(call, seconds))
    return costs


def figures(calls: list[Call], costs: dict[str, list[float]]) -> dict[str, Any]:
    return {
        "cases": {
            call.name: {
                "what": call.what,
                "nanoseconds": [round(cost) for cost in costs[call.name]],
                "ratio_to_dict": [
                    round(value, 2)
                    for value in quartiles(
                        [own / floor for own, floor in zip(costs[call.name], costs[FLOOR], strict=True)]
                    )
                ],
            }
            for call in calls
        },
    }


def table(found: dict[str, Any]) -> Table:
    rows = [
        [f"`{name}`", f"{statistics.median(case['nanoseconds']):.0f}", spread(case["ratio_to_dict"]), case["what"]]
        for name, case in found["cases"].items()
    ]
    return Table("A cached token in Python", ("case", "ns per call", f"of `{FLOOR}`", "description"), rows)


def main() -> None:
    given = options()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="credgate-bench-")))
        provider = stack.enter_context(Provider([MACHINE], directory / "provider.log").start())
        calls = list(cases(provider.issuer))
        # The cases share the time that one of nginx has.
        found = figures(calls, asyncio.run(measure(calls, given.rounds, given.seconds / 10)))
    versions = f"{platform.python_implementation()} {platform.python_version()}, credgate {credgate.__version__}"
    conditions = f"{versions}, minima of {given.rounds} rounds"
    write({"python": {"conditions": conditions, **found, "tables": [table(found)]}})


if __name__ == "__main__":
    main()
