"""The engine with many clients, and the hit rate of its cache, from core/benches/scale: `python -m bench.scale`."""

import json
import os
import subprocess
from typing import Any

from bench.figures import NAME, write
from support.process import ROOT

CLIENTS = (10_000, 100_000, 1_000_000)
# Key in the figures, and title.
ROWS = {
    "resident_bytes_per_client": "memory (RSS), bytes a client",
    "token_bytes": "token, bytes",
    "hit_cpu_ns": "hit in random order, CPU ns",
    "hit_cpu_ns_two_threads": "hit on each of two threads, CPU ns",
    "fill_us": "exchange while filling, us",
    "fill_cpu_us": "exchange while filling, CPU us",
    "evicting_fill_cpu_us": "exchange that evicts, CPU us",
    "purge_client_us": "purge of a client, us on the caller",
    "purge_client_longest_us": "the longest of 100, us",
    "purge_gate_us": "purge of a gate, us on the caller",
    "purge_all_us": "purge of all, us on the caller",
    "miss_after_purge_ms": "exchange just after a purge of all, ms",
    "sweep_ms": "until all purged tokens are dropped, ms",
}


def measure() -> dict[str, Any]:
    """Run the benchmark, with one process for each number of clients."""
    return {
        "clients": {str(count): run("clients", str(count)) for count in CLIENTS},
        "hit_rate": run("zipf"),
    }


def run(*args: str) -> dict[str, Any]:
    print(f"· {' '.join(args)} ...", flush=True)
    ran = subprocess.run(
        ["cargo", "bench", "--quiet", "--locked", "-p", "credgate-core", "--bench", "scale", "--", *args],
        cwd=ROOT, env=os.environ, check=True, stdout=subprocess.PIPE, timeout=1800,
    )  # fmt: skip
    figures: dict[str, Any] = json.loads(ran.stdout)
    return figures


def table(figures: dict[str, Any]) -> str:
    columns = list(figures["clients"].values())
    lines = [" ".join([f"{'clients':42}", *(f"{column['clients']:>10,}" for column in columns)])]
    lines += [
        " ".join([f"{title:42}", *(f"{column[key]:10,.1f}" for column in columns)]) for key, title in ROWS.items()
    ]
    lines += ["", f"{'hit rate at half capacity':42} {'cache':>10} {'ideal LRU':>10}"]
    lines += [
        f"{name:42} {rates['hit_rate']:10.3f} {rates['hit_rate_of_lru']:10.3f}"
        for name, rates in figures["hit_rate"].items()
    ]
    return "\n".join(lines)


def main() -> None:
    figures = measure()
    write({"scale": figures})
    print(f"\n{table(figures)}\n\n{NAME}")


if __name__ == "__main__":
    main()
