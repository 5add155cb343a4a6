"""nginx, Lua and Python with the same gates: one process each, with a location `/NAME` for each gate."""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from faults.rows import Verdict
from support import openresty
from support.http import Client, Connection
from support.lab import Upstream
from support.nginx import STATUS, Nginx, location
from support.process import Service, free_port

Settings = Mapping[str, dict[str, Any]]
"""The settings of the gates, by name."""

REPORTED = (STATUS, "add_header X-Credgate-Cause $credgate_cause always")
ON_DENIED = """on_denied = function(denial)
            ngx.header["X-Credgate-Cause"] = denial.cause
            ngx.header["X-Credgate-Status"] = denial.cache_status
            ngx.print(denial.body)
            return ngx.exit(denial.http_status)
        end"""


class Address(Protocol):
    """The place of an upstream, in whatever process."""

    @property
    def port(self) -> int: ...

    @property
    def url(self) -> str: ...


@dataclass(frozen=True)
class Response:
    """The response to one request. `token` is the one that reached the upstream."""

    verdict: Verdict
    cache_status: str
    token: str | None
    seconds: float


class Host:
    """A running host."""

    def __init__(self, name: str, service: Service, log: Path):
        self.name, self.service, self.log = name, service, log

    def ask(self, gate: str, client: Client, timeout: float) -> Response:
        """One request. No response within the timeout is an error."""
        connection = Connection(self.service.port, timeout=timeout)
        began = time.monotonic()
        try:
            answer = connection.ask(f"/{gate}", headers=client.basic)
        finally:
            connection.close()
        seconds = time.monotonic() - began
        retry_after = answer.header("Retry-After")
        verdict = Verdict(answer.status, answer.header("X-Credgate-Cause"), int(retry_after) if retry_after else None)
        token = None
        if answer.status == 200:
            forwarded = {name.lower(): value for name, value in answer.json()["headers"]}
            token = forwarded["authorization"].removeprefix("Bearer ")
        return Response(verdict, answer.header("X-Credgate-Status") or "", token, seconds)

    def counted(self, what: str) -> float:
        """A metric of the store."""
        connection = Connection(self.service.port)
        text = connection.ask("/metrics").body.decode()
        connection.close()
        (number,) = (line.split()[1] for line in text.splitlines() if line.startswith(f"credgate_store_{what}_total "))
        return float(number)

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")


def start_nginx(
    directory: Path, upstream: Address, gates: Settings, engine: dict[str, Any], more: str = "", **options: Any
) -> Host:
    """`more` stands in the server, too."""
    served = location("= /metrics", "credgate_metrics") + more
    for name, settings in gates.items():
        file = directory / f"{name}.json"
        directory.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(settings))
        served += location(f"= /{name}", "credgate on", f"credgate_config {file}", *REPORTED, f"proxy_pass {upstream.url}")
    store = "".join(f"credgate_{name} {milliseconds(name, value)};\n" for name, value in engine.items())
    server = Nginx(directory, served, http=store or "credgate_store off;\n", **options)
    return Host("nginx", server, server.error_log)


def milliseconds(name: str, value: object) -> str:
    return f"{value}ms" if name == "store_timeout" else str(value)


def start_lua(directory: Path, upstream: Address, gates: Settings, engine: dict[str, Any], **options: Any) -> Host:
    init = 'local credgate = require("resty.credgate")\ngates = {}\n'
    init += f"assert(credgate.configure({openresty.lua(engine)}))\n" if engine else ""
    served = location("= /metrics").replace("{", '{ content_by_lua_block { ngx.print(require("resty.credgate").metrics()) }')
    for name, settings in gates.items():
        init += f"gates[{json.dumps(name)}] = assert(credgate.new({openresty.lua(settings)}))\n"
        served += openresty.guarded(upstream.url, ON_DENIED, path=f"= /{name}", called=f"gates[{json.dumps(name)}]")
    http = f"{openresty.PATHS}init_by_lua_block {{\n{init}\n}}\n"
    server = Nginx(directory, served, http=http, main=openresty.LOAD, loaded=False, **options)
    return Host("lua", server, server.error_log)


def start_python(directory: Path, upstream: Address, gates: Settings, engine: dict[str, Any]) -> Host:
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [sys.executable, "-m", "faults.python_host", str(port), str(upstream.port)]
    for name, value in {"gates": gates, "engine": engine}.items():
        (directory / f"{name}.json").write_text(json.dumps(value))
        command.append(str(directory / f"{name}.json"))
    log = directory / "python.log"
    return Host("python", Service(command, log, port=port), log)


STARTERS = {"nginx": start_nginx, "lua": start_lua, "python": start_python}


@contextmanager
def running(
    directory: Path, upstream: Upstream, gates: Mapping[str, Settings], engine: dict[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
) -> Iterator[list[Host]]:
    """Starts all hosts. `gates` are the settings by host; `env` is added to the environment."""
    with ExitStack() as stack:
        hosts = []
        for name, start in STARTERS.items():
            host = start(directory / name, upstream, gates[name], engine or {})
            host.service.env = {**(host.service.env or {}), **(env or {})}
            hosts.append(host)
            host.service.start()
            stack.callback(host.service.stop)
        yield hosts
