"""gate:access: the decision on a request, the forwarded request, and the logs."""

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
from support.process import free_port

Start = Callable[..., Nginx]


def assert_no_trace(client: Client, server: Nginx, upstream: Upstream) -> None:
    assert not client.traces(server.logs, json.dumps(upstream.last))


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("route", ROUTES)
def test_a_token_goes_upstream_and_no_secret(
    nginx: Start, provider: Provider, upstream: Upstream, route: str, source: str
) -> None:
    server = start(nginx, f"gate = {gate(provider.issuer)}", guarded(upstream.url, route=route))
    for how in ("MISS", "HIT"):
        answer = ask(server.port, **ALICE.request(source))
        assert (answer.status, answer.header("X-Credgate-Status"), answer.header("X-Client")) == (200, how, "alice")
        assert bearer(upstream.last)
        assert_no_trace(ALICE, server, upstream)
        if source != "header":
            assert "keep" in upstream.last["line"] + upstream.last["body"], "the rest stays"
    assert provider.count["token"] == 1


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("route", ROUTES)
def test_the_same_over_http_2(nginx: Start, provider: Provider, upstream: Upstream, route: str, source: str) -> None:
    server = start(nginx, f"gate = {gate(provider.issuer)}", guarded(upstream.url, route=route))
    connection = H2Connection(server.h2_port)
    assert connection.ask(**ALICE.request(source)).status == 200
    assert bearer(upstream.last)
    connection.close()
    assert_no_trace(ALICE, server, upstream)


def test_a_body_over_http_2_whose_length_is_not_told(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    server = start(nginx, f"gate = {gate(provider.issuer)}", guarded(upstream.url))
    connection = H2Connection(server.h2_port)
    assert connection.ask(**ALICE.request("form"), told=False).status == 200
    assert connection.ask(**BOB.request("json"), told=False).status == 200
    connection.close()
    assert_no_trace(BOB, server, upstream)


@pytest.mark.parametrize("source", SOURCES)
def test_wrong_credentials_are_refused_and_never_served(
    nginx: Start, provider: Provider, upstream: Upstream, source: str
) -> None:
    server = start(nginx, f"gate = {gate(provider.issuer)}", guarded(upstream.url))
    assert ask(server.port, **ALICE.request(source)).status == 200
    upstream.reset()
    answer = ask(server.port, **ALICE.wrong().request(source))
    assert answer.status == 401
    assert answer.header("WWW-Authenticate") == 'Bearer realm="127.0.0.1"'
    assert answer.header("Content-Type") == "application/json; charset=utf-8"
    assert answer.json() == {"message": "Unauthorized"}
    assert not upstream.last
    assert not ALICE.wrong().traces(server.logs)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({}, 401),
        ({"headers": {"Authorization": "Basic !"}}, 400),
        ({"target": "/?client_id=a"}, 400),
        ({"target": "/?client_id=a&client_secret=b", "headers": ALICE.basic}, 400),
        ({"target": "/?client_id=a&client_secret=b&client_secret=c"}, 400),
    ],
    ids=["nothing", "no-base64", "half", "two-places", "twice"],
)
def test_requests_without_usable_credentials_are_denied(
    nginx: Start, scripted: Scripted, upstream: Upstream, request_: dict[str, object], status: int
) -> None:
    server = start(nginx, f"gate = {gate(scripted.issuer)}", guarded(upstream.url))
    assert ask(server.port, **request_).status == status
    assert scripted.state["token"] == 0
    assert not upstream.last


def test_a_provider_that_is_down_is_a_502(nginx: Start, upstream: Upstream) -> None:
    issuer = f"http://127.0.0.1:{free_port()}"
    server = start(nginx, f"gate = {gate(issuer)}", guarded(upstream.url))
    answer = ask(server.port, headers=ALICE.basic)
    assert answer.status == 502
    assert int(answer.header("Retry-After") or 0) > 0
    assert "credgate: " in server.errors


def test_a_provider_that_hangs_is_a_504_by_the_gates_deadline(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    scripted.hold()
    server = start(nginx, f"gate = {gate(scripted.issuer, timeout=300)}", guarded(upstream.url))
    assert ask(server.port, headers=ALICE.basic).status == 504


def test_satisfy_any_lets_another_module_decide(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    options = "on_denied = function(denial) return ngx.exit(denial.http_status) end"
    server = start(
        nginx, f"gate = {gate(scripted.issuer)}", guarded(upstream.url, options, "satisfy any", "allow 127.0.0.1")
    )
    assert ask(server.port).status == 200
    assert values_of(upstream.last, "authorization") == []


def test_the_outcome_is_in_the_context_where_it_is_asked_for(
    nginx: Start, provider: Provider, upstream: Upstream
) -> None:
    show = """header_filter_by_lua_block {
        local outcome = ngx.ctx.credgate
        ngx.header["X-Outcome"] = table.concat({ outcome.client_id, outcome.cache_status, outcome.source,
            outcome:claim("sub"), tostring(outcome:claim("nobody")), tostring(outcome:expires_in() > 60) }, " ")
    }"""
    text = guarded(upstream.url, "ctx = true").replace("{\n", "{\n" + show + "\n", 1)
    server = start(nginx, f"gate = {gate(provider.issuer)}", text)
    for how in ("MISS", "HIT"):
        answer = ask(server.port, **ALICE.request("query"))
        assert answer.header("X-Outcome") == f"alice {how} query alice nil true"


def test_an_upstream_that_refuses_a_token_has_it_dropped(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    refusing = location("= /refuse", "return 401")
    log = "log_by_lua_block { gate:log() }"
    port = free_port()
    http = f"server {{ listen 127.0.0.1:{port}; {refusing} location / {{ return 200; }} }}\n"
    text = guarded(f"http://127.0.0.1:{port}", "ctx = true").replace("{\n", "{\n" + log + "\n", 1)
    config = gate(scripted.issuer, purge_token_on_upstream_status_codes=[401])
    server = start(nginx, f"gate = {config}", text, http=http)
    statuses = [
        ask(server.port, target, headers=ALICE.basic).header("X-Credgate-Status")
        for target in ("/", "/refuse", "/", "/")
    ]
    # One that is brand new is not dropped: else an upstream that refuses everything would have one exchange for each.
    assert statuses[:2] == ["MISS", "HIT"]
    assert set(statuses[2:]) <= {"MISS", "HIT"}


def test_claims_go_upstream_and_no_spelling_of_the_clients_own(
    nginx: Start, provider: Provider, upstream: Upstream
) -> None:
    config = gate(provider.issuer, upstream_headers=[{"header": "x-client-id", "path": ["sub"]}])
    server = start(nginx, f"gate = {config}", "underscores_in_headers on;\n" + guarded(upstream.url))
    forged = {"X-Client-Id": "admin", "x_client_id": "admin", "X_Client-ID": "admin"}
    assert ask(server.port, headers={**ALICE.basic, **forged}).status == 200
    seen = [value for name, value in upstream.last["headers"] if name.lower().replace("_", "-") == "x-client-id"]
    assert seen == ["alice"]


def test_the_token_under_another_name(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    config = gate(provider.issuer, upstream_access_token_header="x-token:token")
    server = start(nginx, f"gate = {config}", guarded(upstream.url, route="header"))
    assert ask(server.port, headers={**ALICE.basic, "X-Token": "forged"}).status == 200
    seen = upstream.last
    (token,) = values_of(seen, "x-token")
    assert token.startswith("token ")
    assert values_of(seen, "authorization") == []


@pytest.mark.parametrize("route", ROUTES)
def test_anonymous_requests_pass_without_what_they_brought(
    nginx: Start, scripted: Scripted, upstream: Upstream, route: str
) -> None:
    server = start(nginx, f"gate = {gate(scripted.issuer, anonymous=True)}", guarded(upstream.url, route=route))
    answer = ask(server.port, headers=ALICE.wrong().basic)
    assert (answer.status, answer.header("X-Credgate-Status"), answer.header("X-Client")) == (200, "ANONYMOUS", None)
    assert values_of(upstream.last, "authorization") == []


def test_arguments_come_with_the_request_and_keep_tokens_apart(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    config = gate(scripted.issuer, token_post_args_host=["resource"])
    server = start(nginx, f"gate = {config}", guarded(upstream.url, "args = { resource = ngx.var.arg_r }"))
    statuses = []
    for target in ("/?r=a", "/?r=b", "/?r=a", "/"):
        statuses.append(ask(server.port, target, headers=ALICE.basic).header("X-Credgate-Status"))
    assert statuses == ["MISS", "MISS", "HIT", "MISS"]
    assert "resource" not in scripted.state["last"]["form"]


def test_an_argument_that_the_gate_does_not_know_is_a_mistake(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    config = gate(scripted.issuer, token_post_args_host=["resource"])
    server = start(nginx, f"gate = {config}", guarded(upstream.url, 'args = { resouce = "x" }'))
    assert ask(server.port, **ALICE.request("query")).status == 500
    assert "the gate has no argument resouce" in server.errors
    assert_no_trace(ALICE, server, upstream)


@pytest.mark.parametrize("size", [100, 2_000, 30_000])
def test_a_body_is_rewritten_also_when_nginx_wrote_it_to_a_file(
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


def test_a_body_that_cannot_hold_credentials_is_not_read(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    server = start(nginx, f"gate = {gate(provider.issuer)}", guarded(upstream.url))
    body = f"{BOB.parameters}&x=" + "y" * 70_000
    assert ask(server.port, method="POST", headers=FORM, body=body).status == 401, "longer than is looked at"
    plain = {**ALICE.basic, "Content-Type": "text/plain"}
    assert ask(server.port, method="POST", headers=plain, body=BOB.parameters).status == 200
    assert upstream.last["body"] == BOB.parameters


def test_a_body_in_a_file_is_read_only_where_it_is_short(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    server = start(nginx, f"gate = {gate(provider.issuer)}", guarded(upstream.url), http="client_max_body_size 0;\n")
    assert ask(server.port, headers=ALICE.basic).status == 200
    (worker,) = server.workers

    def peak() -> int:
        """Of the worker's memory, in bytes."""
        (line,) = (line for line in Path(f"/proc/{worker}/status").read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024

    before, size = peak(), 32 * 2**20
    connection = Connection(server.port)
    chunked = {**JSON, "Transfer-Encoding": "chunked"}
    assert connection.ask(method="POST", headers=chunked, body=[b"x" * 2**16] * (size // 2**16)).status == 401
    connection.close()
    assert peak() - before < size // 4


def test_a_query_that_is_no_place_stays_and_is_not_logged(nginx: Start, provider: Provider, upstream: Upstream) -> None:
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
def test_a_query_that_the_configuration_holds_serves_every_request(
    nginx: Start, provider: Provider, upstream: Upstream, place: str
) -> None:
    text = guarded(upstream.url, path="= /partner").replace("{\n", "{\n" + place + "\n", 1)
    server = start(nginx, f"gate = {gate(provider.issuer)}", text + guarded(upstream.url))
    # The query of this one is a copy, while its body is read.
    with_body = {**ALICE.request("query"), "method": "POST", "headers": FORM, "body": "keep=1"}
    assert ask(server.port, **with_body).status == 200
    connection = H2Connection(server.h2_port)
    for asked in (lambda: ask(server.port, "/partner"), lambda: connection.ask("/partner")):
        for _ in range(2):
            assert asked().header("X-Client") == BOB.id
            assert upstream.last["line"].split()[1] == "/partner?keep=1"
    connection.close()
    assert_no_trace(BOB, server, upstream)


def test_a_query_that_nginx_has_rewritten_is_hidden(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    rewrite = "rewrite ^/old$ /new?added=1 last;\n"
    server = start(nginx, f"gate = {gate(provider.issuer)}", rewrite + guarded(upstream.url))
    connection = H2Connection(server.h2_port)
    for asked in (ask, lambda _, **request: connection.ask(**request)):
        assert asked(server.port, **ALICE.request("query", "/old")).status == 200
        assert upstream.last["line"].split()[1] == "/new?added=1&keep=1"
    connection.close()
    assert_no_trace(ALICE, server, upstream)


def test_a_header_that_lua_has_set_serves_every_request(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    own = f"""rewrite_by_lua_block {{ ngx.req.set_header("Authorization", "{BOB.basic["Authorization"]}") }}"""
    text = guarded(upstream.url).replace("{\n", "{\n" + own + "\n", 1)
    server = start(nginx, f"gate = {gate(provider.issuer)}", text)
    for _ in range(3):
        assert ask(server.port, headers=ALICE.basic).header("X-Client") == BOB.id
    assert_no_trace(BOB, server, upstream)
    assert_no_trace(ALICE, server, upstream)


def test_a_variable_that_is_not_declared_lets_nobody_through(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    access = 'access_by_lua_block { gate:access { variable = "undeclared" } }'
    server = start(nginx, f"gate = {gate(scripted.issuer)}", f"location / {{ {access} proxy_pass {upstream.url}; }}")
    assert ask(server.port, headers=ALICE.basic).status == 500
    assert 'variable "undeclared" not found' in server.errors
    assert not upstream.last


def test_json_documents_keep_their_other_members(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    server = start(nginx, f"gate = {gate(provider.issuer)}", guarded(upstream.url))
    assert ask(server.port, method="PUT", headers=JSON, body=ALICE.document).status == 200
    assert json.loads(upstream.last["body"]) == {"keep": 1}
