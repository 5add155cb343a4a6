"""A gate in `access_by_lua` beside nginx's own access modules, and requests that go on without its decision."""

import json
from collections.abc import Callable

import pytest

from conftest import ALICE
from support.http import SOURCES, Client, ask
from support.lab import Provider, Scripted, Upstream, bearer, values_of
from support.nginx import Nginx, location
from support.openresty import gate, guarded, start

Start = Callable[..., Nginx]

CLIENT = {"upstream_headers_names": ["X-Client", "plain"], "upstream_headers_claims": ["sub", "sub"]}
FORGED = {"X-Client": "forged", "x_client": "forged", "X_CLIENT": "forged", "Plain": "forged"}
EXIT = "on_denied = function(denial) return ngx.exit(denial.http_status) end"


def test_guesses_from_a_denied_address_get_403_and_reach_no_provider(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    server = start(nginx, f"gate = {gate(scripted.issuer)}", guarded(upstream.url, "", "deny all"))
    for number in range(40):
        assert ask(server.port, **Client("alice", f"wrong{number}").request(SOURCES[number % 4])).status == 403
    assert ask(server.port, headers=ALICE.basic).status == 403
    assert scripted.state["token"] == 0
    assert upstream.seen == []


def test_clear_headers_removes_forged_headers_of_a_request_that_its_address_lets_in(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    clear = "rewrite_by_lua_block { gate:clear_headers() }\n"
    text = guarded(upstream.url, "", "satisfy any", "allow 127.0.0.1").replace("{\n", "{\n" + clear, 1)
    server = start(nginx, f"gate = {gate(scripted.issuer, **CLIENT)}", f"underscores_in_headers on;\n{text}")
    assert ask(server.port, headers={**ALICE.basic, **FORGED, "X-Kept": "1"}).status == 200
    assert "forged" not in upstream.last["raw"]
    assert values_of(upstream.last, "x-kept") == ["1"]
    assert values_of(upstream.last, "authorization") == []
    assert scripted.state["token"] == 0


def test_a_denied_request_carries_no_forged_headers_to_an_error_page(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    page = location("@degraded", f"proxy_pass {upstream.url}")
    text = guarded(upstream.url, EXIT, "error_page 401 = @degraded") + page
    server = start(nginx, f"gate = {gate(scripted.issuer, **CLIENT)}", f"underscores_in_headers on;\n{text}")
    for headers in ({}, ALICE.wrong().basic):
        assert ask(server.port, headers={**headers, **FORGED}).status == 200
        assert "forged" not in upstream.last["raw"]
        assert not ALICE.wrong().traces(json.dumps(upstream.last))


@pytest.mark.parametrize(("client", "status"), [(ALICE, 200), (ALICE.wrong(), 401), (None, 401)])
def test_a_target_of_auth_request_can_be_authenticated_in_rewrite_by_lua(
    nginx: Start, provider: Provider, upstream: Upstream, client: Client | None, status: int
) -> None:
    check = "rewrite_by_lua_block { gate:access() }\ncontent_by_lua_block { ngx.exit(204) }\n"
    server = start(
        nginx,
        f"gate = {gate(provider.issuer)}",
        location("/", "auth_request /auth", f"proxy_pass {upstream.url}")
        + location("= /auth", "internal").replace("{\n", "{\n" + check, 1),
    )
    for _ in range(2):
        assert ask(server.port, headers=client.basic if client else {}).status == status
    assert provider.count["token"] == (1 if client is ALICE else 2 if client else 0)
    if client is ALICE:
        # nginx shares the header with the subrequest.
        assert bearer(upstream.last)
