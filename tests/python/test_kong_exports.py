"""Plugin objects as Kong's admin API writes them."""

import credgate
import pytest

from support.kong import GUIDE, VERSIONS, differences, export, refusals


@pytest.mark.parametrize("version", VERSIONS)
def test_export_means_what_its_operator_set(version: str) -> None:
    config, guide = credgate.Gate(export(version)).config, credgate.Gate(GUIDE).config
    assert {name for name in guide if config[name] != guide[name]} <= differences(version, config)


def test_default_methods_of_an_export_have_a_warning() -> None:
    methods = [
        "authorization_code", "bearer", "client_credentials", "introspection", "kong_oauth2", "password", "refresh_token",
        "session", "userinfo",
    ]  # fmt: skip
    gate = credgate.Gate(export("3.15", auth_methods=methods))
    assert gate.config["auth_methods"] == ["client_credentials"]
    (warning,) = (warning for warning in gate.warnings if warning.startswith("auth_methods "))
    assert [method for method in methods if method not in warning] == []


@pytest.mark.parametrize("version", VERSIONS)
def test_every_field_that_is_set_is_refused_with_its_sentence(version: str) -> None:
    rows = list(refusals())
    assert len(rows) > 200
    for name, value, sentence in rows:
        with pytest.raises(credgate.ConfigError) as raised:
            credgate.Gate(export(version, **{name: value}))
        assert raised.value.problems == (credgate.Problem(name, sentence),)


def test_error_lists_all_problems_of_an_export() -> None:
    rows = list(refusals())
    with pytest.raises(credgate.ConfigError) as raised:
        credgate.Gate(export("3.15", **{name: value for name, value, _ in rows}))
    found = {problem.field: problem.message for problem in raised.value.problems}
    assert found == {name: sentence for name, _, sentence in rows}


def test_fields_are_those_of_the_configuration_and_of_kong() -> None:
    fields = {field["name"]: field for field in credgate.config_fields()}
    own = {name for name, field in fields.items() if "remedy" not in field}
    assert own == {*credgate.Gate(issuer="https://idp.example").config, "client_auth"}
    assert fields["auth_methods"]["elements"]["one_of"] == ["client_credentials", "bearer", "introspection"]
    assert fields["client_secret"]["secret"] is True
    assert fields["refresh_ahead"] | {"description": ""} == {
        "name": "refresh_ahead", "type": "number", "default": 0.8, "kong": False, "description": "",
    }  # fmt: skip
    for name, _, sentence in refusals():
        assert sentence.endswith(fields[name]["remedy"])


@pytest.mark.parametrize("version", VERSIONS)
def test_fields_name_every_field_of_an_export(version: str) -> None:
    names = {field["name"] for field in credgate.config_fields() if field["kong"]}
    assert set(export(version)["config"]) <= names


def test_problems_name_their_fields() -> None:
    with pytest.raises(credgate.ConfigError) as raised:
        credgate.Gate(isuer="https://idp.example", timeout="1s")  # type: ignore[call-arg]
    first, second = raised.value.problems
    assert (first.field, first.message) == ("isuer", 'unknown field; did you mean "issuer"?')
    assert repr(second) == "Problem(field='timeout', message=\"invalid type: string, expected a whole number\")"
    with pytest.raises(credgate.ConfigError) as raised:
        credgate.Gate("{")
    assert [problem.field for problem in raised.value.problems] == [None]
    with pytest.raises(credgate.ConfigError) as raised:
        credgate.configure(max_waiting=0)
    assert raised.value.problems == (credgate.Problem("max_waiting", "must be at least 1"),)
