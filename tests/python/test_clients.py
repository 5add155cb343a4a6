"""Counters of each client in Python."""

from collections.abc import Iterator

import credgate
import pytest
from credgate.prometheus import Collector

from support.lab import Scripted


@pytest.fixture(autouse=True)
def _two_clients() -> Iterator[None]:
    credgate.configure(metrics_clients=2)
    yield
    credgate.close()
    credgate.configure()


def test_the_collector_has_the_requests_of_each_client(scripted: Scripted) -> None:
    gate = credgate.Gate(issuer=scripted.issuer, allow_loopback_http=True)
    for client, secret in (("alice", "s3cret"), ("alice", "s3cret"), ("bob", "s3cret"), ("carol", "s3cret"), ("bob", "wrong")):
        gate.authenticate(client_id=client, client_secret=secret)
    families = {family.name: family for family in Collector().collect()}
    samples = families["credgate_client_requests"].samples
    counted = {(sample.labels["client_id"], sample.labels["result"]): sample.value for sample in samples}
    assert counted == {
        ("other", "allowed"): 1,
        ("other", "denied"): 0,
        ("alice", "allowed"): 2,
        ("alice", "denied"): 0,
        ("bob", "allowed"): 1,
        ("bob", "denied"): 1,
    }
    assert "bob" not in str(credgate.report())


def test_a_label_has_the_id_as_it_is(scripted: Scripted) -> None:
    scripted.script(json={"access_token": "t", "token_type": "Bearer", "expires_in": 60})
    gate = credgate.Gate(issuer=scripted.issuer, allow_loopback_http=True)
    assert gate.authenticate(client_id='a"b\\c', client_secret="s3cret").allowed
    (family,) = (family for family in Collector().collect() if family.name == "credgate_client_requests")
    assert {sample.labels["client_id"] for sample in family.samples} == {"other", 'a"b\\c'}


def test_too_many_clients_are_an_error() -> None:
    credgate.close()
    with pytest.raises(credgate.ConfigError, match="metrics_clients: must be at most 10000"):
        credgate.configure(metrics_clients=10_001)
