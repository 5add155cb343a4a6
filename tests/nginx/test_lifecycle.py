"""Reload, quit, stop and clients that leave, each while an exchange is pending."""

import os
import shutil
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conftest import ALICE, BOB
from support.h2 import H2Connection
from support.http import SOURCES, Connection, ask
from support.lab import Provider, Scripted, Upstream, bearer
from support.nginx import Nginx, guarded, location
from support.process import until

Start = Callable[..., Nginx]


@pytest.fixture
def server(nginx: Start, scripted: Scripted, upstream: Upstream) -> Nginx:
    """A gate whose provider holds every exchange."""
    scripted.hold()
    return nginx(guarded(upstream.url, scripted.issuer) + location("/plain", f"proxy_pass {upstream.url}"))


def gone(pid: int) -> bool:
    return not os.path.exists(f"/proc/{pid}")


def aborts(server: Nginx) -> int:
    return server.access_log.read_text().count('" 499 ')


@pytest.mark.parametrize("source", SOURCES)
def test_a_pending_request_finishes_on_the_old_worker_after_a_reload(
    server: Nginx, scripted: Scripted, source: str
) -> None:
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(ask, server.port, **ALICE.request(source))
        until(lambda: scripted.state["waiting"] == 1, "the exchange")
        (old,) = server.reload()
        until(lambda: ask(server.port, "/plain").status == 200, "the new worker")
        assert not pending.done()
        assert not gone(old)

        scripted.release()
        answer = pending.result()
    assert answer.status == 200 and bearer(answer.json())
    until(lambda: gone(old), "the old worker's end")
    assert len(server.workers) == 1
    assert ask(server.port, **ALICE.request(source)).status == 200


def test_many_reloads_leave_one_worker_and_no_alert(server: Nginx, scripted: Scripted) -> None:
    scripted.release()
    old: set[int] = set()
    for _ in range(10):
        assert ask(server.port, headers=ALICE.basic).status == 200
        old |= server.reload()
    until(lambda: all(gone(pid) for pid in old), "the old workers' end")
    assert len(server.workers) == 1
    assert ask(server.port, headers=ALICE.basic).status == 200


def test_a_reload_with_an_invalid_configuration_changes_nothing(server: Nginx, scripted: Scripted) -> None:
    scripted.release()
    assert ask(server.port, headers=ALICE.basic).status == 200
    good = server.conf.read_text()
    server.conf.write_text(good.replace("credgate_issuer http", "credgate_issuer ftp"))
    server.kill(signal.SIGHUP)
    until(lambda: "[emerg]" in server.errors, "the refusal")
    assert ask(server.port, headers=ALICE.basic).header("X-Credgate-Status") == "HIT"
    server.conf.write_text(good)
    server.error_log.write_text("")


@pytest.mark.parametrize("fault", ["short", "certificate", "directory", "missing", "store"])
def test_a_reload_with_an_unusable_file_changes_nothing(
    nginx: Start, provider: Provider, upstream: Upstream, shared_directory: Path, fault: str
) -> None:
    files = shared_directory / "files"
    files.mkdir()
    pepper = files / "pepper"
    pepper.write_bytes(bytes(32))
    shutil.chown(pepper, "www-data")
    store, ca = f"sqlite:{shared_directory}/store/tokens.db", ""
    http = "credgate_store {};\ncredgate_store_pepper_file {};\n{}"
    good = http.format(store, pepper, ca)
    server = nginx(guarded(upstream.url, provider.issuer), http=good, user="www-data")
    assert ask(server.port, headers=ALICE.basic).status == 200
    workers = server.workers
    named = pepper
    match fault:
        case "short":
            pepper.write_bytes(bytes(2))
        case "certificate":
            store, ca = "rediss://127.0.0.1", f"credgate_store_ca_file {pepper};\n"
        case "directory":
            files.chmod(0o700)
        case "missing":
            pepper.unlink()
        case "store":
            named = files / "nowhere/store"
            store = f"sqlite:{named}/tokens.db"
    text = server.conf.read_text()
    server.conf.write_text(text.replace(good, http.format(store, pepper, ca)))
    server.kill(signal.SIGHUP)
    until(lambda: "[emerg]" in server.errors, "the refusal")
    assert str(named) in server.errors and "nginx.conf:" in server.errors
    assert ask(server.port, headers=ALICE.basic).header("X-Credgate-Status") == "HIT"
    files.chmod(0o755)
    pepper.write_bytes(bytes(32))
    shutil.chown(pepper, "www-data")
    server.conf.write_text(text)
    assert server.workers == workers
    old = server.reload()
    until(lambda: all(gone(pid) for pid in old), "the old worker's end")
    assert ask(server.port, headers=ALICE.basic).status == 200
    server.error_log.write_text("")


def test_a_pending_request_finishes_during_a_graceful_quit(server: Nginx, scripted: Scripted) -> None:
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(ask, server.port, headers=ALICE.basic)
        until(lambda: scripted.state["waiting"] == 1, "the exchange")
        server.quit()
        until(lambda: "gracefully shutting down" in server.errors, "the worker's notice")
        assert not pending.done()
        scripted.release()
        assert pending.result().status == 200
    assert server.wait() == 0


def test_pending_http_2_streams_finish_during_a_graceful_quit(server: Nginx, scripted: Scripted) -> None:
    connection = H2Connection(server.h2_port)
    streams = [connection.send(headers=client.basic) for client in (ALICE, BOB)]
    until(lambda: scripted.state["waiting"] == 2, "both exchanges")
    server.quit()
    until(lambda: "gracefully shutting down" in server.errors, "the worker's notice")
    scripted.release()
    assert [connection.receive(stream).status for stream in streams] == [200, 200]
    connection.close()
    assert server.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_fast_stop_does_not_wait_for_a_pending_exchange(
    server: Nginx, scripted: Scripted, number: signal.Signals
) -> None:
    connection = Connection(server.port)
    connection.send(headers=ALICE.basic)
    until(lambda: scripted.state["waiting"] == 1, "the exchange")
    server.kill(number)
    assert server.wait(10) == 0
    connection.close()


def test_a_shutdown_timeout_ends_a_pending_request_without_an_alert(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    scripted.hold()
    server = nginx(guarded(upstream.url, scripted.issuer), main="worker_shutdown_timeout 500ms;")
    connection = Connection(server.port)
    connection.send(headers=ALICE.basic)
    until(lambda: scripted.state["waiting"] == 1, "the exchange")
    server.quit()
    assert server.wait(10) == 0
    connection.close()


@pytest.mark.parametrize("source", SOURCES)
def test_a_disconnect_during_an_exchange_affects_no_other_request(server: Nginx, scripted: Scripted, source: str) -> None:
    workers = server.workers
    for _ in range(5):
        connection = Connection(server.port)
        connection.send(**ALICE.request(source))
        until(lambda: server.busy == 1, "the pending request")
        connection.close()
        until(lambda: server.busy == 0, "the departure")
    assert aborts(server) == 5
    scripted.release()
    assert ask(server.port, **ALICE.request(source)).status == 200
    assert ask(server.port, "/plain").status == 200
    assert server.workers == workers


def test_a_disconnect_as_the_outcome_arrives_affects_no_other_request(server: Nginx, scripted: Scripted) -> None:
    workers = server.workers
    connections = [Connection(server.port) for _ in range(50)]
    for connection in connections:
        connection.send(headers=ALICE.basic)
    until(lambda: server.busy == 50, "the pending requests")
    with ThreadPoolExecutor(1) as pool:
        released = pool.submit(scripted.release)
        for connection in connections:
            connection.close()
        released.result()
    until(lambda: server.busy == 0, "the end of all requests")
    assert ask(server.port, headers=ALICE.basic).status == 200
    assert server.workers == workers


def test_a_reset_http_2_stream_affects_no_other_stream(server: Nginx, scripted: Scripted) -> None:
    workers = server.workers
    connection = H2Connection(server.h2_port)
    aborted, kept = (connection.send(headers=client.basic) for client in (ALICE, BOB))
    until(lambda: scripted.state["waiting"] == 2, "both exchanges")
    connection.cancel(aborted)
    until(lambda: aborts(server) == 1, "the reset")
    assert connection.ask("/plain").status == 200
    scripted.release()
    assert connection.receive(kept).status == 200
    assert connection.ask(headers=ALICE.basic).status == 200
    connection.close()
    assert server.workers == workers


def test_closing_http_2_with_pending_streams_affects_no_other_connection(server: Nginx, scripted: Scripted) -> None:
    workers = server.workers
    connection = H2Connection(server.h2_port)
    for client in (ALICE, BOB, ALICE):
        connection.send(headers=client.basic)
    until(lambda: server.busy >= 3 and scripted.state["waiting"] == 2, "the pending streams")
    connection.close()
    until(lambda: aborts(server) == 3, "the departures")
    scripted.release()
    assert ask(server.port, headers=ALICE.basic).status == 200
    assert server.workers == workers


def test_a_disconnect_within_the_body_affects_no_other_request(server: Nginx, scripted: Scripted) -> None:
    workers = server.workers
    connection = Connection(server.port)
    head = "POST / HTTP/1.1\r\nHost: lab\r\nContent-Length: 500\r\n"
    head += "Content-Type: application/x-www-form-urlencoded\r\n\r\n"
    connection.raw.connect()
    connection.raw.sock.sendall((head + ALICE.parameters).encode())
    until(lambda: server.busy == 1, "the request")
    connection.close()
    until(lambda: server.busy == 0, "its end")
    scripted.release()
    assert ask(server.port, **ALICE.request("form")).status == 200
    assert server.workers == workers


def test_a_slow_body_is_read_to_its_end(server: Nginx, scripted: Scripted) -> None:
    scripted.release()
    connection = Connection(server.port)
    body = f"{ALICE.parameters}&keep=1"
    head = f"POST / HTTP/1.1\r\nHost: lab\r\nContent-Length: {len(body)}\r\n"
    head += "Content-Type: application/x-www-form-urlencoded\r\n\r\n"
    connection.raw.connect()
    connection.raw.sock.sendall((head + body[:20]).encode())
    until(lambda: server.busy == 1, "the request")
    assert ask(server.port, headers=BOB.basic).status == 200
    connection.raw.sock.sendall(body[20:].encode())
    reader = connection.raw.sock.makefile("rb")
    assert reader.readline().split()[1] == b"200"
    connection.close()


def test_every_worker_serves(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    server = nginx(guarded(upstream.url, scripted.issuer), workers=3)
    assert {ask(server.port, headers=ALICE.basic).status for _ in range(60)} == {200}
    assert scripted.state["token"] <= 3
    assert len(server.workers) == 3


def test_a_killed_worker_is_replaced_by_one_that_serves(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    server = nginx(guarded(upstream.url, scripted.issuer))
    assert ask(server.port, headers=ALICE.basic).status == 200
    (old,) = server.workers
    os.kill(old, signal.SIGKILL)
    until(lambda: server.workers and old not in server.workers, "another worker")
    assert ask(server.port, headers=ALICE.basic).status == 200
    # nginx rightly reports the death that this test has caused, and nothing else.
    (alarm,) = server.alarms()
    assert "exited on signal 9" in alarm
    server.error_log.write_text("")
