"""Links in the documentation lead to a file of the repository, and to a heading in it."""

import re
import subprocess
from pathlib import Path

import pytest

from support.process import ROOT

FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)")


def pages() -> list[str]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.splitlines() if (ROOT / name).exists()]


def anchors(page: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them. A repeated heading has a number."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", FENCED.sub("", page), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        anchor = plain = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        number = 0
        while anchor in found:
            number += 1
            anchor = f"{plain}-{number}"
        found.add(anchor)
    return found


def broken(page: Path) -> list[str]:
    """The links of a page that lead nowhere."""
    found = []
    for file, anchor in LINK.findall(FENCED.sub("", page.read_text())):
        target = (page.parent / file).resolve() if file else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            found.append(f"{file}#{anchor}")
    return found


@pytest.mark.parametrize("name", pages())
def test_links_lead_somewhere(name: str) -> None:
    assert broken(ROOT / name) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# Other page\n\n## The same\n\n## The same\n\n```\n# no heading\n```\n")
    page = tmp_path / "page.md"
    page.write_text(
        "# Page\n[a](other.md) [b](other.md#the-same-1) [c](#page) [d](https://example.com/#x)\n"
        "[e](none.md) [f](other.md#no-heading) [g](#other) [h](other.md#the-same-2)\n"
    )
    assert broken(page) == ["none.md#", "other.md#no-heading", "#other", "other.md#the-same-2"]


def test_each_guide_is_in_the_table_of_guides() -> None:
    guides = ROOT / "core/guides"
    table = (guides / "README.md").read_text()
    assert [page.name for page in guides.glob("*.md") if page.name != "README.md" and f"({page.name})" not in table] == []
