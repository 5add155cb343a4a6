"""Without `credgate_store`, the workers of one nginx share their tokens through a file of nginx's own."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ALICE
from support.http import ask
from support.lab import Scripted, Upstream
from support.nginx import Nginx, guarded, location
from support.process import gone, until
from support.store import OPERATING, Start, Volley, all_pending, counted, status


def cold(server: Nginx, scripted: Scripted, count: int = 1000) -> int:
    """The exchanges caused by concurrent requests, all of which wait before the provider answers the first."""
    before = scripted.state["token"]
    scripted.hold()
    volley = Volley([server.port], [ALICE], count)
    all_pending([server], count)
    scripted.release()
    assert set(volley.statuses()) == {200}
    return int(scripted.state["token"]) - before


def warm(server: Nginx, scripted: Scripted, count: int = 400) -> int:
    """The exchanges caused by concurrent requests for a token that some worker has had."""
    before = scripted.state["token"]
    assert set(Volley([server.port], [ALICE], count).statuses()) == {200}
    return int(scripted.state["token"]) - before


@pytest.mark.parametrize("workers", [4, 140])
def test_a_thousand_cold_requests_cause_one_exchange_per_host(
    nginx: Start, scripted: Scripted, upstream: Upstream, workers: int
) -> None:
    server = nginx(guarded(upstream.url, scripted.issuer) + OPERATING, workers=workers)
    assert cold(server, scripted) == 1
