"""A gate beside other access modules: its place in the access phase, and requests that go on without its decision."""

from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import ALICE
from support.h2 import H2Connection
from support.http import FORM, SOURCES, Answer, Client, ask
from support.lab import Provider, Scripted, Upstream, bearer, values_of
from support.nginx import BINARY, Nginx, gate, guarded, location

Start = Callable[..., Nginx]

ANN = Client("ann", "Pirol6Mx")
FORGED = {"X-Client": "forged", "X_Client": "forged", "X_CLIENT": "forged"}
CLAIM = "credgate_upstream_header x-client sub"
UNDERSCORES = "underscores_in_headers on;"


@pytest.fixture
def people(tmp_path: Path) -> list[str]:
    """Directives that allow ANN by her password."""
    file = tmp_path / "people"
    file.write_text(f"{ANN.id}:{{PLAIN}}{ANN.secret}\n")
    return ["auth_basic people", f"auth_basic_user_file {file}"]


def assert_bare(answer: Answer, client: Client) -> None:
    """The upstream got the request, without anything that belongs to its gate."""
    assert answer.status == 200, answer
    seen = answer.json()
    assert client.traces(seen["raw"]) == [] and "forged" not in seen["raw"]
    assert values_of(seen, "authorization") == []


def test_guesses_from_a_denied_address_get_403_and_reach_no_provider(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    server = nginx(guarded(upstream.url, scripted.issuer, "deny all"))
    for number in range(330):
        guess = Client(f"client-{number % 30}", f"wrong{number}")
        assert ask(server.port, **guess.request(SOURCES[number % 4])).status == 403
    assert ask(server.port, headers=ALICE.basic).status == 403
    assert scripted.state["token"] == 0
    assert upstream.seen == []


def test_satisfy_any_challenges_people_and_clients(
    nginx: Start, scripted: Scripted, upstream: Upstream, people: list[str]
) -> None:
    server = nginx(guarded(upstream.url, scripted.issuer, "satisfy any", *people))
    for headers in ({}, ALICE.wrong().basic):
        answer = ask(server.port, headers=headers)
        assert answer.status == 401
        assert sorted(answer.all("WWW-Authenticate")) == ['Basic realm="127.0.0.1", charset="UTF-8"', 'Basic realm="people"']
    for client in (ANN, ALICE):
        answer = ask(server.port, headers=client.basic)
        assert (answer.status, answer.all("WWW-Authenticate")) == (200, [])


def test_remote_user_remains_where_a_persons_password_is_removed(
    nginx: Start, scripted: Scripted, upstream: Upstream, people: list[str]
) -> None:
    user = "proxy_set_header X-User $remote_user"
    server = nginx(guarded(upstream.url, scripted.issuer, "satisfy any", *people, user))
    answer = ask(server.port, headers=ANN.basic)
    assert_bare(answer, ANN)
    assert ["X-User", "ann"] in answer.json()["headers"]
    assert scripted.state["token"] == 0


@pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
@pytest.mark.parametrize("source", SOURCES)
def test_a_request_that_its_address_lets_in_loses_credentials_and_forged_headers(
    nginx: Start, scripted: Scripted, upstream: Upstream, source: str, http2: bool
) -> None:
    server = nginx(UNDERSCORES + guarded(upstream.url, scripted.issuer, CLAIM, "satisfy any", "allow 127.0.0.1"))
    request = ALICE.request(source, "/orders")
    request["headers"] = {**request.get("headers", {}), **({} if http2 else FORGED), "x-client": "forged", "x-kept": "1"}
    answer = H2Connection(server.h2_port).ask(**request) if http2 else ask(server.port, **request)
    assert_bare(answer, ALICE)
    seen = answer.json()
    assert ["x-kept", "1"] in seen["headers"]
    assert "keep" in seen["line"] + seen["body"] or source == "header"
    assert values_of(seen, "content-length") == ([str(len(seen["body"]))] if seen["body"] else [])
    assert scripted.state["token"] == 0


def test_a_body_in_chunks_of_a_request_that_its_address_lets_in_is_cut(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    server = nginx(guarded(upstream.url, scripted.issuer, "satisfy any", "allow 127.0.0.1"))
    body = f"{ALICE.parameters}&keep=1".encode()
    headers = {**FORM, "Transfer-Encoding": "chunked"}
    answer = ask(server.port, method="POST", headers=headers, body=iter([body[:20], body[20:]]))
    assert_bare(answer, ALICE)
    assert answer.json()["body"] == "keep=1"


def test_a_body_that_the_gate_does_not_search_arrives_unchanged(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    server = nginx(guarded(upstream.url, scripted.issuer, "satisfy any", "allow 127.0.0.1"))
    for size in (10, 200_000):
        body = ALICE.parameters + "x" * size
        seen = ask(server.port, method="POST", headers={"Content-Type": "image/png"}, body=body).json()
        assert seen["body"] == body


def endings(upstream: str, people: list[str]) -> dict[str, list[str]]:
    """Refusals by other modules, before the gate, and by the gate itself, with a page that is not guarded."""
    return {
        "address": ["deny all", "error_page 403 = @open"],
        "password": [*people, "error_page 401 = @open"],
        "limit": ["limit_req zone=one", "error_page 503 = @open"],
        "gate": ["error_page 401 = @open"],
        "try-files": ["satisfy any", "allow all", "try_files /none @open"],
        "uri": ["deny all", "error_page 403 = /open"],
    }


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("ending", endings("", []))
def test_a_redirect_to_a_location_without_a_gate_carries_no_credentials_and_no_forged_headers(
    nginx: Start, scripted: Scripted, upstream: Upstream, people: list[str], ending: str, source: str
) -> None:
    server = nginx(
        UNDERSCORES
        + guarded(upstream.url, scripted.issuer, CLAIM, *endings(upstream.url, people)[ending])
        + location("@open", f"proxy_pass {upstream.url}")
        + location("= /open", f"proxy_pass {upstream.url}"),
        http="limit_req_zone $server_port zone=one:32k rate=1r/m;",
    )
    client = ALICE.wrong()
    request = client.request(source, "/orders")
    request["headers"] = {**request.get("headers", {}), **FORGED}
    for _ in range(2 if ending == "limit" else 1):
        answer = ask(server.port, **request)
    assert_bare(answer, client)


def test_a_second_gate_that_is_bypassed_forwards_no_token_of_the_first(
    nginx: Start, provider: Provider, upstream: Upstream
) -> None:
    server = nginx(
        guarded(upstream.url, provider.issuer, "try_files /none @second")
        + guarded(upstream.url, provider.issuer, "credgate_scopes openid", "satisfy any", "allow all", path="@second")
    )
    assert_bare(ask(server.port, headers=ALICE.basic), ALICE)


def test_a_gate_sees_the_address_that_realip_finds(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    server = nginx(
        guarded(
            upstream.url,
            scripted.issuer,
            "credgate_refusals_per_source 1",
            "set_real_ip_from 127.0.0.1",
            "real_ip_header X-Real-IP",
        )
    )
    for number in range(3):
        guess = Client(f"c{number}", "wrong")
        assert ask(server.port, headers={**guess.basic, "X-Real-IP": f"192.0.2.{number}"}).status == 401
    assert ask(server.port, headers={**Client("d", "wrong").basic, "X-Real-IP": "192.0.2.0"}).status == 429


def test_limit_except_limits_a_gate_to_methods(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    directives = "".join(f"{directive}; " for directive in gate(provider.issuer))
    server = nginx(
        f"location / {{ limit_except GET {{ {directives} }} proxy_pass {upstream.url}; }}"
        f"location /closed/ {{ {directives} limit_except GET {{ credgate off; deny all; }} proxy_pass {upstream.url}; }}"
    )
    assert ask(server.port).status == 200
    assert ask(server.port, method="DELETE").status == 401
    answer = ask(server.port, method="DELETE", headers=ALICE.basic)
    assert answer.status == 200 and bearer(answer.json())
    assert ask(server.port, "/closed/").status == 401
    assert ask(server.port, "/closed/", method="DELETE").status == 403
    assert bearer(ask(server.port, "/closed/", headers=ALICE.basic).json())


# Debian's Lua module is for Debian's nginx.
if BINARY == "nginx":

    @pytest.mark.parametrize(("postponed", "seen"), [("", ["alice"]), ("access_by_lua_no_postpone on;", [])])
    def test_access_by_lua_runs_after_the_gate_unless_it_is_not_postponed(
        nginx: Start, provider: Provider, upstream: Upstream, postponed: str, seen: list[str]
    ) -> None:
        lua = "access_by_lua_block { ngx.req.set_header('X-Seen', ngx.var.credgate_client_id or '') }\n"
        modules = [f"load_module /usr/lib/nginx/modules/{name}_module.so;" for name in ("ndk_http", "ngx_http_lua")]
        text = guarded(upstream.url, provider.issuer).replace("{\n", "{\n" + lua, 1)
        server = nginx(text, main="".join(modules), http=postponed)
        for _ in range(3):
            answer = ask(server.port, headers=ALICE.basic)
            assert (answer.status, bearer(answer.json())[:3]) == (200, "eyJ")
            assert values_of(answer.json(), "x-seen") == seen
            assert ask(server.port, headers=ALICE.wrong().basic).status == 401
