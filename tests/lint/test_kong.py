"""The table of Kong's fields is in order, and covers the plugin objects that Kong writes."""

import json
import re
from typing import Any

import pytest

from support.kong import VERSIONS, export
from support.process import ROOT

TEXT = (ROOT / "core/src/config/kong.json").read_text()
TABLE: dict[str, Any] = json.loads(TEXT)
FIELDS: dict[str, dict[str, Any]] = TABLE["fields"]
OWN = {*json.loads((ROOT / "core/config.schema.json").read_text())["properties"], "client_auth"}
TYPES: dict[str, Any] = {
    "array": list, "boolean": bool, "integer": int, "number": (int, float), "set": list, "string": str,
}  # fmt: skip
PARTS = {"array": {"elements"}, "set": {"elements"}, "record": {"fields"}}


def test_lines_are_sorted() -> None:
    for part in TABLE.values():
        assert list(part) == sorted(part)
    assert re.findall(r'^    "([^"]+)":', TEXT, re.MULTILINE) == [*TABLE["remedies"], *FIELDS]


def test_every_remedy_is_used_and_defined() -> None:
    assert {field["remedy"] for field in FIELDS.values()} == {*TABLE["remedies"]}


def test_no_field_is_the_gates_own() -> None:
    assert not OWN & {*FIELDS}


@pytest.mark.parametrize("name", FIELDS)
def test_defaults_have_the_type_of_their_field(name: str) -> None:
    def check(field: dict[str, Any], beside: set[str]) -> None:
        assert {*field} - {"type", "defaults"} == beside | PARTS.get(field["type"], set())
        assert all(isinstance(default, TYPES[field["type"]]) for default in field.get("defaults", []))
        for inner in [*field.get("fields", {}).values(), *filter(None, [field.get("elements")])]:
            check(inner, set())

    check(FIELDS[name], {"remedy"})


@pytest.mark.parametrize("version", VERSIONS)
def test_every_field_of_an_export_is_the_gates_own_or_unset(version: str) -> None:
    config = export(version)["config"]
    assert {*config} <= OWN | {*FIELDS}
    assert [name for name in {*config} - OWN if not unset(config[name], FIELDS[name])] == []


def unset(value: Any, field: dict[str, Any]) -> bool:
    if isinstance(value, dict):
        return all(unset(member, field["fields"][name]) for name, member in value.items())
    if value is None or value is False or value == []:
        return True
    return in_order(value) in map(in_order, field.get("defaults", []))


def in_order(value: Any) -> Any:
    return sorted(value) if isinstance(value, list) else value
