"""The configurations that `python -m credgate migrate` writes, in nginx with the module."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import ALICE
from support.deck import deck, plugin, route, service
from support.http import SOURCES, ask
from support.lab import Provider, Upstream, bearer, values_of
from support.nginx import AUDIENCE, Nginx
from support.process import free_port

Start = Callable[..., Nginx]


@pytest.fixture
def migrated(nginx: Start) -> Callable[..., int]:
    """Runs the migrated file in nginx. Returns the port."""

    def start(text: str, *arguments: str, status: int = 0) -> int:
        port = free_port()
        command = [sys.executable, "-m", "credgate", "migrate", "--listen", f"127.0.0.1:{port}", *arguments, "-"]
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)
        assert done.returncode == status, done.stderr
        nginx("", http=done.stdout)
        return port

    return start


def gate(provider: Provider, **config: object) -> dict[str, object]:
    return plugin(provider.issuer, token_post_args_values=[AUDIENCE], allow_loopback_http=True, **config)


@pytest.mark.parametrize("source", SOURCES)
def test_guide_forwards_the_token(
    migrated: Callable[..., int], provider: Provider, upstream: Upstream, source: str
) -> None:
    port = migrated(deck(service(upstream.url, plugins=[gate(provider)])))
    answer = ask(port, **ALICE.request(source))
    assert answer.status == 200
    assert bearer(upstream.last)
    assert ALICE.traces(upstream.last["raw"]) == []
    assert ask(port, **ALICE.wrong().request(source)).status == 401
    assert ask(port).status == 401


def test_route_passes_the_path_that_kong_makes(
    migrated: Callable[..., int], provider: Provider, upstream: Upstream
) -> None:
    routes = [
        route("stripped", "/api"),
        route("kept", "/kept", strip_path=False),
        route("regex", "~/v(?<n>[0-9]+)/items"),
        route("root", "/"),
    ]
    base = service(f"{upstream.url}/base/", *routes, plugins=[gate(provider)])
    port = migrated(deck(base))
    for sent, passed in {
        "/api": "/base",
        "/api/": "/base/",
        "/api/a/b?x=1": "/base/a/b?x=1",
        "/kept/a": "/base/kept/a",
        "/v12/items/7": "/base/7",
        "/other": "/base/other",
        f"/api/a?{ALICE.parameters}&x=1": "/base/a?x=1",
    }.items():
        assert ask(port, sent, headers={} if "client_id" in sent else ALICE.basic).status == 200, sent
        assert upstream.last["line"].split()[1] == passed, sent
        assert ALICE.traces(upstream.last["raw"]) == []


def test_hosts_and_methods_choose_the_route(
    migrated: Callable[..., int], provider: Provider, upstream: Upstream
) -> None:
    closed = route("closed", "/", hosts=["api.example.com", "*.example.org"], preserve_host=True, plugins=[gate(provider)])
    port = migrated(deck(service(upstream.url, closed, route("open", "/open", methods=["GET"]))))
    assert ask(port, headers={"Host": "api.example.com"}).status == 401
    assert ask(port, headers={"Host": "a.example.org"}).status == 401
    assert ask(port, headers={"Host": "api.example.com"} | ALICE.basic).status == 200
    assert values_of(upstream.last, "host") == ["api.example.com"]
    assert ask(port, headers={"Host": "else.example.com"}).status == 404
    assert ask(port, "/open").status == 200
    assert values_of(upstream.last, "host") == [upstream.url.removeprefix("http://")]
    assert ask(port, "/open", method="DELETE").status == 404


def test_upstream_with_targets_is_one_of_nginx(
    migrated: Callable[..., int], provider: Provider, upstream: Upstream
) -> None:
    targets = [{"target": upstream.url.removeprefix("http://"), "weight": 10}, {"target": "127.0.0.1:1", "weight": 0}]
    text = deck(
        service("http://pool", plugins=[gate(provider)]), upstreams=[{"name": "pool", "targets": targets}]
    )
    assert ask(migrated(text), headers=ALICE.basic).status == 200


def test_anonymous_requests_pass_without_a_token(
    migrated: Callable[..., int], provider: Provider, upstream: Upstream
) -> None:
    port = migrated(deck(service(upstream.url, plugins=[gate(provider, anonymous="guest")])))
    assert ask(port, headers=ALICE.wrong().basic).status == 200
    assert values_of(upstream.last, "authorization") == []


def test_partial_configuration_is_closed_where_it_lost_something(
    migrated: Callable[..., int], provider: Provider, upstream: Upstream
) -> None:
    lost = route("lost", "/lost", plugins=[gate(provider, session_secret="x")])
    text = deck(service(upstream.url, lost, route("whole", "/whole", plugins=[gate(provider)])))
    port = migrated(text, "--partial", status=6)
    assert ask(port, "/lost", headers=ALICE.basic).status == 503
    assert ask(port, "/whole", headers=ALICE.basic).status == 200


def test_every_setting_of_a_gate_has_its_directive(migrated: Callable[..., int], tmp_path: Path) -> None:
    """nginx accepts what `migrate` writes for each field that Kong and Credgate have."""
    config = plugin(
        scopes=[], client_credentials_param_type=["header", "query"], leeway=5,
        token_endpoint="https://idp.example/token", token_endpoint_auth_method="client_secret_basic",
        token_headers_names=["X-A", "X-B"], token_headers_values=["1", "a b"], token_post_args_client=["scope"],
        discovery_headers_names=["X-C"], discovery_headers_values=["2"], rediscovery_lifetime=60,
        upstream_headers_names=["X-Sub"], upstream_headers_claims=["sub"], upstream_access_token_header="x-token",
        upstream_headers=[{"header": "X-Org", "path": ["org", "name"]}], expose_error_code=False, keepalive=False,
        scopes_required=["a b", "c"], scopes_claim=["scp"], audience_required=["x"], roles_required=["r"],
        groups_required=["g"], claims_forbidden=["admin"], cache_ttl=60, cache_ttl_max=120, cache_ttl_neg=3,
        http_proxy="http://proxy.example:3128", http_proxy_authorization="Basic eDp5", no_proxy="a.example,b.example",
        https_proxy="http://proxy.example:3128", https_proxy_authorization="Basic eDp5", run_on_preflight=False,
        unauthorized_error_message="No; {sorry}", forbidden_error_message="Never", issuers_allowed=["https://idp.example"],
        extra_jwks_uris=["https://idp.example/more"], jwks_endpoint="https://idp.example/jwks", cache_tokens_salt="a b",
        timeout=500, hide_credentials=False, ssl_verify=False,
    )  # fmt: skip
    migrated(deck(service(plugins=[config])))
