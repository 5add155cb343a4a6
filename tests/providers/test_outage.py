"""A provider that is gone for a while, and comes back."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

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


@contextmanager
def traffic(gateway: Gateway, clients: list[Client]) -> Iterator[None]:
    """Requests in the background, which go on while the provider comes back. Each is served or unavailable."""
    over = Event()

    def send() -> None:
        while not over.is_set():
            for client in clients:
                decision = gateway.ask(client)
                assert decision.http_status in {200, *UNAVAILABLE}, decision
            over.wait(0.2)

    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(send)
        try:
            yield
        finally:
            over.set()
        sent.result()


def endure(gateway: Gateway, cached: Client, cold: list[Client]) -> None:
    """Sends requests for the time of an outage: the cached client is served, the others get Retry-After."""
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

    with provider.outage(number), traffic(started, cold):
        endure(started, cached, cold)
        provider.revive()
        ready = time.monotonic()

        def served() -> bool:
            decision = started.ask(late)
            assert decision.http_status in {200, *UNAVAILABLE}, decision
            return decision.http_status == 200

        until(served, "a token for a cold client", 90)
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
