"""The cases of the comparison: one proxy each, before the same upstream."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bench import glibc
from bench.behind import JUDGE
from support import openresty
from support.envoy import TYPES, http_filter
from support.http import Client
from support.nginx import AUDIENCE, MODULE, gate

MACHINE = Client("x7Qm2LbTz9RkW4vPc8NdYs3HgFj6AeUo", "k" * 24 + "Q9" * 20)
"""With an id of 32 bytes and a secret of 64, as Auth0 issues them."""
LUA_MODULES = ("ndk_http_module.so", "ngx_http_lua_module.so")
NARROW = "_narrow"
"""The end of the name of a case whose glibc has no wide vectors."""


@dataclass(frozen=True)
class Case:
    """A way to get a token upstream, through nginx unless there are `filters` for Envoy.

    `location`, `server` and `http` are directives of nginx. `token` is False where the credentials themselves go upstream.
    `beside` names the cases that this one is compared with, in the same round; the first is that of the table.
    """

    name: str
    what: str
    location: str = ""
    http: str = ""
    modules: tuple[str, ...] = ()
    server: str = ""
    token: bool = True
    beside: tuple[str, ...] = ("static", "bare")
    environment: Mapping[str, str] = field(default_factory=dict)
    filters: Sequence[dict[str, Any]] | None = None
    secrets: Sequence[dict[str, Any]] = ()

    @property
    def counted(self) -> bool:
        """Are its instructions counted? Envoy is too large for callgrind, which has functions of its own for glibc's."""
        return self.filters is None and not self.environment


def lua(body: str) -> str:
    return f"access_by_lua_block {{{body}}}"


def cases(issuer: str, token: str) -> list[Case]:
    """`token` is a token as the provider issues it: the cases that obtain none forward it."""
    static = f'proxy_set_header Authorization "Bearer {token}";'
    proxied = [
        Case("bare", "proxy_pass alone", token=False, beside=("static",)),
        Case("static", "proxy_set_header with a fixed token", static, beside=("bare",)),
        Case("credgate", "the module, credentials in Basic", directives(gate(issuer)), modules=(str(MODULE),)),
    ]
    return [
        *proxied,
        full(issuer),
        by_auth_request(),
        *in_lua(issuer, token),
        *through_envoy(token),
        *(narrow(case) for case in proxied),
    ]


def directives(lines: list[str]) -> str:
    return ";\n".join(lines) + ";"


def full(issuer: str) -> Case:
    """The module with everything on that a hit may pass."""
    required = (
        "credgate_scopes openid api:read", "credgate_scopes_required api:read",
        f"credgate_audience_required {AUDIENCE}", f"credgate_issuers_allowed {issuer}",
        f"credgate_clients_allowed {MACHINE.id} other",
    )  # fmt: skip
    return Case(
        "credgate_full", "the same; verified JWT, audience, scope, issuer and client required, counters of the client",
        directives(gate(issuer, *required)), "credgate_metrics_clients 100;", (str(MODULE),),
        "location = /metrics { credgate_metrics; }",
    )  # fmt: skip


def by_auth_request() -> Case:
    """The service that it asks is in the upstream's process, whose CPU time is not counted."""
    auth = f"""location = /auth {{
        internal; proxy_pass http://behind{JUDGE}; proxy_pass_request_body off;
        proxy_set_header Content-Length ""; proxy_set_header Connection "";
    }}"""
    location = """
        auth_request /auth; auth_request_set $token $upstream_http_x_token; proxy_set_header Authorization $token;
    """
    return Case("auth_request", "auth_request to an nginx whose response is fixed", location, server=auth)


def in_lua(issuer: str, token: str) -> list[Case]:
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
    required = {
        "scopes": ["openid", "api:read"], "scopes_required": ["api:read"], "audience_required": [AUDIENCE],
        "issuers_allowed": [issuer], "clients_allowed": [MACHINE.id, "other"],
    }  # fmt: skip
    counters = 'assert(require("resty.credgate").configure { metrics_clients = 100 })'

    def made(before: str = "", **settings: Any) -> str:
        gate = f"gate = {openresty.gate(issuer, **settings)}; by = {{ variable = 'gate_authorization' }}"
        return f"{openresty.PATHS}init_by_lua_block {{ {before} {gate} }}"

    # A function of its own is compiled, a block of the configuration is not.
    fixed = f"""{fresh} local var, value = ngx.var, "Bearer " .. FRESH
        fixed = function() local auth = var.http_authorization var.gate_authorization = auth and value or "" end }}"""
    variable = 'set $gate_authorization "";\nproxy_set_header Authorization $gate_authorization;\n'
    beside = ("static", "bare", "lua_lru")
    return [
        Case(
            "lua_fixed", "Lua that reads the header and puts a fixed token in a variable",
            variable + lua(" fixed() "), fixed, LUA_MODULES,
        ),
        Case(
            "lua_credgate", "resty.credgate, the token in a variable", variable + lua(" gate:access(by) "), made(),
            LUA_MODULES, beside=beside,
        ),
        Case(
            "lua_full", "the same, with all that credgate_full requires and counts", variable + lua(" gate:access(by) "),
            made(counters, **required), LUA_MODULES, beside=beside,
        ),
        Case(
            "lua_header", "resty.credgate, the token in a header that is set", lua(" gate:access() "), made(),
            LUA_MODULES, beside=beside,
        ),
        Case("lua_hash", "by hand: regular expression, base64, hash, shared dict", lua(by_hand), shared, LUA_MODULES),
        Case("lua_raw", "by hand, tuned: the header itself is the key", lua(raw), shared, LUA_MODULES),
        Case("lua_lru", "the same, in a cache of the worker's own", lua(lru), local, LUA_MODULES),
    ]  # fmt: skip


def through_envoy(token: str) -> list[Case]:
    """Its credential injector reads no credentials: it replaces them with one fixed token."""
    secret = {"name": "token", "generic_secret": {"secret": {"inline_string": f"Bearer {token}"}}}
    generic = {"@type": f"{TYPES}.http.injected_credentials.generic.v3.Generic", "credential": {"name": "token"}}
    credential = {"name": "envoy.http.injected_credentials.generic", "typed_config": generic}
    injector = http_filter("credential_injector", "CredentialInjector", overwrite=True, credential=credential)
    return [
        Case("envoy", "Envoy alone", token=False, filters=()),
        Case(
            "envoy_injector", "Envoy's credential injector with a fixed token", beside=("static", "bare", "envoy"),
            filters=(injector,), secrets=(secret,),
        ),
    ]  # fmt: skip


def narrow(case: Case) -> Case:
    """The case with a glibc without wide vectors, beside `static` with the same."""
    return replace(
        case, name=case.name + NARROW, environment=glibc.NARROW,
        beside=(*(other + NARROW for other in case.beside), case.name),
    )  # fmt: skip
