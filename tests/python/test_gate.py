"""The installed package against a provider."""

import base64
import gc
import os
import threading
from typing import Any

import credgate
import jwt
import pytest

from conftest import ALICE, BOB
from support.http import Client
from support.lab import Provider, Scripted
from support.process import until

SEED: dict[str, Any] = {
    "auth_methods": ["client_credentials"],
    "token_post_args_names": ["audience"],
    "token_post_args_values": ["https://example.com/"],
}


def gate(issuer: str, **config: Any) -> credgate.Gate:
    return credgate.Gate({**SEED, "issuer": issuer, "allow_loopback_http": True, **config})


def basic(client: Client, secret: str | None = None) -> str:
    pair = f"{client.id}:{client.secret if secret is None else secret}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def test_a_miss_is_followed_by_a_hit(provider: Provider) -> None:
    with_provider = gate(provider.issuer, scopes=["openid", "miss"])
    first = with_provider.authenticate(authorization=basic(ALICE))
    assert first.allowed, first
    assert (first.cache_status, first.source, first.client_id) == ("MISS", "header", "alice")
    claims = jwt.decode(first.authorization.removeprefix("Bearer "), options={"verify_signature": False})
    assert claims["aud"] == "https://example.com/"
    again = with_provider.authenticate(method=b"GET", authorization=basic(ALICE).encode())
    assert again.allowed
    assert (again.cache_status, again.authorization) == ("HIT", first.authorization)
    assert provider.count["token"] == 1


def test_a_json_body_is_searched_for_credentials(provider: Provider) -> None:
    with_provider = gate(provider.issuer, scopes=["openid", "bodies"])
    body = f'{{"client_id": "{BOB.id}", "client_secret": "{BOB.secret}", "x": 1}}'
    outcome = with_provider.authenticate(method="POST", content_type="application/json", body=body)
    assert outcome.allowed, outcome
    assert outcome.source == "body"
    assert not with_provider.authenticate(method="GET", content_type="application/json", body=body).allowed


def test_a_denial_contains_the_response(provider: Provider) -> None:
    with_provider = gate(provider.issuer)
    for outcome in (with_provider.authenticate(), with_provider.authenticate(authorization=basic(ALICE, "wrong"))):
        assert not outcome.allowed
        assert (outcome.http_status, outcome.body) == (401, '{"message":"Unauthorized"}')
        assert outcome.challenge == 'Basic realm="127.0.0.1", charset="UTF-8"'
        assert outcome.content_type == "application/json; charset=utf-8"
        assert outcome.retry_after is None


def test_a_configuration_may_be_text_or_kongs_plugin_object(provider: Provider) -> None:
    inner = f'{{"issuer": "{provider.issuer}/.well-known/openid-configuration", "allow_loopback_http": true}}'
    plugin = f'{{"name": "openid-connect", "config": {inner}}}'
    for config in (inner, plugin):
        assert credgate.Gate(config).authenticate(authorization=basic(ALICE)).allowed


@pytest.mark.parametrize(
    ("config", "code", "message"),
    [
        ({"isuer": "https://a.example"}, 2002, 'did you mean "issuer"'),
        ({"issuer": "http://a.example"}, 2003, "issuer: "),
        ("{", 2001, "not JSON"),
        ({"issuer": "https://a.example", "ssl_trusted_certificate": "/nonexistent"}, 2004, "cannot read"),
    ],
)
def test_an_invalid_configuration_raises_and_names_the_field(config: Any, code: int, message: str) -> None:
    with pytest.raises(credgate.ConfigError, match=message) as raised:
        credgate.Gate(config)
    assert raised.value.code == code
    assert isinstance(raised.value, credgate.CredgateError)


def test_arguments_of_a_wrong_type_raise_type_error() -> None:
    for call in (
        lambda: credgate.Gate(5),  # type: ignore[arg-type]
        lambda: gate("https://a.example").authenticate(authorization=5),  # type: ignore[arg-type]
        lambda: gate("https://a.example").authenticate("GET"),  # type: ignore[misc]
    ):
        with pytest.raises(TypeError):
            call()


def test_repr_contains_no_secret_and_no_token(provider: Provider) -> None:
    with_provider = gate(provider.issuer)
    allow = with_provider.authenticate(authorization=basic(ALICE))
    deny = with_provider.authenticate(authorization=basic(ALICE, "wr0ng"))
    assert repr(allow) == f"<credgate.Allow {allow.cache_status} client_id=\"alice\">"
    assert repr(deny) == "<credgate.Deny 401 MISS credentials_refused>"


def test_the_interpreter_is_released_during_an_exchange(scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)
    scripted.hold()
    outcomes: list[credgate.Allow | credgate.Deny] = []
    threads = [
        threading.Thread(target=lambda: outcomes.append(with_provider.authenticate(query="client_id=a&client_secret=b")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    until(lambda: scripted.state["waiting"] == 1, "the one exchange to arrive")
    assert outcomes == []
    scripted.release()
    for thread in threads:
        thread.join(30)
    assert sorted(outcome.cache_status for outcome in outcomes)[-1] == "MISS"
    assert all(outcome.allowed for outcome in outcomes) and len(outcomes) == 8
    assert scripted.state["token"] == 1


def test_a_forked_child_gets_its_own_engine(provider: Provider) -> None:
    with_provider = gate(provider.issuer, scopes=["openid", "fork"])
    assert with_provider.authenticate(authorization=basic(ALICE)).cache_status == "MISS"
    child = os.fork()
    if child == 0:
        statuses = [with_provider.authenticate(authorization=basic(ALICE)).cache_status for _ in range(2)]
        os._exit(0 if statuses == ["MISS", "HIT"] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert with_provider.authenticate(authorization=basic(ALICE)).cache_status == "HIT"


def test_an_outcome_outlives_its_gate(provider: Provider) -> None:
    outcome = gate(provider.issuer).authenticate()
    gc.collect()
    assert not outcome.allowed
    assert outcome.challenge == 'Basic realm="127.0.0.1", charset="UTF-8"'
