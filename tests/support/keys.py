"""Clients that have a key or a certificate instead of a secret: those of tests/vectors/keys."""

import json
from pathlib import Path
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

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


def certificate(name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((KEYS / f"{name}.cert.pem").read_bytes())


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
    pem = certificate(name).public_bytes(Encoding.PEM).decode()
    return "".join(pem.splitlines()[1:-1])


def own(client_id: str, file: Path | str, **more: object) -> dict[str, object]:
    """Settings of a gate whose own client has the key in a file."""
    return {
        "client_id": client_id,
        "token_endpoint_auth_method": "private_key_jwt",
        "client_assertion_key_file": str(KEYS / file),
        **more,
    }


def verified(assertion: str, jwk: str) -> dict[str, Any]:
    """The claims of an assertion, verified by another implementation, except for its audience."""
    algorithm = jwt.get_unverified_header(assertion)["alg"]
    key = jwt.PyJWK(public(jwk), algorithm=algorithm)
    claims: dict[str, Any] = jwt.decode(assertion, key, algorithms=[algorithm], options={"verify_aud": False})
    return claims
