"""Provider failures are never reported to clients as wrong credentials."""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import ALICE, BOB, CLIENTS
from support.http import Answer, ask
from support.lab import Provider, Scripted, Upstream, bearer
from support.nginx import Nginx, guarded
from support.process import free_port

Start = Callable[..., Nginx]


def denied(answer: Answer, status: int) -> Answer:
    """A denial as every one must look: JSON, a message, and no token."""
    assert answer.status == status, answer
    assert (answer.header("Content-Type") or "").startswith("application/json")
    assert isinstance(answer.json()["message"], str)
    assert list(answer.json()) == ["message"]
    return answer


def unavailable(answer: Answer, status: int) -> Answer:
    """A denial that is the provider's fault: with Retry-After, and without a challenge."""
    denied(answer, status)
    assert int(answer.header("Retry-After") or 0) > 0
    assert answer.header("WWW-Authenticate") is None
    return answer


@pytest.fixture
def late(tmp_path: Path) -> Iterator[Provider]:
    """A certified provider that has a port, and does not run yet."""
    provider = Provider(CLIENTS, tmp_path / "late.log", port=free_port())
    yield provider
    provider.stop()


def test_an_unreachable_provider_is_a_502_until_it_recovers(
    nginx: Start, late: Provider, upstream: Upstream
) -> None:
    server = nginx(guarded(upstream.url, late.issuer))
    for _ in range(3):
        answer = ask(server.port, headers=ALICE.basic)
        assert answer.status in (502, 503)
        unavailable(answer, answer.status)
    assert denied(ask(server.port), 401)

    late.start()
    deadline = time.monotonic() + 60
    while (answer := ask(server.port, headers=ALICE.basic)).status != 200:
        unavailable(answer, answer.status)
        assert time.monotonic() < deadline, "nginx never noticed that the provider is up"
        time.sleep(0.2)
    assert bearer(answer.json())
    assert ask(server.port, headers=ALICE.basic).header("X-Credgate-Status") == "HIT"


def test_a_cached_client_is_served_while_the_provider_is_down(nginx: Start, late: Provider, upstream: Upstream) -> None:
    late.start()
    server = nginx(guarded(upstream.url, late.issuer))
    assert ask(server.port, headers=ALICE.basic).status == 200
    late.stop(signal.SIGKILL)
    for _ in range(3):
        answer = ask(server.port, headers=ALICE.basic)
        assert (answer.status, answer.header("X-Credgate-Status")) == (200, "HIT")
    unavailable(ask(server.port, headers=BOB.basic), 502)


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ({"status": 500, "body": "oops"}, 502),
        ({"status": 503, "body": ""}, 502),
        ({"status": 401, "body": "Unauthorized", "headers": {"content-type": "text/plain"}}, 401),
        ({"status": 401, "json": {"error": "access_denied"}}, 401),
        ({"status": 403, "json": {"error": "access_denied", "error_description": "no client-grant"}}, 403),
        ({"status": 400, "json": {"error": "invalid_client"}}, 401),
        ({"body": "<html>nonsense</html>"}, 502),
        ({"body": ""}, 502),
        ({"json": ["an", "array"]}, 502),
        ({"json": None}, 502),
        ({"merge": {"access_token": None}}, 502),
        ({"merge": {"access_token": ""}}, 502),
        ({"merge": {"access_token": 7}}, 502),
        ({"merge": {"access_token": "split\r\nX-Evil: 1"}}, 502),
        ({"merge": {"access_token": "two words"}}, 502),
        ({"merge": {"token_type": "DPoP"}}, 502),
        ({"merge": {"token_type": None}}, 502),
        ({"body": "x" * 1024, "repeat": 2048}, 502),
        ({"hang_up": True}, 502),
    ],
    ids=lambda value: None if isinstance(value, int) else "-".join(f"{k}={v}" for k, v in value.items())[:50],
)
def test_a_provider_response_maps_to_a_status(
    nginx: Start, scripted: Scripted, upstream: Upstream, script: dict[str, Any], status: int
) -> None:
    scripted.script(**script)
    server = nginx(guarded(upstream.url, scripted.issuer))
    answer = ask(server.port, headers=ALICE.basic)
    if status >= 500:
        unavailable(answer, status)
    else:
        denied(answer, status)
    assert upstream.seen == []


def test_a_redirect_of_the_token_endpoint_is_not_followed(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    scripted.script(status=307, headers={"location": f"{scripted.issuer}/token"}, body="", times=1)
    server = nginx(guarded(upstream.url, scripted.issuer))
    unavailable(ask(server.port, headers=ALICE.basic), 502)
    assert scripted.state["token"] == 1


def test_a_provider_429_is_a_503_with_its_retry_after(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    scripted.script(status=429, headers={"retry-after": "7"}, json={"error": "too_many_requests"})
    server = nginx(guarded(upstream.url, scripted.issuer))
    answer = unavailable(ask(server.port, headers=ALICE.basic), 503)
    assert answer.header("Retry-After") == "7"


def test_a_silent_provider_is_a_504(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    scripted.hold()
    server = nginx(guarded(upstream.url, scripted.issuer, "credgate_timeout 300ms"))
    unavailable(ask(server.port, headers=ALICE.basic), 504)
    scripted.release()
    assert upstream.seen == []


def test_a_provider_that_responds_byte_by_byte_is_a_504(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    scripted.script(pause=0.05, times=1)
    server = nginx(guarded(upstream.url, scripted.issuer, "credgate_timeout 500ms"))
    unavailable(ask(server.port, headers=ALICE.basic), 504)


@pytest.mark.parametrize(
    "script",
    [
        {"status": 500, "body": ""},
        {"body": "nonsense"},
        {"merge": {"issuer": "https://somebody.else.example"}},
        {"merge": {"token_endpoint": None}},
        {"json": []},
        {"hang_up": True},
    ],
    ids=["500", "nonsense", "wrong-issuer", "no-token-endpoint", "array", "hangs-up"],
)
def test_invalid_discovery_is_a_502_and_sends_no_secret(
    nginx: Start, scripted: Scripted, upstream: Upstream, script: dict[str, Any]
) -> None:
    scripted.script("discovery", **script)
    server = nginx(guarded(upstream.url, scripted.issuer))
    unavailable(ask(server.port, headers=ALICE.basic), 502)
    assert scripted.state["token"] == 0
    assert upstream.seen == []


@pytest.mark.parametrize("lifetime", ["3600", 3600.0, 3600])
def test_expires_in_is_a_number_or_a_string(
    nginx: Start, scripted: Scripted, upstream: Upstream, lifetime: object
) -> None:
    scripted.script(merge={"expires_in": lifetime})
    server = nginx(guarded(upstream.url, scripted.issuer))
    statuses = [ask(server.port, headers=ALICE.basic).header("X-Credgate-Status") for _ in range(2)]
    assert statuses == ["MISS", "HIT"]


@pytest.mark.parametrize("lifetime", [0, -1, -(2**63), "0", 1])
def test_a_token_without_a_lifetime_is_used_once_and_not_cached(
    nginx: Start, scripted: Scripted, upstream: Upstream, lifetime: object
) -> None:
    scripted.script(merge={"expires_in": lifetime})
    server = nginx(guarded(upstream.url, scripted.issuer))
    answers = [ask(server.port, headers=ALICE.basic) for _ in range(2)]
    assert [(one.status, one.header("X-Credgate-Status")) for one in answers] == [(200, "MISS"), (200, "MISS")]


@pytest.mark.parametrize("lifetime", [1e300, 2**63, None, "soon", [], {}], ids=str)
def test_an_absurd_lifetime_does_not_fail_the_request(
    nginx: Start, scripted: Scripted, upstream: Upstream, lifetime: object
) -> None:
    usual = {"access_token": "opaque", "token_type": "bearer", "expires_in": lifetime}
    scripted.script(json={name: value for name, value in usual.items() if value is not None})
    server = nginx(guarded(upstream.url, scripted.issuer))
    assert [ask(server.port, headers=ALICE.basic).status for _ in range(2)] == [200, 200]


def test_failures_are_not_cached_as_refusals(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    scripted.script(status=500, body="", times=1)
    scripted.script(body="nonsense", times=1)
    server = nginx(guarded(upstream.url, scripted.issuer))
    statuses = [ask(server.port, headers=ALICE.basic).status for _ in range(3)]
    assert statuses == [502, 502, 200]


def test_provider_error_texts_do_not_reach_the_client(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    scripted.script(status=401, json={"error": "invalid_client", "error_description": f"bad secret {ALICE.secret}"})
    server = nginx(guarded(upstream.url, scripted.issuer))
    answer = denied(ask(server.port, headers=ALICE.basic), 401)
    assert ALICE.traces(answer.body, *(value for _, value in answer.headers)) == []
    assert ALICE.traces(server.logs) == []
