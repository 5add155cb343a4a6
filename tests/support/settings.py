"""Writes the settings of a gate as Python's type checkers know them, from the schema of the configuration.

python3 -m support.settings
"""

import json
import re
from textwrap import wrap
from typing import Any

from support.process import ROOT

SCHEMA = ROOT / "core/config.schema.json"
WRITTEN = ROOT / "python/credgate/_configuration.py"
# Paths of files, beside those whose names end in "_file" or, in mappings, "_files".
FILES = ("ssl_trusted_certificate", "tls_client_auth_cert", "tls_client_auth_key")
WIDTH = 100
TYPES = {"boolean": "bool", "integer": "int", "number": "float", "string": "str", "null": "None"}
HEAD = '''\
"""The settings of a gate, from core/config.schema.json (`tests/run.sh header --update`)."""

# ruff: noqa: ERA001, RUF100 - the description of a setting may look like code.

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from typing import Literal

'''


def annotation(schema: dict[str, Any]) -> str:
    """A type of JSON Schema as one of Python's."""
    match schema:
        case {"$ref": reference}:
            name = str(reference.rsplit("/", 1)[1])
            return name if name == "ClaimHeader" else f"_{name}"
        case {"anyOf": choices}:
            return " | ".join(map(annotation, choices))
        case {"type": [kind, "null"]}:
            return annotation({**schema, "type": kind}) + " | None"
        case {"type": "array", "items": items}:
            return f"Sequence[{annotation(items)}]"
        case {"type": "object", "additionalProperties": {"type": "string"}}:
            return "Mapping[str, str]"
        case {"type": kind}:
            return TYPES[kind]
    raise TypeError(schema)


def literal(name: str, schema: dict[str, Any]) -> str:
    """A choice of texts, in lines as the formatter breaks them."""
    values = [f'"{choice["const"]}"' for choice in schema["oneOf"]]
    line = ", ".join(values)
    if len(short := f"    _{name} = Literal[{line}]") <= WIDTH:
        return short + "\n"
    inner = f"        {line}\n" if len(line) + 8 <= WIDTH else "".join(f"        {value},\n" for value in values)
    return f"    _{name} = Literal[\n{inner}    ]\n"


def typed_dict(name: str, schema: dict[str, Any], total: str = "") -> str:
    """A class with a comment for each member; a list may be one string."""
    lines = [f"class {name}(TypedDict{total}):", f'    """{first_sentence(schema["description"])}"""', ""]
    for member, about in schema["properties"].items():
        of = annotation(about)
        if of.startswith("Sequence[") and "$ref" in about["items"] and of != "Sequence[ClaimHeader]":
            of = f"{annotation(about['items'])} | {of}"
        if member in FILES or member.endswith(("_file", "_files")):
            of = re.sub(r"\bstr(?= \||\])", "str | os.PathLike[str]", of)
        comment = plain(about["description"])
        if default := about.get("default"):
            comment += f" Default: {default if isinstance(default, bool) else json.dumps(default)}."
        lines += [f"    # {line}" for line in wrap(comment, 94)]
        lines.append(f"    {member}: {of}")
    return "\n".join(lines) + "\n"


def first_sentence(text: str) -> str:
    return plain(text).split(". ")[0].rstrip(".") + "."


def plain(text: str) -> str:
    return re.sub(r"\s+", " ", text.replace("`", '"')).strip()


def generate() -> str:
    schema = json.loads(SCHEMA.read_text())
    definitions = schema["$defs"].items()
    choices = [literal(name, one) for name, one in definitions if "oneOf" in one]
    objects = [typed_dict(name, one) for name, one in definitions if "properties" in one]
    objects.append(typed_dict("Settings", schema, ", total=False"))
    return HEAD + "".join(choices) + "".join(f"\n\n{one}" for one in objects)


if __name__ == "__main__":
    WRITTEN.write_text(generate())
