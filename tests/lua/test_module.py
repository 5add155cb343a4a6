"""The module itself: creation of gates, error messages, and the cost of a hit."""

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
from support.process import until

Start = Callable[..., Nginx]

NEW = """content_by_lua_block {
    local credgate = require "resty.credgate"
    ngx.req.read_body()
    local made, problem = credgate.new(loadstring("return " .. ngx.req.get_body_data())())
    ngx.print(made and made:config() or problem)
}"""


@pytest.fixture
def maker(nginx: Start) -> Callable[[str], str]:
    """The error of `credgate.new` for a Lua expression."""
    server = start(nginx, "", f"location / {{ {NEW} }}")
    return lambda text: ask(server.port, method="POST", body=text).body.decode()


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("nil", "the configuration is neither a table nor a string of JSON"),
        ("42", "the configuration is neither a table nor a string of JSON"),
        ("'{'", "JSON"),
        ("{ isuer = 'https://a.example' }", 'unknown field "isuer": did you mean "issuer"?'),
        ("{ issuer = 42 }", "issuer"),
        ("{ issuer = 'http://a.example' }", "https"),
        ("{ issuer = 'https://a.example', ssl_trusted_certificate = '/nowhere.pem' }", "/nowhere.pem"),
        ("{ issuer = function() end }", "function"),
    ],
)
def test_a_mistake_in_the_configuration_is_told(maker: Callable[[str], str], expression: str, problem: str) -> None:
    assert problem in maker(expression)


def test_dangerous_settings_are_logged_at_startup(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    server = start(nginx, f"gate = {gate(scripted.issuer, hide_credentials=False)}", guarded(upstream.url))
    assert "credgate: hide_credentials is false" in server.errors


def test_tables_json_and_kongs_own_object_are_the_same(maker: Callable[[str], str]) -> None:
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
    made = [maker(text) for text in (table, f"[[{json.dumps(seed)}]]", f"[[{json.dumps(kong)} ]]")]
    assert made[0] == made[1] == made[2]
    assert json.loads(made[0])["issuer"].startswith("https://tenant.auth0.com")


def test_a_token_cannot_be_had_before_there_are_workers(nginx: Start, scripted: Scripted) -> None:
    init = f"gate = {gate(scripted.issuer)} token, problem = gate:token('alice', 'x')"
    server = start(nginx, init, "location / { content_by_lua_block { ngx.print(problem) } }")
    assert b"in a worker only" in ask(server.port).body


def test_a_library_that_is_not_there_is_named(nginx: Start, tmp_path: Path) -> None:
    text = "local found, problem = pcall(require, 'resty.credgate') ngx.print(problem)"
    http = f'lua_package_cpath "{tmp_path}/?.so";\n'
    server = start(nginx, "", f"location / {{ content_by_lua_block {{ {text} }} }}")
    server.stop()
    conf = re.sub(r"lua_package_cpath .*\n", http, server.conf.read_text())
    server.conf.write_text(conf)
    with server:
        body = ask(server.port).body.decode()
    assert "libcredgate.so.1 is neither in the directories of lua_package_cpath" in body
    assert str(tmp_path) in body


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        ("gate:token()", "id and secret are strings"),
        ("gate:token('alice')", "id and secret are strings"),
        ("gate:authenticate()", "the request is no table"),
        ("gate:authenticate({ query = 42 })", "query is no string"),
        ("gate:authenticate({ args = { a = 'b' } })", "no argument a"),
        ("gate:purge(42)", "client_id is no string"),
    ],
)
def test_a_call_that_cannot_be_is_an_error(nginx: Start, scripted: Scripted, call: str, problem: str) -> None:
    text = f"local fine, problem = pcall(function() return {call} end) ngx.print(fine and 'fine' or problem)"
    config = gate(scripted.issuer, token_post_args_host=["resource"])
    server = start(nginx, f"gate = {config}", f"location / {{ content_by_lua_block {{ {text} }} }}")
    assert problem in ask(server.port).body.decode()


def test_claims_of_a_token(nginx: Start, scripted: Scripted) -> None:
    text = f"""
        local token, outcome = gate:token("alice", {ALICE.secret!r})
        local refused, denial = gate:token("alice", "wrong")
        local cjson = require "cjson"
        ngx.print(cjson.encode {{
            token = token, headers = outcome:headers(), expires = outcome:expires_in(), source = outcome.source,
            refused = tostring(refused), code = denial.cause, http_status = denial.http_status,
        }})
    """
    server = start(nginx, f"gate = {gate(scripted.issuer)}", f"location / {{ content_by_lua_block {{ {text} }} }}")
    said = ask(server.port).json()
    assert said["headers"] == {"authorization": f"Bearer {said['token']}"}
    assert said["expires"] > 0
    assert (said["source"], said["refused"]) == ("host", "nil")
    assert (said["code"], said["http_status"]) == ("credentials_refused", 401)


def test_a_purge_drops_tokens_of_one_client_or_all(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    purge = "location = /purge { content_by_lua_block { ngx.print(gate:purge(ngx.var.arg_id)) } }\n"
    server = start(nginx, f"gate = {gate(scripted.issuer)}", guarded(upstream.url) + purge)

    def statuses() -> list[str | None]:
        return [ask(server.port, headers=client.basic).header("X-Credgate-Status") for client in (ALICE, BOB)]

    assert statuses() == ["MISS", "MISS"]
    assert ask(server.port, "/purge?id=alice").body == b"1"
    assert statuses() == ["MISS", "HIT"]
    assert ask(server.port, "/purge").body == b"2"
    assert statuses() == ["MISS", "MISS"]


def test_numbers_for_those_who_operate_it(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    show = """location = /metrics { content_by_lua_block { ngx.print(require("resty.credgate").metrics()) } }
        location = /report { content_by_lua_block { ngx.print(require("resty.credgate").report()) } }"""
    server = start(nginx, f"gate = {gate(scripted.issuer)}", guarded(upstream.url) + show)
    for _ in range(3):
        assert ask(server.port, headers=ALICE.basic).status == 200
    assert b'credgate_requests_total{outcome="allow",cache_status="hit"} 2\n' in ask(server.port, "/metrics").body
    assert ask(server.port, "/report").json()


def test_an_engine_has_options_until_it_runs(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    init = f"""
        require("resty.credgate").configure {{ max_waiting = 1 }}
        gate = {gate(scripted.issuer)}
        late = function() return select(2, require("resty.credgate").configure {{ max_waiting = 5 }}) end
    """
    late = "location = /late { content_by_lua_block { ngx.print(late()) } }"
    server = start(nginx, init, guarded(upstream.url) + late)
    scripted.hold()
    pending = Connection(server.port)
    pending.send(headers=ALICE.basic)
    until(lambda: scripted.state["waiting"] == 1, "the exchange")
    assert ask(server.port, headers=BOB.basic).status == 503, "one may wait, and does"
    scripted.release()
    assert pending.receive().status == 200
    pending.close()
    assert b"runs already" in ask(server.port, "/late").body


def test_options_that_cannot_be_are_refused_where_they_are_given(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    init = f"""
        local credgate = require("resty.credgate")
        local problem = function(options) return select(2, credgate.configure(options)) end
        problems = table.concat({{
            problem {{ max_waiting = 0 }}, problem {{ store = "tokens.db" }}, problem {{ stroe = "sqlite:/tokens.db" }},
        }}, "\\n")
        gate = {gate(scripted.issuer)}
    """
    show = "location = /problems { content_by_lua_block { ngx.print(problems) } }"
    server = start(nginx, init, guarded(upstream.url) + show)
    first, second, third = ask(server.port, "/problems").body.decode().splitlines()
    assert "max_waiting must be at least 1" in first
    assert "store " in second and "unknown field `stroe`" in third
    assert ask(server.port, headers=ALICE.basic).status == 200


def test_log_records_of_the_library_go_to_nginxs_log(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    scripted.script(status=500)
    server = start(nginx, f"gate = {gate(scripted.issuer)}", guarded(upstream.url))
    for number in range(6):
        ask(server.port, headers={"Authorization": ALICE.wrong().basic["Authorization"][: -4 * number or None]})
        ask(server.port, headers=BOB.basic)
    assert re.search(r"\[(?:warn|error)\].*credgate: ", server.errors)


def test_a_hit_is_compiled_and_allocates_nothing_but_strings(
    nginx: Start, scripted: Scripted, upstream: Upstream, tmp_path: Path
) -> None:
    traces = tmp_path / "traces"
    heap = """location = /heap { content_by_lua_block { ngx.print(collectgarbage("count")) } }\n"""
    http = f'init_worker_by_lua_block {{ require("jit.v").on("{traces}") collectgarbage("stop") }}\n'
    # A table in the location's own code would be made anew for each request.
    init = (
        f'gate = {gate(scripted.issuer)} options = {{ variable = "credgate_authorization" }} nothing = function() end'
    )
    places = "".join(
        f"""location = {path} {{
            set $credgate_authorization "";
            access_by_lua_block {{ {code} }}
            proxy_set_header Authorization $credgate_authorization;
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
    print(f"\n{hit:.0f} bytes of Lua memory for a hit, {nothing:.0f} for no call at all\n{text}")
    assert hit <= nothing + 1
    assert re.search(r"\[TRACE +\d+ .*gate\.lua", text)
    assert "NYI" not in text
