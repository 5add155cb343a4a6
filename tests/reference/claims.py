"""The tokens of the provider: their claims and lifetimes follow from the client id."""

from __future__ import annotations

import random
from typing import Any

OPTIONS: dict[str, list[Any]] = {
    "aud": [None, "https://a.example", ["https://a.example", "https://b.example"], "https://b.example x", [], 7, ["x", 1]],
    "scope": [None, "read", "read write", "write read admin", ["read"], ["read write"], "", " read  write ", 5],
    "scp": [None, None, ["read", "write"], "admin"],
    "roles": [None, ["r1"], "r1 r2", ["r1", "r2", 3], {"r1": True}],
    "realm_access": [None, {"roles": ["r1", "r2"]}, {"roles": "r2"}, [{"roles": ["r1"]}, "r2"]],
    "groups": [None, ["g1"], ["g1", "g2"], "g2"],
    "admin": [None, None, True, False],
}


def profile(client_id: str, issuer: str, now: float) -> dict[str, Any]:
    """Returns the token response for a client id, with the claims of the token in "claims" (None: the token is opaque)."""
    chosen = random.Random(client_id)
    claims: dict[str, Any] | None = {"iss": chosen.choice([issuer] * 6 + [issuer + "/", "https://other.example"])}
    for name, options in OPTIONS.items():
        value = chosen.choice(options)
        if value is not None:
            claims[name] = value
    whole = int(now)
    for name, times in {
        "exp": [3600] * 6 + [None, None, 12, 20, 9000, 4, "soon"],
        "nbf": [None] * 6 + [-60, -1, 1000, "then"],
        "iat": [None] * 2 + [0, -100, True],
    }.items():
        ahead = chosen.choice(times)
        if isinstance(ahead, str) or ahead is True:
            claims[name] = ahead
        elif ahead is not None:
            claims[name] = whole + ahead + chosen.choice([0, 0, 0, 0.5])
    response = {"token_type": "Bearer"}
    for name, options in {
        "expires_in": [3600] * 6 + [None, None, None, "1800", 9, 14, 1e9, 0, -1, "x", 3.5, "7"],
        "scope": [None, None, "read", "read admin"],
    }.items():
        value = chosen.choice(options)
        if value is not None:
            response[name] = value
    response["claims"] = None if chosen.random() < 0.25 else claims
    return response
