"""Credentials that the configuration itself puts into requests: they go no further, and serve the next request too."""

from collections.abc import Callable

import pytest

from conftest import ALICE
from support.h2 import H2Connection
from support.http import ask
from support.lab import Provider, Scripted, Upstream, bearer
from support.nginx import BINARY, Nginx, guarded, location

Start = Callable[..., Nginx]

HEADER = f'more_set_input_headers "Authorization: Basic {ALICE.pair}"'
QUERY = f'set $args "{ALICE.parameters}&keep=1"'
# Debian's module for headers is for Debian's nginx.
WAYS = ["set", "error-page", *(["header"] if BINARY == "nginx" else [])]


def server_of(nginx: Start, way: str, *guarded_by: str) -> Nginx:
    match way:
        case "set":
            return nginx(guarded(*guarded_by, QUERY))
        case "error-page":
            page = f'error_page 404 = "/page?{ALICE.parameters}&keep=1"'
            return nginx(location("/", "return 404", page) + guarded(*guarded_by, path="= /page"))
        case "header":
            module = "load_module /usr/lib/nginx/modules/ngx_http_headers_more_filter_module.so;"
            return nginx(guarded(*guarded_by, HEADER), main=module)
    raise ValueError(way)


@pytest.mark.parametrize("way", WAYS)
def test_credentials_set_by_the_configuration_serve_every_request(
    nginx: Start, provider: Provider, upstream: Upstream, way: str
) -> None:
    server = server_of(nginx, way, upstream.url, provider.issuer, "credgate_cache_tokens off")
    connection = H2Connection(server.h2_port)
    for _ in range(2):
        for answer in (ask(server.port), connection.ask()):
            assert answer.status == 200
            seen = answer.json()
            assert bearer(seen) and ALICE.traces(seen["raw"]) == []
            assert way == "header" or "?keep=1 " in seen["line"]
    connection.close()
    assert provider.count["token"] == provider.count["by_client"][ALICE.id] == 4


@pytest.mark.parametrize("way", WAYS)
def test_a_denial_leaves_credentials_of_the_configuration_unchanged(
    nginx: Start, scripted: Scripted, upstream: Upstream, way: str
) -> None:
    server = server_of(nginx, way, upstream.url, scripted.issuer, "credgate_cache_ttl_neg 0")
    for status in (401, 403):
        scripted.script(times=1, status=status, json={"error": "access_denied"})
        assert ask(server.port).status == status
    assert ask(server.port).status == 200
    assert scripted.state["last"]["form"]["client_secret"] == ALICE.secret
