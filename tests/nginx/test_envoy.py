"""A real Envoy asks `credgate_check` about every request."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ALICE, BOB
from support.envoy import Envoy
from support.http import FORM, ask
from support.lab import Provider, Upstream, bearer, values_of
from support.nginx import Nginx, gate, location
from support.process import ROOT, free_port

Start = Callable[..., Nginx]
Ask = Callable[..., Envoy]


def documented() -> dict[str, Any]:
    """The filter of the recipe in EXTERNAL.md."""
    text = (ROOT / "ffi/nginx/EXTERNAL.md").read_text()
    (block,) = re.findall(r"```yaml\n(http_filters:.*?)```", text, re.DOTALL)
    configured: dict[str, Any] = yaml.safe_load(block)["http_filters"][0]
    return configured


@pytest.fixture
def through(nginx: Start, upstream: Upstream, tmp_path: Path) -> Iterator[Ask]:
    """Starts an nginx with a check for `issuer`, and an Envoy that asks it."""
    started: list[Envoy] = []

    def start(issuer: str, *more: str) -> Envoy:
        server = nginx(location("/check", *gate(issuer)[1:], "credgate_check", *more))
        envoy = Envoy(tmp_path / "envoy", [documented()], {"upstream": upstream.port, "credgate": server.port})
        started.append(envoy)
        return envoy.start()

    yield start
    for envoy in started:
        envoy.stop()


def test_the_right_clients_get_in_with_the_token(through: Ask, provider: Provider, upstream: Upstream) -> None:
    envoy = through(provider.issuer)
    for number in range(3):
        answer = ask(envoy.port, f"/orders?n={number}", method="POST", headers={**ALICE.basic, **FORM}, body="keep=2")
        assert answer.status == 200, answer
        seen = upstream.last
        assert bearer(seen) and ALICE.traces(seen["raw"]) == []
        assert seen["body"] == "keep=2" and f"/orders?n={number}" in seen["line"]
    assert provider.count["token"] == 1


def test_the_wrong_clients_are_kept_out(through: Ask, provider: Provider, upstream: Upstream) -> None:
    envoy = through(provider.issuer, "credgate_clients_allowed alice")
    for headers, status in [
        ({}, 401),
        (ALICE.wrong().basic, 401),
        ({"Authorization": "Bearer forged"}, 401),
        ({"Authorization": "Basic !"}, 400),
        (BOB.basic, 403),
    ]:
        answer = ask(envoy.port, headers=headers)
        assert answer.status == status, answer
        assert answer.json()["message"]
        assert (answer.header("WWW-Authenticate") is not None) == (status == 401)
    assert ask(envoy.port, f"/?{ALICE.parameters}").status == 401
    assert upstream.seen == []


def test_a_client_cannot_set_the_headers_of_the_gate(through: Ask, provider: Provider, upstream: Upstream) -> None:
    envoy = through(
        provider.issuer,
        "credgate_upstream_access_token_header X-Token",
        "credgate_upstream_header X-Client client_id",
        "credgate_upstream_header X-Team team",
    )
    forged = {"X-Team": "forged", "X-Client": "forged", "X-Token": "forged"}
    assert ask(envoy.port, headers={**ALICE.basic, **forged}).status == 200
    seen = upstream.last
    assert values_of(seen, "x-client") == [ALICE.id]
    assert values_of(seen, "x-team") == [] and values_of(seen, "authorization") == []
    assert len(values_of(seen, "x-token")) == 1 and "forged" not in seen["raw"]
    assert ALICE.traces(seen["raw"]) == []


def test_a_gateway_that_is_down_lets_nobody_in(upstream: Upstream, tmp_path: Path) -> None:
    envoy = Envoy(tmp_path / "envoy", [documented()], {"upstream": upstream.port, "credgate": free_port()})
    with envoy.start():
        assert ask(envoy.port, headers=ALICE.basic).status == 403
    assert upstream.seen == []
