"""`gate:access`: its decisions, the forwarded request, and the logs."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import ALICE, BOB
from support.h2 import H2Connection
from support.http import FORM, JSON, SOURCES, Client, Connection, ask
from support.lab import Provider, Scripted, Upstream, bearer, values_of
from support.nginx import Nginx, location
from support.openresty import ROUTES, gate, guarded, start
from support.process import free_port, until

Start = Callable[..., Nginx]


def assert_no_trace(client: Client, server: Nginx, upstream: Upstream) -> None:
    assert not client.traces(server.logs, json.dumps(upstream.last))


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("route", ROUTES)
def test_token_goes_upstream_and_no_secret_does(
    nginx: Start, provider: Provider, upstream: Upstream, route: str, source: str
) -> None:
    server = start(nginx, f"gate = {gate(provider.issuer)}", guarded(upstream.url, route=route))
    for cache_status in ("MISS", "HIT"):
        answer = ask(server.port, **ALICE.request(source))
        assert answer.status == 200
        assert (answer.header("X-Credgate-Status"), answer.header("X-Client")) == (cache_status, "alice")
        assert bearer(upstream.last)
        assert_no_trace(ALICE, server, upstream)
        if source != "header":
            assert "keep" in upstream.last["line"] + upstream.last["body"], "the rest is unchanged"
    assert provider.count["token"] == 1


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("route", ROUTES)
def test_http_2_request_gets_a_token_and_leaks_no_secret(
    nginx: Start, provider: Provider, upstream: Upstream, route: str, source: str
) -> None:
    server = start(nginx, f"gate = {gate(provider.issuer)}", guarded(upstream.url, route=route))
    connection = H2Connection(server.h2_port)
    assert connection.ask(**ALICE.request(source)).status == 200
    assert bearer(upstream.last)
    connection.close()
    assert_no_trace(ALICE, server, upstream)


def test_http_2_body_without_content_length_is_read(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    server = start(nginx, f"gate = {gate(provider.issuer)}", guarded(upstream.url))
    connection = H2Connection(server.h2_port)
    assert connection.ask(**ALICE.request("form"), told=False).status == 200
    assert connection.ask(**BOB.request("json"), told=False).status == 200
    connection.close()
    assert_no_trace(BOB, server, upstream)


@pytest.mark.parametrize("source", SOURCES)
def test_wrong_secret_is_denied_despite_a_cached_token(
    nginx: Start, provider: Provider, upstream: Upstream, source: str
) -> None:
    server = start(nginx, f"gate = {gate(provider.issuer)}", guarded(upstream.url))
    assert ask(server.port, **ALICE.request(source)).status == 200
    upstream.reset()
    answer = ask(server.port, **ALICE.wrong().request(source))
    assert answer.status == 401
    assert answer.header("WWW-Authenticate") == 'Basic realm="127.0.0.1", charset="UTF-8"'
    assert answer.header("Content-Type") == "application/json; charset=utf-8"
    assert answer.json() == {"message": "Unauthorized"}
    assert not upstream.last
    assert not ALICE.wrong().traces(server.logs)


@pytest.mark.parametrize(
    ("request_", "http_status"),
    [
        ({}, 401),
        ({"headers": {"Authorization": "Basic !"}}, 400),
        ({"target": "/?client_id=a"}, 400),
        ({"target": "/?client_id=a&client_secret=b", "headers": ALICE.basic}, 400),
        ({"target": "/?client_id=a&client_secret=b&client_secret=c"}, 400),
    ],
    ids=["none", "invalid-base64", "id-only", "two-places", "repeated"],
)
def test_requests_without_usable_credentials_are_denied(
    nginx: Start, scripted: Scripted, upstream: Upstream, request_: dict[str, object], http_status: int
) -> None:
    server = start(nginx, f"gate = {gate(scripted.issuer)}", guarded(upstream.url))
    assert ask(server.port, **request_).status == http_status
    assert scripted.state["token"] == 0
    assert not upstream.last


def test_unreachable_provider_is_a_502_with_retry_after(nginx: Start, upstream: Upstream) -> None:
    issuer = f"http://127.0.0.1:{free_port()}"
    server = start(nginx, f"gate = {gate(issuer)}", guarded(upstream.url))
    answer = ask(server.port, headers=ALICE.basic)
    assert answer.status == 502
    assert int(answer.header("Retry-After") or 0) > 0
    assert "credgate: " in server.errors


def test_provider_slower_than_the_timeout_is_a_504(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    scripted.hold()
    server = start(nginx, f"gate = {gate(scripted.issuer, timeout=300)}", guarded(upstream.url))
    assert ask(server.port, headers=ALICE.basic).status == 504


def test_satisfy_any_lets_another_module_allow_the_request(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    options = "on_denied = function(denial) return ngx.exit(denial.http_status) end"
    server = start(
        nginx, f"gate = {gate(scripted.issuer)}", guarded(upstream.url, options, "satisfy any", "allow 127.0.0.1")
    )
    assert ask(server.port).status == 200
    assert values_of(upstream.last, "authorization") == []


def test_ctx_keeps_the_outcome_in_ngx_ctx(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    show = """header_filter_by_lua_block {
        local outcome = ngx.ctx.credgate
        ngx.header["X-Outcome"] = table.concat({ outcome.client_id, outcome.cache_status, outcome.source,
            outcome:claim("sub"), tostring(outcome:claim("missing")), tostring(outcome:expires_in() > 60) }, " ")
    }"""
    text = guarded(upstream.url, "ctx = true").replace("{\n", "{\n" + show + "\n", 1)
    server = start(nginx, f"gate = {gate(provider.issuer)}", text)
    for cache_status in ("MISS", "HIT"):
        answer = ask(server.port, **ALICE.request("query"))
        assert answer.header("X-Outcome") == f"alice {cache_status} query alice nil true"


def test_log_overwrites_secrets_of_requests_that_no_gate_has_seen(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    # It replaces the one of http, as that of any location does.
    early = location("/early", "return 403").replace("{\n", "{\nlog_by_lua_block { gate:log() }\n")
    http = 'log_by_lua_block { require("resty.credgate").redact() }\n'
    server = start(nginx, f"gate = {gate(scripted.issuer)}", guarded(upstream.url) + early, http=http)
    assert ask(server.port, f"/early?{ALICE.parameters}&keep=1").status == 403
    until(lambda: b"/early?client_id=alice&client_secret=*" in server.logs, "the log")
    assert ALICE.traces(server.logs) == []


def test_token_refused_upstream_is_dropped_unless_brand_new(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    refusing = location("/", "return 401")
    log = "log_by_lua_block { gate:log() }"
    port = free_port()
    http = f"server {{ listen 127.0.0.1:{port}; {refusing} }}\n"
    text = guarded(f"http://127.0.0.1:{port}", "ctx = true").replace("{\n", "{\n" + log + "\n", 1)
    server = start(nginx, f"gate = {gate(scripted.issuer)}", text, http=http)
    for cache_status in ("MISS", "HIT", "HIT"):
        assert ask(server.port, headers=ALICE.basic).header("X-Credgate-Status") == cache_status
    # The library keeps a refused token for ten seconds.
    until(lambda: ask(server.port, headers=ALICE.basic).header("X-Credgate-Status") == "MISS", "another token", 20)
    assert "credgate: dropped the token, because the upstream returned 401" in server.errors


def test_claim_header_replaces_every_spelling_from_the_client(
    nginx: Start, provider: Provider, upstream: Upstream
) -> None:
    config = gate(provider.issuer, upstream_headers=[{"header": "x-client-id", "path": ["sub"]}])
    server = start(nginx, f"gate = {config}", "underscores_in_headers on;\n" + guarded(upstream.url))
    forged = {"X-Client-Id": "admin", "x_client_id": "admin", "X_Client-ID": "admin"}
    assert ask(server.port, headers={**ALICE.basic, **forged}).status == 200
    seen = [value for name, value in upstream.last["headers"] if name.lower().replace("_", "-") == "x-client-id"]
    assert seen == ["alice"]


def test_upstream_access_token_header_carries_the_token(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    config = gate(provider.issuer, upstream_access_token_header="x-token:token")
    server = start(nginx, f"gate = {config}", guarded(upstream.url, route="header"))
    assert ask(server.port, headers={**ALICE.basic, "X-Token": "forged"}).status == 200
    seen = upstream.last
    (token,) = values_of(seen, "x-token")
    assert token.startswith("token ")
    assert values_of(seen, "authorization") == []


@pytest.mark.parametrize("route", ROUTES)
def test_anonymous_requests_pass_without_their_credentials(
    nginx: Start, scripted: Scripted, upstream: Upstream, route: str
) -> None:
    server = start(nginx, f"gate = {gate(scripted.issuer, anonymous=True)}", guarded(upstream.url, route=route))
    answer = ask(server.port, headers=ALICE.wrong().basic)
    assert (answer.status, answer.header("X-Credgate-Status"), answer.header("X-Client")) == (200, "ANONYMOUS", None)
    assert values_of(upstream.last, "authorization") == []


def test_args_separate_cached_tokens(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    config = gate(scripted.issuer, token_post_args_host=["resource"])
    server = start(nginx, f"gate = {config}", guarded(upstream.url, "args = { resource = ngx.var.arg_r }"))
    cache_statuses = [
        ask(server.port, target, headers=ALICE.basic).header("X-Credgate-Status")
        for target in ("/?r=a", "/?r=b", "/?r=a", "/")
    ]
    assert cache_statuses == ["MISS", "MISS", "HIT", "MISS"]
    assert "resource" not in scripted.state["last"]["form"]


def test_unknown_argument_raises_an_error(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    config = gate(scripted.issuer, token_post_args_host=["resource"])
    server = start(nginx, f"gate = {config}", guarded(upstream.url, 'args = { resouce = "x" }'))
    assert ask(server.port, **ALICE.request("query")).status == 500
    assert "unknown argument resouce" in server.errors
    assert_no_trace(ALICE, server, upstream)


@pytest.mark.parametrize("size", [100, 2_000, 30_000])
def test_body_is_rewritten_even_from_a_temporary_file(
    nginx: Start, provider: Provider, upstream: Upstream, size: int
) -> None:
    server = start(
        nginx, f"gate = {gate(provider.issuer)}", guarded(upstream.url), http="client_body_buffer_size 1k;\n"
    )
    filler = "x" * size
    assert ask(server.port, method="POST", headers=FORM, body=f"{ALICE.parameters}&filler={filler}").status == 200
    assert upstream.last["body"] == f"filler={filler}"
    pieces = [f"{ALICE.parameters}&filler=".encode(), filler.encode()]
    connection = Connection(server.port)
    chunked = {**FORM, "Transfer-Encoding": "chunked"}
    assert connection.ask(method="POST", headers=chunked, body=pieces).status == 200
    assert upstream.last["body"] == f"filler={filler}"


def test_body_of_another_type_or_too_long_is_not_searched(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    server = start(nginx, f"gate = {gate(provider.issuer)}", guarded(upstream.url))
    body = f"{BOB.parameters}&x=" + "y" * 70_000
    assert ask(server.port, method="POST", headers=FORM, body=body).status == 401, "longer than max_body_bytes"
    plain = {**ALICE.basic, "Content-Type": "text/plain"}
    assert ask(server.port, method="POST", headers=plain, body=BOB.parameters).status == 200
    assert upstream.last["body"] == BOB.parameters


def test_long_body_in_a_temporary_file_is_not_read(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    server = start(nginx, f"gate = {gate(provider.issuer)}", guarded(upstream.url), http="client_max_body_size 0;\n")
    assert ask(server.port, headers=ALICE.basic).status == 200
    (worker,) = server.workers

    def peak() -> int:
        """The worker's peak memory, in bytes."""
        (line,) = (line for line in Path(f"/proc/{worker}/status").read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024

    before, size = peak(), 32 * 2**20
    connection = Connection(server.port)
    chunked = {**JSON, "Transfer-Encoding": "chunked"}
    assert connection.ask(method="POST", headers=chunked, body=[b"x" * 2**16] * (size // 2**16)).status == 401
    connection.close()
    assert peak() - before < size // 4


def test_query_outside_param_type_is_forwarded_but_redacted_in_logs(
    nginx: Start, provider: Provider, upstream: Upstream
) -> None:
    config = gate(provider.issuer, client_credentials_param_type=["header"])
    server = start(nginx, f"gate = {config}", guarded(upstream.url))
    assert ask(server.port, "/?a=1&client_secret=Amsel&b=%20", headers=ALICE.basic).status == 200
    assert upstream.last["line"].split()[1] == "/?a=1&client_secret=Amsel&b=%20"
    assert b"Amsel" not in server.logs


@pytest.mark.parametrize(
    "place",
    [f'set $args "{BOB.parameters}&keep=1";', f"rewrite ^ /partner?{BOB.parameters}&keep=1? break;"],
    ids=["set", "rewrite"],
)
def test_query_from_the_configuration_is_not_overwritten(
    nginx: Start, provider: Provider, upstream: Upstream, place: str
) -> None:
    text = guarded(upstream.url, path="= /partner").replace("{\n", "{\n" + place + "\n", 1)
    server = start(nginx, f"gate = {gate(provider.issuer)}", text + guarded(upstream.url))
    # While nginx reads the body of this request, its query is a copy.
    with_body = {**ALICE.request("query"), "method": "POST", "headers": FORM, "body": "keep=1"}
    assert ask(server.port, **with_body).status == 200
    connection = H2Connection(server.h2_port)
    for send in (lambda: ask(server.port, "/partner"), lambda: connection.ask("/partner")):
        for _ in range(2):
            assert send().header("X-Client") == BOB.id
            assert upstream.last["line"].split()[1] == "/partner?keep=1"
    connection.close()
    assert_no_trace(BOB, server, upstream)


def test_rewritten_query_is_forwarded_without_credentials(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    rewrite = "rewrite ^/old$ /new?added=1 last;\n"
    server = start(nginx, f"gate = {gate(provider.issuer)}", rewrite + guarded(upstream.url))
    connection = H2Connection(server.h2_port)
    for send in (ask, lambda _, **request: connection.ask(**request)):
        assert send(server.port, **ALICE.request("query", "/old")).status == 200
        assert upstream.last["line"].split()[1] == "/new?added=1&keep=1"
    connection.close()
    assert_no_trace(ALICE, server, upstream)


def test_authorization_set_in_lua_works_for_every_request(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    own = f"""rewrite_by_lua_block {{ ngx.req.set_header("Authorization", "{BOB.basic["Authorization"]}") }}"""
    text = guarded(upstream.url).replace("{\n", "{\n" + own + "\n", 1)
    server = start(nginx, f"gate = {gate(provider.issuer)}", text)
    for _ in range(3):
        assert ask(server.port, headers=ALICE.basic).header("X-Client") == BOB.id
    assert_no_trace(BOB, server, upstream)
    assert_no_trace(ALICE, server, upstream)


@pytest.mark.parametrize("count", [0, 5, 100])
@pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION"])
@pytest.mark.parametrize("route", ROUTES)
def test_authorization_is_found_among_any_number_of_headers(
    nginx: Start, provider: Provider, upstream: Upstream, route: str, name: str, count: int
) -> None:
    server = start(nginx, f"gate = {gate(provider.issuer)}", guarded(upstream.url, route=route))
    others = {f"X-{'authorization'[: number % 11]}{number:03}": "other" for number in range(count)}
    for _ in range(2):
        answer = ask(server.port, headers={**others, name: ALICE.basic["Authorization"], "Authorisation-1": "last"})
        assert answer.header("X-Client") == ALICE.id
        assert bearer(upstream.last)
        assert_no_trace(ALICE, server, upstream)


def test_empty_authorization_is_the_same_as_none(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    server = start(nginx, f"gate = {gate(scripted.issuer)}", guarded(upstream.url))
    empty, none = ask(server.port, headers={"Authorization": ""}), ask(server.port)
    assert (empty.status, empty.body) == (none.status, none.body) == (401, none.body)


def test_undeclared_variable_is_a_500_and_forwards_nothing(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    access = 'access_by_lua_block { gate:access { variable = "undeclared" } }'
    server = start(nginx, f"gate = {gate(scripted.issuer)}", f"location / {{ {access} proxy_pass {upstream.url}; }}")
    assert ask(server.port, headers=ALICE.basic).status == 500
    assert 'variable "undeclared" not found' in server.errors
    assert not upstream.last


def test_json_body_keeps_its_other_members(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    server = start(nginx, f"gate = {gate(provider.issuer)}", guarded(upstream.url))
    assert ask(server.port, method="PUT", headers=JSON, body=ALICE.document).status == 200
    assert json.loads(upstream.last["body"]) == {"keep": 1}
