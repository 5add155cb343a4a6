"""`TokenEndpoint` and `Check`, for ASGI and WSGI."""

import asyncio
import io
import json
from collections.abc import Callable
from typing import Any

import credgate
import credgate.asgi
import credgate.wsgi
import pytest
from conftest import ALICE
from support.endpoints import (
    GRANT,
    replay_checks,
    replay_token_requests,
)
from support.lab import Provider, Scripted
from support.replay import configuration, headers_of
from support.vectors import Vector

Respond = Callable[[Any, Vector], tuple[int, dict[str, str], bytes]]


def asgi(app: Any, vector: Vector) -> tuple[int, dict[str, str], bytes]:
    """Runs an ASGI application without a server."""
    sent: list[dict[str, Any]] = []
    body = vector.bytes("body")
    named = {"authorization": vector.bytes("authorization"), "content-type": vector.bytes("content_type")}
    headers = [(name.encode(), value) for name, value in named.items() if value is not None]
    headers += [(name.lower(), value) for name, value in headers_of(vector)]
    if body is not None:
        headers.append((b"content-length", str(len(body)).encode()))
    scope = {
        "type": "http",
        "method": (vector.bytes("method") or b"GET").decode(),
        "path": "/",
        "query_string": vector.bytes("query") or b"",
        "headers": headers,
        "client": ("192.0.2.1", 1),
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body or b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    text = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], {name.decode(): value.decode() for name, value in sent[0]["headers"]}, text


def wsgi(app: Any, vector: Vector) -> tuple[int, dict[str, str], bytes]:
    """Runs a WSGI application without a server."""

    started: list[Any] = []
    body = vector.bytes("body") or b""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": (vector.bytes("method") or b"GET").decode(),
        "QUERY_STRING": (vector.bytes("query") or b"").decode("latin-1"),
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        "REMOTE_ADDR": "192.0.2.1",
    }
    for key, part in (("HTTP_AUTHORIZATION", "authorization"), ("CONTENT_TYPE", "content_type")):
        if (value := vector.bytes(part)) is not None:
            environ[key] = value.decode("latin-1")
    for name, value in headers_of(vector):
        environ["HTTP_" + name.decode().upper().replace("-", "_")] = value.decode("latin-1")
    text = b"".join(app(environ, lambda *arguments: started.append(arguments)))
    status, headers = started[0][:2]
    return int(status.split()[0]), dict(headers), text


def responder(kind: str, name: str, scripted: Scripted) -> Callable[[Vector], tuple[int, dict[str, str], bytes]]:
    module, respond = {"asgi": (credgate.asgi, asgi), "wsgi": (credgate.wsgi, wsgi)}[kind]
    gates: dict[str, Any] = {}

    def ask(vector: Vector) -> tuple[int, dict[str, str], bytes]:
        config = configuration(vector)
        if config not in gates:
            own = {"issuer": scripted.issuer, "allow_loopback_http": True, "cache_tokens": False}
            gates[config] = getattr(module, name)(credgate.Gate({**own, **json.loads(config)}))
        return respond(gates[config], vector)

    return ask


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_vectors_of_token_requests(scripted: Scripted, kind: str) -> None:
    replay_token_requests(responder(kind, "TokenEndpoint", scripted), scripted)


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_vectors_of_checks(scripted: Scripted, kind: str) -> None:
    replay_checks(responder(kind, "Check", scripted), scripted)


TOKEN_REQUEST = Vector(
    "a token request",
    {
        "method": "POST",
        "content_type": "application/x-www-form-urlencoded",
        "authorization": ALICE.basic["Authorization"],
        "body": GRANT,
    },
    None,
)


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_a_thousand_requests_of_a_client_are_one_exchange(provider: Provider, kind: str) -> None:
    module, respond = {"asgi": (credgate.asgi, asgi), "wsgi": (credgate.wsgi, wsgi)}[kind]
    gate = credgate.Gate(issuer=provider.issuer, audience="https://example.com/", allow_loopback_http=True)
    app = module.TokenEndpoint(gate)
    tokens = set()
    for _ in range(1000):
        status, _, body = respond(app, TOKEN_REQUEST)
        assert status == 200
        tokens.add(json.loads(body)["access_token"])
    outcome = gate.authenticate(authorization=ALICE.basic["Authorization"])
    assert outcome.allowed and outcome.cache_status == "HIT"
    assert tokens == {outcome.access_token}
    assert provider.count["token"] == 1


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_a_check_names_the_headers_to_set_and_to_remove(scripted: Scripted, kind: str) -> None:
    module, respond = {"asgi": (credgate.asgi, asgi), "wsgi": (credgate.wsgi, wsgi)}[kind]
    gate = credgate.Gate(
        issuer=scripted.issuer,
        allow_loopback_http=True,
        upstream_access_token_header="X-Token",
        upstream_headers=[{"header": "x-team", "path": ["team"]}],
    )
    vector = Vector("a check", {"authorization": ALICE.basic["Authorization"]}, None)
    status, headers, body = respond(module.Check(gate), vector)
    assert (status, body, headers["x-token"]) == (200, b"", "token-of-alice")
    assert headers["x-envoy-auth-headers-to-remove"] == "authorization,x-team"
    vector = Vector("another", {}, None)
    assert respond(module.Check(gate), vector)[0] == 401
    status, headers, _ = respond(module.Check(gate, optional=True), vector)
    assert status == 200 and "x-token" in headers["x-envoy-auth-headers-to-remove"]


def test_a_gate_that_does_not_fit_raises(scripted: Scripted) -> None:
    bearer = credgate.Gate(
        issuer=scripted.issuer, allow_loopback_http=True, auth_methods=["bearer"], audience_required=["a"]
    )
    query = credgate.Gate(issuer=scripted.issuer, allow_loopback_http=True, client_credentials_param_type=["query"])
    for module in (credgate.asgi, credgate.wsgi):
        with pytest.raises(credgate.ConfigError, match="^auth_methods"):
            module.TokenEndpoint(bearer)
        with pytest.raises(credgate.ConfigError, match="^client_credentials_param_type"):
            module.Check(query)


def test_another_kind_of_connection_is_refused(scripted: Scripted) -> None:
    app = credgate.asgi.Check(credgate.Gate(issuer=scripted.issuer, allow_loopback_http=True))
    with pytest.raises(ValueError, match="lifespan"):
        asyncio.run(app({"type": "lifespan"}, None, None))
