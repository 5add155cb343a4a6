"""The amount of measuring, the results in target/bench/figures.json, and tables of them."""

import argparse
import datetime
import json
import os
import platform
import re
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from support.process import ROOT

FIGURES = ROOT / "target/bench/figures.json"
NAME = FIGURES.relative_to(ROOT)


@dataclass(frozen=True)
class Table:
    """Results as they are printed, and as `tests/bench.sh report` shows them in tests/README.md."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    @property
    def numeric(self) -> list[bool]:
        """Is a column one of numbers? The right-aligned ones."""
        return [all(re.match(r"-?[\d.]|–$", row[index]) for row in self.rows) for index in range(len(self.columns))]

    def text(self) -> str:
        lines = [self.columns, *self.rows]
        widths = [max(len(line[index]) for line in lines) for index in range(len(self.columns))]
        aligned = list(zip(widths, self.numeric, strict=True))
        return "\n".join(
            "  ".join(
                cell.rjust(width) if right else cell.ljust(width)
                for cell, (width, right) in zip(line, aligned, strict=True)
            ).rstrip()
            for line in lines
        )

    def markdown(self) -> str:
        rule = ["---:" if right else "---" for right in self.numeric]
        return "\n".join(f"| {' | '.join(line)} |" for line in [self.columns, rule, *self.rows])


def options(rounds: int = 7, choices: Sequence[str] = ()) -> argparse.Namespace:
    """`rounds`, the `seconds` of each, and if there are `choices` the `cases`, of the command line; none means all."""
    parser = argparse.ArgumentParser(prog="tests/bench.sh")
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--seconds", type=int, default=2)
    if choices:
        parser.add_argument("--cases", nargs="+", default=[], choices=choices)
    given = parser.parse_args()
    if given.rounds < 2 or given.seconds < 1:
        parser.error("at least 2 rounds, of at least 1 second")
    return given


def write(figures: dict[str, dict[str, Any]]) -> None:
    """Each key is a part of the comparison, and gets the machine and the date. Results of other parts stay.

    The key `tables` of a part, a list of `Table`, is printed, and shown by `tests/bench.sh report` below the text of its key
    `conditions`: versions, and the amount of measuring.
    """
    FIGURES.parent.mkdir(parents=True, exist_ok=True)
    before = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    taken = {"machine": machine(), "date": datetime.date.today().isoformat()}
    parts = {part: {**taken, **found} for part, found in figures.items()}
    FIGURES.write_text(json.dumps({**before, **parts}, indent=2, ensure_ascii=False, default=asdict) + "\n")
    show([table for found in parts.values() for table in found.get("tables", [])])
    print(f"Written to {NAME}.")


def show(tables: Iterable[Table]) -> None:
    for table in tables:
        print(f"\n{table.title}\n\n{table.text()}")
    print()


def machine() -> str:
    with open("/proc/cpuinfo") as file:
        model = re.search(r"^model name\s*: (.+)$", file.read(), re.MULTILINE)
    release = ".".join(platform.release().split(".")[:2])
    return f"{model[1] if model else platform.machine()}, {os.cpu_count()} processors, Linux {release}"


def quartiles(values: list[float]) -> list[float]:
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return [low, middle, high]


def spread(values: Sequence[float], digits: int = 2) -> str:
    """The median, with the quartiles in parentheses."""
    # Adding zero turns a negative zero into zero.
    low, middle, high = (f"{round(value, digits) + 0.0:.{digits}f}" for value in values)
    return f"{middle} ({low}..{high})"
