"""The forwarded request: everything that the client sent, byte for byte, except its credentials."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import ALICE, BOB
from support.http import FORM, JSON, SOURCES, ask
from support.lab import Provider, Upstream, bearer, values_of
from support.nginx import STATUS, Nginx, gate, guarded, location

Start = Callable[..., Nginx]


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        ("/a%20b//c?x=%2F&{}&y=1", "/a%20b//c?x=%2F&y=1"),
        ("/?{}", "/"),
        ("/?{}&last=1", "/?last=1"),
        ("/?first=1&{}", "/?first=1"),
        ("/?a=1&&b=%zz&c&=d&{}", "/?a=1&&b=%zz&c&=d"),
        ("/%7Euser/%C3%A9/../x?q=a+b%20c&{}", "/%7Euser/%C3%A9/../x?q=a+b%20c"),
        ("/?client_idx=1&xclient_secret=2&{}", "/?client_idx=1&xclient_secret=2"),
    ],
)
def test_paths_and_queries_arrive_byte_for_byte(
    nginx: Start, provider: Provider, upstream: Upstream, sent: str, received: str
) -> None:
    server = nginx(guarded(upstream.url, provider.issuer))
    for _ in range(2):
        answer = ask(server.port, sent.format(ALICE.parameters))
        assert answer.status == 200, answer
        assert answer.json()["line"] == f"GET {received} HTTP/1.0"


def test_query_credentials_are_removed_in_any_position_and_encoding(
    nginx: Start, provider: Provider, upstream: Upstream
) -> None:
    server = nginx(guarded(upstream.url, provider.issuer))
    client_id, secret = ALICE.parameters.split("&")
    target = f"/?a=1&{secret.replace('client_secret', 'client%5fsecret')}&b=2&{client_id}&c=3"
    answer = ask(server.port, target)
    assert (answer.status, answer.json()["line"]) == (200, "GET /?a=1&b=2&c=3 HTTP/1.0")
    assert ALICE.traces(answer.json()["raw"]) == []


@pytest.mark.parametrize(
    ("directives", "received"),
    [
        (["proxy_pass http://backend"], "/a%20b//c?x=%2F"),
        (["set $host_ backend", "proxy_pass http://$host_"], "/a%20b//c?x=%2F"),
        (["proxy_pass http://backend/base/"], "/base/a%20b/c?x=%2F"),
        (["set $host_ backend", "proxy_pass http://$host_$request_uri"], "/a%20b//c?x=%2F"),
        (["set $host_ backend", "proxy_pass http://$host_/v$is_args$args"], "/v?x=%2F"),
        (["rewrite ^/(.*)$ /new/$1 break", "proxy_pass http://backend"], "/new/a%20b/c?x=%2F"),
        (["rewrite ^ /y?extra=1 break", "proxy_pass http://backend"], "/y?extra=1&x=%2F"),
        (["proxy_set_header X-Query $query_string", "proxy_pass http://backend"], "/a%20b//c?x=%2F"),
        (["proxy_set_header X-Uri $request_uri", "proxy_pass http://backend"], "/a%20b//c?x=%2F"),
        (["proxy_set_header X-Line $request", "proxy_pass http://backend"], "/a%20b//c?x=%2F"),
        (["proxy_set_header X-Arg $arg_client_secret", "proxy_pass http://backend"], "/a%20b//c?x=%2F"),
        (["proxy_set_header X-Auth $http_authorization", "proxy_pass http://backend"], "/a%20b//c?x=%2F"),
        (["proxy_set_header X-Password $remote_user", "proxy_pass http://backend"], "/a%20b//c?x=%2F"),
    ],
    ids=[
        "host",
        "variable-host",
        "with-path",
        "request-uri",
        "args",
        "rewrite",
        "rewrite-args",
        "query-string-header",
        "request-uri-header",
        "request-header",
        "arg-header",
        "authorization-header",
        "remote-user-header",
    ],
)
def test_no_form_of_proxy_pass_forwards_a_secret_of_the_query(
    nginx: Start, provider: Provider, upstream: Upstream, directives: list[str], received: str
) -> None:
    server = nginx(
        location("/", *gate(provider.issuer), *directives),
        http=f"upstream backend {{ server 127.0.0.1:{upstream.port}; }}",
    )
    for _ in range(2):
        answer = ask(server.port, f"/a%20b//c?x=%2F&{ALICE.parameters}")
        assert answer.status == 200, answer
        seen = answer.json()
        assert ALICE.traces(seen["raw"]) == []
        assert bearer(seen)
        assert seen["line"] == f"GET {received} HTTP/1.0"


def test_authorization_evaluated_before_the_gate_forwards_no_secret(
    nginx: Start, provider: Provider, upstream: Upstream
) -> None:
    copy = ["set $copy $http_authorization", "proxy_set_header X-Copy $http_authorization"]
    server = nginx(location("/", *gate(provider.issuer), *copy, f"proxy_pass {upstream.url}"))
    for _ in range(2):
        seen = ask(server.port, headers=ALICE.basic).json()
        assert ALICE.traces(seen["raw"]) == []


@pytest.mark.parametrize("source", SOURCES)
def test_other_headers_arrive_as_they_were_sent(
    nginx: Start, provider: Provider, upstream: Upstream, source: str
) -> None:
    server = nginx(guarded(upstream.url, provider.issuer))
    request = ALICE.request(source)
    mine = {
        "X-Request-Id": "a b  c=;,\"'",
        "Accept": "text/html;q=0.9, */*",
        "Cookie": "a=1; b=2",
        "X-Authorization": "Basic mine",
        "Proxy-Authorization": "Basic also-mine",
        **{f"X-Many-{number}": str(number) for number in range(40)},
    }
    request["headers"] = {**request.get("headers", {}), **mine}
    seen = ask(server.port, **request).json()
    for name, value in mine.items():
        assert [name, value] in seen["headers"]
    assert len(values_of(seen, "authorization")) == 1


FORM_SENT = "a=1&{}&b=%2f+%zz&a=2&c"
FORM_LEFT = "a=1&b=%2f+%zz&a=2&c"


def chunks(body: str, size: int = 7) -> list[bytes]:
    data = body.encode()
    return [data[start : start + size] for start in range(0, len(data), size)]


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_form_arrives_without_credentials_and_with_its_new_length(
    nginx: Start, provider: Provider, upstream: Upstream, method: str, chunked: bool
) -> None:
    server = nginx(guarded(upstream.url, provider.issuer))
    body = FORM_SENT.format(ALICE.parameters)
    for _ in range(2):
        headers = {**FORM, "Transfer-Encoding": "chunked"} if chunked else FORM
        answer = ask(server.port, method=method, headers=headers, body=iter(chunks(body)) if chunked else body)
        assert answer.status == 200, answer
        seen = answer.json()
        assert seen["body"] == FORM_LEFT
        assert values_of(seen, "content-length") == [str(len(FORM_LEFT))]
        assert values_of(seen, "transfer-encoding") == []


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_other_members_of_a_json_body_stay_byte_for_byte(
    nginx: Start, provider: Provider, upstream: Upstream, chunked: bool
) -> None:
    server = nginx(guarded(upstream.url, provider.issuer))
    rest = '"n": 1.50, "big": 12345678901234567890, "deep": {"client_secret": "mine", "u": "\\u00e9"}'
    own = f'"client_id": {json.dumps(ALICE.id)}, "client_secret": {json.dumps(ALICE.secret)}'
    body = f"{{{own}, {rest}}}"
    headers = {**JSON, "Transfer-Encoding": "chunked"} if chunked else JSON
    answer = ask(server.port, method="POST", headers=headers, body=iter(chunks(body)) if chunked else body)
    assert answer.status == 200, answer
    seen = answer.json()
    assert rest in seen["body"]
    assert set(json.loads(seen["body"])) == {"n", "big", "deep"}
    assert dict(seen["headers"])["Content-Length"] == str(len(seen["body"]))
    assert ALICE.traces(seen["raw"]) == []


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("size", [900, 5_000, 60_000])
@pytest.mark.parametrize("where", ["first", "last"])
def test_credentials_are_removed_from_a_body_larger_than_the_buffer(
    nginx: Start, provider: Provider, upstream: Upstream, size: int, chunked: bool, where: str
) -> None:
    server = nginx(guarded(upstream.url, provider.issuer), http="client_body_buffer_size 1k;")
    filler = "filler=" + "x" * size
    body = f"{ALICE.parameters}&{filler}" if where == "first" else f"{filler}&{ALICE.parameters}"
    headers = {**FORM, "Transfer-Encoding": "chunked"} if chunked else FORM
    answer = ask(server.port, method="POST", headers=headers, body=iter(chunks(body, 700)) if chunked else body)
    assert answer.status == 200, answer
    seen = answer.json()
    assert seen["body"] == filler
    assert dict(seen["headers"])["Content-Length"] == str(len(filler))


@pytest.mark.parametrize(
    "setting", ["client_body_in_file_only clean", "client_body_in_single_buffer on", "proxy_request_buffering off"]
)
def test_credentials_are_removed_under_every_body_setting_of_nginx(
    nginx: Start, provider: Provider, upstream: Upstream, setting: str
) -> None:
    server = nginx(guarded(upstream.url, provider.issuer, setting))
    for _ in range(2):
        answer = ask(server.port, **ALICE.request("form"))
        assert (answer.status, answer.json()["body"]) == (200, "keep=1")


def test_an_oversized_body_passes_untouched_with_header_credentials(
    nginx: Start, provider: Provider, upstream: Upstream
) -> None:
    server = nginx(guarded(upstream.url, provider.issuer))
    body = "x=" + "y" * 200_000
    answer = ask(server.port, method="POST", headers={**FORM, **ALICE.basic}, body=body)
    assert (answer.status, answer.json()["body"]) == (200, body)
    assert ask(server.port, method="POST", headers=FORM, body=f"{ALICE.parameters}&{body}").status == 401


@pytest.mark.parametrize(
    "headers",
    [{"Content-Type": "text/plain"}, {"Content-Type": "multipart/form-data; boundary=x"}, {}],
    ids=["text", "multipart", "none"],
)
def test_bodies_of_other_types_are_not_read(
    nginx: Start, provider: Provider, upstream: Upstream, headers: dict[str, str]
) -> None:
    server = nginx(guarded(upstream.url, provider.issuer))
    body = BOB.parameters
    assert ask(server.port, method="POST", headers=headers, body=body).status == 401
    answer = ask(server.port, method="POST", headers={**headers, **ALICE.basic}, body=body)
    assert (answer.status, answer.json()["body"]) == (200, body)


def test_the_body_of_a_get_request_is_ignored(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    server = nginx(guarded(upstream.url, provider.issuer))
    assert ask(server.port, headers=FORM, body=ALICE.parameters).status == 401
    answer = ask(server.port, headers={**FORM, **ALICE.basic}, body="x=1&y=2")
    assert (answer.status, answer.json()["body"]) == (200, "x=1&y=2")


@pytest.mark.parametrize("body", ["null", "[]", "7", "{", "", '"text"'])
def test_a_json_body_that_is_no_object_holds_no_credentials(
    nginx: Start, provider: Provider, upstream: Upstream, body: str
) -> None:
    server = nginx(guarded(upstream.url, provider.issuer))
    assert ask(server.port, method="POST", headers=JSON, body=body).status in (400, 401)
    answer = ask(server.port, method="POST", headers={**JSON, **ALICE.basic}, body=body)
    assert (answer.status, answer.json()["body"]) == (200, body)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("way", ["error_page", "try_files", "index"])
def test_an_internal_redirect_does_not_exchange_twice(
    nginx: Start, provider: Provider, upstream: Upstream, tmp_path: Path, way: str, source: str
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site/index.html").touch()
    root = f"root {tmp_path}/site"
    proxied = [STATUS, f"proxy_pass {upstream.url}"]
    server = "\n".join(f"{directive};" for directive in gate(provider.issuer))
    match way:
        case "error_page":
            server += location("/", root, "error_page 404 405 = @app") + location("@app", *proxied)
        case "try_files":
            server += location("/", root, "try_files /none @app") + location("@app", *proxied)
        case "index":
            # A static file is not served for POST; the location behind the redirect is proxied.
            server += location("/", root, "index index.html") + location("= /index.html", *proxied)
    target = "/" if way == "index" else "/missing"
    instance = nginx(server)
    for _ in range(2):
        answer = ask(instance.port, **ALICE.request(source, target))
        if way == "index" and source in ("form", "json"):
            assert answer.status in (200, 405), answer
            continue
        assert answer.status == 200, answer
        assert bearer(answer.json())
        assert ALICE.traces(answer.json()["raw"]) == []
    assert provider.count["token"] == 1


@pytest.mark.parametrize("named", [True, False], ids=["named", "uri"])
def test_an_error_page_for_401_keeps_the_challenge(
    nginx: Start, provider: Provider, upstream: Upstream, tmp_path: Path, named: bool
) -> None:
    page = "@denied" if named else "/denied.json"
    server = nginx(
        "\n".join(f"{directive};" for directive in gate(provider.issuer))
        + f"error_page 401 {page};"
        + location("/", f"proxy_pass {upstream.url}")
        + location(f"{'' if named else '= '}{page}", "credgate off", 'return 401 "my page"')
    )
    for headers in ({}, ALICE.wrong().basic):
        answer = ask(server.port, headers=headers)
        assert (answer.status, answer.body) == (401, b"my page")
        assert answer.all("WWW-Authenticate") == ['Basic realm="127.0.0.1", charset="UTF-8"']


def test_an_error_page_that_is_itself_guarded_is_denied_once(
    nginx: Start, provider: Provider, upstream: Upstream
) -> None:
    server = nginx(
        "\n".join(f"{directive};" for directive in gate(provider.issuer))
        + "error_page 401 /denied;"
        + location("/", f"proxy_pass {upstream.url}")
    )
    answer = ask(server.port)
    assert answer.status == 401
    assert len(answer.all("WWW-Authenticate")) == 1
    assert upstream.seen == []


def test_satisfy_any_allows_the_address_without_forwarding_the_secret(
    nginx: Start, provider: Provider, upstream: Upstream
) -> None:
    server = nginx(guarded(upstream.url, provider.issuer, "satisfy any", "allow 127.0.0.1", "deny all"))
    assert ask(server.port).status == 200
    for source in SOURCES:
        for client in (ALICE, ALICE.wrong()):
            answer = ask(server.port, **client.request(source))
            assert answer.status == 200
            assert client.traces(answer.json()["raw"]) == []


def test_satisfy_any_allows_a_client_from_a_denied_address(
    nginx: Start, provider: Provider, upstream: Upstream
) -> None:
    server = nginx(guarded(upstream.url, provider.issuer, "satisfy any", "deny all"))
    answer = ask(server.port, headers=ALICE.basic)
    assert answer.status == 200 and bearer(answer.json())
    assert ask(server.port, headers=ALICE.wrong().basic).status in (401, 403)
    assert ask(server.port).status in (401, 403)
    assert len(upstream.seen) == 1


def test_satisfy_all_needs_both(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    server = nginx(guarded(upstream.url, provider.issuer, "deny all"))
    assert ask(server.port, headers=ALICE.basic).status == 403
    assert upstream.seen == []


def test_parameters_in_unlisted_places_belong_to_the_application(
    nginx: Start, provider: Provider, upstream: Upstream, tmp_path: Path
) -> None:
    config = tmp_path / "gate.json"
    places = {"client_credentials_param_type": ["header"]}
    config.write_text(json.dumps({"issuer": provider.issuer, "allow_loopback_http": True, **places}))
    server = nginx(location("/", "credgate on", f"credgate_config {config}", f"proxy_pass {upstream.url}"))
    own = "client_id=5&client_secret=of+the+application"
    seen = ask(server.port, f"/x?{own}", headers=ALICE.basic).json()
    assert seen["line"] == f"GET /x?{own} HTTP/1.0"
    seen = ask(server.port, "/x", method="POST", headers={**ALICE.basic, **FORM}, body=own).json()
    assert seen["body"] == own
