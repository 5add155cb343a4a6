"""Counters of each client, of all workers."""

import os
import re
import signal
from pathlib import Path

import pytest

from support.http import Client, ask
from support.lab import Scripted, Upstream
from support.nginx import Nginx, guarded, location
from support.process import free_port, gone, until
from support.store import OPERATING, Start, Volley, spread

CLIENTS = [Client(name, "s3cret") for name in ("alice", "bob", "carol", "dave")]
ALICE, BOB, CAROL, DAVE = CLIENTS
LINE = re.compile(r'^credgate_client_requests_total\{client_id="((?:[^"\\]|\\.)*)",result="(\w+)"\} (\d+)$', re.MULTILINE)


def counts(server: Nginx) -> dict[str, tuple[int, int]]:
    """Allowed and denied requests, by client; without those that have none."""
    found: dict[str, dict[str, int]] = {}
    for client, result, count in LINE.findall(ask(server.port, "/metrics").body.decode()):
        found.setdefault(client, {})[result] = int(count)
    both = {client: (count["allowed"], count["denied"]) for client, count in found.items()}
    return {client: count for client, count in both.items() if any(count)}


def served(scripted: Scripted, upstream: Upstream, *more: str) -> str:
    return guarded(upstream.url, scripted.issuer, *more) + OPERATING


def test_requests_are_counted_for_each_client(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    server = nginx(served(scripted, upstream), http="credgate_metrics_clients 2;")
    for client, count in ((ALICE, 3), (BOB, 1), (CAROL, 2)):
        for _ in range(count):
            assert ask(server.port, headers=client.basic).status == 200
    for client in (Client("eve", "wrong"), Client("alice", "wrong")):
        assert ask(server.port, headers=client.basic).status == 401
    assert ask(server.port).status == 401
    assert counts(server) == {"other": (2, 2), "alice": (3, 1), "bob": (1, 0)}
    text = ask(server.port, "/metrics").body.decode()
    assert "# TYPE credgate_client_requests_total counter\n" in text
    assert ask(server.port, "/metrics", method="HEAD").body == b""


def test_without_the_directive_no_client_is_named(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    server = nginx(served(scripted, upstream))
    assert ask(server.port, headers=ALICE.basic).status == 200
    text = ask(server.port, "/metrics").body.decode()
    assert "credgate_client" not in text and "alice" not in text


def test_counts_of_all_workers_are_added_up_and_survive_a_reload(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    port = free_port()
    http = "credgate_metrics_clients 2;" + spread(served(scripted, upstream), port)
    server = nginx(OPERATING, http=http, workers=4)
    assert set(Volley([port], [ALICE, BOB], 200).statuses()) == {200}
    until(lambda: counts(server) == {"alice": (100, 0), "bob": (100, 0)}, "the numbers of all workers")
    old = server.reload()
    assert set(Volley([port], [ALICE, CAROL], 100).statuses()) == {200}
    until(lambda: all(gone(pid) for pid in old), "the old workers' end")
    # Both places are taken until nginx stops, also for workers that see carol first.
    until(
        lambda: counts(server) == {"other": (50, 0), "alice": (150, 0), "bob": (100, 0)}, "the numbers of both generations"
    )


def test_a_reload_may_change_the_number_of_clients(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    """In a zone of the same size; no client loses its counters."""
    http = "credgate_zone 1m; credgate_metrics_clients 1;"
    server = nginx(served(scripted, upstream), http=http)
    for client in (ALICE, BOB):
        assert ask(server.port, headers=client.basic).status == 200
    assert counts(server) == {"other": (1, 0), "alice": (1, 0)}
    text = server.conf.read_text()
    for number, expected in ((3, {"other": (1, 0), "alice": (1, 0), "bob": (1, 0)}), (0, {})):
        server.conf.write_text(text.replace("credgate_metrics_clients 1;", f"credgate_metrics_clients {number};"))
        old = server.reload()
        until(lambda old=old: all(gone(pid) for pid in old), "the old worker's end")
        assert ask(server.port, headers=BOB.basic).status == 200
        assert counts(server) == expected


def test_counts_of_a_killed_worker_remain(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    server = nginx(served(scripted, upstream), http="credgate_metrics_clients 10;")
    for client in CLIENTS:
        assert ask(server.port, headers=client.basic).status == 200
    expected = {client.id: (1, 0) for client in CLIENTS}
    assert counts(server) == expected
    (worker,) = server.workers
    os.kill(worker, signal.SIGKILL)
    until(lambda: server.workers - {worker}, "another worker")
    assert counts(server) == expected
    assert ask(server.port, headers=DAVE.basic).status == 200
    until(lambda: counts(server) == expected | {"dave": (2, 0)}, "the number of the new worker")
    server.error_log.write_text("")


def test_a_client_id_is_escaped_in_its_label(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    server = nginx(served(scripted, upstream), http="credgate_metrics_clients 10;")
    scripted.script(json={"access_token": "t", "token_type": "Bearer", "expires_in": 60})
    assert ask(server.port, headers=Client('a"b\\c', "s3cret").basic).status == 200
    assert counts(server) == {'a\\"b\\\\c': (1, 0)}


def test_many_clients_fit_into_the_default_zone(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    """More than are read from the library at once, with ids of the maximum length."""
    server = nginx(served(scripted, upstream), http="credgate_metrics_clients 150;")
    clients = [Client(f"{number:03}".ljust(255, "x"), "s3cret") for number in range(160)]
    assert set(Volley([server.port], clients, 160).statuses()) == {200}
    found = counts(server)
    assert found.pop("other") == (10, 0)
    assert len(found) == 150 and set(found.values()) == {(1, 0)}


@pytest.mark.parametrize(
    ("http", "reason"),
    [
        ("credgate_metrics_clients x;", 'invalid value "x"'),
        ("credgate_metrics_clients 10001;", "must be at most 10000"),
        ("credgate_metrics_clients 1000; credgate_zone 64k;", "it must be at least 564k"),
    ],
)
def test_an_invalid_number_of_clients_is_refused(tmp_path: Path, http: str, reason: str) -> None:
    result = Nginx(tmp_path / "checked", location("/", "return 204"), http=http).check()
    assert result.returncode == 1 and reason in result.stderr
    assert "credgate_metrics_clients" in result.stderr
