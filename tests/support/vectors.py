"""The vectors of tests/vectors, as hosts replay them."""

import json
from dataclasses import dataclass
from typing import Any

from support.process import TESTS


@dataclass(frozen=True)
class Vector:
    """One vector, with the defaults of its file merged in."""

    id: str
    input: dict[str, Any]
    expect: Any

    def bytes(self, name: str) -> bytes | None:
        return to_bytes(self.input[name]) if name in self.input else None


def load(file: str) -> list[Vector]:
    text = (TESTS / "vectors" / file).read_text()
    document = json.loads(text.replace("$KEYS", str(TESTS / "vectors/keys")))
    defaults = document.get("defaults", {})
    return [Vector(vector["id"], merged(defaults, vector["input"]), vector["expect"]) for vector in document["vectors"]]


def merged(into: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Objects are merged, anything else is replaced."""
    result = dict(into)
    for name, value in more.items():
        both = isinstance(result.get(name), dict) and isinstance(value, dict)
        result[name] = merged(result[name], value) if both else value
    return result


def to_bytes(value: Any) -> bytes:
    """The bytes of a string, of {"hex": …}, of {"repeat": …, "times": n}, or of a list of these."""
    match value:
        case str():
            return value.encode()
        case list():
            return b"".join(to_bytes(piece) for piece in value)
        case {"hex": digits}:
            return bytes.fromhex(digits)
        case {"repeat": piece, "times": times}:
            return to_bytes(piece) * int(times)
        case _:
            raise TypeError(f"no bytes: {value!r}")
