"""`python -m credgate check`: explains how a provider responds to a configuration."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import credgate
from credgate import _arguments
from credgate._logs import leave_out_warnings
from credgate._terminal import Style, waiting, width

if TYPE_CHECKING:
    from collections.abc import Iterator

    from credgate import Diagnosis, Finding

SECRET = "CREDGATE_CLIENT_SECRET"  # noqa: S105
STATUS = {"ok": 0, "refused": 3, "unreachable": 4, "misconfigured": 5}
WARNED = 6  # with --strict; Python itself ends with 1 after an unhandled exception
LAST = {
    "ok": "It works: a gateway with these settings lets this client in.",
    "refused": "Refused: the provider does not accept this client.",
    "unreachable": "Unreachable: the provider did not give a usable response.",
    "misconfigured": "Misconfigured: change a setting, here or at the provider.",
}
MARKS = {"notice": "ok", "warning": "warning", "error": "ERROR"}
COLOURS = {"notice": "green", "warning": "yellow", "error": "red"}
LABELS = {"To do:": "bold", "The provider says:": "dim"}
# The columns of the steps and of their findings; a narrow terminal has the findings below.
STEP = 9
INDENT = 24
NARROW = 64

DESCRIPTION = f"""\
Requests a token for one client, as a gateway would for its first request, and explains each
step and the remedy for each problem. Settings with client_id need no client and no secret: they
contain the gateway's own.

The secret is never an argument, because every user of the machine can read arguments. The command
prompts for it, or reads it from a file (--secret-file) or from {SECRET}.
The output contains neither the secret nor the token.
"""
EPILOG = """\
exit status: 0 ok: the gate lets the client in · 2 the command line is invalid · 3 refused: the
provider does not accept the client · 4 unreachable: the provider is down, failing, rate-limiting or
too slow · 5 misconfigured: a setting must be changed, here or at the provider; also if the client
gets a token that the gate denies · 6 with --strict: ok, with warnings
"""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "check",
        help="explain how a provider responds to a configuration",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _arguments.add_to(parser)
    parser.add_argument(
        "--client-id",
        metavar="ID",
        help="the client to request a token for; not needed if the settings contain client_id",
    )
    parser.add_argument(
        "--secret-file", metavar="FILE", help="a file that contains the secret; - is standard input"
    )
    parser.add_argument(
        "--arg",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="a value that requests carry (token_post_args_host, token_post_args_client)",
    )
    parser.add_argument("--json", action="store_true", help="print the diagnosis as JSON")
    parser.add_argument(
        "--strict",
        action="store_true",
        help=f"count warnings as failures: exit status {WARNED} instead of 0",
    )
    parser.set_defaults(run=run, parser=parser)


def run(options: argparse.Namespace) -> int:
    """Check, print the diagnosis, and return the exit status."""
    leave_out_warnings()  # They are findings.
    try:
        gate = credgate.Gate(_arguments.read(options))
    except credgate.ConfigError as error:
        diagnosis = _wrong_settings(error)
    else:
        args = dict(_arguments.pair(options, "--arg", text) for text in options.arg)
        pair = _pair(options, gate)
        with waiting(f"Waiting for {urlsplit(gate.config['issuer']).netloc}"):
            diagnosis = gate.check(*pair, args=args) if pair else gate.check(args=args)
    status = _status(diagnosis, strict=options.strict)
    if options.json:
        shown = json.dumps(diagnosis, indent=2)
    else:
        shown = text(diagnosis, status, Style(sys.stdout))
    sys.stdout.write(f"{shown}\n")
    return status


def text(diagnosis: Diagnosis, status: int, style: Style) -> str:
    """Return a diagnosis as text for a terminal."""
    lines: list[str] = []
    step = ""
    for finding in diagnosis["findings"]:
        lines += _lines(finding, style, repeats=finding["step"] == step)
        step = finding["step"]
    verdict = diagnosis["verdict"]
    last = LAST[verdict]
    if verdict == "ok" and _warns(diagnosis):
        last += " See the warnings above."
    if status:
        last += f" (exit status {status})"
    colour = "red" if status else "green"
    return "\n".join([*lines, "", *(style(line, colour) for line in _wrapped(last, width()))])


def _status(diagnosis: Diagnosis, *, strict: bool) -> int:
    if strict and diagnosis["verdict"] == "ok" and _warns(diagnosis):
        return WARNED
    return STATUS[diagnosis["verdict"]]


def _warns(diagnosis: Diagnosis) -> bool:
    return any(finding["level"] == "warning" for finding in diagnosis["findings"])


def _lines(finding: Finding, style: Style, *, repeats: bool) -> Iterator[str]:
    """Yield the lines of a finding; the step is named once if its findings follow each other."""
    columns = width()
    is_narrow = columns < NARROW
    indent = " " * (STEP if is_narrow else INDENT)
    step = finding["step"].replace("_", " ")
    start = style(MARKS[finding["level"]].ljust(STEP), COLOURS[finding["level"]])
    if is_narrow:
        yield start + style(step, "bold")
        start = indent
    else:
        start += " " * (INDENT - STEP) if repeats else style(step.ljust(INDENT - STEP), "bold")
    for label, content in _paragraphs(finding):
        for line in _wrapped(f"{label} {content}".lstrip(), columns - len(indent)):
            is_labelled = label and line.startswith(label)
            shown = style(label, LABELS[label]) + line.removeprefix(label) if is_labelled else line
            yield start + shown
            start = indent


def _paragraphs(finding: Finding) -> Iterator[tuple[str, str]]:
    """Yield the paragraphs of a finding, each behind its label."""
    yield "", finding["message"]
    said = finding["facts"].get("provider_says")
    if said:
        yield "The provider says:", said
    if finding["remedy"]:
        yield "To do:", finding["remedy"]


def _wrapped(content: str, columns: int) -> list[str]:
    return textwrap.wrap(content, columns, break_long_words=False, break_on_hyphens=False)


def _wrong_settings(error: credgate.ConfigError) -> Diagnosis:
    return {
        "verdict": "misconfigured",
        "findings": [
            {
                "step": "configuration",
                "level": "error",
                "code": "settings_invalid",
                "message": _sentence(f"The settings are invalid: {why}"),
                "remedy": "Run python -m credgate settings, which describes every setting.",
                "facts": {"code": error.code},
            }
            for why in str(error).splitlines()
        ],
    }


def _sentence(text: str) -> str:
    return text if text.endswith(("?", ".")) else f"{text}."


def _pair(options: argparse.Namespace, gate: credgate.Gate) -> tuple[str, str] | None:
    """Return id and secret of the client; None for the gateway's own."""
    if options.client_id is not None:
        return options.client_id, _secret(options)
    if gate.config["client_id"] is None:
        _arguments.wrong(options, "--client-id is required, because the settings have no client_id")
    return None


def _secret(options: argparse.Namespace) -> str:
    """Read the secret from the file or the environment, or prompt for it."""
    if options.secret_file:
        secret = _from_file(options).removesuffix("\n")
        return _not_empty(options, f"--secret-file {options.secret_file}", secret)
    if SECRET in os.environ:
        return _not_empty(options, SECRET, os.environ[SECRET])
    if not sys.stdin.isatty():
        _arguments.wrong(
            options, f"no terminal to prompt for the secret: set {SECRET} or use --secret-file"
        )
    return getpass.getpass(f"Secret of {options.client_id}: ")


def _not_empty(options: argparse.Namespace, place: str, secret: str) -> str:
    return secret or _arguments.wrong(options, f"{place} is empty")


def _from_file(options: argparse.Namespace) -> str:
    try:
        if options.secret_file == "-":  # noqa: S105
            return sys.stdin.read()
        return Path(options.secret_file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        _arguments.wrong(options, f"--secret-file {options.secret_file}: {error}")
