"""`python -m credgate migrate`: turns a configuration of Kong into one of nginx."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from credgate import _arguments, _kong, _nginx, _plugin
from credgate._logs import leave_out_warnings

if TYPE_CHECKING:
    from collections.abc import Iterator

INVALID = 5
LOST = 6
MODE = 0o640  # the output may contain secrets

DESCRIPTION = """\
Turns a configuration of Kong into one of nginx with Credgate's module, or into the JSON
configurations of gates. FILE is a declarative configuration (deck's YAML or JSON), or the JSON that
the admin API answers for a plugin (GET /plugins/ID) or for several (GET /plugins); - is standard
input. YAML requires PyYAML: pip install 'credgate[migrate]'.

Everything that cannot be carried is named, with the reason. Then nothing is written, unless
--partial is given: it writes the rest, and each location that lost something returns 503, until you
have replaced what is missing and removed that line.
"""
EPILOG = """\
exit status: 0 everything is carried · 2 the command line is invalid · 5 the file is no
configuration of Kong · 6 something is not carried; with --partial, the rest is written
"""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "migrate",
        help="turn a configuration of Kong into one of nginx",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "file", metavar="FILE", help="the configuration of Kong; - is standard input"
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        help="the file to write, replaced as a whole and only if something is written (default: "
        "standard output)",
    )
    parser.add_argument("--format", choices=["nginx", "json"], default="nginx", help="the output")
    parser.add_argument(
        "--listen", metavar="ADDRESS", default="8000", help="the listener of nginx (default: 8000)"
    )
    parser.add_argument(
        "--partial",
        action="store_true",
        help="write what can be carried; the other locations return 503",
    )
    parser.set_defaults(run=run, parser=parser)


def run(options: argparse.Namespace) -> int:
    """Write the configuration to the output, and the losses to standard error."""
    leave_out_warnings()  # Notes name the settings that should be known.
    try:
        document = _kong.parse(_text(options))
    except _kong.InvalidFileError as error:
        sys.stderr.write(f"{options.file} {error}\n")
        return INVALID
    if not any(plugin.name in _kong.PLUGINS for plugin in _plugins(document)):
        sys.stderr.write(f"{options.file} has no enabled plugin openid-connect\n")
        return INVALID
    gates: list[_plugin.Gate] = []

    def compiled(plugin: _kong.Plugin) -> _plugin.Gate:
        gates.append(_plugin.gate(plugin))
        return gates[-1]

    if options.format == "nginx":
        written, losses = _nginx.write(document, compiled, options.listen)
    else:
        for plugin in _plugins(document):
            if plugin.name in _kong.PLUGINS:
                compiled(plugin)
        written = json.dumps([_shown(each) for each in gates], indent=2) + "\n"
        losses = [loss for each in gates for loss in each.losses]
    for note in _plugin.unique(note for each in gates for note in each.notes):
        sys.stderr.write(f"note: {note}\n")
    for loss in losses:
        sys.stderr.write(f"{loss}\n")
    if losses and not options.partial:
        count = f"{len(losses)} settings are" if len(losses) > 1 else "1 setting is"
        sys.stderr.write(
            f"{count} not carried, and nothing is written: change the file, or use --partial\n"
        )
        return LOST
    _put(options, written)
    return LOST if losses else 0


def _put(options: argparse.Namespace, text: str) -> None:
    if options.output is None:
        sys.stdout.write(text)
        return
    try:
        _replace(Path(options.output).resolve(), text)
    except OSError as error:
        _arguments.wrong(options, f"--output {options.output}: {error.strerror}")


def _replace(file: Path, text: str) -> None:
    """Replace a file as a whole: a reader sees the old text or the new."""
    descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    new = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            os.fchmod(descriptor, MODE)
        new.replace(file)
    except BaseException:
        new.unlink()
        raise


def _text(options: argparse.Namespace) -> str:
    try:
        if options.file == "-":
            return sys.stdin.read()
        return Path(options.file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        _arguments.wrong(options, f"{options.file}: {error}")


def _plugins(document: _kong.Document) -> Iterator[_kong.Plugin]:
    yield from document.plugins
    for service in document.services:
        yield from service.plugins
        for route in service.routes:
            yield from route.plugins


def _shown(each: _plugin.Gate) -> dict[str, Any]:
    return {"where": each.where, "config": each.config}
