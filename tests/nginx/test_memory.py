"""The memory of a worker after its requests have ended holds no client's secret."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import product
from pathlib import Path

import pytest
from conftest import ALICE
from support.endpoints import GRANT
from support.h2 import H2Connection
from support.http import FORM, JSON, SOURCES, Answer, Client, Connection, ask
from support.lab import FAULTS, Authority, Provider, Scripted, Upstream, break_down
from support.memory import memory
from support.nginx import Nginx, gate, guarded, location
from support.process import until

Start = Callable[..., Nginx]

KNOWN = (ALICE, ALICE.wrong(), Client("nobody", "Zeisig8Hv+/%&="))


def worker(server: Nginx) -> int:
    (pid,) = server.workers
    return pid


def traces(pid: int, clients: tuple[Client, ...] = KNOWN) -> list[bytes]:
    """The secrets found in each mapping."""
    return [trace for mapping in memory(pid) for client in clients for trace in client.traces(mapping)]


def assert_clean(server: Nginx) -> None:
    """Once nobody is served. A buffer that all of HTTP/2 shares is wiped within a second, by a timer."""
    until(lambda: server.busy == 0, "the requests' end")
    with suppress(TimeoutError):
        until(lambda: traces(worker(server)) == [], "the timer", 5)
    assert traces(worker(server)) == []


def everybody(server: Nginx, target: str = "/", **more: object) -> Iterator[Answer]:
    """All clients present themselves in all places, over both protocols."""
    connection = H2Connection(server.h2_port)
    for client, source in product(KNOWN, SOURCES):
        request = {**client.request(source, target), **more}
        yield ask(server.port, **request)
        yield connection.ask(**request)
    connection.close()


def test_the_canary_is_seen_while_a_request_waits(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    scripted.hold()
    server = nginx(guarded(upstream.url, scripted.issuer))
    waiting = Connection(server.port)
    waiting.send(**ALICE.request("form"))
    until(lambda: scripted.state["waiting"] == 1, "the exchange")
    assert traces(worker(server))
    waiting.close()
    scripted.release()
    assert_clean(server)


def test_nothing_stays_after_success_and_refusal(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    server = nginx(guarded(upstream.url, provider.issuer))
    for _ in range(2):
        assert {answer.status for answer in everybody(server)} == {200, 401}
    assert_clean(server)


@pytest.mark.parametrize("method", ["client_secret_post", "client_secret_basic"])
def test_nothing_stays_of_an_exchange_over_tls(
    nginx: Start, tls_provider: Provider, upstream: Upstream, authority: Authority, method: str
) -> None:
    more = [f"credgate_ssl_trusted_certificate {authority.ca}", f"credgate_token_endpoint_auth_method {method}"]
    server = nginx(guarded(upstream.url, tls_provider.issuer, *more))
    list(everybody(server))
    assert_clean(server)


def test_nothing_stays_of_a_head_request(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    server = nginx(guarded(upstream.url, provider.issuer))
    for client, source in product(KNOWN, ("header", "query")):
        ask(server.port, **{**client.request(source), "method": "HEAD"})
    assert_clean(server)


@pytest.mark.parametrize("size", [2_000, 30_000])
def test_nothing_stays_of_a_body_that_nginx_wrote_to_a_file(
    nginx: Start, provider: Provider, upstream: Upstream, size: int
) -> None:
    server = nginx(guarded(upstream.url, provider.issuer), http="client_body_buffer_size 1k;")
    connection = H2Connection(server.h2_port)
    for client in KNOWN:
        for asker in (lambda **request: ask(server.port, **request), connection.ask):
            filler = "x" * size
            answer = asker(method="POST", headers=FORM, body=f"{client.parameters}&filler={filler}")
            assert answer.status == (200 if client is ALICE else 401)
            asker(method="POST", headers=JSON, body=client.document.replace("1}", f'"{filler}"}}'))
    connection.close()
    assert_clean(server)


def test_nothing_stays_of_a_body_in_chunks(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    server = nginx(guarded(upstream.url, provider.issuer))
    for client in KNOWN:
        body = client.parameters
        for cut in (1, len(body) // 2, len(body)):
            connection = Connection(server.port)
            pieces = [piece.encode() for piece in (body[:cut], body[cut:]) if piece]
            connection.send(method="POST", headers={**FORM, "Transfer-Encoding": "chunked"}, body=pieces)
            assert connection.receive().status == (200 if client is ALICE else 401)
            connection.close()
    assert_clean(server)


@pytest.mark.parametrize("page", ["", "error_page 413 @page"], ids=["plain", "error-page"])
def test_nothing_stays_of_a_truncated_body(
    nginx: Start, provider: Provider, upstream: Upstream, page: str
) -> None:
    more = ["client_max_body_size 200", *filter(None, [page])]
    server = nginx(guarded(upstream.url, provider.issuer, *more) + guarded(upstream.url, provider.issuer, path="@page"))
    for client in KNOWN:
        pieces = [client.parameters.encode(), b"&filler=" + b"x" * 200 + client.parameters.encode()]
        connection = Connection(server.port)
        connection.send(method="POST", headers={**FORM, "Transfer-Encoding": "chunked"}, body=pieces)
        assert connection.receive().status == 413
        connection.close()
    assert_clean(server)


def test_nothing_stays_behind_an_error_page(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    page = location("= /denied", f"proxy_pass {upstream.url}")
    other = location("@other", f"proxy_pass {upstream.url}")
    server = nginx(
        guarded(upstream.url, provider.issuer, "error_page 401 /denied")
        + guarded(upstream.url, provider.issuer, "error_page 401 @other", path="/named/")
        + guarded(upstream.url, provider.issuer, "satisfy any", "deny all", "error_page 401 403 @other", path="/any/")
        + page
        + other
    )
    for target in ("/", "/named/", "/any/"):
        for _ in everybody(server, target):
            assert [client.traces(str(upstream.last["body"])) for client in KNOWN] == [[]] * len(KNOWN)
    assert_clean(server)


@pytest.mark.parametrize("change", ["rewrite ^ /new?more=1 break", "set $args $args&more=1", "set $args more=1&$args"])
@pytest.mark.parametrize("size", [10, 3_000, 6_000])
def test_nothing_stays_of_rewritten_arguments_and_large_header_buffers(
    nginx: Start, provider: Provider, upstream: Upstream, change: str, size: int
) -> None:
    server = nginx(guarded(upstream.url, provider.issuer, change))
    filler = "x" * size
    for client, source in product(KNOWN, ("header", "query")):
        request = client.request(source, f"/?filler={filler}")
        request["target"] = request["target"].replace("?client_id", "&client_id")
        for before, after in ((size, 7_000), (10, size), (size, 10)):
            headers = {"X-Before": "x" * before, **request.get("headers", {}), "X-After": "x" * after}
            ask(server.port, **{**request, "headers": headers})
            # The next request would be read to the same memory.
            until(lambda: not traces(worker(server)), "the request's end")


@pytest.mark.parametrize("fault", FAULTS)
def test_nothing_stays_after_failures(nginx: Start, scripted: Scripted, upstream: Upstream, fault: str) -> None:
    issuer, backend = break_down(fault, scripted, upstream, ALICE.secret)
    server = nginx(guarded(backend, issuer, "credgate_timeout 300ms"))
    assert {answer.status for answer in everybody(server)} <= {401, 502, 503, 504}
    scripted.release()
    assert_clean(server)


def test_nothing_stays_of_requests_in_the_first_packet_of_a_connection(
    nginx: Start, provider: Provider, scripted: Scripted, upstream: Upstream
) -> None:
    server = nginx(
        guarded(upstream.url, provider.issuer) + guarded(upstream.url, scripted.issuer, path="/held/"),
    )
    scripted.hold()
    for source in SOURCES:
        connection = H2Connection(server.h2_port, silent=True)
        assert connection.ask(**ALICE.request(source)).status == 200
        connection.close()
        connection = H2Connection(server.h2_port, silent=True)
        connection.send(**ALICE.request(source, "/held/"))
        until(lambda: server.busy >= 1, "the request")
        connection.close()
        until(lambda: server.busy == 0, "its end")
    scripted.release()
    assert_clean(server)


def test_nothing_stays_of_disconnected_clients(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    scripted.hold()
    server = nginx(guarded(upstream.url, scripted.issuer))
    connection = H2Connection(server.h2_port)
    for source in SOURCES:
        leaving = Connection(server.port)
        request = ALICE.request(source)
        # Further on in a buffer than what is read into it later.
        request["headers"] = {"X-Before": "x" * 400, **request.get("headers", {})}
        leaving.send(**request)
        stream = connection.send(**request)
        until(lambda: server.busy >= 2, "the requests")
        leaving.close()
        connection.cancel(stream)
    connection.close()
    until(lambda: server.busy == 0, "their end")
    scripted.release()
    assert_clean(server)


def test_no_memory_holds_the_secret_of_a_named_header(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    names = ["credgate_client_id_header X-Client-Id", "credgate_client_secret_header X-Client-Secret"]
    server = nginx(
        guarded(upstream.url, scripted.issuer, *names)
        + guarded(upstream.url, scripted.issuer, *names, "credgate_hide_credentials on", "deny all", path="/denied/")
    )
    connection = H2Connection(server.h2_port)
    for client, target in product(KNOWN, ("/", "/denied/")):
        headers = {"X-Client-Id": client.id, "X-Client-Secret": client.secret, "X-Long": "x" * 3000}
        ask(server.port, target, headers=headers)
        connection.ask(target=target, headers=headers)
    connection.close()
    assert_clean(server)


def test_services_leave_no_secret(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    settings = gate(provider.issuer)[1:]
    server = nginx(
        location("= /token", *settings, "credgate_token")
        + location("= /check", *settings, "credgate_check")
        + location(
            "/asking",
            "auth_request /check",
            "auth_request_set $token $sent_http_authorization",
            "proxy_set_header Authorization $token",
            f"proxy_pass {upstream.url}",
        )
    )
    connection = H2Connection(server.h2_port)
    for client in KNOWN:
        form = {"method": "POST", "headers": FORM, "body": f"{GRANT}&{client.parameters}"}
        for request in (
            {**form, "target": "/token"},
            {**form, "target": f"/token?{client.parameters}"},
            {**form, "target": "/token", "headers": {**FORM, **client.basic}, "body": GRANT},
            {"target": "/check", "headers": client.basic},
            {"target": "/asking", "headers": client.basic},
        ):
            ask(server.port, **request)
            connection.ask(**request)
    connection.close()
    assert_clean(server)


def test_no_memory_holds_the_gateways_secret_of_a_file(
    nginx: Start, provider: Provider, upstream: Upstream, tmp_path: Path
) -> None:
    file = tmp_path / "gateway.secret"
    file.write_text(f"{ALICE.secret}\n")
    own = (f"credgate_client_id {ALICE.id}", f"credgate_client_secret_file {file}", "credgate_cache_tokens off")
    server = nginx(guarded(upstream.url, provider.issuer, *own))
    for _ in range(5):
        assert ask(server.port).status == 200
    assert_clean(server)
