"""The time of a denial reveals neither characters of the secret nor the existence of a client.

`tests/harden.sh timing` runs this. Its figures depend on the machine, so no suite runs it."""

import json
import os
from pathlib import Path

import pytest

from conftest import ALICE
from support.lab import Provider
from support.library import linked
from support.process import ROOT, run



@pytest.mark.timeout(1800)
def test_times_of_refusals_are_alike(tmp_path: Path, provider: Provider) -> None:
    gate, program = tmp_path / "gate.json", tmp_path / "timing"
    gate.write_text(json.dumps({"issuer": provider.issuer, "allow_loopback_http": True}))
    warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    run("gcc", "-std=gnu11", "-O2", *warnings, ROOT / "tests/c/timing.c", *linked(), "-lm", "-o", program)
    done = run(program, gate, ALICE.id, ALICE.secret, os.environ.get("CREDGATE_SAMPLES", "200000"), seconds=1700, check=False)
    print("", done.stdout, done.stderr, sep="\n")
    assert done.returncode == 0
