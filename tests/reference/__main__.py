"""Compares the library with its reference model.

    python -m reference [--cases N] [--seed S] [--seconds S]

Run it with PyPy, which is some twenty times as fast. Without a seed, a random one is drawn and printed. The exit status is 1
if there is a difference; the first differences of each class are printed.
"""

import argparse
import secrets
import sys
import time

from .compare import ROUND, Comparison
from .library import Library
from .world import provider


def main() -> int:
    parser = argparse.ArgumentParser(prog="reference", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10 * ROUND, help="number of requests")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="end after this time, at the end of a round")
    parser.add_argument("--seed", type=int, help="seed of the generator")
    options = parser.parse_args()
    seed = secrets.randbelow(1 << 32) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    began = time.monotonic()
    with provider() as issuer:
        comparison = Comparison(Library(), issuer, seed)
        left = options.cases
        while left > 0 and time.monotonic() - began < options.seconds:
            comparison.round(min(left, ROUND))
            left -= ROUND
    for name, examples in comparison.examples.items():
        print(f"--- {name}", *examples, sep="\n")
    print(comparison.table())
    print(f"{time.monotonic() - began:.0f} s, seed {seed}")
    return 1 if comparison.differences else 0


if __name__ == "__main__":
    sys.exit(main())
