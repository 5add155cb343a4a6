"""Programs that exit during an exchange print nothing and exit with status 0."""

import os

import pytest

from support.lab import Scripted
from support.process import until
from support.python import Program, run

TIMES = 40 if os.environ.get("CREDGATE_LONG") else 2

WAITING_THREAD = """
import threading
threading.Thread(target=gate.token, args=("a", "b"), daemon=True).start()
while credgate.report()["waiting"] == 0: pass
"""
WAITING_TASK = """
import asyncio
async def main():
    task = asyncio.create_task(gate.authenticate_async(client_id="a", client_secret="b"))
    while credgate.report()["waiting"] == 0: await asyncio.sleep(0)
"""

ENDINGS = {
    "without-a-request": "",
    "after-a-denial": "gate.authenticate()",
    "in-a-daemon-thread": WAITING_THREAD,
    "in-sixteen-daemon-threads": """
        import threading
        for number in range(16):
            threading.Thread(target=gate.token, args=(f"c{number}", "b"), daemon=True).start()
        while credgate.report()["waiting"] < 16: pass
    """,
    "by-sys-exit": WAITING_THREAD + "sys.exit(0)",
    "by-os-exit": WAITING_THREAD + "import os; os._exit(0)",
    "in-a-task": WAITING_TASK + "asyncio.run(main())",
    "in-a-task-of-uvloop": WAITING_TASK + "import uvloop; uvloop.run(main())",
    "in-an-abandoned-coroutine": """
        import asyncio
        loop = asyncio.new_event_loop()
        waiting = gate.authenticate_async(client_id="a", client_secret="b")
        async def first():
            # One step, without a task: a pending task would log a warning.
            try:
                future = waiting.send(None)
            except StopIteration:
                raise AssertionError
            assert asyncio.isfuture(future)
        loop.run_until_complete(first())
        loop.close()
    """,
    "after-close": WAITING_THREAD + "credgate.close()",
    "with-a-request-at-exit": """
        import atexit
        atexit.register(lambda: gate.authenticate())
        gate.authenticate()
    """,
    "with-objects-in-a-cycle": """
        class Node: pass
        node = Node()
        node.node, node.gate, node.outcome = node, gate, gate.authenticate()
        sys.node = node
    """,
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_program_exits_quietly_during_an_exchange(scripted: Scripted, ending: str) -> None:
    scripted.hold()
    for _ in range(TIMES):
        assert run(scripted.issuer, ENDINGS[ending]) == ""


def test_exit_waits_for_a_non_daemon_thread(scripted: Scripted) -> None:
    scripted.hold()
    program = Program(scripted.issuer, """
        import threading
        threading.Thread(target=lambda: print(gate.token("a", "b").cache_status)).start()
    """)  # fmt: skip
    until(lambda: scripted.state["waiting"] == 1, "the exchange")
    scripted.release()
    assert program.end() == (0, "MISS\n", "")


def test_outcomes_may_arrive_during_interpreter_shutdown(scripted: Scripted) -> None:
    for _ in range(TIMES * 5):
        assert run(scripted.issuer, """
            import asyncio, threading
            def forever(number):
                while True:
                    gate.purge()
                    gate.token(f"c{number}", "b")
            async def loop():
                while True: await gate.token_async(f"c{credgate.report()['exchanges']}", "b")
            for number in range(4):
                threading.Thread(target=forever, args=(number,), daemon=True).start()
            threading.Thread(target=lambda: asyncio.run(loop()), daemon=True).start()
            while credgate.report()["exchanges"] < 20: pass
        """) == ""  # fmt: skip


def test_an_import_in_a_subinterpreter_works_or_raises(scripted: Scripted) -> None:
    run(scripted.issuer, """
        import _xxsubinterpreters as interpreters
        try:
            interpreters.run_string(interpreters.create(), "import credgate")
        except Exception as error:
            assert "interpreter" in str(error), error
    """)  # fmt: skip


IN_A_SUBINTERPRETER = """
import logging
seen = []
class Handler(logging.Handler):
    def emit(self, record): seen.append(record.getMessage())
logging.getLogger("credgate").addHandler(Handler())
import credgate
credgate.Gate(issuer="https://idp.example", ssl_verify=False)
assert len(seen) == 1 and seen[0].startswith("ssl_verify"), seen
"""


def test_a_record_goes_to_the_logger_of_the_interpreter_that_runs(scripted: Scripted) -> None:
    run(scripted.issuer, f"""
        import _xxsubinterpreters as interpreters
        credgate.Gate(issuer="https://idp.example", ssl_verify=False)
        try:
            interpreters.run_string(interpreters.create(), {IN_A_SUBINTERPRETER!r})
        except Exception as error:
            assert "do not yet support subinterpreters" in str(error), error
    """)  # fmt: skip
