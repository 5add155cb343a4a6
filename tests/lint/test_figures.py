"""The committed results: the generated part of tests/README.md, and the plots of the README."""

import re
from xml.etree import ElementTree

import pytest

from bench.__main__ import PROBE, TITLE
from bench.cases import NARROW, cases
from bench.report import BEGIN, END, HITS, PLOTS, PROXIES, README
from support.process import ROOT

SVG = "{http://www.w3.org/2000/svg}"
NUMBER = r"-?[\d,]+(\.\d+)?"
SPREAD = r"-?\d+\.\d\d \(-?\d+\.\d\d\.\.-?\d+\.\d\d\)"
SHAPES = (r"`\w+`", NUMBER, SPREAD, r"\d+\.\d\d \(\d+\.\d\d \+ \d+\.\d\d\)", SPREAD, rf"{NUMBER}|–", r"\S.*")
PLOTTED = {"cpu.svg": (4, HITS), "throughput.svg": (2, HITS | PROXIES)}
"""The column of the table that a plot shows, and its cases."""


def tables() -> dict[str, list[list[str]]]:
    """The tables of the generated part by their titles: columns, rule and rows."""
    text = README.read_text()
    assert text.count(BEGIN) == text.count(END) == 1
    part = text.partition(BEGIN)[2].partition(END)[0]
    sections = re.findall(r"^### (.+)\n\n(.+)\.\n\n((?:\|.*\n)+)", part, re.MULTILINE)
    assert len(sections) == part.count("### ") > 0
    for _, conditions, _ in sections:
        assert re.match(r"\d{4}-\d\d-\d\d, .+, \d+ processors, Linux [\d.]+", conditions), conditions
    return {title: [line[2:-2].split(" | ") for line in lines.splitlines()] for title, _, lines in sections}


def test_generated_tables_are_complete() -> None:
    for title, (columns, rule, *rows) in tables().items():
        assert rows and all(len(line) == len(columns) for line in (rule, *rows)), title


@pytest.mark.parametrize(("title", "is_narrow"), [(TITLE, False), (PROBE, True)])
def test_every_case_of_nginx_has_its_figures(title: str, is_narrow: bool) -> None:
    _, _, *rows = tables()[title]
    names = [case.name for case in cases("https://example.com", "") if case.name.endswith(NARROW) == is_narrow]
    assert [row[0].strip("`") for row in rows] == names
    for row in rows:
        for cell, shape in zip(row, SHAPES, strict=True):
            assert re.fullmatch(shape, cell), (row[0], cell)


@pytest.mark.parametrize("name", PLOTTED)
def test_a_plot_shows_the_figures_of_the_table(name: str) -> None:
    column, labels = PLOTTED[name]
    medians = {row[0].strip("`"): row[column].split()[0] for row in tables()[TITLE][2:]}
    root = ElementTree.parse(PLOTS / name).getroot()
    texts = [(text.get("class"), text.text or "") for text in root.iter(f"{SVG}text")]
    shown = [text for kind, text in texts if kind == "label"]
    values = [text.removesuffix(" µs") for kind, text in texts if kind == "value"]
    assert shown == list(labels.values())
    assert values == [medians[case] for case in labels]


@pytest.mark.parametrize("name", PLOTTED)
def test_a_plot_is_self_contained_and_readable_on_dark_pages(name: str) -> None:
    text = (PLOTS / name).read_text()
    assert "prefers-color-scheme: dark" in text
    assert not re.search(r"<script|href|url\(|@import|<image|<foreignObject|\bon\w+=", text)
    assert f"](tests/bench/plots/{name})" in (ROOT / "README.md").read_text()


def test_readme_has_the_ratios_of_instructions() -> None:
    counts = {row[0].strip("`"): row[5].replace(",", "") for row in tables()[TITLE][2:]}
    ratio = {case: int(count) / int(counts["credgate"]) for case, count in counts.items() if count.isdigit()}
    by_hand = [ratio[case] for case in ("lua_lru", "lua_raw", "lua_hash")]
    (row,) = re.findall(r"^\| instructions that a hit adds \|.*\|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert f"| {min(by_hand):.1f} to {max(by_hand):.1f} times those of Credgate in nginx |" in row
    assert row.endswith(f"| 1, and {ratio['lua_credgate']:.1f} in Lua |")


def test_every_plot_is_generated() -> None:
    assert {file.name for file in PLOTS.iterdir()} == set(PLOTTED)
