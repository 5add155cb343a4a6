"""Rotation of the keys that a provider signs with, while the gate verifies signatures."""

import time

from support.gateway import Decision, Gateway, Start
from support.http import Client
from support.process import until
from support.real_provider import RealProvider

# Unknown keys are fetched about once a second. The rest of the time is for a busy machine.
PATIENCE = 4


def served_in_time(gateway: Gateway, client: Client) -> Decision:
    """The decision for a client without a cached token, which must be served within PATIENCE."""
    begin = time.monotonic()
    decision = gateway.ask(client)
    assert (decision.http_status, decision.cache_status) == (200, "MISS"), decision
    assert time.monotonic() - begin < PATIENCE
    return decision


def test_a_cold_client_is_served_right_after_a_rotation(provider: RealProvider, through_nginx: Start) -> None:
    clients = [provider.register() for _ in range(2)]
    started = through_nginx(provider.issuer, rediscovery_lifetime=1)
    before = served_in_time(started, clients[0])
    fetched = time.monotonic()
    until(lambda: time.monotonic() - fetched > 1.1, "the end of rediscovery_lifetime")
    provider.rotate()
    after = served_in_time(started, clients[1])
    assert after.kid != before.kid
    assert started.ask(clients[0]).cache_status == "HIT"


def test_a_rotation_soon_after_a_fetch_of_the_keys_is_noticed(provider: RealProvider, through_nginx: Start) -> None:
    clients = [provider.register() for _ in range(4)]
    started = through_nginx(provider.issuer)
    kids = [served_in_time(started, clients[0]).kid]
    for client in clients[1:]:
        provider.rotate()
        kids.append(served_in_time(started, client).kid)
    assert len(set(kids)) == len(clients), kids
    assert {started.ask(client).cache_status for client in clients} == {"HIT"}


def test_all_clients_are_served_after_a_rotation(provider: RealProvider, through_nginx: Start) -> None:
    clients = [provider.register() for _ in range(8)]
    started = through_nginx(provider.issuer)
    served_in_time(started, clients[0])
    provider.rotate()
    for client in clients[1:]:
        served_in_time(started, client)
