"""ffi/lua/README.md: its examples and its reference; the packages."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from grp import getgrnam
from pathlib import Path
from pwd import getpwnam

import pytest

from conftest import ALICE, BOB
from support.endpoints import token_request
from support.examples import Example, blocks
from support.http import SOURCES, Connection, ask
from support.keys import KEYS
from support.lab import Authority, Provider, Upstream, bearer, opaque, values_of
from support.nginx import Nginx
from support.openresty import LOAD, gate, guarded, start
from support.process import ROOT, free_port, until

LUA = ROOT / "ffi/lua"
README = (LUA / "README.md").read_text()

SYNOPSIS, URI, OWN, INTROSPECTION, JUDGE, LOG, SERVICES, STATUS, REDACT, OPERATION, BESIDE, REDIRECTS = blocks("nginx", README)


def here(provider: Provider, authority: Authority) -> dict[str, object]:
    """Replacements for the names in the synopsis."""
    return {
        "/path/to/credgate": ROOT,
        'issuer = "https://tenant.auth0.com': f'ssl_trusted_certificate = "{authority.ca}", issuer = "{provider.issuer}',
    }


def test_synopsis_authenticates_every_source(
    tmp_path: Path, tls_provider: Provider, upstream: Upstream, authority: Authority
) -> None:
    places = {**here(tls_provider, authority), "http://127.0.0.1:8080": upstream.url}
    with Example(SYNOPSIS, tmp_path, places, LOAD).running() as port:
        for source in SOURCES:
            assert ask(port, **ALICE.request(source)).status == 200
            assert bearer(upstream.last)
        upstream.reset()
        assert ask(port, headers=ALICE.wrong().basic).status == 401
        assert not upstream.last


def test_uri_variable_and_redact_work_as_documented(
    tmp_path: Path, tls_provider: Provider, upstream: Upstream, authority: Authority
) -> None:
    # Both in the nginx of the synopsis: the location instead of its own, redact on the level of http.
    start, end = SYNOPSIS.index("        location / {"), SYNOPSIS.rindex("    }\n}")
    text = SYNOPSIS[:start] + URI + SYNOPSIS[end:]
    text = text.replace("http {\n", f"http {{\n{REDACT}access_log {tmp_path}/access.log combined;\n", 1)
    places = {**here(tls_provider, authority), "http://127.0.0.1:8080": upstream.url}
    with Example(text, tmp_path, places, LOAD).running() as port:
        assert ask(port, f"/a%2Fb//c?{ALICE.parameters}").status == 200
        assert upstream.last["line"].split()[1] == "/a%2Fb//c"
    log = (tmp_path / "access.log").read_text()
    assert "/a%2Fb//c?" in log and ALICE.traces(log) == []


# A gate drops only a token that is ten seconds old: the report is observed.
REPORT = """
local outcomes = require "resty.credgate.outcome"

function outcomes.upstream_status(_, http_status)
    print("the upstream returned ", http_status)
end
"""


def test_log_reports_the_upstreams_status_and_hides_secrets(
    tmp_path: Path, tls_provider: Provider, upstream: Upstream, authority: Authority
) -> None:
    start, end = SYNOPSIS.index("        location / {"), SYNOPSIS.rindex("    }\n}")
    text = SYNOPSIS[:start] + LOG + 'location /early { log_by_lua_block { gate:log() } return 403; }' + SYNOPSIS[end:]
    text = text.replace("http {\n", f"http {{\n{REDACT}access_log {tmp_path}/access.log combined;\n", 1)
    text = text.replace("init_by_lua_block {\n", f"error_log error.log notice;\ninit_by_lua_block {{\n{REPORT}", 1)
    places = {**here(tls_provider, authority), "http://127.0.0.1:8080": upstream.url}
    with Example(text, tmp_path, places, LOAD).running() as port:
        assert ask(port, f"/?{ALICE.parameters}").status == 200
        assert bearer(upstream.last)
        assert ask(port, f"/early?{ALICE.parameters}").status == 403
        until(lambda: "/early" in (tmp_path / "access.log").read_text(), "the log")
    assert "the upstream returned 200" in (tmp_path / "error.log").read_text()
    assert ALICE.traces((tmp_path / "access.log").read_text()) == []


def test_operators_see_numbers_and_purge(
    tmp_path: Path, tls_provider: Provider, upstream: Upstream, authority: Authority
) -> None:
    places = {**here(tls_provider, authority), "http://127.0.0.1:8080": upstream.url}
    example = Example(SYNOPSIS.rstrip().removesuffix("}") + OPERATION + "}", tmp_path, places, LOAD)
    (command,) = re.findall(r"`curl -X (POST) 'http://127\.0\.0\.1:8003(/purge\?client_id=alice)'`", README)
    with example.running() as port:
        operator = example.ports[1]
        for client in (ALICE, BOB):
            assert ask(port, headers=client.basic).status == 200
        assert ask(operator, "/status").json()["allowed"] == {"miss": 2}
        assert b"credgate_requests_total" in ask(operator, "/metrics").body
        assert ask(operator, "/purge").status == 403
        assert ask(operator, command[1], method=command[0]).status == 200
        for client in (ALICE, BOB):
            assert ask(port, headers=client.basic).status == 200
        assert tls_provider.count["by_client"] == {"alice": 2, "bob": 1}
        assert ask(operator, "/purge", method="POST").status == 200
        assert ask(port, headers=BOB.basic).status == 200
        assert tls_provider.count["by_client"] == {"alice": 2, "bob": 2}


@pytest.mark.parametrize("page", ["README.md", "KONG.md", "APISIX.md"])
def test_log_line_is_the_one_of_nginx(page: str) -> None:
    shown = [block for block in blocks("text", (LUA / page).read_text()) if "credgate: client" in block]
    assert len(shown) == 1 and shown[0] in (ROOT / "ffi/nginx/OPERATING.md").read_text()


@pytest.mark.parametrize("page", ["README.md", "KONG.md", "APISIX.md"])
def test_directory_of_the_store_is_for_the_workers_alone(page: str) -> None:
    (line,) = (block for block in blocks("text", (LUA / page).read_text()) if block.startswith("d "))
    kind, directory, mode, user, group = line.split()
    assert (kind, directory, mode) == ("d", "/run/credgate", "0700")
    assert page == "KONG.md" or getpwnam(user).pw_gid == getgrnam(group).gr_gid


@pytest.mark.parametrize("page", ["KONG.md", "APISIX.md"])
def test_images_contain_files_that_exist(page: str) -> None:
    (text,) = blocks("dockerfile", (LUA / page).read_text())
    sources = [source for line in re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE) for source in line.split()]
    built = {source for source in sources if source.startswith("target/packages/")}
    assert built <= {f"target/packages/{name}" for name in (
        "libcredgate1_*.deb", "lua-resty-credgate-*.rock", "kong-plugin-credgate-*.rock",
    )}  # fmt: skip
    assert all((ROOT / source).is_dir() for source in set(sources) - built) and built


def test_services_respond_to_clients_and_proxies(
    tmp_path: Path, tls_provider: Provider, authority: Authority
) -> None:
    example = Example(SYNOPSIS.rstrip().removesuffix("}") + SERVICES + "}", tmp_path, here(tls_provider, authority), LOAD)
    with example.running():
        port = example.ports[1]
        token = token_request(port, ALICE, target="/oauth/token").json()["access_token"]
        answer = ask(port, "/check/orders", headers=ALICE.basic)
        assert (answer.status, answer.header("Authorization")) == (200, f"Bearer {token}")
        assert ask(port, "/check").status == 401
    assert tls_provider.count["token"] == 1


def test_an_api_key_selects_the_credentials(
    tmp_path: Path, tls_provider: Provider, upstream: Upstream, authority: Authority
) -> None:
    places = {**here(tls_provider, authority), "http://127.0.0.1:8080": upstream.url, '"s3cret"': json.dumps(ALICE.secret)}
    with Example(OWN, tmp_path, places, LOAD).running() as port:
        assert ask(port, headers={"X-Api-Key": "key-7f3a-of-alice"}).status == 200
        assert bearer(upstream.last) and values_of(upstream.last, "x-api-key") == []
        upstream.reset()
        for headers in ({}, {"X-Api-Key": "key"}, ALICE.basic):
            assert ask(port, headers=headers).status == 401
        assert not upstream.last


def test_a_key_takes_the_place_of_the_secret(
    nginx: Callable[..., Nginx], tls_provider: Provider, upstream: Upstream, authority: Authority
) -> None:
    (text,) = (block for block in blocks("lua", README) if "private_key_jwt" in block)
    places = {"local gate": "gate", "/etc/credgate/gateway.jwk": KEYS / "p256.jwk", '"gateway"': '"key-p256"'}
    for written, meant in (places | here(tls_provider, authority)).items():
        text = text.replace(written, str(meant))
    assert ask(start(nginx, text, guarded(upstream.url)).port).status == 200
    assert bearer(upstream.last)


def test_an_opaque_token_is_introspected_as_documented(
    tmp_path: Path, tls_provider: Provider, upstream: Upstream, authority: Authority
) -> None:
    secret = tmp_path / "secret"
    secret.write_text(BOB.secret)
    places = {
        **here(tls_provider, authority),
        "http://127.0.0.1:8080": upstream.url,
        'introspection_client_id = "gateway"': f'introspection_client_id = "{BOB.id}", '
        'introspection_endpoint_auth_method = "client_secret_post"',
        "/run/secrets/gateway": secret,
    }
    token = opaque(tls_provider, ALICE)
    with Example(INTROSPECTION, tmp_path, places, LOAD).running() as port:
        for _ in range(2):
            assert ask(port, headers={"Authorization": f"Bearer {token}"}).status == 200
            assert bearer(upstream.last) == token
        assert ask(port, headers={"Authorization": "Bearer made-up"}).status == 401
    assert tls_provider.count["introspection"] == 2


def test_clients_are_counted_as_documented(
    tmp_path: Path, tls_provider: Provider, upstream: Upstream, authority: Authority
) -> None:
    (configure,) = (block for block in blocks("lua", README) if "metrics_clients" in block)
    metrics = 'location = /metrics { content_by_lua_block { ngx.print(require("resty.credgate").metrics()) } }\n'
    text = SYNOPSIS.replace("init_by_lua_block {\n", f"init_by_lua_block {{\n{configure}", 1)
    text = text.replace("        location / {", f"        {metrics}        location / {{", 1)
    places = {**here(tls_provider, authority), "http://127.0.0.1:8080": upstream.url}
    with Example(text, tmp_path, places, LOAD).running() as port:
        assert ask(port, headers=ALICE.basic).status == 200
        counted = 'credgate_client_requests_total{client_id="alice",result="allowed"} 1'
        assert counted in ask(port, "/metrics").body.decode().splitlines()


def test_named_headers_of_a_table(tmp_path: Path, tls_provider: Provider, authority: Authority) -> None:
    (code,) = (code for code in blocks("lua", README) if "client_id_header" in code)
    code = code.replace('"id"', f'"{ALICE.id}"').replace('"secret"', f'"{ALICE.secret}"')
    start, end = SYNOPSIS.index("        location / {"), SYNOPSIS.rindex("    }\n}")
    shown = f"location / {{ content_by_lua_block {{ {code} ngx.print(outcome.client_id, ' ', outcome.source) }} }}"
    with Example(SYNOPSIS[:start] + shown + SYNOPSIS[end:], tmp_path, here(tls_provider, authority), LOAD).running() as port:
        assert ask(port).body == b"alice headers"


def test_status_works_as_documented(tmp_path: Path, tls_provider: Provider, authority: Authority) -> None:
    text = SYNOPSIS[: SYNOPSIS.rindex("    }\n}")] + STATUS + "    }\n}"
    with Example(text, tmp_path, here(tls_provider, authority), LOAD).running() as port:
        assert ask(port, "/status", headers={"Accept": "text/html"}).body.startswith(b"<!doctype html>")
        assert ask(port, "/status").json()["allowed"] == {}


@pytest.mark.parametrize("up", ["application", "backup"])
def test_a_redirected_request_keeps_its_token(
    tmp_path: Path, tls_provider: Provider, upstream: Upstream, authority: Authority, up: str
) -> None:
    (tmp_path / "page").write_text("a file")
    down = f"http://127.0.0.1:{free_port()}"
    places = {
        **here(tls_provider, authority),
        "/srv/www": tmp_path,
        "http://127.0.0.1:8081": upstream.url if up == "application" else down,
        "http://127.0.0.1:8082": upstream.url if up == "backup" else down,
    }
    example = Example(SYNOPSIS.rstrip().removesuffix("}") + REDIRECTS + "}", tmp_path, places, LOAD)
    with example.running():
        port = example.ports[1]
        for source in SOURCES:
            assert ask(port, **ALICE.request(source)).status == 200
            assert bearer(upstream.last)
            assert not ALICE.traces(json.dumps(upstream.last))
        assert ask(port, "/page", headers=ALICE.basic).body == b"a file"
        upstream.reset()
        for path in ("/", "/page"):
            assert ask(port, path, headers=ALICE.wrong().basic).status == 401
        assert not upstream.last


def test_second_gate_after_a_redirect_denies_and_logs_the_reason(
    tmp_path: Path, tls_provider: Provider, upstream: Upstream, authority: Authority
) -> None:
    places = {**here(tls_provider, authority), "http://127.0.0.1:8081": upstream.url}
    twice = "error_log error.log info;\n" + REDIRECTS.replace("access_by_lua_block { }\n", "")
    example = Example(SYNOPSIS.rstrip().removesuffix("}") + twice + "}", tmp_path, places, LOAD)
    with example.running():
        assert ask(example.ports[1], headers=ALICE.basic).status == 401
        assert not upstream.last
    assert "credgate: no credentials after an internal redirect" in (tmp_path / "error.log").read_text()


def test_anonymous_requests_are_left_to_other_access_modules(
    tmp_path: Path, tls_provider: Provider, upstream: Upstream, authority: Authority
) -> None:
    places = {
        **here(tls_provider, authority),
        "http://127.0.0.1:8083": upstream.url,
        'auth_methods = { "client_credentials" }': 'auth_methods = { "client_credentials" }, anonymous = true,'
        ' upstream_headers_names = { "X-Client" }, upstream_headers_claims = { "sub" }',
        "allow 192.0.2.0/24": "allow 127.0.0.2",
    }
    text = "error_log error.log notice;\n" + BESIDE
    example = Example(SYNOPSIS.rstrip().removesuffix("}") + text + "}", tmp_path, places, LOAD)
    forged = {"X-Client": "forged", "X-CLIENT": "forged"}
    with example.running():
        port = example.ports[1]
        assert ask(port, headers=forged).status == ask(port, headers=ALICE.wrong().basic).status == 403
        assert not upstream.last
        assert ask(port, headers=ALICE.basic | forged).status == 200
        assert bearer(upstream.last) and values_of(upstream.last, "x-client") == ["alice"]
        # Any address of loopback is this machine's.
        allowed = Connection(port)
        allowed.raw.source_address = ("127.0.0.2", 0)
        assert allowed.ask(headers=ALICE.basic | forged).status == 200
        allowed.close()
        assert values_of(upstream.last, "authorization") == values_of(upstream.last, "x-client") == []
        for client in (ALICE, ALICE.wrong()):
            assert ask(port, "/trial/", headers=client.basic).status == 200
            assert values_of(upstream.last, "authorization") == [client.basic["Authorization"]]
    assert "dry run: allowed" in (tmp_path / "error.log").read_text()


def test_judge_lets_guests_in(
    nginx: Callable[..., Nginx], provider: Provider, upstream: Upstream
) -> None:
    location = f"location / {{ {JUDGE} proxy_pass {upstream.url}; }}"
    server = start(nginx, f"gate = {gate(provider.issuer)}", location)
    for client, guest in ((ALICE, "no"), (ALICE.wrong(), "yes")):
        assert ask(server.port, headers=client.basic).status == 200
        assert values_of(upstream.last, "x-guest") == [guest]
        assert len(values_of(upstream.last, "authorization")) == (guest == "no")


def test_every_method_is_documented() -> None:
    functions = {
        f"{owner}{name}"
        for owner, file in (
            ("gate:", "credgate/gate.lua"),
            ("gate:", "credgate/current.lua"),
            ("credgate.", "credgate.lua"),
            ("outcome:", "credgate/outcome.lua"),
        )
        for name in re.findall(r"^function _M\.(\w+)", (LUA / "lib/resty" / file).read_text(), re.MULTILINE)
    }  # fmt: skip
    internal = {"gate:new", "outcome:new", "outcome:new_struct"}
    assert sorted(functions - internal) == sorted(re.findall(r"^### (\w+[:.]\w+)$", README, re.MULTILINE))


def test_rock_installs_every_file_in_the_same_version(tmp_path: Path) -> None:
    tree = tmp_path / "lua"
    shutil.copytree(LUA, tree)
    version = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    assert version
    command = ["luarocks", "--lua-version", "5.1", "make", "--deps-mode", "none", "--tree", tmp_path / "rocks"]
    made = subprocess.run(
        [*command, f"lua-resty-credgate-{version[1]}-1.rockspec"], cwd=tree, capture_output=True, text=True, timeout=120
    )
    assert made.returncode == 0, made.stdout + made.stderr
    installed = {path.relative_to(tmp_path / "rocks/share/lua/5.1") for path in tmp_path.glob("rocks/share/**/*.lua")}
    assert installed == {path.relative_to(LUA / "lib") for path in LUA.glob("lib/resty/**/*.lua")}
