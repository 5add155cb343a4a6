"""A provider that is gone for a while, and comes back."""

import os
import signal
import time

import pytest

from support.gateway import Gateway, Start
from support.http import Client
from support.process import until
from support.real_provider import RealProvider

# Seconds without the provider. The pauses of a circuit breaker grow with the outage.
OUTAGE = 90 if os.environ.get("CREDGATE_LONG") else 20
UNAVAILABLE = {502, 503, 504}
# Seconds from the provider's readiness to the first success of a client without a token.
RECOVERY = 10


def endure(gateway: Gateway, cached: Client, cold: list[Client]) -> None:
    """Sends requests throughout an outage: those of the cached client are served, the others are unavailable."""
    begin = time.monotonic()

    def over() -> bool:
        decision = gateway.ask(cached)
        assert (decision.http_status, decision.cache_status) == (200, "HIT"), decision
        for client in cold:
            decision = gateway.ask(client)
            assert decision.http_status in UNAVAILABLE, decision
            assert decision.retry_after, decision
        time.sleep(0.2)
        return time.monotonic() - begin > OUTAGE

    until(over, "the end of the outage", OUTAGE + 60)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
def test_cached_clients_are_served_in_an_outage_and_cold_ones_soon_after(
    provider: RealProvider, through_nginx: Start, number: int
) -> None:
    cached, late, *cold = (provider.register() for _ in range(4))
    started = through_nginx(provider.issuer, timeout=3000)
    until(lambda: started.ask(cached).http_status == 200, "a token to cache")
    with provider.outage(number):
        endure(started, cached, cold)
    ready = time.monotonic()

    def served() -> bool:
        decision = started.ask(late)
        assert decision.http_status == 200 or decision.http_status in UNAVAILABLE, decision
        assert time.monotonic() - ready < 90, decision
        return decision.http_status == 200

    until(served, "a token for a cold client", 100)
    took = time.monotonic() - ready
    assert took <= RECOVERY, f"{took:.1f} s after the provider was ready"
    assert [started.ask(client).http_status for client in cold] == [200] * len(cold)
    assert started.ask(cached).cache_status == "HIT"


def test_a_client_without_a_token_is_served_when_the_provider_starts_after_the_gateway(
    provider: RealProvider, through_nginx: Start
) -> None:
    client = provider.register()
    with provider.outage(signal.SIGKILL):
        started = through_nginx(provider.issuer)
        for _ in range(3):
            assert started.ask(client).http_status in UNAVAILABLE
    until(lambda: started.ask(client).http_status == 200, "a token", RECOVERY)
