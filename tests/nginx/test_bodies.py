"""Request bodies: read no further than the gate needs, and files that keep no secret."""

import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conftest import ALICE
from support.h2 import H2Connection
from support.http import FORM, JSON, Connection, ask
from support.lab import Provider, Scripted, Upstream
from support.nginx import Nginx, guarded
from support.process import until

Start = Callable[..., Nginx]

CHUNKED = {"Transfer-Encoding": "chunked"}
SPOOLED = "request body is buffered to a temporary file"
LARGE = 4_000_000


def pieces(body: bytes, size: int = 60_000) -> Iterator[bytes]:
    return (body[start : start + size] for start in range(0, len(body), size))


@pytest.mark.parametrize("headers", [FORM, JSON, {"Content-Type": "text/plain"}], ids=["form", "json", "text"])
def test_a_chunked_body_is_not_spooled_beside_a_valid_header(
    nginx: Start, provider: Provider, upstream: Upstream, headers: dict[str, str]
) -> None:
    streamed = ("proxy_request_buffering off", "proxy_http_version 1.1", "client_max_body_size 0")
    server = nginx(guarded(upstream.url, provider.issuer, *streamed))
    for _ in range(2):
        answer = ask(
            server.port, method="POST", headers={**headers, **ALICE.basic, **CHUNKED}, body=pieces(b"x" * LARGE)
        )
        assert (answer.status, len(answer.json()["body"])) == (200, LARGE)
    assert SPOOLED not in server.errors


def test_a_chunked_body_beside_a_valid_header_arrives_unchanged(
    nginx: Start, provider: Provider, upstream: Upstream
) -> None:
    server = nginx(guarded(upstream.url, provider.issuer))
    body = b"a=1&b=2&" + b"x" * 100_000
    answer = ask(server.port, method="POST", headers={**FORM, **ALICE.basic, **CHUNKED}, body=pieces(body, 700))
    assert (answer.status, answer.json()["body"].encode()) == (200, body)


@pytest.mark.parametrize("headers", [FORM, JSON], ids=["form", "json"])
def test_a_chunked_body_above_the_maximum_is_refused_before_it_is_spooled(
    nginx: Start, provider: Provider, upstream: Upstream, headers: dict[str, str]
) -> None:
    server = nginx(
        guarded(upstream.url, provider.issuer, "client_max_body_size 0", "client_body_in_file_only on")
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: {headers['Content-Type']}\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode())
        # The rest of the body never follows.
        connection.sendall(b"%x\r\n" % LARGE + b"x" * 100_000)
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")
    server.stop(signal.SIGQUIT)
    files = [file.stat().st_size for file in (server.directory / "client_body").rglob("*") if file.is_file()]
    assert sum(files) <= 65_536
    assert provider.count["token"] == 0 and upstream.seen == []


def test_an_http_2_body_without_length_is_refused_above_the_maximum(
    nginx: Start, provider: Provider, upstream: Upstream
) -> None:
    server = nginx(guarded(upstream.url, provider.issuer, "credgate_max_body_bytes 1k"))
    connection = H2Connection(server.h2_port)
    for size, status in ((500, 200), (2_000, 413)):
        body = f"{ALICE.parameters}&filler={'x' * size}"
        answer = connection.ask(method="POST", headers=FORM, body=body, told=False)
        assert answer.status == status
    connection.close()


def test_an_optional_gate_passes_a_large_chunked_body(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    server = nginx(guarded(upstream.url, provider.issuer).replace("credgate on", "credgate optional"))
    body = b"a=1&" + b"x" * 200_000
    answer = ask(server.port, method="POST", headers={**FORM, **CHUNKED}, body=pieces(body))
    assert (answer.status, answer.json()["body"].encode()) == (200, body)


@pytest.mark.parametrize("client", [ALICE, ALICE.wrong()], ids=["right", "wrong"])
@pytest.mark.parametrize("source", ["form", "json"])
@pytest.mark.parametrize("setting", ["on", "clean"])
def test_a_file_of_the_body_keeps_no_secret(
    nginx: Start, provider: Provider, upstream: Upstream, setting: str, source: str, client: object
) -> None:
    named = ("proxy_set_header X-File $request_body_file", "proxy_set_header X-Request-File-Kept 1")
    server = nginx(guarded(upstream.url, provider.issuer, f"client_body_in_file_only {setting}", *named))
    for _ in range(2):
        answer = ask(server.port, **client.request(source))  # type: ignore[attr-defined]
        if client is ALICE:
            seen = answer.json()
            file = Path(dict(seen["headers"])["X-File"])
            assert answer.status == 200 and ALICE.traces(seen["raw"]) == []
            if setting == "on":
                assert file.read_text() == seen["body"] != ""
        else:
            assert answer.status == 401
    server.stop(signal.SIGQUIT)
    files = [file.read_bytes() for file in (server.directory / "client_body").rglob("*") if file.is_file()]
    assert len(files) == (2 if setting == "on" else 0)
    assert client.traces(*files) == []  # type: ignore[attr-defined]


def test_a_file_of_the_body_keeps_no_secret_of_a_disconnected_client(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    scripted.hold()
    server = nginx(guarded(upstream.url, scripted.issuer, "client_body_in_file_only on"))
    connection = Connection(server.port)
    connection.send(**ALICE.request("form"))
    until(lambda: scripted.state["waiting"] == 1, "the exchange")
    connection.close()
    until(lambda: server.busy == 0, "its end")
    server.stop(signal.SIGQUIT)
    files = [file.read_bytes() for file in (server.directory / "client_body").rglob("*") if file.is_file()]
    assert files == [b""]
