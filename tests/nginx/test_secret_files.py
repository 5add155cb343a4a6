"""Secrets of the operator in files, which change while nginx runs."""

from collections.abc import Callable
from pathlib import Path

from conftest import ALICE, BOB
from support.http import ask
from support.lab import Scripted, Upstream
from support.nginx import Nginx, guarded

Start = Callable[..., Nginx]


def test_rotated_files_are_used_without_a_reload(
    nginx: Start, scripted: Scripted, upstream: Upstream, tmp_path: Path
) -> None:
    files = [tmp_path / name for name in ("header", "argument")]
    for file in files:
        file.write_text(f"Kanarie-first-{file.name}\n")
    header, argument = files
    server = nginx(
        guarded(
            upstream.url,
            scripted.issuer,
            f"credgate_token_header_file X-Key {header}",
            f"credgate_token_header_file X-Other {argument}",
            f"credgate_token_post_arg_file api_key {argument}",
        )
    )
    for word, client in (("first", ALICE), ("second", BOB)):
        for file in files:
            file.write_text(f"Kanarie-{word}-{file.name}\n")
        assert ask(server.port, headers=client.basic).status == 200
        last = scripted.state["last"]
        headers = {name.lower(): value for name, value in last["headers"]}
        assert headers["x-key"] == f"Kanarie-{word}-header"
        assert headers["x-other"] == last["form"]["api_key"] == f"Kanarie-{word}-argument"
        assert ask(server.port, headers=client.basic).header("X-Credgate-Status") == "HIT"
    header.write_text("")
    # A third client: no token request without the header.
    answer = ask(server.port, headers={"Authorization": "Basic Y2Fyb2w6eA=="})
    assert answer.status == 503
    assert f"token_headers_files: {header} must not be empty" in server.errors
    assert "Kanarie" not in server.errors + str(upstream.seen)


def test_an_introspection_secret_is_read_at_each_introspection(
    nginx: Start, scripted: Scripted, upstream: Upstream, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    file.write_text("first")
    server = nginx(
        guarded(
            upstream.url,
            scripted.issuer,
            "credgate_auth_methods introspection",
            "credgate_introspection_client_id gateway",
            f"credgate_introspection_client_secret_file {file}",
            "credgate_introspection_endpoint_auth_method client_secret_post",
        )
    )
    for word in ("first", "second"):
        file.write_text(f"{word}\n")
        headers = {"Authorization": f"Bearer token-of-{word}"}
        assert [ask(server.port, headers=headers).status for _ in range(3)] == [200] * 3
        assert scripted.state["introspected"]["form"]["client_secret"] == word
    assert scripted.state["introspection"] == 2
    assert ask(server.port, headers={"Authorization": "Bearer wrong-token"}).status == 401
    assert b"token-of" not in server.logs and b"wrong-token" not in server.logs
