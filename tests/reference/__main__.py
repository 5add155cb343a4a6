"""Compares the library with its reference model.

    python -m reference [--verdicts N] [--seed S] [--file FILE]

Run it with PyPy, which is some twenty times as fast. Without a seed, a random one is drawn and printed. The exit status is 1
if there is a difference; the first differences of each class are printed. FILE keeps the counts of each round, differences
included: several processes may share it, and a process that is started again goes on from there.
"""

import argparse
import secrets
import signal
import sys
import time
from pathlib import Path

from . import counts
from .compare import JUDGES, ROUND, Comparison
from .library import Library
from .world import provider


def main() -> int:
    # Ends the provider too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    parser = argparse.ArgumentParser(prog="reference", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--verdicts", type=int, default=10 * ROUND * JUDGES, help="number of verdicts to compare")
    parser.add_argument("--seed", type=int, help="seed of the generator")
    parser.add_argument("--file", type=Path, help="file that keeps the counts")
    options = parser.parse_args()
    seed = secrets.randbelow(1 << 32) if options.seed is None else options.seed
    total = counts.read(options.file) if options.file else counts.Counts()
    with provider() as issuer:
        comparison = Comparison(Library(), issuer, seed)
        while (left := options.verdicts - total.total) > 0:
            began, used = time.monotonic(), time.process_time()
            comparison.round(min(ROUND, -(-left // JUDGES)))
            done, used = comparison.counts, time.process_time() - used
            if options.file:
                counts.append(options.file, done)
                total = counts.read(options.file)
            else:
                total.add(done)
            print(
                f"seed {seed}, round {comparison.rounds}: {done.requests:,} requests, {done.total:,} verdicts, "
                f"{sum(done.differences.values())} differences, {time.monotonic() - began:.0f} s, "
                f"{done.total / used:,.0f} verdicts per second of CPU time; {total.total:,} so far",
                flush=True,
            )
            for name, examples in comparison.examples.items():
                print(f"--- {name}", *examples, sep="\n", flush=True)
            comparison.examples.clear()
    print(total.table())
    return 1 if total.differences else 0


if __name__ == "__main__":
    sys.exit(main())
