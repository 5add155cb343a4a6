"""A stand-in of Kong Gateway in nginx with lua-nginx-module, for the plugin in ffi/lua/lib/kong."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from support.http import FORM, JSON, Answer, ask
from support.nginx import AUDIENCE, Nginx
from support.openresty import lua, start
from support.process import ROOT, until

STANDIN = ROOT / "tests/support/kong_standin"
GUIDE = {"config.token_post_args_names": "audience", "config.token_post_args_values": AUDIENCE}
PATHS = f"{ROOT}/ffi/lua/lib/?.lua;{STANDIN}/?.lua;;"
SERVER = """
location /services/ {{ content_by_lua_block {{ require("standin.gateway").create_plugin() }} access_log off; }}
location = /_control {{ content_by_lua_block {{ require("standin.gateway").control() }} access_log off; }}
location = /buffered {{ internal; proxy_pass {upstream}/; }}
location / {{
    set $upstream_uri "";
    rewrite_by_lua_block {{ require("standin.gateway").rewrite() }}
    access_by_lua_block {{ require("standin.gateway").access() }}
    log_by_lua_block {{ require("standin.gateway").log() }}
    proxy_pass {upstream};
}}
"""


def consumer(number: int, username: str, custom_id: str | None = None) -> dict[str, Any]:
    """A consumer as Kong's database has it."""
    identity = {"id": f"00000000-0000-4000-8000-{number:012}", "username": username}
    return identity | ({"custom_id": custom_id} if custom_id else {})


class Gateway:
    """A gateway with one service, whose plugins the admin API adds."""

    def __init__(
        self,
        nginx: Callable[..., Nginx],
        upstream: str,
        *,
        plugins: tuple[str, ...] = ("openid-connect", "credgate"),
        consumers: tuple[dict[str, Any], ...] = (),
        configuration: dict[str, Any] | None = None,
        init: str = "",
    ):
        options = {"plugins": list(plugins), "consumers": list(consumers), "configuration": configuration or {}}
        init += f"""local options = {lua(options)}
        package.path = "{PATHS}" .. package.path
        options.directory = ngx.config.prefix()
        require("standin.gateway").init(options)"""
        worker = 'init_worker_by_lua_block { require("standin.gateway").init_worker() }'
        size = "client_max_body_size 1m; client_body_buffer_size 1m;"
        self.nginx = start(nginx, init, SERVER.format(upstream=upstream), http=f"{worker} {size}")
        self.port = self.nginx.port

    def add(self, name: str = "openid-connect", **config: Any) -> Answer:
        """Adds a plugin with JSON."""
        return self.post({"name": name, "config": config})

    def guard(self, issuer: str, name: str = "openid-connect", **config: Any) -> Any:
        """Adds the plugin with the guide's settings; `config` may replace some."""
        plain = {"allow_loopback_http": True} if issuer.startswith("http:") else {}
        settings = {"issuer": issuer, "token_post_args_names": ["audience"], "token_post_args_values": [AUDIENCE]}
        answer = self.add(name, **{"auth_methods": ["client_credentials"], **settings, **plain, **config})
        assert answer.status == 201, answer.body
        return answer.json()

    def post(self, plugin: dict[str, Any]) -> Answer:
        return ask(self.port, "/services/orders/plugins", method="POST", headers=JSON, body=json.dumps(plugin))

    def form(self, **fields: Any) -> Answer:
        """Adds a plugin as `curl --data` does: names and texts."""
        body = urlencode({name.replace("__", "."): value for name, value in fields.items()}, doseq=True)
        return ask(self.port, "/services/orders/plugins", method="POST", headers=FORM, body=body)

    def control(self, **arguments: Any) -> None:
        assert ask(self.port, "/_control?" + urlencode(arguments)).status == 200

    @property
    def serialized(self) -> list[Any]:
        """The entries that plugins like file-log write."""
        return self._lines("serialized.log")

    @property
    def spans(self) -> list[Any]:
        """The spans that are sent to a collector."""
        return self._lines("spans.log")

    @property
    def written(self) -> bytes:
        """Everything that the gateway and its plugins wrote."""
        self._settle()
        files = (self.nginx.directory / name for name in ("serialized.log", "spans.log"))
        return self.nginx.logs + b"".join(file.read_bytes() for file in files if file.exists())

    def _settle(self) -> None:
        """Waits for the log phase, which follows the response."""
        until(lambda: self.nginx.busy == 0, "the log phase")

    def _lines(self, name: str) -> list[Any]:
        self._settle()
        return [json.loads(line) for line in (self.nginx.directory / name).read_text().splitlines()]
