"""`credgate dry_run`: the gate decides and logs, and every request goes on as it came."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import ALICE
from support.h2 import H2Connection
from support.http import FORM, SOURCES, Client, ask
from support.lab import FAULTS, Provider, Scripted, Upstream, break_down, values_of
from support.nginx import Nginx, gate, guarded, location

Start = Callable[..., Nginx]

CAUSE = "add_header X-Credgate-Cause $credgate_cause"


def dry(upstream: str, issuer: str, *more: str, path: str = "/") -> str:
    """A location with a dry run."""
    return guarded(upstream, issuer, CAUSE, *more, path=path).replace("credgate on", "credgate dry_run")


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("client", [ALICE, ALICE.wrong()], ids=["right", "wrong"])
def test_a_request_arrives_byte_for_byte(
    nginx: Start, provider: Provider, upstream: Upstream, client: Client, source: str
) -> None:
    server = nginx(
        "underscores_in_headers on;"
        + dry(upstream.url, provider.issuer, "credgate_upstream_header x-client sub")
        + dry(upstream.url, provider.issuer, "try_files /none @open", path="/led")
        + location("@open", f"proxy_pass {upstream.url}")
        + location("/plain", f"proxy_pass {upstream.url}")
    )
    request = client.request(source, "/plain%20/a//b")
    request["headers"] = {**request.get("headers", {}), "X-Client": "forged", "x_client": "forged"}
    expected = ask(server.port, **request).json()["raw"]
    assert client.traces(expected) and "forged" in expected
    for path in ("/gated%20", "/led%20/b"):
        request["target"] = request["target"].replace("/plain%20", path)
        answer = ask(server.port, **request)
        assert answer.status == 200
        assert answer.json()["raw"] == expected.replace("/plain%20", path)
        assert answer.header("X-Credgate-Cause") == (None if client is ALICE or path[1] == "l" else "credentials_refused")
        request["target"] = request["target"].replace(path, "/plain%20")
    assert provider.count["by_client"].keys() == {"alice"}
    assert client.traces(server.errors) == []
    if client is ALICE:
        assert re.search(r"\[info\].* credgate: dry run: would allow, cache status: MISS,", server.errors)
        assert "would deny" not in server.errors
    else:
        assert re.search(r"\[notice\].* credgate: dry run: would deny with 401, cause: credentials_refused", server.errors)


@pytest.mark.parametrize("source", SOURCES)
def test_an_http_2_request_arrives_with_its_credentials(
    nginx: Start, provider: Provider, upstream: Upstream, source: str
) -> None:
    server = nginx(dry(upstream.url, provider.issuer) + location("/plain", f"proxy_pass {upstream.url}"))
    connection = H2Connection(server.h2_port)
    request = ALICE.request(source, "/plain/x")
    expected = connection.ask(**request).json()["raw"]
    request["target"] = request["target"].replace("/plain/", "/gated/")
    for _ in range(2):
        assert connection.ask(**request).json()["raw"] == expected.replace("/plain/", "/gated/")
    connection.close()
    assert provider.count["token"] == 1


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "upstream-down"])
def test_a_failing_provider_denies_nothing(nginx: Start, scripted: Scripted, upstream: Upstream, fault: str) -> None:
    issuer, _ = break_down(fault, scripted, upstream, ALICE.secret)
    server = nginx(dry(upstream.url, issuer, "credgate_timeout 300ms"))
    answer = ask(server.port, headers=ALICE.basic)
    assert answer.status == 200
    assert values_of(answer.json(), "authorization") == [ALICE.basic["Authorization"]]
    assert re.search(r"\[notice\].*dry run: would deny with 50[24]", server.errors)
    assert ALICE.traces(server.errors) == []


def test_a_body_in_a_file_arrives_whole(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    server = nginx(dry(upstream.url, provider.issuer), http="client_body_buffer_size 1k;")
    body = f"{ALICE.parameters}&filler={'x' * 50_000}"
    for headers in (FORM, {**FORM, "Transfer-Encoding": "chunked"}):
        pieces = iter([body[:30].encode(), body[30:].encode()]) if len(headers) > 1 else body
        answer = ask(server.port, method="POST", headers=headers, body=pieces)
        assert (answer.status, answer.json()["body"]) == (200, body)
    assert provider.count["token"] == 1


def test_a_dry_run_of_a_configuration_file(
    nginx: Start, provider: Provider, upstream: Upstream, tmp_path: Path
) -> None:
    (tmp_path / "gate.json").write_text(json.dumps({"issuer": provider.issuer, "allow_loopback_http": True}))
    settings = ["credgate dry_run", f"credgate_config {tmp_path}/gate.json"]
    server = nginx(location("/", *settings, f"proxy_pass {upstream.url}"))
    assert ask(server.port).status == 200
    assert "would deny with 401, cause: no_credentials" in server.errors


def test_subrequests_pass_a_dry_run(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    server = nginx(
        location("/", "auth_request /auth", f"proxy_pass {upstream.url}")
        + dry(upstream.url, provider.issuer, "internal", path="= /auth")
    )
    assert ask(server.port).status == 200
    assert len(upstream.seen) == 2


def test_a_gate_after_a_dry_run_decides(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    server = nginx(
        dry(upstream.url, provider.issuer, "try_files /none @gated")
        + location("@gated", *gate(provider.issuer), f"proxy_pass {upstream.url}")
    )
    assert ask(server.port).status == 401
    for source in SOURCES:
        answer = ask(server.port, **ALICE.request(source))
        assert answer.status == 200
        assert ALICE.traces(answer.json()["raw"]) == []
        assert values_of(answer.json(), "authorization")[0].startswith("Bearer ")
    assert provider.count["token"] == 1
