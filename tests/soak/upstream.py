"""The upstream of a soak: it responds with the Authorization that it got, and remembers each request by its X-Id."""

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass

from soak.cast import MARK


@dataclass
class Seen:
    """A request that reached the upstream."""

    raw: str
    authorization: list[str]
    times: int = 1


class Upstream:
    """`leaks` are the X-Ids of requests with a secret that stands in them as it is."""

    def __init__(self, port: int):
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.seen: dict[str, Seen] = {}
        self.leaks: list[str] = []

    async def listen(self) -> None:
        await asyncio.start_server(self.connected, "127.0.0.1", self.port, backlog=2048)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            pairs = [line.partition(":") for line in head.split("\r\n")[1:]]
            headers = [(name.lower(), value.strip()) for name, _, value in pairs if name]
            named = dict(headers)
            body = (await reader.readexactly(int(named.get("content-length", 0)))).decode("latin-1")
            authorization = [value for name, value in headers if name == "authorization"]
            self.remember(named.get("x-id", ""), head + body, authorization)
            reply = json.dumps(authorization).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(reply), reply))
            await writer.drain()
        writer.close()

    def remember(self, number: str, raw: str, authorization: list[str]) -> None:
        if MARK in raw:
            self.leaks.append(number)
        if number in self.seen:
            self.seen[number].times += 1
        elif number:
            self.seen[number] = Seen(raw, authorization)
