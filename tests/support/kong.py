"""Configurations written by Kong."""

import json
from collections.abc import Iterator
from typing import Any

from support.process import ROOT

VERSIONS = ("2.8", "3.4", "3.9", "3.15")
GUIDE = {
    "auth_methods": ["client_credentials"],
    "issuer": "https://example.auth0.com/.well-known/openid-configuration",
    "token_post_args_names": ["audience"],
    "token_post_args_values": ["https://example.com/"],
}
"""The settings of Kong's guide for Auth0."""


def differences(version: str, config: dict[str, Any]) -> set[str]:
    """The fields in which the effective configuration of an export may differ from that of the guide's settings. Kong
    writes defaults for them, and its `ssl_verify` and `hide_credentials` were false before 3.14."""
    assert config["ssl_verify"] == config["hide_credentials"] == (version == "3.15")
    assert sorted(config["client_credentials_param_type"]) == ["body", "header", "query"]
    return {
        "cache_tokens_salt", "client_credentials_param_type", "hide_credentials", "scopes", "scopes_claim", "ssl_verify",
    }  # fmt: skip


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
