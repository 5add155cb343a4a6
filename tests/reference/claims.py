"""The tokens of the provider: their claims and lifetimes follow from the client id."""

from __future__ import annotations

import random
from functools import lru_cache
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


TIMES: dict[str, list[Any]] = {
    "exp": [3600] * 6 + [None, None, 12, 20, 9000, 4, "soon"],
    "nbf": [None] * 6 + [-60, -1, 1000, "then"],
    "iat": [None] * 2 + [0, -100, True],
}
RESPONSE: dict[str, list[Any]] = {
    "expires_in": [3600] * 6 + [None, None, None, "1800", 9, 14, 1e9, 0, -1, "x", 3.5, "7"],
    "scope": [None, None, "read", "read admin"],
}


@lru_cache(maxsize=4096)
def drawn(client_id: str, issuer: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any], bool]:
    """Draws the claims for a client id, those relative to the time, the response, and whether the token is opaque."""
    chosen = random.Random(client_id)
    claims = {"iss": chosen.choice([issuer] * 6 + [issuer + "/", "https://other.example"])}
    for name, options in OPTIONS.items():
        claims[name] = chosen.choice(options)
    times = {}
    for name, options in TIMES.items():
        ahead = chosen.choice(options)
        times[name] = ahead + chosen.choice([0, 0, 0, 0.5]) if type(ahead) is int else ahead
    response = {name: chosen.choice(options) for name, options in RESPONSE.items()}
    return claims, times, response, chosen.random() < 0.25


def profile(client_id: str, issuer: str, now: float) -> dict[str, Any]:
    """Returns the token response for a client id, with the claims of the token in "claims" (None: the token is opaque)."""
    claims, times, response, is_opaque = drawn(client_id, issuer)
    moments = {name: int(now) + ahead if type(ahead) in (int, float) else ahead for name, ahead in times.items()}
    all_claims = {name: value for name, value in {**claims, **moments}.items() if value is not None}
    stated = {name: value for name, value in response.items() if value is not None}
    return {"token_type": "Bearer", **stated, "claims": None if is_opaque else all_claims}
