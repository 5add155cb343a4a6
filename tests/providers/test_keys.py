"""Keys and certificates in place of a secret of the gateway's own, at the certified provider and at Keycloak."""

from typing import Any

import pytest

from support.gateway import Gateway, Start
from support.http import Client
from support.keycloak import BY_CERTIFICATE, Keycloak, by_key
from support.keys import JWKS, KEYS, own
from support.lab import Authority, Provider

# A request has no credentials: a gate with a client of its own searches none.
NOBODY = Client("nobody", "nothing-at-all")
ALGORITHMS = {
    "rsa": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "p256": ("ES256",),
    "p384": ("ES384",),
    "p521": ("ES512",),
    "ed25519": ("EdDSA",),
}
EACH = [(jwk, algorithm) for jwk in JWKS for algorithm in ALGORITHMS[jwk]]


def granted(gateway: Gateway) -> bool:
    """Does the gate get a token, and keep it?"""
    first, second = (gateway.ask(NOBODY) for _ in range(2))
    assert [first.cache_status, second.cache_status] == ["MISS", "HIT"], (first, second)
    return bool(first.token) and first.token == second.token


def by_certificate(client_id: str, method: str, authority: Authority, name: str = "rsa") -> dict[str, Any]:
    return {
        "client_id": client_id,
        "token_endpoint_auth_method": method,
        "tls_client_auth_cert": str(KEYS / f"{name}.cert.pem"),
        "tls_client_auth_key": str(KEYS / f"{name}.pem"),
        "ssl_trusted_certificate": str(authority.ca),
    }


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Any:
    """The certified provider over https."""
    with Provider([], tmp_path_factory.mktemp("certified") / "log", tls=authority).start() as provider:
        yield provider


@pytest.mark.parametrize(("jwk", "algorithm"), EACH)
def test_the_certified_provider_accepts_each_algorithm(
    certified: Provider, authority: Authority, through_python: Start, jwk: str, algorithm: str
) -> None:
    settings = own(f"key-{jwk}", f"{jwk}.jwk", client_alg=algorithm, ssl_trusted_certificate=str(authority.ca))
    assert granted(through_python(certified.issuer, **settings))


@pytest.mark.parametrize("file", ["p256.pem", "p256.sec1.pem", "p256.jwk"])
def test_the_certified_provider_accepts_each_notation(
    certified: Provider, authority: Authority, gateway: Start, file: str
) -> None:
    more = {"client_assertion_kid": "p256-1", "ssl_trusted_certificate": str(authority.ca)}
    assert granted(gateway(certified.issuer, **own("key-p256", file, **more)))


@pytest.mark.parametrize(
    ("client_id", "method", "name"),
    [("tls", "tls_client_auth", "rsa"), ("self-signed", "self_signed_tls_client_auth", "p256")],
)
def test_the_certified_provider_accepts_a_certificate(
    certified: Provider, authority: Authority, gateway: Start, client_id: str, method: str, name: str
) -> None:
    assert granted(gateway(certified.issuer, **by_certificate(client_id, method, authority, name)))


@pytest.mark.parametrize(("jwk", "algorithm"), EACH)
def test_keycloak_accepts_each_algorithm(keycloak: Keycloak, through_python: Start, jwk: str, algorithm: str) -> None:
    client = keycloak.register(proof=by_key(jwk))
    assert granted(through_python(keycloak.issuer, **own(client.id, f"{jwk}.jwk", client_alg=algorithm)))


@pytest.mark.parametrize("file", ["p384.pem", "p384.sec1.pem", "p384.jwk"])
def test_keycloak_accepts_each_notation(keycloak: Keycloak, gateway: Start, file: str) -> None:
    client = keycloak.register(proof=by_key("p384"))
    assert granted(gateway(keycloak.issuer, **own(client.id, file, client_assertion_kid="p384-1")))


def test_keycloak_refuses_another_key(keycloak: Keycloak, through_nginx: Start) -> None:
    client = keycloak.register(proof=by_key("p384"))
    settings = own(client.id, "p256.pem", client_assertion_kid="p384-1")
    decision = through_nginx(keycloak.issuer, **settings).ask(NOBODY)
    assert (decision.http_status, decision.cause) == (502, "request_refused")


def test_keycloak_accepts_a_certificate(keycloak: Keycloak, gateway: Start, authority: Authority) -> None:
    client = keycloak.register(proof=BY_CERTIFICATE)
    assert granted(gateway(keycloak.tls_issuer, **by_certificate(client.id, "tls_client_auth", authority)))


def test_keycloak_refuses_a_certificate_of_another_issuer(
    keycloak: Keycloak, through_nginx: Start, authority: Authority
) -> None:
    client = keycloak.register(proof=BY_CERTIFICATE)
    settings = by_certificate(client.id, "tls_client_auth", authority, "p256")
    decision = through_nginx(keycloak.tls_issuer, **settings).ask(NOBODY)
    assert decision.token is None and decision.http_status in (502, 503), decision
