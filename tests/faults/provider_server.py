"""The faulty provider: a provider for each row and host, at /HOST/ROW on one port, or on a port of the row.

    python -m faults.provider_server PORT DIRECTORY

It is well until told otherwise:

    POST /_control/break   all faults begin, and connections of rows with a port of their own end
    POST /_control/mend    all faults end
    GET  /_control/state   {"ports": by row, "seen": requests by "HOST/ROW/ENDPOINT", "granted": clients by token}
"""

import asyncio
import base64
import json
import socket
import ssl
import struct
import sys
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

import jwt

from faults import h2_server
from faults.certificates import Certificates
from faults.provider_faults import FAULTS
from faults.replies import End, Piece, usual
from faults.rows import Fault
from support import keys
from support.process import free_port

KEY = "p256"
Asked = tuple[dict[str, Any], Fault | None]
"""The usual response, and the fault in place of it."""


class Provider:
    """State of all providers."""

    def __init__(self, port: int, directory: Path):
        self.port = port
        self.rows = {fault.name: fault for fault in FAULTS}
        self.certificates = Certificates(directory)
        self.is_broken = False
        self.seen: Counter[str] = Counter()
        self.granted: dict[str, str] = {}
        self.listeners = {fault.name: Listening(self, fault) for fault in FAULTS if fault.listener}

    async def answer(self, path: str, headers: dict[str, str], body: bytes) -> Asked:
        _, host, row, *rest = path.split("?")[0].split("/")
        fault = self.rows[row]
        endpoint = {".well-known": "discovery"}.get(rest[0], rest[0])
        self.seen[f"{host}/{row}/{endpoint}"] += 1
        issuer = self.issuer(host, fault)
        match endpoint:
            case "discovery":
                value = {
                    "issuer": issuer,
                    "token_endpoint": f"{issuer}/token",
                    "jwks_uri": f"{issuer}/jwks",
                    "token_endpoint_auth_methods_supported": ["client_secret_post"],
                }
            case "jwks":
                value = {"keys": [keys.public(KEY)]}
            case "token":
                value = {
                    "access_token": self.grant(issuer, host, fault, client_of(headers, body)),
                    "token_type": "Bearer",
                    "expires_in": 3600,
                }
            case _:
                value = {"access_token": "of-another-endpoint", "token_type": "Bearer"}
        return value, fault if self.is_broken and endpoint == fault.where else None

    def issuer(self, host: str, fault: Fault) -> str:
        return f"{self.base(fault)}/{host}/{fault.name}"

    def base(self, fault: Fault) -> str:
        listening = self.listeners.get(fault.name)
        if listening is None:
            return f"http://127.0.0.1:{self.port}"
        name = f"{fault.name}.provider.test" if fault.resolves_to else "127.0.0.1"
        return f"{'https' if fault.listener and fault.listener.tls else 'http'}://{name}:{listening.port}"

    def grant(self, issuer: str, host: str, fault: Fault, client: str) -> str:
        owner = f"{host}/{fault.name}/{client}"
        token = f"token-{len(self.granted)}-of-{client}"
        if fault.where == "jwks" or fault.forge:
            now = int(time.time())
            claims = {"iss": issuer, "sub": client, "iat": now, "exp": now + 3600, "jti": token}
            key = (keys.KEYS / f"{KEY}.pem").read_text()
            kid = keys.public(KEY)["kid"]
            if fault.forge and self.is_broken:
                token = fault.forge(claims, key, kid)
            else:
                token = jwt.encode(claims, key, "ES256", {"kid": kid})
        self.granted[token] = owner
        return token

    async def set_broken(self, is_broken: bool) -> None:
        self.is_broken = is_broken
        for listening in self.listeners.values():
            await listening.listen()

    def state(self) -> dict[str, Any]:
        ports = {name: listening.port for name, listening in self.listeners.items()}
        return {"ports": ports, "seen": self.seen, "granted": self.granted}

    async def control(self, command: str) -> dict[str, Any]:
        if command in ("break", "mend"):
            await self.set_broken(command == "break")
        return self.state()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves HTTP/1.1 on one connection."""
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            while True:
                line, headers, body = await read(reader)
                path = line.split(" ")[1]
                if path.startswith("/_control/"):
                    pieces: Iterable[Piece] = usual(await self.control(path.rsplit("/", 1)[1]))
                else:
                    value, fault = await self.answer(path, headers, body)
                    pieces = fault.reply(value) if fault and fault.reply else usual(value)
                if not await send(writer, pieces):
                    break
        writer.close()


class Listening:
    """The port of a row."""

    def __init__(self, provider: Provider, fault: Fault):
        assert fault.listener
        self.provider, self.fault, self.listener = provider, fault, fault.listener
        self.port = free_port()
        self.server: asyncio.Server | None = None
        self.writers: set[asyncio.StreamWriter] = set()
        self.sockets: list[socket.socket] = []

    async def listen(self) -> None:
        """Ends all connections, and listens as the state demands."""
        if self.server:
            self.server.close()
            self.server = None
        for writer in list(self.writers):
            writer.transport.abort()
        for one in self.sockets:
            one.close()
        self.sockets.clear()
        kind = self.listener.kind if self.provider.is_broken else "good"
        match kind:
            case "refuses":
                return
            case "full":
                self.fill()
                return
        context = self.context(kind) if self.listener.tls else None
        self.server = await asyncio.start_server(self.connected, "127.0.0.1", self.port, ssl=context)

    def context(self, kind: str) -> ssl.SSLContext | None:
        if kind in ("resets", "closes", "silent", "no-tls", "garbage"):
            return None
        return self.provider.certificates.context(kind, "h2" if self.fault.h2 else "http/1.1")

    def fill(self) -> None:
        """Lets connections wait for ever: the backlog is full."""
        server = socket.socket()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", self.port))
        server.listen(0)
        self.sockets.append(server)
        for _ in range(4):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", self.port))
            self.sockets.append(client)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.add(writer)
        try:
            await self.converse(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self.writers.discard(writer)
            writer.close()

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        match self.listener.kind if self.provider.is_broken else "good":
            case "resets":
                # A reset that comes before the first bytes may end the client's connect, whose cause is another.
                await reader.read(1)
                await send(writer, [End.RESET])
            case "closes":
                return
            case "silent":
                await send(writer, [End.HANG])
            case "garbage":
                await send(writer, [bytes(range(256)), End.CLOSE])
            case "no-tls":
                await send(writer, [b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", End.CLOSE])
            case _ if self.fault.h2:
                await h2_server.serve(reader, writer, self.answer)
            case _:
                await self.provider.connected(reader, writer)

    async def answer(self, path: str, headers: dict[str, str], body: bytes) -> tuple[dict[str, Any], str | None]:
        value, fault = await self.provider.answer(path, headers, body)
        return value, fault.h2 if fault else None


async def send(writer: asyncio.StreamWriter, pieces: Iterable[Piece]) -> bool:
    """False: the connection ends."""
    for piece in pieces:
        match piece:
            case bytes():
                writer.write(piece)
                await writer.drain()
            case End.HANG:
                await asyncio.sleep(3600)
            case End.RESET:
                # No time to linger: the kernel sends RST.
                raw = writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
                return False
            case End.CLOSE:
                return False
            case _:
                await asyncio.sleep(piece)
    return True


async def read(reader: asyncio.StreamReader) -> tuple[str, dict[str, str], bytes]:
    """One request: its first line, its headers by lower-case name, and its body."""
    line, *rest = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = (row.partition(":") for row in rest if row)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    return line, headers, await reader.readexactly(int(headers.get("content-length", 0)))


def client_of(headers: dict[str, str], body: bytes) -> str:
    scheme, _, pair = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        return unquote_plus(base64.b64decode(pair).decode().partition(":")[0])
    return dict(parse_qsl(body.decode("latin-1"))).get("client_id", "")


async def main(port: int, directory: Path) -> None:
    provider = Provider(port, directory)
    await provider.set_broken(False)
    server = await asyncio.start_server(provider.connected, "127.0.0.1", port, backlog=2048, limit=1 << 20)
    print(json.dumps(provider.state()["ports"]), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
