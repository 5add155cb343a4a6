"""Audiences, scopes and roles, as real providers put them into tokens."""

import pytest

from support.gateway import Start
from support.hydra import Hydra
from support.keycloak import Keycloak
from support.nginx import AUDIENCE
from support.real_provider import Exchanges, RealProvider

ELSEWHERE = "https://elsewhere.example/"
INSUFFICIENT = (403, "token_insufficient")
# Hydra has the scopes of a token in `scp`, Keycloak in `scope`.
SCOPES_CLAIM = {"Keycloak": "scope", "Ory Hydra": "scp"}


def test_a_token_with_the_required_audience_is_forwarded(provider: RealProvider, gateway: Start) -> None:
    client = provider.register()
    decision = gateway(provider.issuer, audience_required=[AUDIENCE]).ask(client)
    assert decision.http_status == 200, decision
    assert AUDIENCE in decision.claims["aud"]


def test_a_token_without_the_required_audience_is_denied(provider: RealProvider, gateway: Start) -> None:
    client = provider.register()
    started = gateway(provider.issuer, audience_required=[ELSEWHERE])
    for _ in range(2):
        decision = started.ask(client)
        assert (decision.http_status, decision.cause) == INSUFFICIENT, decision


def test_keycloak_ignores_a_requested_audience(keycloak: Keycloak, gateway: Start) -> None:
    client = keycloak.register(audiences=[])
    decision = gateway(keycloak.issuer, audience_required=[AUDIENCE]).ask(client)
    assert (decision.http_status, decision.cause) == INSUFFICIENT, decision


def test_requested_scopes_are_in_the_token(provider: RealProvider, through_nginx: Start) -> None:
    client = provider.register(scopes=["openid", "api:read", "api:write"])
    decision = through_nginx(provider.issuer, scopes=["api:read"]).ask(client)
    assert decision.http_status == 200, decision
    assert "api:read" in decision.scopes
    assert not {"api:write", "openid"} & set(decision.scopes)


def test_a_scope_that_the_client_may_not_have_is_forbidden(provider: RealProvider, through_nginx: Start) -> None:
    client = provider.register(scopes=["api:read"])
    exchanges = Exchanges(provider)
    started = through_nginx(provider.issuer, scopes=["api:write"], cache_ttl_neg=60)
    decisions = [started.ask(client) for _ in range(3)]
    assert [(one.http_status, one.cause) for one in decisions] == [(403, "client_forbidden")] * 3, decisions
    assert exchanges.count == 1


@pytest.mark.parametrize("claim", ["configured", "default"])
def test_required_scopes_are_found_in_the_providers_claim(
    provider: RealProvider, through_nginx: Start, claim: str
) -> None:
    client = provider.register(scopes=["api:read", "api:write"])
    named = {"scopes_claim": [SCOPES_CLAIM[provider.name]]} if claim == "configured" else {}
    started = through_nginx(
        provider.issuer, scopes=["api:read", "api:write"], scopes_required=["api:read api:write"], **named
    )
    decision = started.ask(client)
    assert decision.http_status == 200, decision
    assert {"api:read", "api:write"} <= set(decision.scopes)


def test_a_token_without_a_required_scope_is_denied(provider: RealProvider, through_nginx: Start) -> None:
    client = provider.register(scopes=["api:read", "api:write"])
    required = {"scopes_claim": [SCOPES_CLAIM[provider.name]], "scopes_required": ["api:read api:write"]}
    decision = through_nginx(provider.issuer, scopes=["api:read"], **required).ask(client)
    assert (decision.http_status, decision.cause) == INSUFFICIENT, decision


def test_required_roles_are_found_by_their_path(keycloak: Keycloak, through_nginx: Start) -> None:
    reader, stranger = keycloak.register(roles=["reader"]), keycloak.register()
    started = through_nginx(keycloak.issuer, roles_claim=["realm_access", "roles"], roles_required=["reader", "writer"])
    decision = started.ask(reader)
    assert decision.http_status == 200, decision
    assert "reader" in decision.claims["realm_access"]["roles"]
    decision = started.ask(stranger)
    assert (decision.http_status, decision.cause) == INSUFFICIENT, decision


def test_a_client_with_openid_gets_it_by_default(provider: RealProvider, through_nginx: Start) -> None:
    client = provider.register(scopes=["openid"])
    assert "openid" in through_nginx(provider.issuer).ask(client).scopes


@pytest.mark.parametrize("first", ["without", "with"])
def test_a_refused_openid_is_omitted_for_that_client_only(hydra: Hydra, through_nginx: Start, first: str) -> None:
    scopes = {"without": "api:read", "with": "openid"}
    clients = {name: hydra.register(scopes=[scope]) for name, scope in scopes.items()}
    started = through_nginx(hydra.issuer)
    order = sorted(clients, key=lambda name: name != first)
    decisions = {name: started.ask(clients[name]) for name in order}
    assert {name: decision.http_status for name, decision in decisions.items()} == {"without": 200, "with": 200}
    assert {name: decision.scopes for name, decision in decisions.items()} == {"without": [], "with": ["openid"]}


def test_a_refused_openid_is_remembered(hydra: Hydra, through_nginx: Start) -> None:
    client = hydra.register(scopes=["api:read"])
    started = through_nginx(hydra.issuer, cache_tokens=False)
    exchanges = Exchanges(hydra)
    for expected in (2, 3, 4):
        decision = started.ask(client)
        assert (decision.http_status, decision.scopes) == (200, [])
        assert exchanges.count == expected
