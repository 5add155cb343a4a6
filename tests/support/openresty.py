"""nginx with lua-nginx-module and resty.credgate, as in OpenResty, without the C module."""

import json
from collections.abc import Callable
from typing import Any

from support.nginx import AUDIENCE, Nginx, location
from support.process import ROOT

MODULES = "/usr/lib/nginx/modules"
LOAD = "".join(f"load_module {MODULES}/{name}.so;\n" for name in ("ndk_http_module", "ngx_http_lua_module"))
PATHS = f"""\
lua_package_path "{ROOT}/ffi/lua/lib/?.lua;;";
lua_package_cpath "{ROOT}/target/release/?.so;;";
"""

# The ways of a token to the upstream, as an option and a directive: in a variable, or in a header.
BY_VARIABLE = ('variable = "gate_authorization"', "proxy_set_header Authorization $gate_authorization")
BY_HEADER = ("", "")
ROUTES = {"variable": BY_VARIABLE, "header": BY_HEADER}

Start = Callable[..., Nginx]


def gate(issuer: str, **more: Any) -> str:
    """A Lua expression for a gate."""
    config = {"issuer": issuer, "audience": AUDIENCE, "allow_loopback_http": issuer.startswith("http:"), **more}
    return f'assert(require("resty.credgate").new({lua(config)}))'


def lua(value: Any) -> str:
    """A value as a Lua expression."""
    match value:
        case bool() | int() | float():
            return str(value).lower()
        case str():
            return json.dumps(value)
        case list():
            return "{" + ", ".join(map(lua, value)) + "}"
        case dict():
            return "{" + ", ".join(f"[{lua(key)}] = {lua(item)}" for key, item in value.items()) + "}"
    raise TypeError(value)


def guarded(
    upstream: str, options: str = "", *more: str, path: str = "/", route: str = "variable", called: str = "gate"
) -> str:
    """A location with a gate in the Lua global `called`. It responds with the cache status in the same header as
    `support.nginx.guarded`."""
    option, forward = ROUTES[route]
    options = ", ".join(part for part in (option, options) if part)
    access = f"""\
access_by_lua_block {{
        local client_id, cache_status = {called}:access {{ {options} }}
        ngx.header["X-Credgate-Status"] = cache_status
        ngx.header["X-Client"] = client_id
    }}"""
    text = location(path, 'set $gate_authorization ""', *filter(None, (forward,)), *more, f"proxy_pass {upstream}")
    return text.replace("{\n", "{\n    " + access + "\n", 1)


def start(
    nginx: Start, init: str, server: str, *, http: str = "", main: str = "", paths: str = PATHS, **options: Any
) -> Nginx:
    """`init` is the text inside init_by_lua_block{}."""
    text = f"{paths}init_by_lua_block {{\n{init}\n}}\n{http}"
    return nginx(server, http=text, main=LOAD + main, loaded=False, **options)
