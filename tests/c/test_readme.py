"""The README of the core has every denial, and the allocator of the C library; the README of the library, its size."""

import json
import re
from pathlib import Path

import pytest

from support.examples import blocks, section
from support.library import LIBRARY, compiled
from support.process import ROOT, TESTS, run

CORE = (ROOT / "core/README.md").read_text()
DENIALS = section(CORE, "## Denials")
ROW = re.compile(r"^\| ([\d, ]+) \| (.+?) \| (.*?) ?\|$", re.MULTILINE)


@pytest.fixture(scope="module")
def denials(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, tuple[int, int, str]]]:
    """The status, Retry-After and body of each cause, at a gate and at a token endpoint."""
    printed = run(compiled(TESTS / "c/denials.c", tmp_path_factory.mktemp("c"))).stdout
    found: dict[str, dict[str, tuple[int, int, str]]] = {"gate": {}, "endpoint": {}}
    for line in printed.splitlines():
        place, cause, status, retry_after, body = line.split(" ", 4)
        found[place][cause] = int(status), int(retry_after), body
    return found


def table(header: str) -> list[tuple[str, str, str]]:
    """The rows of the table with that header."""
    return ROW.findall(section(CORE, "## Denials").partition(f"| {header} |\n")[2].partition("\n\n")[0])


def test_denials_of_a_gate_are_those_of_the_table(denials: dict[str, dict[str, tuple[int, int, str]]]) -> None:
    shown = {
        cause: (int(status), int(retry_after or 0))
        for status, causes, retry_after in table("status | cause | `Retry-After`")
        for cause in re.findall(r"`(\w+)`[:,]", causes)
    }
    at_endpoints = {"token_request_invalid", "unsupported_grant_type", "scope_not_allowed", "target_not_allowed"}
    assert shown == {cause: denial[:2] for cause, denial in denials["gate"].items() if cause not in at_endpoints}


def test_denials_of_a_token_endpoint_are_those_of_the_table(
    denials: dict[str, dict[str, tuple[int, int, str]]],
) -> None:
    rows = table("status | `error` | cause")
    shown = {
        cause: (int(status), error)
        for status, error, causes in rows
        for cause in re.findall(r"`(\w+)`", causes)
    }
    as_above = {int(status): error for statuses, error, causes in rows if causes == "as above" for status in statuses.split(", ")}
    for cause, (status, _, body) in denials["endpoint"].items():
        assert shown.pop(cause, (status, as_above.get(status))) == (status, f"`{json.loads(body)['error']}`"), cause
    assert shown == {}


def test_allocator_of_the_readme_is_that_of_the_library() -> None:
    (shown,) = blocks("rust", CORE)
    code = (ROOT / "ffi/src/lib.rs").read_text().splitlines()
    assert [line for line in shown.splitlines() if line not in code] == []
    assert "\nzeroizing-alloc = " in (ROOT / "ffi/Cargo.toml").read_text()


def test_readme_has_the_size_of_the_library(tmp_path: Path) -> None:
    (size,) = re.findall(r"Stripped, the library has\s+([\d.]+) MB", (ROOT / "ffi/README.md").read_text())
    stripped = tmp_path / "libcredgate.so"
    run("strip", "-o", stripped, LIBRARY / "libcredgate.so")
    assert abs(stripped.stat().st_size / 1e6 - float(size)) < 0.15
