"""`credgate_status`: the status page for people, and the report for programs."""

import base64
import hashlib
import html
import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest

from conftest import ALICE
from support.http import Answer, Client, Connection, ask
from support.lab import Provider, Scripted, Upstream
from support.nginx import Nginx, guarded, location
from support.process import free_port, gone, until

Start = Callable[..., Nginx]

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
OPERATING = (
    location("= /status", "credgate_status")
    + location("= /report", "credgate_report")
    + location("= /metrics", "credgate_metrics")
)
HOSTILE = """<script>document.title='owned'</script>"'&<img src=x onerror=alert(1)>"""
RECORDS = 24
"""The records that the zone keeps."""


def shown(server: Nginx, port: int | None = None) -> Answer:
    answer = ask(port or server.port, "/status", headers={"Accept": BROWSER})
    assert answer.status == 200, answer
    return answer


def text(answer: Answer) -> str:
    """The text of a page, with one space between its parts."""
    body = answer.body.decode().partition("</style>")[2]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


class Outline(HTMLParser):
    """The elements of a page, which must be balanced, and the cells of its tables."""

    VOID = ("meta", "rect")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ([BROWSER], "text/html"),
        (["text/html"], "text/html"),
        (["text/html", "application/json;q=0.5"], "text/html"),
        (["application/json", "text/html"], "application/json"),
        (["*/*"], "application/json"),
        (["application/json"], "application/json"),
        (["text/html;q=0"], "application/json"),
        (["image/png"], "application/json"),
        ([""], "application/json"),
        ([], "application/json"),
    ],
)
def test_browsers_get_the_page_and_programs_the_report(
    nginx: Start, provider: Provider, upstream: Upstream, accept: list[str], kind: str
) -> None:
    server = nginx(guarded(upstream.url, provider.issuer) + OPERATING)
    connection = Connection(server.port)
    connection.raw.putrequest("GET", "/status")
    for value in accept:
        connection.raw.putheader("Accept", value)
    connection.raw.endheaders()
    answer = connection.receive()
    connection.close()
    assert (answer.status, answer.header("Content-Type")) == (200, f"{kind}; charset=utf-8")
    assert answer.all("Vary") == ["Accept"]
    assert answer.all("Cache-Control") == ["no-store"]
    if kind == "application/json":
        assert answer.json() == ask(server.port, "/report").json()
        assert answer.header("Content-Security-Policy") is None
    else:
        assert answer.body.startswith(b"<!doctype html>")


def test_the_page_forbids_scripts_frames_and_caches(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    server = nginx(guarded(upstream.url, provider.issuer) + OPERATING)
    answer = shown(server)
    style = re.findall(rb"<style>(.*?)</style>", answer.body, re.DOTALL)
    assert len(style) == 1
    digest = base64.b64encode(hashlib.sha256(style[0]).digest()).decode()
    assert answer.header("Content-Security-Policy") == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    for name, value in (
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
        ("Referrer-Policy", "no-referrer"),
        ("Cache-Control", "no-store"),
    ):
        assert answer.all(name) == [value]
    assert int(answer.header("Content-Length") or 0) == len(answer.body)


def test_the_page_accepts_only_get_and_head(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    server = nginx(guarded(upstream.url, provider.issuer) + OPERATING)
    for accept in (BROWSER, "*/*"):
        headers = {"Accept": accept}
        answer = ask(server.port, "/status", method="HEAD", headers=headers)
        assert (answer.status, answer.body) == (200, b"")
        assert ask(server.port, "/status", method="POST", headers=headers, body="x").status == 405


def test_the_page_shows_requests_providers_and_latency(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    server = nginx(guarded(upstream.url, provider.issuer) + OPERATING)
    assert "no provider contacted yet" in text(shown(server))
    for _ in range(3):
        assert ask(server.port, headers=ALICE.basic).status == 200
    for _ in range(2):
        assert ask(server.port, headers=ALICE.wrong().basic).status == 401
    assert ask(server.port).status == 401
    answer = shown(server)
    page = text(answer)
    for part in (
        "Credgate all providers available",
        "1 process",
        "Requests 6 allowed and denied",
        "Cache hits 66.7%",
        "Denied 50.0%",
        "Token requests 2 half within",
        "HIT token in the cache 2 0",
        "MISS token requested 1 1",
        "NEGATIVE refused a moment ago 0 1",
        "credentials_refused 401 2",
        "no_credentials 401 1",
        f"{provider.issuer} available 1 1 0 0",
        "Recent log records None so far.",
    ):
        assert part in page, f"{part} in {page}"
    outline = Outline(answer.body.decode())
    tags = [tag for tag, _ in outline.tags]
    assert {"script", "link", "img", "iframe", "form", "a"}.isdisjoint(tags)
    assert not [attrs for _, attrs in outline.tags if any(name.startswith("on") or name in ("src", "href", "style") for name in attrs)]
    assert tags.count("table") == tags.count("thead") == 6
    assert all("scope" in attrs for tag, attrs in outline.tags if tag == "th")


def test_the_page_contains_no_secret(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    server = nginx(guarded(upstream.url, provider.issuer) + OPERATING, http="credgate_metrics_clients 9;")
    for source in ("header", "query", "form", "json"):
        assert ask(server.port, **ALICE.request(source)).status == 200
    assert ask(server.port, headers=ALICE.wrong().basic).status == 401
    page = shown(server).body
    assert b"<code>alice</code>" in page
    assert ALICE.traces(page) == [] and ALICE.wrong().traces(page) == []
    assert b"Bearer" not in page


def test_a_client_id_is_never_markup(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    scripted.script(json={"access_token": "t", "token_type": "Bearer", "expires_in": 3600})
    server = nginx(guarded(upstream.url, scripted.issuer) + OPERATING, http="credgate_metrics_clients 9;")
    assert ask(server.port, headers=Client(HOSTILE, "s3cret").basic).status == 200
    answer = shown(server)
    assert f"Client id Allowed Denied {HOSTILE} 1 0 other 0 0" in text(answer)
    outline = Outline(answer.body.decode())
    assert {"script", "img"}.isdisjoint(tag for tag, _ in outline.tags)
    assert b"&lt;script&gt;" in answer.body


def fail(server: Nginx, scripted: Scripted, count: int) -> None:
    """Makes requests while the token endpoint refuses connections: five in a row open the circuit breaker of a worker."""
    scripted.script("discovery", merge={"token_endpoint": f"http://127.0.0.1:{free_port()}/token"})
    for number in range(count):
        assert ask(server.port, headers=Client(f"c{number}", "s3cret").basic).status in (502, 503)


def test_an_open_circuit_breaker_leads_the_page(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    server = nginx(guarded(upstream.url, scripted.issuer) + OPERATING)
    fail(server, scripted, 1)
    assert f"failing: {scripted.issuer}" in text(shown(server))
    fail(server, scripted, 20)
    page = text(shown(server))
    assert f"Credgate circuit breaker open: {scripted.issuer}" in page
    assert f"{scripted.issuer} circuit breaker open" in page
    assert re.search(rf":\d\d warning {scripted.issuer}: circuit breaker open", page), page
    assert "circuit breaker open" in server.errors


def samples(server: Nginx) -> dict[str, str]:
    """The metrics of providers."""
    lines = ask(server.port, "/metrics").body.decode().splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if line.startswith("credgate_provider_"))


def test_programs_get_the_limits_of_providers(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    server = nginx(guarded(upstream.url, scripted.issuer) + OPERATING, workers=2)
    assert samples(server) == {}
    scripted.script(headers={"x-ratelimit-remaining": "100"})
    assert ask(server.port, headers=ALICE.basic).status == 200
    expected = {
        f'credgate_provider_paused{{issuer="{scripted.issuer}"}}': "0",
        f'credgate_provider_limit{{issuer="{scripted.issuer}",header="x-ratelimit-remaining"}}': "100",
    }
    until(lambda: samples(server) == expected, "the state of the worker")
    report = ask(server.port, "/report").json()
    (provider,) = report["providers"]
    assert provider["issuer"] == scripted.issuer and provider["state"] == "available"
    assert (provider["paused"], provider["granted"], provider["failed"]) == (0, 1, 0)
    assert provider["usual_seconds"] > 0 and provider["last_granted"] > 1e9
    assert provider["limits"] == {"x-ratelimit-remaining": 100}
    assert report["providers_omitted"] == 0


def test_programs_get_the_circuit_breakers(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    server = nginx(guarded(upstream.url, scripted.issuer) + OPERATING, workers=2)
    fail(server, scripted, 40)
    paused = f'credgate_provider_paused{{issuer="{scripted.issuer}"}}'
    until(lambda: samples(server).get(paused) == "1", "the circuit breaker of a worker")
    (provider,) = ask(server.port, "/report").json()["providers"]
    assert provider["state"] == "circuit breaker open" and provider["paused"] in (1, 2)


def test_the_page_is_about_all_workers_and_survives_a_reload(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    server = nginx(guarded(upstream.url, scripted.issuer) + OPERATING, workers=4)
    until(lambda: "4 processes" in text(shown(server)), "all workers")
    fail(server, scripted, 40)
    until(lambda: "circuit breaker open" in text(shown(server)), "the states of all workers")
    assert re.search(r"circuit breaker open in [1-4] of 4 processes", text(shown(server)))
    old = server.reload()
    until(lambda: all(gone(pid) for pid in old), "the old workers' end")
    page = text(shown(server))
    # The new workers have contacted no provider, but the records and the counters remain.
    assert "no provider contacted yet" in page
    assert "Requests 40" in page
    assert f"warning {scripted.issuer}: circuit breaker open" in page


def test_the_latest_records_are_kept(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    """Each issuer's refusal of the default scope is a record of its own."""
    count = RECORDS + 3
    gates = "".join(
        guarded(
            upstream.url,
            f"{scripted.issuer}/{number}",
            "credgate_using_pseudo_issuer on",
            f"credgate_token_endpoint {scripted.issuer}/token",
            "credgate_verify_signature off",
            path=f"= /{number}",
        )
        for number in range(count)
    )
    server = nginx(gates + OPERATING)
    for number in range(count):
        scripted.script(status=400, json={"error": "invalid_scope"}, times=1)
        assert ask(server.port, f"/{number}", headers=ALICE.basic).status == 200
        # Records are written once a second, and before each page.
        shown(server)
    page = text(shown(server))
    kept = [int(number) for number in re.findall(rf'{scripted.issuer}/(\d+) refused the scope "openid"', page)]
    assert kept == list(range(count - 1, count - 1 - RECORDS, -1))
    assert "more are not shown" in page


def test_without_a_gate_there_is_a_page_too(nginx: Start) -> None:
    server = nginx(OPERATING)
    assert "no provider contacted yet" in text(shown(server))
    assert ask(server.port, "/status").json()["allowed"] == {}
