"""The size of the library, and the instructions of a hit: counts, which do not depend on the load of the machine."""

import base64
import json
import re
from pathlib import Path

from conftest import ALICE
from support.http import Client
from support.lab import Provider
from support.library import LIBRARY, linked
from support.process import ROOT, run

MAX_BYTES = 8_000_000
"""Of the library with both stores, without symbols."""
MAX_INSTRUCTIONS = 2_000
"""Of a hit by Basic through the C ABI, with the release of its outcome and the loop of hits.c. The count varies by 1 % with
the random key of the process."""
HITS = 100


def test_stripped_library_is_under_8_mb(tmp_path: Path) -> None:
    stripped = tmp_path / "libcredgate.so"
    run("strip", "-o", stripped, LIBRARY / "libcredgate.so")
    assert stripped.stat().st_size < MAX_BYTES


def instructions(program: Path, config: str, client: Client, hits: int) -> int:
    out = program.with_suffix(f".{hits}")
    wrapper = ["valgrind", "--quiet", "--tool=callgrind", "--collect-atstart=no", f"--callgrind-out-file={out}"]
    basic = base64.b64encode(f"{client.id}:{client.secret}".encode()).decode()
    run(*wrapper, program, config, f"Basic {basic}", str(hits))
    totals = re.search(r"^totals: (\d+)", out.read_text(), re.MULTILINE)
    assert totals, "callgrind counted nothing"
    return int(totals[1])


def test_hit_stays_within_its_instructions(tmp_path: Path, provider: Provider) -> None:
    program = tmp_path / "hits"
    run("gcc", "-std=c11", "-O2", "-Wall", "-Wextra", ROOT / "tests/c/hits.c", *linked(), "-o", program)
    config = json.dumps({"issuer": provider.issuer, "allow_loopback_http": True})
    once, twice = (instructions(program, config, ALICE, hits) for hits in (HITS, 2 * HITS))
    # The difference is free of the instructions around the loop.
    hit = (twice - once) / HITS
    assert hit <= MAX_INSTRUCTIONS
