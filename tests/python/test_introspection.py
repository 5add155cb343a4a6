"""Introspection and secret files, with a real provider and a scripted one."""

from pathlib import Path
from typing import Any

import credgate
import pytest

from conftest import ALICE, BOB
from support.lab import Provider, Scripted, opaque


def gate(issuer: str, **config: Any) -> credgate.Gate:
    own = {
        "auth_methods": ["introspection"],
        "introspection_client_id": BOB.id,
        "introspection_client_secret": BOB.secret,
        "introspection_endpoint_auth_method": "client_secret_post",
        "allow_loopback_http": True,
    }
    return credgate.Gate({**own, "issuer": issuer, **config})


def test_an_opaque_token_of_the_certified_provider_is_introspected_once(provider: Provider) -> None:
    gateway = gate(provider.issuer)
    token = opaque(provider, ALICE)
    outcomes = [gateway.authenticate(authorization=f"Bearer {token}") for _ in range(5)]
    assert [outcome.cache_status for outcome in outcomes] == ["MISS"] + ["HIT"] * 4
    for outcome in outcomes:
        assert outcome.allowed
        assert (outcome.client_id, outcome.authorization) == (ALICE.id, f"Bearer {token}")
        assert outcome.claim("iss") == provider.issuer
    denied = gateway.authenticate(authorization="Bearer made-up")
    assert not denied.allowed
    assert (denied.http_status, denied.cause) == (401, "token_invalid")
    assert provider.count["introspection"] == 2


def test_an_exchanged_opaque_token_gets_the_claims_of_its_introspection(provider: Provider) -> None:
    methods = ["client_credentials", "introspection"]
    gateway = gate(provider.issuer, auth_methods=methods, scopes=[])
    outcome = gateway.authenticate(authorization=ALICE.basic["Authorization"])
    assert outcome.allowed, outcome
    assert outcome.claim("client_id") == ALICE.id
    strict = gate(provider.issuer, auth_methods=methods, scopes=[], audience_required=["https://example.com/"])
    denied = strict.authenticate(authorization=ALICE.basic["Authorization"])
    assert not denied.allowed
    assert denied.cause == "token_insufficient"


def test_wrong_introspection_credentials_are_a_502(provider: Provider) -> None:
    gateway = gate(provider.issuer, introspection_client_secret="wrong")
    denied = gateway.authenticate(authorization=f"Bearer {opaque(provider, ALICE)}")
    assert not denied.allowed
    assert (denied.http_status, denied.cause) == (502, "request_refused")


def test_a_rotated_introspection_secret_needs_no_new_gate(scripted: Scripted, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("first\n")
    gateway = gate(scripted.issuer, introspection_client_secret=None, introspection_client_secret_file=str(file))
    for secret in ("first", "second"):
        file.write_text(secret)
        assert gateway.authenticate(authorization=f"Bearer token-of-{secret}").allowed
        assert scripted.state["introspected"]["form"]["client_secret"] == secret


@pytest.mark.parametrize("field", ["token_headers_files", "token_post_args_files"])
def test_a_rotated_secret_file_is_sent_with_the_next_token_request(
    scripted: Scripted, tmp_path: Path, field: str
) -> None:
    file = tmp_path / "key"
    file.write_text("first")
    config = {"issuer": scripted.issuer, "allow_loopback_http": True, field: {"x-key": str(file)}}
    gateway = credgate.Gate(config)
    assert "first" not in str(gateway.config)
    for secret, client in (("first", ALICE), ("second", BOB)):
        file.write_text(f"{secret}\n")
        assert gateway.authenticate(authorization=client.basic["Authorization"]).allowed
        last = scripted.state["last"]
        sent = dict(last["headers"]) if field == "token_headers_files" else last["form"]
        assert sent["x-key"] == secret
