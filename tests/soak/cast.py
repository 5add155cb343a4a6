"""The clients of a soak, and the settings of the gates."""

import random
from typing import Any

from support.http import Client

MARK = "Kanarie7Qz"
"""Is in every secret."""
KNOWN = [Client(f"client-{number}", f"{MARK}+/%&={number}") for number in range(100)]
"""Clients that the provider knows: the warm ones of a flood."""
CLIENTS = KNOWN[:60]
"""Those of a soak."""
STRANGERS = [Client(f"stranger-{number}", f"{MARK}-{number}") for number in range(50)]
"""Clients that the provider does not know."""
SECRETS = {client.id: client.secret for client in KNOWN}
LIVES = (14, 30, 60, 120)
"""The lives of tokens, in seconds: those of one life expire in waves."""
MARGIN = 5.0
"""`eagerly_expire`."""
TIMEOUT = 3.0
"""`timeout` of the gates, in seconds."""
GATES = ("orders", "invoices")
"""The gates, by the scope of their tokens: opaque, and signed. The second one also accepts clients' own tokens."""


def life(client_id: str) -> int:
    return LIVES[int(client_id.rpartition("-")[2]) % len(LIVES)]


def settings(issuer: str) -> dict[str, dict[str, Any]]:
    common = {
        "issuer": issuer,
        "allow_loopback_http": True,
        "token_endpoint_auth_method": "client_secret_post",
        "timeout": int(TIMEOUT * 1000),
    }
    orders = {**common, "scopes": ["orders"], "run_on_preflight": False}
    own = {"auth_methods": ["client_credentials", "bearer"], "scopes_required": ["invoices"]}
    return {"orders": orders, "invoices": {**common, "scopes": ["invoices"], **own}}


def address(chance: random.Random, network: int) -> str:
    """One of 200 addresses of loopback, for those who guess, and for clients."""
    return f"127.{network}.0.{chance.randint(1, 200)}"
