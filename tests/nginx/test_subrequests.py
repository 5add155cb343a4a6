"""Subrequests, for which nginx runs no access phase."""

from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import ALICE
from support.http import ask
from support.lab import Provider, Upstream, bearer, values_of
from support.nginx import STATUS, Nginx, gate, guarded, location
from support.process import until

Start = Callable[..., Nginx]

DENIED = "credgate: denied a subrequest, because its main request has not passed the gate of its location"


def everywhere(issuer: str) -> str:
    """A gate for all locations of the server."""
    return "".join(f"{directive};\n" for directive in gate(issuer))


@pytest.mark.parametrize("headers", [{}, ALICE.basic, ALICE.wrong().basic], ids=["none", "right", "wrong"])
def test_a_gated_target_of_auth_request_is_denied(
    nginx: Start, provider: Provider, upstream: Upstream, headers: dict[str, str]
) -> None:
    server = nginx(
        location("/", "auth_request /auth", f"proxy_pass {upstream.url}")
        + guarded(upstream.url, provider.issuer, "internal", path="= /auth")
    )
    assert ask(server.port, headers=headers).status == 403
    assert DENIED in server.errors
    assert upstream.seen == [] and provider.count["token"] == 0


def test_an_include_from_a_location_without_a_gate_is_denied(
    nginx: Start, provider: Provider, upstream: Upstream, tmp_path: Path
) -> None:
    (tmp_path / "page.html").write_text('before <!--#include virtual="/secret" --> after')
    server = nginx(
        location("= /page.html", f"root {tmp_path}", "ssi on")
        + guarded(upstream.url, provider.issuer, path="= /secret")
    )
    for headers in ({}, ALICE.basic):
        answer = ask(server.port, "/page.html", headers=headers)
        assert b"before" in answer.body and b"403 Forbidden" in answer.body
    assert DENIED in server.errors
    assert upstream.seen == []


def test_an_include_behind_the_same_gate_gets_the_token(
    nginx: Start, provider: Provider, upstream: Upstream, tmp_path: Path
) -> None:
    (tmp_path / "page.html").write_text('<!--#include virtual="/part" -->')
    server = nginx(
        everywhere(provider.issuer)
        + location("= /page.html", f"root {tmp_path}", "ssi on")
        + location("= /part", f"proxy_pass {upstream.url}")
    )
    assert ask(server.port, "/page.html").status == 401
    answer = ask(server.port, "/page.html", headers=ALICE.basic)
    assert bearer(answer.json())
    assert ALICE.traces(answer.body) == []
    assert DENIED not in server.errors


def test_an_include_behind_another_gate_is_denied(
    nginx: Start, provider: Provider, upstream: Upstream, tmp_path: Path
) -> None:
    (tmp_path / "page.html").write_text('<!--#include virtual="/part" -->')
    server = nginx(
        everywhere(provider.issuer)
        + location("= /page.html", f"root {tmp_path}", "ssi on")
        + location("= /part", "credgate_scopes_required admin", f"proxy_pass {upstream.url}")
    )
    assert b"403 Forbidden" in ask(server.port, "/page.html", headers=ALICE.basic).body
    assert DENIED in server.errors
    assert upstream.seen == []


@pytest.mark.parametrize("off", [True, False], ids=["off", "same-gate"])
def test_a_mirror_after_a_gate_gets_the_token(
    nginx: Start, provider: Provider, upstream: Upstream, off: bool
) -> None:
    server = nginx(
        everywhere(provider.issuer)
        + location("/", "mirror /mirror", STATUS, f"proxy_pass {upstream.url}")
        + location("= /mirror", "internal", *(["credgate off"] if off else []), f"proxy_pass {upstream.url}/mirror?")
    )
    assert ask(server.port).status == 401
    for source in ("header", "query", "form"):
        upstream.reset()
        assert ask(server.port, **ALICE.request(source)).status == 200
        until(lambda: len(upstream.seen) == 2, "the mirrored request")
        for seen in upstream.seen:
            assert bearer(seen) and ALICE.traces(seen["raw"]) == []
    assert DENIED not in server.errors


def test_a_mirror_of_a_request_that_its_address_lets_in_needs_a_location_without_a_gate(
    nginx: Start, provider: Provider, upstream: Upstream
) -> None:
    server = nginx(
        everywhere(provider.issuer)
        + "satisfy any; allow 127.0.0.1; deny all;"
        + location("/denied", "mirror /with", f"proxy_pass {upstream.url}")
        + location("/", "mirror /without", f"proxy_pass {upstream.url}")
        + location("= /with", "internal", f"proxy_pass {upstream.url}/mirror?")
        + location("= /without", "internal", "credgate off", f"proxy_pass {upstream.url}/mirror?")
    )
    assert ask(server.port, "/denied", headers=ALICE.basic).status == 200
    until(lambda: DENIED in server.errors, "the denial")
    assert [seen["line"] for seen in upstream.seen] == ["GET /denied HTTP/1.0"]
    assert ask(server.port, headers=ALICE.basic).status == 200
    until(lambda: len(upstream.seen) == 3, "the mirrored request")
    for seen in upstream.seen:
        assert values_of(seen, "authorization") == [] and ALICE.traces(seen["raw"]) == []
