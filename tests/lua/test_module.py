"""Gates and engines: creation, errors, purges, metrics, and the cost of a hit."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import ALICE, BOB
from support.http import Connection, ask
from support.lab import Scripted, Upstream
from support.nginx import Nginx
from support.openresty import gate, guarded, start
from support.process import free_port, until
from support.store import a_pepper

Start = Callable[..., Nginx]

NEW = """content_by_lua_block {
    local credgate = require "resty.credgate"
    ngx.req.read_body()
    local gate, err = credgate.new(loadstring("return " .. ngx.req.get_body_data())())
    ngx.print(gate and gate:config() or err)
}"""


@pytest.fixture
def new(nginx: Start) -> Callable[[str], str]:
    """Calls `credgate.new` with a Lua expression. Returns the gate's configuration, or the error."""
    server = start(nginx, "", f"location / {{ {NEW} }}")
    return lambda text: ask(server.port, method="POST", body=text).body.decode()


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("nil", "config must be a table or a JSON string"),
        ("42", "config must be a table or a JSON string"),
        ("'{'", "JSON"),
        ("{ isuer = 'https://a.example' }", 'isuer: unknown field; did you mean "issuer"?'),
        ("{ issuer = 42 }", "issuer"),
        ("{ issuer = 'http://a.example' }", "https"),
        ("{ issuer = 'https://a.example', ssl_trusted_certificate = '/nowhere.pem' }", "/nowhere.pem"),
        ("{ issuer = function() end }", "config: Cannot serialise function"),
    ],
)
def test_new_returns_an_error_that_names_the_mistake(new: Callable[[str], str], expression: str, message: str) -> None:
    assert message in new(expression)


def test_dangerous_settings_are_logged_at_startup(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    server = start(nginx, f"gate = {gate(scripted.issuer, hide_credentials=False)}", guarded(upstream.url))
    assert re.search(r"\[warn\] \d+#\d+: credgate: hide_credentials is false", server.errors)
    assert "nginx: [warn] credgate: hide_credentials is false" in server.log.read_text()


def test_table_json_and_kong_object_compile_to_the_same_gate(new: Callable[[str], str]) -> None:
    seed = {
        "auth_methods": ["client_credentials"],
        "issuer": "https://tenant.auth0.com/.well-known/openid-configuration",
        "token_post_args_names": ["audience"],
        "token_post_args_values": ["https://example.com/"],
    }
    table = """{ auth_methods = { "client_credentials" },
        issuer = "https://tenant.auth0.com/.well-known/openid-configuration",
        token_post_args_names = { "audience" }, token_post_args_values = { "https://example.com/" } }"""
    kong = {"name": "openid-connect", "config": seed}
    configs = [new(text) for text in (table, f"[[{json.dumps(seed)}]]", f"[[{json.dumps(kong)} ]]")]
    assert configs[0] == configs[1] == configs[2]
    assert json.loads(configs[0])["issuer"].startswith("https://tenant.auth0.com")


def test_token_in_init_by_lua_returns_an_error(nginx: Start, scripted: Scripted) -> None:
    init = f"gate = {gate(scripted.issuer)} token, err = gate:token('alice', 'x')"
    server = start(nginx, init, "location / { content_by_lua_block { ngx.print(err) } }")
    assert b"in a worker only" in ask(server.port).body


def test_missing_library_error_names_file_and_directories(nginx: Start, tmp_path: Path) -> None:
    text = "local found, err = pcall(require, 'resty.credgate') ngx.print(err)"
    http = f'lua_package_cpath "{tmp_path}/?.so";\n'
    server = start(nginx, "", f"location / {{ content_by_lua_block {{ {text} }} }}")
    server.stop()
    conf = re.sub(r"lua_package_cpath .*\n", http, server.conf.read_text())
    server.conf.write_text(conf)
    with server:
        body = ask(server.port).body.decode()
    assert "cannot find libcredgate.so.1 in the directories of lua_package_cpath" in body
    assert str(tmp_path) in body


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("gate:token()", "client_id and client_secret must be strings"),
        ("gate:token('alice')", "client_id and client_secret must be strings"),
        ("gate:authenticate()", "request must be a table"),
        ("gate:authenticate({ query = 42 })", "query must be a string"),
        ("gate:authenticate({ args = { a = 'b' } })", "unknown argument a: it is not in token_post_args_host"),
        ("gate:authenticate({ args = { resource = 42 } })", "args.resource must be a string"),
        ("gate:purge(42)", "client_id must be a string"),
        ("require('resty.credgate').purge(42)", "client_id must be a string"),
    ],
)
def test_invalid_arguments_raise_an_error_at_the_caller(
    nginx: Start, scripted: Scripted, call: str, message: str
) -> None:
    text = f"ngx.print(select(2, pcall(function() local result = {call} return result end)))"
    config = gate(scripted.issuer, token_post_args_host=["resource"])
    server = start(nginx, f"gate = {config}", f"location / {{ content_by_lua_block {{ {text} }} }}")
    assert re.fullmatch(rf"content_by_lua\(.*\):1: credgate: {re.escape(message)}", ask(server.port).body.decode())


def test_token_returns_the_token_or_nil_and_the_outcome(nginx: Start, scripted: Scripted) -> None:
    text = f"""
        local token, outcome = gate:token("alice", {ALICE.secret!r})
        local refused, denial = gate:token("alice", "wrong")
        local cjson = require "cjson"
        ngx.print(cjson.encode {{
            token = token, headers = outcome:headers(), expires = outcome:expires_in(), source = outcome.source,
            refused = tostring(refused), cause = denial.cause, http_status = denial.http_status,
        }})
    """
    server = start(nginx, f"gate = {gate(scripted.issuer)}", f"location / {{ content_by_lua_block {{ {text} }} }}")
    result = ask(server.port).json()
    assert result["headers"] == {"authorization": f"Bearer {result['token']}"}
    assert result["expires"] > 0
    assert (result["source"], result["refused"]) == ("host", "nil")
    assert (result["cause"], result["http_status"]) == ("credentials_refused", 401)


def test_a_purge_drops_tokens_of_one_client_or_all(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    purge = "location = /purge { content_by_lua_block { ngx.print(tostring(gate:purge(ngx.var.arg_id))) } }\n"
    server = start(nginx, f"gate = {gate(scripted.issuer)}", guarded(upstream.url) + purge)

    def cache_statuses() -> list[str | None]:
        return [ask(server.port, headers=client.basic).header("X-Credgate-Status") for client in (ALICE, BOB)]

    assert cache_statuses() == ["MISS", "MISS"]
    assert ask(server.port, "/purge?id=alice").body == b"true"
    assert cache_statuses() == ["MISS", "HIT"]
    assert ask(server.port, "/purge").body == b"true"
    assert cache_statuses() == ["MISS", "MISS"]


def test_a_purge_may_be_of_all_gates(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    purge = """location = /purge { content_by_lua_block {
        ngx.print(tostring(require("resty.credgate").purge(ngx.var.arg_id)))
    } }\n"""
    gates = f"gate = {gate(scripted.issuer)} other = {gate(scripted.issuer, scopes=['x'])}"
    places = guarded(upstream.url) + guarded(upstream.url, path="/other", called="other") + purge
    server = start(nginx, gates, places)

    def cache_statuses() -> list[str | None]:
        return [
            ask(server.port, path, headers=client.basic).header("X-Credgate-Status")
            for path in ("/", "/other")
            for client in (ALICE, BOB)
        ]

    assert cache_statuses() == ["MISS"] * 4
    assert ask(server.port, "/purge?id=alice").body == b"true"
    assert cache_statuses() == ["MISS", "HIT"] * 2
    assert ask(server.port, "/purge").body == b"true"
    assert cache_statuses() == ["MISS"] * 4


def test_metrics_and_report_count_requests(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    show = """location = /metrics { content_by_lua_block { ngx.print(require("resty.credgate").metrics()) } }
        location = /report { content_by_lua_block { ngx.print(require("resty.credgate").report()) } }"""
    server = start(nginx, f"gate = {gate(scripted.issuer)}", guarded(upstream.url) + show)
    for _ in range(3):
        assert ask(server.port, headers=ALICE.basic).status == 200
    assert b'credgate_requests_total{outcome="allow",cache_status="hit"} 2\n' in ask(server.port, "/metrics").body
    report = ask(server.port, "/report").json()
    assert (report["allowed"], report["exchanges"]) == ({"hit": 2, "miss": 1}, 1)


def test_configure_works_only_before_the_engine_runs(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    init = f"""
        require("resty.credgate").configure {{ max_waiting = 1 }}
        gate = {gate(scripted.issuer)}
        late = function() return (select(2, require("resty.credgate").configure {{ max_waiting = 5 }})) end
    """
    late = "location = /late { content_by_lua_block { ngx.print(late()) } }"
    server = start(nginx, init, guarded(upstream.url) + late)
    scripted.hold()
    pending = Connection(server.port)
    pending.send(headers=ALICE.basic)
    until(lambda: scripted.state["waiting"] == 1, "the exchange")
    assert ask(server.port, headers=BOB.basic).status == 503, "max_waiting is 1"
    scripted.release()
    assert pending.receive().status == 200
    pending.close()
    assert b"the engine of this worker is already running" in ask(server.port, "/late").body


def test_configure_rejects_invalid_options(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    init = f"""
        local credgate = require("resty.credgate")
        local err = function(options) return (select(2, credgate.configure(options))) end
        errors = table.concat({{
            err(42), err {{ max_waiting = 0 }}, err {{ store = "tokens.db" }}, err {{ stroe = "sqlite:/tokens.db" }},
        }}, "\\n")
        gate = {gate(scripted.issuer)}
    """
    show = "location = /errors { content_by_lua_block { ngx.print(errors) } }"
    server = start(nginx, init, guarded(upstream.url) + show)
    kind, zero, store, misspelled = ask(server.port, "/errors").body.decode().splitlines()
    assert kind == "options must be a table or a JSON string"
    assert "max_waiting: must be at least 1" in zero
    assert "store: " in store and 'unknown field "stroe"; did you mean "store"?' in misspelled
    assert ask(server.port, headers=ALICE.basic).status == 200


def test_engine_that_cannot_start_is_a_503(
    nginx: Start, scripted: Scripted, upstream: Upstream, tmp_path: Path
) -> None:
    pepper = a_pepper(tmp_path)
    init = f"""
        assert(require("resty.credgate").configure {{ store = "redis://127.0.0.1:1", store_pepper_file = "{pepper}" }})
        os.remove("{pepper}")
        gate = {gate(scripted.issuer)}
    """
    token = "location = /token { content_by_lua_block { ngx.print(select(2, gate:token('alice', 'x'))) } }"
    server = start(nginx, init, guarded(upstream.url) + token)
    answer = ask(server.port, headers=ALICE.basic)
    assert (answer.status, answer.header("Retry-After")) == (503, "1")
    assert answer.json() == {"message": "The gateway cannot authenticate requests at the moment"}
    assert str(pepper) in ask(server.port, "/token").body.decode()
    (alarm,) = server.alarms()
    assert "credgate: cannot authenticate requests: " in alarm and str(pepper) in alarm
    assert not ALICE.traces(server.logs)
    server.error_log.write_text("")


def test_library_records_reach_the_error_log(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    # Nothing listens there.
    closed = {"token_endpoint": f"http://127.0.0.1:{free_port()}/token"}
    server = start(nginx, f"gate = {gate(scripted.issuer, **closed)}", guarded(upstream.url))
    for _ in range(5):
        assert ask(server.port, headers=BOB.basic).status == 502
    assert ask(server.port, headers=BOB.basic).status == 503
    assert re.search(r"\[warn\].*credgate: .*circuit breaker", server.errors)


def test_hit_is_compiled_and_allocates_no_lua_memory(
    nginx: Start, scripted: Scripted, upstream: Upstream, tmp_path: Path
) -> None:
    traces = tmp_path / "traces"
    heap = """location = /heap { content_by_lua_block { ngx.print(collectgarbage("count")) } }\n"""
    http = f'init_worker_by_lua_block {{ require("jit.v").on("{traces}") collectgarbage("stop") }}\n'
    # A table constructor in the location's code would allocate a table for each request.
    init = (
        f'gate = {gate(scripted.issuer)} options = {{ variable = "gate_authorization" }} nothing = function() end'
    )
    places = "".join(
        f"""location = {path} {{
            set $gate_authorization "";
            access_by_lua_block {{ {code} }}
            proxy_set_header Authorization $gate_authorization;
            proxy_pass {upstream.url};
        }}\n"""
        for path, code in {"/hit": "gate:access(options)", "/nothing": "nothing(options)"}.items()
    )
    server = start(nginx, init, places + heap, http=http)
    connection = Connection(server.port)

    def allocated(path: str) -> float:
        for _ in range(300):
            assert connection.ask(path, headers=ALICE.basic).status == 200
        before = float(connection.ask("/heap").body)
        for _ in range(200):
            assert connection.ask(path, headers=ALICE.basic).status == 200
        return (float(connection.ask("/heap").body) - before) * 1024 / 200

    hit, nothing = allocated("/hit"), allocated("/nothing")
    connection.close()
    text = traces.read_text()
    print(f"\nbytes of Lua memory: {hit:.0f} for a hit, {nothing:.0f} for an empty function\n{text}")
    assert hit <= nothing + 1
    assert re.search(r"\[TRACE +\d+ .*current\.lua", text)
    assert "NYI" not in text


def test_warning_of_a_gate_that_a_request_makes_is_without_the_request(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    options = f"hide_credentials = false, issuer = {scripted.issuer!r}, allow_loopback_http = true"
    make = f'access_by_lua_block {{ local gate = require("resty.credgate").new {{ {options} }} gate:access() }}'
    server = start(nginx, "", f"location / {{ {make} proxy_pass {upstream.url}; }}")
    assert ask(server.port, **ALICE.request("query")).status == 200
    until(lambda: "hide_credentials is false" in server.errors, "the warning")
    assert ALICE.traces(server.logs) == []
