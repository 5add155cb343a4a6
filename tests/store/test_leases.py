"""The holder of a lease may be killed during its exchange."""

import os
import random
import signal
import time

import pytest
from support.http import Client
from support.lab import Scripted, Upstream
from support.nginx import Nginx
from support.process import until
from support.store import LONG, Start, Volley, all_pending, counted, gateway, status


def kill_worker(server: Nginx) -> None:
    """SIGKILL; the master makes another one."""
    (worker,) = server.workers
    os.kill(worker, signal.SIGKILL)
    until(lambda: server.workers and worker not in server.workers, "another worker")


def only_killed(*servers: Nginx) -> None:
    """nginx rightly reports the deaths that a test has caused; it has nothing else to report."""
    for server in servers:
        alarms = server.alarms()
        assert all("exited on signal 9" in alarm for alarm in alarms), alarms
        server.error_log.write_text("")


def one_leads(first: Nginx, second: Nginx, scripted: Scripted, client: Client, others: int) -> tuple[Volley, Volley]:
    """A request of the first server has its exchange held back, and others of the second are pending."""
    scripted.hold()
    leading = Volley([first.port], [client], 1)
    until(lambda: scripted.state["waiting"] == 1, "the exchange")
    waiting = Volley([second.port], [client], others)
    all_pending([second], others)
    return leading, waiting


def test_a_waiter_takes_over_after_the_lease_holder_is_killed(
    nginx: Start, scripted: Scripted, upstream: Upstream, store: str
) -> None:
    first, second = (gateway(nginx, store, scripted, upstream) for _ in range(2))
    client = Client("alice", "s3cret")
    leading, waiting = one_leads(first, second, scripted, client, 50)
    until(lambda: counted(second, "waits") == 1, "the second to wait")
    assert scripted.state["token"] == 1
    kill_worker(first)
    until(lambda: scripted.state["token"] == 2, "the second's own exchange")
    scripted.release()
    assert leading.statuses() == [0]
    assert set(waiting.statuses()) == {200}
    assert scripted.state["token"] == 2
    assert status(first, client) == "SHARED"
    only_killed(first, second)


@pytest.mark.timeout(900 if LONG else 180)
def test_every_request_is_answered_despite_kills_at_any_moment(
    nginx: Start, scripted: Scripted, upstream: Upstream, store: str
) -> None:
    """The one that is killed takes its own clients with it; all others are answered, and one exchange more is made."""
    rounds, extra = 200 if LONG else 12, 0
    victim, other = (gateway(nginx, store, scripted, upstream) for _ in range(2))
    for number in range(rounds):
        client = Client(f"client-{number}", f"s3cret-{number}")
        before = scripted.state["token"]
        scripted.hold()
        doomed = Volley([victim.port], [client], 5)
        # The moment is what chance makes it: before, while and after it has the lease, exchanges, and tells the rest.
        if number % 6 == 0:
            until(lambda: scripted.state["waiting"] == 1, "the exchange")
        elif number % 2 == 0:
            scripted.release()
        others = Volley([other.port], [client], 20)
        time.sleep(random.uniform(0, 0.01))
        kill_worker(victim)
        scripted.release()
        assert set(others.statuses()) == {200}, number
        assert set(doomed.statuses()) <= {0, 200}, number
        assert scripted.state["token"] - before <= 2, number
        extra += scripted.state["token"] - before - 1
    assert extra > 0, "some of those that were killed had the lease"
    only_killed(victim, other)


def test_waiters_wait_for_an_exchange_longer_than_a_lease(
    nginx: Start, scripted: Scripted, upstream: Upstream, store: str
) -> None:
    first, second = (gateway(nginx, store, scripted, upstream) for _ in range(2))
    client = Client("alice", "s3cret")
    leading, waiting = one_leads(first, second, scripted, client, 1)
    # A lease is good for two seconds, and taken anew.
    started = time.monotonic()
    until(lambda: time.monotonic() - started > 4, "more than a lease's time")
    assert scripted.state["token"] == 1
    scripted.release()
    assert leading.statuses() + waiting.statuses() == [200, 200]
    assert scripted.state["token"] == 1
