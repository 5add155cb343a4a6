"""The header traceparent from a client's request to the token request."""

from collections.abc import Callable
from pathlib import Path

from conftest import ALICE, BOB
from support.http import ask
from support.lab import Scripted, Upstream
from support.nginx import Nginx, guarded

Start = Callable[..., Nginx]

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OTHER = PARENT.replace("4736", "4737")


def sent(scripted: Scripted) -> list[str]:
    """The values that the last token request had."""
    return [value for name, value in scripted.state["last"]["headers"] if name.lower() == "traceparent"]


def test_a_location_forwards_the_header_only_if_it_is_on(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    on = guarded(upstream.url, scripted.issuer, "credgate_traceparent on")
    off = guarded(upstream.url, scripted.issuer, "credgate_cache_tokens_salt off", path="/off/")
    server = nginx(on + off)
    headers = {"traceparent": PARENT, "tracestate": "vendor=value"}
    for path, expected in (("/", [PARENT]), ("/off/", [])):
        assert ask(server.port, path, headers=ALICE.basic | headers).status == 200
        assert sent(scripted) == expected
        assert ["traceparent", PARENT] in upstream.last["headers"]
    assert "tracestate" not in {name.lower() for name, _ in scripted.state["last"]["headers"]}


def test_the_header_does_not_separate_tokens(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    server = nginx(guarded(upstream.url, scripted.issuer, "credgate_traceparent on"))
    for value, status in ((PARENT, "MISS"), (OTHER, "HIT"), ("malformed", "HIT")):
        answer = ask(server.port, headers=ALICE.basic | {"traceparent": value})
        assert (answer.status, answer.header("X-Credgate-Status")) == (200, status)
    assert sent(scripted) == [PARENT]
    assert ask(server.port, headers=BOB.basic | {"traceparent": OTHER}).status == 200
    assert sent(scripted) == [OTHER]


def test_the_header_goes_with_arguments_of_the_request(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    settings = ("credgate_traceparent on", "credgate_token_post_arg tenant $http_x_tenant")
    server = nginx(guarded(upstream.url, scripted.issuer, *settings))
    for tenant, value in (("a", PARENT), ("b", OTHER)):
        assert ask(server.port, headers=ALICE.basic | {"traceparent": value, "X-Tenant": tenant}).status == 200
        assert (scripted.state["last"]["form"]["tenant"], sent(scripted)) == (tenant, [value])


def test_a_fixed_header_beside_it_is_a_mistake(tmp_path: Path, scripted: Scripted, upstream: Upstream) -> None:
    settings = ("credgate_traceparent on", f"credgate_token_header traceparent {PARENT}")
    checked = Nginx(tmp_path / "checked", guarded(upstream.url, scripted.issuer, *settings)).check()
    assert checked.returncode == 1
    assert '"credgate_traceparent" directive is also in "credgate_token_header"' in checked.stderr
