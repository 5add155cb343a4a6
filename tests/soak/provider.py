"""The provider of a soak: it knows its clients, counts its answers, and has one fault at a time."""

import asyncio
import json
import secrets
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl

from faults.provider_server import read, send
from faults.replies import JSON, End, Piece, http, message, oauth, raw, usual
from soak.cast import SECRETS, life
from soak.tokens import KEY, Mint
from support import keys

DOWN = "down"
FAULTS: dict[str, Any] = {
    "503": http(503),
    "429": oauth(429, "slow_down", retry_after="2"),
    "hang": raw(End.HANG),
    "garbage": http(200, "no JSON {", content_type="application/json"),
    "reset": raw(End.RESET),
    DOWN: raw(End.RESET),
}
"""Faults of the token endpoint, by name. If the provider is down, nothing listens, and a request that has come is reset."""
CACHED_BRIEFLY = ("Cache-Control", "max-age=60")


class Provider:
    """Discovery, keys, and a token endpoint."""

    def __init__(self, port: int):
        self.port = port
        self.issuer = f"http://127.0.0.1:{port}"
        self.mint = Mint(self.issuer)
        self.fault: str | None = None
        self.counts: Counter[str] = Counter()
        self.writers: set[asyncio.StreamWriter] = set()
        self.server: asyncio.Server | None = None

    async def listen(self) -> None:
        self.server = await asyncio.start_server(self.connected, "127.0.0.1", self.port, backlog=2048)

    async def break_down(self, fault: str) -> None:
        self.fault = fault
        if fault == DOWN and self.server:
            self.server.close()
            self.abort()

    async def mend(self) -> None:
        """Ends the fault, and the connections that still suffer from it."""
        was, self.fault = self.fault, None
        self.abort()
        if was == DOWN:
            await self.listen()

    def abort(self) -> None:
        for writer in list(self.writers):
            writer.transport.abort()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.add(writer)
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                line, _, body = await read(reader)
                if not await send(writer, self.answer(line.split(" ")[1].split("?")[0], body)):
                    break
        self.writers.discard(writer)
        writer.close()

    def answer(self, path: str, body: bytes) -> Iterable[Piece]:
        endpoint = path.rsplit("/", 1)[1]
        self.counts[endpoint] += 1
        match endpoint:
            case "token":
                return self.token(dict(parse_qsl(body.decode("latin-1"))))
            case "jwks":
                return cached({"keys": [keys.public(KEY)]})
        return cached(
            {
                "issuer": self.issuer,
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/jwks",
                "token_endpoint_auth_methods_supported": ["client_secret_post"],
            }
        )

    def token(self, form: dict[str, str]) -> Iterable[Piece]:
        if self.fault:
            self.counts[f"token: {self.fault}"] += 1
            reply: Iterable[Piece] = FAULTS[self.fault]({})
            return reply
        client, scope = form["client_id"], form["scope"]
        if not secrets.compare_digest(form["client_secret"], SECRETS.get(client, "")):
            self.counts["token: refused"] += 1
            return oauth(401, "invalid_client")({})
        self.counts["token: granted"] += 1
        issue = self.mint.signed if scope == "invoices" else self.mint.opaque
        seconds = life(client)
        return usual({"access_token": issue(client, scope, seconds), "token_type": "Bearer", "expires_in": seconds})


def cached(value: dict[str, Any]) -> list[Piece]:
    return [message(200, json.dumps(value).encode(), CACHED_BRIEFLY, JSON)]
