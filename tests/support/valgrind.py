"""memcheck: how to run it, and which of its findings are credgate's."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

OURS = ("ngx_http_credgate", "libcredgate", "credgate_")
ALWAYS = {"InvalidRead", "InvalidWrite", "InvalidFree", "MismatchedFree", "InvalidJump", "Overlap"}
IF_OURS = {"UninitCondition", "UninitValue", "SyscallParam", "Leak_DefinitelyLost"}


def command(report: Path) -> list[str]:
    """What to put before a program. Names of unloaded libraries are kept: nginx unloads its modules at its end."""
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
    """Memory faults wherever they are, and leaks and uninitialised values with credgate in their stack."""
    found = []
    for error in ElementTree.parse(report).getroot().iter("error"):
        kind = error.findtext("kind") or ""
        frames = [f"{frame.findtext('fn') or '?'} ({frame.findtext('obj') or '?'})" for frame in error.iter("frame")]
        ours = any(name in frame for frame in frames for name in OURS)
        if kind in ALWAYS or (kind in IF_OURS and ours):
            text = error.findtext("what") or error.findtext("xwhat/text") or ""
            found.append(f"{kind}: {text}\n  " + "\n  ".join(frames))
    return found
