"""The end of memory: each allocation in the life of a C host fails, and an abort, an error or a denial follows."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import ALICE
from support.lab import Authority, Provider
from support.library import linked
from support.process import ROOT, run

WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
# An abort may print a size, and nothing of the memory. Two threads may print at the same time.
MESSAGES = re.compile(
    r"memory allocation of |\d+| bytes failed|\s"
    r"|note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace"
    r"|skipping backtrace printing to avoid potential recursion"
    r"|Fatal glibc error: failed to register TLS destructor: out of memory"
)
LONG = "CREDGATE_LONG" in os.environ


@pytest.fixture
def exhaust(tmp_path: Path, tls_provider: Provider, authority: Authority) -> Callable[..., list[str]]:
    """Runs tests/c/exhaustion.c, and returns the lines that it prints."""
    gate = {
        "issuer": tls_provider.issuer,
        "audience": "https://example.com/",
        "ssl_trusted_certificate": str(authority.ca),
        "allow_addresses": ["127.0.0.1"],
    }
    (tmp_path / "gate.json").write_text(json.dumps(gate))

    def run_host(mode: str, *store: Path, planted: tuple[str, ...] = (), check: bool = True) -> list[str]:
        program = tmp_path / "exhaustion"
        source = ROOT / "tests/c/exhaustion.c"
        run("gcc", "-std=gnu11", "-O1", *WARNINGS, *planted, source, *linked(), "-o", program)
        stride = "1" if LONG else "7"
        arguments = [tmp_path / "gate.json", ALICE.basic["Authorization"], ALICE.id, stride, mode, *store]
        done = run(program, *arguments, seconds=900, env={**os.environ, "RUST_BACKTRACE": "0"}, check=check)
        return (done.stdout + done.stderr).splitlines()

    return run_host


@pytest.mark.timeout(900)
@pytest.mark.parametrize("mode", ["once", "on"])
@pytest.mark.parametrize("store", [(), ("tokens.db",)])
def test_end_of_memory_is_an_abort_an_error_or_a_denial(
    tmp_path: Path, exhaust: Callable[..., list[str]], mode: str, store: tuple[str, ...]
) -> None:
    *aborts, summary = exhaust(mode, *(tmp_path / name for name in store))
    assert MESSAGES.sub("", "\n".join(aborts)) == ""
    counts = re.fullmatch(r"(\d+) allocations: aborted (\d+), allowed (\d+), denied (\d+), error (\d+)", summary)
    assert counts, summary
    total, aborted, *_ = map(int, counts.groups())
    assert total > 500 and aborted > 0


@pytest.mark.parametrize("plant", ["PAST_THE_END", "FREED_TWICE"])
def test_damage_of_the_heap_is_found(exhaust: Callable[..., list[str]], plant: str) -> None:
    printed = exhaust("once", planted=(f"-D{plant}",), check=False)
    assert any("a block is damaged, or freed twice" in line for line in printed), printed[-5:]
