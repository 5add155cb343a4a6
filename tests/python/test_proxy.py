"""`python -m credgate proxy`: the development proxy, with a real upstream."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from conftest import ALICE, BOB
from support.http import FORM, SOURCES, Connection, ask
from support.lab import Provider, Scripted, Upstream, bearer, values_of
from support.local import serving
from support.process import Service, free_port, until
from support.python import UNVERIFIED, unsigned

COMMAND = [sys.executable, "-m", "credgate", "proxy", "--set", "allow_loopback_http=true"]


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, _provider: Provider, _upstream: Upstream) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("proxy")
    config = {"issuer": _provider.issuer, "max_body_bytes": 1000, "upstream_headers": [{"header": "x-client", "path": ["client_id"]}]}
    (directory / "gate.json").write_text(json.dumps(config))
    port = free_port()
    command = [*COMMAND, "--config", str(directory / "gate.json"), "--audience", "https://example.com/"]
    command += ["--upstream", f"{_upstream.url}/base", "--listen", f"127.0.0.1:{port}"]
    with Service(command, directory / "log", port=port).start() as service:
        yield service


@pytest.mark.parametrize("source", SOURCES)
def test_the_upstream_receives_a_token_and_no_secret(source: str, proxy: Service, upstream: Upstream) -> None:
    response = ask(proxy.port, **ALICE.request(source, "/x/%2F?a=%41" if source == "header" else "/x"))
    assert response.status == 200
    seen = upstream.last
    assert bearer(seen).startswith("eyJ")
    assert values_of(seen, "x-client") == ["alice"]
    assert ALICE.traces(json.dumps(seen)) == []
    if source == "header":
        assert seen["line"] == "GET /base/x/%2F?a=%41 HTTP/1.1", "byte for byte"
    if source == "query":
        assert seen["line"] == "GET /base/x?keep=1 HTTP/1.1"
    if source == "form":
        assert (seen["body"], values_of(seen, "content-length")) == ("keep=1", ["6"])


def test_each_request_is_logged_without_a_secret(proxy: Service) -> None:
    ask(proxy.port, **ALICE.request("query", "/logged"))
    ask(proxy.port, **ALICE.wrong().request("query", "/logged"))
    log = proxy.log.read_text
    until(lambda: log().count("/logged") == 2, "the lines")
    assert re.search(r"200 GET /logged\?client_id=alice&client_secret=\*+&keep=1 alice (HIT|MISS) \d+ ms", log())
    assert re.search(r"401 GET /logged\?client_id=alice&client_secret=\*+&keep=1 - \d+ ms credentials_refused: .+", log())
    assert ALICE.traces(log()) == []


@pytest.mark.parametrize("line", [b"one", b"GET /" + b"x" * 70_000, b"G\x1b[1mT /moves\x1b[2J HTTP/1.1"])
def test_an_invalid_request_line_gets_a_400_and_no_log_line(line: bytes, proxy: Service) -> None:
    before = proxy.log.read_text()
    assert sent(proxy, line + b"\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert proxy.log.read_text() == before


def test_the_banner_shows_commands_to_try(proxy: Service) -> None:
    log = proxy.log.read_text()
    here = f"http://127.0.0.1:{proxy.port}"
    assert f"{here} -> http://127.0.0.1:" in log and "for development" in log
    assert f'curl -i -u "$CLIENT_ID:$CLIENT_SECRET" {here}/' in log
    shown = re.search(r"python -m credgate check (.*)", log)
    assert shown and shlex.split(shown[1])[-4:] == ["--set", "allow_loopback_http=true", "--client-id", "$CLIENT_ID"]
    assert "--config" in shown[1] and "--audience https://example.com/" in shown[1]


def test_the_banner_of_a_gate_with_own_credentials_shows_no_credentials(tmp_path: Path, provider: Provider, upstream: Upstream) -> None:
    file = tmp_path / "secret"
    file.write_text(ALICE.secret)
    file.chmod(0o600)
    own = ("--set", f"client_id={ALICE.id}", "--set", f"client_secret_file={file}")
    with running(tmp_path, provider.issuer, upstream.url, *own) as service:
        assert ask(service.port).status == 200
        assert bearer(upstream.last)
        log = service.log.read_text()
    assert f"curl -i http://127.0.0.1:{service.port}/" in log and "curl -i -u" not in log
    shown = re.search(r"python -m credgate check (.*)", log)
    assert shown and shlex.split(shown[1])[-4:] == ["--set", "client_id=alice", "--set", f"client_secret_file={file}"]
    assert ALICE.traces(log) == []
    command = ["bash", "-c", f"{sys.executable} {shown[0].removeprefix('python ')}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("client", [ALICE, None])
def test_chunked_bodies_are_forwarded(client: Any, proxy: Service, upstream: Upstream) -> None:
    pieces = [b"a=1&", b"b=2&", b"c" * 5000] if client else [ALICE.parameters.encode(), b"&keep=1"]
    headers = {**FORM, "Transfer-Encoding": "chunked", **(client.basic if client else {})}
    response = ask(proxy.port, method="POST", headers=headers, body=iter(pieces))
    assert response.status == 200
    assert upstream.last["body"] == ("keep=1" if client is None else b"".join(pieces).decode())


def test_hop_by_hop_headers_are_not_forwarded(proxy: Service, upstream: Upstream) -> None:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=30) as connection:
        pair = ALICE.basic["Authorization"]
        head = f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: {pair}\r\nConnection: X-Secret, authorization, x-client\r\n"
        head += "X-Secret: 1\r\nX-Client: root\r\nX_Client: root\r\nX-Forwarded-For: 6.6.6.6\r\nTE: trailers\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
    seen = upstream.last
    assert bearer(seen)
    assert values_of(seen, "x-secret") == values_of(seen, "te") == []
    assert (values_of(seen, "x-client"), values_of(seen, "x-forwarded-for")) == (["alice"], ["127.0.0.1"])


def test_connection_does_not_hide_the_type_of_a_body_from_the_gate(proxy: Service, upstream: Upstream) -> None:
    request = ALICE.request("form")
    request["headers"] = {**request["headers"], "Connection": "content-type, content-length"}
    assert ask(proxy.port, **request).status == 200
    assert upstream.last["body"] == "keep=1"


def test_a_denial_reaches_a_client_that_is_still_sending(proxy: Service) -> None:
    for _ in range(5):
        response = ask(proxy.port, method="POST", headers=FORM, body=b"x" * 5_000_000)
        assert (response.status, response.body) == (401, b'{"message":"Unauthorized"}')


def test_an_unknown_transfer_encoding_is_rejected(proxy: Service, upstream: Upstream) -> None:
    response = ask(proxy.port, method="POST", headers={**FORM, **ALICE.basic, "Transfer-Encoding": "gzip, chunked"}, body=iter([]))
    assert (response.status, upstream.seen) == (400, [])


def test_the_response_is_streamed(tmp_path: Path, provider: Provider) -> None:
    arrived = Event()

    def pieces() -> Iterator[bytes]:
        yield b"first"
        assert arrived.wait(30), "the first piece was not streamed"
        yield b"last"

    with serving(lambda _: (200, {}, pieces())) as local, running(tmp_path, provider.issuer, local.url) as service:
        with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
            connection.sendall(f"GET / HTTP/1.0\r\nAuthorization: {ALICE.basic['Authorization']}\r\n\r\n".encode())
            received = b""
            while not received.endswith(b"first"):
                received += connection.recv(4096)
            arrived.set()
            while piece := connection.recv(4096):
                received += piece
    assert received.endswith(b"firstlast")


def test_the_request_is_streamed(tmp_path: Path, provider: Provider) -> None:
    with listening() as (listener, url):
        with running(tmp_path, provider.issuer, url) as service, connected(service) as client:
            head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nAuthorization: {ALICE.basic['Authorization']}\r\n\r\n"
            client.sendall(f"{head}first".encode())
            accepted, _ = listener.accept()
            with accepted:
                assert b"content-length: 10\r\n" in received(accepted, b"first").lower()
                client.sendall(b"again")
                received(accepted, b"again")
                accepted.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
                assert received(client, b"\r\n\r\n").startswith(b"HTTP/1.1 204 ")


def test_a_client_that_expects_100_continue_gets_it(proxy: Service, upstream: Upstream) -> None:
    with connected(proxy) as client:
        head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nAuthorization: {ALICE.basic['Authorization']}\r\n"
        client.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
        assert received(client, b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        client.sendall(b"body")
        assert client.recv(100).startswith(b"HTTP/1.1 200 ")
    assert (upstream.last["body"], values_of(upstream.last, "expect")) == ("body", [])


def test_an_incomplete_request_is_incomplete_upstream(tmp_path: Path, provider: Provider) -> None:
    with listening() as (listener, url):
        with running(tmp_path, provider.issuer, url) as service:
            with connected(service) as client:
                head = f"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nAuthorization: {ALICE.basic['Authorization']}\r\n\r\n"
                client.sendall(f"{head}5\r\nfirst\r\n".encode())
                accepted, _ = listener.accept()
                assert received(accepted, b"first\r\n")
            with accepted:
                assert accepted.recv(100) == b"", "no last chunk"
            assert "Traceback" not in service.log.read_text()


def test_an_incomplete_response_is_incomplete_downstream(tmp_path: Path, provider: Provider) -> None:
    with listening() as (listener, url):
        with running(tmp_path, provider.issuer, url) as service, connected(service) as client:
            client.sendall(f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: {ALICE.basic['Authorization']}\r\n\r\n".encode())
            accepted, _ = listener.accept()
            with accepted:
                received(accepted, b"\r\n\r\n")
                accepted.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
            whole = b"".join(iter(lambda: client.recv(4096), b""))
            assert b"first" in whole and not whole.endswith(b"0\r\n\r\n")
            assert "The upstream ended its response too early" in service.log.read_text()
            assert "Traceback" not in service.log.read_text()


def test_a_client_that_leaves_ends_the_response_of_the_upstream(tmp_path: Path, provider: Provider) -> None:
    with listening() as (listener, url):
        with running(tmp_path, provider.issuer, url) as service:
            with connected(service) as client:
                client.sendall(f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: {ALICE.basic['Authorization']}\r\n\r\n".encode())
                accepted, _ = listener.accept()
                received(accepted, b"\r\n\r\n")
                accepted.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
                received(client, b"data: 1\n\n\r\n")
            with accepted:
                accepted.settimeout(30)
                assert accepted.recv(1) == b"", "the proxy has closed its connection"


def test_ctrl_c_ends_a_response_that_is_streaming(tmp_path: Path, provider: Provider) -> None:
    with listening() as (listener, url):
        with running(tmp_path, provider.issuer, url, "--optional") as service, connected(service) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            accepted, _ = listener.accept()
            with accepted:
                received(accepted, b"\r\n\r\n")
                accepted.sendall(b"HTTP/1.1 200 OK\r\n\r\ndata: 1\n\n")
                received(client, b"data: 1\n\n\r\n")
                service.kill(signal.SIGINT)
                assert service.wait() == 0
            assert service.log.read_text().endswith("\nStopped.\n")
            assert "Traceback" not in service.log.read_text()


def test_a_connection_serves_several_clients_requests(proxy: Service, upstream: Upstream) -> None:
    connection = Connection(proxy.port)
    for client in (ALICE, BOB):
        assert connection.ask(headers=client.basic).status == 200
        assert values_of(upstream.last, "x-client") == [client.id]
    assert connection.ask().status == 401
    connection.close()


@pytest.mark.parametrize("name", ["websocket", "WebSocket"])
def test_a_websocket_handshake_is_not_implemented(name: str, proxy: Service, upstream: Upstream) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": name, "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AA" * 11 + "=="}
    response = ask(proxy.port, headers={**ALICE.basic, **upgrade})
    assert (response.status, upstream.seen) == (501, [])
    assert response.json() == {"message": "The development proxy does not carry WebSocket connections"}


def test_ipv6_on_both_sides(tmp_path: Path, provider: Provider) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        upstream = f"http://[::1]:{listener.getsockname()[1]}"
        command = [*COMMAND, "--issuer", provider.issuer, "--upstream", upstream, "--optional", "--listen", "[::1]:0"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        with process:
            assert process.stdout
            here = re.search(r"http://\[::1\]:(\d+)", next(line for line in process.stdout if "http" in line))
            assert here and here[1] != "0"
            with socket.create_connection(("::1", int(here[1])), timeout=30) as client:
                client.sendall(b"GET /six HTTP/1.1\r\nHost: x\r\n\r\n")
                accepted, _ = listener.accept()
                with accepted:
                    assert b"x-forwarded-for: ::1\r\n" in received(accepted, b"\r\n\r\n").lower()
            process.terminate()


def test_the_command_says_which_packages_are_missing() -> None:
    program = "import sys; sys.modules['httpx2'] = None; from credgate.__main__ import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", program, *COMMAND[3:], "--issuer", "https://a.example", "--upstream", "http://a.example"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert 'pip install "credgate[proxy]"' in done.stderr and "Traceback" not in done.stderr


def test_a_non_ascii_claim_is_forwarded_as_utf_8(tmp_path: Path, scripted: Scripted, upstream: Upstream) -> None:
    scripted.script(json=unsigned(name="Zoë 日本"))
    settings = {**UNVERIFIED, "upstream_headers": [{"header": "x-name", "path": ["name"]}]}
    options = [part for name, value in settings.items() for part in ("--set", f"{name}={json.dumps(value)}")]
    with running(tmp_path, scripted.issuer, upstream.url, *options) as service:
        assert ask(service.port, headers=ALICE.basic).status == 200
    (name,) = values_of(upstream.last, "x-name")
    assert name.encode("latin-1").decode() == "Zoë 日本"


@pytest.mark.parametrize("line", [b"GET /\xe9 HTTP/1.1", b"GET /\x01 HTTP/1.1", b"G\x01T / HTTP/1.1", b"G\xe9T / HTTP/1.1", b"GET x:/ HTTP/1.1"])
def test_a_request_with_invalid_characters_is_a_bad_request(line: bytes, proxy: Service, upstream: Upstream) -> None:
    response = sent(proxy, line + b"\r\nHost: x\r\nConnection: close\r\nAuthorization: " + ALICE.basic["Authorization"].encode() + b"\r\n\r\n")
    assert (response.partition(b"\r\n")[0], upstream.seen) == (b"HTTP/1.1 400 Bad Request", [])
    assert "Traceback" not in proxy.log.read_text()


CHUNKS = {
    "negative": b"-1\r\nab",
    "signed": b"+2\r\nab\r\n0\r\n\r\n",
    "prefixed": b"0x2\r\nab\r\n0\r\n\r\n",
    "grouped": b"1_0\r\n" + b"a" * 16 + b"\r\n0\r\n\r\n",
    "leading space": b" 2\r\nab\r\n0\r\n\r\n",
    "empty": b"\r\nab\r\n0\r\n\r\n",
    "not a number": b"two\r\nab\r\n0\r\n\r\n",
    "too many digits": b"f" * 21 + b"\r\nab",
    "two carriage returns": b"2\r\r\nab\r\n0\r\n\r\n",
    "no carriage return": b"2\nab\r\n0\r\n\r\n",
    "too small": b"2\r\nabc\r\n0\r\n\r\n",
    "no line end after the chunk": b"2\r\nab0\r\n\r\n",
    "line feed only after the chunk": b"2\r\nab\n0\r\n\r\n",
}


@pytest.mark.parametrize("body", CHUNKS.values(), ids=CHUNKS)
@pytest.mark.parametrize("client", [ALICE, None], ids=["forwarded", "searched"])
def test_an_invalid_chunk_is_a_bad_request(client: Any, body: bytes, proxy: Service, upstream: Upstream) -> None:
    # The gate reads a form; the forwarding reads any other body.
    headers = {"Content-Type": "text/plain", **client.basic} if client else FORM
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    response = sent(proxy, f"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n{head}\r\n".encode() + body)
    assert (response.partition(b"\r\n")[0], upstream.seen) == (b"HTTP/1.1 400 Bad Request", [])
    assert "Traceback" not in proxy.log.read_text()


def test_chunk_extensions_and_trailers_are_not_part_of_the_body(proxy: Service, upstream: Upstream) -> None:
    head = "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"
    head += f"Authorization: {ALICE.basic['Authorization']}\r\n\r\n"
    sent(proxy, head.encode() + b"00A;" + b"x" * 5000 + b"\r\n0123456789\r\n2\r\nab\r\n0\r\nTrailer: x\r\n\r\n")
    assert upstream.last["body"] == "0123456789ab"


def test_a_chunked_body_with_a_length_is_forwarded_as_chunked(proxy: Service, upstream: Upstream) -> None:
    head = "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n"
    head += f"Authorization: {ALICE.basic['Authorization']}\r\n\r\n"
    sent(proxy, head.encode() + b"a\r\n0123456789\r\n0\r\n\r\n")
    seen = upstream.last
    assert (seen["body"], values_of(seen, "content-length")) == ("0123456789", [])


def sent(proxy: Service, request: bytes) -> bytes:
    """Sends raw bytes and returns the whole response."""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=30) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(4096), b""))


@contextmanager
def listening() -> Iterator[tuple[socket.socket, str]]:
    """An upstream whose bytes the test sends, and its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


def connected(proxy: Service) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=30)


def received(connection: socket.socket, end: bytes) -> bytes:
    """Returns the bytes that arrive, up to `end`."""
    connection.settimeout(30)
    read = b""
    while not read.endswith(end):
        piece = connection.recv(4096)
        assert piece, read
        read += piece
    return read


def running(directory: Path, issuer: str, upstream: str, *options: str, **env: str) -> Service:
    port = free_port()
    command = [*COMMAND, "--issuer", issuer, "--upstream", upstream, "--listen", f"127.0.0.1:{port}", *options]
    return Service(command, directory / "log", port=port, env=env).start()


def test_environment_variables_do_not_become_headers(tmp_path: Path, provider: Provider, upstream: Upstream) -> None:
    own = {"HTTP_PROXY": f"http://me:{ALICE.secret}@127.0.0.1:1", "HTTP_X_OWN": "1", "NO_PROXY": "127.0.0.1"}
    with running(tmp_path, provider.issuer, upstream.url, **own) as service:
        assert ask(service.port, headers=ALICE.basic).status == 200
    ours = {"x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"}
    assert {name.lower() for name, _ in upstream.last["headers"]} == {"host", "accept-encoding", "authorization", *ours}


def test_an_upstream_that_is_down_is_a_bad_gateway(tmp_path: Path, provider: Provider) -> None:
    with running(tmp_path, provider.issuer, f"http://127.0.0.1:{free_port()}", "--optional") as service:
        response = ask(service.port)
        assert response.status == 502
        assert response.json()["message"].startswith("The upstream does not respond")
        assert ask(service.port, headers=ALICE.wrong().basic).status == 502, "credentials are optional"
        service.kill(signal.SIGINT)
        assert service.wait() == 0
        assert "Traceback" not in service.log.read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--upstream", "ftp://a"], "--upstream: must be"),
        (["--upstream", "http://a.example", "--listen", "8000"], "--listen: must be HOST:PORT"),
        (["--upstream", "http://a.example:80800"], "--upstream: must be"),
        (["--upstream", "http://a.example:x"], "--upstream: must be"),
        (["--upstream", "http://[::1"], "--upstream: must be"),
        (["--upstream", "http://a.example", "--listen", "127.0.0.1:99999"], "--listen: must be HOST:PORT"),
        (["--upstream", "http://a.example", "--listen", ":8000"], "--listen: must be HOST:PORT"),
        (["--upstream", "http://a.example", "--set", "audiense=x"], 'did you mean "audience"'),
        ([], "--upstream"),
    ],
)
def test_an_invalid_command_line_exits_with_status_2(options: list[str], message: str) -> None:
    done = subprocess.run(
        [*COMMAND, "--issuer", "https://a.example", *options], capture_output=True, text=True, timeout=60, env=os.environ
    )
    assert done.returncode == 2
    assert message in done.stderr
