"""The log of a soak: a line of JSON for each sample, event and wrong answer."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Log:
    """Appends to a file, at once."""

    def __init__(self, path: Path):
        self.file = path.open("a", buffering=1)

    def write(self, kind: str, **what: Any) -> None:
        self.file.write(json.dumps({"kind": kind, **what}) + "\n")


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The complete lines."""
    with path.open() as lines:
        for line in lines:
            if line.endswith("\n"):
                yield json.loads(line)
