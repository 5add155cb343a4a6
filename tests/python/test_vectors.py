"""The core's vectors through Python."""

import asyncio
import json
from collections.abc import Callable
from functools import cache
from typing import Any

import credgate
import credgate.asgi
import pytest

from support.lab import Scripted
from support.replay import (
    FORGETFUL,
    HIDING,
    SHOWN,
    args_of,
    configuration,
    headers_of,
    own_gate,
    pair_of,
    parts_of,
    replay_assertions,
    replay_challenges,
    replay_introspection,
    replay_shown,
    sent_on,
)
from support.vectors import Vector, load, to_bytes

REDACTION = [vector for vector in load("hiding.json") if "redact" in vector.input]
CONFIGURATION = load("configuration.json")

Judge = Callable[[credgate.Gate, dict[str, Any]], credgate.Allow | credgate.Deny]


def waiting(gate: credgate.Gate, shown: dict[str, Any]) -> credgate.Allow | credgate.Deny:
    return gate.authenticate(**shown)


def in_a_loop(gate: credgate.Gate, shown: dict[str, Any]) -> credgate.Allow | credgate.Deny:
    return asyncio.run(gate.authenticate_async(**shown))


def as_text(gate: credgate.Gate, shown: dict[str, Any]) -> credgate.Allow | credgate.Deny:
    """Passes bytes as str, with lone surrogates for invalid UTF-8, as `os.fsdecode` does."""

    def text(value: Any) -> Any:
        return value.decode(errors="surrogateescape") if isinstance(value, bytes) else value

    args = {name: text(value) for name, value in shown.pop("args").items()}
    headers = [(text(name), text(value)) for name, value in shown.pop("headers")]
    return gate.authenticate(**{name: text(value) for name, value in shown.items()}, args=args, headers=headers)


@pytest.mark.parametrize("way", [waiting, in_a_loop, as_text])
def test_extraction(scripted: Scripted, way: Judge) -> None:
    @cache
    def gate(config: str) -> credgate.Gate:
        own = {"issuer": scripted.issuer, "allow_loopback_http": True, "cache_tokens": False}
        return credgate.Gate({**own, **json.loads(config)})

    def judge(vector: Vector) -> dict[str, Any]:
        shown: dict[str, Any] = {**parts_of(vector), "args": args_of(vector), "headers": headers_of(vector)}
        if pair := pair_of(vector):
            shown["client_id"], shown["client_secret"] = pair
        outcome = way(gate(configuration(vector)), shown)
        if outcome.allowed:
            return {"allowed": True, "client_id": outcome.client_id, "source": outcome.source}
        return {"allowed": False, "cause": outcome.cause, "http_status": outcome.http_status}

    replay_shown(judge, scripted)
    assert len(SHOWN) > 200


def test_assertions(scripted: Scripted) -> None:
    def ask(vector: Vector) -> tuple[int, str | None]:
        outcome = credgate.Gate(own_gate(vector, scripted.issuer)).authenticate()
        return (200, None) if outcome.allowed else (outcome.http_status, outcome.cause)

    replay_assertions(ask, scripted)


def configured(vector: Vector) -> credgate.Gate:
    return credgate.Gate({"issuer": "https://idp.example", **vector.input.get("config", {})})


@pytest.mark.parametrize("part", ["query", "body"])
def test_hiding(part: str) -> None:
    differences = []
    for vector in HIDING:
        given = vector.bytes(part)
        if given is None:
            continue
        gate, expected = configured(vector), to_bytes(vector.expect[part])
        media_type = vector.bytes("content_type")
        for value in (given, bytearray(given), given.decode(errors="surrogatepass") if given.isascii() else None):
            if value is None:
                continue
            hidden = gate.hide_query(value) if part == "query" else gate.hide_body(media_type, value)
            actual = hidden.encode() if isinstance(hidden, str) else hidden
            if actual != expected or isinstance(hidden, str) != isinstance(value, str):
                differences.append(f"{vector.id}: expected {expected!r}, actual {hidden!r}")
    assert not differences, "\n" + "\n".join(differences)


def forwarded(gate: credgate.Gate, headers: list[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """The headers that reach an ASGI application; none if the request is denied."""
    seen: list[tuple[str, str]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend((name.decode(), value.decode()) for name, value in scope["headers"])

    async def ignore(message: Any) -> None:
        pass

    scope = {"type": "http", "method": "GET", "headers": headers, "query_string": b""}
    asyncio.run(credgate.asgi.Middleware(app, gate)(scope, lambda: asyncio.sleep(0), ignore))  # type: ignore[arg-type]
    return seen


def test_hiding_of_headers(scripted: Scripted) -> None:
    scripted.script(json={"access_token": "t", "token_type": "Bearer", "expires_in": 60})
    fixed = {"issuer": scripted.issuer, "allow_loopback_http": True, "anonymous": True}
    vectors = [vector for vector in HIDING if "headers" in vector.input]
    differences, compared = [], 0
    for vector in vectors:
        seen = forwarded(credgate.Gate({**fixed, **vector.input["config"]}), headers_of(vector))
        if not seen and vector.expect["headers"]:
            continue  # denied
        compared += 1
        if (came := sent_on(vector, {"headers": seen})) != sorted(vector.expect["headers"]):
            differences.append(f"{vector.id}: expected {vector.expect}, came {came}")
    assert not differences, "\n" + "\n".join(differences)
    assert compared >= len(vectors) / 2


def test_challenges(scripted: Scripted) -> None:
    fixed = {"issuer": scripted.issuer, "allow_loopback_http": True, "cache_tokens": False, "cache_ttl_neg": 0}

    def judge(vector: Vector) -> Any:
        outcome = credgate.Gate({**fixed, **vector.input["config"]}).authenticate(**parts_of(vector))
        if outcome.allowed:
            return "allow"
        return {"cause": outcome.cause, "http_status": outcome.http_status, "challenge": outcome.challenge}

    replay_challenges(judge, scripted)


def test_introspection(scripted: Scripted) -> None:
    def judge(vector: Vector) -> tuple[int, str]:
        own = {"issuer": scripted.issuer, "allow_loopback_http": True, **FORGETFUL}
        gate = credgate.Gate({**own, **vector.input["config"]})
        outcome = gate.authenticate(authorization=f"Bearer {vector.input['token']}")
        return (200, outcome.client_id or "") if outcome.allowed else (outcome.http_status, outcome.cause)

    replay_introspection(judge, scripted)


def test_redaction() -> None:
    differences = []
    for vector in REDACTION:
        given, expected = to_bytes(vector.input["redact"]), to_bytes(vector.expect["redacted"])
        actual = credgate.redact_query(given)
        if actual != expected:
            differences.append(f"{vector.id}: expected {expected!r}, actual {actual!r}")
    assert not differences, "\n" + "\n".join(differences)
    assert len(REDACTION) > 3


@pytest.mark.parametrize("vector", CONFIGURATION, ids=[vector.id for vector in CONFIGURATION])
def test_configuration(vector: Vector) -> None:
    config = vector.input.get("text", vector.input.get("config"))
    if "ok" in vector.expect:
        effective = credgate.Gate(config).config
        assert {name: effective[name] for name in vector.expect["ok"]} == vector.expect["ok"]
        return
    with pytest.raises(credgate.ConfigError) as raised:
        credgate.Gate(config)
    assert raised.value.code == vector.expect["code"]
    assert [problem.field for problem in raised.value.problems] == vector.expect["fields"]
    for words in vector.expect["says"]:
        assert words in str(raised.value)
