"""WSGI middleware, called as a server calls it."""

import io
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import credgate
import credgate.wsgi
import pytest
from credgate._middleware import length

from conftest import ALICE, CLIENTS
from support.http import FORM, JSON, SOURCES
from support.lab import Provider, Scripted
from support.python import UNVERIFIED, Watched, denials_are_logged, fresh_gate, unsigned


@dataclass
class Served:
    """The result of a request: the environ that the application saw, and the response that the server got."""

    server: dict[str, Any]
    seen: dict[str, Any] | None = None
    body: bytes = b""
    status: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    response_body: bytes = b""


def serve(with_gate: credgate.Gate, *, optional: bool = False, status: str = "200 OK", **request: Any) -> Served:
    """Sends a request through the middleware to an application that reads the whole body and responds with `status`."""
    target = request.get("target", "/")
    path, _, query = target.partition("?")
    environ: dict[str, Any] = {"REQUEST_METHOD": request.get("method", "GET"), "PATH_INFO": path, "QUERY_STRING": query}
    environ |= {"RAW_URI": target, "REQUEST_URI": target}
    for name, value in request.get("headers", {}).items():
        variable = name.upper().replace("-", "_")
        environ[variable if variable == "CONTENT_TYPE" else f"HTTP_{variable}"] = value
    body = request.get("body", b"")
    body = body.encode() if isinstance(body, str) else body
    if request.get("chunked"):
        environ["wsgi.input_terminated"] = True
    elif body:
        environ["CONTENT_LENGTH"] = str(request.get("announced", len(body)))
    environ["wsgi.input"] = io.BytesIO(body)
    setup_testing_defaults(environ)
    served = Served(environ)

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        served.seen = environ
        size = None if environ.get("wsgi.input_terminated") else int(environ.get("CONTENT_LENGTH") or 0)
        served.body = environ["wsgi.input"].read(-1 if size is None else size)
        start_response(status, [("content-type", "text/plain")])
        return [b"done"]

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        served.status, served.headers = status, dict(headers)
        return None

    served.response_body = b"".join(credgate.wsgi.Middleware(app, with_gate, optional=optional)(environ, start_response))
    return served


@pytest.mark.parametrize("source", SOURCES)
def test_credentials_from_any_source_are_replaced_with_a_token(source: str, provider: Provider) -> None:
    served = serve(fresh_gate(provider.issuer), **ALICE.request(source, "/x"))
    assert served.status == "200 OK" and served.seen is not None
    assert served.seen["HTTP_AUTHORIZATION"].startswith("Bearer eyJ")
    assert served.seen["credgate.client_id"] == "alice"
    assert served.seen["credgate.claims"]["aud"] == "https://example.com/"
    received = [*(value for value in served.seen.values() if isinstance(value, str)), served.body]
    assert ALICE.traces(*received) == []
    logged = [value for name, value in served.server.items() if isinstance(value, str) and not name.startswith("HTTP_")]
    assert ALICE.traces(*logged) == [], "the server logs this"
    if source == "query":
        targets = {name: served.seen[name] for name in ("QUERY_STRING", "RAW_URI", "REQUEST_URI")}
        assert targets == {"QUERY_STRING": "keep=1", "RAW_URI": "/x?keep=1", "REQUEST_URI": "/x?keep=1"}
        assert all("client_secret=***" in served.server[name] for name in targets)
    if source in ("form", "json"):
        assert json.loads(served.body) == {"keep": 1} if source == "json" else served.body == b"keep=1"
        assert served.seen["CONTENT_LENGTH"] == str(len(served.body))


def test_the_canary_is_found_if_hide_credentials_is_off(provider: Provider) -> None:
    served = serve(fresh_gate(provider.issuer, hide_credentials=False), **ALICE.request("query"))
    assert served.seen is not None
    assert ALICE.traces(served.seen["RAW_URI"]) != []
    assert ALICE.traces(served.server["RAW_URI"]) == []


def test_a_query_of_credentials_alone_leaves_no_question_mark(provider: Provider) -> None:
    served = serve(fresh_gate(provider.issuer), target=f"/x?{ALICE.parameters}")
    assert served.seen is not None
    assert (served.seen["QUERY_STRING"], served.seen["RAW_URI"]) == ("", "/x")


def test_the_middleware_responds_to_a_denied_request(provider: Provider) -> None:
    served = serve(fresh_gate(provider.issuer), headers=ALICE.wrong().basic)
    assert served.seen is None
    assert (served.status, served.response_body) == ("401 Unauthorized", b'{"message":"Unauthorized"}')
    assert served.headers == {
        "content-type": "application/json; charset=utf-8",
        "www-authenticate": 'Basic realm="127.0.0.1", charset="UTF-8"',
        "content-length": "26",
    }
    head = serve(fresh_gate(provider.issuer), method="HEAD")
    assert (head.status, head.response_body, head.headers["content-length"]) == ("401 Unauthorized", b"", "26")


def test_a_rate_limit_of_the_provider_becomes_503_with_retry_after(scripted: Scripted) -> None:
    scripted.script(status=429, headers={"retry-after": "7"})
    served = serve(fresh_gate(scripted.issuer), headers=ALICE.basic)
    assert (served.status, served.headers["retry-after"]) == ("503 Service Unavailable", "7")


def test_with_optional_credentials_a_request_without_a_token_passes(provider: Provider) -> None:
    with_gate = fresh_gate(provider.issuer, upstream_headers=[{"header": "x-client", "path": ["sub"]}])
    served = serve(with_gate, optional=True, headers={"X-Client": "root"})
    assert served.status == "200 OK" and served.seen is not None
    assert served.seen["credgate.client_id"] is None
    assert "HTTP_X_CLIENT" not in served.seen
    refused = serve(with_gate, optional=True, headers=ALICE.wrong().basic)
    assert refused.seen is not None and "HTTP_AUTHORIZATION" not in refused.seen


def test_a_header_that_the_gate_sets_overrides_the_clients(provider: Provider) -> None:
    with_gate = fresh_gate(provider.issuer, upstream_headers=[{"header": "x-client-name", "path": ["client_id"]}])
    served = serve(with_gate, headers={**ALICE.basic, "X_Client_Name": "root", "X-Other": "kept"})
    assert served.seen is not None
    assert (served.seen["HTTP_X_CLIENT_NAME"], served.seen["HTTP_X_OTHER"]) == ("alice", "kept")


def test_a_non_ascii_claim_is_forwarded_as_utf_8(scripted: Scripted) -> None:
    scripted.script(json=unsigned(name="Zoë 日本"))
    with_gate = fresh_gate(scripted.issuer, **UNVERIFIED, upstream_headers=[{"header": "x-name", "path": ["name"]}])
    served = serve(with_gate, headers=ALICE.basic)
    assert served.seen is not None
    assert served.seen["HTTP_X_NAME"].encode("latin-1").decode() == "Zoë 日本"


def test_authorization_headers_joined_by_the_server_are_a_bad_request(provider: Provider) -> None:
    both = f"{ALICE.basic['Authorization']},{ALICE.basic['Authorization']}"
    assert serve(fresh_gate(provider.issuer), headers={"Authorization": both}).status == "400 Bad Request"


@pytest.mark.parametrize("chunked", [False, True])
def test_a_rewritten_body_has_matching_headers(chunked: bool, provider: Provider) -> None:
    headers = {**FORM, "Digest": "sha-256=x", "Content-MD5": "x", **({"Transfer-Encoding": "chunked"} if chunked else {})}
    body = f"{ALICE.parameters}&keep=1"
    served = serve(fresh_gate(provider.issuer), method="POST", headers=headers, body=body, chunked=chunked)
    assert (served.status, served.body) == ("200 OK", b"keep=1") and served.seen is not None
    assert served.seen["CONTENT_LENGTH"] == "6"
    assert {"HTTP_TRANSFER_ENCODING", "HTTP_DIGEST", "HTTP_CONTENT_MD5"} & set(served.seen) == set()


def test_a_body_without_credentials_is_unchanged(provider: Provider) -> None:
    served = serve(fresh_gate(provider.issuer), method="POST", headers={**ALICE.basic, **JSON}, body='{"a" : 1}')
    assert (served.status, served.body) == ("200 OK", b'{"a" : 1}')


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_reaches_the_application_whole(chunked: bool, provider: Provider) -> None:
    with_gate = fresh_gate(provider.issuer, max_body_bytes=20_000)
    body = bytes(range(256)) * 400
    served = serve(with_gate, method="POST", headers={**ALICE.basic, **FORM}, body=body, chunked=chunked)
    assert (served.status, served.body == body) == ("200 OK", True)


def test_a_truncated_body_is_not_searched_for_credentials(provider: Provider) -> None:
    body = f"{ALICE.parameters}&keep=1"
    cut = serve(fresh_gate(provider.issuer), method="POST", headers=FORM, body=body, announced=1000)
    assert (cut.status, cut.seen) == ("401 Unauthorized", None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", 0), ("17", 17), (None, None), ("", None), ("-1", None), ("²", None), ("1e3", None), ("9" * 5000, None)],
)
def test_a_content_length_that_is_not_all_digits_is_ignored(text: str | None, expected: int | None) -> None:
    assert length(text) == expected


def test_the_middleware_passes_the_wsgi_validator(provider: Provider) -> None:
    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("content-type", "text/plain")])
        return [b"done"]

    guarded = validator(credgate.wsgi.Middleware(validator(app), fresh_gate(provider.issuer)))  # type: ignore[arg-type]
    for headers, expected in ((ALICE.basic, b"done"), ({}, b'{"message":"Unauthorized"}')):
        environ: dict[str, Any] = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
        environ |= {"QUERY_STRING": "", "CONTENT_TYPE": "application/json", "CONTENT_LENGTH": "0"}
        setup_testing_defaults(environ)
        response = guarded(environ, lambda status, headers, exc_info=None: lambda data: None)
        assert b"".join(response) == expected
        response.close()  # type: ignore[attr-defined]


def test_every_client_gets_its_own_token(provider: Provider) -> None:
    with_gate = fresh_gate(provider.issuer)
    for client in CLIENTS:
        served = serve(with_gate, **client.request("json"))
        assert served.seen is not None
        assert served.seen["credgate.claims"]["client_id"] == served.seen["credgate.client_id"] == client.id


def test_the_status_of_the_application_is_reported_to_the_gate(provider: Provider) -> None:
    noted: list[int] = []
    watched: Any = Watched(fresh_gate(provider.issuer), noted.append)
    assert serve(watched, headers=ALICE.basic, status="401 Unauthorized").status == "401 Unauthorized"
    assert noted == [401]


def test_a_denial_is_logged_with_its_reason_and_left_in_the_servers_environ(
    provider: Provider, scripted: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    denials_are_logged("credgate.wsgi", serve, ALICE, (provider, scripted), caplog)
