"""Waiting in a run of trio, alone, through anyio, and as a guest of asyncio."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import credgate
import credgate.httpx
import credgate.httpx2
import httpx
import httpx2
import pytest
import trio
import trio.lowlevel

from conftest import ALICE
from support.lab import Provider, Scripted
from support.local import serving
from support.process import until
from support.python import descriptors, fresh_gate, gate, library_threads, run

PAIR = "client_id=a&client_secret=b"

Outcome = credgate.Allow | credgate.Deny


async def waiting(scripted: Scripted, count: int = 1) -> None:
    """Waits, without blocking the run, until the provider holds `count` token requests."""
    while (await trio.to_thread.run_sync(lambda: scripted.state["waiting"])) < count:
        await trio.sleep(0.005)


async def all_of(calls: list[Callable[[], Awaitable[Any]]]) -> list[Any]:
    """Awaits all calls at the same time."""
    results: list[Any] = [None] * len(calls)

    async def one(number: int) -> None:
        results[number] = await calls[number]()

    async with trio.open_nursery() as nursery:
        for number in range(len(calls)):
            nursery.start_soon(one, number)
    return results


def test_a_miss_is_followed_by_a_hit(provider: Provider) -> None:
    with_provider = fresh_gate(provider.issuer)

    async def main() -> list[str]:
        outcomes = [await with_provider.authenticate_async(authorization=ALICE.basic["Authorization"]) for _ in range(2)]
        return [outcome.cache_status for outcome in outcomes]

    assert trio.run(main) == ["MISS", "HIT"]
    assert provider.count["token"] == 1


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_anyio_runs_it_with_both_backends(backend: str, scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)

    async def main() -> list[str]:
        statuses: list[str] = []

        async def one() -> None:
            statuses.append((await with_provider.authenticate_async(query=PAIR)).cache_status)

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(one)
        return statuses

    assert sorted(anyio.run(main, backend=backend)) == ["JOINED"] * 19 + ["MISS"]


def test_five_hundred_concurrent_misses_share_one_exchange_and_one_descriptor(scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)
    scripted.hold()
    opened: list[int] = []

    async def release() -> None:
        await waiting(scripted)
        opened.append(descriptors())
        scripted.release()

    async def main() -> list[Outcome]:
        before = descriptors()
        *outcomes, _ = await all_of([lambda: with_provider.authenticate_async(query=PAIR)] * 500 + [release])
        assert opened[0] - before < 20
        return outcomes

    outcomes = trio.run(main)
    assert scripted.state["token"] == 1
    assert sorted(outcome.cache_status for outcome in outcomes) == ["JOINED"] * 499 + ["MISS"]


def test_each_of_fifty_clients_gets_its_own_token(scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)
    ids = [f"client{number % 50}" for number in range(500)]
    tokens = trio.run(all_of, [lambda client=client: with_provider.token_async(client, "s") for client in ids])
    assert [token.access_token for token in tokens] == [f"token-of-{client}" for client in ids]
    assert scripted.state["token"] == 50


def test_a_cancelled_wait_leaves_the_exchange_to_the_other_waiter(scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)
    scripted.hold()

    async def give_up() -> bool:
        with trio.move_on_after(0.05) as scope:
            await with_provider.authenticate_async(query=PAIR)
        scripted.release()
        return scope.cancelled_caught

    gave_up, outcome = trio.run(all_of, [give_up, lambda: with_provider.authenticate_async(query=PAIR)])
    assert gave_up and outcome.allowed
    assert scripted.state["token"] == 1
    assert credgate.report()["waiting"] == 0


def test_an_exchange_with_all_waiters_cancelled_still_fills_the_cache(scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)
    scripted.hold()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(lambda: with_provider.authenticate_async(query=PAIR))
            await waiting(scripted)
            nursery.cancel_scope.cancel()
        scripted.release()

    trio.run(main)
    until(lambda: with_provider.authenticate(query=PAIR).cache_status == "HIT", "the token")
    assert scripted.state["token"] == 1


def test_successive_runs_leak_no_descriptors(scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer, cache_tokens=False)

    async def main() -> None:
        assert (await with_provider.authenticate_async(query=PAIR)).allowed

    trio.run(main)
    before = descriptors()
    for _ in range(50):
        trio.run(main)
    assert descriptors() <= before + 2, "connections to the provider may come and go"


def test_close_during_a_wait_gives_the_outcome_and_then_a_new_engine(scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)
    scripted.hold()

    async def close() -> None:
        await waiting(scripted)
        await trio.to_thread.run_sync(credgate.close)
        scripted.release()

    async def main() -> list[str]:
        first, _ = await all_of([lambda: with_provider.authenticate_async(query=PAIR), close])
        with trio.fail_after(30):
            while library_threads():
                await trio.sleep(0.005)
        again = [await with_provider.authenticate_async(query=PAIR) for _ in range(2)]
        return [outcome.cache_status for outcome in (first, *again)]

    assert trio.run(main) == ["MISS", "MISS", "HIT"]


def test_close_after_the_run_releases_the_engine(scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)

    async def main() -> str:
        return (await with_provider.authenticate_async(query=PAIR)).cache_status

    assert trio.run(main) == "MISS"
    credgate.close()
    assert [trio.run(main), trio.run(main)] == ["MISS", "HIT"]


def test_a_run_in_another_thread_shares_the_exchange_of_an_asyncio_loop(scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)
    outcomes: list[Outcome] = []

    async def main() -> None:
        outcomes.append(await with_provider.authenticate_async(query=PAIR))

    scripted.hold()
    threads = [threading.Thread(target=target) for target in (lambda: trio.run(main), lambda: asyncio.run(main()))]
    for thread in threads:
        thread.start()
    until(lambda: credgate.report()["waiting"] == 2, "both to wait")
    scripted.release()
    for thread in threads:
        thread.join(30)
    assert sorted(outcome.cache_status for outcome in outcomes) == ["JOINED", "MISS"]


def test_trio_as_a_guest_of_asyncio_waits_in_its_own_run(scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer, cache_tokens=False)

    async def ask() -> bool:
        return (await with_provider.authenticate_async(query=PAIR)).allowed

    async def host() -> tuple[bool, bool]:
        loop = asyncio.get_running_loop()
        guest: asyncio.Future[Any] = loop.create_future()
        trio.lowlevel.start_guest_run(
            ask, run_sync_soon_threadsafe=loop.call_soon_threadsafe, done_callback=guest.set_result, host_uses_signal_set_wakeup_fd=True
        )
        return await ask(), (await guest).unwrap()

    assert asyncio.run(host()) == (True, True)


@pytest.mark.parametrize(("library", "module"), [(httpx, credgate.httpx), (httpx2, credgate.httpx2)], ids=["httpx", "httpx2"])
def test_auth_works_with_trio(library: Any, module: Any, provider: Provider) -> None:
    auth = module.Auth(fresh_gate(provider.issuer), ALICE.id, ALICE.secret)

    async def main() -> list[int]:
        async with library.AsyncClient(auth=auth, trust_env=False) as session:
            return [(await session.get(api.url)).status_code for _ in range(2)]

    with serving(lambda _: (200, {}, b"")) as api:
        assert trio.run(main) == [200, 200]
        assert len({seen.authorization for seen in api.seen}) == 1
    assert provider.count["token"] == 1


def test_the_package_does_not_import_trio(scripted: Scripted) -> None:
    program = """
        import asyncio
        assert asyncio.run(gate.authenticate_async(client_id="a", client_secret="b")).allowed
        print([name for name in sys.modules if name.partition(".")[0] in ("trio", "anyio", "sniffio")])
    """
    assert run(scripted.issuer, program) == "[]\n"


def test_a_half_imported_trio_does_not_disturb_asyncio(scripted: Scripted) -> None:
    program = """
        import asyncio, types
        sys.modules["trio.lowlevel"] = types.ModuleType("trio.lowlevel")
        print(asyncio.run(gate.authenticate_async(client_id="a", client_secret="b")).cache_status)
    """
    assert run(scripted.issuer, program) == "MISS\n"
