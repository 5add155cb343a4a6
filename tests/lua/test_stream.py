"""The library and the plugin of Kong in nginx's stream subsystem, where Kong loads them, too. Debian's nginx has no Lua
there: the functions of the http subsystem are absent instead."""

from collections.abc import Callable

import pytest

from support.http import ask
from support.kong_gateway import PATHS
from support.nginx import Nginx
from support.openresty import start

Start = Callable[..., Nginx]

# In stream, ngx.errlog declares functions that only stream's Lua module has.
STREAM = f"""
    require "ngx.errlog"
    package.path = "{PATHS}" .. package.path
    _G.kong = setmetatable({{}}, {{ __index = function(_, name) error("kong." .. name .. " in the stream subsystem") end }})
    for _, name in ipairs {{ "request", "var", "ctx", "response" }} do
        package.loaded["resty.core." .. name] = nil
        package.preload["resty.core." .. name] = function() error("resty.core." .. name .. " in the stream subsystem") end
    end
    req, ngx.config.subsystem, ngx.req = ngx.req, "stream", nil
"""
DONE = 'ngx.config.subsystem, ngx.req = "http", req'


def run(nginx: Start, code: str) -> str:
    """The text that code in the stream subsystem returns, in the master."""
    init = f"{STREAM} shown = (function() {code} end)() {DONE}"
    return ask(start(nginx, init, "location / { content_by_lua_block { ngx.print(shown) } }").port).body.decode()


def test_configurations_are_judged(nginx: Start) -> None:
    code = """
        local credgate = require "resty.credgate"
        local gate = assert(credgate.new { issuer = "https://idp.example" })
        local none, err, problems = credgate.new { isuer = "https://idp.example" }
        assert(#credgate.fields() > 40 and credgate._VERSION and not none)
        return problems[1].field .. "; " .. err
    """
    assert run(nginx, code).startswith("isuer; isuer: unknown field")


@pytest.mark.parametrize("call", ["gate:access()", "gate:judge()", "credgate.metrics()", "credgate.configure({})"])
def test_requests_are_refused(nginx: Start, call: str) -> None:
    code = f"""
        local credgate = require "resty.credgate"
        local gate = assert(credgate.new {{ issuer = "https://idp.example" }})
        return (select(2, pcall(function() local result = {call} return result end)))
    """
    name = call.partition("(")[0]
    assert run(nginx, code).endswith(f": credgate: {name} requires nginx's http subsystem, not stream")


@pytest.mark.parametrize("name", ["openid-connect", "credgate"])
def test_plugin_of_kong_judges_and_does_nothing_else(nginx: Start, name: str) -> None:
    code = f"""
        local handler = require "kong.plugins.{name}.handler"
        local schema = require "kong.plugins.{name}.schema"
        local config = schema.fields[3].config
        assert(handler.NAME == "{name}" and handler.PRIORITY and handler.VERSION and #config.fields > 40)
        assert(config.custom_validator {{ issuer = "https://idp.example" }})
        local valid, errors = config.custom_validator {{}}
        for member, value in pairs(handler) do assert(type(value) ~= "function", member) end
        return tostring(valid) .. " " .. errors.issuer
    """
    assert run(nginx, code).startswith("nil is missing")
