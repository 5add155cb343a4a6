"""The model agrees with the vectors, and the comparison finds every rule of the model that is changed.

The comparison itself runs outside of pytest, under PyPy: `tests/harden.sh short reference`.
"""

import base64
import binascii
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.vectors import Vector, load, to_bytes

from reference import counts, model
from reference.compare import Comparison
from reference.counts import Counts
from reference.library import Library
from reference.model import Denied, Found, Gate, Request
from reference.world import provider

# Named headers are selected by the host, before the rules of the model.
VECTORS = [vector for vector in load("extraction.json") if "headers" not in vector.input]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.id)
def test_the_model_agrees_with_the_vectors(vector: Vector) -> None:
    gate = Gate({"issuer": "https://a.example", **vector.input.get("config", {})})
    parts: dict[str, Any] = {name: vector.bytes(name) for name in ("authorization", "query", "content_type", "body")}
    if "credentials" in vector.input:
        parts["client_id"], parts["client_secret"] = map(to_bytes, vector.input["credentials"])
    args = tuple(map(to_bytes, vector.input.get("args", [])))
    request = Request(vector.bytes("method") or b"", args=args, **parts)
    expect = vector.expect
    match model.verdict(gate, request):
        case Denied(cause) as denied:
            assert expect == {"cause": cause, "http_status": denied.http_status}
        case Found("token", token):
            assert expect == {"token": token.decode()}
        case Found() as found:
            pair = found.client_id, found.client_secret
            assert pair == (to_bytes(expect["client_id"]), to_bytes(expect["client_secret"]))
            assert found.source == expect["source"]
            given = [[name.decode(), value.decode()] for name, value in found.args]
            assert given == expect.get("args", [])


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with provider() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def library() -> Library:
    return Library()


@pytest.fixture(autouse=True)
def _forget() -> None:
    for memory in model.MEMORIES:
        memory.clear()


def test_library_and_model_agree(library: Library, issuer: str) -> None:
    comparison = Comparison(library, issuer, 1)
    comparison.round(4000)
    assert not comparison.counts.differences, comparison.examples


def test_a_new_token_is_judged_with_the_response_in_its_claims(library: Library, issuer: str) -> None:
    required = {"scopes_required": ["read"], "scopes_claim": ["response", "scope"], "verify_claims": False}
    found = Found("header", b"c3", b"s3cret")
    assert Comparison(library, issuer, 1).policy_of_new(Gate({"issuer": issuer, **required}), found, 0) is None


def test_the_counts_of_all_rounds_are_added(tmp_path: Path) -> None:
    file = tmp_path / "new" / "rounds"
    assert counts.read(file).total == 0
    for hits in (2, 3):
        counts.append(file, Counts(1, 10, Counter(hit=hits, too_long=1), Counter(hit=1)))
    assert counts.read(file) == Counts(2, 20, Counter(hit=5, too_long=2), Counter(hit=2))


def _any_end(text: bytes) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return None


def _last_member(text: bytes, members: Any = model.members) -> Any:
    return list({parameter[0]: parameter for parameter in members(text)}.values())


def _plus_stays(text: bytes, decoded: Any = model.decoded) -> Any:
    return decoded(text.replace(b"+", b"%2B"))


PLANTED: dict[str, tuple[str, Any]] = {
    "a look-alike is another parameter": ("half_of", lambda name: name if name in (model.ID, model.SECRET) else None),
    "the limit is a byte lower": ("MAX_TOGETHER", 2047),
    "the limit is a byte higher": ("MAX_TOGETHER", 2049),
    "a plus sign is no space": ("decoded", _plus_stays),
    "base64 needs no canonical end": ("decoded_base64", _any_end),
    "a repeated member counts once": ("members", _last_member),
    "a body of DELETE counts": ("BODY_METHODS", (b"POST", b"PUT", b"PATCH", b"DELETE")),
    "the query is searched before Basic": ("PLACES", tuple(sorted(model.PLACES, key=lambda place: place[0] != "query"))),
    "an id may contain DEL": ("_PRINTABLE", re.compile(rb"[\x20-\x7f]*")),
    "the secret does not change the token": ("key", lambda gate, found: (gate.key, found.client_id, found.args)),
    "arguments do not change the token": ("key", lambda gate, found: (gate.key, found.client_id, found.client_secret)),
    "gates share all tokens": ("key", lambda gate, found: (found.client_id, found.client_secret, found.args)),
    "no claim is required": ("suffices", lambda gate, token: True),
    "tokens are served to their end": ("served_until", lambda gate, token, issued: issued + 3600),
    "a pattern matches a prefix": ("pattern", lambda text: re.compile(re.escape(text.encode()).replace(rb"\*", b".*") + b".*")),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_changed_rule_is_found(name: str, library: Library, issuer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    attribute, value = PLANTED[name]
    monkeypatch.setattr(model, attribute, value)
    comparison = Comparison(library, issuer, 2, at_first=True)
    for _ in range(10):
        comparison.round(10_000)
        if comparison.counts.differences:
            return
    pytest.fail("the comparison does not see it")
