"""A flood that breaks a bound is found: with limits switched off, with a provider that confuses clients, and in the figures."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from soak import hosts
from soak.cast import settings
from soak.flood.attack import BATCH, addresses, pipeline
from soak.flood.floods import FLOODS, Size
from soak.flood.limits import fetches, limit, refused_exchanges
from soak.flood.scene import MIB, Result, scene
from soak.provider import Provider
from soak.test_soak import Confused
from support.process import free_port

FEW = Size(secrets=3_000, kids=10_000, bodies=0, seconds=0, heads=0)


async def flood(directory: Path, provider: Provider | None = None, name: str = "secrets") -> Result:
    async with scene(directory, provider) as one:
        return await FLOODS[name](one, FEW)


def test_a_flood_of_wrong_secrets_keeps_its_budget(tmp_path: Path) -> None:
    result = asyncio.run(flood(tmp_path / "nginx"))
    assert result.problems == []
    assert result.statuses.total() == FEW.secrets and result.provider["token"] > 0 and result.warm > 0


def test_cached_refusals_leave_no_holes_in_the_heap(tmp_path: Path) -> None:
    result = asyncio.run(flood(tmp_path / "nginx", name="kids"))
    assert result.problems == []
    assert result.statuses == {401: FEW.kids}


def test_exchanges_beyond_the_budget_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    off = {f"refusals_per_{what}": 0 for what in ("client", "source", "gate")}
    monkeypatch.setattr(hosts, "settings", lambda issuer: {name: gate | off for name, gate in settings(issuer).items()})
    result = asyncio.run(flood(tmp_path / "nginx"))
    assert any("token requests, " in problem for problem in result.problems), result


def test_a_warm_client_with_the_token_of_another_is_found(tmp_path: Path) -> None:
    result = asyncio.run(flood(tmp_path / "nginx", Confused(free_port())))
    assert any("failures of warm clients" in problem for problem in result.problems), result


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"statuses": Counter({401: 1, 200: 1})}, "attackers got {200: 1}"),
        ({"provider": {"jwks": 3}}, "3 jwks requests, 2 at most"),
        ({"memory": 2.0 * MIB}, "a worker grew by 2.0 MiB"),
        ({"failures": ["x"]}, "1 failures"),
        ({"warm": 0}, "no warm client worked"),
    ],
)
def test_a_figure_beyond_its_bound_is_a_problem(change: dict[str, object], problem: str) -> None:
    good = {"statuses": Counter({401: 1}), "provider": {"jwks": 2}, "warm": 1, "memory": 1.0}
    result = Result("a flood", budget={"jwks": 2}, bound=1.0 * MIB, **{**good, **change})  # type: ignore[arg-type]
    result.check({401})
    assert len(result.problems) == 1 and problem in result.problems[0], result


def test_budgets_are_those_of_the_documentation() -> None:
    assert limit("Cached refusals") == 10_000
    # 300 a minute and 64 in progress, in each worker.
    assert refused_exchanges(2, 60, 100) == 2 * (300 + 300 + 64)
    # Of one address, 60 a minute.
    assert refused_exchanges(1, 0, 1) == 60 + 64
    assert fetches(2, 90) == 2 * (2 + 3)


def test_an_attacker_counts_every_response() -> None:
    async def run() -> Counter[int]:
        async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await reader.readuntil(b"\r\n\r\n"):
                # In pieces, so that a status line may be split.
                for piece in (b"HTTP/1.1 4", b"01 No\r\nContent-Length: 2\r\n\r\n{}"):
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)

        server = await asyncio.start_server(respond, "127.0.0.1", port := free_port())
        async with server:
            return await pipeline(port, addresses(1)[0], lambda: b"GET / HTTP/1.1\r\n\r\n", BATCH + 5)

    assert asyncio.run(run()) == {401: BATCH + 5}
