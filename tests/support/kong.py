"""Configurations written by Kong."""

import json
from collections.abc import Iterator
from typing import Any

from support.process import ROOT

VERSIONS = ("2.8", "3.4", "3.9", "3.15")


def export(version: str, **config: Any) -> dict[str, Any]:
    """The plugin object that the admin API of this version answers: every field at its default, and the settings of
    Kong's guide for Auth0. `config` replaces some of them."""
    plugin: dict[str, Any] = json.loads((ROOT / "tests/vectors/kong" / f"{version}.json").read_text())
    plugin["config"] |= config
    return plugin


def refusals() -> Iterator[tuple[str, Any, str]]:
    """Each field of Kong that Credgate does not have, a value of its type, and the message if it is set to that."""
    table = json.loads((ROOT / "core/src/config/kong.json").read_text())
    for name, field in table["fields"].items():
        sentence = f"a field of Kong that Credgate does not have; {table['remedies'][field['remedy']]}"
        yield name, _set(field), sentence


def _set(field: dict[str, Any]) -> Any:
    match field["type"]:
        case "boolean":
            return True if True not in field.get("defaults", []) else "other"
        case "number" | "integer":
            return 77
        case "array" | "set":
            return [_set(field["elements"])]
        case "record":
            name, member = next(iter(field["fields"].items()))
            return {name: _set(member)}
    return "planted"
