"""Forked and spawned children, during exchanges of the parent."""

import asyncio
import multiprocessing
import os
import random
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

import credgate
import pytest

from support import children
from support.lab import Scripted
from support.process import until
from support.python import gate, library_threads, run

FORKS = 1000 if os.environ.get("CREDGATE_LONG") else 60
PAIR = "client_id=a&client_secret=b"


def fork(work: Callable[[], object]) -> int:
    """Forks a child that runs `work` and exits; an alarm kills it after 60 s."""
    child = os.fork()
    if child:
        return child
    signal.alarm(60)
    try:
        work()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def ended(child: int) -> int:
    """The exit status of a child; negative if a signal killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@contextmanager
def traffic(with_provider: credgate.Gate) -> Iterator[list[int]]:
    """Continuous exchanges in threads and in an event loop, with their counts."""
    stop, counts, errors = threading.Event(), [0, 0, 0], list[BaseException]()

    def threads(number: int) -> None:
        try:
            while not stop.is_set():
                with_provider.token(f"client{number}", "s")
                counts[number] += 1
        except BaseException as error:
            errors.append(error)

    async def loop() -> None:
        while not stop.is_set():
            await asyncio.gather(*(with_provider.token_async(f"loop{number}", "s") for number in range(5)))
            counts[2] += 1

    running = [threading.Thread(target=threads, args=(number,)) for number in range(2)]
    running.append(threading.Thread(target=lambda: asyncio.run(loop())))
    for thread in running:
        thread.start()
    try:
        until(lambda: all(counts), "traffic")
        yield counts
    finally:
        stop.set()
        for thread in running:
            thread.join(60)
    assert not errors, errors


def test_a_child_forked_at_any_moment_works(scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer, cache_tokens=False)
    dice = random.Random(4711)

    def work() -> None:
        assert with_provider.authenticate(query=PAIR).allowed
        assert asyncio.run(with_provider.token_async("child", "s")).access_token == "token-of-child"

    with traffic(with_provider) as counts:
        for _ in range(FORKS):
            time.sleep(dice.random() / 200)  # a random moment of the traffic
            assert ended(fork(work)) == 0
        before = list(counts)
        until(lambda: all(now > then for now, then in zip(counts, before, strict=True)), "the parent's traffic")


def test_nested_forks_work(scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)

    def generation(depth: int) -> None:
        assert with_provider.authenticate(query=PAIR).cache_status == "MISS", "processes share no tokens"
        if depth:
            assert ended(fork(lambda: generation(depth - 1))) == 0
        assert with_provider.authenticate(query=PAIR).cache_status == "HIT"

    generation(4)
    assert scripted.state["token"] == 5


def test_a_parent_that_forks_while_waiting_gets_its_outcome(scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)
    scripted.hold()
    outcomes: list[credgate.Allow | credgate.Deny] = []
    waiting = threading.Thread(target=lambda: outcomes.append(with_provider.authenticate(query=PAIR)))
    waiting.start()
    until(lambda: scripted.state["waiting"] == 1, "the exchange")
    for _ in range(5):
        assert ended(fork(lambda: None)) == 0
    scripted.release()
    waiting.join(30)
    assert [outcome.cache_status for outcome in outcomes] == ["MISS"]


def test_a_child_without_requests_has_no_thread_and_exits_quietly(scripted: Scripted) -> None:
    assert run(scripted.issuer, """
        import os
        from pathlib import Path
        gate.authenticate(client_id="a", client_secret="b")
        child = os.fork()
        if child == 0:
            print(len(list(Path("/proc/self/task").iterdir())), flush=True)
            sys.exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    """) == "1\n"  # fmt: skip


def test_a_child_forked_in_a_coroutine_can_run_its_own_loop(scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)

    async def main() -> int:
        scripted.hold()
        task = asyncio.create_task(with_provider.authenticate_async(query=PAIR))
        while credgate.report()["waiting"] == 0:
            await asyncio.sleep(0)
        child = fork(lambda: asyncio.run(with_provider.authenticate_async(query="client_id=c&client_secret=d")))
        await asyncio.to_thread(until, lambda: scripted.state["waiting"] == 2, "the child's exchange")
        scripted.release()
        assert (await task).allowed
        return await asyncio.to_thread(ended, child)

    assert asyncio.run(main()) == 0


@pytest.mark.parametrize("order", [["thread", "loop"], ["loop", "thread"]], ids=["thread", "loop"])
def test_a_fork_in_c_is_detected_before_a_wait(scripted: Scripted, order: list[str]) -> None:
    assert run(scripted.issuer, f"""
        import asyncio, ctypes, os, signal
        ways = {{
            "thread": lambda pair: gate.authenticate(**pair),
            "loop": lambda pair: loop.run_until_complete(gate.authenticate_async(**pair)),
        }}
        loop = asyncio.new_event_loop()
        for number, way in enumerate(ways.values()):
            assert way({{"client_id": f"a{{number}}", "client_secret": "b"}}).cache_status == "MISS"
        child = ctypes.PyDLL(None).fork()
        if child == 0:
            signal.alarm(60)
            loops = [loop]  # collecting an open loop would warn
            for number, way in enumerate({order!r}):
                loop = asyncio.new_event_loop()
                loops.append(loop)
                assert ways[way]({{"client_id": f"c{{number}}", "client_secret": "b"}}).cache_status == "MISS"
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        loop.close()
    """) == "0\n"  # fmt: skip


def test_an_outcome_of_the_parent_is_usable_in_the_child(scripted: Scripted) -> None:
    allow = gate(scripted.issuer, purge_token_on_upstream_status_codes=[401]).authenticate(query=PAIR)
    assert allow.allowed

    def work() -> None:
        assert allow.access_token == "token-of-a"
        assert allow.note_upstream_status(401) is False, "the child's cache does not contain it"

    assert ended(fork(work)) == 0


def test_configure_and_close_work_in_the_child(scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)
    with_provider.authenticate(query=PAIR)

    def work() -> None:
        assert library_threads() == 0
        credgate.configure(max_waiting=5)
        assert credgate.report()["cache"]["entries"] == 0
        credgate.close()
        assert with_provider.authenticate(query=PAIR).cache_status == "MISS"
        credgate.close()

    assert ended(fork(work)) == 0
    assert with_provider.authenticate(query=PAIR).cache_status == "HIT"


def test_a_subprocess_inherits_no_descriptor(scripted: Scripted) -> None:
    scripted.hold()
    assert run(scripted.issuer, """
        import asyncio, subprocess
        async def main():
            task = asyncio.create_task(gate.authenticate_async(client_id="a", client_secret="b"))
            while credgate.report()["waiting"] == 0: await asyncio.sleep(0)
            # Without close_fds, Python would close them itself.
            print(subprocess.run(["ls", "-l", "/proc/self/fd"], close_fds=False, capture_output=True, text=True).stdout)
        asyncio.run(main())
    """).count("anon_inode") == 0  # fmt: skip


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_each_multiprocessing_worker_has_its_own_engine(scripted: Scripted, method: str) -> None:
    assert children.ask(scripted.issuer, "a")[1:] == ("MISS", "HIT")
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        results = list(pool.map(children.ask, [scripted.issuer] * 20, ["a"] * 20, timeout=120))
    missed = {pid for pid, first, _ in results if first == "MISS"}
    assert missed == {pid for pid, _, _ in results}, "each worker made one exchange"
    assert sorted(first for _, first, _ in results).count("MISS") == len(missed)
    assert {second for _, _, second in results} == {"HIT"}
    assert os.getpid() not in missed


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_denied_error_is_pickled_back_from_a_worker(scripted: Scripted, method: str) -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
        error = pool.submit(children.refused, scripted.issuer).exception(60)
    assert isinstance(error, credgate.DeniedError)
    assert (error.cause, error.http_status, error.retry_after) == ("credentials_refused", 401, None)


def test_a_gate_cannot_be_pickled(scripted: Scripted) -> None:
    assert children.sent(scripted.issuer) == "a Gate cannot be pickled: create one in each process, from its configuration"


def test_a_child_forked_in_a_signal_handler_gets_an_error(scripted: Scripted) -> None:
    """The fork happens in the middle of a wait, so the child returns into that wait."""
    with_provider = gate(scripted.issuer)
    scripted.hold()
    results: list[int] = []

    def handler(*_: object) -> None:
        results.append(os.fork())

    before = signal.signal(signal.SIGUSR1, handler)
    parent, main = os.getpid(), threading.main_thread().ident
    assert main
    threading.Thread(
        target=lambda: (
            until(lambda: scripted.state["waiting"] == 1, "the exchange"),
            signal.pthread_kill(main, signal.SIGUSR1),
            until(lambda: results, "the fork"),
            scripted.release(),
        )
    ).start()
    try:
        outcome = with_provider.authenticate(query=PAIR)
    except credgate.CredgateError as error:
        if os.getpid() != parent:
            os._exit(42 if "in another process" in str(error) else 1)
        raise
    if os.getpid() != parent:
        os._exit(1)
    signal.signal(signal.SIGUSR1, before)
    assert outcome.allowed
    assert ended(results[0]) == 42


def test_workers_forked_after_a_request_each_miss_once(scripted: Scripted) -> None:
    """As with `gunicorn --preload`: the application is loaded, and used, before the workers are forked."""
    assert run(scripted.issuer, """
        import os
        gate.authenticate(client_id="a", client_secret="b")
        children = []
        for _ in range(4):
            child = os.fork()
            if child == 0:
                statuses = [gate.authenticate(client_id="a", client_secret="b").cache_status for _ in range(3)]
                os._exit(0 if statuses == ["MISS", "HIT", "HIT"] else 1)
            children.append(child)
        print({os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children})
    """) == "{0}\n"  # fmt: skip


