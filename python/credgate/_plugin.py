"""The gate of a plugin of Kong: its settings, without those that Credgate cannot carry."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import credgate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from credgate import _kong

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


def unique(losses: Iterable[Loss]) -> list[Loss]:
    """Return losses without repetitions, in their order."""
    return list(dict.fromkeys(losses))
