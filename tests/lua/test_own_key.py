"""The gateway's own client with a key in place of a secret, in Lua."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import jwt
import pytest

from support.http import ask
from support.keys import KEYS, own
from support.lab import Provider, Scripted, Upstream, bearer
from support.nginx import AUDIENCE, Nginx
from support.openresty import guarded, start

Start = Callable[..., Nginx]


def keyed(nginx: Start, issuer: str, upstream: Upstream, **settings: object) -> Nginx:
    config = {"issuer": issuer, "allow_loopback_http": True, "audience": AUDIENCE, **settings}
    return start(nginx, f"gate = assert(require('resty.credgate').new [[{json.dumps(config)}]])", guarded(upstream.url))


@pytest.mark.parametrize(("jwk", "file"), [("p521", "p521.pem"), ("p521", "p521.jwk"), ("rsa", "rsa.pem")])
def test_private_key_jwt_at_the_certified_provider(
    nginx: Start, provider: Provider, upstream: Upstream, jwk: str, file: str
) -> None:
    server = keyed(nginx, provider.issuer, upstream, **own(f"key-{jwk}", file))
    assert [ask(server.port).header("X-Credgate-Status") for _ in range(2)] == ["MISS", "HIT"]
    claims = jwt.decode(bearer(upstream.last), options={"verify_signature": False})
    assert claims["sub"] == f"key-{jwk}"


def test_a_new_key_is_used_without_a_reload(
    nginx: Start, scripted: Scripted, upstream: Upstream, tmp_path: Path
) -> None:
    file = tmp_path / "gateway.jwk"
    shutil.copy(KEYS / "p256.jwk", file)
    server = keyed(nginx, scripted.issuer, upstream, **own("gateway", file), cache_tokens=False)
    for name in ("p256", "p384"):
        shutil.copy(KEYS / f"{name}.jwk", file)
        assert ask(server.port).status == 200
        header = jwt.get_unverified_header(scripted.state["last"]["form"]["client_assertion"])
        assert header["kid"] == f"{name}-1"


def test_an_unfit_key_is_an_error_that_names_the_field(nginx: Start, upstream: Upstream) -> None:
    config = {"issuer": "https://idp.example", **own("gateway", "rsa.encrypted.pem")}
    show = f"""content_by_lua_block {{
        local gate, err = require("resty.credgate").new [[{json.dumps(config)}]]
        ngx.say(gate == nil and err)
    }}"""
    server = start(nginx, "", f"location / {{ {show} }}")
    assert ask(server.port).body.startswith(b"client_assertion_key_file: ")
