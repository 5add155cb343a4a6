"""The cases of the comparison: one nginx each, before the same upstream."""

from dataclasses import dataclass

from support import openresty
from support.http import Client
from support.nginx import MODULE, gate

MACHINE = Client("x7Qm2LbTz9RkW4vPc8NdYs3HgFj6AeUo", "k" * 24 + "Q9" * 20)
"""With an id of 32 bytes and a secret of 64, as Auth0 issues them."""
LUA_MODULES = ("ndk_http_module.so", "ngx_http_lua_module.so")


@dataclass(frozen=True)
class Case:
    """A way to get a token upstream. `location` and `http` are directives of nginx."""

    name: str
    what: str
    location: str = ""
    http: str = ""
    modules: tuple[str, ...] = ()


def lua(body: str) -> str:
    return f"access_by_lua_block {{{body}}}"


def cases(issuer: str, token: str) -> list[Case]:
    """`token` is a token as the provider issues it: the hand-written cases forward it."""
    by_hand = """
        local auth = ngx.var.http_authorization
        local m = auth and ngx.re.match(auth, [[^Basic\\s+(.+)$]], "joi")
        local pair = m and ngx.decode_base64(m[1])
        if not pair then return ngx.exit(401) end
        local key = ngx.md5(pair)
        local token = ngx.shared.tokens:get(key)
        if not token then token = FRESH; ngx.shared.tokens:set(key, token, 3600) end
        ngx.req.set_header("Authorization", "Bearer " .. token)
    """
    raw = """
        local auth = ngx.var.http_authorization
        if not auth then return ngx.exit(401) end
        local value = ngx.shared.tokens:get(auth)
        if not value then value = "Bearer " .. FRESH; ngx.shared.tokens:set(auth, value, 3600) end
        ngx.req.set_header("Authorization", value)
    """
    lru = """
        local auth = ngx.var.http_authorization
        if not auth then return ngx.exit(401) end
        local value = TOKENS:get(auth)
        if not value then value = "Bearer " .. FRESH; TOKENS:set(auth, value, 3600) end
        ngx.req.set_header("Authorization", value)
    """
    fresh = f'init_by_lua_block {{ require("resty.core"); FRESH = "{token}"'
    shared = f"lua_shared_dict tokens 64m;\n{fresh} }}"
    local = f'{fresh}; TOKENS = require("resty.lrucache").new(20000) }}'
    credgate = ";\n".join(gate(issuer)) + ";"
    made = f"init_by_lua_block {{ gate = {openresty.gate(issuer)}; by = {{ variable = 'credgate_authorization' }} }}"
    # A function of its own is compiled, a block of the configuration is not.
    fixed = f"""{fresh} local var = ngx.var
        fixed = function() local auth = var.http_authorization var.credgate_authorization = auth and FRESH or "" end }}"""
    variable = 'set $credgate_authorization "";\nproxy_set_header Authorization $credgate_authorization;\n'
    return [
        Case("bare", "proxy_pass alone"),
        Case("static", "proxy_set_header with a fixed token", f'proxy_set_header Authorization "Bearer {token}";'),
        Case("credgate", "the module, credentials in Basic", credgate, modules=(str(MODULE),)),
        Case(
            "lua_fixed", "Lua that reads the header and puts a fixed token in a variable",
            variable + lua(" fixed() "), fixed, LUA_MODULES,
        ),  # fmt: skip
        Case(
            "lua_credgate", "resty.credgate, the token in a variable", variable + lua(" gate:access(by) "),
            openresty.PATHS + made, LUA_MODULES,
        ),  # fmt: skip
        Case(
            "lua_header", "resty.credgate, the token in a header that is set", lua(" gate:access() "),
            openresty.PATHS + made, LUA_MODULES,
        ),  # fmt: skip
        Case("lua_hash", "by hand: regular expression, base64, hash, shared dict", lua(by_hand), shared, LUA_MODULES),
        Case("lua_raw", "by hand, tuned: the header itself is the key", lua(raw), shared, LUA_MODULES),
        Case("lua_lru", "the same, in a cache of the worker's own", lua(lru), local, LUA_MODULES),
    ]
