"""Finds headless clauses: prose whose subject is no thing with a name but "what", "who", "whoever", "whatever",
"whose", "where", "whichever" or "how".

python -m support.headless [PATH...]

Reads comments, doc comments, docstrings, Markdown, and the comments of test vectors; without a PATH, in all files that
git tracks. Reports each sentence, heading, bullet, table cell, and each clause after a colon or semicolon, that begins
with such a word and is no question. Reports names of tests that begin with such a word or with the number of a list.
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

# A clause begins a block, or follows a colon, a semicolon or a gap as wide as a column's, in either case of letters.
# After the end of a sentence, and at the start of a line, only a capital letter begins one: "e.g. what" does not.
CLAUSE = re.compile(
    rf"(?:(?:\A|[:;]{QUOTES}\s+|(?<=\S)(?<![.!?\s]) {{2,}}){QUOTES}(?P<either>(?i:{WORDS}))"
    rf"|(?:[.!?…][\"'”’)\]*_]*\s+|\n\s*){QUOTES}(?P<capital>{CAPITALIZED}))\b(?![-=/.('])"
)
ALLOWED = re.compile(r"how (?:long|many|much|often) to [a-z]", re.IGNORECASE)
SENTENCE_END = re.compile(r"([.!?…])(?=[\"'”’)\]*_]*(?:\s|\Z))|\Z")

FENCE = re.compile(r"\s*(?:```|~~~)")
DOCTEST = re.compile(r"\s*>>> ")
# A heading, a bullet, a quotation or a number of a list opens a block of its own.
OPENING = re.compile(r"\s*(?:#{1,6}|[-*+•>]|\d{1,2}[.)])\s+(?:\[[ x]\]\s+)?")
INLINE_CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)

# Strings are matched so that nothing inside them is taken for a comment.
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
HASHED = {".sh", ".toml", ".yml", ".yaml", ".ini", ".supp", ".txt"}
NAMES = {"config", "run", ".editorconfig", ".gitignore"}
MARKER = re.compile(r"\s*(?://[/!]*|-{2,}|#+[!:]?)")
STAR = re.compile(r"\s*\*(?!\*)")

RUST_TEST = re.compile(
    r"#\[(?:\w+::)*test(?:\([^\]]*\))?\]\s*(?:(?:#\[[^\n]*\]|//[^\n]*)\s*)*(?:pub )?(?:async )?fn (\w+)"
)
PYTHON_TEST = re.compile(r"^[ \t]*(?:async )?def (test_\w+)", re.MULTILINE)
# HTTP/2 and C11 are no numbers of a list.
BAD_NAME = re.compile(rf"(?:test_)?(?:(?!h[123]_|c11_|c17_)[a-z]\d{{1,2}}_|(?:{WORDS})(?:_|\Z))")


class Line(NamedTuple):
    number: int
    text: str


class Finding(NamedTuple):
    path: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


def line_comments(lines: list[tuple[int, int, bool, str]]) -> Iterator[list[Line]]:
    """Joins comments of consecutive lines: (line, column, alone on its line, text)."""
    group: list[Line] = []
    before = (0, 0, False, "")
    for comment in lines:
        number, column, alone, text = comment
        marker = MARKER.match(text)
        follows = number == before[0] + 1 and alone and (before[2] or before[1] == column)
        if group and not (follows and MARKER.match(before[3])[0] == (marker and marker[0])):  # type: ignore[index]
            yield group
            group = []
        group.append(Line(number, MARKER.sub("", text, count=1)))
        before = comment
    if group:
        yield group


def block_comment(number: int, text: str) -> list[Line]:
    """The lines of a comment between delimiters, or of a docstring, without the stars at their starts."""
    lines = re.sub(r"\A/\*[*!]?|\*+/\Z", "", text).split("\n")
    if all(STAR.match(line) or not line.strip() for line in lines[1:]):
        lines[1:] = [STAR.sub("", line, count=1) for line in lines[1:]]
    return [Line(number + index, line) for index, line in enumerate(lines)]


def commented(source: str, pattern: "re.Pattern[str]") -> Iterator[list[Line]]:
    starts = [0, *(match.end() for match in re.finditer("\n", source))]
    lines = []
    for match in pattern.finditer(source):
        kind = match.lastgroup if match.lastgroup in ("line", "block") else "block"
        text = match.groupdict().get(kind)
        if text is None:
            continue
        number = bisect_right(starts, match.start(kind))
        column = match.start(kind) - starts[number - 1]
        if kind == "block":
            yield block_comment(number, text)
        else:
            alone = not source[starts[number - 1] : match.start(kind)].strip()
            lines.append((number, column, alone, text))
    yield from line_comments(lines)


def python(source: str) -> Iterator[list[Line]]:
    """Comments, and each string that is a statement."""
    comments = []
    statement = True
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            number, column = token.start
            comments.append((number, column, not token.line[:column].strip(), token.string))
        elif token.type == tokenize.STRING and statement:
            yield block_comment(token.start[0], re.sub(r"\A\w*(\"\"\"|'''|\"|')(.*)\1\Z", r"\2", token.string, flags=re.DOTALL))
        if token.type not in (tokenize.COMMENT, tokenize.NL):
            statement = token.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    yield from line_comments(comments)


def vectors(source: str) -> Iterator[list[Line]]:
    """The comment of each vector, and the description of the file."""
    for match in re.finditer(r'(?:"comment"|^ {2}"description"): *("(?:\\.|[^"\\])*")', source, re.MULTILINE):
        yield [Line(source.count("\n", 0, match.start(1)) + 1, json.loads(match[1]).replace("\n", " "))]


def passages(path: Path, source: str) -> Iterator[list[Line]]:
    """Prose of one file: consecutive lines, without the marks of a comment."""
    if path.suffix == ".md":
        yield [Line(number, text) for number, text in enumerate(source.split("\n"), 1)]
    elif path.suffix in (".py", ".pyi"):
        yield from python(source)
    elif path.suffix == ".json" and "vectors" in path.parts:
        yield from vectors(source)
    elif path.suffix in COMMENTS:
        yield from commented(source, COMMENTS[path.suffix])
    elif path.suffix in HASHED or path.name in NAMES:
        yield from commented(source, HASH)


def blocks(lines: list[Line]) -> Iterator[list[Line]]:
    """Paragraphs, headings, bullets and cells of a table; no code in fences, no doctest."""
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
    """The headless clauses of one block."""
    texts = [line.text.strip() for line in block]
    whole = "\n".join(texts)
    masked = INLINE_CODE.sub(lambda code: "`" * len(code[0]), whole)
    for match in CLAUSE.finditer(masked):
        start = match.start(match.lastgroup or 0)
        end = SENTENCE_END.search(masked, start)
        sentence = " ".join(whole[start : end.end() if end else None].split())
        if (end and end[1] == "?") or ALLOWED.match(sentence):
            continue
        yield Line(block[whole.count("\n", 0, start)].number, sentence)


def check(path: Path) -> list[Finding]:
    """All findings of one file, in the order of its lines."""
    source = path.read_text(encoding="utf-8")
    found = [clause for passage in passages(path, source) for block in blocks(passage) for clause in clauses(block)]
    names = {".rs": RUST_TEST, ".py": PYTHON_TEST}.get(path.suffix)
    for match in names.finditer(source) if names else ():
        if BAD_NAME.match(match[1]):
            found.append(Line(source.count("\n", 0, match.start(1)) + 1, f"name of a test: {match[1]}"))
    return [Finding(path, *line) for line in sorted(found)]


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout.decode()
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def main(arguments: list[str]) -> int:
    """Prints the findings of these files, or of all; returns the exit status."""
    findings = [finding for path in map(Path, arguments) for finding in check(path)]
    if not arguments:
        findings = [finding._replace(path=finding.path.relative_to(ROOT)) for path in tracked() for finding in check(path)]
    for finding in findings:
        print(finding)
    print(f"headless: {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
