"""The operations endpoints, variables and log lines of nginx."""

import json
import re
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import ALICE, BOB
from support.http import Answer, Client, ask
from support.lab import Provider, Scripted, Upstream
from support.nginx import AUDIENCE, Nginx, guarded, location
from support.process import free_port, until

Start = Callable[..., Nginx]

OPERATING = (
    location("= /metrics", "credgate_metrics")
    + location("= /status", "credgate_report")
    + location("= /purge", "credgate_purge")
)
WRONG = Client("alice", "Wr0ngKanarie")
PURGED = {"message": "purged"}


def metrics(server: Nginx) -> dict[str, float]:
    answer = ask(server.port, "/metrics")
    assert answer.status == 200
    assert answer.header("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
    lines = [line for line in answer.body.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def requests(server: Nginx, outcome: str, cache_status: str) -> float:
    return metrics(server)[f'credgate_requests_total{{outcome="{outcome}",cache_status="{cache_status}"}}']


def test_metrics_count_every_outcome_and_name_no_client(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    server = nginx(guarded(upstream.url, provider.issuer) + OPERATING)
    for _ in range(3):
        assert ask(server.port, headers=ALICE.basic).status == 200
    for _ in range(2):
        assert ask(server.port, headers=WRONG.basic).status == 401
    assert ask(server.port).status == 401
    now = metrics(server)
    assert [requests(server, "allow", status) for status in ("miss", "hit")] == [1, 2]
    assert [requests(server, "deny", status) for status in ("miss", "negative", "none")] == [1, 1, 1]
    assert now['credgate_denied_total{cause="credentials_refused"}'] == 2
    assert now["credgate_exchange_seconds_count"] == 2
    assert now["credgate_cache_entries"] == 1
    text = ask(server.port, "/metrics").body.decode()
    assert ALICE.traces(text) == [] and "alice" not in text


def test_metrics_cover_all_workers_and_survive_their_exit(
    nginx: Start, provider: Provider, upstream: Upstream
) -> None:
    server = nginx(guarded(upstream.url, provider.issuer) + OPERATING, workers=4)
    for number in range(40):
        assert ask(server.port, headers=ALICE.basic).status == 200, number
    total = lambda: sum(requests(server, "allow", status) for status in ("miss", "shared", "hit"))  # noqa: E731
    until(lambda: total() == 40, "the numbers of all workers")
    before = server.workers
    server.kill(signal.SIGHUP)
    until(lambda: server.workers and not server.workers & before, "new workers")
    assert total() == 40
    assert ask(server.port, headers=ALICE.basic).status == 200
    until(lambda: total() == 41, "the new numbers on top")


def test_the_report_summarizes_the_metrics(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    server = nginx(guarded(upstream.url, provider.issuer) + OPERATING)
    assert ask(server.port, headers=ALICE.basic).status == 200
    status = ask(server.port, "/status").json()
    assert status["allowed"] == {"miss": 1} and status["denied"] == {}
    assert status["cache"]["entries"] == 1 and status["waiting"] == 0


@pytest.mark.parametrize("target", ["/metrics", "/status"])
def test_metrics_and_report_accept_only_get_and_head(nginx: Start, provider: Provider, upstream: Upstream, target: str) -> None:
    server = nginx(guarded(upstream.url, provider.issuer) + OPERATING)
    assert ask(server.port, target, method="HEAD").body == b""
    assert ask(server.port, target, method="POST", body="x").status == 405


def test_a_purge_drops_tokens_of_one_client_or_all(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    server = nginx(guarded(upstream.url, provider.issuer) + OPERATING)

    def statuses() -> list[str | None]:
        return [ask(server.port, headers=client.basic).header("X-Credgate-Status") for client in (ALICE, BOB)]

    assert (statuses(), statuses()) == (["MISS", "MISS"], ["HIT", "HIT"])
    assert ask(server.port, "/purge?client_id=alice", method="POST").json() == PURGED
    assert statuses() == ["MISS", "HIT"]
    assert ask(server.port, "/purge?client_id=b%6fb", method="POST").json() == PURGED
    assert statuses() == ["HIT", "MISS"]
    assert ask(server.port, "/purge?all", method="POST").json() == PURGED
    assert statuses() == ["MISS", "MISS"]
    until(lambda: metrics(server)["credgate_purged_total"] == 4, "the sweep")


def test_a_purge_reaches_all_workers(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    server = nginx(guarded(upstream.url, provider.issuer) + OPERATING, workers=4)

    def entries() -> float:
        return metrics(server)["credgate_cache_entries"]

    for number in range(60):
        assert ask(server.port, headers=ALICE.basic).status == 200, number
    until(lambda: entries() >= 1, "tokens")
    assert ask(server.port, "/purge?client_id=alice", method="POST").status == 200
    until(lambda: entries() == 0, "empty caches in all workers")


def test_a_purge_request_must_name_a_client_or_all(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    server = nginx(guarded(upstream.url, provider.issuer) + OPERATING)
    assert ask(server.port, "/purge?all").status == 405
    for target in ("/purge", "/purge?", "/purge?client_id=", "/purge?everything", "/purge?all=1"):
        answer = ask(server.port, target, method="POST")
        assert (answer.status, "?client_id=ID" in answer.json()["message"]) == (400, True), target
    assert ask(server.port, "/purge?client_id=%ff", method="POST").status == 400


FORWARDED = {
    "Forwarded": "for=198.51.100.7",
    "Via": "1.1 proxy",
    "X-Forwarded-For": "198.51.100.7",
    "x-real-ip": "127.0.0.1",
}


@pytest.mark.parametrize("header", FORWARDED)
def test_a_purge_forwarded_by_a_proxy_is_refused(
    nginx: Start, provider: Provider, upstream: Upstream, header: str
) -> None:
    """Its sender may be anyone, although it comes over loopback."""
    server = nginx(guarded(upstream.url, provider.issuer) + OPERATING + location("= /any", "credgate_purge remote"))
    assert ask(server.port, headers=ALICE.basic).status == 200
    sent: dict[str, Any] = {"method": "POST", "headers": {header: FORWARDED[header]}}
    assert ask(server.port, "/purge?all", **sent).status == 403
    assert ask(server.port, headers=ALICE.basic).header("X-Credgate-Status") == "HIT"
    assert "[error] " in server.errors and f'purge refused, because "{header.lower()}"' in server.errors
    assert ask(server.port, "/any?all", **sent).json() == PURGED


def test_a_purge_over_the_proxy_protocol_is_refused(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    port = free_port()
    http = f"server {{ listen 127.0.0.1:{port} proxy_protocol; {OPERATING} }}"
    server = nginx(guarded(upstream.url, provider.issuer), http=http)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"PROXY TCP4 127.0.0.1 127.0.0.1 40000 80\r\n")
        connection.sendall(b"POST /purge?all HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 403"
    assert 'purge refused, because "PROXY protocol"' in server.errors


def test_a_token_refused_upstream_is_dropped_unless_brand_new(
    nginx: Start, provider: Provider, tmp_path: Path
) -> None:
    socket = tmp_path / "refusing.sock"
    http = f"server {{ listen unix:{socket}; location / {{ return 401; }} }}"
    server = nginx(guarded(f"http://unix:{socket}:", provider.issuer) + OPERATING, http=http)
    for how in ("MISS", "HIT", "HIT"):
        answer = ask(server.port, headers=ALICE.basic)
        assert (answer.status, answer.header("X-Credgate-Status")) == (401, how)
    assert metrics(server)["credgate_purged_total"] == 0, "brand new, and so kept"
    # After ten seconds its age may be the reason.
    until(lambda: ask(server.port, headers=ALICE.basic).header("X-Credgate-Status") == "MISS", "another token", 20)
    assert metrics(server)["credgate_purged_total"] == 1
    assert "dropped the token, because the upstream returned 401" in server.error_log.read_text()


def variables(*names: str) -> list[str]:
    return [f"add_header X-{name.replace('_', '-')} $credgate_{name} always" for name in names]


NAMES = (
    "cause",
    "exchange_time",
    "token_expires_in",
    "scope",
    "claim_client_id",
    "claim_aud",
    "claim_no__such",
    "request",
)


def shown(answer: Answer) -> dict[str, str | None]:
    return {name: answer.header(f"X-{name.replace('_', '-')}") for name in NAMES}


def test_variables_describe_the_token(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    server = nginx(guarded(upstream.url, provider.issuer, *variables(*NAMES)))
    first = shown(ask(server.port, f"/?x=1&{ALICE.parameters}"))
    assert re.fullmatch(r"\d+\.\d{3}", first["exchange_time"] or "")
    second = shown(ask(server.port, headers=ALICE.basic))
    assert second["exchange_time"] == "0.000"
    assert 3000 < int(second["token_expires_in"] or 0) <= 3595
    assert (second["claim_client_id"], second["claim_aud"]) == ("alice", AUDIENCE)
    assert (second["claim_no__such"], second["cause"]) == (None, None)
    assert second["request"] == "GET / HTTP/1.1"
    assert (first["request"] or "").startswith("GET /?x=1&client_id=alice&client_secret=***")
    assert ALICE.traces(first["request"] or "") == []


def test_variables_describe_a_denial(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    server = nginx(guarded(upstream.url, provider.issuer, *variables(*NAMES)))
    denied = shown(ask(server.port, headers=WRONG.basic))
    assert denied["cause"] == "credentials_refused"
    assert denied["token_expires_in"] is None and denied["claim_client_id"] is None
    assert shown(ask(server.port))["cause"] == "no_credentials"


def test_variables_work_in_logs_maps_and_limits(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    http = """
        log_format own '$credgate_client_id $credgate_cache_status $credgate_cause $tier';
        map $credgate_claim_client_id $tier { default none; alice gold; }
    """
    server = nginx(guarded(upstream.url, provider.issuer, "access_log own.log own"), http=http)
    log = server.directory / "own.log"
    assert ask(server.port, headers=ALICE.basic).status == 200
    assert ask(server.port).status == 401
    until(lambda: log.exists() and len(log.read_text().splitlines()) == 2, "two lines of log")
    assert log.read_text().splitlines() == ["alice MISS - gold", "- NONE no_credentials none"]


def test_library_records_reach_the_error_log(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    scripted.script(status=400, body=json.dumps({"error": "invalid_scope"}), times=1)
    server = nginx(guarded(upstream.url, scripted.issuer))
    assert ask(server.port, headers=ALICE.basic).status == 200
    until(lambda: 'refused the scope "openid"' in server.error_log.read_text(), "the record", 5)
    assert "[warn]" in server.error_log.read_text()


def test_dangerous_settings_are_logged_at_startup(tmp_path: Path) -> None:
    lines = ["credgate on", "credgate_issuer https://idp.example", "credgate_ssl_verify off"]
    result = Nginx(tmp_path / "checked", location("/", *lines)).check()
    assert result.returncode == 0
    assert "[warn]" in result.stderr and '"credgate_ssl_verify" directive is "off": anyone on the network path' in result.stderr


def test_a_warning_is_logged_once_per_configuration_load(tmp_path: Path) -> None:
    lines = ["credgate on", "credgate_issuer https://idp.example", "credgate_ssl_verify off"]
    several = "".join(location(path, *lines, f"credgate_timeout {timeout}s") for path, timeout in (("/", 1), ("/a", 2), ("/b", 3)))
    shown = location("/c", *lines, "credgate_hide_credentials off")
    result = Nginx(tmp_path / "checked", several + shown).check()
    assert result.returncode == 0
    assert result.stderr.count('"credgate_ssl_verify" directive is "off"') == 1
    assert result.stderr.count('"credgate_hide_credentials" directive is "off"') == 1
