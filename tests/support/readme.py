"""The README as its readers follow it: the blocks of each way to a first request. The label of a block names its file."""

import re

from support.examples import Block, fenced, section
from support.process import ROOT

README = ROOT / "README.md"
TEXT = README.read_text()
START = section(TEXT, "## Start")


def way(heading: str) -> list[Block]:
    """The blocks below a heading of "Start"."""
    return fenced(section(START, f"### {heading}"))


def file_of(heading: str) -> Block:
    """The one file that a way contains."""
    (found,) = (block for block in way(heading) if block.label)
    return found


WAYS = re.findall(r"^### (.+)$", START, re.MULTILINE)
# The packages, and the upstream.
(BUILD, UPSTREAM) = (block.text for block in fenced(START.partition("### ")[0]))
