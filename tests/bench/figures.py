"""What a comparison found, in target/bench/figures.json."""

import json
import statistics
from typing import Any

from support.process import ROOT

FIGURES = ROOT / "target/bench/figures.json"
NAME = FIGURES.relative_to(ROOT)


def write(figures: dict[str, Any]) -> None:
    """What another comparison has written stays."""
    FIGURES.parent.mkdir(parents=True, exist_ok=True)
    before = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    FIGURES.write_text(json.dumps({**before, **figures}, indent=2) + "\n")


def quartiles(values: list[float]) -> list[float]:
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return [low, middle, high]
