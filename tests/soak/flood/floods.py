"""The four floods."""

import asyncio
import base64
import itertools
import json
import os
import time
from collections import Counter
from dataclasses import dataclass

from soak.cast import KNOWN, MARK
from soak.exchange import Request, encode, exchange
from soak.flood.attack import addresses, attack
from soak.flood.limits import fetches, limit, refusal_memory, refused_exchanges
from soak.flood.scene import MIB, Result, Scene
from soak.hosts import WORKERS
from support.http import FORM, Client

IDS = 10_000
SOURCES = 64
"""Addresses, and connections, of attackers."""
POOLS = 5 * 1024
"""The pools of a connection and its request, and the first header buffer of nginx."""
LARGE = 8 * 1024
"""One of nginx's four large header buffers."""
BODY = 16 * 1024
"""nginx's buffer of a body."""
SPARE = 4 * MIB
"""For the work at hand: exchanges in progress, and pages that malloc keeps."""


@dataclass(frozen=True)
class Size:
    """`seconds` are the least that slow bodies take."""

    secrets: int
    kids: int
    bodies: int
    seconds: float
    heads: int


SIZES = {"short": Size(50_000, 10_000, 200, 4.0, 2_000), "long": Size(1_000_000, 200_000, 2_000, 60.0, 100_000)}


def keep_alive(target: str, headers: dict[str, str]) -> bytes:
    return encode(target, "GET", {**headers, "Connection": "keep-alive"})


async def wrong_secrets(scene: Scene, size: Size) -> Result:
    """Each with another secret, for ids that in part are those of warm clients, in the header and in the query."""
    numbers = itertools.count()
    ids = [*(client.id for client in KNOWN), *(f"stranger-{number}" for number in range(IDS - len(KNOWN)))]

    def draw() -> bytes:
        number = next(numbers)
        client = Client(ids[number % IDS], f"wrong{MARK}{number}")
        if number % 2:
            return keep_alive("/orders", client.basic)
        return keep_alive(f"/orders?{client.parameters}", {})

    result = await scene.during("wrong secrets", attack(scene.server.port, addresses(SOURCES), draw, size.secrets))
    result.budget = {
        "token": refused_exchanges(WORKERS, result.seconds, SOURCES),
        "jwks": fetches(WORKERS, result.seconds),
        "metadata": fetches(WORKERS, result.seconds),
    }
    result.bound = refusal_memory(result.provider["token"], drawn=True) + SOURCES * (POOLS + LARGE) + SPARE
    result.check({401, 429})
    return result


async def unknown_kids(scene: Scene, size: Size) -> Result:
    """Tokens with the right claims, and another `kid` in each."""
    now = int(time.time())
    claims = {"iss": scene.provider.issuer, "sub": KNOWN[0].id, "scope": "invoices", "iat": now, "exp": now + 3600}
    payload = _part(json.dumps(claims).encode())

    def draw() -> bytes:
        head = _part(json.dumps({"alg": "ES256", "typ": "JWT", "kid": os.urandom(9).hex()}).encode())
        return keep_alive("/invoices", {"Authorization": f"Bearer {head}.{payload}.{_part(os.urandom(64))}"})

    result = await scene.during("unknown kids", attack(scene.server.port, addresses(SOURCES), draw, size.kids))
    _only_fetches(result)
    result.bound = refusal_memory(size.kids, drawn=False) + SOURCES * (POOLS + LARGE) + SPARE
    result.check({401})
    return result


async def slow_bodies(scene: Scene, size: Size) -> Result:
    """Forms that come byte by byte; half of them have the right credentials in the end."""

    async def send(number: int) -> int:
        client = KNOWN[number % len(KNOWN)]
        body = (client if number % 2 else client.wrong()).parameters.encode()
        address = f"127.9.9.{number % 200 + 1}"
        reader, writer = await asyncio.open_connection("127.0.0.1", scene.server.port, local_addr=(address, 0))
        writer.write(encode("/orders", "POST", {**FORM, "Content-Length": str(len(body))}))
        for byte in body:
            writer.write(bytes([byte]))
            await asyncio.sleep(size.seconds / len(body))
        answer = await reader.read(-1)
        writer.close()
        return int(answer.split(b" ")[1])

    async def flood() -> Counter[int]:
        return Counter(await asyncio.gather(*(send(number) for number in range(size.bodies))))

    result = await scene.during("slow bodies", flood())
    _only_fetches(result)
    result.budget["token"] = refused_exchanges(WORKERS, result.seconds, 200)
    result.bound = size.bodies * (POOLS + BODY) + SPARE
    result.check({200, 401, 429})
    if result.statuses[200] != size.bodies // 2:
        result.problems.append(f"{result.statuses[200]} of {size.bodies // 2} slow clients with the right secret were served")
    return result


async def huge_heads(scene: Scene, size: Size) -> Result:
    """Basic values about as long as one header may be, and requests with more headers than nginx has room for. Every tenth
    request just fits, and has the right credentials."""
    most = limit("Client id, secret and arguments of a request together")
    lengths = itertools.cycle([most - 100, most + 1, 4000, 5900, LARGE, 3 * LARGE])
    gate = asyncio.Semaphore(SOURCES)

    def head(number: int) -> dict[str, str]:
        client = KNOWN[number % len(KNOWN)]
        if number % 10 == 0:
            return client.basic | fillers(3)
        return Client(client.id, f"wrong{'x' * next(lengths)}").basic | fillers(number % 5 if number % 3 == 0 else 0)

    async def send(number: int) -> int:
        request = Request(encode("/orders", "GET", head(number)), f"127.9.8.{number % 200 + 1}")
        async with gate:
            return (await exchange(scene.server.port, request)).status

    async def flood() -> Counter[int]:
        return Counter([await one for one in asyncio.as_completed([send(number) for number in range(size.heads)])])

    result = await scene.during("huge heads", flood())
    _only_fetches(result)
    result.budget["token"] = refused_exchanges(WORKERS, result.seconds, 200)
    result.bound = refusal_memory(result.provider["token"], drawn=True) + SOURCES * (POOLS + 4 * LARGE) + SPARE
    result.check({200, 400, 401, 429})
    if result.statuses[200] != size.heads // 10:
        result.problems.append(f"{result.statuses[200]} of {size.heads // 10} requests that just fit were served")
    return result


def fillers(count: int) -> dict[str, str]:
    """Headers of which each takes a buffer of its own."""
    return {f"X-Filler-{number}": "y" * (LARGE - 40) for number in range(count)}


def _only_fetches(result: Result) -> None:
    """No exchange is refused, and documents are fetched at their interval."""
    result.budget = {"token": 0, **{name: fetches(WORKERS, result.seconds) for name in ("jwks", "metadata")}}


def _part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


FLOODS = {"secrets": wrong_secrets, "kids": unknown_kids, "bodies": slow_bodies, "heads": huge_heads}
