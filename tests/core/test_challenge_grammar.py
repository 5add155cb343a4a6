"""Each denial's WWW-Authenticate follows the grammar of RFC 9110 section 11.6.1, as a parser of its own reads it."""

import re

import pytest

from support.vectors import Vector, load

CHALLENGES = [vector for vector in [*load("challenges.json"), *load("policy.json")] if vector.expect.get("challenge")]
TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
QUOTED = r'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
PARAMETER = re.compile(rf"({TOKEN})[ \t]*=[ \t]*({QUOTED}|{TOKEN})")
SCHEME = re.compile(rf"({TOKEN})(?: +(?={TOKEN}[ \t]*=)|$|(?=,))")
COMMA = re.compile(r"[ \t]*,[ \t]*")


def parsed(value: str) -> list[tuple[str, dict[str, str]]]:
    """The challenges of a field value: schemes and their parameters. ValueError if the grammar is violated."""
    found: list[tuple[str, dict[str, str]]] = []
    at = 0
    while at < len(value):
        if parameter := PARAMETER.match(value, at):
            name, text = parameter[1].lower(), parameter[2]
            if not found or name in found[-1][1]:
                raise ValueError(f"{name} at {at}: {value}")
            found[-1][1][name] = re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text
            at = parameter.end()
        elif scheme := SCHEME.match(value, at):
            found.append((scheme[1].lower(), {}))
            at = scheme.end()
            continue
        else:
            raise ValueError(f"at {at}: {value}")
        comma = COMMA.match(value, at)
        if at < len(value) and not comma:
            raise ValueError(f"no comma at {at}: {value}")
        at = comma.end() if comma else at
    return found


def value(vector: Vector) -> str:
    return str(vector.expect["challenge"]).replace("{realm}", "idp.example")


@pytest.mark.parametrize("vector", CHALLENGES, ids=[vector.id for vector in CHALLENGES])
def test_every_challenge_can_be_parsed(vector: Vector) -> None:
    challenges = parsed(value(vector))
    schemes = [scheme for scheme, _ in challenges]
    assert schemes in (["basic"], ["bearer"], ["basic", "bearer"])
    for scheme, parameters in challenges:
        assert parameters["realm"] == "idp.example"
        if scheme == "basic":
            assert parameters == {"realm": "idp.example", "charset": "UTF-8"}  # RFC 7617 section 2.1
        else:
            assert set(parameters) <= {"realm", "error", "scope", "resource_metadata"}
            assert parameters.get("error") in (None, "invalid_token", "insufficient_scope")
            # RFC 6750 section 3.
            assert re.fullmatch(r"[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*", parameters.get("scope", "none"))
    assert (vector.expect["http_status"] == 401) or schemes == ["bearer"]


@pytest.mark.parametrize(
    "wrong",
    ['Bearer realm="a" error="b"', 'Bearer realm="a', 'realm="a"', 'Bearer realm="a"b"', 'Bearer realm="a", realm="b"'],
)
def test_the_parser_refuses_malformed_challenges(wrong: str) -> None:
    with pytest.raises(ValueError, match=" at |at "):
        parsed(wrong)
