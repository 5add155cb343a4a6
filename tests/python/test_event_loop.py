"""Waiting in an event loop, which the library wakes through a file descriptor."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import credgate
import pytest
import uvloop
from credgate import _credgate

from conftest import ALICE, BOB
from support.lab import Provider, Scripted
from support.process import until
from support.python import descriptors, gate

PAIR = "client_id=a&client_secret=b"
LOOPS: list[Callable[[], asyncio.AbstractEventLoop]] = [asyncio.new_event_loop, uvloop.new_event_loop]

Outcome = credgate.Allow | credgate.Deny
Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(params=LOOPS, ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine in a loop of either kind; the loop must report no error."""

    def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
        errors: list[Any] = []
        with asyncio.Runner(debug=True, loop_factory=request.param) as runner:
            runner.get_loop().set_exception_handler(lambda _, context: errors.append(context))
            result = runner.run(coroutine)
        assert errors == []
        return result

    return run


async def waiting(scripted: Scripted, count: int = 1) -> None:
    """Waits, without blocking the loop, until the provider holds `count` token requests."""
    while (await asyncio.to_thread(lambda: scripted.state["waiting"])) < count:
        await asyncio.sleep(0.005)


def spawn(with_provider: credgate.Gate, query: str = PAIR) -> "asyncio.Task[Outcome]":
    return asyncio.get_running_loop().create_task(with_provider.authenticate_async(query=query))


def test_a_miss_is_followed_by_a_hit(run: Run, provider: Provider) -> None:
    with_provider = gate(provider.issuer, scopes=["openid", "async-miss"])

    async def main() -> None:
        first = await with_provider.authenticate_async(authorization=ALICE.basic["Authorization"])
        assert first.allowed, first
        again = await with_provider.authenticate_async(method=b"GET", authorization=ALICE.basic["Authorization"])
        assert again.allowed
        assert (first.cache_status, again.cache_status) == ("MISS", "HIT")
        assert first.authorization == again.authorization

    run(main())
    assert provider.count["token"] == 1


def test_five_hundred_concurrent_misses_share_one_exchange(run: Run, scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)

    async def main() -> list[Outcome]:
        scripted.hold()
        tasks = [spawn(with_provider) for _ in range(500)]
        await waiting(scripted)
        assert not any(task.done() for task in tasks)
        scripted.release()
        return await asyncio.gather(*tasks)

    outcomes = run(main())
    assert scripted.state["token"] == 1
    assert sorted(outcome.cache_status for outcome in outcomes) == ["JOINED"] * 499 + ["MISS"]
    assert all(outcome.allowed for outcome in outcomes)


def test_each_of_fifty_clients_gets_its_own_token(run: Run, scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)

    async def main() -> list[credgate.Token]:
        ids = [f"client{number % 50}" for number in range(500)]
        return await asyncio.gather(*(with_provider.token_async(client, "s") for client in ids))

    tokens = run(main())
    assert [token.access_token for token in tokens] == [f"token-of-client{number % 50}" for number in range(500)]
    assert scripted.state["token"] == 50


def test_a_hit_needs_no_event_loop(scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)
    with_provider.authenticate(query=PAIR)
    with pytest.raises(StopIteration) as ended:
        with_provider.authenticate_async(query=PAIR).send(None)
    assert ended.value.value.cache_status == "HIT"
    with pytest.raises(StopIteration) as ended:
        with_provider.token_async("a", "b").send(None)
    assert ended.value.value.access_token == "token-of-a"


def test_a_miss_without_an_event_loop_raises_and_starts_no_exchange(scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)
    with pytest.raises(RuntimeError, match="no running event loop"):
        with_provider.authenticate_async(query=PAIR).send(None)
    assert scripted.state["token"] == 0


def test_the_loop_keeps_running_during_an_exchange(run: Run, scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)

    async def main() -> int:
        scripted.hold()
        task, steps = spawn(with_provider), 0
        await waiting(scripted)
        while steps < 1000:
            await asyncio.sleep(0)
            steps += 1
        assert not task.done()
        scripted.release()
        await task
        return steps

    assert run(main()) == 1000


def test_cancelling_the_leader_leaves_the_exchange_to_its_waiters(run: Run, scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)

    async def main() -> list[Outcome]:
        scripted.hold()
        leader, *others = [spawn(with_provider) for _ in range(3)]
        await waiting(scripted)
        leader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leader
        scripted.release()
        return await asyncio.gather(*others)

    assert sorted(outcome.cache_status for outcome in run(main())) == ["JOINED", "MISS"]
    assert scripted.state["token"] == 1


def test_an_exchange_with_all_waiters_cancelled_still_fills_the_cache(run: Run, scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)

    async def main() -> None:
        scripted.hold()
        tasks = [spawn(with_provider) for _ in range(3)]
        await waiting(scripted)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        scripted.release()

    run(main())
    until(lambda: with_provider.authenticate(query=PAIR).cache_status == "HIT", "the token")
    assert scripted.state["token"] == 1


def test_wait_for_times_out_during_an_exchange(run: Run, scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)

    async def main() -> Outcome:
        scripted.hold()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(with_provider.authenticate_async(query=PAIR), 0.001)
        scripted.release()
        return await with_provider.authenticate_async(query=PAIR)

    assert run(main()).allowed


def test_cancelling_after_the_outcome_arrived_does_not_affect_others(run: Run, scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)

    async def main() -> None:
        for number in range(100):
            tasks = [spawn(with_provider, f"client_id=c{number}&client_secret=s") for _ in range(3)]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            assert done
            for task in tasks:
                task.cancel()
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                assert isinstance(outcome, asyncio.CancelledError) or outcome.allowed

    run(main())
    assert credgate.report()["waiting"] == 0


def test_a_denial_and_an_invalid_argument_raise_when_awaited(run: Run, scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)

    async def main() -> None:
        for _ in range(2):
            with pytest.raises(credgate.DeniedError) as raised:
                await with_provider.token_async("a", "wrong")
            assert (raised.value.cause, raised.value.http_status) == ("credentials_refused", 401)
        assert not (await with_provider.authenticate_async()).allowed
        with pytest.raises(ValueError, match="no argument"):
            await with_provider.authenticate_async(query=PAIR, args={"audience": "x"})

    run(main())


def test_successive_loops_leak_no_descriptors(run: Run, scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer, cache_tokens=False)
    run(with_provider.authenticate_async(query=PAIR))
    before = descriptors()
    for _ in range(50):
        assert run(with_provider.authenticate_async(query=PAIR)).allowed
    assert descriptors() <= before + 2, "connections to the provider may come and go"


def test_loops_of_one_thread_get_their_own_outcomes(scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer, cache_tokens=False)
    loops = [make() for make in LOOPS * 2]
    for loop in loops:
        loop.run_until_complete(with_provider.authenticate_async(query=PAIR))
    before = descriptors()
    scripted.hold()
    tasks = [loop.create_task(with_provider.authenticate_async(query=PAIR)) for loop in loops]
    for loop in loops:
        loop.run_until_complete(waiting(scripted))
    scripted.release()
    for loop, task in zip(loops, tasks, strict=True):
        assert loop.run_until_complete(task).allowed
    assert descriptors() <= before + 2, "connections to the provider may come and go"
    for loop in loops:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def test_loops_of_several_threads_share_one_exchange(scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)
    outcomes: list[Outcome] = []

    async def main() -> None:
        outcomes.extend(await asyncio.gather(*(spawn(with_provider) for _ in range(20))))

    scripted.hold()
    threads = [threading.Thread(target=lambda: asyncio.run(main())) for _ in range(8)]
    for thread in threads:
        thread.start()
    until(lambda: credgate.report()["waiting"] == 160, "all requests to wait")
    scripted.release()
    for thread in threads:
        thread.join(30)
    assert sorted(outcome.cache_status for outcome in outcomes) == ["JOINED"] * 159 + ["MISS"]
    assert scripted.state["token"] == 1


def test_request_during_close_does_not_keep_the_engine_alive(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    with_provider = gate(provider.issuer)

    async def cache_status() -> str | None:
        outcome = await with_provider.authenticate_async(authorization=ALICE.basic["Authorization"])
        return outcome.cache_status if outcome.allowed else None

    with asyncio.Runner() as runner:
        close_engine = _credgate.close

        def close() -> None:
            assert runner.run(cache_status()) == "MISS"
            close_engine()

        monkeypatch.setattr(_credgate, "close", close)
        credgate.close()
        assert runner.run(cache_status()) == "MISS", "close dropped the token"
        assert runner.run(cache_status()) == "HIT"


def test_a_loop_closed_during_a_wait_is_cleaned_up(scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)
    scripted.hold()
    loop = asyncio.new_event_loop()
    task = loop.create_task(with_provider.authenticate_async(query=PAIR))
    loop.run_until_complete(waiting(scripted))
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    scripted.release()
    assert asyncio.run(with_provider.authenticate_async(query=PAIR)).allowed
    # Silences asyncio's own warning about a pending task.
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    coroutine = task.get_coro()
    assert coroutine
    coroutine.close()
    assert credgate.report()["waiting"] == 0


def test_task_groups_and_timeouts_accept_the_coroutines(run: Run, scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)

    async def main() -> None:
        for expected in ("MISS", "HIT"):
            async with asyncio.TaskGroup() as group, asyncio.timeout(30):
                task = group.create_task(with_provider.authenticate_async(query=PAIR))
            assert task.result().cache_status == expected

    run(main())


def test_bytes_and_str_are_the_same_request(run: Run, scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)

    async def main() -> list[str]:
        texts = await with_provider.authenticate_async(method="POST", query=PAIR, content_type="text/plain", body="x")
        others = await with_provider.authenticate_async(
            method=b"POST", query=PAIR.encode(), content_type=b"text/plain", body=bytearray(b"x")
        )
        return [texts.cache_status, others.cache_status]

    assert run(main()) == ["MISS", "HIT"]


def test_concurrent_requests_of_two_clients_do_not_mix(run: Run, provider: Provider) -> None:
    with_provider = gate(provider.issuer, scopes=["openid", "mix"])

    async def main() -> None:
        outcomes = await asyncio.gather(
            *(with_provider.authenticate_async(authorization=client.basic["Authorization"]) for client in (ALICE, BOB) * 20)
        )
        assert [outcome.client_id for outcome in outcomes if outcome.allowed] == ["alice", "bob"] * 20

    run(main())
