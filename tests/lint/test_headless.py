"""The lint for headless clauses reports every planted clause and accepts innocent text."""

from pathlib import Path

import pytest

from support.headless import check, main

WORDS = ("What", "Who", "Whoever", "Whatever", "Whose", "Where", "Whichever", "How")
FENCE = "```"

# One finding per file: name, text, line of the finding, its text.
PLANTED = {
    "md-paragraph": ("a.md", "Some text\nthat wraps. What\nremains is kept.\n", 2, "What remains is kept."),
    "md-heading": ("a.md", "# Title\n\n## What is logged\n\nText.\n", 3, "What is logged"),
    "md-bullet": ("a.md", "Fields:\n\n- `one`\n- what comes back\n", 4, "what comes back"),
    "md-numbered": ("a.md", "1. First.\n2. Who waits, waits.\n", 2, "Who waits, waits."),
    "md-cell": ("a.md", "| field | meaning |\n|---|---|\n| `a | b` | where it is |\n", 3, "where it is"),
    "md-link": ("a.md", "- [What is logged](#logged)\n", 1, "What is logged](#logged)"),
    "md-bold": ("a.md", "Text. **Who asks** waits.\n", 1, "Who asks** waits."),
    "md-after-code": ("a.md", "Calls `what.is()`. What it returns is kept.\n", 1, "What it returns is kept."),
    "md-after-fence": ("a.md", f"{FENCE}\n# What\n{FENCE}\n\nWhat it does.\n", 5, "What it does."),
    "colon": ("a.md", "The token: what it says, and more.\n", 1, "what it says, and more."),
    "semicolon": ("a.md", "It ends; whoever waits goes on.\n", 1, "whoever waits goes on."),
    "how-long": ("a.md", "How long a refusal is kept.\n", 1, "How long a refusal is kept."),
    "one-word": ("a.md", "- Where.\n", 1, "Where."),
    "rust-line": (
        "a.rs",
        'let a = "// no"; // Reads.\n// It ends.\n// Who waits\n// is woken.\n',
        3,
        "Who waits is woken.",
    ),
    "rust-doc": ("a.rs", "/// What becomes of it.\nstruct A<'a>(&'a str);\n", 1, "What becomes of it."),
    "rust-module": ("a.rs", "//! Keys: what\n//! they are.\n", 1, "what they are."),
    "rust-block": ("a.rs", "let q = '\"'; /* Text.\n * Whose it is. */\n", 2, "Whose it is."),
    "rust-doc-fence": (
        "a.rs",
        f"/// {FENCE}\n/// // What\n/// {FENCE}\n/// What it does.\nfn a() {{}}\n",
        4,
        "What it does.",
    ),
    "c-block": ("a.c", 'char *s = "/*";\n/*\n * Text.\n *\n * how it came about\n */\n', 5, "how it came about"),
    "c-line": ("a.h", "int a; // whose token it is\n", 1, "whose token it is"),
    "lua-line": ("a.lua", 'local s = "-- no"\n-- What goes upstream.\n', 2, "What goes upstream."),
    "lua-block": ("a.lua", "--[[ Text.\nWhat goes upstream. ]]\n", 2, "What goes upstream."),
    "python-comment": ("a.py", "a = 1  # what it costs\n", 1, "what it costs"),
    "python-docstring": (
        "a.py",
        'def a():\n    """Returns.\n\n    What is returned is new.\n    """\n',
        4,
        "What is returned is new.",
    ),
    "python-attribute": ("a.pyi", 'class A:\n    a: int\n    """Where it is."""\n', 3, "Where it is."),
    "shell": ("a.sh", "#!/bin/sh\necho '# What' ${#} # what is shown\n", 2, "what is shown"),
    "shell-columns": ("a.sh", "# usage\n#   a.sh SUITE    what it runs\n", 2, "what it runs"),
    "yaml": ("a.yml", "a: 1\n# Whatever follows is ignored.\n", 2, "Whatever follows is ignored."),
    "toml": ("a.toml", "[a]\n# Whichever is first wins.\nb = 1\n", 2, "Whichever is first wins."),
    "vector": (
        "vectors/a.json",
        '{\n  "vectors": [\n    {"comment": "A \\"b\\". What is here."}\n  ]\n}\n',
        3,
        "What is here.",
    ),
    "vector-file": ("vectors/a.json", '{\n  "description": "What goes upstream."\n}\n', 2, "What goes upstream."),
    "rust-name": ("a.rs", "#[test]\nfn what_is_known_is_kept() {}\n", 2, "test name: what_is_known_is_kept"),
    "rust-number": ("a.rs", "#[tokio::test(a = 1)]\n#[ignore]\nasync fn a26_purges() {}\n", 3, "test name: a26_purges"),
    "python-name": ("a.py", "\n\ndef test_who_waits_is_woken(): ...\n", 3, "test name: test_who_waits_is_woken"),
    "python-number": ("a.py", "async def test_n12_purges(): ...\n", 1, "test name: test_n12_purges"),
}

INNOCENT = {
    "question": ("a.md", "## How do I purge a token?\n\nWhat is it? Read on. Why: who knows?\n"),
    "infinitive": (
        "a.md",
        "- How long to cache a token.\n- How many to keep.\n- How much to read.\n- how often to ask\n",
    ),
    "fence": ("a.md", "Text.\n\n```nginx\n# What goes upstream.\nset $who 1;\n```\n\n~~~\nWho\n~~~\n"),
    "inline-code": ("a.md", "- `what` is a field.\n- `a: what; who` too. `How` was renamed.\n| `where` | `how` |\n"),
    "other-words": (
        "a.md",
        "Whole bodies. However, it ends: whether or not. Which one is it, e.g. what? Somewhat; whence.\n",
    ),
    "middle": (
        "a.md",
        "It returns what was sent, and who sent it,\nwhere that is known, or tells\nhow it failed, e.g. what was read.\n",
    ),
    "rust-strings": (
        "a.rs",
        'let a = "// What";\nlet b = r#"" // Who"#;\nlet c = (\'"\', "/* How */", \'\\\'\', "// What");\n',
    ),
    "rust-code": (
        "a.rs",
        "fn a<T>() -> T\nwhere\n    T: How,\n{\n}\n\nfn who_is_not_a_test() {}\n\n#[test]\nfn h2_works() {}\n",
    ),
    "c-strings": ("a.c", 'char *a = "// What";\nchar b = \'"\'; /* Text. */ char *c = "/* Who */";\n'),
    "lua-strings": ("a.lua", "local a = [[\n-- What\n]]\nlocal b = '-- Who'\n"),
    "python-strings": ("a.py", 'a = """What"""\nb = "# Who"\nc("""\nHow""")\n"""Text.\n\n>>> a\nWhat\n"""\n'),
    "python-names": (
        "a.py",
        "def test_h2_works(): ...\n\n\ndef test_says_what_is_wrong(): ...\n\n\ndef who_asks(): ...\n",
    ),
    "shell-strings": ("a.sh", "echo '# What' \"# Who\" ${#what}\n"),
    "separate-comments": ("a.rs", "a(); // Asks\nb();\n// for one,\n// what it needs.\n"),
    "vector-input": ("vectors/a.json", '{\n  "vectors": [{"input": {"description": "What"}, "id": "what/is"}]\n}\n'),
    "other-json": ("a.json", '{\n  "description": "What"\n}\n'),
    "unknown-type": ("LICENSE-MIT", "What is granted.\n"),
}


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize("case", PLANTED)
def test_a_planted_clause_is_found_on_its_line(case: str, tmp_path: Path) -> None:
    name, text, line, expected = PLANTED[case]
    path = written(tmp_path, name, text)
    assert check(path) == [(path, line, expected)]


@pytest.mark.parametrize("case", INNOCENT)
def test_innocent_text_has_no_findings(case: str, tmp_path: Path) -> None:
    assert check(written(tmp_path, *INNOCENT[case])) == []


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n\x00What is it.", b"What is it.\xff", b"What is it.\x00"])
def test_a_binary_file_has_no_findings(content: bytes, tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(content)
    assert check(binary) == []


@pytest.mark.parametrize("word", WORDS)
def test_every_word_is_found_in_every_place(word: str, tmp_path: Path) -> None:
    places = (
        f"{word} a.\nText. {word} b.\n\n# {word} c\n\n- {word.lower()} d\n\n| {word} e |\n\nText: {word.lower()} f.\n"
    )
    path = written(tmp_path, "a.md", places)
    assert [finding.line for finding in check(path)] == [1, 2, 4, 6, 8, 10]


def test_exit_status_and_closing_line_report_the_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = written(tmp_path, "bad.md", "What is it.\n\nWho knows.\n")
    good = written(tmp_path, "good.md", "The name.\n")
    assert main([str(bad), str(good)]) == 1
    assert capsys.readouterr().out == f"{bad}:1: What is it.\n{bad}:3: Who knows.\nheadless: 2 findings\n"
    assert main([str(good)]) == 0
    assert capsys.readouterr().out == "headless: 0 findings\n"
