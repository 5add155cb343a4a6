"""ffi/nginx/OPERATING.md lists every line that a running nginx logs, and no other."""

import re

from support.examples import section
from support.process import ROOT

NGINX = ROOT / "ffi/nginx"
CORE = ROOT / "core/src"
LINES = re.findall(
    r"^\| (`[^|]+`) \| `([^|]+)` \| [^|]+ \|$", section((NGINX / "OPERATING.md").read_text(), "### Lines"), re.MULTILINE
)
DETAIL = "DETAIL"
PLACEHOLDER = re.compile(r"[A-Z]{2,}")

# A call that logs: its level, which may be a variable, and its format.
LITERAL = r'(?:"(?:[^"\\]|\\.)*"|ngx_\w+_n)'
CALL = re.compile(rf"ngx_log_error\((\w+),\s*([\w>-]+),\s*\w+,\s*((?:{LITERAL}\s*)+)")
# The core's records, by file: a new one needs a line in the manual.
RECORDS = {
    "gate/own.rs": 1,
    "provider/discovery.rs": 1,
    "provider/document.rs": 1,
    "provider/health/mod.rs": 2,
    "provider/mod.rs": 1,
    "store/guard.rs": 2,
}


def formats() -> dict[str, str]:
    """The formats of the module's lines, without their prefix, and the level of each; without those of mistakes in the
    configuration, which stop nginx."""
    found = {}
    for file in sorted(NGINX.glob("*.c")):
        for level, log, literals in CALL.findall(file.read_text()):
            if level == "NGX_LOG_EMERG" and (log == "cf->log" or file.name != "ngx_http_credgate_engine.c"):
                continue
            text = "".join(
                one[1:-1] if one.startswith('"') else "%s" for one in re.findall(LITERAL, literals)
            ).replace('\\"', '"')
            found[text.removeprefix("credgate: ")] = level
    return found


def pattern(form: str) -> re.Pattern[str]:
    """Any text of a format."""
    parts = re.split(r"%\*?[a-zA-Z]+", form.replace("%ui", "%u").replace("%uD", "%u"))
    return re.compile(".+".join(map(re.escape, parts)))


def production() -> dict[str, str]:
    """The code of the core without its tests, with the pieces of each string joined."""
    sources = {}
    for file in CORE.rglob("*.rs"):
        if "test" not in str(file.relative_to(CORE)):
            text = file.read_text().split("#[cfg(test)]\nmod tests")[0]
            sources[str(file.relative_to(CORE))] = re.sub(r"\\\n\s*", "", text).replace('\\"', '"')
    return sources


def fragments(line: str) -> list[str]:
    return [part.strip(" :;()") for part in PLACEHOLDER.split(line) if len(part.strip(" :;()")) > 3]


def test_every_line_of_the_module_is_documented() -> None:
    assert len(formats()) > 15
    for form, level in formats().items():
        name = level.removeprefix("NGX_LOG_").lower().replace("err", "error")
        fitting = [levels for levels, line in LINES if pattern(form).fullmatch(line)]
        assert fitting, form
        assert level.islower() or any(f"`{name}`" in levels for levels in fitting), (form, level)


def test_every_record_of_the_core_is_documented() -> None:
    found = {file: len(re.findall(r"journal(?:\n\s*)?\.note\(", text)) for file, text in production().items()}
    assert {file: count for file, count in found.items() if count} == RECORDS


def test_every_documented_line_is_one_of_the_code() -> None:
    core = "\n".join(production().values())
    patterns = [pattern(form) for form in formats() if form != "%*s"]
    for _, line in LINES:
        if line == DETAIL or any(one.fullmatch(line) for one in patterns):
            continue
        assert fragments(line), line
        assert [part for part in fragments(line) if part not in core] == [], line
