"""Representations, errors, logs and pickles contain no secret and no token."""

import asyncio
import copy
import io
import logging
import pickle
import traceback
from collections.abc import Callable
from typing import Any

import credgate
import pytest

from conftest import ALICE
from support.http import FORM, JSON, Client
from support.lab import FAULTS, Scripted, Upstream, break_down
from support.python import Program, gate

SECRET = Client("canary", "Zeisig5Vb+/%&=:?#x")
PLACES: dict[str, dict[str, Any]] = {
    "header": {"authorization": SECRET.basic["Authorization"]},
    "query": {"query": SECRET.parameters},
    "form": {"method": "POST", "content_type": FORM["Content-Type"], "body": SECRET.parameters},
    "json": {"method": "POST", "content_type": JSON["Content-Type"], "body": SECRET.document},
    "host": {"client_id": SECRET.id, "client_secret": SECRET.secret},
}


@pytest.fixture
def log() -> Any:
    """The output of all loggers."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    root.addHandler(handler)
    before, root.level = root.level, logging.DEBUG
    yield stream
    root.removeHandler(handler)
    root.level = before


def shown(value: object) -> str:
    """All representations and attributes of an object."""
    attributes = [(name, getattr(value, name)) for name in dir(value) if not name.startswith("__")]
    with_token = ("authorization", "access_token", "headers", "token_response")
    texts = [text for name, text in attributes if not callable(text) and name not in with_token]
    return f"{value!r} {value!s} {value:} {texts} {getattr(value, '__dict__', '')}"


@pytest.mark.parametrize("place", PLACES)
def test_outcomes_and_the_log_contain_no_secret_and_no_token(scripted: Scripted, log: io.StringIO, place: str) -> None:
    with_provider = gate(scripted.issuer)
    allow = with_provider.authenticate(**PLACES[place])
    assert allow.allowed, allow
    scripted.script(status=401, json={"error": "invalid_client", "error_description": f"bad {SECRET.secret}"})
    with_provider.purge()
    deny = with_provider.authenticate(**PLACES[place])
    assert not deny.allowed
    text = shown(allow) + shown(deny) + log.getvalue() + credgate.metrics() + str(credgate.report()) + shown(with_provider)
    assert SECRET.traces(text) == []
    assert "token-of-" not in text
    assert allow.access_token == "token-of-canary"


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "upstream-down"])
def test_errors_contain_no_secret(scripted: Scripted, upstream: Upstream, log: io.StringIO, fault: str) -> None:
    issuer, _ = break_down(fault, scripted, upstream, SECRET.secret)
    with_provider = gate(issuer, timeout=500)
    for make in (
        lambda: with_provider.token(SECRET.id, SECRET.secret),
        lambda: asyncio.run(with_provider.token_async(SECRET.id, SECRET.secret)),
    ):
        with pytest.raises(credgate.DeniedError) as raised:
            make()
        error = raised.value
        text = "".join(traceback.format_exception_only(error)) + repr(error) + repr(error.args) + repr(vars(error))
        assert SECRET.traces(text, log.getvalue(), pickle.dumps(error)) == []


def test_type_errors_contain_no_secret(scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)
    calls: list[Callable[[], object]] = [
        lambda: with_provider.authenticate(query=[SECRET.secret]),  # type: ignore[arg-type]
        lambda: with_provider.authenticate(client_id=SECRET.id, client_secret={SECRET.secret: 1}),  # type: ignore[arg-type]
        lambda: with_provider.token(SECRET.id, SECRET.secret, {"secret": SECRET.secret}),
        lambda: with_provider.authenticate(client_secret=SECRET.secret),
        lambda: with_provider.authenticate(SECRET.secret),  # type: ignore[misc]
    ]
    for call in calls:
        with pytest.raises((TypeError, ValueError)) as raised:
            call()
        assert SECRET.traces(str(raised.value), repr(raised.value)) == []


@pytest.mark.parametrize("text", ["\ud800", "x\udcff", "ä", "\x00", "日本"])
def test_text_outside_printable_ascii_is_denied_without_an_exception(scripted: Scripted, text: str) -> None:
    with_provider = gate(scripted.issuer)
    secret = "Zeisig5" + text
    for outcome in (
        with_provider.authenticate(client_id=SECRET.id, client_secret=secret),
        with_provider.authenticate(query=f"client_id=a&client_secret={secret}"),
        with_provider.authenticate(authorization=f"Basic {text}"),
    ):
        assert not outcome.allowed
        assert outcome.http_status in (400, 401)
    assert credgate.redact_query(f"client_secret={secret}&x={text}").endswith(f"*&x={text}")
    assert with_provider.hide_query(f"client_secret={secret}&x={text}") == f"x={text}"
    assert scripted.state["token"] == 0


def test_gates_and_outcomes_cannot_be_pickled_or_copied(scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)
    allow, deny = with_provider.authenticate(**PLACES["header"]), with_provider.authenticate()
    token = with_provider.token(SECRET.id, SECRET.secret)
    for value in (with_provider, allow, deny, token):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(TypeError, match="cannot be pickled"):
                pickle.dumps(value, protocol)
        with pytest.raises(TypeError, match="cannot be pickled"):
            copy.copy(value)


def test_a_traceback_contains_no_secret(scripted: Scripted) -> None:
    scripted.script(status=401, json={"error": "invalid_client"})
    program = Program(scripted.issuer, f"""
        gate.token("canary", open({__file__!r}).read().split('SECRET = Client("canary", "')[1].split('"')[0])
    """)  # fmt: skip
    status, out, err = program.end()
    assert status == 1
    assert "credgate.DeniedError: no token: credentials_refused" in err
    assert SECRET.traces(out, err) == []


def test_the_canary_is_found_in_a_token_request(scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)
    with_provider.authenticate(**PLACES["form"])
    assert SECRET.traces(str(scripted.state["last"]["form"])) != []
    assert ALICE.traces(str(scripted.state["last"]["form"])) == []
