"""The table of tests/README.md names tests and vectors that exist."""

import json
import re

from support.process import ROOT, TESTS

TABLE = re.findall(
    r"^\| ([A-DK]\d+(?:, [A-DK]\d+)*) \| (.+?) \| (.+) \|$", (TESTS / "README.md").read_text(), re.MULTILINE
)


def names() -> set[str]:
    found = set()
    for folder in ("core", "ffi", "python"):
        for file in (ROOT / folder).rglob("*.rs"):
            found.update(
                re.findall(r"#\[(?:tokio::)?test[^\n]*\]\n(?:[^\n]*\n)??\s*(?:async )?fn (\w+)", file.read_text())
            )
    for file in TESTS.rglob("test_*.py"):
        found.update(re.findall(r"^\s*def (test_\w+)", file.read_text(), re.MULTILINE))
    for file in (TESTS / "vectors").rglob("*.json"):
        found.update(vector["id"] for vector in json.loads(file.read_text()).get("vectors", []))
    return found


def test_every_name_in_the_table_is_a_test_or_a_vector() -> None:
    known = names()
    named = [name for _, _, shown in TABLE for name in re.findall(r"`([^`]+)`", shown)]
    assert len(named) > 100
    assert [name for name in named if name not in known] == []


def test_every_matter_has_a_row() -> None:
    rows = {row for rows, _, _ in TABLE for row in rows.split(", ")}
    matters = {
        f"{area}{number}"
        for area, first, last in (("A", 1, 10), ("B", 11, 17), ("C", 18, 29), ("D", 30, 39), ("K", 1, 24))
        for number in range(first, last + 1)
    }
    assert rows == matters
    assert [rows for rows, _, shown in TABLE if "`" not in shown] == []


def test_there_are_as_many_vectors_as_promised() -> None:
    def count(*files: str) -> int:
        return sum(len(json.loads((TESTS / "vectors" / file).read_text())["vectors"]) for file in files)

    dialects = [f"dialects/{file.name}" for file in (TESTS / "vectors/dialects").glob("*.json")]
    assert len(dialects) == 9
    for least, files in (
        (120, ["extraction.json"]),
        (40, ["hiding.json"]),
        (40, ["configuration.json"]),
        (30, ["policy.json"]),
        (70, ["token.json", *dialects]),
    ):
        assert count(*files) >= least, files
