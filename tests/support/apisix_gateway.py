"""A stand-in of Apache APISIX in nginx with lua-nginx-module, for the plugin in ffi/lua/lib/apisix."""

from collections.abc import Callable
from typing import Any

from support.lab import Upstream
from support.nginx import Nginx
from support.openresty import PATHS, lua, start
from support.process import ROOT

Start = Callable[..., Nginx]

HERE = PATHS.replace("lua_package_path", "lua_shared_dict secrets 1m;\nlua_package_path").replace(
    '?.lua;;"', f'?.lua;{ROOT}/tests/support/apisix/?.lua;;"', 1
)
LOCATION = """
location / {{
    set $upstream_uri "";
    access_by_lua_block {{ standin.access() }}
    header_filter_by_lua_block {{ standin.header_filter() }}
    log_by_lua_block {{ standin.log() }}
    proxy_pass {upstream}$upstream_uri;
}}
location = /check_schema {{
    content_by_lua_block {{
        local conf = require("cjson").decode(ngx.req.get_body_data() or "{{}}")
        local ok, err = require("apisix.plugins.credgate").check_schema(conf)
        ngx.say(ok and "valid" or err)
    }}
    client_body_in_single_buffer on;
    access_by_lua_block {{ ngx.req.read_body() }}
}}
location = /change {{
    access_by_lua_block {{ ngx.req.read_body() }}
    content_by_lua_block {{
        local change = require("cjson").decode(ngx.req.get_body_data())
        for name, value in pairs(change.secrets or {{}}) do ngx.shared.secrets:set(name, value) end
        for path, conf in pairs(change.routes or {{}}) do routes[path].conf = conf end
    }}
}}
"""


def apisix(
    nginx: Start,
    upstream: Upstream | str,
    routes: dict[str, dict[str, Any]],
    plugins: str = "",
    init: str = "",
    http: str = "",
) -> Nginx:
    """`routes` are configurations by path; `plugins` are Lua fields of every route."""
    table = ", ".join(f"[{lua(path)}] = {{ conf = {lua(conf)}, {plugins} }}" for path, conf in routes.items())
    return start(
        nginx,
        f'{init} standin = require "standin" routes = {{ {table} }}',
        LOCATION.format(upstream=upstream if isinstance(upstream, str) else upstream.url),
        http=http + "init_worker_by_lua_block { standin.init_worker() }\n",
        paths=HERE,
    )
