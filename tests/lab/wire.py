"""HTTP/1.1 as bytes, for the lab's servers, which record a request exactly as it arrived."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Request:
    """One request: its head as raw bytes, and its body after the transfer encoding is undone."""

    head: bytes
    body: bytes = b""
    line: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        first, *rest = self.head.decode("latin-1").split("\r\n")
        self.line = first
        pairs = (row.partition(":") for row in rest if row)
        self.headers = [(name, value.strip()) for name, _, value in pairs]

    @property
    def method(self) -> str:
        return self.line.split(" ")[0]

    @property
    def target(self) -> str:
        return self.line.split(" ")[1]

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name), None)


@dataclass
class Response:
    """The response. `hang_up` closes the connection without a byte; `pause` waits before each piece."""

    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    hang_up: bool = False
    pause: float = 0.0

    @classmethod
    def json(cls, value: Any, status: int = 200) -> "Response":
        return cls(status, [("content-type", "application/json")], json.dumps(value).encode())


Handler = Callable[[Request], Awaitable[Response]]


async def serve(handler: Handler, port: int, ssl: Any = None) -> None:
    """Serves 127.0.0.1:port until the process is told to stop."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await _read(reader):
                response = await handler(request)
                if response.hang_up:
                    break
                await _write(writer, request, response)
                if (request.header("connection") or "").lower() == "close":
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", port, ssl=ssl, backlog=2048, limit=1 << 20)
    print(f"ready: 127.0.0.1:{port}", flush=True)
    await server.serve_forever()


async def _read(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    request = Request(head)
    if "chunked" in (request.header("transfer-encoding") or "").lower():
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            request.body += (await reader.readexactly(size + 2))[:-2]
        await reader.readuntil(b"\r\n")
    else:
        request.body = await reader.readexactly(int(request.header("content-length") or 0))
    return request


async def _write(writer: asyncio.StreamWriter, request: Request, response: Response) -> None:
    head = f"HTTP/1.1 {response.status} Lab\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in response.headers)
    head += f"content-length: {len(response.body)}\r\n\r\n"
    body = b"" if request.method == "HEAD" else response.body
    pieces = [head.encode("latin-1") + body]
    if response.pause:
        pieces = [bytes([byte]) for byte in pieces[0]]
    for piece in pieces:
        await asyncio.sleep(response.pause)
        writer.write(piece)
        await writer.drain()
