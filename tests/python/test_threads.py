"""Waiting on threads: the interpreter is released, and signal handlers run."""

import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import credgate
import pytest

from support.lab import Scripted
from support.process import until
from support.python import Program, gate

PAIR = "client_id=a&client_secret=b"


def test_sixteen_threads_make_one_exchange_per_client(scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)
    ids = [f"client{number % 40}" for number in range(800)]
    with ThreadPoolExecutor(16) as pool:
        tokens = list(pool.map(lambda client: with_provider.token(client, "s"), ids, timeout=60))
    assert [token.access_token for token in tokens] == [f"token-of-{client}" for client in ids]
    assert scripted.state["token"] == 40


def test_other_threads_keep_running_while_sixteen_wait(scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)
    scripted.hold()
    with ThreadPoolExecutor(16) as pool:
        waiting = [pool.submit(with_provider.token, f"c{number}", "s") for number in range(16)]
        until(lambda: credgate.report()["waiting"] == 16, "all to wait")
        # If one of them held the interpreter, this would not run.
        assert sum(range(100_000)) == 4_999_950_000
        assert not any(future.done() for future in waiting)
        scripted.release()
        assert {future.result(30).cache_status for future in waiting} == {"MISS"}


def test_busy_threads_keep_running_while_one_waits(scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)
    stop = threading.Event()
    counts = [0, 0]

    def spin(number: int) -> None:
        while not stop.is_set():
            counts[number] += 1

    spinning = [threading.Thread(target=spin, args=(number,)) for number in range(2)]
    for thread in spinning:
        thread.start()
    scripted.hold()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(with_provider.token, "a", "s")
        until(lambda: credgate.report()["waiting"] == 1, "the request to wait")
        before = list(counts)
        until(lambda: all(now > then + 1000 for now, then in zip(counts, before, strict=True)), "both to go on")
        scripted.release()
        assert future.result(30).access_token == "token-of-a"
    stop.set()
    for thread in spinning:
        thread.join(10)


def test_concurrent_hits_return_the_right_token(scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)
    for client in "abcdefgh":
        with_provider.token(client, "s")

    def hits(client: str) -> set[tuple[str, str]]:
        return {(token.cache_status, token.access_token) for token in (with_provider.token(client, "s") for _ in range(2000))}

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(hits, "abcdefgh")) == [{("HIT", f"token-of-{client}")} for client in "abcdefgh"]


def test_ctrl_c_ends_a_wait_but_not_the_exchange(scripted: Scripted) -> None:
    scripted.hold()
    program = Program(scripted.issuer, """
        try:
            gate.token("a", "b")
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        sys.stdin.read()
        while not hasattr(outcome := gate.authenticate(client_id="a", client_secret="b"), "access_token"): pass
        print(outcome.cache_status)
    """)  # fmt: skip
    until(lambda: scripted.state["waiting"] == 1, "the exchange")
    program.process.send_signal(signal.SIGINT)
    assert program.line() == "interrupted"
    assert scripted.state["waiting"] == 1, "the provider has not responded yet"
    scripted.release()
    status, out, err = program.end()
    assert (status, err) == (0, "")
    assert out.strip() in ("HIT", "MISS"), "a single waiter gets MISS"
    assert scripted.state["token"] == 1


def test_ctrl_c_ends_a_check(scripted: Scripted) -> None:
    scripted.hold()
    program = Program(scripted.issuer, """
        try:
            gate.check("a", "b")
        except KeyboardInterrupt:
            print("interrupted")
    """)  # fmt: skip
    until(lambda: scripted.state["waiting"] == 1, "the exchange")
    program.process.send_signal(signal.SIGINT)
    assert program.end() == (0, "interrupted\n", "")


def test_signal_handlers_run_during_a_wait(scripted: Scripted) -> None:
    scripted.hold()
    program = Program(scripted.issuer, """
        import signal
        signal.signal(signal.SIGUSR1, lambda *_: print("handled", flush=True))
        print(gate.token("a", "b").cache_status)
    """)  # fmt: skip
    until(lambda: scripted.state["waiting"] == 1, "the exchange")
    for _ in range(3):
        program.process.send_signal(signal.SIGUSR1)
        assert program.line() == "handled"
    scripted.release()
    assert program.end() == (0, "MISS\n", "")


def test_a_signal_received_by_another_thread_is_handled(scripted: Scripted) -> None:
    scripted.hold()
    program = Program(scripted.issuer, """
        import signal, threading
        signal.signal(signal.SIGUSR1, lambda *_: print("handled", threading.current_thread().name, flush=True))
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        print(gate.token("a", "b").cache_status)
    """)  # fmt: skip
    until(lambda: scripted.state["waiting"] == 1, "the exchange")
    program.process.send_signal(signal.SIGUSR1)
    assert program.line() == "handled MainThread"
    scripted.release()
    assert program.end() == (0, "MISS\n", "")


def test_the_librarys_thread_blocks_signals(scripted: Scripted) -> None:
    gate(scripted.issuer).token("a", "b")
    (task,) = [
        task for task in os.listdir("/proc/self/task")
        if open(f"/proc/self/task/{task}/comm").read().startswith("credgate-io")
    ]  # fmt: skip
    status = open(f"/proc/self/task/{task}/status").read()
    blocked = int(next(line for line in status.splitlines() if line.startswith("SigBlk")).split()[1], 16)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGUSR1, signal.SIGALRM):
        assert blocked & 1 << number - 1


def test_an_exception_in_a_signal_handler_ends_the_wait(scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)

    class Alarm(Exception):
        pass

    def ring(*_: object) -> None:
        raise Alarm

    scripted.hold()
    before = signal.signal(signal.SIGUSR2, ring)
    main = threading.main_thread().ident
    assert main

    def interrupt() -> None:
        until(lambda: scripted.state["waiting"] == 1, "the exchange")
        signal.pthread_kill(main, signal.SIGUSR2)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(Alarm):
            with_provider.authenticate(query=PAIR)
    finally:
        thread.join(30)
        signal.signal(signal.SIGUSR2, before)
    scripted.release()
    assert with_provider.authenticate(query=PAIR).allowed


def test_no_reference_to_the_arguments_is_kept(scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)
    secret = "".join(["s", "ecret", "1"])
    before = sys.getrefcount(secret)
    with_provider.token("a", secret)
    with_provider.authenticate(client_id="a", client_secret=secret)
    assert sys.getrefcount(secret) == before
