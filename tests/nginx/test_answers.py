"""Responses to clients, by the credentials that they send."""

import base64
from collections.abc import Callable
from typing import Any

import pytest

from conftest import ALICE, BOB
from support.h2 import H2Connection
from support.http import FORM, JSON, SOURCES, Client, Connection, ask
from support.lab import Provider, Upstream, bearer
from support.nginx import Nginx, gate, guarded, location

Start = Callable[..., Nginx]


@pytest.fixture
def server(nginx: Start, provider: Provider, upstream: Upstream) -> Nginx:
    return nginx(guarded(upstream.url, provider.issuer))


def basic(text: str | bytes) -> dict[str, str]:
    data = text.encode() if isinstance(text, str) else text
    return {"Authorization": "Basic " + base64.b64encode(data).decode()}


def assert_unauthorized(answer: Any) -> None:
    assert answer.status == 401, answer
    assert answer.json() == {"message": "Unauthorized"}
    assert (answer.header("Content-Type") or "").startswith("application/json")
    assert answer.all("WWW-Authenticate") == ['Basic realm="127.0.0.1", charset="UTF-8"']
    assert answer.header("X-Credgate-Status") in ("NONE", "MISS", "JOINED", "HIT")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer eyJhbGciOiJub25lIn0.e30."},
        {"Authorization": "Digest username=alice"},
        {"Authorization": "Negotiate YWxpY2U="},
    ],
    ids=["nothing", "empty", "bearer", "digest", "negotiate"],
)
def test_without_credentials_a_request_is_unauthorized(
    server: Nginx, upstream: Upstream, provider: Provider, headers: dict[str, str]
) -> None:
    answer = ask(server.port, headers=headers)
    assert_unauthorized(answer)
    assert answer.header("X-Credgate-Status") == "NONE"
    assert upstream.seen == []
    assert provider.count["token"] == 0


@pytest.mark.parametrize("source", SOURCES)
def test_a_wrong_secret_is_unauthorized(server: Nginx, upstream: Upstream, provider: Provider, source: str) -> None:
    assert_unauthorized(ask(server.port, **ALICE.wrong().request(source)))
    assert upstream.seen == []
    assert provider.count["refused"] == 2, "one request with each authentication method"


@pytest.mark.parametrize("source", SOURCES)
def test_an_unknown_client_is_unauthorized(server: Nginx, upstream: Upstream, source: str) -> None:
    assert_unauthorized(ask(server.port, **Client("nobody", "anything").request(source)))
    assert upstream.seen == []


PAIR = ALICE.parameters
FORM_BODY = {"method": "POST", "headers": FORM}
JSON_BODY = {"method": "POST", "headers": JSON}


@pytest.mark.parametrize(
    "request_",
    [
        {"target": f"/?client_id={ALICE.id}"},
        {"target": "/?client_secret=alone"},
        {**FORM_BODY, "body": f"client_id={ALICE.id}"},
        {**FORM_BODY, "body": "client_secret=alone"},
        {**JSON_BODY, "body": f'{{"client_id": "{ALICE.id}"}}'},
        {**JSON_BODY, "body": '{"client_secret": "alone"}'},
        {"target": f"/?{PAIR}&client_id={ALICE.id}"},
        {"target": f"/?{PAIR}&client_secret=another"},
        {"target": f"/?{PAIR}&client%5Fsecret=another"},
        {**FORM_BODY, "body": f"{PAIR}&client_id={BOB.id}"},
        {**JSON_BODY, "body": '{"client_id": "a", "client_secret": "b", "client_id": "a"}'},
        {"target": f"/?{PAIR}", "headers": ALICE.basic},
        {**FORM_BODY, "target": f"/?{PAIR}", "body": PAIR},
        {"method": "POST", "headers": {**FORM, **ALICE.basic}, "body": PAIR},
        {"target": "/?client_id=%zz&client_secret=b"},
        {"target": "/?client_id=a%00&client_secret=b"},
    ],
    ids=[
        "query-id-only",
        "query-secret-only",
        "form-id-only",
        "form-secret-only",
        "json-id-only",
        "json-secret-only",
        "query-id-twice",
        "query-secret-twice",
        "query-secret-twice-encoded",
        "form-id-twice",
        "json-id-twice",
        "header-and-query",
        "query-and-form",
        "header-and-form",
        "query-bad-escape",
        "query-nul",
    ],
)
def test_ambiguous_credentials_are_a_bad_request(
    server: Nginx, upstream: Upstream, provider: Provider, request_: dict[str, Any]
) -> None:
    answer = ask(server.port, **request_)
    assert answer.status == 400, answer
    assert list(answer.json()) == ["message"]
    assert upstream.seen == []
    assert provider.count["token"] == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Basic"},
        {"Authorization": "Basic !!!"},
        basic("no-colon"),
        basic(":secret-without-id"),
        basic("id-without-secret:"),
        basic(b"caf\xe9:secret"),
    ],
    ids=["bare", "not-base64", "no-colon", "no-id", "no-secret", "latin-1"],
)
def test_malformed_basic_is_denied_without_an_exchange(
    server: Nginx, upstream: Upstream, provider: Provider, headers: dict[str, str]
) -> None:
    answer = ask(server.port, headers=headers)
    assert answer.status in (400, 401)
    assert list(answer.json()) == ["message"]
    assert upstream.seen == []
    assert provider.count["token"] == 0


@pytest.mark.parametrize("scheme", ["basic", "BASIC", "bAsIc"])
def test_the_basic_scheme_is_case_insensitive(server: Nginx, scheme: str) -> None:
    assert ask(server.port, headers={"Authorization": f"{scheme} {ALICE.pair}"}).status == 200


def test_a_second_authorization_header_is_a_bad_request(server: Nginx, upstream: Upstream) -> None:
    connection = Connection(server.port)
    connection.raw.putrequest("GET", "/")
    for client in (ALICE, BOB):
        connection.raw.putheader("Authorization", f"Basic {client.pair}")
    connection.raw.endheaders()
    assert connection.receive().status == 400
    connection.close()
    assert upstream.seen == []


@pytest.mark.parametrize("source", ["header", "query"])
def test_a_denied_head_request_gets_headers_without_a_body(server: Nginx, upstream: Upstream, source: str) -> None:
    allowed = ask(server.port, **{**ALICE.request(source), "method": "HEAD"})
    assert (allowed.status, allowed.body) == (200, b"")
    assert upstream.last["line"].startswith("HEAD / " if source == "header" else "HEAD /?keep=1 ")

    connection = Connection(server.port)
    denied = connection.ask(method="HEAD")
    assert (denied.status, denied.body) == (401, b"")
    assert denied.all("WWW-Authenticate")
    assert int(denied.header("Content-Length") or 0) > 0
    assert connection.ask(headers=ALICE.basic).status == 200
    connection.close()


@pytest.mark.parametrize("size", [0, 10, 5_000, 60_000, 500_000])
def test_a_connection_is_kept_alive_after_a_denial_with_a_body(server: Nginx, upstream: Upstream, size: int) -> None:
    connection = Connection(server.port)
    for _ in range(3):
        denied = connection.ask(method="POST", headers={**FORM, **ALICE.wrong().basic}, body="x" * size)
        assert denied.status == 401
        assert (denied.header("Connection") or "").lower() != "close"
        allowed = connection.ask("/next", headers=ALICE.basic)
        assert (allowed.status, allowed.json()["line"]) == (200, "GET /next HTTP/1.0")
    connection.close()


def test_pipelined_requests_are_answered_in_order(server: Nginx) -> None:
    connection = Connection(server.port)
    connection.raw.connect()
    one = "GET /{} HTTP/1.1\r\nHost: lab\r\nAuthorization: Basic {}\r\n\r\n"
    pairs = [(1, ALICE.pair), (2, BOB.pair), (3, ALICE.wrong().pair), (4, ALICE.pair)]
    connection.raw.sock.sendall("".join(one.format(*pair) for pair in pairs).encode())
    reader = connection.raw.sock.makefile("rb")
    statuses = []
    for _ in pairs:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += reader.read(1)
        statuses.append(int(head.split()[1]))
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        reader.read(int(length.split(b":")[1]))
    connection.close()
    assert statuses == [200, 200, 401, 200]


@pytest.mark.parametrize("source", SOURCES)
def test_http_2_clients_are_served_like_http_1(server: Nginx, upstream: Upstream, source: str) -> None:
    connection = H2Connection(server.h2_port)
    answers = [connection.ask(**ALICE.request(source)) for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 200]
    assert [answer.header("x-credgate-status") for answer in answers] == ["MISS", "HIT"]
    assert bearer(answers[0].json())
    assert ALICE.traces(upstream.last["raw"]) == []
    assert connection.ask(**ALICE.wrong().request(source)).status == 401
    assert connection.ask("/none").status == 401
    connection.close()


def test_credentials_pass_untouched_if_the_gate_is_off(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    server = nginx(
        "\n".join(f"{directive};" for directive in gate(provider.issuer))
        + location("/", f"proxy_pass {upstream.url}")
        + location("/open/", "credgate off", "add_header X-Status '[$credgate_cache_status]'", f"proxy_pass {upstream.url}")
    )
    assert ask(server.port).status == 401
    target = f"/open/?{ALICE.parameters}&x=1"
    answer = ask(server.port, target, method="POST", headers={**FORM, **BOB.basic}, body=ALICE.parameters)
    seen = answer.json()
    assert answer.header("X-Status") == "[]"
    assert seen["line"] == f"POST {target} HTTP/1.0"
    assert ["Authorization", BOB.basic["Authorization"]] in seen["headers"]
    assert seen["body"] == ALICE.parameters
    assert provider.count["token"] == 0


def test_a_403_of_the_provider_is_a_403(nginx: Start, scripted: Any, upstream: Upstream) -> None:
    scripted.script(status=403, json={"error": "access_denied", "error_description": "no grant for this client"})
    server = nginx(guarded(upstream.url, scripted.issuer))
    answer = ask(server.port, headers=ALICE.basic)
    assert answer.status == 403
    assert answer.json() == {"message": "Forbidden"}
    assert upstream.seen == []
