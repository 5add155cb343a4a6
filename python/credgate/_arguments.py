"""Command-line options for the settings of a gate."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from credgate._fields import config_fields

if TYPE_CHECKING:
    import argparse


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the options that make up a configuration."""
    parser.add_argument(
        "--config", metavar="FILE", help="a JSON configuration; the options below override it"
    )
    parser.add_argument("--issuer", metavar="URL", help="the issuer or its well-known URL")
    parser.add_argument("--audience", metavar="AUDIENCE", help="the audience to request")
    parser.add_argument(
        "--scope",
        metavar="SCOPE",
        action="append",
        help='a scope to request; may be repeated; "" requests none',
    )
    parser.add_argument(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="any other setting (python -m credgate settings); a value that is not JSON is text",
    )


def read(options: argparse.Namespace) -> dict[str, Any]:
    """Return the configuration; exit if an option is invalid."""
    config = _file(options) if options.config else {}
    settings = config["config"] if isinstance(config.get("config"), dict) else config
    for name in ("issuer", "audience"):
        value = getattr(options, name)
        if value is not None:
            settings[name] = value
    if options.scope is not None:
        settings["scopes"] = [scope for scope in options.scope if scope]
    names = {field["name"] for field in config_fields()}
    for setting in options.set:
        name, value = pair(options, "--set", setting)
        if f"{name}_file" in names:
            wrong(
                options,
                f"--set {name}: is a secret, and every user of the machine can read arguments: "
                f"use {name}_file, or --config",
            )
        settings[name] = _value(name, value)
    return config


def written(options: argparse.Namespace) -> str:
    """Return the options as a shell command has them: each secret is a variable of the shell."""
    words: list[str] = []
    for name in ("config", "issuer", "audience"):
        value = getattr(options, name)
        if value is not None:
            words += [f"--{name}", shlex.quote(value)]
    for scope in options.scope or []:
        words += ["--scope", shlex.quote(scope)]
    secret = {field["name"] for field in config_fields() if _is_secret(field)}
    for setting in options.set:
        name = setting.partition("=")[0]
        value = f'{name}="${name.upper()}"' if name in secret else shlex.quote(setting)
        words += ["--set", value]
    return " ".join(words)


def pair(options: argparse.Namespace, option: str, text: str) -> tuple[str, str]:
    """Split an option's NAME=VALUE."""
    name, equals, value = text.partition("=")
    if not equals:
        wrong(options, f"{option}: must be NAME=VALUE")
    return name, value


def wrong(options: argparse.Namespace, message: str) -> NoReturn:
    """Print a usage error and exit with status 2."""
    parser: argparse.ArgumentParser = options.parser
    parser.error(message)


def _file(options: argparse.Namespace) -> dict[str, Any]:
    try:
        config: object = json.loads(Path(options.config).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        wrong(options, f"--config {options.config}: {error}")
    if not isinstance(config, dict):
        wrong(options, f"--config {options.config}: not a JSON object")
    return config


def _value(name: str, text: str) -> object:
    """Return the value of a setting. A number is text if the setting is text or a list of it."""
    try:
        value: object = json.loads(text)
    except ValueError:
        return text
    fields = [field for field in config_fields() if field["name"] == name]
    is_text = any("string" in (field["type"], _type_of_elements(field)) for field in fields)
    return text if is_text and isinstance(value, (int, float)) else value


def _type_of_elements(field: dict[str, Any]) -> str | None:
    kind: str | None = field.get("elements", {}).get("type")
    return kind


def _is_secret(field: dict[str, Any]) -> bool:
    parts = (field, field.get("elements", {}), field.get("values", {}))
    return any(part.get("secret", False) for part in parts)
