"""The four settings of the documentation, in every form, with every source of credentials."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest

from conftest import ALICE, BOB
from support.http import SOURCES, ask
from support.lab import Authority, Provider, Upstream, bearer, values_of
from support.nginx import AUDIENCE, STATUS, Nginx, gate, guarded, location

WELL_KNOWN = "/.well-known/openid-configuration"
Start = Callable[..., Nginx]


def settings(issuer: str, **more: Any) -> dict[str, Any]:
    """The four settings, and what a lab needs on top."""
    return {
        "auth_methods": ["client_credentials"],
        "issuer": issuer,
        "token_post_args_names": ["audience"],
        "token_post_args_values": [AUDIENCE],
        **more,
    }


def configured(form: str, issuer: str, directory: Path, ca: Path | None = None) -> list[str]:
    """Directives that bring the four settings in one of three forms."""
    more: dict[str, Any] = {"allow_loopback_http": True} if ca is None else {"ssl_trusted_certificate": str(ca)}
    document: Any = settings(issuer, **more)
    match form:
        case "directives":
            return gate(issuer, *([f"credgate_ssl_trusted_certificate {ca}"] if ca else []))
        case "kong":
            document = {"name": "openid-connect", "config": document}
    file = directory / "gate.json"
    file.write_text(json.dumps(document))
    return ["credgate on", f"credgate_config {file}"]


def verified(token: str, provider: Provider) -> dict[str, Any]:
    """The claims of a token, checked against the provider's keys by another implementation."""
    keys = jwt.PyJWKSet.from_dict(provider.jwks())
    key = keys[jwt.get_unverified_header(token)["kid"]]
    return jwt.decode(token, key, algorithms=["RS256"], audience=AUDIENCE, issuer=provider.issuer)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("suffix", ["", "/", WELL_KNOWN], ids=["bare", "slash", "well-known"])
@pytest.mark.parametrize("form", ["json", "kong", "directives"])
def test_the_four_settings_forward_a_token_and_no_secret(
    nginx: Start, provider: Provider, upstream: Upstream, tmp_path: Path, form: str, suffix: str, source: str
) -> None:
    directives = configured(form, provider.issuer + suffix, tmp_path)
    server = nginx(location("/", *directives, STATUS, f"proxy_pass {upstream.url}"))

    for expected in ("MISS", "HIT"):
        answer = ask(server.port, **ALICE.request(source, "/orders"))
        assert (answer.status, answer.header("X-Credgate-Status")) == (200, expected), answer
        seen = answer.json()
        assert verified(bearer(seen), provider)["client_id"] == ALICE.id
        assert ALICE.traces(seen["raw"]) == []
        assert seen["line"].split()[1] == ("/orders?keep=1" if source == "query" else "/orders")
    assert provider.count == {"token": 1, "introspection": 0, "by_client": {"alice": 1}, "refused": 0}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("form", ["json", "kong", "directives"])
def test_a_configured_private_ca_is_trusted(
    nginx: Start,
    tls_provider: Provider,
    upstream: Upstream,
    authority: Authority,
    tmp_path: Path,
    form: str,
    source: str,
) -> None:
    directives = configured(form, tls_provider.issuer + WELL_KNOWN, tmp_path, authority.ca)
    server = nginx(location("/", *directives, STATUS, f"proxy_pass {upstream.url}"))

    for expected in ("MISS", "HIT"):
        answer = ask(server.port, **BOB.request(source))
        assert (answer.status, answer.header("X-Credgate-Status")) == (200, expected), answer
        assert verified(bearer(answer.json()), tls_provider)["aud"] == AUDIENCE
        assert BOB.traces(answer.json()["raw"]) == []


def test_a_certificate_of_an_unknown_ca_is_a_502(nginx: Start, tls_provider: Provider, upstream: Upstream) -> None:
    server = nginx(guarded(upstream.url, tls_provider.issuer))
    answer = ask(server.port, headers=ALICE.basic)
    assert answer.status == 502
    assert "message" in answer.json()
    assert int(answer.header("Retry-After") or 0) > 0
    assert upstream.seen == []
    assert tls_provider.count["token"] == 0


def test_a_certificate_for_another_name_is_a_502(
    nginx: Start, tls_provider: Provider, upstream: Upstream, authority: Authority
) -> None:
    issuer = f"https://127.0.0.2:{tls_provider.port}"
    server = nginx(guarded(upstream.url, issuer, f"credgate_ssl_trusted_certificate {authority.ca}"))
    assert ask(server.port, headers=ALICE.basic).status == 502


def test_each_client_gets_its_own_token(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    server = nginx(guarded(upstream.url, provider.issuer))
    for client in (ALICE, BOB, ALICE, BOB):
        seen = ask(server.port, headers=client.basic).json()
        assert verified(bearer(seen), provider)["client_id"] == client.id
    assert provider.count["by_client"] == {"alice": 1, "bob": 1}


def test_one_token_serves_all_four_sources(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    server = nginx(guarded(upstream.url, provider.issuer))
    answers = [ask(server.port, **ALICE.request(source)) for source in SOURCES]
    assert [answer.header("X-Credgate-Status") for answer in answers] == ["MISS", "HIT", "HIT", "HIT"]
    assert len({bearer(answer.json()) for answer in answers}) == 1


def test_a_wrong_secret_never_hits_the_cache(
    nginx: Start, provider: Provider, upstream: Upstream
) -> None:
    server = nginx(guarded(upstream.url, provider.issuer))
    assert ask(server.port, headers=ALICE.basic).status == 200
    for source in SOURCES:
        answer = ask(server.port, **ALICE.wrong().request(source))
        assert answer.status == 401
        assert answer.header("X-Credgate-Status") != "HIT"
    assert len(upstream.seen) == 1
    assert ask(server.port, headers=ALICE.basic).header("X-Credgate-Status") == "HIT"


def test_the_client_id_is_a_variable(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    server = nginx(
        location(
            "/",
            *gate(provider.issuer),
            "proxy_set_header X-Client $credgate_client_id",
            f"proxy_pass {upstream.url}",
        )
    )
    seen = ask(server.port, headers={**ALICE.basic, "X-Client": "mallory"}).json()
    assert values_of(seen, "x-client") == [ALICE.id]


def test_the_token_request_is_the_grant_with_the_four_settings(
    nginx: Start, scripted: Any, upstream: Upstream
) -> None:
    server = nginx(guarded(upstream.url, scripted.issuer))
    assert ask(server.port, headers=ALICE.basic).status == 200
    last = scripted.state["last"]
    assert last["form"] == {
        "grant_type": "client_credentials",
        "scope": "openid",
        "audience": AUDIENCE,
        "client_id": ALICE.id,
        "client_secret": ALICE.secret,
    }
    assert last["line"] == "POST /token HTTP/1.1"
    assert values_of(last, "authorization") == []


def test_client_secret_basic_is_used_if_only_basic_is_listed(nginx: Start, scripted: Any, upstream: Upstream) -> None:
    scripted.script("discovery", merge={"token_endpoint_auth_methods_supported": ["client_secret_basic"]})
    server = nginx(guarded(upstream.url, scripted.issuer))
    assert ask(server.port, headers=ALICE.basic).status == 200
    last = scripted.state["last"]
    assert "client_secret" not in last["form"]
    (authorization,) = values_of(last, "authorization")
    assert authorization.startswith("Basic ")
