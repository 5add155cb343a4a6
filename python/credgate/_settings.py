"""`python -m credgate settings`: the settings of a gate."""

from __future__ import annotations

import difflib
import json
import sys
import textwrap
from typing import TYPE_CHECKING, Any

from credgate import _arguments
from credgate._fields import config_fields
from credgate._terminal import Style, width

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

# A narrow terminal has the meaning of a setting below its name.
NARROW = 64
INDENT = 4

DESCRIPTION = """\
Prints the settings of a gate: name, type, default and meaning. All hosts share them. With NAME,
prints one setting; also one that only Kong has, with its replacement.
"""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "settings",
        help="print the settings of a gate",
        description=DESCRIPTION,
        allow_abbrev=False,
    )
    parser.add_argument("name", metavar="NAME", nargs="?", help="the setting to print")
    parser.set_defaults(run=run, parser=parser)


def run(options: argparse.Namespace) -> int:
    """Print the settings; return the exit status."""
    fields = {field["name"]: field for field in config_fields()}
    if options.name is None:
        shown = [field for field in fields.values() if "remedy" not in field]
    elif options.name in fields:
        shown = [fields[options.name]]
    else:
        similar = difflib.get_close_matches(options.name, fields, n=1)
        hint = f"; did you mean {similar[0]}?" if similar else ""
        _arguments.wrong(options, f"unknown setting {options.name}{hint}")
    style, columns = Style(sys.stdout), width()
    indent = max(len(field["name"]) for field in shown) + 2 if columns >= NARROW else INDENT
    for field in shown:
        start = style(field["name"], "bold")
        if columns >= NARROW:
            start += " " * (indent - len(field["name"]))
        else:
            sys.stdout.write(f"{start}\n")
            start = " " * indent
        for line in _lines(field, columns - indent):
            sys.stdout.write(f"{start}{line}\n")
            start = " " * indent
    return 0


def _lines(field: dict[str, Any], columns: int) -> Iterator[str]:
    kind = _kind(field)
    if field.get("default") is not None:
        kind += f", default {json.dumps(field['default'], ensure_ascii=False)}"
    meaning = field.get("description", "")
    if "remedy" in field:
        meaning = f"Only Kong has this field: {field['remedy']}."
    for paragraph in (kind, meaning):
        yield from textwrap.wrap(paragraph, columns, break_long_words=False, break_on_hyphens=False)


def _kind(field: dict[str, Any]) -> str:
    """Return the type of a value, with the types or the choices of its parts."""
    kind: str = field["type"]
    if "one_of" in field:
        return " | ".join(map(json.dumps, field["one_of"]))
    if "elements" in field:
        return f"{kind} of {_kind(field['elements'])}"
    if "values" in field:
        return f"{kind} of {_kind(field['values'])}"
    if "fields" in field:
        parts = [f"{name} ({_kind(part)})" for name, part in field["fields"].items()]
        return f"{kind} of {', '.join(parts)}"
    return kind
