"""Options of methods: a mistake is an error at the caller, and no request goes on without a token."""

import re
from collections.abc import Callable

import pytest

from conftest import ALICE
from support.http import ask
from support.lab import Provider, Upstream
from support.nginx import Nginx, location
from support.openresty import gate, start

Start = Callable[..., Nginx]

METHODS = ("access", "judge", "hide", "check", "token_endpoint")
MISTAKES = [
    ('"gate_authorization"', "options must be a table"),
    ("42", "options must be a table"),
    ('{ varible = "gate_authorization" }', 'unknown option "varible"'),
    ('{ variable = "gate_authorization", "x" }', 'unknown option "1"'),
    ("{ variable = 42 }", "variable must be a string"),
    ("{ uri_variable = true }", "uri_variable must be a string"),
    ('{ args = "a" }', "args must be a table"),
    ("{ ctx = 1 }", "ctx must be a boolean"),
    ('{ on_denied = "page" }', "on_denied must be a function"),
    ('{ keep_authorization = "yes" }', "keep_authorization must be a boolean"),
    ("{ client_id = 42 }", "client_id must be a string"),
]


def calling(nginx: Start, issuer: str, upstream: str, code: str, init: str = "") -> Nginx:
    place = location("/", 'set $gate_authorization ""', f"proxy_pass {upstream}")
    return start(
        nginx, f"gate = {gate(issuer)} {init}", place.replace("{\n", f"{{\naccess_by_lua_block {{ {code} }}\n", 1)
    )


@pytest.mark.parametrize(("options", "message"), MISTAKES)
def test_a_mistake_in_the_options_is_an_error_at_each_request(
    nginx: Start, provider: Provider, upstream: Upstream, options: str, message: str
) -> None:
    server = calling(nginx, provider.issuer, upstream.url, "gate:access(options)", f"options = {options}")
    for count in (1, 2):
        assert ask(server.port, **ALICE.request("query")).status == 500
        assert len(re.findall(rf"access_by_lua\(nginx\.conf:\d+\):1: credgate: {re.escape(message)}", server.errors)) == count
    assert not upstream.last and provider.count["token"] == 0
    assert ALICE.traces(server.logs) == []


@pytest.mark.parametrize("method", METHODS)
def test_every_method_checks_its_options(
    nginx: Start, provider: Provider, upstream: Upstream, method: str
) -> None:
    server = calling(nginx, provider.issuer, upstream.url, f"gate:{method} {{ varible = '' }}")
    assert ask(server.port, headers=ALICE.basic).status == 500
    assert 'credgate: unknown option "varible"' in server.errors


@pytest.mark.parametrize("compiled", [True, False])
def test_options_are_checked_without_the_function_of_openresty(
    nginx: Start, provider: Provider, upstream: Upstream, compiled: bool
) -> None:
    lacking = "" if compiled else 'package.preload["table.nkeys"] = error package.loaded["resty.credgate.options"] = nil '
    init = f"{lacking} right = {{ ctx = true, variable = 'gate_authorization' }}"
    code = "gate:access(ngx.var.arg_wrong and { ctx = true, varible = 'x' } or right)"
    server = start(nginx, f"{init} gate = {gate(provider.issuer)}", location(
        "/", 'set $gate_authorization ""', f"proxy_pass {upstream.url}",
    ).replace("{\n", f"{{\naccess_by_lua_block {{ {code} }}\n", 1))
    for _ in range(2):
        assert ask(server.port, headers=ALICE.basic).status == 200
        assert ask(server.port, "/?wrong=1", headers=ALICE.basic).status == 500


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("outcome:claim(nil)", "name must be a string"),
        ("outcome:claim({ 'sub' })", "name must be a string"),
        ("outcome:upstream_status('401')", "http_status must be a number"),
        ("outcome:upstream_status()", "http_status must be a number"),
        ("gate:log('401')", "http_status must be a number"),
    ],
)
def test_methods_of_outcomes_check_their_arguments(
    nginx: Start, provider: Provider, upstream: Upstream, call: str, message: str
) -> None:
    code = f"local outcome = gate:judge() ngx.print(select(2, pcall(function() local result = {call} return result end)))"
    server = calling(nginx, provider.issuer, upstream.url, code)
    body = ask(server.port, headers=ALICE.basic).body.decode()
    assert re.fullmatch(rf"access_by_lua\(.*\):1: credgate: {re.escape(message)}", body)
