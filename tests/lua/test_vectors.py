"""The core's vectors through Lua: as raw bytes to gate:access, and as tables to gate:authenticate."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.http import JSON, ask
from support.lab import Scripted, Upstream
from support.nginx import Nginx, location
from support.openresty import guarded, start
from support.replay import (
    ASSERTIONS,
    CHALLENGES,
    EXTRACTION,
    FORGETFUL,
    HIDING,
    INTROSPECTION,
    SHOWN,
    TRACEPARENT,
    Ask,
    args_of,
    asker,
    challenged,
    configuration,
    headers_of,
    own_gate,
    pair_of,
    parts_of,
    paths,
    replay_assertions,
    replay_challenges,
    replay_extraction,
    replay_hiding,
    replay_introspection,
    replay_shown,
    replay_traceparent,
)
from support.vectors import Vector

Start = Callable[..., Nginx]

ON_DENIED = """on_denied = function(denial)
    ngx.header["X-Error"] = denial.cause
    ngx.print(denial.body)
    return ngx.exit(denial.http_status)
end"""


def gates(issuer: str, directory: Path, places: dict[str, str], **fixed: Any) -> str:
    """Lua that fills a table `gates` with a gate for each configuration, by its path."""
    lines = ["gates = {}"]
    for config, path in places.items():
        file = directory / f"{path[1:]}.json"
        file.write_text(json.dumps({"issuer": issuer, "allow_loopback_http": True, **fixed, **json.loads(config)}))
        made = f'assert(require("resty.credgate").new(io.open("{file}"):read("*a")))'
        lines.append(f'gates["{path}"] = {made}')
    return "\n".join(lines)


def raw(nginx: Start, issuer: str, upstream: str, directory: Path, vectors: list[Vector], **fixed: Any) -> Ask:
    places = paths(vectors)
    server = "underscores_in_headers on;\nlarge_client_header_buffers 8 64k;\nclient_max_body_size 1m;\n"
    for config, path in places.items():
        names = json.loads(config).get("token_post_args_host", [])
        values = ", ".join(f"{name} = ngx.var.http_x_arg_{number}" for number, name in enumerate(names))
        text = guarded(upstream, f"{ON_DENIED}, args = {{ {values} }}", path=f"= {path}")
        server += text.replace("gate:access", f'gates["{path}"]:access')
    return asker(start(nginx, gates(issuer, directory, places, **fixed), server).port, places)


def test_extraction(nginx: Start, scripted: Scripted, upstream: Upstream, tmp_path: Path) -> None:
    replay_extraction(raw(nginx, scripted.issuer, upstream.url, tmp_path, EXTRACTION, cache_tokens=False), scripted)


def test_traceparent(nginx: Start, scripted: Scripted, upstream: Upstream, tmp_path: Path) -> None:
    ask = raw(nginx, scripted.issuer, upstream.url, tmp_path, TRACEPARENT, cache_tokens=False)
    replay_traceparent(lambda vector: ask(vector)[0], scripted)


@pytest.mark.parametrize("part", ["query", "body", "headers"])
def test_hiding(nginx: Start, scripted: Scripted, upstream: Upstream, tmp_path: Path, part: str) -> None:
    replay_hiding(raw(nginx, scripted.issuer, upstream.url, tmp_path, HIDING, anonymous=True), upstream, part)


def test_challenges(nginx: Start, scripted: Scripted, upstream: Upstream, tmp_path: Path) -> None:
    uncached = {"cache_tokens": False, "cache_ttl_neg": 0}
    replay_challenges(challenged(raw(nginx, scripted.issuer, upstream.url, tmp_path, CHALLENGES, **uncached)), scripted)


AUTHENTICATE = """content_by_lua_block {
    local cjson = require "cjson"
    ngx.req.read_body()
    local input = cjson.decode(ngx.req.get_body_data() or io.open(ngx.req.get_body_file()):read("*a"))
    local gate, shown = gates[input.path], { args = {}, headers = {} }
    for _, name in ipairs { "method", "authorization", "query", "content_type", "body" } do
        shown[name] = input[name] and ngx.decode_base64(input[name])
    end
    for name, value in pairs(input.args or {}) do
        shown.args[name] = ngx.decode_base64(value)
    end
    for _, header in ipairs(input.headers) do
        local name, value = ngx.decode_base64(header[1]), ngx.decode_base64(header[2])
        shown.headers[name] = shown.headers[name] or {}
        table.insert(shown.headers[name], value)
    end
    local outcome
    if input.id then
        local token
        token, outcome = gate:token(ngx.decode_base64(input.id), ngx.decode_base64(input.secret), shown.args)
    else
        outcome = assert(gate:authenticate(shown))
    end
    ngx.print(cjson.encode {
        allowed = outcome.allowed, client_id = outcome.client_id, source = outcome.source,
        cause = outcome.cause, http_status = outcome.http_status
    })
}"""


def encoded(value: Any) -> Any:
    """Bytes, or bytes by name, in base64 for JSON."""
    return (
        {name: encoded(item) for name, item in value.items()}
        if isinstance(value, dict)
        else base64.b64encode(value).decode()
    )


def test_extraction_from_tables(nginx: Start, scripted: Scripted, tmp_path: Path) -> None:
    places = paths(SHOWN)
    init = gates(scripted.issuer, tmp_path, places, cache_tokens=False)
    show = location("/", "client_max_body_size 1m").replace("{\n", "{\n" + AUTHENTICATE + "\n")
    server = start(nginx, init, show)

    def judge(vector: Vector) -> dict[str, Any]:
        shown = {**encoded(parts_of(vector)), "args": encoded(args_of(vector)), "path": places[configuration(vector)]}
        shown["headers"] = [[encoded(name), encoded(value)] for name, value in headers_of(vector)]
        if pair := pair_of(vector):
            shown["id"], shown["secret"] = map(encoded, pair)
        answer: dict[str, Any] = ask(server.port, method="POST", headers=JSON, body=json.dumps(shown)).json()
        return answer

    replay_shown(judge, scripted)


def test_assertions(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    lines, server = ["gates = {}"], ""
    for vector in ASSERTIONS:
        made = f"require('resty.credgate').new [[{json.dumps(own_gate(vector, scripted.issuer))}]]"
        lines.append(f'gates["{vector.id}"] = assert({made})')
        text = guarded(upstream.url, ON_DENIED, path=f"= /{vector.id}")
        server += text.replace("gate:access", f'gates["{vector.id}"]:access')
    port = start(nginx, "\n".join(lines), server).port

    def answer(vector: Vector) -> tuple[int, str | None]:
        came = ask(port, f"/{vector.id}")
        return came.status, came.header("X-Error")

    replay_assertions(answer, scripted)


def test_introspection(nginx: Start, scripted: Scripted, upstream: Upstream, tmp_path: Path) -> None:
    asked = raw(nginx, scripted.issuer, upstream.url, tmp_path, INTROSPECTION, **FORGETFUL)

    def judge(vector: Vector) -> tuple[int, str]:
        request = {**vector.input, "authorization": f"Bearer {vector.input['token']}"}
        status, headers, _ = asked(Vector(vector.id, request, vector.expect))
        return status, headers.get("x-client") or headers.get("x-error", "")

    replay_introspection(judge, scripted)
