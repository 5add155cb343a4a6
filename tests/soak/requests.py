"""The requests of a soak, drawn at random, each with the verdict that it must get."""

import itertools
import random
import time
from dataclasses import dataclass
from typing import Any

from soak.cast import CLIENTS, GATES, STRANGERS, address
from soak.exchange import Request, encode
from soak.tokens import Mint
from support.http import SOURCES, Client

MIX = {
    "header": 42, "query": 11, "form": 11, "json": 11, "none": 6, "own": 8, "forged": 2, "preflight": 4,
    "wrong": 2, "unknown": 1, "leaves": 2,
}  # fmt: skip
"""The kinds of requests, and their shares in percent."""
HEADER_ONLY = ("header", "none", "own", "forged", "wrong", "unknown")
"""The kinds that a host can judge which reads headers only."""


@dataclass(frozen=True)
class Asked:
    """A request, and all that its answer is checked with."""

    number: str
    kind: str
    host: str
    gate: str
    client: Client
    request: Request
    token: str = ""


class Requests:
    """Draws requests."""

    def __init__(self, chance: random.Random, mint: Mint):
        self.chance, self.mint = chance, mint
        self.numbers = itertools.count()
        self.own: dict[str, tuple[float, str]] = {}

    def draw(self, host: str, is_header_only: bool) -> Asked:
        kind = self.chance.choices(list(MIX), list(MIX.values()))[0]
        if is_header_only and kind not in HEADER_ONLY:
            kind = "header"
        gate = self.chance.choice(GATES)
        if kind in ("own", "forged"):
            gate = "invoices"
        elif kind == "preflight":
            gate = "orders"
        known = self.chance.choice(CLIENTS)
        return self.make(kind, host, gate, self.chance.choice(STRANGERS) if kind == "unknown" else known, is_header_only)

    def make(self, kind: str, host: str, gate: str, client: Client, is_header_only: bool = False) -> Asked:
        number = f"{next(self.numbers)}"
        source = "header" if is_header_only else self.chance.choice(SOURCES)
        asked: dict[str, Any] = {"target": f"/{gate}"}
        token = ""
        match kind:
            case "header" | "query" | "form" | "json":
                asked = client.request(kind, f"/{gate}")
            case "wrong":
                asked = client.wrong().request(source, f"/{gate}")
            case "unknown" | "leaves":
                asked = client.request(source, f"/{gate}")
            case "own":
                token = self.token_of(client.id)
                asked["headers"] = {"Authorization": f"Bearer {token}"}
            case "forged":
                asked["headers"] = {"Authorization": f"Bearer {self.mint.forged(client.id, gate)}"}
            case "preflight":
                asked = {"target": f"/{gate}?{client.parameters}", "method": "OPTIONS", "headers": client.basic}
        headers = {**asked.get("headers", {}), "X-Id": number}
        raw = encode(asked["target"], asked.get("method", "GET"), headers, asked.get("body", ""))
        guesses = kind in ("wrong", "unknown", "forged")
        return Asked(number, kind, host, gate, client, Request(raw, address(self.chance, 9 if guesses else 8)), token)

    def token_of(self, client_id: str) -> str:
        """The client's own token, which it keeps for some minutes."""
        until, token = self.own.get(client_id, (0.0, ""))
        if time.time() > until:
            token = self.mint.signed(client_id, "invoices", 600)
            self.own[client_id] = time.time() + 480, token
        return token
