"""`nginx -t` says what is wrong, and where."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import ALICE
from support.http import ask
from support.lab import Provider, Upstream
from support.nginx import AUDIENCE, Nginx, gate, guarded, location

ISSUER = "https://issuer.example"


@pytest.fixture
def check(tmp_path: Path) -> Callable[..., str]:
    """The error of `nginx -t` for directives that it must refuse."""

    def refused(*directives: str, http: str = "") -> str:
        result = Nginx(tmp_path / "checked", location("/", *directives), http=http).check()
        assert result.returncode != 0, result.stderr
        assert "[emerg]" in result.stderr
        return result.stderr

    return refused


def line_of(directory: Path, text: str) -> str:
    """`nginx.conf:N`, as nginx names the line where `text` stands."""
    conf = directory / "checked/nginx.conf"
    number = next(n for n, line in enumerate(conf.read_text().split("\n"), 1) if text in line)
    return f"{conf}:{number}"


def write(directory: Path, document: Any) -> Path:
    file = directory / "gate.json"
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    return file


def test_a_valid_configuration_passes_without_a_provider(tmp_path: Path) -> None:
    result = Nginx(tmp_path, location("/", *gate(ISSUER))).check()
    assert result.returncode == 0, result.stderr


def test_each_mistake_is_reported_with_its_line(tmp_path: Path, check: Callable[..., str]) -> None:
    said = check("credgate on", f"credgate_issuer {ISSUER}", "credgate_cache_ttl 0", "credgate_scopes_required ' '")
    for directive in ("credgate_cache_ttl", "credgate_scopes_required"):
        line = next(line for line in said.splitlines() if f'credgate: "{directive}" directive ' in line)
        assert "[emerg]" in line and line.endswith(line_of(tmp_path, directive))


def test_a_header_that_nginx_ignores_is_refused(tmp_path: Path, check: Callable[..., str]) -> None:
    def named(name: str) -> list[str]:
        names = [f"credgate_client_id_header {name}id", "credgate_client_secret_header X-Secret"]
        return [*gate(ISSUER), *names]

    for name, remedy in (("client_", "underscores_in_headers on"), ("client.", "ignore_invalid_headers off")):
        said = check(*named(name))
        assert f'"{name}id"' in said and f'set "{remedy}"' in said and line_of(tmp_path, "credgate on") in said
        allowed = Nginx(tmp_path / "allowed", f"{remedy};" + location("/", *named(name))).check()
        assert allowed.returncode == 0, allowed.stderr


@pytest.mark.parametrize("wrapped", [False, True], ids=["plain", "kong"])
def test_an_unknown_field_error_suggests_the_nearest_field(
    tmp_path: Path, check: Callable[..., str], wrapped: bool
) -> None:
    document: Any = {"issuer": ISSUER, "token_post_arg_names": ["audience"]}
    if wrapped:
        document = {"name": "openid-connect", "config": document}
    file = write(tmp_path, document)
    said = check("credgate on", f"credgate_config {file}")
    assert "token_post_arg_names" in said
    assert "token_post_args_names" in said
    assert str(file) in said
    assert line_of(tmp_path, "credgate_config") in said


def test_an_invalid_file_error_names_file_and_line(tmp_path: Path, check: Callable[..., str]) -> None:
    file = write(tmp_path, '{\n  "issuer": "https://issuer.example",\n  "scopes": [,]\n}')
    said = check("credgate on", f"credgate_config {file}")
    assert str(file) in said
    assert "line 3" in said


def test_a_missing_file_error_names_the_file(tmp_path: Path, check: Callable[..., str]) -> None:
    said = check("credgate on", f"credgate_config {tmp_path}/none.json")
    assert f"{tmp_path}/none.json" in said
    assert line_of(tmp_path, "credgate_config") in said


def test_a_relative_path_is_relative_to_nginx_conf(
    tmp_path: Path, provider: Provider, upstream: Upstream, nginx: Callable[..., Nginx]
) -> None:
    (tmp_path / "nginx0").mkdir()
    write(tmp_path / "nginx0", {"issuer": provider.issuer, "allow_loopback_http": True})
    server = nginx(location("/", "credgate on", "credgate_config gate.json", f"proxy_pass {upstream.url}"))
    assert ask(server.port, headers=ALICE.basic).status == 200


def test_a_gate_without_an_issuer_is_refused(tmp_path: Path, check: Callable[..., str]) -> None:
    said = check("credgate on", f"credgate_token_post_arg audience {AUDIENCE}")
    assert "issuer" in said
    assert f"{tmp_path}/checked/nginx.conf:" in said


def test_a_file_without_an_issuer_is_refused(tmp_path: Path, check: Callable[..., str]) -> None:
    file = write(tmp_path, {"scopes": []})
    said = check("credgate on", f"credgate_config {file}")
    assert "issuer" in said
    assert str(file) in said


@pytest.mark.parametrize(
    "directive",
    [
        f"credgate_issuer {ISSUER}",
        f"credgate_token_post_arg audience {AUDIENCE}",
        "credgate_timeout 1s",
        "credgate_allow_loopback_http on",
        "credgate_ssl_trusted_certificate /etc/ssl/certs/ca-certificates.crt",
    ],
)
@pytest.mark.parametrize("first", ["file", "directive"])
def test_a_file_and_directives_do_not_mix(
    tmp_path: Path, check: Callable[..., str], directive: str, first: str
) -> None:
    both = [f"credgate_config {write(tmp_path, {'issuer': ISSUER})}", directive]
    said = check("credgate on", *(both if first == "file" else reversed(both)))
    assert "credgate_config" in said
    assert directive.split()[0] in said
    assert f"{tmp_path}/checked/nginx.conf:" in said


@pytest.mark.parametrize(
    ("directive", "named"),
    [
        ("credgate_issuer not-a-url", '"credgate_issuer" directive is not a URL'),
        ("credgate_issuer http://issuer.example", "http"),
        ("credgate_issuer ftp://issuer.example", '"credgate_issuer" directive is not https'),
        ("credgate_issuer http://127.0.0.1:1", "loopback"),
        ("credgate_issuer https://user:word@issuer.example", "issuer"),
        ("credgate maybe", "maybe"),
        ("credgate_timeout soon", "credgate_timeout"),
        ("credgate_timeout 0", "timeout"),
        ("credgate_token_post_arg audience", "credgate_token_post_arg"),
        ("credgate_token_post_arg client_secret x", "client_secret"),
        ("credgate_token_post_arg grant_type x", "grant_type"),
        ("credgate_ssl_trusted_certificate /none.pem", "/none.pem"),
        ("credgate_isuer https://issuer.example", "credgate_isuer"),
    ],
)
def test_an_invalid_value_error_names_the_field(tmp_path: Path, check: Callable[..., str], directive: str, named: str) -> None:
    needs = [] if directive.startswith("credgate_issuer") else [f"credgate_issuer {ISSUER}"]
    needs += [] if directive.startswith("credgate ") else ["credgate on"]
    said = check(*needs, directive)
    assert named in said
    assert f"{tmp_path}/checked/nginx.conf:" in said


def test_allow_loopback_http_applies_to_loopback_only(check: Callable[..., str]) -> None:
    said = check("credgate on", "credgate_allow_loopback_http on", "credgate_issuer http://issuer.example")
    assert "http" in said


@pytest.mark.parametrize("directive", [f"credgate_issuer {ISSUER}", "credgate on", "credgate_timeout 1s"])
def test_a_directive_twice_in_one_place_is_refused(check: Callable[..., str], directive: str) -> None:
    needs = [] if directive.startswith("credgate_issuer") else [f"credgate_issuer {ISSUER}"]
    assert "duplicate" in check(*needs, directive, directive)


def test_locations_inherit_server_settings_and_can_override_them(
    nginx: Callable[..., Nginx], scripted: Any, upstream: Upstream
) -> None:
    plain = "credgate_allow_loopback_http on"
    server = nginx(
        f"credgate_issuer {scripted.issuer}; {plain}; credgate_token_post_arg audience {AUDIENCE};"
        + location("/", "credgate on", f"proxy_pass {upstream.url}")
        + location("/other/", "credgate on", "credgate_token_post_arg audience other", f"proxy_pass {upstream.url}")
        + location("/open/", f"proxy_pass {upstream.url}")
    )
    assert ask(server.port, "/", headers=ALICE.basic).status == 200
    assert scripted.state["last"]["form"]["audience"] == AUDIENCE
    assert ask(server.port, "/other/", headers=ALICE.basic).status == 200
    assert scripted.state["last"]["form"]["audience"] == "other"
    assert ask(server.port, "/open/").status == 200
    assert scripted.state["token"] == 2


def test_several_arguments_are_all_sent(nginx: Callable[..., Nginx], scripted: Any, upstream: Upstream) -> None:
    more = ["credgate_token_post_arg organization org_1", "credgate_token_post_arg note 'a b&c=d'"]
    server = nginx(guarded(upstream.url, scripted.issuer, *more))
    assert ask(server.port, headers=ALICE.basic).status == 200
    form = scripted.state["last"]["form"]
    assert (form["audience"], form["organization"], form["note"]) == (AUDIENCE, "org_1", "a b&c=d")


def test_gates_share_a_token_only_if_they_request_the_same_one(
    nginx: Callable[..., Nginx], scripted: Any, upstream: Upstream
) -> None:
    plain = ["credgate_allow_loopback_http on", f"credgate_issuer {scripted.issuer}", "credgate on"]
    other = [*plain, "credgate_token_post_arg audience other", f"proxy_pass {upstream.url}"]
    server = nginx(
        guarded(upstream.url, scripted.issuer, path="/a/")
        + guarded(upstream.url, scripted.issuer, path="/b/")
        + location("/c/", *other)
    )
    for path in ("/a/", "/b/", "/c/", "/a/", "/c/"):
        assert ask(server.port, path, headers=ALICE.basic).status == 200
    assert scripted.state["token"] == 2


@pytest.mark.parametrize("argument", ["auth_methods", "scopes"])
def test_a_bare_string_is_a_list_of_one(
    nginx: Callable[..., Nginx], scripted: Any, upstream: Upstream, tmp_path: Path, argument: str
) -> None:
    value = {"auth_methods": "client_credentials", "scopes": "read"}[argument]
    document = {"issuer": scripted.issuer, "allow_loopback_http": True, argument: value}
    file = write(tmp_path, document)
    server = nginx(location("/", "credgate on", f"credgate_config {file}", f"proxy_pass {upstream.url}"))
    assert ask(server.port, headers=ALICE.basic).status == 200
    assert scripted.state["last"]["form"]["scope"] == ("read" if argument == "scopes" else "openid")


def test_no_scopes_send_no_scope(
    nginx: Callable[..., Nginx], scripted: Any, upstream: Upstream, tmp_path: Path
) -> None:
    file = write(tmp_path, {"issuer": scripted.issuer, "allow_loopback_http": True, "scopes": []})
    server = nginx(location("/", "credgate on", f"credgate_config {file}", f"proxy_pass {upstream.url}"))
    assert ask(server.port, headers=ALICE.basic).status == 200
    assert "scope" not in scripted.state["last"]["form"]


@pytest.mark.parametrize("source", ["header", "query", "form"])
def test_credentials_in_an_unlisted_source_are_ignored(
    nginx: Callable[..., Nginx], scripted: Any, upstream: Upstream, tmp_path: Path, source: str
) -> None:
    kinds = {"header": "header", "query": "query", "form": "body"}
    listed = [kind for kind in kinds.values() if kind != kinds[source]]
    document = {"issuer": scripted.issuer, "allow_loopback_http": True, "client_credentials_param_type": listed}
    file = write(tmp_path, document)
    server = nginx(location("/", "credgate on", f"credgate_config {file}", f"proxy_pass {upstream.url}"))
    for one in kinds:
        assert ask(server.port, **ALICE.request(one)).status == (401 if one == source else 200)


def test_bodies_over_max_body_bytes_are_not_read(
    nginx: Callable[..., Nginx], scripted: Any, upstream: Upstream, tmp_path: Path
) -> None:
    length = len(str(ALICE.request("form")["body"]))
    document = {"issuer": scripted.issuer, "allow_loopback_http": True, "max_body_bytes": length}
    file = write(tmp_path, document)
    server = nginx(location("/", "credgate on", f"credgate_config {file}", f"proxy_pass {upstream.url}"))
    request = ALICE.request("form")
    assert ask(server.port, **request).status == 200
    assert ask(server.port, **{**request, "body": f"{request['body']}1"}).status == 401


def test_all_mistakes_are_reported_at_once_each_in_its_own_line(tmp_path: Path, check: Callable[..., str]) -> None:
    mistakes = {
        "credgate_token_post_arg grant_type x": '"credgate_token_post_arg" directive: "grant_type" cannot be set here; the exchange sets it',
        "credgate_token_post_arg scope x": '"credgate_token_post_arg" directive: "scope" cannot be set here; use "credgate_scopes"',
        "credgate_upstream_header content-length sub": '"credgate_upstream_header" directive must not be "content-length", which frames or routes the request',
        "credgate_timeout 0": '"credgate_timeout" directive must be at least 1 (milliseconds)',
    }  # fmt: skip
    said = check("credgate on", "credgate_token_post_arg a b", "credgate_upstream_header x-sub sub", *mistakes)
    for directive, text in mistakes.items():
        assert f"credgate: {text} in {line_of(tmp_path, directive)}\n" in said
    missing = "\"credgate_issuer\" directive is missing; set it to the provider's issuer, or to its well-known URL"
    assert f"credgate: {missing} in {line_of(tmp_path, 'credgate on')}\n" in said
    assert said.count("[emerg]") == 5


def test_a_warning_names_the_directive_and_its_line(tmp_path: Path) -> None:
    directives = [f"credgate_issuer {ISSUER}", "credgate_ssl_verify off", "credgate_hide_credentials off"]
    result = Nginx(tmp_path / "checked", location("/", "credgate on", *directives)).check()
    assert result.returncode == 0
    for name, text in {
        "credgate_ssl_verify": "anyone on the network path to the provider can read every secret",
        "credgate_hide_credentials": "clients' secrets go upstream",
    }.items():
        assert f'[warn] credgate: "{name}" directive is "off": {text} in {line_of(tmp_path, name)}\n' in re.sub(
            r"\] \d+#\d+: ", "] ", result.stderr
        )
