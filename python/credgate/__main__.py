"""`python -m credgate` and `credgate`: command-line tools for setting up a gate."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import credgate
from credgate import _check, _migrate, _proxy, _settings

if TYPE_CHECKING:
    from collections.abc import Sequence


# The exit statuses that shells use for SIGINT and SIGPIPE.
INTERRUPTED = 130
UNREAD = 141
UNWRITTEN = 1


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
    _settings.add_to(commands)
    options, rest = parser.parse_known_args(arguments)
    if rest:
        _refuse(options.parser, rest)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return UNREAD
    except OSError as error:
        _discard_output()
        sys.stderr.write(f"{prog}: {error}\n")
        return UNWRITTEN
    return status


def _refuse(parser: argparse.ArgumentParser, rest: Sequence[str]) -> NoReturn:
    """Name unknown options without their values, which may be secrets."""
    unknown = [word.partition("=")[0] for word in rest if word.startswith("-")]
    parser.error(f"unknown option: {', '.join(unknown)}" if unknown else "too many arguments")


def _discard_output() -> None:
    """Drop the output that cannot be written: at its end, the interpreter would try once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
