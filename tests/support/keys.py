"""Clients that have a key or a certificate instead of a secret: those of tests/vectors/keys."""

import json
from pathlib import Path
from typing import Any

from support.process import TESTS

KEYS = TESTS / "vectors/keys"
JWKS = ("rsa", "p256", "p384", "p521", "ed25519")
PUBLIC = ("kty", "kid", "crv", "n", "e", "x", "y")
# The subject of all certificates.
SUBJECT = "CN=gateway"


def public(jwk: str, **more: object) -> dict[str, Any]:
    """The public half of a JWK."""
    members = json.loads((KEYS / f"{jwk}.jwk").read_text())
    return {name: members[name] for name in PUBLIC if name in members} | more


def registered(jwk: str, method: str = "private_key_jwt") -> dict[str, Any]:
    """The client `key-JWK`, as the certified provider registers it."""
    return {"id": f"key-{jwk}", "method": method, "jwks": [public(jwk)]}


def clients(*, tls: bool) -> list[dict[str, Any]]:
    """A client for each JWK, and one for each method with a certificate."""
    known = [registered(jwk) for jwk in JWKS]
    if tls:
        der = x509_base64("p256")
        known += [
            {"id": "tls", "method": "tls_client_auth", "subject": SUBJECT},
            {"id": "self-signed", "method": "self_signed_tls_client_auth", "jwks": [public("p256", x5c=[der])]},
        ]
    return known


def x509_base64(name: str) -> str:
    """The DER of a certificate, as in x5c."""
    pem = (KEYS / f"{name}.cert.pem").read_text()
    return "".join(pem.partition("-----BEGIN CERTIFICATE-----")[2].partition("-----END")[0].split())


def own(client_id: str, file: Path | str, **more: object) -> dict[str, object]:
    """Settings of a gate whose own client has the key in a file."""
    return {
        "client_id": client_id,
        "token_endpoint_auth_method": "private_key_jwt",
        "client_assertion_key_file": str(KEYS / file),
        **more,
    }
