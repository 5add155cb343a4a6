"""The size of the library, and the memory of a worker: `python -m bench.size`."""

import re
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.behind import Behind
from bench.cases import MACHINE, Case, cases
from bench.figures import Table, write
from bench.proxy import Proxy
from support.http import Connection, ask
from support.lab import Provider
from support.nginx import MODULE
from support.process import ROOT, run

WITHOUT = ROOT / "target/without-stores"
"""The target directory of the build without the shared stores, which must not replace the other one."""
USED = 1000
"""Requests that are the use of a worker."""


def build_without_stores() -> Path:
    command = ["cargo", "build", "--quiet", "--profile", "small", "--locked", "-p", "credgate-ffi", "--no-default-features"]
    subprocess.run([*command, "--target-dir", WITHOUT], cwd=ROOT, check=True, timeout=1800)
    return WITHOUT / "small/libcredgate.so"


def stripped(library: Path) -> int:
    """In bytes."""
    with tempfile.NamedTemporaryFile() as file:
        run("strip", "-o", file.name, library)
        return Path(file.name).stat().st_size


def resident(pid: int) -> dict[str, int]:
    """The memory of a process in KiB: all of it, and the part that no other process shares."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = {name: int(size) for name, size in re.findall(r"^(\w+): +(\d+) kB", text, re.MULTILINE)}
    return {"rss": found["Rss"], "private": found["Private_Clean"] + found["Private_Dirty"]}


def memory(directory: Path, case: Case, upstream: int) -> dict[str, dict[str, int]]:
    """Of the proxy, before its first request, after it, and after some more."""
    found = {}
    with Proxy(directory, case, upstream).start() as proxy:
        found["before"] = resident(proxy.pid)
        assert ask(proxy.port, headers=MACHINE.basic).status == 200
        found["after the first request"] = resident(proxy.pid)
        connection = Connection(proxy.port)
        for _ in range(USED):
            assert connection.ask(headers=MACHINE.basic).status == 200
        connection.close()
        found[f"after {USED} more"] = resident(proxy.pid)
    return found


def workers() -> dict[str, dict[str, dict[str, int]]]:
    """The memory of an nginx alone, and of one with the module."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="credgate-bench-")))
        provider = stack.enter_context(Provider([MACHINE], directory / "provider.log").start())
        upstream = stack.enter_context(Behind(directory / "behind").start())
        return {
            case.name: memory(directory / case.name, case, upstream.port)
            for case in cases(provider.issuer, "")
            if case.name in ("bare", "credgate")
        }


def tables(sizes: dict[str, int], found: dict[str, dict[str, dict[str, int]]]) -> list[Table]:
    rows = [[name, f"{size / 1e6:.2f}"] for name, size in sizes.items()]
    bare, ours = found["bare"], found["credgate"]
    memories = [
        [
            moment, f"{bare[moment]['rss'] / 1024:.1f}", f"{own['rss'] / 1024:.1f}",
            f"{(own['rss'] - bare[moment]['rss']) / 1024:.1f}", f"{(own['private'] - bare[moment]['private']) / 1024:.1f}",
        ]
        for moment, own in ours.items()
    ]  # fmt: skip
    return [
        Table("Sizes, stripped", ("file", "MB"), rows),
        Table(
            "Memory of an nginx worker, in MiB", ("moment", "bare", "credgate", "difference", "of it private"), memories
        ),
    ]


def main() -> None:
    print("· sizes and memory ...", flush=True)
    libraries = {
        "libcredgate.so": ROOT / "target/release/libcredgate.so",
        "libcredgate.so without stores, --profile small": build_without_stores(),
        "ngx_http_credgate_module.so": MODULE,
    }
    sizes = {name: stripped(library) for name, library in libraries.items()}
    found = workers()
    write({"size": {"bytes": sizes, "memory_kib": found, "tables": tables(sizes, found)}})


if __name__ == "__main__":
    main()
