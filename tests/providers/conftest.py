"""Fixtures: each provider once for all tests, and a gateway for each."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.gateway import Gateway, NginxGateway, PythonGateway, Start, four_settings
from support.hydra import Hydra
from support.keycloak import Keycloak
from support.lab import Upstream
from support.nginx import Nginx
from support.real_provider import RealProvider

PROVIDERS = ("keycloak", "hydra")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of a provider run in one process, which starts that provider once (`--dist loadgroup`)."""
    for item in items:
        chosen = getattr(item, "callspec", None)
        names = {*getattr(item, "fixturenames", ()), *(chosen.params.values() if chosen else ())}
        for provider in PROVIDERS:
            if provider in names:
                item.add_marker(pytest.mark.xdist_group(provider))


@pytest.fixture(scope="session")
def _keycloak(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keycloak]:
    with Keycloak(tmp_path_factory.mktemp("keycloak")).start() as keycloak:
        keycloak.set_up()
        yield keycloak


@pytest.fixture(scope="session")
def _hydra(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hydra]:
    with Hydra(tmp_path_factory.mktemp("hydra")).start() as hydra:
        yield hydra


@pytest.fixture
def keycloak(_keycloak: Keycloak) -> Keycloak:
    """Keycloak, running."""
    _keycloak.revive()
    return _keycloak


@pytest.fixture
def hydra(_hydra: Hydra) -> Hydra:
    """Ory Hydra, running."""
    _hydra.revive()
    return _hydra


@pytest.fixture(params=PROVIDERS)
def idp(request: pytest.FixtureRequest) -> RealProvider:
    """Each of the providers, running."""
    provider: RealProvider = request.getfixturevalue(request.param)
    return provider


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
