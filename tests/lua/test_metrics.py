"""Counters of each client, and the header traceparent, in Lua."""

from collections.abc import Callable

from support.http import Client, ask
from support.lab import Scripted, Upstream
from support.nginx import Nginx
from support.openresty import gate, guarded, start

Start = Callable[..., Nginx]

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
METRICS = 'location = /metrics { content_by_lua_block { ngx.print(require("resty.credgate").metrics()) } }'


def configured(options: str, issuer: str) -> str:
    return f'assert(require("resty.credgate").configure {options}) gate = {gate(issuer)}'


def test_metrics_count_the_requests_of_each_client(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    server = start(nginx, configured("{ metrics_clients = 100 }", scripted.issuer), guarded(upstream.url) + METRICS)
    # More than one array of clients.
    for number in range(101):
        assert ask(server.port, headers=Client(f"client{number}", "s3cret").basic).status == 200
    assert ask(server.port, headers=Client("client0", "s3cret").basic).status == 200
    assert ask(server.port).status == 401
    text = ask(server.port, "/metrics").body.decode()
    for line in (
        'credgate_client_requests_total{client_id="other",result="allowed"} 1',
        'credgate_client_requests_total{client_id="other",result="denied"} 1',
        'credgate_client_requests_total{client_id="client0",result="allowed"} 2',
        'credgate_client_requests_total{client_id="client99",result="allowed"} 1',
    ):
        assert line in text.splitlines()
    assert "client100" not in text


def test_metrics_name_no_client_by_default(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    server = start(nginx, f"gate = {gate(scripted.issuer)}", guarded(upstream.url) + METRICS)
    assert ask(server.port, headers=Client("alice", "s3cret").basic).status == 200
    text = ask(server.port, "/metrics").body.decode()
    assert "credgate_requests_total" in text and "credgate_client" not in text


def test_another_gate_does_not_forward_the_header(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    """The struct of the request is shared by all gates."""
    init = f"gate = {gate(scripted.issuer, traceparent=True)} other = {gate(scripted.issuer, cache_tokens_salt='x')}"
    server = start(nginx, init, guarded(upstream.url) + guarded(upstream.url, path="/other", called="other"))
    for path, expected in (("/", [PARENT]), ("/other", [])):
        assert ask(server.port, path, headers={**Client("a", "b").basic, "traceparent": PARENT}).status == 200
        headers = scripted.state["last"]["headers"]
        assert [value for name, value in headers if name.lower() == "traceparent"] == expected


def test_a_table_may_have_a_traceparent(nginx: Start, scripted: Scripted) -> None:
    ask_gate = f"""location / {{ content_by_lua_block {{
        local outcome = assert(gate:authenticate {{
            query = "client_id=a&client_secret=b", traceparent = "{PARENT}"
        }})
        ngx.print(outcome.cache_status)
    }} }}"""
    server = start(nginx, f"gate = {gate(scripted.issuer, traceparent=True)}", ask_gate)
    assert ask(server.port).body == b"MISS"
    assert ["traceparent", PARENT] in scripted.state["last"]["headers"]


STATUS = 'location = /status { content_by_lua_block { assert(require("resty.credgate").status()) } }'
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def test_status_is_a_page_for_browsers_and_the_report_for_programs(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    report = 'location = /report { content_by_lua_block { ngx.print(require("resty.credgate").report()) } }'
    init = configured("{ metrics_clients = 100 }", scripted.issuer)
    server = start(nginx, init, guarded(upstream.url) + STATUS + report)
    hostile = Client("<script>alert(1)</script>", "s3cret")
    scripted.script(status=400, json={"error": "invalid_scope"}, times=1)
    scripted.script(json={"access_token": "t", "token_type": "Bearer", "expires_in": 3600})
    for client in (hostile, hostile, Client("bob", "s3cret")):
        assert ask(server.port, headers=client.basic).status == 200
    page = ask(server.port, "/status", headers=BROWSER)
    assert (page.status, page.header("Content-Type")) == (200, "text/html; charset=utf-8")
    for part in (
        b"<code>&lt;script&gt;alert(1)&lt;/script&gt;</code>",
        b"<code>bob</code>",
        f"<code>{scripted.issuer}</code>".encode(),
        b"refused the scope &quot;openid&quot;",
        b"all providers available",
        b"1 process",
    ):
        assert part in page.body, part
    assert b"<script" not in page.body
    assert hostile.traces(page.body) == []
    for name, value in (
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
        ("Referrer-Policy", "no-referrer"),
        ("Cache-Control", "no-store"),
        ("Vary", "Accept"),
    ):
        assert page.all(name) == [value]
    assert (page.header("Content-Security-Policy") or "").startswith("default-src 'none'; style-src 'sha256-")
    for headers in ({}, {"Accept": "*/*"}, {"Accept": "application/json, text/html"}):
        answer = ask(server.port, "/status", headers=headers)
        assert answer.header("Content-Type") == "application/json; charset=utf-8"
        assert answer.body == ask(server.port, "/report").body
        assert answer.all("Vary") == ["Accept"]
