"""One exchange for many requests, and no request that waits for another client's exchange."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from conftest import ALICE, BOB
from support.http import Answer, Client, Connection, ask
from support.lab import Provider, Scripted, Upstream, bearer
from support.nginx import Nginx, guarded, location
from support.process import until

Start = Callable[..., Nginx]


def together(port: int, clients: list[Client]) -> list[Answer]:
    """One request for each of `clients`, all sent at the same moment."""
    barrier = threading.Barrier(len(clients))

    def one(client: Client) -> Answer:
        barrier.wait(60)
        return ask(port, headers=client.basic)

    with ThreadPoolExecutor(len(clients)) as pool:
        return list(pool.map(one, clients))


@pytest.mark.parametrize("clients", [[ALICE], [ALICE, BOB]], ids=["one-client", "two-clients"])
def test_two_hundred_cold_requests_cause_one_exchange_for_each_client(
    nginx: Start, provider: Provider, upstream: Upstream, clients: list[Client]
) -> None:
    server = nginx(guarded(upstream.url, provider.issuer))
    answers = together(server.port, clients * (200 // len(clients)))

    assert {answer.status for answer in answers} == {200}
    assert provider.count == {
        "token": len(clients),
        "introspection": 0,
        "by_client": {client.id: 1 for client in clients},
        "refused": 0,
    }
    assert len({bearer(answer.json()) for answer in answers}) == len(clients)
    statuses = [answer.header("X-Credgate-Status") for answer in answers]
    assert statuses.count("MISS") == len(clients)
    assert set(statuses) <= {"MISS", "JOINED", "HIT"}


def test_waiters_have_the_cache_status_joined(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    server = nginx(guarded(upstream.url, scripted.issuer))
    scripted.hold()
    with ThreadPoolExecutor(20) as pool:
        pending = [pool.submit(ask, server.port, headers=ALICE.basic) for _ in range(20)]
        until(lambda: scripted.state["waiting"] == 1, "the exchange")
        until(lambda: server.busy == 20, "twenty pending requests")
        scripted.release()
        statuses = [future.result().header("X-Credgate-Status") for future in pending]
    assert sorted(map(str, statuses)) == ["JOINED"] * 19 + ["MISS"]
    assert scripted.state["token"] == 1


def test_two_hundred_requests_with_a_wrong_secret_cause_one_exchange(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    server = nginx(guarded(upstream.url, scripted.issuer))
    scripted.hold()
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(together, server.port, [ALICE.wrong()] * 200)
        until(lambda: server.busy == 200, "two hundred pending requests")
        scripted.release()
        answers = pending.result()
    assert {answer.status for answer in answers} == {401}
    assert scripted.state["token"] == 2, "one request with each authentication method"
    assert upstream.seen == []


def test_fifty_hanging_exchanges_do_not_block_their_worker(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    server = nginx(guarded(upstream.url, scripted.issuer) + location("/plain", f"proxy_pass {upstream.url}"))
    assert ask(server.port, headers=ALICE.basic).header("X-Credgate-Status") == "MISS"
    scripted.hold()
    strangers = [Client(f"client-{number}", f"secret-{number}") for number in range(50)]

    with ThreadPoolExecutor(len(strangers)) as pool:
        pending: list[Future[Answer]] = [pool.submit(ask, server.port, headers=one.basic) for one in strangers]
        until(lambda: scripted.state["waiting"] == 50, "50 exchanges that hang")

        assert ask(server.port, "/plain").status == 200
        warm = ask(server.port, headers=ALICE.basic)
        assert (warm.status, warm.header("X-Credgate-Status")) == (200, "HIT")
        assert ask(server.port).status == 401
        assert not any(future.done() for future in pending)
        assert scripted.state["waiting"] == 50

        scripted.release()
        answers = [future.result() for future in pending]

    assert {answer.status for answer in answers} == {200}
    tokens = [bearer(answer.json()) for answer in answers]
    assert tokens == [f"token-of-{one.id}" for one in strangers]
    assert len(server.workers) == 1


def test_waiters_get_their_token_after_the_leader_disconnects(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    server = nginx(guarded(upstream.url, scripted.issuer))
    scripted.hold()
    leader = Connection(server.port)
    leader.send(headers=ALICE.basic)
    until(lambda: scripted.state["waiting"] == 1, "the leader's exchange")
    with ThreadPoolExecutor(1) as pool:
        follower = pool.submit(ask, server.port, headers=ALICE.basic)
        until(lambda: server.busy == 2, "both requests")
        leader.close()
        until(lambda: " 499 " in server.access_log.read_text(), "the leader's departure")
        scripted.release()
        assert follower.result().status == 200
    assert scripted.state["token"] == 1
