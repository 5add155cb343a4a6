"""Attackers: connections that send one batch of requests after the other."""

import asyncio
import re
from collections import Counter
from collections.abc import Callable

STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
BATCH = 40
TIMEOUT = 60.0


async def pipeline(port: int, address: str, draw: Callable[[], bytes], count: int) -> Counter[int]:
    """Sends `count` requests on one connection, in batches. Returns the number of responses by status."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
    statuses: Counter[int] = Counter()
    for begin in range(0, count, BATCH):
        size = min(BATCH, count - begin)
        writer.write(b"".join(draw() for _ in range(size)))
        got, found = b"", 0
        async with asyncio.timeout(TIMEOUT):
            while found < size:
                if not (piece := await reader.read(1 << 16)):
                    raise ConnectionError(f"the connection ended after {begin + found} responses")
                got += piece
                found = got.count(b"HTTP/1.1 ")
            # The last status line may lack its end.
            while len(statuses_in := STATUS.findall(got)) < size:
                got += await reader.read(1 << 16)
        statuses.update(map(int, statuses_in))
    writer.close()
    return statuses


async def attack(port: int, addresses: list[str], draw: Callable[[], bytes], count: int) -> Counter[int]:
    """The same on a connection from each address at once."""
    shares = [count // len(addresses) + (number < count % len(addresses)) for number in range(len(addresses))]
    each = [pipeline(port, address, draw, share) for address, share in zip(addresses, shares, strict=True)]
    return sum(await asyncio.gather(*each), Counter())


def addresses(count: int) -> list[str]:
    """Different addresses of loopback."""
    return [f"127.9.{number // 200}.{number % 200 + 1}" for number in range(count)]
