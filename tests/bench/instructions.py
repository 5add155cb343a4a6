"""Instructions per request, by callgrind."""

import re
import signal
import subprocess
from pathlib import Path

from bench.cases import MACHINE, Case
from bench.proxy import Proxy
from support.http import Connection

WARMING = 3000
"""Requests before that: LuaJIT compiles what has run often."""
COUNTED = 300
"""Requests whose instructions are counted."""


def instructions(directory: Path, case: Case, upstream: int) -> dict[str, float]:
    """User-space instructions of the proxy for one request on a connection that is kept, by callgrind: all of them, and
    those of the C library's allocator, whose cost depends on the place of unrelated long-lived blocks in its heap."""
    out = directory / "callgrind.out"
    wrapper = ("valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}", "--quiet")
    with Proxy(directory / "nginx", case, upstream, wrapper=wrapper).start(120) as proxy:
        proxy.warm()
        connection = Connection(proxy.port, timeout=120)
        for _ in range(WARMING):
            connection.ask(headers=MACHINE.basic)
        switch = ["callgrind_control", "-i"]
        subprocess.run([*switch, "on", str(proxy.pid)], check=True, capture_output=True, timeout=60)
        for _ in range(COUNTED):
            assert connection.ask(headers=MACHINE.basic).status == 200
        subprocess.run([*switch, "off", str(proxy.pid)], check=True, capture_output=True, timeout=60)
        connection.close()
        proxy.stop(signal.SIGTERM, 60)
    text = out.read_text()
    totals = re.search(r"^totals: (\d+)", text, re.MULTILINE)
    assert totals, "callgrind counted nothing"
    return {"all": int(totals[1]) / COUNTED, "allocator": of_file(text, "malloc.c") / COUNTED}


def of_file(profile: str, name: str) -> int:
    """The instructions of one source file, in callgrind's format: names are numbered at their first use, and the line
    after `calls=` has the cost of the callee."""
    wanted, current, is_call, total = set[str](), "", False, 0
    for line in profile.splitlines():
        # The line of a callee may name a file first, too.
        if file := re.match(r"(c?)f[lie]=\((\d+)\)(?: (.*))?", line):
            if not file[1]:
                current = file[2]
            if file[3] and Path(file[3]).name == name:
                wanted.add(file[2])
        elif line.startswith("calls="):
            is_call = True
        elif re.match(r"[+*\-\d]", line):
            if current in wanted and not is_call:
                total += int(line.split()[-1])
            is_call = False
    assert wanted, f"no function of {name}: are the symbols of the C library (libc6-dbg) installed?"
    return total
