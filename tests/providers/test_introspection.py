"""Introspection at real providers: opaque tokens of Hydra, and JWTs of Keycloak."""

from support.gateway import Start
from support.http import Client
from support.hydra import Hydra
from support.keycloak import Keycloak
from support.nginx import AUDIENCE
from support.real_provider import Exchanges

METHODS = ["client_credentials", "introspection"]


def own(client: Client, **more: object) -> dict[str, object]:
    """The gateway's client at the introspection endpoint."""
    return {
        "auth_methods": METHODS,
        "introspection_client_id": client.id,
        "introspection_client_secret": client.secret,
        **more,
    }


def test_the_claims_of_an_opaque_token_of_hydra_meet_requirements(hydra: Hydra, gateway: Start) -> None:
    client = hydra.register(scopes=["api:read"], access_tokens="opaque")
    exchanges = Exchanges(hydra)
    settings = own(client, scopes=["api:read"], introspection_endpoint=hydra.introspection_endpoint)
    started = gateway(hydra.issuer, **settings, audience_required=[AUDIENCE], scopes_required=["api:read"])
    decisions = [started.ask(client) for _ in range(3)]
    assert [one.http_status for one in decisions] == [200] * 3, decisions
    assert str(decisions[0].token).startswith("ory_at_")
    assert exchanges.count == 1
    strict = gateway(hydra.issuer, **settings, scopes_required=["api:write"])
    decision = strict.ask(client)
    assert (decision.http_status, decision.cause) == (403, "token_insufficient"), decision


def test_a_token_of_keycloak_is_introspected_beside_its_verification(keycloak: Keycloak, gateway: Start) -> None:
    client, other = keycloak.register(), keycloak.register()
    settings = own(other, introspect_jwt_tokens=True, audience_required=[AUDIENCE])
    decision = gateway(keycloak.issuer, **settings).ask(client)
    assert decision.http_status == 200, decision
    wrong = own(other.wrong(), introspect_jwt_tokens=True)
    decision = gateway(keycloak.issuer, **wrong).ask(client)
    assert (decision.http_status, decision.cause) == (502, "request_refused"), decision
