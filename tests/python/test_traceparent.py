"""The header traceparent in Python: the vectors, through gates and middleware."""

import asyncio
from collections.abc import Callable
from typing import Any

import credgate
import credgate.asgi
import credgate.wsgi
import pytest

from support.lab import Scripted
from support.replay import replay_traceparent
from support.vectors import Vector, to_bytes

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def values(vector: Vector) -> list[bytes]:
    return [to_bytes(value) for value in vector.input["traceparent"]]


def waiting(gate: credgate.Gate, vector: Vector) -> int:
    sent = values(vector)
    outcome = gate.authenticate(
        authorization=vector.bytes("authorization"), traceparent=b", ".join(sent) if sent else None
    )
    return 200 if outcome.allowed else 401


def in_a_loop(gate: credgate.Gate, vector: Vector) -> int:
    sent = values(vector)
    called = gate.authenticate_async(
        authorization=vector.bytes("authorization"), traceparent=b", ".join(sent) if sent else None
    )
    return 200 if asyncio.run(called).allowed else 401


def through_asgi(gate: credgate.Gate, vector: Vector) -> int:
    statuses: list[int] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Any) -> None:
        statuses.append(message["status"])

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    headers = [(b"authorization", vector.bytes("authorization")), *((b"traceparent", value) for value in values(vector))]
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": headers}
    asyncio.run(credgate.asgi.Middleware(app, gate)(scope, receive, send))
    return statuses[0]


def through_wsgi(gate: credgate.Gate, vector: Vector) -> int:
    statuses: list[int] = []
    text = {
        "HTTP_AUTHORIZATION": (vector.bytes("authorization") or b"").decode(),
        # As servers join several headers.
        "HTTP_TRACEPARENT": b",".join(values(vector)).decode("latin-1"),
    }
    environ: dict[str, Any] = {"REQUEST_METHOD": "GET", "QUERY_STRING": "", **{key: value for key, value in text.items() if value}}

    def app(_environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return []

    def start_response(status: str, _headers: Any) -> Any:
        statuses.append(int(status[:3]))

    credgate.wsgi.Middleware(app, gate)(environ, start_response)
    return statuses[0]


@pytest.mark.parametrize("way", [waiting, in_a_loop, through_asgi, through_wsgi])
def test_vectors(scripted: Scripted, way: Callable[[credgate.Gate, Vector], int]) -> None:
    def ask(vector: Vector) -> int:
        own = {"issuer": scripted.issuer, "allow_loopback_http": True, "cache_tokens": False}
        return way(credgate.Gate({**own, **vector.input["config"]}), vector)

    replay_traceparent(ask, scripted)


def test_a_gate_says_whether_it_wants_the_header() -> None:
    settings = {"issuer": "https://a.example"}
    assert [credgate.Gate(**settings, traceparent=wanted).wants_traceparent for wanted in (False, True)] == [False, True]


def test_a_hit_ignores_the_header(scripted: Scripted) -> None:
    gate = credgate.Gate(issuer=scripted.issuer, allow_loopback_http=True, traceparent=True)
    pair = {"client_id": "alice", "client_secret": "s3cret"}
    outcomes = [gate.authenticate(**pair, traceparent=value) for value in (PARENT, "x", None)]
    assert [outcome.cache_status for outcome in outcomes] == ["MISS", "HIT", "HIT"]


def test_a_check_says_whether_the_header_is_forwarded(scripted: Scripted) -> None:
    def codes(**settings: Any) -> set[str]:
        gate = credgate.Gate(issuer=scripted.issuer, allow_loopback_http=True, **settings)
        return {finding["code"] for finding in gate.check("alice", "s3cret")["findings"]}

    assert codes(traceparent=True) - codes() == {"traceparent_forwarded"}
