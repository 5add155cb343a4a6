"""The reference of the nginx module agrees with the code."""

import json
import re
from typing import Any, NamedTuple

import pytest
from support.examples import section
from support.process import ROOT

NGINX = ROOT / "ffi/nginx"
README = (ROOT / "core/README.md").read_text()
PAGES = {page.name: page.read_text() for page in sorted(NGINX.glob("*.md"))}
REFERENCE = PAGES["DIRECTIVES.md"]


def test_fields_named_by_the_readme_of_the_core_exist() -> None:
    named = re.findall(r"^\| `(\w+)`", section(README, "## Configuration"), re.MULTILINE)
    assert len(named) > 5
    assert [name for name in named if name not in FIELDS] == []


class Directive(NamedTuple):
    """A row of the module's command table. `kind` and `field` are those of a setting or an option."""

    name: str
    contexts: list[str]
    words: str
    kind: str = ""
    field: str = ""


def contexts(flags: str) -> list[str]:
    names = {"NGX_HTTP_MAIN_CONF": "http", "NGX_HTTP_SRV_CONF": "server", "NGX_HTTP_LOC_CONF": "location"}
    return [name for flag, name in names.items() if flag in flags.split("|")]


def directives() -> list[Directive]:
    """The command table."""
    source = (NGINX / "ngx_http_credgate_module.c").read_text()
    (everywhere,) = re.findall(r"#define NGX_HTTP_CREDGATE_CONF\s+\\\n\s+(\S+)", source)
    found = [
        Directive(name, contexts(flags.replace("NGX_HTTP_CREDGATE_CONF", everywhere)), flags)
        for name, flags in re.findall(r'^    \{ ngx_string\("(\w+)"\),\n\s+(\S+),$', source, re.MULTILINE)
    ]
    for macro in ("SETTING", "OPTION"):
        body = source.partition(f"#define NGX_HTTP_CREDGATE_{macro}(")[2]
        flags = body[: body.index("|words")].split()[-1].replace("NGX_HTTP_CREDGATE_CONF", everywhere)
        row = rf'^    NGX_HTTP_CREDGATE_{macro}\("(\w+)",\s*(\w+),\s*(\w+),\s*"(\w*)"\)'
        rows = re.findall(row, source, re.MULTILINE)
        found += [
            Directive(f"credgate_{name}", contexts(flags), words, kind, field) for name, words, kind, field in rows
        ]
    assert len(found) > 75
    # A directive with two rows, one for each of its contexts, has one description.
    merged: dict[str, Directive] = {}
    for row in found:
        first = merged.get(row.name, row)
        merged[row.name] = row._replace(contexts=list(dict.fromkeys(first.contexts + row.contexts)))
    return list(merged.values())


def variables() -> list[str]:
    source = (NGINX / "ngx_http_credgate_variables.c").read_text()
    found = re.findall(r'^    \{ ngx_string\("(\w+)"\)', source, re.MULTILINE)
    assert len(found) > 5
    return found


def documented(name: str) -> dict[str, str]:
    """The rows below the one heading of a directive or a variable: Syntax, Default, Context and others."""
    rows, _, prose = section(REFERENCE, f"### {name}").lstrip("\n").partition("\n\n")
    assert prose.strip(), "no description"
    pairs = [row.removeprefix("* ").partition(": ")[::2] for row in rows.splitlines() if row.startswith("* ")]
    assert pairs and len(pairs) == len({title for title, _ in pairs}) == len(rows.splitlines()), rows
    return dict(pairs)


FIELDS: dict[str, Any] = json.loads((ROOT / "core/config.schema.json").read_text())["properties"]
UNITS = {"s": 1, "m": 60, "h": 3600}
DIRECTIVES = directives()
# Their default is a rule, in words or in the code.
BY_RULE = {"scopes", "store", "store_timeout"}


def engine_defaults() -> dict[str, object]:
    """The defaults of worker-wide directives, from EngineOptions."""
    source = (ROOT / "core/src/config/engine.rs").read_text()
    body = source.partition("impl Default for EngineOptions")[2].partition("\n}\n")[0]
    defaults: dict[str, object] = {}
    for field, value in re.findall(r"^ {12}(\w+): (.+),$", body, re.MULTILINE):
        if factors := re.fullmatch(r"[\d_]+(?: \* [\d_]+)*", value):
            number = 1
            for factor in factors[0].split(" * "):
                number *= int(factor)
            defaults[field] = number
        else:
            text = re.fullmatch(r'"(.*)"\.to_owned\(\)', value)
            defaults[field] = text[1] if text else None
    return defaults


def value(kind: str, words: list[str]) -> object:
    """A directive's words as the value of its field."""
    (first, *_) = words
    match kind:
        case "FLAG":
            return {"on": True, "off": False}[first]
        case "SEC":
            return int(first[:-1]) * UNITS[first[-1]]
        case "MSEC":
            return 1000 * int(first[:-1]) * UNITS[first[-1]]
        case "SIZE":
            return int(first[:-1]) * {"k": 1 << 10, "m": 1 << 20}[first[-1]]
        case "NUMBER":
            return float(first)
        case "NUMBERS":
            return [int(word) for word in words]
        case "LIST":
            return words
    return first


@pytest.mark.parametrize("directive", DIRECTIVES, ids=lambda directive: directive.name)
def test_directive_is_documented(directive: Directive) -> None:
    rows = documented(directive.name)
    assert list(rows)[:4] == ["Syntax", "Default", "Context", "Appeared in"]
    assert rows["Context"] == ", ".join(f"`{context}`" for context in directive.contexts)
    assert re.fullmatch(r"\d+\.\d+\.\d+", rows["Appeared in"])
    syntax = re.fullmatch(rf"`{directive.name}( .+)?;`", rows["Syntax"])
    assert syntax
    assert (syntax[1] is None) == (directive.words.endswith("NGX_CONF_NOARGS"))
    # There is but one value of credgate_ignore_signature.
    takes_more = directive.words in ("NGX_CONF_1MORE", "NGX_CONF_2MORE") and directive.field != "ignore_signature"
    assert rows["Syntax"].endswith(" ...;`") == takes_more


@pytest.mark.parametrize(
    "directive",
    [directive for directive in DIRECTIVES if directive.field and directive.field not in BY_RULE],
    ids=lambda directive: directive.name,
)
def test_documented_default_is_the_default_of_the_core(directive: Directive) -> None:
    of_engines = engine_defaults()
    default = FIELDS[directive.field].get("default") if directive.field in FIELDS else of_engines[directive.field]
    written = documented(directive.name)["Default"]
    if default in (None, "", [], {}):
        assert written == "—"
        return
    words = re.fullmatch(rf"`{directive.name} (.+);`", written)
    assert words, written
    assert value(directive.kind, words[1].split()) == default


def test_documented_defaults_by_rule() -> None:
    constant = r'const DEFAULT_SCOPE: &str = "(\w+)"'
    (scope,) = re.findall(constant, (ROOT / "core/src/gate/token_request.rs").read_text())
    assert FIELDS["scopes"]["default"] is None
    assert documented("credgate_scopes")["Default"] == f"`credgate_scopes {scope};`"
    assert documented("credgate_store")["Default"] == "a SQLite file beside `client_body_temp_path`"
    stores = [(ROOT / "core/src/store" / file).read_text() for file in ("redis/mod.rs", "sqlite/mod.rs")]
    timeouts = [re.findall(r"TIMEOUT: Duration = Duration::from_millis\((\d+)\)", store)[0] for store in stores]
    assert re.findall(r"`(\d+)ms`", documented("credgate_store_timeout")["Default"]) == timeouts


def test_settings_that_kong_has_are_named_by_their_field() -> None:
    for directive in DIRECTIVES:
        kong = documented(directive.name).get("Kong", "")
        names = re.findall(r"`(\w+)`", kong)
        if directive.field and names and directive.field in FIELDS and directive.kind not in ("PAIRS", "ARGS"):
            assert directive.field in names or directive.field == "ssl_trusted_certificate", directive.name
        elif directive.kind in ("PAIRS", "ARGS"):
            assert names == [f"{directive.field}_names", f"{directive.field}_values"]


@pytest.mark.parametrize("variable", variables())
def test_variable_is_documented(variable: str) -> None:
    name = f"{variable}name" if variable.endswith("_") else variable
    assert list(documented(f"${name}")) == ["Appeared in"]


def test_reference_documents_nothing_else() -> None:
    known = [directive.name for directive in DIRECTIVES]
    known += [f"${name}name" if name.endswith("_") else f"${name}" for name in variables()]
    headings = re.findall(r"^### (.+)$", REFERENCE, re.MULTILINE)
    assert sorted(headings) == sorted(known)
    listed = re.findall(r"\[(\$?credgate\w*)\]\(#", section(REFERENCE, "## Contents"))
    assert listed == headings


@pytest.mark.parametrize(
    ("heading", "pattern"),
    [("$credgate_cache_status", r"CACHE_STATUS_(\w+) \d+"), ("$credgate_cause", r"(\w+) [345]\d{3}")],
)
def test_values_of_a_variable_are_documented(heading: str, pattern: str) -> None:
    header = (ROOT / "include/credgate.h").read_text()
    names = re.findall(rf"^#define CREDGATE_{pattern}$", header, re.MULTILINE)
    listed = re.findall(r"^\| `(\w+)` \|", section(REFERENCE, f"### {heading}"), re.MULTILINE)
    assert sorted(name.upper() for name in listed) == sorted(names)
