"""One request on a connection of its own, which ends with the response: a reload may lose none of them."""

import asyncio
from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    """`address` is the client's own, on loopback."""

    raw: bytes
    address: str = "127.0.0.1"


@dataclass(frozen=True)
class Answer:
    """`status` is 0 if the connection broke before a complete head."""

    status: int
    cause: str | None
    body: bytes
    begin: float
    end: float


def encode(target: str, method: str, headers: dict[str, str], body: str = "") -> bytes:
    fields = {"Host": "soak", "Connection": "close", **headers}
    if body or method == "POST":
        fields.setdefault("Content-Length", str(len(body)))
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n{body}".encode("latin-1")


async def exchange(port: int, request: Request, timeout: float = 30.0) -> Answer:
    clock = asyncio.get_running_loop().time
    begin = clock()
    raw = b""
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(request.address, 0))
            try:
                writer.write(request.raw)
                raw = await reader.read(-1)
            finally:
                writer.close()
    except (OSError, TimeoutError):
        raw = b""
    return parse(raw, begin, clock())


def parse(raw: bytes, begin: float, end: float) -> Answer:
    head, separator, body = raw.partition(b"\r\n\r\n")
    if not separator:
        return Answer(0, None, b"", begin, end)
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    is_whole = len(body) == int(headers.get("content-length", len(body)))
    return Answer(int(first.split(" ")[1]) if is_whole else 0, headers.get("x-credgate-cause"), body, begin, end)


async def leave(port: int, request: Request, sent: float, seconds: float) -> None:
    """Sends a part of the request, waits, and resets the connection."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(request.address, 0))
        writer.write(request.raw[: max(1, int(len(request.raw) * sent))])
        await asyncio.sleep(seconds)
        writer.transport.abort()
    except OSError:
        pass
