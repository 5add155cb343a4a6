"""The README as its readers follow it: the blocks of each way to a first request."""

import re
from dataclasses import dataclass

from support.examples import section
from support.process import ROOT

README = ROOT / "README.md"
TEXT = README.read_text()
START = section(TEXT, "## Start")
FENCED = re.compile(r"^```(\S*)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: commands (`sh`), or the content of the file that its label names."""

    language: str
    file: str
    text: str


def blocks(text: str) -> list[Block]:
    return [Block(language, file, code) for language, file, code in FENCED.findall(text)]


def way(heading: str) -> list[Block]:
    """The blocks below a heading of "Start"."""
    return blocks(section(START, f"### {heading}"))


def file_of(heading: str) -> Block:
    """The one file that a way contains."""
    (found,) = (block for block in way(heading) if block.file)
    return found


WAYS = re.findall(r"^### (.+)$", START, re.MULTILINE)
# The packages, and the upstream.
(BUILD, UPSTREAM) = (block.text for block in blocks(START.partition("### ")[0]))
