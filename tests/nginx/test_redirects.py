"""nginx redirects a request before a gate has finished with it: error pages and post_action."""

import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conftest import ALICE, BOB
from support.h2 import H2Connection
from support.http import FORM, SOURCES, Answer, Client, Connection, ask
from support.lab import Provider, Scripted, Upstream, bearer, values_of
from support.nginx import Nginx, gate, guarded, location
from support.process import free_port, until

Start = Callable[..., Nginx]

MOST = 200
# The bytes after a first piece of the body: more than allowed, and an invalid chunk.
BROKEN = {413: f"{MOST:x}\r\n{'x' * MOST}\r\n0\r\n\r\n".encode(), 400: b"no chunk\r\n"}


def broken_body(
    server: Nginx,
    first: str,
    then: bytes,
    target: str = "/",
    *,
    headers: dict[str, str] | None = None,
    at_once: bool = False,
) -> Answer:
    """The answer to a form whose first piece is good. The fault arrives `at_once`, or after the first piece has been read."""
    connection = Connection(server.port)

    def pieces() -> Iterator[bytes]:
        piece = f"{len(first):x}\r\n{first}\r\n".encode()
        if at_once:
            yield piece + then
            return
        yield piece
        until(lambda: server.busy == 1, "the request")
        yield then

    try:
        # Not to be split into chunks: they are.
        connection.raw.request("POST", target, pieces(), {**FORM, **(headers or {}), "Transfer-Encoding": "chunked"})
        return connection.receive()
    finally:
        connection.close()


@pytest.mark.parametrize("at_once", [True, False], ids=["at-once", "late"])
@pytest.mark.parametrize("status", BROKEN)
def test_a_truncated_body_gets_a_guarded_error_page(
    nginx: Start, provider: Provider, upstream: Upstream, status: int, at_once: bool
) -> None:
    server = nginx(
        "\n".join(f"{directive};" for directive in gate(provider.issuer))
        + f"client_max_body_size {MOST};"
        + location("/", "error_page 400 413 = @page", f"proxy_pass {upstream.url}")
        + location("@page", f"proxy_pass {upstream.url}")
    )
    # The received part of the body is not parsed for credentials.
    assert broken_body(server, ALICE.parameters, BROKEN[status], at_once=at_once).status == 401
    assert provider.count["token"] == 0
    answer = broken_body(server, ALICE.parameters, BROKEN[status], f"/?{BOB.parameters}", at_once=at_once)
    assert answer.status == 200
    seen = answer.json()
    assert bearer(seen) and seen["body"] == ""
    assert ALICE.traces(seen["raw"]) == []


@pytest.mark.parametrize("at_once", [True, False], ids=["at-once", "late"])
@pytest.mark.parametrize("status", BROKEN)
def test_a_truncated_body_is_not_forwarded_by_an_unguarded_error_page(
    nginx: Start, provider: Provider, upstream: Upstream, status: int, at_once: bool
) -> None:
    server = nginx(
        guarded(upstream.url, provider.issuer, f"client_max_body_size {MOST}", "error_page 400 413 = @open")
        + location("@open", f"proxy_pass {upstream.url}")
    )
    answer = broken_body(server, ALICE.parameters, BROKEN[status], f"/?{BOB.parameters}", at_once=at_once)
    assert answer.status == 200
    seen = answer.json()
    assert seen["body"] == ""
    assert ALICE.traces(seen["raw"]) == BOB.traces(seen["raw"]) == []


@pytest.mark.parametrize("at_once", [True, False], ids=["at-once", "late"])
@pytest.mark.parametrize("status", BROKEN)
def test_a_truncated_body_of_a_request_that_its_address_lets_in_is_not_forwarded(
    nginx: Start, scripted: Scripted, upstream: Upstream, status: int, at_once: bool
) -> None:
    allowed = ["satisfy any", "allow 127.0.0.1", f"client_max_body_size {MOST}", "error_page 400 413 = @open"]
    server = nginx(guarded(upstream.url, scripted.issuer, *allowed) + location("@open", f"proxy_pass {upstream.url}"))
    answer = broken_body(server, ALICE.parameters, BROKEN[status], headers=BOB.basic, at_once=at_once)
    assert answer.status == 200
    seen = answer.json()
    assert (seen["body"], values_of(seen, "authorization")) == ("", [])
    assert ALICE.traces(seen["raw"]) == BOB.traces(seen["raw"]) == []


def test_a_truncated_http_2_body_gets_a_guarded_error_page(
    nginx: Start, provider: Provider, upstream: Upstream
) -> None:
    server = nginx(
        "\n".join(f"{directive};" for directive in gate(provider.issuer))
        + f"client_max_body_size {MOST}; error_page 413 = /page;"
        + location("/", f"proxy_pass {upstream.url}")
    )
    connection = H2Connection(server.h2_port)
    body = f"{ALICE.parameters}&filler={'x' * MOST}"
    for headers, status in ((FORM, 401), ({**FORM, **BOB.basic}, 200)):
        answer = connection.ask(method="POST", headers=headers, body=body, told=False)
        assert answer.status == status
    connection.close()
    assert (answer.json()["line"], answer.json()["body"]) == ("GET /page HTTP/1.0", "")
    assert provider.count["token"] == 1


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("satisfy", ["any", "all"])
def test_a_denied_request_forwards_no_secret_to_an_unguarded_error_page(
    nginx: Start, provider: Provider, upstream: Upstream, satisfy: str, source: str
) -> None:
    denied = [f"satisfy {satisfy}", *(["deny all"] if satisfy == "any" else []), "error_page 401 403 = @login"]
    server = nginx(guarded(upstream.url, provider.issuer, *denied) + location("@login", f"proxy_pass {upstream.url}"))
    for client in (ALICE.wrong(), Client("nobody", "Zeisig8Hv+/%&=")):
        answer = ask(server.port, **client.request(source))
        assert answer.status == 200
        assert client.traces(answer.json()["raw"]) == []
        assert values_of(answer.json(), "authorization") == []


@pytest.mark.parametrize("guard", ["on", "off"])
def test_a_post_action_is_not_resumed_by_an_abandoned_exchange(
    nginx: Start, scripted: Scripted, upstream: Upstream, guard: str
) -> None:
    scripted.hold()
    with socket.create_server(("127.0.0.1", 0)) as after:
        server = nginx(
            "\n".join(f"{directive};" for directive in gate(scripted.issuer))
            + location("/", f"proxy_pass {upstream.url}")
            + location("= /left", "post_action /after", f"proxy_pass {upstream.url}")
            + location("= /after", f"credgate {guard}", f"proxy_pass http://127.0.0.1:{after.getsockname()[1]}")
        )
        leaving, staying = Connection(server.port), Connection(server.port)
        leaving.send("/left", headers=ALICE.basic)
        until(lambda: scripted.state["waiting"] == 1, "the exchange")
        leaving.close()
        until(lambda: "prematurely closed" in server.errors, "its leave")
        staying.send(headers=ALICE.basic)
        until(lambda: server.busy == 2, "somebody who waits for the same exchange")
        scripted.release()
        assert staying.receive().status == 200
        staying.close()
        after.settimeout(15)
        held, _ = after.accept()
        assert ask(server.port, headers=ALICE.basic).status == 200
        after.settimeout(0)
        with pytest.raises(BlockingIOError):
            after.accept()
        held.close()
        until(lambda: server.busy == 0, "its end")
    assert scripted.state["token"] == 1


def test_variables_of_a_gate_stay_valid_after_a_redirect_to_another(
    nginx: Start, provider: Provider, upstream: Upstream, tmp_path: Path
) -> None:
    shown = ["$credgate_claim_exp", "$credgate_client_id", "$http_authorization"]
    down = f"http://127.0.0.1:{free_port()}"
    headers = [f"proxy_set_header X-{number} {variable}" for number, variable in enumerate(shown)]
    server = nginx(
        f"access_log {tmp_path}/shown.log shown;"
        + guarded(down, provider.issuer, "credgate_cache_tokens off", *headers, "error_page 502 = @other")
        + guarded(upstream.url, provider.issuer, path="@other"),
        http=f"log_format shown '{' '.join(shown)}';",
    )
    for _ in range(2):
        assert ask(server.port, headers=ALICE.basic).status == 200
    until(lambda: (tmp_path / "shown.log").read_text().count("\n") == 2, "the log")
    for line in (tmp_path / "shown.log").read_text().splitlines():
        assert re.fullmatch(r"\d+ alice Bearer \*", line), line


@pytest.mark.parametrize(("status", "header"), [(401, "WWW-Authenticate"), (503, "Retry-After")])
def test_a_denial_leaves_no_headers_after_a_redirect_to_an_allowing_gate(
    nginx: Start, provider: Provider, scripted: Scripted, upstream: Upstream, status: int, header: str
) -> None:
    scripted.script(status=status, json={"error": "invalid_client"}, headers={"Retry-After": "7"})
    server = nginx(
        guarded(upstream.url, scripted.issuer)
        + guarded(upstream.url, scripted.issuer, "error_page 401 502 503 = @other", path="/led/")
        + guarded(upstream.url, provider.issuer, path="@other")
    )
    assert ask(server.port, headers=ALICE.basic).header(header)
    answer = ask(server.port, "/led/", headers=ALICE.basic)
    assert (answer.status, bearer(answer.json())[:3]) == (200, "eyJ")
    assert answer.header(header) is None
