"""Messages at level debug: the steps of a request, without its secrets."""

import re
import subprocess
from collections.abc import Callable

from conftest import ALICE
from support.http import SOURCES, ask
from support.lab import Scripted, Upstream
from support.nginx import BINARY, Nginx, guarded, location

Start = Callable[..., Nginx]

# A module prints them if it is built for an nginx that does.
DEBUG = "--with-debug" in subprocess.run([BINARY, "-V"], capture_output=True, text=True, check=True).stderr


def steps(server: Nginx) -> list[str]:
    """The module's own messages, since the last call."""
    found = re.findall(r" \[debug\] \d+#\d+: \*\d+ (credgate .*)", server.errors)
    server.error_log.write_text("")
    return [re.sub(r"\d+ ms$", "N ms", step) for step in found]


def test_the_steps_of_a_request_are_logged(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    log = "error_log error.log debug;"
    server = nginx(log + guarded(upstream.url, scripted.issuer))
    miss = ["credgate access handler", "credgate waits for a token", "credgate resumes after N ms"]
    assert ask(server.port, headers=ALICE.basic).status == 200
    expected = [*miss, "credgate access handler", "credgate verdict: 0, cache status: MISS, cause: none"]
    assert steps(server) == (expected if DEBUG else [])
    assert ask(server.port, headers=ALICE.basic).status == 200
    hit = ["credgate access handler", "credgate verdict: 0, cache status: HIT, cause: none"]
    assert steps(server) == (hit if DEBUG else [])
    assert ask(server.port).status == 401
    denied = ["credgate access handler", "credgate verdict: 401, cache status: NONE, cause: no_credentials"]
    assert steps(server) == (denied if DEBUG else [])
    request = ALICE.request("form")
    assert ask(server.port, **request).status == 200
    body = ["credgate access handler", f"credgate reads the body: {len(str(request['body']))}", *hit]
    assert steps(server) == (body if DEBUG else [])


def test_the_provider_that_a_variable_selects_is_logged(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    settings = f"issuer {scripted.issuer}; allow_loopback_http on;"
    server = nginx(
        "error_log error.log debug;"
        + location("/", "credgate on", "credgate_provider $http_x_tenant", f"proxy_pass {upstream.url}"),
        http=f"credgate_provider red {{ {settings} }}",
    )
    assert ask(server.port, headers=ALICE.basic | {"X-Tenant": "red"}).status == 200
    assert ('credgate provider: "red"' in steps(server)) == DEBUG


def test_no_debug_message_contains_a_secret(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    server = nginx("error_log error.log debug;" + guarded(upstream.url, scripted.issuer))
    for source in SOURCES:
        for client in (ALICE, ALICE.wrong()):
            ask(server.port, **client.request(source))
    text = "\n".join(steps(server))
    assert ("credgate verdict" in text) == DEBUG
    for client in (ALICE, ALICE.wrong()):
        assert client.traces(text) == []
