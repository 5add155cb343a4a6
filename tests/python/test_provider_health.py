"""A flood of wrong credentials, and a provider whose documents hang, take nothing from other clients."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import credgate
import pytest

from support.lab import Scripted
from support.python import gate

GUESSES = 2_000
BUDGET = 300  # `refusals_per_gate`, per minute
MAX_EXCHANGES = 64

BUSY: dict[str, Any] = {"status": 429, "json": {"error": "too_many_requests"}}
REFUSALS: dict[str, dict[str, Any]] = {
    **{
        error: {"status": 400, "json": {"error": error}}
        for error in (
            *("access_denied", "invalid_client", "invalid_client_credentials", "invalid_client_id", "invalid_grant"),
            *("invalid_request", "invalid_scope", "invalid_target", "unauthorized_client", "unsupported_grant_type"),
        )
    },
    "401 invalid_client": {"status": 401, "json": {"error": "invalid_client"}},
    "401 without an error": {"status": 401, "body": ""},
    "403 access_denied": {"status": 403, "json": {"error": "access_denied"}},
    "403 of a firewall": {"status": 403, "body": "<html>"},
    "404": {"status": 404, "body": ""},
    "429": BUSY,
    "429 with Retry-After": {**BUSY, "headers": {"Retry-After": "30"}},
    "500": {"status": 500, "body": ""},
    "503 with Retry-After": {"status": 503, "body": "", "headers": {"Retry-After": "30"}},
    "a closed connection": {"hang_up": True, "body": ""},
}


def ask(with_provider: credgate.Gate, client: str, secret: str = "s") -> str:
    outcome = with_provider.authenticate(query=f"client_id={client}&client_secret={secret}")
    return f"{outcome.cache_status} {'allowed' if outcome.allowed else outcome.http_status}"


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
def test_wrong_credentials_cost_the_budget_and_take_nothing_from_others(
    refusal: dict[str, Any], scripted: Scripted
) -> None:
    with_provider = gate(scripted.issuer)
    known = [f"known{number}" for number in range(20)]
    assert {ask(with_provider, client) for client in ["warm", *known]} == {"MISS allowed"}
    scripted.script("refusal", **refusal)
    before, began = scripted.state["token"], time.monotonic()
    seen = []
    with ThreadPoolExecutor(8) as pool:
        for number in range(0, GUESSES, 100):
            guesses = [f"guess{number + i}" for i in range(100)]
            list(pool.map(lambda client: ask(with_provider, client, "wrong"), guesses))
            client = known[number // 100]
            with_provider.purge(client)
            seen += [ask(with_provider, "warm"), ask(with_provider, client)]
    assert seen == ["HIT allowed", "MISS allowed"] * (GUESSES // 100)
    refilled = BUDGET * (time.monotonic() - began) / 60
    guesses_seen = scripted.state["token"] - before - len(known)
    print(f"\n{guesses_seen} exchanges for {GUESSES} guesses")
    assert guesses_seen <= BUDGET + MAX_EXCHANGES + refilled


if "CREDGATE_LONG" in os.environ:

    @pytest.mark.timeout(300)
    def test_documents_that_hang_delay_no_exchange(scripted: Scripted) -> None:
        scripted.script("discovery", headers={"Cache-Control": "max-age=1"})
        with_provider = gate(scripted.issuer)
        assert ask(with_provider, "first") == "MISS allowed"
        # The shortest age at which documents are fetched again is a minute.
        time.sleep(61)
        before = scripted.state["discovery"]
        scripted.script("discovery", pause=60)
        scripted.script("jwks", pause=60)
        longest, end = 0.0, time.monotonic() + 60
        number = 0
        while time.monotonic() < end:
            began = time.monotonic()
            assert ask(with_provider, f"client{number}") == "MISS allowed"
            longest = max(longest, time.monotonic() - began)
            number += 1
            time.sleep(0.1)
        assert scripted.state["discovery"] > before, "discovery was fetched again"
        print(f"\n{number} exchanges, the longest in {longest:.3f} s")
        assert longest < 1, "less than the 3 s that a fetch may take"
