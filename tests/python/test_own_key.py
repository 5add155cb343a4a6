"""The gateway's own client with a key in place of a secret, in Python."""

import shutil
from pathlib import Path

import credgate
import jwt
import pytest

from support.keys import KEYS, own
from support.lab import Authority, Provider, Scripted
from support.python import fresh_gate


@pytest.mark.parametrize(("jwk", "file"), [("p384", "p384.pem"), ("p384", "p384.jwk"), ("rsa", "rsa.pkcs1.pem")])
def test_private_key_jwt_at_the_certified_provider(provider: Provider, jwk: str, file: str) -> None:
    gate = fresh_gate(provider.issuer, **own(f"key-{jwk}", file))
    outcome = gate.authenticate()
    assert outcome.allowed and outcome.client_id == f"key-{jwk}"
    assert gate.token().authorization == dict(outcome.headers)["authorization"]
    assert provider.count["by_client"] == {f"key-{jwk}": 1}


def test_a_path_may_be_a_path(provider: Provider) -> None:
    settings = own("key-p256", "p256.jwk") | {"client_assertion_key_file": KEYS / "p256.jwk"}
    assert fresh_gate(provider.issuer, **settings).authenticate().allowed


def test_a_certificate_proves_the_client(tls_provider: Provider, authority: Authority) -> None:
    gate = fresh_gate(
        tls_provider.issuer,
        client_id="tls",
        token_endpoint_auth_method="tls_client_auth",
        tls_client_auth_cert=KEYS / "rsa.cert.pem",
        tls_client_auth_key=KEYS / "rsa.pem",
        ssl_trusted_certificate=authority.ca,
    )
    assert gate.authenticate().allowed


def test_a_new_key_is_used_without_a_new_gate(scripted: Scripted, tmp_path: Path) -> None:
    file = tmp_path / "gateway.jwk"
    shutil.copy(KEYS / "p256.jwk", file)
    gate = fresh_gate(scripted.issuer, **own("gateway", file), cache_tokens=False)
    kids = []
    for name in ("p256", "p384", "ed25519"):
        shutil.copy(KEYS / f"{name}.jwk", file)
        assert gate.authenticate().allowed
        kids.append(jwt.get_unverified_header(scripted.state["last"]["form"]["client_assertion"])["kid"])
    assert kids == ["p256-1", "p384-1", "ed-1"]


def test_the_effective_configuration_shows_paths_and_no_key() -> None:
    gate = credgate.Gate(issuer="https://idp.example", **own("gateway", "p256.jwk"))
    assert gate.config["client_assertion_key_file"] == str(KEYS / "p256.jwk")
    assert '"d"' not in str(gate.config)


def test_a_check_explains_a_refused_assertion(provider: Provider) -> None:
    gate = fresh_gate(provider.issuer, **own("key-p256", "p384.jwk"))
    diagnosis = gate.check()
    assert diagnosis["verdict"] == "refused"
    refused = diagnosis["findings"][-1]
    assert refused["code"] == "proof_refused"
    for part in ("private_key_jwt", f"aud {provider.issuer}", "sub key-p256", "alg ES384", "kid p384-1"):
        assert part in refused["message"], refused["message"]
    assert refused["remedy"]
    for part in ("public key", "client_assertion_kid", "client_assertion_audience", "clock"):
        assert part in refused["remedy"], refused["remedy"]


def test_a_check_names_the_method_and_the_file(provider: Provider) -> None:
    diagnosis = fresh_gate(provider.issuer, **own("key-p256", "p256.jwk")).check()
    assert diagnosis["verdict"] == "ok"
    said = " ".join(finding["message"] for finding in diagnosis["findings"])
    assert f"private_key_jwt with the key in client_assertion_key_file, {KEYS}/p256.jwk" in said
    assert "client authentication: private_key_jwt" in said


@pytest.mark.parametrize(
    ("says", "remedy"),
    [
        ("AADSTS700027: The certificate with identifier", "upload the certificate"),
        ("AADSTS700023: Client assertion audience claim does not match", "client_assertion_audience"),
        ("AADSTS700024: Client assertion is not within its valid time range", "clock"),
        ("AADSTS700213: No matching federated identity record found", "federated credential"),
    ],
)
def test_a_check_knows_the_codes_of_entra(scripted: Scripted, says: str, remedy: str) -> None:
    scripted.script(status=401, json={"error": "invalid_client", "error_description": says})
    diagnosis = fresh_gate(scripted.issuer, **own("gateway", "rsa.pem")).check()
    last = diagnosis["findings"][-1]
    assert last["code"] == "proof_refused" and remedy in (last["remedy"] or ""), last


def test_a_check_of_another_client_is_refused() -> None:
    gate = credgate.Gate(issuer="https://idp.example", **own("gateway", "rsa.pem"))
    diagnosis = gate.check("alice", "s3cret")
    assert diagnosis["verdict"] == "misconfigured"
    assert [finding["code"] for finding in diagnosis["findings"] if finding["level"] == "error"] == ["other_client"]
