"""Credentials that the gateway supplies: from its configuration, from a file, and from variables."""

from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest

from conftest import ALICE, BOB
from support.http import FORM, ask
from support.lab import Authority, Provider, Scripted, Upstream, bearer, values_of
from support.nginx import STATUS, Nginx, gate, guarded, location
from support.process import free_port, until

Start = Callable[..., Nginx]

IDP = "https://idp.example"
OWN = ("credgate_client_id gateway", "credgate_client_secret s3cret")
MAP = f"""
map $http_x_api_key $client {{ default ""; a alice; b bob; none alice; unknown carol; }}
map $http_x_api_key $secret {{ default ""; a '{ALICE.secret}'; b right; unknown wrong; }}
"""
BY_KEY = ("credgate_client_id $client", "credgate_client_secret $secret")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "gateway.secret"
    file.write_text(f"{ALICE.secret}\n")
    return file


def from_file(file: Path) -> tuple[str, str]:
    return "credgate_client_id alice", f"credgate_client_secret_file {file}"


def test_a_request_without_credentials_gets_the_gateways_token(
    nginx: Start, provider: Provider, upstream: Upstream, file: Path
) -> None:
    server = nginx(guarded(upstream.url, provider.issuer, *from_file(file)))
    for status in ("MISS", "HIT"):
        answer = ask(server.port)
        assert (answer.status, answer.header("X-Credgate-Status")) == (200, status)
        assert bearer(upstream.last)
    assert provider.count["by_client"] == {"alice": 1}


def test_the_clients_own_parameters_pass_unchanged(
    nginx: Start, scripted: Scripted, upstream: Upstream, file: Path
) -> None:
    to_header = "credgate_upstream_access_token_header x-token"
    server = nginx(guarded(upstream.url, scripted.issuer, *from_file(file), to_header))
    query, body = "client_id=app&client_id=twice&client_secret", "client_id=b&x=1"
    answer = ask(server.port, f"/?{query}", method="POST", headers=FORM | {"Authorization": "Basic %"}, body=body)
    assert answer.status == 200
    assert upstream.last["line"].split()[1] == f"/?{query}" and upstream.last["body"] == body
    assert values_of(upstream.last, "authorization") == ["Basic %"]
    assert values_of(upstream.last, "x-token") == ["token-of-alice"]


def test_a_changed_secret_file_is_used_without_a_reload(
    nginx: Start, scripted: Scripted, upstream: Upstream, file: Path
) -> None:
    server = nginx(guarded(upstream.url, scripted.issuer, *from_file(file), "credgate_cache_tokens off"))
    for secret in (ALICE.secret, "first", "second"):
        scripted.accept(secret)
        file.write_text(secret)
        assert ask(server.port).status == 200
        assert scripted.state["last"]["form"]["client_secret"] == secret
    assert scripted.state["token"] == 3


def test_a_secret_that_changes_during_an_exchange_fails_no_request(
    nginx: Start, scripted: Scripted, upstream: Upstream, file: Path
) -> None:
    method = "credgate_token_endpoint_auth_method client_secret_post"
    server = nginx(guarded(upstream.url, scripted.issuer, *from_file(file), method))
    scripted.hold()
    statuses: list[int] = []
    asking = Thread(target=lambda: statuses.append(ask(server.port).status))
    asking.start()
    until(lambda: scripted.state["waiting"] == 1, "the exchange")
    scripted.accept("new")
    file.write_text("new")
    scripted.release()
    asking.join()
    assert statuses == [200]
    assert scripted.state["token"] == 2


def test_a_refused_own_client_is_the_gateways_fault(
    nginx: Start, scripted: Scripted, upstream: Upstream, file: Path
) -> None:
    scripted.accept("new")
    server = nginx(guarded(upstream.url, scripted.issuer, *from_file(file)))
    answer = ask(server.port)
    assert answer.status == 502 and answer.header("WWW-Authenticate") is None
    assert not upstream.last
    assert "HTTP 401 invalid_client" in server.errors


def test_variables_select_the_client(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    server = nginx(guarded(upstream.url, scripted.issuer, *BY_KEY), http=MAP)
    for key, client in (("a", "alice"), ("b", "bob"), ("a", "alice")):
        assert ask(server.port, headers={"X-Api-Key": key}).status == 200
        assert values_of(upstream.last, "authorization") == [f"Bearer token-of-{client}"]
    assert scripted.state["by_client"] == {"alice": 1, "bob": 1}
    upstream.reset()
    for headers in ({}, {"X-Api-Key": "other"}, {"X-Api-Key": "none"}, {"X-Api-Key": "unknown"}, ALICE.basic):
        answer = ask(server.port, f"/?{ALICE.parameters}", headers=headers)
        assert answer.status == 401
    assert not upstream.last


def test_clients_allowed_judges_the_id_of_a_variable(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    server = nginx(guarded(upstream.url, scripted.issuer, *BY_KEY, "credgate_clients_allowed a*"), http=MAP)
    assert ask(server.port, headers={"X-Api-Key": "a"}).status == 200
    assert ask(server.port, headers={"X-Api-Key": "b"}).status == 403


def test_another_gate_after_a_redirect_needs_the_clients_credentials(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    first = location("/", *gate(scripted.issuer, *BY_KEY), "try_files /none /second")
    server = nginx(first + guarded(upstream.url, scripted.issuer, path="= /second"), http=MAP)
    assert ask(server.port, headers={"X-Api-Key": "a"}).status == 401
    assert ask(server.port, headers={"X-Api-Key": "a"} | BOB.basic).status == 200
    assert values_of(upstream.last, "authorization") == ["Bearer token-of-bob"]


def test_a_provider_by_variable_selects_a_secret_file(
    nginx: Start, scripted: Scripted, upstream: Upstream, tmp_path: Path
) -> None:
    blocks = ""
    for tenant in ("red", "blue"):
        (tmp_path / tenant).write_text(f"secret of {tenant}")
        blocks += (
            f"credgate_provider {tenant} {{ client_id {tenant}; client_secret_file {tmp_path}/{tenant};"
            f" issuer {scripted.issuer}; allow_loopback_http on; }}\n"
        )
    chosen = location("/", "credgate on", "credgate_provider $http_x_tenant", STATUS, f"proxy_pass {upstream.url}")
    server = nginx(chosen, http=blocks)
    for tenant in ("red", "blue"):
        assert ask(server.port, headers={"X-Tenant": tenant}).status == 200
        assert scripted.state["last"]["form"]["client_secret"] == f"secret of {tenant}"
    assert ask(server.port).status == 500
    assert "something else must" not in server.errors


def test_no_own_secret_goes_upstream_or_into_a_log(
    nginx: Start, provider: Provider, upstream: Upstream, file: Path
) -> None:
    inline = ("credgate_client_id alice", f"credgate_client_secret '{ALICE.secret}'")
    mixed = ("credgate_client_id $client", 'credgate_client_secret "$secret"')
    computed = ("credgate_client_id $client", 'credgate_client_secret "${secret}x"')
    server = nginx(
        guarded(upstream.url, provider.issuer, *from_file(file), path="/file")
        + guarded(upstream.url, provider.issuer, *inline, path="/inline")
        + guarded(upstream.url, provider.issuer, *mixed, path="/mixed")
        + guarded(upstream.url, provider.issuer, *computed, path="/computed"),
        http=MAP,
    )
    for path, status in (("/file", 200), ("/inline", 200), ("/mixed", 200), ("/computed", 401)):
        assert ask(server.port, path, headers={"X-Api-Key": "a"}).status == status
    seen = "".join(request["raw"] for request in upstream.seen)
    assert "Bearer " in seen
    assert ALICE.traces(seen, server.logs) == []


# Configuration


def warned(directory: Path, *lines: str, server: str = "", http: str = "") -> bool:
    """Does nginx warn that nothing guards the gateway's own credentials?"""
    (directory / "people").touch()
    upstream = "proxy_pass http://127.0.0.1:9"
    auth = location("= /auth", "credgate off", "return 204")
    text = server or location("/", *gate(IDP), *(lines or OWN), upstream)
    done = Nginx(directory / "checked", text + auth, http=http).check()
    assert done.returncode == 0, done.stderr
    return "something else must" in done.stderr


@pytest.mark.parametrize(
    ("guard", "warns"),
    [
        ("", True),
        ("allow 127.0.0.1; deny all;", False),
        ("auth_basic people; auth_basic_user_file people;", False),
        ("auth_basic off;", True),
        ("auth_request /auth;", False),
        ("auth_request off;", True),
        ("internal;", False),
        ("satisfy any; deny all;", True),
        ("satisfy any; internal;", False),
    ],
)
def test_nginx_warns_of_a_location_that_nothing_guards(tmp_path: Path, guard: str, warns: bool) -> None:
    lines = [line.strip() for line in guard.split(";") if line.strip()]
    assert warned(tmp_path, *OWN, *lines) == warns
    outside = guard.replace("internal;", "")
    if outside == guard:
        inside = outside + location("/", *gate(IDP, *OWN), "proxy_pass http://127.0.0.1:9")
        assert warned(tmp_path, server=inside) == warns


def test_own_credentials_of_a_server_are_judged_in_its_locations(tmp_path: Path) -> None:
    on = "".join(f"{line};\n" for line in (*gate(IDP), *OWN))
    closed = location("/", "deny all")
    assert not warned(tmp_path, server=on + closed)
    assert warned(tmp_path, server=on + closed + location("/open", "expires off"))
    assert warned(tmp_path, server=on + location("/closed", "deny all")), "other paths are open"


def test_a_required_certificate_guards_if_every_listener_asks_for_it(tmp_path: Path, authority: Authority) -> None:
    tls = f"""ssl_certificate {authority.cert}; ssl_certificate_key {authority.key};
        ssl_client_certificate {authority.ca}; ssl_verify_client on;"""
    inside = tls + location("/", *gate(IDP, *OWN), "proxy_pass http://127.0.0.1:9")
    listen = f"listen 127.0.0.1:{free_port()} ssl;"
    plain = f"listen 127.0.0.1:{free_port()};"
    nothing = location("/", "return 204")
    assert not warned(tmp_path, server=nothing, http=f"server {{ {listen} {inside} }}")
    assert warned(tmp_path, server=nothing, http=f"server {{ {listen} {plain} {inside} }}")
    optional = inside.replace("ssl_verify_client on", "ssl_verify_client optional")
    assert warned(tmp_path, server=nothing, http=f"server {{ {listen} {optional} }}")


def test_a_variable_in_the_id_is_a_guard(tmp_path: Path) -> None:
    assert not warned(tmp_path, *BY_KEY, http=MAP)
    assert warned(tmp_path, "credgate_client_id alice", "credgate_client_secret $secret", http=MAP)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["credgate_client_id gateway"], '"credgate_client_id" directive requires "credgate_client_secret"'),
        (["credgate_client_secret $host"], '"credgate_client_secret" directive with a variable requires "credgate_client_id"'),
        (["credgate_client_id $host"], '"credgate_client_id" directive with a variable requires "credgate_client_secret"'),
        (["credgate_client_id $host", "credgate_client_secret_file gateway.secret"], 'requires "credgate_client_secret"'),
        ([*BY_KEY, "credgate_client_secret_file gateway.secret"], '"credgate_client_secret_file" in'),
        ([*BY_KEY, "credgate_client_credentials_param_type header"], "cannot be combined with variables in"),
        ([*OWN, "credgate_client_credentials_param_type header"], 'has no effect with "credgate_client_id"'),
        ([*OWN, "credgate_clients_allowed gateway"], 'has no effect with "credgate_client_id"'),
        ([*OWN, "credgate_auth_methods bearer"], "must be client_credentials alone"),
        (["credgate_client_id gateway", "credgate_client_secret_file /nonexistent"], "cannot read /nonexistent"),
        (["credgate_client_id $nothing", "credgate_client_secret x"], 'unknown "nothing" variable'),
    ],
)
def test_half_configured_credentials_are_errors(tmp_path: Path, lines: list[str], says: str) -> None:
    done = Nginx(tmp_path / "checked", location("/", *gate(IDP, *lines)), http=MAP).check()
    assert done.returncode != 0
    assert says in done.stderr


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("credgate_client_secret x",),
        ("credgate_client_secret_file /dev/null",),
        ("credgate_clients_allowed x",),
        ("credgate_auth_methods session",),
        ("credgate_timeout never",),
    ],
)
def test_no_output_of_a_check_contains_the_secret(tmp_path: Path, lines: tuple[str, ...]) -> None:
    own = ("credgate_client_id alice", f"credgate_client_secret '{ALICE.secret}'")
    done = Nginx(tmp_path / "checked", location("/", *gate(IDP, *own, *lines))).check()
    assert (done.returncode != 0) == bool(lines)
    assert ALICE.traces(done.stdout, done.stderr) == []
