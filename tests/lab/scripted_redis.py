"""A Redis that misbehaves on request: the few commands that a store needs, and any reply that a test can script.

    scripted_redis.py PORT CONTROL

It speaks RESP on PORT, and HTTP on CONTROL:

    POST /_control/script   {"command": a command's name, or "*", "times": N or null for ever, and one of
                             "reply" (bytes as text, in place of the answer), "cut" (N bytes of the answer, and the
                             connection is closed), "hang_up" (true: no byte), "hang" (true: no answer, nor to what
                             follows), "late" (seconds), "swap" (true: the answer comes after the next one's)};
                             "after": not the first N
    POST /_control/store    {"key": text, "value": text}: puts a value under every key that begins so
    POST /_control/exchange values of different keys change places
    POST /_control/well     forget scripts
    POST /_control/reset    forget scripts, counts and keys; close all connections
    GET  /_control/state    {"commands": counts by name, "connections": number accepted, "open": number
                             open now, "values": number stored}
"""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from wire import Request, Response, serve


def bulk(value: bytes | None) -> bytes:
    return b"$-1\r\n" if value is None else b"$%d\r\n%s\r\n" % (len(value), value)


def number(value: int) -> bytes:
    return b":%d\r\n" % value


class Data:
    """The values, with their expiry."""

    def __init__(self) -> None:
        self.kept: dict[bytes, tuple[bytes, float]] = {}

    def get(self, key: bytes) -> bytes | None:
        value, end = self.kept.get(key, (b"", 0.0))
        return value if time.monotonic() < end else None

    def set(self, key: bytes, value: bytes, milliseconds: bytes) -> None:
        self.kept[key] = value, time.monotonic() + int(milliseconds) / 1000

    def run(self, name: str, words: list[bytes]) -> bytes:
        match name, words:
            case "GET", [key]:
                return bulk(self.get(key))
            case "GETRANGE", [key, _, end]:
                return bulk((self.get(key) or b"")[: int(end) + 1])
            case "EXISTS", [key]:
                return number(self.get(key) is not None)
            case "SET", [key, value, b"PX", life]:
                self.set(key, value, life)
            case "EVAL", [_, b"1", key, owner, life]:
                if self.get(key) not in (None, owner):
                    return number(0)
                self.set(key, owner, life)
                return number(1)
            case "EVAL", [_, b"1", key, owner]:
                return number(self.get(key) == owner and self.kept.pop(key, None) is not None)
            case "ZRANGEBYSCORE", _:
                return b"*0\r\n"
            case (("CLIENT" | "AUTH" | "SELECT"), _):
                pass
            case _:
                return b"-ERR unknown command\r\n"
        return b"+OK\r\n"


class Fake:
    """State of the server; one per process."""

    def __init__(self) -> None:
        self.writers: set[asyncio.StreamWriter] = set()
        self.reset()

    def reset(self) -> None:
        self.data = Data()
        self.scripts: list[dict[str, Any]] = []
        self.commands: Counter[str] = Counter()
        self.connections = 0
        for writer in list(self.writers):
            writer.close()

    async def control(self, request: Request) -> Response:
        kept = self.data.kept
        match request.target.removeprefix("/_control/"):
            case "script":
                self.scripts.append(json.loads(request.body))
            case "store":
                wanted = json.loads(request.body)
                for key in [key for key in kept if key.startswith(wanted["key"].encode("latin-1"))]:
                    kept[key] = wanted["value"].encode("latin-1"), kept[key][1]
            case "exchange":
                keys = sorted(key for key in kept if key.startswith(b"{credgate:}v"))
                values = [kept[key] for key in keys]
                kept.update(zip(keys, values[1:] + values[:1], strict=True))
            case "well":
                self.scripts.clear()
            case "reset":
                self.reset()
        return Response.json(
            {
                "commands": self.commands,
                "connections": self.connections,
                "open": len(self.writers),
                "values": sum(key.startswith(b"{credgate:}v") for key in kept),
            }
        )

    def scripted(self, name: str) -> dict[str, Any]:
        for script in self.scripts:
            if script["command"] in (name, "*"):
                if script.get("after", 0) > 0:
                    script["after"] -= 1
                    continue
                if script.get("times") is not None:
                    script["times"] -= 1
                    if script["times"] <= 0:
                        self.scripts.remove(script)
                return script
        return {}

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.add(writer)
        try:
            await self.converse(reader, writer.write)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.writers.discard(writer)
            writer.close()

    async def converse(self, reader: asyncio.StreamReader, write: Callable[[bytes], None]) -> None:
        held = b""
        while True:
            name, words = await read(reader)
            self.commands[name] += 1
            script = self.scripted(name)
            if script.get("hang"):
                await asyncio.sleep(3600)
            if script.get("hang_up"):
                return
            await asyncio.sleep(script.get("late", 0))
            reply = script["reply"].encode("latin-1") if "reply" in script else self.data.run(name, words)
            if "cut" in script:
                write(reply[: script["cut"]])
                return
            if script.get("swap"):
                held = reply
                continue
            write(reply + held)
            held = b""


async def read(reader: asyncio.StreamReader) -> tuple[str, list[bytes]]:
    count = int((await reader.readuntil(b"\r\n"))[1:])
    words = []
    for _ in range(count):
        size = int((await reader.readuntil(b"\r\n"))[1:])
        words.append((await reader.readexactly(size + 2))[:-2])
    return words[0].decode().upper(), words[1:]


async def main(port: int, control: int) -> None:
    fake = Fake()
    server = await asyncio.start_server(fake.connected, "127.0.0.1", port, backlog=2048)
    async with server:
        await serve(fake.control, control)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
