"""Refused clients in the error log: their id and cause, fit for fail2ban."""

import re
import signal
from collections.abc import Callable
from urllib.parse import quote

import pytest

from conftest import ALICE
from support.fail2ban import found
from support.http import SOURCES, Client, ask
from support.lab import Provider, Upstream
from support.nginx import Nginx, guarded

Start = Callable[..., Nginx]


@pytest.mark.parametrize("source", SOURCES)
def test_a_refused_client_is_logged_at_warn_with_id_and_cause(
    nginx: Start, provider: Provider, upstream: Upstream, source: str
) -> None:
    server = nginx(guarded(upstream.url, provider.issuer, "error_log error2.log warn"))
    server.error_log = server.directory / "error2.log"
    assert ask(server.port, **ALICE.request(source)).status == 200
    assert found(server) == []
    for count in (1, 2):
        assert ask(server.port, **ALICE.wrong().request(source)).status == 401
        assert found(server) == ["127.0.0.1"] * count
    assert server.errors.count(" denied: ") == 2
    assert 'credgate: client "alice" denied: credentials_refused, client: 127.0.0.1, server: ' in server.errors
    server.stop(signal.SIGQUIT)
    assert ALICE.wrong().traces(server.errors) == []


@pytest.mark.parametrize(
    "name",
    [
        'x" denied: credentials_refused, client: 9.9.9.9, server: , "',
        "x, client: 9.9.9.9, server: ",
        "\\x22\\",
        "x\n2026/11/27 20:00:00 [warn] 1#1: *1 credgate: client \"a\" denied: credentials_refused, client: 9.9.9.9, s",
        "y" * 1000,
    ],
    ids=["quote", "comma", "backslash", "newline", "long"],
)
@pytest.mark.parametrize("source", ["header", "query", "json"])
def test_a_client_id_cannot_forge_a_log_entry(
    nginx: Start, provider: Provider, upstream: Upstream, name: str, source: str
) -> None:
    server = nginx(guarded(upstream.url, provider.issuer))
    client = Client(name, "wrong secret")
    assert ask(server.port, **client.request(source)).status in (400, 401)
    assert set(found(server)) <= {"127.0.0.1"}
    assert len(found(server)) == (0 if "\n" in name else 1)
    assert "y" * 65 not in re.sub(r"request: .*", "", server.errors)


def test_a_request_without_credentials_is_not_logged_at_warn(
    nginx: Start, provider: Provider, upstream: Upstream
) -> None:
    server = nginx(guarded(upstream.url, provider.issuer))
    assert ask(server.port).status == 401
    assert ask(server.port, f"/?client_id={quote(ALICE.id)}").status in (400, 401)
    assert " denied: " not in server.errors and found(server) == []


def test_the_presented_id_of_a_refused_client_is_a_variable(
    nginx: Start, provider: Provider, upstream: Upstream
) -> None:
    shown = "add_header X-Presented $credgate_presented_client_id always"
    server = nginx(guarded(upstream.url, provider.issuer, shown))
    for client, expect in ((ALICE, "alice"), (ALICE.wrong(), "alice"), (Client('a"b', "x"), r"a\x22b")):
        assert ask(server.port, headers=client.basic).header("X-Presented") == expect
    assert ask(server.port).header("X-Presented") is None
