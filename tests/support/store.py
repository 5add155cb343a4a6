"""Gateways that share a store, and concurrent requests."""

import os
import socket
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from support import openresty
from support.http import Client, ask
from support.lab import Provider, Scripted, Upstream
from support.nginx import Nginx, guarded, location
from support.process import allow_descriptors, until

Start = Callable[..., Nginx]

LONG = bool(os.environ.get("CREDGATE_LONG"))

PATIENT = "credgate_store_timeout 5s;"
"""Generous timeouts, for tests that count exchanges on a busy machine."""

OPERATING = location("= /metrics", "credgate_metrics") + location("= /purge", "credgate_purge")


def directives(url: str, pepper: Path | None = None, *more: str) -> str:
    """The store's directives."""
    lines = [f"credgate_store {url};", *more]
    return "\n".join([*lines, f"credgate_store_pepper_file {pepper};"] if pepper else lines)


def gateway(
    nginx: Start, store: str, provider: Provider | Scripted, upstream: Upstream, *more: str, **options: Any
) -> Nginx:
    """An nginx with that store."""
    served = guarded(upstream.url, provider.issuer, *more) + OPERATING
    return nginx(served, http=store, **options)


def spread(served: str, port: int) -> str:
    """One more server, whose workers all get their share of the connections."""
    return f"server {{ listen 127.0.0.1:{port} reuseport;\n{served}}}\n"


def lua_gateway(
    nginx: Start, provider: Scripted, upstream: Upstream, *more: str, workers: int = 1, **options: object
) -> Nginx:
    """The same in Lua."""
    configure = f'assert(require("resty.credgate").configure({openresty.lua(options)}))'
    init = f"{configure}\ngate = {openresty.gate(provider.issuer)}"
    return openresty.start(nginx, init, openresty.guarded(upstream.url) + "".join(more), workers=workers)


def a_pepper(directory: Path, name: str = "pepper") -> Path:
    path = directory / name
    path.write_bytes(os.urandom(32))
    path.chmod(0o600)
    return path


def status(server: Nginx, client: Client) -> str | None:
    """The cache status of a request that is allowed."""
    answer = ask(server.port, headers=client.basic)
    assert answer.status == 200, answer
    return answer.header("X-Credgate-Status")


def counted(server: Nginx, what: str) -> float:
    """`hits`, `misses`, `failures`, `waits` or `puts` of the store."""
    text = ask(server.port, "/metrics").body.decode()
    (number,) = (line.split()[1] for line in text.splitlines() if line.startswith(f"credgate_store_{what}_total "))
    return float(number)


class Volley:
    """Concurrent requests: all are sent before the first response is read; ports and clients in turn."""

    def __init__(self, ports: Iterable[int], clients: Iterable[Client], count: int):
        allow_descriptors()
        self.stack = ExitStack()
        ports, clients = list(ports), list(clients)
        self.sockets = [
            self.stack.enter_context(socket.create_connection(("127.0.0.1", ports[number % len(ports)]), timeout=60))
            for number in range(count)
        ]
        for number, one in enumerate(self.sockets):
            pair = clients[number % len(clients)].pair
            head = f"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Basic {pair}\r\n\r\n"
            one.sendall(head.encode())

    def statuses(self) -> list[int]:
        """The status of each; 0 for a connection that closed without a response."""
        with self.stack:
            return [_status(one) for one in self.sockets]


def _status(one: socket.socket) -> int:
    try:
        start = one.recv(12)
    except ConnectionError:
        return 0
    return int(start[9:12] or 0)


def all_pending(servers: Iterable[Nginx], count: int) -> None:
    """Waits until this many requests wait."""
    servers = list(servers)
    until(lambda: sum(server.busy for server in servers) >= count, f"{count} requests that wait", 60)
