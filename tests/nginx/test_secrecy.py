"""A canary: secrets that go through every source, right and wrong, and appear in no log."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ALICE, BOB
from support.h2 import H2Connection
from support.http import FORM, SOURCES, Answer, Client, Connection, ask
from support.lab import FAULTS, Provider, Scripted, Upstream, break_down
from support.nginx import Nginx, gate, guarded, location
from support.process import until

Start = Callable[..., Nginx]
Asker = Callable[..., Answer]


@pytest.fixture(params=["http1", "http2"])
def speak(request: pytest.FixtureRequest) -> Callable[[Nginx], Asker]:
    """The protocols: HTTP/1.1 and HTTP/2."""

    def http1(server: Nginx) -> Asker:
        return lambda **ask_for: ask(server.port, **ask_for)

    def http2(server: Nginx) -> Asker:
        connection = H2Connection(server.h2_port)
        request.addfinalizer(connection.close)
        return connection.ask

    return http1 if request.param == "http1" else http2


def everything_written(server: Nginx, logs: Path) -> bytes:
    """All that nginx and the laboratory wrote to a log, so far."""
    return server.logs + b"".join(file.read_bytes() for file in logs.iterdir())


def assert_no_trace(server: Nginx, logs: Path, *clients: Client) -> None:
    # Its last requests are logged when it has quit.
    server.stop(signal.SIGQUIT)
    written = everything_written(server, logs)
    assert b"HTTP/" in written, "nothing was logged: this test could not fail"
    for client in clients:
        assert client.traces(written) == []


def test_the_canary_is_seen_where_nothing_hides_it(
    nginx: Start, upstream: Upstream, logs: Path, speak: Callable[[Nginx], Asker]
) -> None:
    server = nginx(location("/", f"proxy_pass {upstream.url}"))
    assert speak(server)(**ALICE.request("query")).status == 200
    server.stop(signal.SIGQUIT)
    assert ALICE.traces(everything_written(server, logs))


@pytest.mark.parametrize("source", SOURCES)
def test_no_log_holds_a_secret_after_success_and_refusal(
    nginx: Start,
    provider: Provider,
    upstream: Upstream,
    logs: Path,
    speak: Callable[[Nginx], Asker],
    source: str,
) -> None:
    server = nginx(guarded(upstream.url, provider.issuer))
    asker = speak(server)
    clients = (ALICE, ALICE.wrong(), Client("nobody", "Zeisig8Hv+/%&="))
    for client in clients:
        for _ in range(2):
            assert asker(**client.request(source)).status == (200 if client is ALICE else 401)
    assert_no_trace(server, logs, *clients)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("fault", FAULTS)
def test_no_log_holds_a_secret_after_a_failure(
    nginx: Start,
    scripted: Scripted,
    upstream: Upstream,
    logs: Path,
    speak: Callable[[Nginx], Asker],
    fault: str,
    source: str,
) -> None:
    issuer, backend = break_down(fault, scripted, upstream, ALICE.secret)
    timeout = ("credgate_timeout 300ms",) if fault == "timeout" else ()
    server = nginx(guarded(backend, issuer, *timeout))
    answer = speak(server)(**ALICE.request(source))
    assert answer.status == (504 if fault == "timeout" else 502)
    assert ALICE.traces(answer.body) == []
    assert_no_trace(server, logs, ALICE)


@pytest.mark.parametrize(
    "target",
    [
        f"/?client_id={ALICE.id}&{ALICE.parameters}",
        f"/?{ALICE.parameters}&client_secret={BOB.secret.split('!')[0]}",
        f"/?{ALICE.parameters.split('&')[1]}",
        f"/?a=1&{ALICE.parameters.replace('client_secret', 'client%5Fsecret')}",
    ],
    ids=["id-twice", "secret-twice", "secret-only", "encoded-name"],
)
def test_no_log_holds_a_secret_after_a_malformed_query(
    nginx: Start,
    provider: Provider,
    upstream: Upstream,
    logs: Path,
    speak: Callable[[Nginx], Asker],
    target: str,
) -> None:
    server = nginx(guarded(upstream.url, provider.issuer))
    assert speak(server)(target=target).status in (200, 400)
    assert_no_trace(server, logs, ALICE, Client(BOB.id, BOB.secret.split("!")[0]))


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("ending", ["return", "too-large", "deny", "rewrite", "missing-file", "limit"])
def test_no_log_holds_a_secret_of_a_request_that_ends_early(
    nginx: Start,
    provider: Provider,
    upstream: Upstream,
    logs: Path,
    speak: Callable[[Nginx], Asker],
    tmp_path: Path,
    ending: str,
    source: str,
) -> None:
    locations = {
        "return": ["return 403"],
        "too-large": ["client_max_body_size 10", f"proxy_pass {upstream.url}"],
        "deny": ["deny all", f"proxy_pass {upstream.url}"],
        "rewrite": ["rewrite ^ /elsewhere redirect"],
        "missing-file": [f"root {tmp_path}"],
        "limit": ["limit_req zone=one", f"proxy_pass {upstream.url}"],
    }
    server = nginx(
        "\n".join(f"{directive};" for directive in gate(provider.issuer))
        + location("/", f"proxy_pass {upstream.url}")
        + location("/early/", *locations[ending]),
        http="limit_req_zone $server_port zone=one:32k rate=1r/m;" if ending == "limit" else "",
    )
    asker = speak(server)
    for _ in range(2):
        answer = asker(**ALICE.request(source, "/early/x"))
    if ending == "too-large" and source in ("form", "json"):
        assert answer.status == 413
    elif ending == "return":
        assert answer.status == 403
    assert_no_trace(server, logs, ALICE)


@pytest.mark.parametrize("early", [True, False], ids=["early", "late"])
def test_no_log_holds_a_secret_of_the_query_beside_a_body_that_is_too_large(
    nginx: Start, provider: Provider, upstream: Upstream, logs: Path, speak: Callable[[Nginx], Asker], early: bool
) -> None:
    server = nginx(guarded(upstream.url, provider.issuer, "client_max_body_size 10"))
    size = 100 if early else 8
    answer = speak(server)(target=f"/?{ALICE.parameters}", method="POST", headers=FORM, body="x" * size)
    assert answer.status == (413 if early else 200)
    assert_no_trace(server, logs, ALICE)


def test_no_log_holds_a_secret_of_a_disconnected_client(
    nginx: Start, scripted: Scripted, upstream: Upstream, logs: Path
) -> None:
    scripted.hold()
    server = nginx(guarded(upstream.url, scripted.issuer))
    for source in SOURCES:
        connection = Connection(server.port)
        connection.send(**ALICE.request(source))
        until(lambda: server.busy == 1, "the request")
        connection.close()
        until(lambda: server.busy == 0, "its end")
    assert_no_trace(server, logs, ALICE)


def test_a_body_on_disk_is_gone_after_the_request(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    server = nginx(guarded(upstream.url, provider.issuer), http="client_body_buffer_size 1k;")
    body = f"{ALICE.parameters}&filler={'x' * 50_000}"
    assert ask(server.port, method="POST", headers=FORM, body=body).status == 200
    left = [file.read_bytes() for file in server.directory.rglob("*") if file.is_file()]
    assert ALICE.traces(*left) == []
