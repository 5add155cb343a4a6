"""The cost of parts of the core, from the criterion benchmarks of core/benches: `python -m bench.core`."""

import json
import os
import shutil
import subprocess
from typing import Any

from bench.figures import Table, write
from support.process import ROOT

CRITERION = ROOT / "target" / "criterion"
CONCURRENT = 64
STEPS = ["floor", "step"]

# Group: title, number of calls in one measurement, and the cases; the first is the baseline of the ratios.
GROUPS = {
    "clock": ("A hit: the clocks; floor: a read", 1, STEPS),
    "extract": ("A hit: Basic is found; floor: a comparison", 1, STEPS),
    "decode": ("Credentials are decoded and wiped; floor: a plain loop", 1, STEPS),
    "key": ("A hit: the cache key; floor: SipHash of the same bytes", 1, STEPS),
    "look": ("A hit: the lookup; floor: a read of a cache line", 1, STEPS),
    "judge": ("A hit: lifetime and requirements; floor: a comparison", 1, STEPS),
    "outcome": ("A hit: the outcome; floor: three atomic additions", 1, STEPS),
    "hit": ("A hit as a whole; floor: SipHash", 1, STEPS),
    "clients_allowed": ("A miss, with N clients allowed", 1, ["0", "1", "1000", "10000"]),
    "purge": ("A purge, with N tokens cached", 1, ["100", "100000"]),
    "sqlite": ("SQLite, on a tmpfs", 1, ["prepared_read", "look"]),
    "sqlite_concurrent": (f"SQLite, {CONCURRENT} at once", CONCURRENT, ["look", "put"]),
    "redis": ("Redis, over a Unix socket", 1, ["get", "look"]),
    "redis_concurrent": (f"Redis, {CONCURRENT} at once", CONCURRENT, ["look", "put"]),
}


def measure() -> dict[str, Any]:
    """Run the benchmarks; return for each group its cases: microseconds per call, and the ratio to the first."""
    shutil.rmtree(CRITERION, ignore_errors=True)
    subprocess.run(
        [
            *("cargo", "bench", "--quiet", "--locked", "-p", "credgate-core", "--features", "bench"),
            *("--bench", "engine", "--bench", "hit", "--bench", "stores"),
        ],
        cwd=ROOT, env=os.environ, check=True, capture_output=True, timeout=1800,
    )  # fmt: skip
    figures: dict[str, Any] = {}
    for group, (_, calls, cases) in GROUPS.items():
        times = {case: median(group, case) / calls / 1000 for case in cases}
        figures[group] = {
            case: {"microseconds": round(time, 5), "ratio_to_first": round(time / times[cases[0]], 3)}
            for case, time in times.items()
        }
    return figures


def median(group: str, case: str) -> float:
    """The median of a case, in nanoseconds."""
    estimates = json.loads((CRITERION / group / case / "new" / "estimates.json").read_text())
    return float(estimates["median"]["point_estimate"])


def table(figures: dict[str, Any]) -> Table:
    rows = []
    for group, (title, _, cases) in GROUPS.items():
        for case in cases:
            figure = figures[group][case]
            time = figure["microseconds"]
            rows.append([title, case, f"{time:.4f}", f"{1e6 / time:,.0f}", f"{figure['ratio_to_first']:.2f}"])
    return Table("Parts of the core", ("part", "case", "µs", "per second", "ratio to the first"), rows)


def main() -> None:
    print("· parts of the core ...", flush=True)
    figures = measure()
    write({"core": {"conditions": "medians of one run", "groups": figures, "tables": [table(figures)]}})


if __name__ == "__main__":
    main()
