"""Operating a process: engine options, metrics, log records, purges, close."""

import asyncio
import json
import logging
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import credgate
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from conftest import ALICE
from credgate.prometheus import Collector
from support.lab import Provider, Scripted
from support.process import free_port, until
from support.python import descriptors, gate, library_threads, run

PAIR = "client_id=a&client_secret=b"


@pytest.fixture
def _options() -> Iterator[None]:
    """Resets the options to their defaults afterwards."""
    yield
    credgate.close()
    credgate.configure()


def sample(name: str, **labels: str) -> float:
    """The value of a sample in the metrics."""
    for family in text_string_to_metric_families(credgate.metrics()):
        for one in family.samples:
            if one.name == name and one.labels == labels:
                return one.value
    raise LookupError(name)


@pytest.mark.usefixtures("_options")
def test_configure_sets_the_engine_options(scripted: Scripted) -> None:
    credgate.configure(max_waiting=1)
    with_provider = gate(scripted.issuer)
    scripted.hold()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(with_provider.authenticate, query=PAIR)
        until(lambda: credgate.report()["waiting"] == 1, "the first to wait")
        second = with_provider.authenticate(query=PAIR)
        assert not second.allowed
        assert (second.http_status, second.cause, second.retry_after) == (503, "overloaded", 1)
        scripted.release()
        assert first.result(30).allowed


@pytest.mark.usefixtures("_options")
def test_options_of_a_running_engine_cannot_be_changed(scripted: Scripted) -> None:
    credgate.configure(max_waiting=7)
    gate(scripted.issuer).authenticate(query=PAIR)
    credgate.configure(max_waiting=7)
    with pytest.raises(credgate.ConfigError, match="call configure before the first request, purge, metrics or report, or call close first") as raised:
        credgate.configure(max_waiting=8)
    assert raised.value.code == 2003
    credgate.close()
    credgate.configure(max_waiting=8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cache_max_byte": 1}, "cache_max_byte"),
        ({"max_waiting": 0}, "max_waiting: must be at least 1"),
        ({"max_waiting": "many"}, "max_waiting|invalid type"),
    ],
)
def test_an_invalid_option_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(credgate.ConfigError, match=message) as raised:
        credgate.configure(**options)
    assert raised.value.code == 2003


def test_metrics_are_in_the_prometheus_text_format(scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)
    for _ in range(3):
        with_provider.authenticate(query=PAIR)
    with_provider.authenticate()
    assert sample("credgate_requests_total", outcome="allow", cache_status="hit") == 2
    assert sample("credgate_exchange_seconds_count") == 1
    assert sample("credgate_denied_total", cause="no_credentials") == 1
    assert sample("credgate_cache_entries") == 1


def test_the_report_contains_the_counters(scripted: Scripted) -> None:
    gate(scripted.issuer).authenticate(query=PAIR)
    report = credgate.report()
    assert report["version"] == credgate.__version__
    assert (report["allowed"], report["exchanges"], report["cache"]["entries"]) == ({"miss": 1}, 1, 1)


def test_the_collector_exports_the_same_metrics(scripted: Scripted) -> None:
    registry = CollectorRegistry()
    registry.register(Collector())
    with_provider = gate(scripted.issuer)
    for _ in range(3):
        with_provider.authenticate(query=PAIR)
    text = generate_latest(registry).decode()

    def samples(exposition: str) -> set[tuple[str, tuple[tuple[str, str], ...], float]]:
        families = text_string_to_metric_families(exposition)
        return {(one.name, tuple(sorted(one.labels.items())), one.value) for family in families for one in family.samples}

    assert samples(text) == samples(credgate.metrics())
    assert registry.get_sample_value("credgate_requests_total", {"outcome": "allow", "cache_status": "hit"}) == 2


def test_a_purge_drops_one_client_one_gate_or_all(scripted: Scripted) -> None:
    one, other = gate(scripted.issuer), gate(scripted.issuer, scopes=["x"])
    for with_provider in (one, other):
        for client in "abc":
            with_provider.token(client, "s")
    one.purge("a")
    assert [one.token(client, "s").cache_status for client in "abc"] == ["MISS", "HIT", "HIT"]
    one.purge()
    assert other.token("a", "s").cache_status == "HIT"
    one.token("b", "s")
    credgate.purge("b")
    assert [one.token("b", "s").cache_status, other.token("a", "s").cache_status] == ["MISS", "HIT"]
    credgate.purge(client_id="nobody")
    credgate.purge()
    until(lambda: credgate.report()["cache"]["entries"] == 0, "the sweep")
    assert credgate.report()["purged"] == 9


def test_a_purge_drops_refusals(scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)
    shown = {"query": "client_id=a&client_secret=wrong"}
    assert [with_provider.authenticate(**shown).cache_status for _ in range(2)] == ["MISS", "NEGATIVE"]
    with_provider.purge()
    assert with_provider.authenticate(**shown).cache_status == "MISS"


def test_a_new_token_is_kept_if_the_upstream_rejects_it(scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)
    allow = with_provider.authenticate(query=PAIR)
    assert allow.allowed
    assert allow.note_upstream_status(200) is False
    assert allow.note_upstream_status(401) is False, "it was received within the last ten seconds"
    assert with_provider.authenticate(query=PAIR).cache_status == "HIT"


def test_the_first_request_after_close_creates_a_new_engine(scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)
    assert with_provider.authenticate(query=PAIR).cache_status == "MISS"
    assert library_threads() >= 1
    credgate.close()
    credgate.close()
    assert library_threads() == 0
    assert credgate.report()["allowed"] == {}
    assert with_provider.authenticate(query=PAIR).cache_status == "MISS"


def test_repeated_close_leaks_no_descriptors_and_threads(scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)

    def once() -> None:
        assert with_provider.authenticate(query=PAIR).cache_status == "MISS"
        assert asyncio.run(with_provider.authenticate_async(query=PAIR, method="POST")).cache_status == "HIT"
        credgate.close()

    once()
    before = descriptors()
    for _ in range(20):
        once()
    assert descriptors() <= before
    assert library_threads() == 0


def test_a_thread_waiting_during_close_gets_its_outcome(scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)
    scripted.hold()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(with_provider.authenticate, query=PAIR)
        until(lambda: scripted.state["waiting"] == 1, "the exchange")
        credgate.close()
        scripted.release()
        assert future.result(30).cache_status == "MISS"
    until(lambda: library_threads() == 0, "the thread to end after the last waiter")


def test_a_loop_waiting_during_close_gets_its_outcomes(scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer, cache_tokens=False)

    async def main() -> None:
        scripted.hold()
        task = asyncio.create_task(with_provider.authenticate_async(query=PAIR))
        while credgate.report()["waiting"] == 0:
            await asyncio.sleep(0)
        before = descriptors()
        credgate.close()
        other = asyncio.create_task(with_provider.authenticate_async(query=PAIR))
        while credgate.report()["waiting"] == 0:
            await asyncio.sleep(0)
        await asyncio.to_thread(scripted.release)
        assert (await task).allowed
        assert (await other).allowed
        # An idle loop also stops watching, in its next iteration.
        credgate.close()
        for _ in range(3):
            await asyncio.sleep(0)
        assert descriptors() <= before
        assert (await with_provider.authenticate_async(query=PAIR)).allowed

    asyncio.run(main())


def test_close_releases_the_loop_of_another_thread(scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)
    ready, closed = threading.Event(), threading.Event()

    async def main() -> None:
        assert (await with_provider.authenticate_async(query=PAIR)).cache_status == "MISS"
        ready.set()
        await asyncio.to_thread(closed.wait)
        assert library_threads() == 0
        assert (await with_provider.authenticate_async(query=PAIR)).cache_status == "MISS"

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    assert ready.wait(30)
    credgate.close()
    until(lambda: library_threads() == 0, "the loop to release the engine")
    closed.set()
    thread.join(30)
    assert credgate.report()["allowed"] == {"miss": 1}


def refuse_openid(scripted: Scripted) -> None:
    scripted.script(status=400, json={"error": "invalid_scope"}, times=1)


def openid_records(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if 'refused the scope "openid"' in record.getMessage()]


def test_records_are_logged_on_the_waiting_thread(scripted: Scripted, caplog: pytest.LogCaptureFixture) -> None:
    refuse_openid(scripted)
    assert gate(scripted.issuer).authenticate(query=PAIR).allowed
    (record,) = openid_records(caplog)
    assert (record.name, record.levelname, record.thread) == ("credgate", "WARNING", threading.get_ident())


def test_records_are_logged_on_the_thread_of_the_loop(
    scripted: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    refuse_openid(scripted)
    assert asyncio.run(gate(scripted.issuer).authenticate_async(query=PAIR)).allowed
    (record,) = openid_records(caplog)
    assert record.thread == threading.get_ident()


def test_a_record_of_an_abandoned_exchange_is_logged_by_the_next_request(
    scripted: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    refuse_openid(scripted)
    with_provider = gate(scripted.issuer)

    async def main() -> None:
        task = asyncio.create_task(with_provider.authenticate_async(query=PAIR))
        while credgate.report()["waiting"] == 0:
            await asyncio.sleep(0)
        task.cancel()
        # The loop gets no outcome: the only waiter was cancelled.
        while credgate.report()["exchanges"] < 2 and not openid_records(caplog):
            await asyncio.sleep(0)

    asyncio.run(main())
    until(lambda: with_provider.authenticate(query=PAIR).cache_status == "HIT", "the token")
    assert len(openid_records(caplog)) == 1


def test_a_dangerous_setting_is_logged_as_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    made = credgate.Gate(issuer="https://idp.example", ssl_verify=False)
    (record,) = caplog.records
    assert record.getMessage().startswith("ssl_verify is false")
    assert made.warnings == [record.getMessage()]
    assert (record.name, record.levelname) == ("credgate", "WARNING")


def test_an_exception_in_a_logger_does_not_fail_the_request(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            raise ZeroDivisionError

    ignored: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: ignored.append(unraisable.exc_type))
    with_provider = gate(scripted.issuer)
    refuse_openid(scripted)
    logger, broken = logging.getLogger("credgate"), Broken()
    logger.addFilter(broken)
    try:
        assert with_provider.authenticate(query=PAIR).allowed
    finally:
        logger.removeFilter(broken)
    assert ignored == [ZeroDivisionError]


def test_config_masks_the_operators_secrets(provider: Provider) -> None:
    made = gate(provider.issuer, token_headers={"X-Api-Key": "Geheim9"}, http_proxy_authorization="Basic R2VoZWltOQ==")
    shown = json.dumps(made.config) + repr(made)
    assert "Geheim9" not in shown
    assert "R2VoZWltOQ" not in shown
    assert made.config["issuer"] == provider.issuer


def test_an_unreachable_provider_raises_with_retry_after() -> None:
    with pytest.raises(credgate.DeniedError, match="provider_unreachable") as raised:
        gate(f"http://127.0.0.1:{free_port()}").token(*("a", ALICE.secret))
    assert (raised.value.http_status, raised.value.cause, raised.value.retry_after) == (502, "provider_unreachable", 5)


def test_import_loads_no_optional_dependencies(provider: Provider) -> None:
    loaded = run(provider.issuer, "print(sorted(sys.modules))")
    for module in ("prometheus_client", "httpx", "requests", "starlette", "flask", "django"):
        assert f"'{module}'" not in loaded


@pytest.mark.parametrize("call", [credgate.purge, credgate.metrics, credgate.report])
@pytest.mark.usefixtures("_options")
def test_options_come_too_late_after_a_call_that_creates_the_engine(call: Any) -> None:
    credgate.close()
    call()
    with pytest.raises(credgate.ConfigError, match="purge, metrics or report"):
        credgate.configure(max_waiting=8)
