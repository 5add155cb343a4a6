"""The schema of the plugin for Kong Gateway: the library's fields, its judgement, and references to vaults."""

import json
from collections.abc import Callable

import pytest

from conftest import ALICE, BOB
from support.http import ask
from support.kong import VERSIONS, export, refusals
from support.kong_gateway import Gateway
from support.lab import Provider, Scripted, Upstream, bearer
from support.nginx import Nginx
from support.process import ROOT

Start = Callable[..., Nginx]
PLUGIN = ROOT / "ffi/lua/lib/kong/plugins"


@pytest.fixture
def kong(nginx: Start, upstream: Upstream) -> Gateway:
    return Gateway(nginx, upstream.url)


@pytest.mark.parametrize("version", VERSIONS)
def test_export_of_kong_is_accepted(kong: Gateway, version: str) -> None:
    answer = kong.post(export(version))
    assert answer.status == 201, answer.body
    assert ask(kong.port).status == 401
    assert "[error]" not in kong.nginx.errors


@pytest.mark.parametrize("version", VERSIONS)
def test_export_serves_requests(kong: Gateway, provider: Provider, upstream: Upstream, version: str) -> None:
    answer = kong.post(export(version, issuer=provider.issuer, allow_loopback_http=True))
    assert answer.status == 201, answer.body
    assert ask(kong.port, headers=ALICE.basic).status == 200
    assert bearer(upstream.last)


def test_every_field_that_the_library_lacks_is_refused_with_its_sentence(kong: Gateway) -> None:
    own = {"anonymous", "authenticated_groups_claim", "credential_claim"}
    own |= {"consumer_by", "consumer_claim", "consumer_optional"}
    # Kong itself refuses the text "other", which is of no field's type.
    rows = [row for row in refusals() if row[0] not in own and '"other"' not in json.dumps(row[1])]
    answer = kong.post(export("3.15", **{name: value for name, value, _ in rows}))
    assert (answer.status, answer.json()["name"]) == (400, "schema violation")
    assert answer.json()["fields"]["config"] == {name: sentence for name, _, sentence in rows}


@pytest.mark.parametrize(
    ("config", "field", "text"),
    [
        ({"issuer": "idp"}, "issuer", "is not a URL"),
        ({}, "issuer", "is missing"),
        ({"issuer": ""}, "issuer", "is missing"),
        ({"issuer": "https://idp.example", "timeout": -1}, "timeout", ""),
        ({"issuer": "https://idp.example", "login_action": "response"}, "login_action", "a field of Kong"),
        ({"issuer": "https://idp.example", "auth_methods": ["session"]}, "auth_methods", ""),
        ({"issuer": "https://idp.example", "scope": "a"}, "scope", "unknown field"),
        ({"issuer": "https://idp.example", "timeout": "soon"}, "timeout", "expected an integer"),
        ({"issuer": "https://idp.example", "anonymous": ""}, "anonymous", "length must be at least 1"),
        ({"issuer": "https://idp.example", "consumer_by": ["name"]}, "consumer_by", "expected one of"),
        ({"issuer": "https://idp.example", "client_id": ["gateway"]}, "client_id", ""),
    ],
)
def test_violation_names_its_field(kong: Gateway, config: dict[str, object], field: str, text: str) -> None:
    answer = kong.add(**config)
    assert (answer.status, answer.json()["code"]) == (400, 2)
    (found,) = answer.json()["fields"]["config"].items()
    assert found[0] == field and text in json.dumps(found[1])
    assert f"config.{field}" in answer.json()["message"]


def test_client_of_the_gateway_is_a_matter_of_the_name(kong: Gateway, provider: Provider, upstream: Upstream) -> None:
    own = {"client_id": [BOB.id], "client_secret": [BOB.secret]}
    kong.guard(provider.issuer, "credgate", **own)
    assert ask(kong.port).status == 200
    assert bearer(upstream.last) and provider.count["by_client"] == {"bob": 1}


def test_anonymous_is_not_for_a_client_of_the_gateway(kong: Gateway) -> None:
    own = {"issuer": "https://idp.example", "client_id": ["gateway"], "client_secret": ["{vault://env/secret}"]}
    answer = kong.add("credgate", **own, anonymous="guest")
    assert (answer.status, answer.json()["fields"]["config"]) == (400, {
        "anonymous": "applies to the credentials of clients; remove it, because client_id is set",
    })  # fmt: skip
    assert kong.add("credgate", **own).status == 201
    assert kong.add("credgate", issuer="https://idp.example", client_id=[], anonymous="guest").status == 201


def test_a_form_gives_numbers_booleans_and_lists(kong: Gateway) -> None:
    answer = kong.form(
        name="openid-connect", config__issuer="https://idp.example", config__timeout="500",
        config__ssl_verify="true", config__scopes=["a", "b"], config__cache_tokens_salt="",
    )  # fmt: skip
    assert answer.status == 201, answer.body
    config = answer.json()["config"]
    assert (config["timeout"], config["ssl_verify"], config["scopes"]) == (500, True, ["a", "b"])
    assert config["cache_tokens_salt"] is None


def test_maps_and_records_are_accepted(kong: Gateway, scripted: Scripted) -> None:
    kong.guard(
        scripted.issuer, token_headers={"X-B": "2", "X-A": "1"}, upstream_headers=[{"header": "X-Sub", "path": ["sub"]}]
    )
    assert ask(kong.port, headers=ALICE.basic).status == 200
    sent = dict(scripted.state["last"]["headers"])
    assert {name.lower(): value for name, value in sent.items() if name.lower().startswith("x-")} == {"x-a": "1", "x-b": "2"}


def test_references_are_not_judged_before_they_have_values(kong: Gateway) -> None:
    secret = ["{vault://env/secret}"]
    answer = kong.add(issuer="{vault://env/issuer}", token_post_args_names=["a"], token_post_args_values=secret)
    assert answer.status == 201, answer.body
    assert answer.json()["config"]["token_post_args_values"] == secret
    answer = kong.add(issuer="{vault://env/issuer}", timeout=-1)
    assert list(answer.json()["fields"]["config"]) == ["timeout"]
    answer = kong.add(issuer="{vault://env/issuer}", token_post_args_names=["a", "b"], token_post_args_values=["1"])
    assert (answer.status, len(answer.json()["fields"]["config"])) == (400, 1)
    assert "[error]" not in kong.nginx.errors


def test_new_value_of_a_reference_takes_effect(kong: Gateway, scripted: Scripted) -> None:
    names, secrets = ["audience", "key"], ["https://example.com/", "{vault://env/secret}"]
    kong.control(**{"env/secret": "one"})
    kong.guard(scripted.issuer, token_post_args_names=names, token_post_args_values=secrets)
    for value, count in (("one", 1), ("two", 2), ("two", 2), ("one", 2)):
        kong.control(**{"env/secret": value})
        assert ask(kong.port, headers=ALICE.basic).status == 200
        assert scripted.state["token"] == count
    assert scripted.state["last"]["form"]["key"] == "two"


def test_reference_that_kong_does_not_resolve_is_an_error(kong: Gateway, scripted: Scripted) -> None:
    # The stand-in does not resolve those in maps.
    kong.guard(scripted.issuer, token_headers={"X-Key": "{vault://env/secret}"})
    assert ask(kong.port, headers=ALICE.basic).status == 500
    assert "openid-connect: Kong has not resolved a reference to a vault" in kong.nginx.errors
    assert scripted.state["token"] == 0


def test_files_of_the_plugin_stay_small() -> None:
    assert sum(len(file.read_text().splitlines()) for file in PLUGIN.rglob("*.lua")) <= 620
