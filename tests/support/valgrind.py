"""Runs memcheck, and selects the findings that are Credgate's."""

import signal
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.http import Client, Connection
from support.nginx import Nginx
from support.process import until

OURS = ("ngx_http_credgate", "libcredgate", "credgate_")
ALWAYS = {"InvalidRead", "InvalidWrite", "InvalidFree", "MismatchedFree", "InvalidJump", "Overlap"}
IF_OURS = {"UninitCondition", "UninitValue", "SyscallParam", "Leak_DefinitelyLost"}


def command(report: Path) -> list[str]:
    """The command prefix. Symbols of unloaded libraries are kept, because nginx unloads its modules at exit."""
    return [
        "valgrind",
        "--tool=memcheck",
        "--leak-check=full",
        "--show-leak-kinds=definite",
        "--num-callers=40",
        "--keep-debuginfo=yes",
        "--fair-sched=yes",
        "--xml=yes",
        f"--xml-file={report}",
    ]


def findings(report: Path) -> list[str]:
    """Memory faults anywhere, and leaks and uninitialised values with credgate in their stack."""
    found = []
    for error in ElementTree.parse(report).getroot().iter("error"):
        kind = error.findtext("kind") or ""
        frames = [f"{frame.findtext('fn') or '?'} ({frame.findtext('obj') or '?'})" for frame in error.iter("frame")]
        ours = any(name in frame for frame in frames for name in OURS)
        if kind in ALWAYS or (kind in IF_OURS and ours):
            text = error.findtext("what") or error.findtext("xwhat/text") or ""
            found.append(f"{kind}: {text}\n  " + "\n  ".join(frames))
    return found


@contextmanager
def clean(server: Nginx, report: Path) -> Iterator[None]:
    """Runs a server under `command(report)`; asserts no findings and no alerts in its log."""
    server.start(seconds=120)
    try:
        yield
    finally:
        server.stop(signal.SIGKILL)
    assert findings(report) == []
    assert server.alarms() == []


def quit_while_one_waits(server: Nginx, client: Client, target: str) -> Connection:
    """Tells the server to quit while a request of this client waits for its exchange."""
    pending = Connection(server.port)
    pending.send(**client.request("form", target))
    until(lambda: server.busy >= 1, "a request that is pending at the end", 60)
    server.quit()
    return pending
