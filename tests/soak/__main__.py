"""The command of the package."""

import argparse
import random
import shutil
import signal
import sys
from pathlib import Path

import uvloop

from soak.pace import Pace, quick
from soak.report import conclude
from soak.run import soak
from support.process import ROOT, allow_descriptors


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m soak")
    parser.add_argument("command", choices=["run", "report"])
    parser.add_argument("directory", type=Path, nargs="?", default=ROOT / "target/soak/latest")
    parser.add_argument("--hours", type=float)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    options.directory = options.directory.resolve()
    if options.command == "run":
        if options.directory.exists():
            shutil.rmtree(options.directory)
        options.directory.mkdir(parents=True)
        allow_descriptors()
        # An interruption ends the hosts too, and keeps the log.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        pace = Pace(options.hours * 3600) if options.hours else quick(options.seconds)
        print(f"seed {options.seed}, {options.directory}", flush=True)
        try:
            uvloop.run(soak(pace, options.seed, options.directory))
        except KeyboardInterrupt:
            print("interrupted")
    return conclude(options.directory / "log.jsonl")


if __name__ == "__main__":
    sys.exit(main())
