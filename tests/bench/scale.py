"""The engine with many clients, and the hit rate of its cache, from core/benches/scale: `python -m bench.scale`."""

import json
import os
import subprocess
from typing import Any

from bench.figures import Table, write
from support.process import ROOT

CLIENTS = (10_000, 100_000, 1_000_000)
# Key in the figures, and title.
ROWS = {
    "resident_bytes_per_client": "resident memory of a client, bytes",
    "hit_cpu_ns": "hit in random order, CPU ns",
    "hit_cpu_ns_two_threads": "hit on each of two threads, CPU ns",
    "fill_us": "exchange, µs",
    "fill_cpu_us": "exchange, CPU µs",
    "evicting_fill_cpu_us": "exchange into a full cache, CPU µs",
    "purge_client_us": "purge of a client, µs on the caller",
    "purge_client_longest_us": "the longest of 100, µs",
    "purge_gate_us": "purge of a gate, µs on the caller",
    "purge_all_us": "purge of all, µs on the caller",
    "miss_after_purge_ms": "exchange just after a purge of all, ms",
    "sweep_ms": "until all purged tokens are dropped, ms",
}
# Key in the figures, and title.
REQUESTS = {
    "zipf_0.8": "Zipf, exponent 0.8",
    "zipf_1.0": "Zipf, exponent 1.0",
    "zipf_1.2": "Zipf, exponent 1.2",
    "zipf_1.0_one_timers": "exponent 1.0, one request in ten of a client that never returns",
    "zipf_1.0_shift": "exponent 1.0, after other clients have become the frequent ones",
    "round_robin": "all clients in turn",
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


def tables(figures: dict[str, Any]) -> list[Table]:
    columns = list(figures["clients"].values())
    clients = [[title, *(f"{column[key]:,.1f}" for column in columns)] for key, title in ROWS.items()]
    rates = [
        [title, *(f"{figures['hit_rate'][key][cache]:.3f}" for cache in ("hit_rate", "hit_rate_of_lru"))]
        for key, title in REQUESTS.items()
    ]
    return [
        Table("An engine with many clients", ("", *(f"{column['clients']:,} clients" for column in columns)), clients),
        Table("Hit rate of a cache for half of 10,000 clients", ("requests", "cache", "ideal LRU"), rates),
    ]


def main() -> None:
    figures = measure()
    token = next(iter(figures["clients"].values()))["token_bytes"]
    conditions = f"signed JWTs of {token} bytes, verified, with required audience and scope; one run"
    write({"scale": {"conditions": conditions, **figures, "tables": tables(figures)}})


if __name__ == "__main__":
    main()
