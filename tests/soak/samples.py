"""Samples of processes and stores, and the drift in them."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from support.process import descriptors

HOUR = 3600.0
Point = tuple[float, float]
"""A time in seconds, and a value."""


@dataclass(frozen=True)
class Sample:
    """A process at one time: KiB of resident and of anonymous memory, descriptors and threads."""

    role: str
    pid: int
    time: float
    resident: int
    anonymous: int
    descriptors: int
    threads: int


def sample(role: str, pid: int, time: float) -> Sample | None:
    """None if the process has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        opened = descriptors(pid)
    except OSError:
        return None
    status = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    if "VmRSS" not in status:
        return None
    resident, anonymous, threads = (int(status[name][0]) for name in ("VmRSS", "RssAnon", "Threads"))
    return Sample(role, pid, time, resident, anonymous, opened, threads)


def slope(lines: Iterable[Sequence[Point]]) -> float:
    """The common slope of several lines, each with a level of its own: the least squares of all points about the lines."""
    above = below = 0.0
    for points in lines:
        middle = statistics.fmean(time for time, _ in points)
        level = statistics.fmean(value for _, value in points)
        above += sum((time - middle) * (value - level) for time, value in points)
        below += sum((time - middle) ** 2 for time, _ in points)
    return above / below if below else 0.0


def drift(lines: Iterable[Sequence[Point]]) -> float:
    """MiB in an hour, of lines in KiB."""
    return slope(lines) * HOUR / 1024


def growth(values: Sequence[int]) -> float:
    """The median of the last third, above that of the first third."""
    third = max(1, len(values) // 3)
    return statistics.median(values[-third:]) - statistics.median(values[:third])
