"""Fixtures: each provider once for all tests, and a gateway for each."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from support.gateway import Gateway, NginxGateway, PythonGateway, Start, four_settings
from support.hydra import Hydra
from support.keycloak import Keycloak
from support.lab import Authority, Upstream
from support.nginx import Nginx
from support.real_provider import RealProvider

PROVIDERS = ("keycloak", "hydra")


class ByProvider(LoadScopeScheduling):
    """Runs all tests of a provider in one process, which starts that provider once."""

    def _split_scope(self, nodeid: str) -> str:
        parameters = nodeid.partition("[")[2]
        return next((provider for provider in PROVIDERS if provider in parameters), nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByProvider:
    return ByProvider(config, log)


@pytest.fixture(scope="session")
def _keycloak(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Keycloak]:
    with Keycloak(tmp_path_factory.mktemp("keycloak"), authority).start() as keycloak:
        keycloak.set_up()
        yield keycloak


@pytest.fixture(scope="session")
def _hydra(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hydra]:
    with Hydra(tmp_path_factory.mktemp("hydra")).start() as hydra:
        yield hydra


def running(request: pytest.FixtureRequest) -> RealProvider:
    provider: RealProvider = request.getfixturevalue(f"_{request.param}")
    provider.revive()
    return provider


# With one parameter each, so that the names of all tests contain their provider.
@pytest.fixture(params=["keycloak"])
def keycloak(request: pytest.FixtureRequest) -> RealProvider:
    """Keycloak, running."""
    return running(request)


@pytest.fixture(params=["hydra"])
def hydra(request: pytest.FixtureRequest) -> RealProvider:
    """Ory Hydra, running."""
    return running(request)


@pytest.fixture(params=PROVIDERS)
def provider(request: pytest.FixtureRequest) -> RealProvider:
    """Each of the providers, running."""
    return running(request)


@pytest.fixture
def through_nginx(nginx: Callable[..., Nginx], upstream: Upstream, tmp_path: Path) -> Start:
    """Starts an nginx with one gate: the four settings, and more."""

    def start(issuer: str, **more: object) -> Gateway:
        return NginxGateway(nginx, tmp_path, upstream, four_settings(issuer, **more))

    return start


@pytest.fixture
def through_python() -> Start:
    """Makes a gate in Python: the four settings, and more."""
    return lambda issuer, **more: PythonGateway(four_settings(issuer, **more))


@pytest.fixture(params=["nginx", "python"])
def gateway(request: pytest.FixtureRequest) -> Start:
    """Starts a gateway of each kind: the four settings, and more."""
    start: Start = request.getfixturevalue(f"through_{request.param}")
    return start
