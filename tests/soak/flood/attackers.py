"""The attackers of each flood. They run in a process of their own, so that they slow down nginx only, and not the warm clients'
side, the provider and the upstream."""

import asyncio
import itertools
import json
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import uvloop
from jwt.utils import base64url_encode

from soak.cast import KNOWN, MARK
from soak.exchange import Request, encode, exchange
from soak.flood.attack import addresses, attack
from soak.flood.limits import limit
from support.http import FORM, Client

IDS = 10_000
SOURCES = 64
"""Addresses, and connections, of attackers."""
LARGE = 8 * 1024
"""One of nginx's four large header buffers."""

Attack = Callable[..., Coroutine[Any, Any, Counter[int]]]


async def apart(attackers: Attack, *arguments: object) -> Counter[int]:
    """Runs attackers in another process. Returns the number of their responses by status."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return await asyncio.get_running_loop().run_in_executor(pool, _run, attackers, arguments)


def _run(attackers: Attack, arguments: tuple[object, ...]) -> Counter[int]:
    return uvloop.run(attackers(*arguments))


async def wrong_secrets(port: int, count: int) -> Counter[int]:
    """Each with another secret, for ids that in part are those of warm clients, in the header and in the query."""
    numbers = itertools.count()
    ids = [*(client.id for client in KNOWN), *(f"stranger-{number}" for number in range(IDS - len(KNOWN)))]

    def draw() -> bytes:
        number = next(numbers)
        client = Client(ids[number % IDS], f"wrong{MARK}{number}")
        if number % 2:
            return _keep_alive("/orders", client.basic)
        return _keep_alive(f"/orders?{client.parameters}", {})

    return await attack(port, addresses(SOURCES), draw, count)


async def unknown_kids(port: int, count: int, issuer: str) -> Counter[int]:
    """Tokens with the right claims, and another `kid` in each."""
    now = int(time.time())
    claims = {"iss": issuer, "sub": KNOWN[0].id, "scope": "invoices", "iat": now, "exp": now + 3600}
    payload = _part(json.dumps(claims).encode())

    def draw() -> bytes:
        head = _part(json.dumps({"alg": "ES256", "typ": "JWT", "kid": os.urandom(9).hex()}).encode())
        return _keep_alive("/invoices", {"Authorization": f"Bearer {head}.{payload}.{_part(os.urandom(64))}"})

    return await attack(port, addresses(SOURCES), draw, count)


async def slow_bodies(port: int, count: int, seconds: float) -> Counter[int]:
    """Forms that come byte by byte; half of them have the right credentials in the end."""

    async def send(number: int) -> int:
        client = KNOWN[number % len(KNOWN)]
        body = (client if number % 2 else client.wrong()).parameters.encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(_address(number), 0))
        writer.write(encode("/orders", "POST", {**FORM, "Content-Length": str(len(body))}))
        for byte in body:
            writer.write(bytes([byte]))
            await asyncio.sleep(seconds / len(body))
        answer = await reader.read(-1)
        writer.close()
        return int(answer.split(b" ")[1])

    return Counter(await asyncio.gather(*(send(number) for number in range(count))))


async def huge_heads(port: int, count: int) -> Counter[int]:
    """Basic values about as long as one header may be, and requests with more headers than nginx has room for. Every tenth
    request just fits, and has the right credentials."""
    most = limit("Client id, secret and arguments of a request together")
    lengths = itertools.cycle([most - 100, most + 1, 4000, 5900, LARGE, 3 * LARGE])
    statuses: Counter[int] = Counter()
    numbers = iter(range(count))

    def head(number: int) -> dict[str, str]:
        client = KNOWN[number % len(KNOWN)]
        if number % 10 == 0:
            return client.basic | _fillers(3)
        fillers = number % 5 if number % 3 == 0 else 0
        return Client(client.id, f"wrong{'x' * next(lengths)}").basic | _fillers(fillers)

    async def send() -> None:
        for number in numbers:
            request = Request(encode("/orders", "GET", head(number)), _address(number))
            statuses[(await exchange(port, request)).status] += 1

    await asyncio.gather(*(send() for _ in range(SOURCES)))
    return statuses


def _fillers(count: int) -> dict[str, str]:
    """Headers of which each takes a buffer of its own."""
    return {f"X-Filler-{number}": "y" * (LARGE - 40) for number in range(count)}


def _keep_alive(target: str, headers: dict[str, str]) -> bytes:
    return encode(target, "GET", {**headers, "Connection": "keep-alive"})


def _address(number: int) -> str:
    return f"127.9.9.{number % 200 + 1}"


def _part(data: bytes) -> str:
    return base64url_encode(data).decode()
