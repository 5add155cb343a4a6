"""Reports headless clauses: prose that begins with "what", "who", "where", "how" or the like in place of a noun.

python -m support.headless [PATH...]

Checks Markdown, comments, docstrings, and the comments of test vectors. A directory means every file in it that git
tracks; the default is the whole repository. A sentence, heading, bullet or table cell must not begin with such a word,
nor must a clause after a colon or semicolon, except in a question. The name of a test must not begin with such a word
or with a list number (`a26_`). Prints each finding as `path:line: text`; the exit status is 1 if there is any.
"""

import io
import json
import re
import subprocess
import sys
import tokenize
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
WORDS = "what|who|whoever|whatever|whose|where|whichever|how"
QUOTES = r"[\"'“‘(\[*_]*"
CAPITALIZED = "|".join(word.capitalize() for word in WORDS.split("|"))

# A clause begins at the start of a block and after a colon, a semicolon or a column gap. After a full stop and at the
# start of a line it must be capitalized, because a full stop may end an abbreviation ("e.g. what").
CLAUSE = re.compile(
    rf"(?:(?:\A|[:;]{QUOTES}\s+|(?<=\S)(?<![.!?\s]) {{2,}}){QUOTES}(?P<either>(?i:{WORDS}))"
    rf"|(?:[.!?…][\"'”’)\]*_]*\s+|\n\s*){QUOTES}(?P<capital>{CAPITALIZED}))\b(?!\.?[-=/(\w])"
)
ALLOWED = re.compile(r"how (?:long|many|much|often) to [a-z]", re.IGNORECASE)
SENTENCE_END = re.compile(r"([.!?…])(?=[\"'”’)\]*_]*(?:\s|\Z))|\Z")

FENCE = re.compile(r"\s*(?:```|~~~)")
DOCTEST = re.compile(r"\s*>>> ")
# Headings, bullets, quotations and numbered items start a new block.
OPENING = re.compile(r"\s*(?:#{1,6}|[-*+•>]|\d{1,2}[.)])\s+(?:\[[ x]\]\s+)?")
INLINE_CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)

# Strings are matched too, so that their contents are not mistaken for comments.
RUST = re.compile(
    r"""(?P<line>//[/!]*[^\n]*)|(?P<block>/\*.*?\*/)|\b[bc]?r(?P<hash>\#*)".*?"(?P=hash)|"(?:\\.|[^"\\])*\""""
    r"""|'(?:\\[^\n']+|\\'|[^'\\\n])'""",
    re.DOTALL,
)
C = re.compile(
    r"""(?P<line>//[^\n]*)|(?P<block>/\*.*?\*/)|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`""", re.DOTALL
)
LUA = re.compile(
    r"""(?:--\[(?P<level>=*)\[(?P<block>.*?)\](?P=level)\])|(?P<line>--[^\n]*)|\[(?P<long>=*)\[.*?\](?P=long)\]"""
    r"""|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""",
    re.DOTALL,
)
HASH = re.compile(r"""'[^'\n]*'|"(?:\\.|[^"\\\n])*"|(?:^|(?<=\s))(?P<line>\#[^\n]*)""", re.MULTILINE)
COMMENTS = {".rs": RUST, ".c": C, ".h": C, ".mjs": C, ".lua": LUA, ".rockspec": LUA}
HASHED = {".sh", ".toml", ".yml", ".yaml", ".ini", ".supp"}
HASHED_NAMES = {"config", "run", "requirements.txt", ".editorconfig", ".gitignore"}
MARKER = re.compile(r"\s*(?://[/!]*|-{2,}|#+[!:]?)")
STAR = re.compile(r"\s*\*(?!\*)")

RUST_TEST = re.compile(
    r"#\[(?:\w+::)*test(?:\([^\]]*\))?\]\s*(?:(?:#\[[^\n]*\]|//[^\n]*)\s*)*(?:pub )?(?:async )?fn (\w+)"
)
PYTHON_TEST = re.compile(r"^[ \t]*(?:async )?def (test_\w+)", re.MULTILINE)
# `h2_` and `c11_` name HTTP/2 and C11. "where" begins a condition in a name, so it is allowed there, as is "how".
BAD_NAME = re.compile(
    r"(?:test_)?(?:(?!h[123]_|c11_|c17_)[a-z]\d{1,2}_|(?:what|who|whoever|whatever|whose|whichever)_)"
)


class Line(NamedTuple):
    number: int
    text: str


class Finding(NamedTuple):
    path: Path
    line: int
    text: str


def line_comments(source: str, found: list[tuple[int, int, str]]) -> Iterator[list[Line]]:
    """Joins comments on consecutive lines with the same marker; each is given as (line, column, text)."""
    lines = source.split("\n")
    group: list[Line] = []
    before = (0, 0, False, "")
    for number, column, text in found:
        marker = MARKER.match(text)
        mark = marker[0] if marker else ""
        alone = not lines[number - 1][:column].strip()
        follows = number == before[0] + 1 and alone and (before[2] or before[1] == column) and before[3] == mark
        if group and not follows:
            yield group
            group = []
        group.append(Line(number, text[len(mark) :]))
        before = (number, column, alone, mark)
    if group:
        yield group


def block_comment(number: int, text: str) -> list[Line]:
    """Returns the lines of a block comment or docstring without delimiters and leading stars."""
    lines = re.sub(r"\A/\*[*!]?|\*+/\Z", "", text).split("\n")
    if all(STAR.match(line) or not line.strip() for line in lines[1:]):
        lines[1:] = [STAR.sub("", line, count=1) for line in lines[1:]]
    return [Line(number + index, line) for index, line in enumerate(lines)]


def comments(source: str, pattern: "re.Pattern[str]") -> Iterator[list[Line]]:
    starts = [0, *(match.end() for match in re.finditer("\n", source))]
    found = []
    for match in pattern.finditer(source):
        groups = match.groupdict()
        if groups["line"]:
            number = bisect_right(starts, match.start("line"))
            found.append((number, match.start("line") - starts[number - 1], groups["line"]))
        elif groups.get("block"):
            yield block_comment(bisect_right(starts, match.start("block")), groups["block"])
    yield from line_comments(source, found)


def python(source: str) -> Iterator[list[Line]]:
    """Yields comments and docstrings, including those of attributes."""
    found = []
    statement = True
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            found.append((*token.start, token.string))
        elif token.type == tokenize.STRING and statement:
            yield block_comment(token.start[0], token.string.lstrip("rRuU").strip("\"'"))
        if token.type not in (tokenize.COMMENT, tokenize.NL):
            statement = token.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    yield from line_comments(source, found)


def vectors(source: str) -> Iterator[list[Line]]:
    """Yields the comment of each vector and the description of the file."""
    for match in re.finditer(r'(?:"comment"|^ {2}"description"): *("(?:\\.|[^"\\])*")', source, re.MULTILINE):
        yield [Line(source.count("\n", 0, match.start(1)) + 1, json.loads(match[1]).replace("\n", " "))]


def passages(path: Path, source: str) -> Iterator[list[Line]]:
    """Yields the prose of a file as runs of consecutive lines, without comment markers."""
    if path.suffix == ".md":
        yield [Line(number, text) for number, text in enumerate(source.split("\n"), 1)]
    elif path.suffix in (".py", ".pyi"):
        yield from python(source)
    elif path.suffix == ".json" and "vectors" in path.parts:
        yield from vectors(source)
    elif path.suffix in COMMENTS:
        yield from comments(source, COMMENTS[path.suffix])
    elif path.suffix in HASHED or path.name in HASHED_NAMES:
        yield from comments(source, HASH)


def blocks(lines: list[Line]) -> Iterator[list[Line]]:
    """Splits prose into paragraphs, headings, bullets and table cells; skips fenced code and doctests."""
    block: list[Line] = []
    fenced = doctest = False
    for line in lines:
        doctest = bool(line.text.strip()) and (doctest or DOCTEST.match(line.text) is not None)
        fence = FENCE.match(line.text) is not None
        opening = OPENING.match(line.text)
        cells = line.text.strip().startswith("|")
        if block and (fence or fenced or doctest or opening or cells or not line.text.strip()):
            yield block
            block = []
        fenced ^= fence
        if fence or fenced or doctest:
            continue
        if cells:
            masked = INLINE_CODE.sub(lambda code: "`" * len(code[0]), line.text)
            edges = [index for index, mark in enumerate(masked) if mark == "|"] + [len(masked)]
            for start, end in zip(edges, edges[1:]):
                yield [Line(line.number, line.text[start + 1 : end])]
        elif line.text.strip():
            block.append(Line(line.number, line.text[opening.end() :] if opening else line.text))
            if line.text.lstrip().startswith("#"):
                yield block
                block = []
    if block:
        yield block


def clauses(block: list[Line]) -> Iterator[Line]:
    """Yields the headless clauses of a block."""
    whole = "\n".join(line.text.strip() for line in block)
    masked = INLINE_CODE.sub(lambda code: "`" * len(code[0]), whole)
    for match in CLAUSE.finditer(masked):
        start = match.start(match.lastgroup or 0)
        end = SENTENCE_END.search(masked, start)
        sentence = " ".join(whole[start : end.end() if end else None].split())
        if (end and end[1] == "?") or ALLOWED.match(sentence):
            continue
        yield Line(block[whole.count("\n", 0, start)].number, sentence)


def check(path: Path) -> list[Finding]:
    """Returns the findings in a file, ordered by line. A binary file, such as an image, has none."""
    content = path.read_bytes()
    try:
        source = content.decode()
    except UnicodeDecodeError:
        return []
    if "\0" in source:
        return []
    found = [clause for passage in passages(path, source) for block in blocks(passage) for clause in clauses(block)]
    names = {".rs": RUST_TEST, ".py": PYTHON_TEST}.get(path.suffix)
    for match in names.finditer(source) if names else ():
        if BAD_NAME.match(match[1]):
            found.append(Line(source.count("\n", 0, match.start(1)) + 1, f"test name: {match[1]}"))
    return [Finding(path, *line) for line in sorted(found)]


def tracked(directory: Path) -> list[Path]:
    """Returns the files in a directory that git tracks."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=directory, stdout=subprocess.PIPE, check=True).stdout
    paths = [directory / name for name in listed.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


def main(arguments: list[str]) -> int:
    """Prints the findings and their number; returns the exit status."""
    findings: list[Finding] = []
    for path in [Path(argument) for argument in arguments] or [ROOT]:
        for file in tracked(path) if path.is_dir() else [path]:
            findings += check(file)
    for path, line, text in findings:
        print(f"{path if arguments else path.relative_to(ROOT)}:{line}: {text}")
    print(f"headless: {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
