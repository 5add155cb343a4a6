"""`python -m credgate migrate`: turns a configuration of Kong into one of nginx."""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import credgate
from credgate import _arguments, _kong, _nginx

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

INVALID = 5
LOST = 6

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
REFERENCE = re.compile(r"\{vault://|\$\{\{")


@dataclass(frozen=True)
class Loss:
    """A setting that is not carried, and the reason."""

    where: str
    setting: str
    reason: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.where}: {self.setting}: {self.reason}"


@dataclass
class Gate:
    """The gate of a plugin: the settings that are carried, and those that are lost."""

    where: str
    config: dict[str, Any] | None
    losses: list[Loss]
    notes: list[Loss] = field(default_factory=list)


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "migrate",
        help="turn a configuration of Kong into one of nginx",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "file", metavar="FILE", help="the configuration of Kong; - is standard input"
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
    """Write the configuration to standard output, and the losses to standard error."""
    try:
        document = _kong.parse(_text(options))
    except _kong.InvalidFileError as error:
        sys.stderr.write(f"{options.file} {error}\n")
        return INVALID
    if not any(plugin.name in _kong.PLUGINS for plugin in _plugins(document)):
        sys.stderr.write(f"{options.file} has no enabled plugin openid-connect\n")
        return INVALID
    gates: list[Gate] = []

    def compiled(plugin: _kong.Plugin) -> Gate:
        gates.append(gate(plugin))
        return gates[-1]

    if options.format == "nginx":
        written, losses = _nginx.write(document, compiled, options.listen)
    else:
        for plugin in _plugins(document):
            if plugin.name in _kong.PLUGINS:
                compiled(plugin)
        written = json.dumps([_shown(each) for each in gates], indent=2) + "\n"
        losses = [loss for each in gates for loss in each.losses]
    for note in unique(note for each in gates for note in each.notes):
        sys.stderr.write(f"note: {note}\n")
    for loss in losses:
        sys.stderr.write(f"{loss}\n")
    if losses and not options.partial:
        count = f"{len(losses)} settings are" if len(losses) > 1 else "1 setting is"
        sys.stderr.write(
            f"{count} not carried, and nothing is written: change the file, or use --partial\n"
        )
        return LOST
    sys.stdout.write(written)
    return LOST if losses else 0


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


def place(plugin: _kong.Plugin) -> str:
    """Return the entity that a plugin applies to, as messages name it."""
    for kind, name in (("route", plugin.route), ("service", plugin.service)):
        if name is not None:
            return f"{kind} {name}"
    return "global"


def gate(plugin: _kong.Plugin) -> Gate:
    """Compile the settings of a plugin without those that cannot be carried."""
    where = f"{place(plugin)}, plugin {plugin.name}"
    config = {name: value for name, value in plugin.config.items() if value is not None}
    losses = [
        Loss(where, kind, "there are no consumers; Credgate serves every client of a route alike")
        for kind in plugin.others
    ]
    for name in [name for name, value in config.items() if _refers(value)]:
        _drop(config, name)
        losses.append(Loss(where, name, _REFERENCE_REASON))
    while True:
        try:
            compiled = credgate.Gate({"name": plugin.name, "config": config})
        except credgate.ConfigError as error:
            problems = error.problems
        else:
            return _noted(Gate(where, _set(config, compiled.config), losses), compiled.config)
        known = {loss.setting for loss in losses}
        losses += [
            Loss(where, problem.field or "config", problem.message)
            for problem in problems
            if problem.field not in known
        ]
        wrong = [problem.field for problem in problems if problem.field in config]
        if not wrong:
            return Gate(where, None, losses)
        for name in filter(None, wrong):
            _drop(config, name)


def _drop(config: dict[str, Any], name: str) -> None:
    """Remove a setting; names without their values go too."""
    stem, _, part = name.rpartition("_")
    parts = ("names", "values", "claims")
    for each in [f"{stem}_{other}" for other in parts] if part in parts else [name]:
        config.pop(each, None)


def _noted(gate: Gate, effective: dict[str, Any]) -> Gate:
    """Note what is carried, and should be known. The effective configuration masks secrets."""
    config = gate.config or {}
    for name, meaning in OLD_DEFAULTS.items():
        if config.get(name) is False:
            gate.notes.append(
                Loss(gate.where, name, f"false, Kong's default before 3.14: {meaning}")
            )
    masked = (name for name in config if MASK in json.dumps(effective[name]))
    gate.notes += [Loss(gate.where, name, IN_THE_OUTPUT) for name in masked]
    return gate


OLD_DEFAULTS = {
    "ssl_verify": "no certificate of the provider is verified",
    "hide_credentials": "clients' secrets go upstream",
}
MASK = "***"
IN_THE_OUTPUT = "may be a secret, and is in the output: protect it, or use the setting for files"

_REFERENCE_REASON = (
    "a reference that only Kong resolves; write the value, or put a secret into a file and name it "
    "(token_headers_files, token_post_args_files, client_secret_file)"
)


def _refers(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_refers, value.values()))
    if isinstance(value, list):
        return any(map(_refers, value))
    return isinstance(value, str) and REFERENCE.search(value) is not None


def _set(config: dict[str, Any], effective: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of the file that have an effect, without Kong's own and defaults."""
    usual = credgate.Gate(issuer="https://idp.example").config
    names = [name for name in effective if name in config]
    if "client_auth" in config:
        names.append("token_endpoint_auth_method")
        config = {**config, "token_endpoint_auth_method": config["client_auth"]}
    # Kong writes its default, which a gate requests too, but gives up if it is refused.
    if config.get("scopes") == ["openid"]:
        names.remove("scopes")
    explicit = {"issuer", "scopes", "auth_methods"}
    return {
        name: _bare(config[name], effective[name])
        for name in names
        if name in explicit or effective[name] != usual[name]
    }


def _bare(written: object, effective: object) -> object:
    """Return a value in its effective form; secrets are masked there, so they stay as written."""
    if isinstance(effective, list) and not isinstance(written, list):
        return [] if isinstance(written, dict) else [written]
    if isinstance(written, list) and not isinstance(effective, list):
        return written[0] if written else None
    return effective if isinstance(effective, bool) else written


def _shown(each: Gate) -> dict[str, Any]:
    return {"where": each.where, "config": each.config}


def unique(losses: Iterable[Loss]) -> list[Loss]:
    """Return losses without repetitions, in their order."""
    return list(dict.fromkeys(losses))
