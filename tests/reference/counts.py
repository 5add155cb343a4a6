"""Counts of requests and verdicts: of a round, and of all rounds in a file."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Counts:
    rounds: int = 0
    # A request is judged at several gates, so there are more verdicts. They are counted by the model's verdict.
    requests: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    differences: Counter[str] = field(default_factory=Counter)

    def add(self, other: Counts) -> None:
        self.rounds += other.rounds
        self.requests += other.requests
        self.verdicts.update(other.verdicts)
        self.differences.update(other.differences)

    @property
    def total(self) -> int:
        return sum(self.verdicts.values())

    def table(self) -> str:
        rows = [f"{'verdict':<32}{'verdicts':>14}{'differences':>13}"]
        for name in sorted({*self.verdicts, *self.differences}):
            rows.append(f"{name:<32}{self.verdicts[name]:>14,}{self.differences[name]:>13,}")
        rows.append(f"{'all':<32}{self.total:>14,}{sum(self.differences.values()):>13,}")
        rows.append(f"{self.requests:,} requests in {self.rounds} rounds")
        return "\n".join(rows)


def append(file: Path, counts: Counts) -> None:
    """Adds the counts of a round to a file that several processes write: one line, in one piece."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab", buffering=0) as out:
        out.write(json.dumps(vars(counts)).encode() + b"\n")


def read(file: Path) -> Counts:
    """Returns the sum of the counts in a file, which need not exist."""
    total = Counts()
    if file.exists():
        for line in file.read_text().splitlines():
            one = json.loads(line)
            total.add(Counts(one["rounds"], one["requests"], Counter(one["verdicts"]), Counter(one["differences"])))
    return total
