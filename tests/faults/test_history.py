"""Histories of a shared store, and the checker that reads them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from faults.history.check import check
from faults.history.run import STORES, make

SECOND = 1_000_000_000


class Made:
    """A history that a test writes: times are in seconds."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.count = 0

    def write(self, file: str, *words: object) -> None:
        with (self.directory / file).open("a") as lines:
            lines.write(" ".join(map(str, words)) + "\n")

    def ask(
        self, time: float, token: str, *, key: str = "alice/orders", worker: int = 1, secret: str = "right", status: str = "SHARED"
    ) -> str:
        operation = self.begin(time, key=key, worker=worker, secret=secret)
        self.write(f"worker-{worker}-0", "end", operation, int((time + 0.1) * SECOND), status, token)
        return operation

    def begin(self, time: float, *, key: str = "alice/orders", worker: int = 1, secret: str = "right") -> str:
        self.count += 1
        operation = f"{worker}-0-{self.count}"
        self.write(f"worker-{worker}-0", "op", operation, int(time * SECOND), key, secret)
        return operation

    def exchange(self, start: float, end: float, token: str, operation: str, key: str = "alice/orders") -> None:
        self.write("provider", "exchange", int(start * SECOND), int(end * SECOND), key, token, operation)

    def purge(self, time: float, target: str = "alice", *, worker: int = 2, returns: bool = True) -> None:
        self.count += 1
        self.write(f"worker-{worker}-0", "purge", f"{worker}-0-{self.count}", int(time * SECOND), target)
        if returns:
            self.write(f"worker-{worker}-0", "purged", f"{worker}-0-{self.count}", int((time + 0.01) * SECOND))

    def kill(self, time: float, worker: int) -> None:
        self.write("runner", "killed", int(time * SECOND), worker)


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """One exchange, whose token another worker gets, too."""
    history = Made(tmp_path)
    history.exchange(10.0, 10.05, "t1", history.ask(10.0, "t1", status="MISS"))
    history.ask(11.0, "t1", worker=2)
    return history


def test_a_history_without_violations_has_none(made: Made) -> None:
    made.purge(12.0)
    made.ask(13.5, "t1", status="HIT")
    made.exchange(14.0, 14.1, "t2", made.ask(14.0, "t2", worker=2, status="MISS"))
    made.exchange(23.0, 23.1, "t3", made.ask(23.0, "t3", status="MISS"))
    report = check(made.directory)
    assert (report.violations, report.operations) == ([], 5)
    assert report.latest == pytest.approx(1.49)


def test_a_kill_excuses_the_next_exchange(made: Made) -> None:
    made.exchange(30.0, 30.4, "t2", made.begin(30.0, worker=2))
    made.kill(30.2, 2)
    made.exchange(32.1, 32.2, "t3", made.ask(32.1, "t3", status="MISS"))
    assert check(made.directory).violations == []


def test_a_kill_during_a_refresh_excuses_the_next_exchange(made: Made) -> None:
    """The request that began the refresh has got the older token."""
    exchanged_after_a_kill(made, "t1", "HIT")
    assert check(made.directory).violations == []


def exchanged_after_a_kill(made: Made, token: str, status: str) -> None:
    """Exchanges, gives the token to the request that began it, is killed, and another process exchanges."""
    made.exchange(16.0, 16.1, "t2", made.ask(16.0, token, status=status))
    made.kill(16.2, 1)
    made.exchange(18.1, 18.2, "t3", made.ask(18.1, "t3", worker=2, status="MISS"))


PLANTED: dict[str, tuple[Callable[[Made], object], str]] = {
    "exchanged-twice": (lambda made: made.exchange(12.0, 12.1, "t2", made.ask(12.0, "t2", worker=2, status="MISS")), "after t1"),
    "exchanged-at-once": (lambda made: made.exchange(10.01, 10.1, "t2", made.ask(10.0, "t2", worker=2, status="MISS")), "after t1"),
    "exchanged-despite-a-kill": (lambda made: exchanged_after_a_kill(made, "t2", "MISS"), "after t2"),
    "purged": (lambda made: (made.purge(12.0), made.ask(14.1, "t1")), "after a purge of alice"),
    "all-purged": (lambda made: (made.purge(12.0, "*"), made.ask(14.1, "t1")), "after a purge of *"),
    "another-client": (lambda made: made.ask(12.0, "t1", key="bob/orders"), "another client"),
    "another-gate": (lambda made: made.ask(12.0, "t1", key="alice/invoices"), "another client"),
    "wrong-secret": (lambda made: made.ask(12.0, "t1", secret="wrong"), "wrong secret"),
    "expired": (lambda made: made.ask(22.2, "t1"), "an expired token"),
    "invented": (lambda made: made.ask(12.0, "t9"), "did not grant"),
    "too-early": (lambda made: made.ask(9.0, "t1"), "before its exchange"),
    "denied": (lambda made: made.ask(12.0, "-", status="MISS:provider_failed"), "no token"),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_the_checker_finds_a_planted_violation(made: Made, name: str) -> None:
    plant, says = PLANTED[name]
    plant(made)
    (violation,) = check(made.directory).violations
    assert says in violation


@pytest.mark.timeout(300)
@pytest.mark.parametrize("store", STORES)
def test_a_shared_store_keeps_its_promises_despite_kills(tmp_path: Path, store: str) -> None:
    report = check(make(store, tmp_path, operations=20_000))
    assert report.violations == [], str(report)
    assert report.counts["SHARED"] > 1000 and report.counts["kills"] > 3 and report.counts["purges"] > 10, str(report)


@pytest.mark.timeout(300)
def test_the_checker_finds_that_processes_do_not_share(tmp_path: Path) -> None:
    """Each worker has a store of its own."""
    report = check(make("sqlite", tmp_path, operations=2_000, of_each=True))
    assert len(report.violations) > 10, str(report)
