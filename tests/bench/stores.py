"""What the shared stores cost, as the core's own measurement tells (core/src/store/figures.rs): `python -m bench.stores`."""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from bench.figures import NAME, write
from support.process import ROOT

TITLES = {
    "sqlite": "SQLite, on a tmpfs",
    "sqlite-many": "SQLite, 64 at once",
    "redis": "Redis, over a Unix socket",
    "redis-many": "Redis, 64 at once",
}


def measure() -> dict[str, Any]:
    """For each comparison its cases: microseconds for one question, and the ratio to the first case of the same round."""
    with tempfile.TemporaryDirectory(prefix="credgate-figures-") as directory:
        subprocess.run(
            ["cargo", "test", "--release", "--quiet", "--locked", "-p", "credgate-core", "--lib", "figures_of", "--", "--test-threads=1"],
            cwd=ROOT, env={**os.environ, "CREDGATE_FIGURES": directory, "TMPDIR": "/dev/shm"}, check=True,
            capture_output=True, timeout=1800,
        )  # fmt: skip
        return {name: json.loads((Path(directory) / f"{name}.json").read_text()) for name in TITLES}


def table(figures: dict[str, Any]) -> str:
    lines = [f"{'store':28} {'question':28} {'us':>8} {'a second':>9} {'ratio to the first':>22}"]
    for name, title in TITLES.items():
        # JSON has them by name; the one that the others are compared with is always 1.
        cases = sorted(figures[name].items(), key=lambda item: item[1]["ratio_to_first"] != [1, 1, 1])
        for case, figure in cases:
            _, time, _ = figure["microseconds"]
            low, middle, high = figure["ratio_to_first"]
            lines.append(f"{title:28} {case:28} {time:8.1f} {1e6 / time:9,.0f} {middle:8.2f} ({low:.2f}..{high:.2f})")
            title = ""
    return "\n".join(lines)


def main() -> None:
    print("· shared stores ...", flush=True)
    figures = measure()
    write({"stores": figures})
    print(f"\n{table(figures)}\n\nMedians; ratios are of the same round, with quartiles. {NAME}")


if __name__ == "__main__":
    main()
