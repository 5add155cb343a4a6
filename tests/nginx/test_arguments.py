"""Arguments of the token request whose values depend on the request."""

from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import ALICE
from support.h2 import H2Connection
from support.http import ask
from support.lab import Scripted, Upstream
from support.nginx import STATUS, Nginx, gate, guarded, location

Start = Callable[..., Nginx]

MAP = """
map $host $audience {
    default     "";
    orders.test https://orders.example/;
    stock.test  https://stock.example/;
}
"""


def ask_of(server: Nginx, host: str, **more: str) -> tuple[int, str | None]:
    answer = ask(server.port, headers={**ALICE.basic, "Host": host, **more})
    return answer.status, answer.header("X-Credgate-Status")


def test_an_audience_from_a_map_is_requested_and_separates_tokens(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    settings = gate(scripted.issuer, "credgate_token_post_arg audience $audience", "credgate_token_post_arg tier gold")
    settings = [setting for setting in settings if "https://example.com/" not in setting]
    server = nginx(location("/", *settings, STATUS, f"proxy_pass {upstream.url}"), http=MAP)
    for host, audience in (
        ("orders.test", "https://orders.example/"),
        ("stock.test", "https://stock.example/"),
        ("other.test", None),
    ):
        assert ask_of(server, host) == (200, "MISS")
        form = scripted.state["last"]["form"]
        assert (form.get("audience"), form["tier"]) == (audience, "gold")
        assert ask_of(server, host) == (200, "HIT")
    assert scripted.state["token"] == 3


def test_waiting_requests_keep_their_own_argument_values(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    server = nginx(guarded(upstream.url, scripted.issuer, "credgate_token_post_arg resource urn:$http_x_tenant"))
    connection = H2Connection(server.h2_port)
    for stream in [connection.send(headers={**ALICE.basic, "x-tenant": tenant}) for tenant in "abacb"]:
        assert connection.receive(stream).status == 200
    assert ask_of(server, "x", **{"X-Tenant": "b"})[1] == "HIT"
    assert scripted.state["token"] == 3


def test_a_location_inherits_arguments_and_can_override_them(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    own = location("/own/", "credgate_token_post_arg resource $uri", STATUS, f"proxy_pass {upstream.url}")
    plain = location("/plain/", "credgate_token_post_arg resource fixed", STATUS, f"proxy_pass {upstream.url}")
    rest = location("/", STATUS, f"proxy_pass {upstream.url}")
    outside = [*gate(scripted.issuer), "credgate_token_post_arg resource $host"]
    server = nginx("\n".join(f"{line};" for line in outside) + own + plain + rest)
    for path, resource in (("/x", "here.test"), ("/own/x", "/own/x"), ("/plain/x", "fixed")):
        assert ask(server.port, path, headers={**ALICE.basic, "Host": "here.test"}).status == 200
        assert scripted.state["last"]["form"]["resource"] == resource


def test_a_configured_scope_replaces_the_callers_scope(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    server = nginx(guarded(upstream.url, scripted.issuer, "credgate_token_post_arg scope $arg_scope"))
    assert ask(server.port, "/?scope=read", headers=ALICE.basic).status == 200
    assert scripted.state["last"]["form"]["scope"] == "read"
    assert ask(server.port, "/", headers=ALICE.basic).status == 200
    assert scripted.state["last"]["form"]["scope"] == "openid"


def test_a_redirect_to_another_gate_uses_its_argument_values(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    first = location("/", *gate(scripted.issuer, "credgate_token_post_arg resource a$uri"), "try_files /none /second")
    second = guarded(upstream.url, scripted.issuer, "credgate_token_post_arg resource b$uri", path="= /second")
    server = nginx(first + second)
    assert ask(server.port, "/x", headers=ALICE.basic).status == 200
    assert scripted.state["last"]["form"]["resource"] == "b/second"
    assert scripted.state["token"] == 2


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["credgate_audience $host"], "does not support variables"),
        (["credgate_token_post_arg resource $nothing"], 'unknown "nothing" variable'),
        (["credgate_token_post_arg resource $host", "credgate_token_post_arg resource x"], "is also configured with a fixed value"),
        (["credgate_token_post_arg resource $host", "credgate_token_post_arg resource $uri"], "appears twice"),
        (["credgate_token_post_arg audience $host", "credgate_audience a"], "is also configured with a fixed value"),
        (["credgate_token_post_arg client_secret $host"], "the exchange sets it"),
    ],
)
def test_invalid_arguments_are_configuration_errors(tmp_path: Path, lines: list[str], says: str) -> None:
    result = Nginx(
        tmp_path / "checked", location("/", "credgate on", "credgate_issuer https://idp.example", *lines)
    ).check()
    assert result.returncode != 0
    assert says in result.stderr


def test_host_arguments_in_a_file_need_directives(tmp_path: Path) -> None:
    (tmp_path / "gate.json").write_text('{"issuer":"https://idp.example","token_post_args_host":["audience"]}')
    result = Nginx(tmp_path / "checked", location("/", "credgate on", f"credgate_config {tmp_path}/gate.json")).check()
    assert result.returncode != 0
    assert 'no value for "audience"' in result.stderr
