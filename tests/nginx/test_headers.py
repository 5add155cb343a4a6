"""The upstream receives the headers that the core decides on, through nginx."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import ALICE
from support.http import Answer, ask
from support.lab import Provider, Upstream, bearer
from support.nginx import AUDIENCE, STATUS, Nginx, location

Start = Callable[..., Nginx]


@pytest.fixture
def gated(nginx: Start, provider: Provider, upstream: Upstream, tmp_path: Path) -> Callable[..., Nginx]:
    """An nginx whose gate has these settings besides issuer and audience."""

    def start(**settings: Any) -> Nginx:
        config = {"issuer": provider.issuer, "allow_loopback_http": True, "audience": AUDIENCE, **settings}
        (tmp_path / "gate.json").write_text(json.dumps(config))
        directives = ["credgate on", f"credgate_config {tmp_path}/gate.json", STATUS, f"proxy_pass {upstream.url}"]
        return nginx("underscores_in_headers on;\n" + location("/", *directives))

    return start


def received(answer: Answer, name: str) -> list[str]:
    """The values of a header at the upstream, under whatever spelling."""
    folded = name.lower().replace("_", "-")
    return [value for key, value in answer.json()["headers"] if key.lower().replace("_", "-") == folded and value]


CLIENT = {"upstream_headers": [{"header": "X-Client", "path": ["client_id"]}]}


def test_a_claim_header_replaces_the_clients_header(gated: Callable[..., Nginx]) -> None:
    server = gated(**CLIENT)
    forged = {"X-Client": "forged", "x_client": "forged", "X_CLIENT": "forged", "X-Other": "kept"}
    for how in ("MISS", "HIT", "HIT"):
        answer = ask(server.port, headers={**ALICE.basic, **forged})
        assert (answer.status, answer.header("X-Credgate-Status")) == (200, how)
        assert received(answer, "x-client") == ["alice"]
        assert received(answer, "x-other") == ["kept"]
        assert "forged" not in answer.json()["raw"]


def test_an_absent_claim_removes_the_clients_header(gated: Callable[..., Nginx]) -> None:
    server = gated(upstream_headers=[{"header": "X-Client", "path": ["no", "such"]}])
    for sent in ("X-Client", "x_client"):
        answer = ask(server.port, headers={**ALICE.basic, sent: "forged"})
        assert answer.status == 200
        assert received(answer, "x-client") == []
        assert "forged" not in answer.json()["raw"]


def test_claims_of_other_types_become_text_or_base64(gated: Callable[..., Nginx]) -> None:
    server = gated(upstream_headers=[{"header": "x-exp", "path": ["exp"]}, {"header": "x-aud", "path": ["aud"]}])
    for _ in range(2):
        answer = ask(server.port, headers=ALICE.basic)
        assert int(received(answer, "x-exp")[0]) > 1_700_000_000
        assert received(answer, "x-aud") == [AUDIENCE]


def test_a_token_in_another_header_forwards_no_credentials(gated: Callable[..., Nginx]) -> None:
    server = gated(upstream_access_token_header="x-token")
    answer = ask(server.port, headers=ALICE.basic)
    assert received(answer, "x-token")[0].startswith("eyJ")
    assert received(answer, "authorization") == []
    assert ALICE.traces(answer.json()["raw"]) == []


def test_anonymous_requests_pass_without_token_and_secrets(
    gated: Callable[..., Nginx], provider: Provider
) -> None:
    server = gated(anonymous=True, **CLIENT)
    wrong = type(ALICE)("alice", "Wr0ngKanarie")
    for request in ({}, {"headers": wrong.basic}, {"target": f"/?{wrong.parameters}"}):
        answer = ask(server.port, **{**request, "headers": {**request.get("headers", {}), "X-Client": "forged"}})
        assert (answer.status, answer.header("X-Credgate-Status")) == (200, "ANONYMOUS")
        assert received(answer, "authorization") == received(answer, "x-client") == []
        assert wrong.traces(answer.json()["raw"]) == []
    answer = ask(server.port, headers=ALICE.basic)
    assert (answer.header("X-Credgate-Status"), received(answer, "x-client")) == ("MISS", ["alice"])


def test_preflight_requests_can_pass(gated: Callable[..., Nginx], provider: Provider) -> None:
    server = gated(run_on_preflight=False)
    for request in ({}, {"headers": ALICE.basic}, {"target": f"/?{ALICE.parameters}"}):
        answer = ask(server.port, method="OPTIONS", **request)
        assert (answer.status, answer.header("X-Credgate-Status")) == (200, "PREFLIGHT")
        assert received(answer, "authorization") == []
        assert ALICE.traces(answer.json()["raw"]) == []
    assert ask(server.port).status == 401


def test_a_token_that_lacks_a_scope_is_forbidden_on_every_request(
    gated: Callable[..., Nginx], provider: Provider
) -> None:
    server = gated(scopes_required=["admin"])
    for _ in range(3):
        answer = ask(server.port, headers=ALICE.basic)
        assert (answer.status, answer.json()) == (403, {"message": "Forbidden"})
        assert answer.header("WWW-Authenticate") == 'Bearer realm="127.0.0.1", error="insufficient_scope", scope="admin"'
    assert provider.count["token"] == 1


def test_a_client_can_present_its_own_token(gated: Callable[..., Nginx], provider: Provider) -> None:
    server = gated(auth_methods=["client_credentials", "bearer"], audience_required=[AUDIENCE], **CLIENT)
    token = bearer(ask(server.port, headers=ALICE.basic).json())
    for how in ("MISS", "HIT"):
        answer = ask(server.port, headers={"Authorization": f"Bearer {token}"})
        assert (answer.status, answer.header("X-Credgate-Status")) == (200, how)
        assert (bearer(answer.json()), received(answer, "x-client")) == (token, ["alice"])
    forged = token[:-8] + ("AAAAAAAA" if not token.endswith("AAAAAAAA") else "BBBBBBBB")
    answer = ask(server.port, headers={"Authorization": f"Bearer {forged}"})
    assert answer.status == 401
    assert answer.header("WWW-Authenticate") == 'Basic realm="127.0.0.1", charset="UTF-8", Bearer realm="127.0.0.1", error="invalid_token"'
    assert provider.count["token"] == 1


def test_a_redirect_to_another_gate_removes_headers_of_the_first(
    nginx: Start, provider: Provider, upstream: Upstream, tmp_path: Path
) -> None:
    config = {"issuer": provider.issuer, "allow_loopback_http": True, "audience": AUDIENCE}
    (tmp_path / "first.json").write_text(json.dumps({**config, **CLIENT}))
    (tmp_path / "second.json").write_text(json.dumps(config))
    first = location("/", "credgate on", f"credgate_config {tmp_path}/first.json", "try_files /nothing /second")
    second = location("/second", "credgate on", f"credgate_config {tmp_path}/second.json", f"proxy_pass {upstream.url}")
    server = nginx(first + second)
    for _ in range(3):
        answer = ask(server.port, headers=ALICE.basic)
        assert answer.status == 200
        assert bearer(answer.json()).startswith("eyJ")
        assert received(answer, "x-client") == []
