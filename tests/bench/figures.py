"""The amount of measuring, and the results in target/bench/figures.json."""

import argparse
import json
import statistics
from typing import Any

from support.process import ROOT

FIGURES = ROOT / "target/bench/figures.json"
NAME = FIGURES.relative_to(ROOT)


def options() -> argparse.Namespace:
    """`rounds`, and the `seconds` of each: those of the command line."""
    parser = argparse.ArgumentParser(prog="tests/bench.sh")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=2)
    given = parser.parse_args()
    if given.rounds < 2 or given.seconds < 1:
        parser.error("at least 2 rounds, of at least 1 second")
    return given


def write(figures: dict[str, Any]) -> None:
    """Results of other comparisons stay."""
    FIGURES.parent.mkdir(parents=True, exist_ok=True)
    before = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    FIGURES.write_text(json.dumps({**before, **figures}, indent=2) + "\n")


def quartiles(values: list[float]) -> list[float]:
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return [low, middle, high]
