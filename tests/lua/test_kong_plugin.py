"""The plugin for Kong Gateway, in a stand-in of Kong."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import ALICE, BOB
from support.http import SOURCES, ask
from support.kong_gateway import GUIDE, Gateway
from support.lab import Authority, Provider, Scripted, Upstream, bearer, values_of
from support.nginx import Nginx

NAMES = ("openid-connect", "credgate")

Start = Callable[..., Nginx]


@pytest.fixture
def kong(nginx: Start, upstream: Upstream) -> Gateway:
    return Gateway(nginx, upstream.url)


def test_command_of_the_guide_is_accepted(kong: Gateway, provider: Provider, upstream: Upstream) -> None:
    answer = kong.form(
        name="openid-connect", config__auth_methods="client_credentials", config__issuer=provider.issuer,
        config__allow_loopback_http="true", **GUIDE,
    )  # fmt: skip
    assert answer.status == 201, answer.body
    assert answer.json()["config"]["token_post_args_names"] == ["audience"]
    assert ask(kong.port, headers=ALICE.basic).status == 200
    assert bearer(upstream.last)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("name", NAMES)
def test_credentials_become_a_token(
    kong: Gateway, provider: Provider, upstream: Upstream, name: str, source: str
) -> None:
    kong.guard(provider.issuer, name)
    for _ in range(2):
        assert ask(kong.port, **ALICE.request(source, "/orders")).status == 200
        assert bearer(upstream.last)
        assert upstream.last["line"].split()[1].startswith("/orders")
        assert ALICE.traces(json.dumps(upstream.last)) == []
    assert provider.count["token"] == 1
    assert ALICE.traces(kong.written) == []


@pytest.mark.parametrize("source", SOURCES)
def test_wrong_credentials_are_denied(kong: Gateway, provider: Provider, upstream: Upstream, source: str) -> None:
    kong.guard(provider.issuer)
    answer = ask(kong.port, **ALICE.wrong().request(source))
    assert answer.status == 401
    assert answer.json() == {"message": "Unauthorized"}
    assert answer.header("Content-Type") == "application/json; charset=utf-8"
    assert answer.header("WWW-Authenticate")
    assert answer.header("X-Kong-Response-Latency") == "0", "kong.response.exit"
    assert not upstream.last
    assert ALICE.traces(kong.written) == []


def test_request_without_credentials_is_denied(kong: Gateway, provider: Provider, upstream: Upstream) -> None:
    kong.guard(provider.issuer)
    assert ask(kong.port).status == 401
    assert not upstream.last and provider.count["token"] == 0


def test_unavailable_provider_is_not_the_fault_of_the_client(
    kong: Gateway, scripted: Scripted, upstream: Upstream
) -> None:
    kong.guard(scripted.issuer)
    scripted.script(status=429, headers={"Retry-After": "7"})
    answer = ask(kong.port, headers=ALICE.basic)
    assert answer.status in (502, 503)
    assert answer.header("Retry-After") is not None
    assert not upstream.last


def test_preflight_passes_without_a_forged_identity(kong: Gateway, provider: Provider, upstream: Upstream) -> None:
    kong.add("observer")
    kong.guard(provider.issuer, run_on_preflight=False)
    forged = {"X-Consumer-ID": "root", "X-Authenticated-Groups": "admin", "X-Credential-Identifier": "x"}
    preflight = {"Origin": "https://app.example", "Access-Control-Request-Method": "GET"}
    answer = ask(kong.port, method="OPTIONS", headers=forged | preflight)
    assert (answer.status, answer.header("X-Seen-Credential")) == (200, None)
    for name in forged:
        assert values_of(upstream.last, name.lower()) == []


def test_change_of_another_plugin_costs_no_token(kong: Gateway, provider: Provider) -> None:
    kong.guard(provider.issuer)
    for _ in range(3):
        assert ask(kong.port, headers=ALICE.basic).status == 200
        kong.add("observer")
        kong.control()
    assert provider.count["token"] == 1


COMPILED = """
local credgate = require "resty.credgate"
local new = credgate.new

function credgate.new(...)
    ngx.log(ngx.NOTICE, "compiled")
    return new(...)
end
"""


def test_gates_are_made_once_for_equal_configurations(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    kong = Gateway(nginx, upstream.url, init=COMPILED)
    kong.guard(provider.issuer)
    assert kong.nginx.errors.count("compiled") == 2, "to validate, and to configure"
    kong.add("observer")
    for _ in range(3):
        assert ask(kong.port, headers=ALICE.basic).status == 200
    assert kong.nginx.errors.count("compiled") == 2
    kong.guard(provider.issuer)
    assert kong.nginx.errors.count("compiled") == 3, "to validate"


def test_gate_that_cannot_be_made_is_remembered(nginx: Start, upstream: Upstream) -> None:
    kong = Gateway(nginx, upstream.url, init=COMPILED)
    kong.guard("{vault://env/none}")
    for _ in range(3):
        assert ask(kong.port, headers=ALICE.basic).status == 500
    assert kong.nginx.errors.count("compiled") == 2
    assert "[kong] openid-connect: issuer: is missing" in kong.nginx.errors


def test_error_of_a_configuration_is_logged_when_it_is_loaded(
    nginx: Start, upstream: Upstream, tmp_path: Path
) -> None:
    kong = Gateway(nginx, upstream.url, configuration={"lua_ssl_trusted_certificate_combined": str(tmp_path / "none")})
    kong.guard("https://idp.example")
    assert "[kong] openid-connect: ssl_trusted_certificate" in kong.nginx.errors


# A gate drops only a token that is ten seconds old: the report is observed.
REPORT = """
local outcomes = require "resty.credgate.outcome"

function outcomes.upstream_status(_, http_status)
    ngx.log(ngx.NOTICE, "the upstream returned ", http_status)
    return http_status == 401
end
"""


@pytest.mark.parametrize("buffered", [False, True])
def test_status_of_the_upstream_is_reported(nginx: Start, provider: Provider, buffered: bool) -> None:
    refusing = nginx("location / { return 401; }", loaded=False)
    kong = Gateway(nginx, f"http://127.0.0.1:{refusing.port}", init=REPORT)
    kong.guard(provider.issuer)
    if buffered:
        kong.add("buffering")
    assert ask(kong.port, headers=ALICE.wrong().basic).status == 401
    assert b"the upstream returned" not in kong.written
    assert ask(kong.port, headers=ALICE.basic).status == 401
    assert b"the upstream returned 401" in kong.written
    assert b"dropped the token" in kong.written


def test_own_credentials_of_the_gateway_keep_the_identity_of_the_client(
    kong: Gateway, provider: Provider, upstream: Upstream
) -> None:
    kong.add("key-auth")
    kong.add("observer")
    kong.guard(provider.issuer, "credgate", client_id=[BOB.id], client_secret=[BOB.secret])
    assert ask(kong.port).status == 401
    answer = ask(kong.port, headers={"apikey": "carol"})
    assert answer.status == 200
    assert (answer.header("X-Seen-Consumer"), answer.header("X-Seen-Credential")) == ("c-carol", "k-carol")
    assert values_of(upstream.last, "x-consumer-id") == ["c-carol"]
    assert bearer(upstream.last)


def test_trust_file_of_kong_verifies_the_provider(
    nginx: Start, tls_provider: Provider, upstream: Upstream, authority: Authority
) -> None:
    trusting = Gateway(nginx, upstream.url, configuration={"lua_ssl_trusted_certificate_combined": str(authority.ca)})
    trusting.guard(tls_provider.issuer)
    assert ask(trusting.port, headers=ALICE.basic).status == 200
    other = Gateway(nginx, upstream.url)
    other.guard(tls_provider.issuer)
    assert ask(other.port, headers=ALICE.basic).status == 502
    other.guard(tls_provider.issuer, ssl_trusted_certificate=str(authority.ca))


def test_options_of_the_engine_come_from_the_environment(
    nginx: Start, provider: Provider, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store = tmp_path / "store/tokens.db"
    monkeypatch.setenv("CREDGATE_ENGINE", json.dumps({"store": f"sqlite:{store}"}))
    kong = Gateway(nginx, upstream.url)
    kong.guard(provider.issuer)
    assert ask(kong.port, headers=ALICE.basic).status == 200
    assert store.exists()
    assert "CREDGATE_ENGINE" not in kong.nginx.errors


def test_wrong_options_of_the_engine_are_logged_once(
    nginx: Start, provider: Provider, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDGATE_ENGINE", '{"max_waiting": 0}')
    kong = Gateway(nginx, upstream.url)
    kong.guard(provider.issuer)
    assert ask(kong.port, headers=ALICE.basic).status == 200
    assert kong.nginx.errors.count("CREDGATE_ENGINE: engine options: max_waiting: must be at least 1") == 1
