"""The documented limits, and the bounds that follow from them."""

import re
from functools import cache

from support.process import ROOT

UNITS = {"": 1, "bytes": 1, "s": 1, "h": 3600, "KiB": 1024, "MiB": 1024**2}
REFUSAL = 512
"""The documented size of a cached refusal, at most, in bytes."""
BUDGET = 512
"""The same of a budget."""


@cache
def limit(name: str) -> int:
    """A value of LIMITS.md, in its smallest unit."""
    row = re.search(rf"^\| {re.escape(name)} \| ([\d,]+) ?(\w*) \|", (ROOT / "ffi/nginx/LIMITS.md").read_text(), re.MULTILINE)
    assert row, name
    return int(row[1].replace(",", "")) * UNITS[row[2]]


def refused_exchanges(workers: int, seconds: float, sources: int) -> int:
    """The token requests that a flood of wrong secrets can cause. Each worker has a full budget, that refills over time, and
    exchanges in progress can overdraw it once."""
    gate = limit("Refused exchanges of one gate, per minute")
    source = limit("Refused exchanges from one address, per minute") * sources
    overdrawn = limit("Concurrent exchanges at one provider")
    return int(workers * (min(gate, source) * (1 + seconds / 60) + overdrawn))


def fetches(workers: int, seconds: float) -> int:
    """The fetches of keys, or of metadata: one at the start, one for the first unknown key, and one for each interval."""
    interval = limit("Interval between two fetches of metadata or keys")
    return int(workers * (2 + seconds / interval))


def refusal_memory(refusals: int, *, drawn: bool) -> int:
    """Bytes, in a worker that has cached so many refusals, or all that it may; and budgets, if they have drawn from some."""
    cached = REFUSAL * min(refusals, limit("Cached refusals"))
    return cached + drawn * BUDGET * min(refusals, limit("Budgets of refused exchanges"))
