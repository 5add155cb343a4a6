"""The directives of a gate for its configuration."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

PAIRS = {
    "token_post_args": "token_post_arg",
    "token_headers": "token_header",
    "discovery_headers": "discovery_header",
}
"""Settings with names and values, and the directive for each pair."""


def directives(config: dict[str, Any]) -> Iterator[tuple[str, str | None]]:
    """Return each setting with its directive, or with None if nginx cannot express the value."""
    config = dict(config)
    anonymous = config.pop("anonymous", False)
    yield "anonymous", f"credgate {'optional' if anonymous else 'on'};"
    yield "issuer", _directive("issuer", config.pop("issuer"))
    for setting, directive in PAIRS.items():
        names, values = (
            config.pop(f"{setting}_{part}", None) or [] for part in ("names", "values")
        )
        pairs = [*zip(names, values), *(config.pop(setting, None) or {}).items()]
        for pair in pairs:
            yield f"{setting}_values", _directive(directive, *pair)
        for pair in (config.pop(f"{setting}_files", None) or {}).items():
            yield f"{setting}_files", _directive(f"{directive}_file", *pair)
    claims = zip(
        *(config.pop(f"upstream_headers_{part}", None) or [] for part in ("names", "claims"))
    )
    for header, claim in claims:
        yield "upstream_headers_claims", _directive("upstream_header", header, claim)
    for mapping in config.pop("upstream_headers", None) or []:
        yield (
            "upstream_headers",
            _directive("upstream_header", mapping["header"], *_list(mapping["path"])),
        )
    for setting, value in config.items():
        if isinstance(value, bool):
            yield setting, f"credgate_{setting} {'on' if value else 'off'};"
        elif setting == "timeout":
            yield setting, f"credgate_timeout {value}ms;"
        else:
            yield setting, _directive(setting, *(map(str, _list(value))))


def _list(value: object) -> list[Any]:
    if isinstance(value, list):
        return value or [""]
    return [value]


def _directive(name: str, *words: str) -> str | None:
    if any("$" in word for word in words):
        return None
    return " ".join([f"credgate_{name}", *map(word, words)]) + ";"


def word(text: str) -> str:
    """Return a word of nginx's configuration, in quotes if it needs them."""
    return (
        text if re.fullmatch(r"[\w./:*@%+=,~^&?!#-]+", text) and "#" not in text else quoted(text)
    )


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
