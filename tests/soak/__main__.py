"""The command of the package."""

import argparse
import random
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
    parser.add_argument("--directory", type=Path, help="the default is target/soak/SEED")
    parser.add_argument("--hours", type=float)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    # Of its own, because another soak may be running.
    directory = (options.directory or ROOT / "target/soak" / str(options.seed)).resolve()
    if options.command == "run":
        if directory.exists():
            parser.error(f"{directory} exists: a soak may be running in it")
        directory.mkdir(parents=True)
        allow_descriptors()
        # An interruption ends the hosts too, and keeps the log.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        pace = Pace(options.hours * 3600) if options.hours else quick(options.seconds)
        print(f"seed {options.seed}, {directory}", flush=True)
        try:
            uvloop.run(soak(pace, options.seed, directory))
        except KeyboardInterrupt:
            print("interrupted")
    elif not (directory / "log.jsonl").exists():
        parser.error(f"no soak's log in {directory}")
    return conclude(directory / "log.jsonl")


if __name__ == "__main__":
    sys.exit(main())
