"""LuaJIT compiles a hit as a whole."""

import json
from collections.abc import Callable

import pytest

from conftest import ALICE
from support.http import ask
from support.lab import Provider, Upstream
from support.nginx import Nginx, location
from support.openresty import ROUTES, gate, start

Start = Callable[..., Nginx]

EVENTS = """init_worker_by_lua_block {
    local util = require "jit.util"
    events = { traces = 0, aborts = {} }
    jit.attach(function(what, _, func, pc, code)
        local place = func and util.funcinfo(func, pc).loc
        if what == "stop" then events.traces = events.traces + 1 end
        if what == "abort" then table.insert(events.aborts, place .. " " .. tostring(code)) end
    end, "trace")
}
"""
SHOWN = "content_by_lua_block { ngx.print(require('cjson').encode(events)) }"


@pytest.mark.parametrize("route", ROUTES)
def test_hit_is_compiled_without_aborts(nginx: Start, provider: Provider, upstream: Upstream, route: str) -> None:
    # A call in the block itself: the header fields that `guarded` sets for tests are not compiled.
    option, forward = ROUTES[route]
    access = f"access_by_lua_block {{ gate:access {{ {option} }} }}"
    text = location("/", 'set $gate_authorization ""', *filter(None, (forward,)), f"proxy_pass {upstream.url}")
    text = text.replace("{\n", "{\n" + access + "\n", 1) + f"location /events {{ {SHOWN} }}"
    server = start(nginx, f"gate = {gate(provider.issuer)}", text, http=EVENTS)
    for _ in range(500):
        assert ask(server.port, headers=ALICE.basic).status == 200
    events = json.loads(ask(server.port, "/events").body)
    assert events["traces"] > 0
    assert not events["aborts"]
