"""The soak finds a wrong answer: planted in the provider of a real run, and in what the judge reads."""

import asyncio
import json
import random
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from faults.replies import Piece
from soak.cast import CLIENTS, SECRETS
from soak.chaos import QUIET, RESTLESS, Deck
from soak.exchange import Answer
from soak.excuses import Excuses
from soak.judge import Judge, Purge
from soak.log import Log
from soak.pace import LONG, STORM, Pace, quick, settled
from soak.provider import Provider
from soak.report import load, render
from soak.requests import Asked, Requests
from soak.run import soak
from soak.samples import drift, growth
from soak.tokens import Mint
from soak.upstream import Seen
from support.process import free_port

ALICE, BOB = CLIENTS[:2]
STORES = {"nginx": "redis", "python": "python"}


class Confused(Provider):
    """Grants the tokens of one client to all others."""

    def token(self, form: dict[str, str]) -> Iterable[Piece]:
        if not self.fault and SECRETS.get(form["client_id"]) == form["client_secret"]:
            form = {**form, "client_id": BOB.id, "client_secret": BOB.secret}
        return super().token(form)


def test_a_real_run_without_a_plant_has_no_wrong_answer(tmp_path: Path) -> None:
    asyncio.run(soak(quick(6), 7, tmp_path))
    result = load(tmp_path / "log.jsonl")
    text, failures = render(result)
    assert failures == [], text
    assert result.state["verdicts"]["header 200"] > 100 and result.samples


def test_a_token_of_another_client_is_found_in_a_real_run(tmp_path: Path) -> None:
    asyncio.run(soak(quick(4), 7, tmp_path, Confused(free_port())))
    result = load(tmp_path / "log.jsonl")
    assert any(f"the token of {BOB.id}" in wrong for wrong in result.wrong), render(result)
    assert render(result)[1] == [f"{len(result.wrong)} wrong answers"]


class Court:
    """A judge, and requests to judge, at a time that the test sets."""

    def __init__(self) -> None:
        self.mint = Mint("http://127.0.0.1:1")
        self.excuses = Excuses()
        self.judge = Judge(self.mint, self.excuses, STORES)
        self.requests = Requests(random.Random(1), self.mint)

    def ask(self, kind: str = "header", host: str = "nginx", gate: str = "orders") -> Asked:
        return self.requests.make(kind, host, gate, ALICE)

    def problem(
        self, asked: Asked, status: int, *, cause: str | None = None, token: str = "", raw: str = "", at: float = 100.0,
        took: float = 0.01, reached: bool | None = None, times: int = 1,
    ) -> str:  # fmt: skip
        """The wrong answer that the judge notes, or an empty text."""
        authorization = [f"Bearer {token}"] if token else []
        seen = Seen(raw, authorization, times) if (status == 200 if reached is None else reached) else None
        before = len(self.judge.wrong)
        self.judge.judge(asked, Answer(status, cause, json.dumps(authorization).encode(), at, at + took), seen)
        return "".join(self.judge.wrong[before:])


@pytest.fixture
def court() -> Court:
    return Court()


def test_the_usual_answers_are_right(court: Court) -> None:
    token = court.mint.opaque(ALICE.id, "orders", 60)
    assert court.problem(court.ask(), 200, token=token) == ""
    assert court.problem(court.ask(gate="invoices"), 200, token=court.mint.signed(ALICE.id, "invoices", 60)) == ""
    assert court.problem(court.ask("none"), 401, cause="no_credentials") == ""
    assert court.problem(court.ask("wrong"), 401, cause="credentials_refused") == ""
    assert court.problem(court.ask("preflight"), 200) == ""
    own = court.ask("own", gate="invoices")
    assert court.problem(own, 200, token=own.token) == ""
    assert court.judge.verdicts.total() == 6


@pytest.mark.parametrize(
    ("token", "finding"),
    [
        (lambda mint: mint.opaque(BOB.id, "orders", 60), "the token of client-1"),
        (lambda mint: mint.opaque(ALICE.id, "invoices", 60), "for invoices"),
        (lambda mint: mint.opaque(ALICE.id, "orders", -60), "an expired token"),
        (lambda mint: mint.opaque(ALICE.id, "orders", 60)[:-1] + "x", "has not issued"),
        (lambda mint: "x.y.z", "has not issued"),
        (lambda mint: "", "0 headers"),
    ],
)
def test_a_wrong_token_is_found(court: Court, token: Callable[[Mint], str], finding: str) -> None:
    assert finding in court.problem(court.ask(), 200, token=token(court.mint))


def test_an_undocumented_status_is_found(court: Court) -> None:
    assert "not documented" in court.problem(court.ask(), 500)
    assert "not documented" in court.problem(court.ask(), 401, cause="credentials_refused")
    assert "not documented" in court.problem(court.ask(), 429, cause="too_many_refusals")
    assert "broke" in court.problem(court.ask(), 0)
    assert "took" in court.problem(court.ask("none"), 401, cause="no_credentials", took=30)


def test_credentials_at_the_upstream_are_found(court: Court) -> None:
    token = court.mint.opaque(ALICE.id, "orders", 60)
    assert "the secret" in court.problem(court.ask(), 200, token=token, raw=f"GET /?{ALICE.parameters}")
    assert "the secret" in court.problem(court.ask("preflight"), 200, raw=ALICE.pair)
    assert "2 times" in court.problem(court.ask(), 200, token=token, times=2)


def test_a_wrong_secret_at_the_upstream_is_found_whatever_the_client_sees(court: Court) -> None:
    token = court.mint.opaque(ALICE.id, "orders", 60)
    assert "reached" in court.problem(court.ask("wrong"), 200, token=token)
    assert "reached" in court.problem(court.ask("wrong"), 401, cause="credentials_refused", reached=True)
    assert "reached" in court.problem(court.ask("forged", gate="invoices"), 401, cause="token_invalid", reached=True)


def test_an_excuse_ends(court: Court) -> None:
    excuse = court.excuses.begin("provider", 90)
    excuse.end = 100
    assert court.problem(court.ask(), 502, cause="provider_failed", at=99) == ""
    assert "not documented" in court.problem(court.ask(), 502, cause="provider_failed", at=101)
    excuse = court.excuses.begin("worker nginx", 90)
    excuse.end = 100
    assert court.problem(court.ask(), 0, at=99) == ""
    assert "broke" in court.problem(court.ask(), 0, at=101)
    assert "broke" in court.problem(court.ask(host="python"), 0, at=99)


def test_a_cached_token_that_is_not_served_during_a_fault_is_found(court: Court) -> None:
    court.excuses.begin("provider", 90)
    token = court.mint.opaque(ALICE.id, "orders", 60)
    assert court.problem(court.ask(), 200, token=token, at=95) == ""
    assert court.problem(court.ask(), 502, cause="provider_failed", at=96) == "", "it may not be in the store yet"
    assert "a token was served before" in court.problem(court.ask(), 502, cause="provider_failed", at=100)
    court.excuses.begin("store", 97)
    assert court.problem(court.ask(), 502, cause="provider_failed", at=100) == "", "the store has lost it"


def test_a_token_from_the_time_of_a_store_kill_need_not_be_held(court: Court, monkeypatch: pytest.MonkeyPatch) -> None:
    store = court.excuses.begin("store", 60)
    store.end = 80
    court.excuses.begin("provider", 99)
    now = time.time()
    for age, finding in ((30, ""), (10, "a token was served before")):
        with monkeypatch.context() as earlier:
            earlier.setattr(time, "time", lambda age=age: now - age)
            token = court.mint.opaque(ALICE.id, "orders", 120)
        assert court.problem(court.ask(), 200, token=token, at=95) == ""
        assert finding in court.problem(court.ask(), 502, cause="provider_failed", at=100)


def test_a_purged_token_is_found(court: Court) -> None:
    token = court.mint.opaque(ALICE.id, "orders", 60)
    court.judge.purges[ALICE.id] = Purge(99, 99.1, time.time() + 0.1)
    assert court.problem(court.ask(), 200, token=token, at=100) == "", "two seconds have not passed"
    assert "after its purge" in court.problem(court.ask(), 200, token=token, at=102)
    assert court.problem(court.ask(host="python"), 200, token=token, at=102) == "", "nobody purges it there"


def test_drift_is_measured_about_the_level_of_each_worker() -> None:
    flat = [(time, 1000.0) for time in range(0, 600, 30)]
    higher = [(time, 5000.0) for time in range(1800, 2400, 30)]
    assert drift([flat, higher]) == 0
    leaking = [(time, value + time * 1024 / 3600) for time, value in flat]
    assert abs(drift([leaking]) - 1) < 1e-9
    assert growth([5, 5, 9, 5, 5, 5, 7, 7, 7]) == 2


@pytest.mark.parametrize(
    ("what", "failure"),
    [("resident", "grows by"), ("descriptors", "descriptors more"), ("threads", "threads more")],
)
def test_a_leak_fails_a_long_run(tmp_path: Path, what: str, failure: str) -> None:
    log = Log(tmp_path / "log.jsonl")
    log.write("begin", time=0, seconds=LONG)
    for elapsed in range(0, int(LONG), 30):
        values = {"resident": 9000, "anonymous": 5000, "descriptors": 20, "threads": 3}
        values[what] += elapsed
        log.write("sample", role="nginx master", pid=1, time=elapsed, **values)
    log.write("state", elapsed=LONG)
    log.write("end", time=0)
    _, failures = render(load(tmp_path / "log.jsonl"))
    assert len(failures) == 1 and failure in failures[0], failures


def test_drift_is_measured_when_no_worker_is_replaced_any_more() -> None:
    pace = Pace(LONG)
    assert pace.is_restless(0) and not pace.is_restless(settled(LONG))
    assert quick(30).is_restless(29) and settled(30) == 0


def test_a_storm_of_events_comes_before_drift_is_measured() -> None:
    pace = Pace(LONG)
    assert pace.pause(0) == (20, 40)
    assert pace.pause(settled(LONG) - 1) == STORM
    assert pace.pause(settled(LONG)) == (40, 80)
    assert quick(30).pause(29) == (0.5, 1)


def test_the_deck_has_every_event_and_replaces_no_worker_in_quiet_times() -> None:
    deck = Deck(random.Random(3))
    quiet = [deck.draw(False) for _ in range(50)]
    assert set(quiet) == set(QUIET)
    restless = [deck.draw(True) for _ in range(50)]
    assert set(restless) == {*QUIET, *RESTLESS}
