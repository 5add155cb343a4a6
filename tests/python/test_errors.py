"""The exceptions of the package, as programs create, copy and pickle them."""

import copy
import pickle

import credgate
import pytest


def test_a_config_error_can_be_pickled_and_copied() -> None:
    with pytest.raises(credgate.ConfigError) as raised:
        credgate.Gate({"isuer": "https://idp.example", "timeout": -1})
    for again in (pickle.loads(pickle.dumps(raised.value)), copy.copy(raised.value)):
        assert (str(again), again.problems, again.code) == (str(raised.value), raised.value.problems, raised.value.code)
        assert {problem.field for problem in again.problems} >= {"isuer", "timeout"}


def test_an_exception_that_a_program_creates_has_its_attributes() -> None:
    denied = credgate.DeniedError("x")
    assert (denied.cause, denied.http_status, denied.retry_after) == ("internal", 500, None)
    assert (credgate.ConfigError("x").problems, credgate.ConfigError("x").code) == ((), 2003)
