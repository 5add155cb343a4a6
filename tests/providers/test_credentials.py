"""Client credentials at real providers: exchanges, refusals, and the two ways to authenticate a client."""

import time

import pytest

from support.gateway import Decision, Gateway, Start
from support.http import SOURCES, Client
from support.hydra import Hydra
from support.keycloak import Keycloak
from support.nginx import AUDIENCE
from support.process import until
from support.real_provider import WELL_KNOWN, Exchanges, RealProvider

REFUSED = (401, "credentials_refused")
FORBIDDEN = (403, "client_forbidden")


def denied(decision: Decision) -> tuple[int, str | None]:
    assert decision.token is None, decision
    return decision.http_status, decision.cause


def refusals(gateway: Gateway, client: Client, requests: int) -> list[str]:
    """The cache statuses of requests that are each refused."""
    decisions = [gateway.ask(client) for _ in range(requests)]
    assert {denied(decision) for decision in decisions} == {REFUSED}, decisions
    return [decision.cache_status for decision in decisions]


@pytest.mark.parametrize("source", SOURCES)
def test_the_four_settings_forward_a_token_and_no_secret(provider: RealProvider, gateway: Start, source: str) -> None:
    client = provider.register()
    exchanges = Exchanges(provider)
    started = gateway(provider.issuer + WELL_KNOWN)
    first, second = (started.ask(client, source) for _ in range(2))
    assert [first.cache_status, second.cache_status] == ["MISS", "HIT"], first
    assert first.token == second.token
    assert first.token
    claims = provider.verified(first.token)
    assert claims["client_id"] == client.id
    assert AUDIENCE in claims["aud"]
    assert exchanges.count == 1


def test_one_token_serves_all_sources(provider: RealProvider, gateway: Start) -> None:
    client = provider.register()
    exchanges = Exchanges(provider)
    started = gateway(provider.issuer)
    assert len({started.ask(client, source).token for source in SOURCES}) == 1
    assert exchanges.count == 1


def test_a_wrong_secret_is_refused_once_and_the_refusal_is_cached(provider: RealProvider, through_nginx: Start) -> None:
    client = provider.register()
    exchanges = Exchanges(provider)
    started = through_nginx(provider.issuer, token_endpoint_auth_method="client_secret_post", cache_ttl_neg=60)
    assert refusals(started, client.wrong(), 4) == ["MISS", "NEGATIVE", "NEGATIVE", "NEGATIVE"]
    assert exchanges.count == 1
    assert started.ask(client).cache_status == "MISS"
    assert refusals(started, client.wrong(), 1) == ["NEGATIVE"]
    assert started.ask(client).cache_status == "HIT"
    assert exchanges.count == 2


def test_a_wrong_secret_is_tried_at_most_once_by_each_auth_method(provider: RealProvider, through_nginx: Start) -> None:
    client = provider.register()
    exchanges = Exchanges(provider)
    started = through_nginx(provider.issuer, cache_ttl_neg=60)
    assert refusals(started, client.wrong(), 4) == ["MISS", "NEGATIVE", "NEGATIVE", "NEGATIVE"]
    assert exchanges.count <= 2
    assert started.ask(client).http_status == 200


def test_an_unknown_client_id_is_refused_and_the_refusal_is_cached(
    provider: RealProvider, through_nginx: Start
) -> None:
    client = provider.new_client()
    exchanges = Exchanges(provider)
    started = through_nginx(provider.issuer, token_endpoint_auth_method="client_secret_post", cache_ttl_neg=60)
    assert refusals(started, client, 3) == ["MISS", "NEGATIVE", "NEGATIVE"]
    assert exchanges.count == 1


def test_a_client_without_a_service_account_is_denied(keycloak: Keycloak, through_nginx: Start) -> None:
    client = keycloak.register(service_account=False)
    exchanges = Exchanges(keycloak)
    started = through_nginx(keycloak.issuer, token_endpoint_auth_method="client_secret_post", cache_ttl_neg=60)
    decisions = [started.ask(client) for _ in range(3)]
    assert {denied(decision) for decision in decisions} <= {REFUSED, FORBIDDEN}, decisions
    assert exchanges.count == 1


def test_an_audience_outside_the_clients_list_is_forbidden(hydra: Hydra, through_nginx: Start) -> None:
    client = hydra.register(audiences=["https://elsewhere.example/"])
    exchanges = Exchanges(hydra)
    started = through_nginx(hydra.issuer, cache_ttl_neg=60)
    decisions = [started.ask(client) for _ in range(5)]
    assert [denied(decision) for decision in decisions] == [FORBIDDEN] * 5
    assert [decision.cache_status for decision in decisions] == ["MISS", *["NEGATIVE"] * 4]
    assert exchanges.count == 1


def test_a_forbidden_audience_is_requested_again_after_cache_ttl_neg(hydra: Hydra, through_nginx: Start) -> None:
    client = hydra.register(audiences=["https://elsewhere.example/"])
    exchanges = Exchanges(hydra)
    started = through_nginx(hydra.issuer, cache_ttl_neg=3)
    begin = time.monotonic()
    assert denied(started.ask(client)) == FORBIDDEN

    def requested_again() -> bool:
        assert denied(started.ask(client)) == FORBIDDEN
        return exchanges.count > 1

    until(requested_again, "another exchange")
    assert time.monotonic() - begin >= 2.5
    assert exchanges.count == 2


@pytest.mark.parametrize("order", [("basic", "post"), ("post", "basic")], ids="-then-".join)
def test_one_gate_serves_clients_of_both_auth_methods(hydra: Hydra, gateway: Start, order: tuple[str, str]) -> None:
    clients = [hydra.register(auth_method=f"client_secret_{method}") for method in order]
    started = gateway(hydra.issuer)
    for expected in ("MISS", "HIT"):
        decisions = [started.ask(client) for client in clients]
        assert [(one.http_status, one.cache_status) for one in decisions] == [(200, expected)] * 2, decisions


def test_the_auth_method_of_a_client_is_remembered(hydra: Hydra, through_nginx: Start) -> None:
    clients = [hydra.register(auth_method=f"client_secret_{method}") for method in ("basic", "post")]
    started = through_nginx(hydra.issuer, cache_tokens=False)
    assert [started.ask(client).http_status for client in clients] == [200, 200]
    exchanges = Exchanges(hydra)
    assert [started.ask(client).http_status for client in clients] == [200, 200]
    assert exchanges.count == 2


@pytest.mark.parametrize("method", ["basic", "post"])
def test_a_configured_auth_method_is_the_only_one(hydra: Hydra, through_nginx: Start, method: str) -> None:
    method = f"client_secret_{method}"
    (other,) = {"client_secret_basic", "client_secret_post"} - {method}
    good, bad = hydra.register(auth_method=method), hydra.register(auth_method=other)
    exchanges = Exchanges(hydra)
    started = through_nginx(hydra.issuer, token_endpoint_auth_method=method)
    assert started.ask(good).http_status == 200
    assert denied(started.ask(bad)) == REFUSED
    assert exchanges.count == 2
