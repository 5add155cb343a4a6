"""`python -m credgate` and `credgate`: command-line tools for setting up a gate."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import credgate
from credgate import _check, _migrate, _proxy

if TYPE_CHECKING:
    from collections.abc import Sequence


INTERRUPTED = 130  # the exit status that shells use for SIGINT


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status."""
    summary = (credgate.__doc__ or "").partition("\n")[0]
    prog = "credgate" if Path(sys.argv[0]).name == "credgate" else "python -m credgate"
    parser = argparse.ArgumentParser(prog=prog, description=summary)
    parser.add_argument("--version", action="version", version=f"credgate {credgate.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    _check.add_to(commands)
    _migrate.add_to(commands)
    _proxy.add_to(commands)
    options = parser.parse_args(arguments)
    try:
        status: int = options.run(options)
    except KeyboardInterrupt:
        return INTERRUPTED
    return status


if __name__ == "__main__":
    sys.exit(main())
