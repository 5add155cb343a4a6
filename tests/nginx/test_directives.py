"""Every setting and option has a directive, which is inherited, refused with its line, and does what its field does."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import ALICE
from support.http import ask
from support.lab import Provider, Scripted, Upstream, values_of
from support.nginx import STATUS, Nginx, gate, guarded, location
from support.process import ROOT

Start = Callable[..., Nginx]

ROWS = re.findall(
    r'NGX_HTTP_CREDGATE_SETTING\("(\w+)",\s*(\w+),\s*(\w+),\s*"(\w*)"\)',
    (ROOT / "ffi/nginx/ngx_http_credgate_module.c").read_text(),
)
GOOD = {
    "STRING": "x", "VALUE": "x", "FLAG": "off", "SEC": "1m", "MSEC": "500ms", "SIZE": "4k", "NUMBER": "7", "LIST": "a 'b c'",
    "NUMBERS": "401 403", "PAIRS": "x-name value", "ARGS": "x-name value", "HEADERS": "x-name claim 1", "PATH": "/dev/null",
    "FILES": "x-file /etc/hostname",
}  # fmt: skip
OWN = {
    "allow_addresses": "169.254.10.1 fd00:ec2::/32",
    "issuer": "https://idp.example", "token_endpoint": "https://idp.example/t", "jwks_endpoint": "https://idp.example/k",
    "extra_jwks_uris": "https://idp.example/a https://idp.example/b", "http_proxy": "http://proxy:3128",
    "extra_jwks_issuers": "https://idp.example a",
    "https_proxy": "http://proxy:3128", "token_endpoint_auth_method": "client_secret_jwt", "basic_encoding": "form",
    "token_endpoint_basic_encoding": "raw", "auth_methods": "bearer client_credentials introspection", "refresh_ahead": "0.5",
    "introspection_endpoint": "https://idp.example/i", "introspection_endpoint_auth_method": "client_secret_post",
    "client_credentials_param_type": "query header headers", "client_id_header": "X-Client-Id",
    "client_secret_header": "X-Client-Secret", "challenges": "basic bearer", "resource_metadata": "https://api.example/m",
    "ignore_signature": "client_credentials", "ssl_verify": "off",
    "token_post_args_client": "scope resource", "verify_signature": "on", "verify_claims": "on", "using_pseudo_issuer": "on", "upstream_access_token_header": "x-token:token",
}  # fmt: skip
# Files are read: those that must hold something have tests of their own.
FILES = {"ssl_trusted_certificate", "tls_client_auth_cert", "tls_client_auth_key", "client_secret_file", "config"}
# So are the settings of a key, which need its file.
FILES |= {name for name, *_ in ROWS if name == "client_alg" or name.startswith("client_assertion_")}
FILES |= {"introspection_client_secret_file", "http_proxy_authorization_file", "https_proxy_authorization_file"}
# They exclude the settings for credentials of clients: see test_own.py.
OWN_CLIENT = {"client_id", "client_secret"}


def conf(directory: Path, *lines: str, mode: str = "on") -> tuple[int, str]:
    """The exit status and message of `nginx -t` for these settings."""
    result = Nginx(directory / "checked", location("/", f"credgate {mode}", *lines)).check()
    return result.returncode, result.stderr


def line(directive: str, kind: str) -> str:
    return f"credgate_{directive} {OWN.get(directive, GOOD[kind])}"


def test_all_gate_directives_form_a_valid_configuration(tmp_path: Path) -> None:
    lines = [line(directive, kind) for directive, _, kind, _ in ROWS if directive not in FILES | OWN_CLIENT]
    assert len(lines) > 50
    status, message = conf(tmp_path, *lines)
    assert status == 0, message


@pytest.mark.parametrize(("directive", "kind"), [(directive, kind) for directive, _, kind, _ in ROWS])
def test_a_duplicate_directive_is_an_error_unless_repeatable(tmp_path: Path, directive: str, kind: str) -> None:
    if directive in FILES:
        twice = f"credgate_{directive} /nonexistent"
    else:
        twice = line(directive, kind)
    issuer = [] if directive == "issuer" else ["credgate_issuer https://idp.example"]
    status, message = conf(tmp_path, *issuer, twice, twice)
    if kind in ("PAIRS", "FILES", "ARGS", "HEADERS"):
        assert (status == 0) == (directive == "token_post_arg"), message
    else:
        assert status != 0
        assert '"credgate_' in message and "is duplicate" in message


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("credgate_verify_claims maybe", 'invalid value "maybe" in "credgate_verify_claims" directive, it must be "on" or "off"'),
        ("credgate_leeway soon", 'invalid value "soon" in "credgate_leeway" directive, it must be a time in whole seconds, such as "5s" or "1m"'),
        ("credgate_max_body_bytes lots", 'invalid value "lots" in "credgate_max_body_bytes" directive, it must be a size such as "64k" or "1m"'),
        ("credgate_refresh_ahead half", 'invalid value "half" in "credgate_refresh_ahead" directive, it must be a number'),
        ("credgate_refresh_ahead .5", 'invalid value ".5" in "credgate_refresh_ahead" directive, it must be a number'),
        ("credgate_refresh_ahead 0", 'credgate: "credgate_refresh_ahead" directive must be between 0.1 and 1 (1 disables refreshes)'),
        ("credgate_refusals_per_client -1", 'invalid value "-1" in "credgate_refusals_per_client" directive, it must be a number'),
        ("credgate_refusals_per_client 1.5", 'credgate: "credgate_refusals_per_client" directive: invalid type: floating point number, expected a whole number'),
        ("credgate_purge_token_on_upstream_status_codes 200", 'credgate: "credgate_purge_token_on_upstream_status_codes" directive must be between 400 and 599'),
        ("credgate_token_endpoint_auth_method none", 'credgate: "credgate_token_endpoint_auth_method" directive: unknown value, expected one of "client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"'),
        ("credgate_auth_methods saml", 'credgate: "credgate_auth_methods" directive: unknown value, expected one of "client_credentials", "bearer", "introspection"'),
        ("credgate_auth_methods session", 'credgate: "credgate_auth_methods" directive must not contain session, a method of Kong that Credgate does not have; use'),
        ("credgate_token_endpoint http://idp.example/", 'credgate: "credgate_token_endpoint" directive is not https'),
        ("credgate_upstream_header content-length sub", 'credgate: "credgate_upstream_header" directive must not be "content-length", which frames or routes the request'),
        ("credgate_token_post_arg grant_type x", 'credgate: "credgate_token_post_arg" directive: "grant_type" cannot be set here; the exchange sets it'),
        ("credgate_tls_client_auth_cert /nonexistent.pem", 'credgate: "credgate_tls_client_auth_cert" directive requires "credgate_tls_client_auth_key"'),
        ("credgate_scopes_claim ''", 'credgate: "credgate_scopes_claim" directive must name a claim, and no part of the path may be empty'),
        ("credgate_leeway 500ms", 'invalid value "500ms" in "credgate_leeway" directive, it must be a time in whole seconds, such as "5s" or "1m"'),
        ("credgate_timeout soon", 'invalid value "soon" in "credgate_timeout" directive, it must be a time such as "500ms", "5s" or "1m"'),
        ("credgate_token_endpoint_auth_method client_secret_basik", 'credgate: "credgate_token_endpoint_auth_method" directive: unknown value, expected one of "client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth", did you mean "client_secret_basic"?'),
        ("credgate_auth_methods bearer client_credential", 'credgate: value 2 of "credgate_auth_methods" directive: unknown value, expected one of "client_credentials", "bearer", "introspection", did you mean "client_credentials"?'),
        ("credgate_allow_addresses 10.0.0.1 10.0.0.999", 'credgate: value 2 of "credgate_allow_addresses" directive must be an IP address or a CIDR block, such as 10.0.0.0/8'),
        ("credgate_token_post_arg scope x", 'credgate: "credgate_token_post_arg" directive: "scope" cannot be set here; use "credgate_scopes"'),
        ("credgate_cache_ttl 0", 'credgate: "credgate_cache_ttl" directive must be at least 1 (seconds); to disable caching, set "credgate_cache_tokens" to "off"'),
        ("credgate_tls_client_auth_key /tls_client_auth_key", 'credgate: "credgate_tls_client_auth_key" directive requires "credgate_tls_client_auth_cert"'),
        ("credgate_scopes_required a ' '", 'credgate: "credgate_scopes_required" directive has an empty element; remove the directive to require nothing'),
    ],
)  # fmt: skip
def test_an_error_names_the_line_of_its_directive(tmp_path: Path, wrong: str, says: str) -> None:
    status, message = conf(tmp_path, "credgate_issuer https://idp.example", "credgate_audience a", wrong)
    assert status != 0
    assert says in message
    lines = (tmp_path / "checked/nginx.conf").read_text().split("\n")
    number = next(number for number, text in enumerate(lines, 1) if wrong in text)
    assert f"nginx.conf:{number}" in message, message


OPTIONS = re.findall(
    r'NGX_HTTP_CREDGATE_OPTION\("(\w+)",\s*(\w+),\s*(\w+),\s*"(\w*)"\)',
    (ROOT / "ffi/nginx/ngx_http_credgate_module.c").read_text(),
)
OPTION = {
    "store": "redis://127.0.0.1", "store_password_file": "pepper", "store_pepper_file": "pepper", "store_previous_pepper_files": "pepper pepper",
    "store_ca_file": "pepper", "store_client_cert_file": "pepper", "store_client_key_file": "pepper", "store_max_bytes": "2m",
}  # fmt: skip


def options(directory: Path, *lines: str) -> tuple[int, str]:
    """The exit status and message of `nginx -t` for these settings in http{}."""
    text = "".join(f"{line};\n" for line in lines)
    result = Nginx(directory / "checked", "", http=text)
    (directory / "checked/pepper").write_bytes(bytes(32))
    (directory / "checked/short").write_bytes(bytes(2))
    done = result.check()
    return done.returncode, done.stderr


def option(directive: str, kind: str) -> str:
    return f"credgate_{directive} {OPTION.get(directive, GOOD.get(kind))}"


def test_all_worker_wide_directives_form_a_valid_configuration(tmp_path: Path) -> None:
    assert len(OPTIONS) >= 10
    status, message = options(tmp_path, *(option(directive, kind) for directive, _, kind, _ in OPTIONS))
    assert status == 0, message


@pytest.mark.parametrize(("directive", "kind"), [(directive, kind) for directive, _, kind, _ in OPTIONS])
def test_worker_wide_directives_are_unique_and_http_only(tmp_path: Path, directive: str, kind: str) -> None:
    twice = option(directive, kind)
    status, message = options(tmp_path, twice, twice)
    assert status != 0 and f'"credgate_{directive}" directive is duplicate' in message
    status, message = conf(tmp_path, "credgate_issuer https://idp.example", twice)
    assert status != 0 and f'"credgate_{directive}" directive is not allowed here' in message


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("credgate_max_waiting 0", 'credgate: "credgate_max_waiting" directive must be at least 1'),
        ("credgate_cache_max_entries many", 'invalid value "many" in "credgate_cache_max_entries" directive, it must be a number'),
        ("credgate_cache_max_bytes much", 'invalid value "much" in "credgate_cache_max_bytes" directive, it must be a size such as "64k" or "1m"'),
        ("credgate_store memcached://127.0.0.1", 'credgate: "credgate_store" directive has the unknown scheme memcached:, use sqlite:/path/of/a/file'),
        ("credgate_store redis:///0", 'credgate: "credgate_store" directive names no host, as redis://127.0.0.1:6379/0 does'),
        ("credgate_store redis://127.0.0.1/first", 'credgate: "credgate_store" directive names a database that is not a number'),
        ("credgate_store redis://127.0.0.1", 'credgate: "credgate_store_pepper_file" directive is required with Redis: a file with at least 32 random bytes, the same on every host'),
        ("credgate_store_timeout 0", 'credgate: "credgate_store_timeout" directive must be at least 1 (milliseconds)'),
        ("credgate_store_max_bytes 1k", 'credgate: "credgate_store_max_bytes" directive must be between 1048576 (1 MiB) and 1099511627776 (1 TiB)'),
        ("credgate_store_prefix 'a b'", 'credgate: "credgate_store_prefix" directive must be at most 64 printable ASCII characters without spaces and braces'),
        ("credgate_store_client_cert_file pepper", 'credgate: "credgate_store_client_cert_file" directive requires "credgate_store_client_key_file"'),
        ("credgate_store_pepper_file nowhere", '/nowhere: No such file or directory'),
        ("credgate_store_pepper_file short", '/short: must contain between 32 and 4096 random bytes'),
        ("credgate_store_previous_pepper_files pepper short", 'credgate: value 2 of "credgate_store_previous_pepper_files" directive: '),
    ],
)  # fmt: skip
def test_an_error_in_a_worker_wide_directive_names_its_line(tmp_path: Path, wrong: str, says: str) -> None:
    store = [] if wrong.startswith("credgate_store ") else ["credgate_store sqlite:tokens.db"]
    status, message = options(tmp_path, "credgate_max_exchanges 5", *store, wrong)
    assert status != 0
    assert says in message
    lines = (tmp_path / "checked/nginx.conf").read_text().split("\n")
    number = next(number for number, text in enumerate(lines, 1) if wrong in text)
    assert f"nginx.conf:{number}" in message, message


def test_no_configuration_error_shows_a_password(tmp_path: Path) -> None:
    for url in ("redis://:kanarie@127.0.0.1/first", "redis://:kanarie@127.0.0.1:port", "redis://kanarie@127.0.0.1"):
        status, message = options(tmp_path, f"credgate_store {url}", "credgate_store_pepper_file pepper")
        assert status != 0 and "kanarie" not in message, message


def test_files_of_a_redis_over_tls_are_read(tmp_path: Path) -> None:
    lines = ["credgate_store rediss://127.0.0.1", "credgate_store_pepper_file pepper"]
    status, message = options(tmp_path, *lines)
    assert status == 0, message
    status, message = options(tmp_path, *lines, "credgate_store_ca_file pepper")
    assert status != 0 and "/pepper contains no PEM certificate in " in message and "nginx.conf:" in message


def test_files_unreadable_for_the_workers_are_errors(shared_directory: Path) -> None:
    lines = ["credgate_store redis://127.0.0.1", "credgate_store_pepper_file keys/pepper"]
    text = "".join(f"{line};\n" for line in lines)
    server = Nginx(shared_directory / "checked", "", http=text, user="www-data")
    pepper = shared_directory / "checked/keys/pepper"
    pepper.parent.mkdir()
    pepper.write_bytes(bytes(32))
    os.chown(pepper, 0, 4321)

    def is_refused() -> bool:
        done = server.check()
        return done.returncode != 0 and f'workers cannot read "{pepper}"' in done.stderr and "nginx.conf:" in done.stderr

    for mode in (0o600, 0o640):
        pepper.chmod(mode)
        assert is_refused()
    shutil.chown(pepper, "www-data")
    assert server.check().returncode == 0
    # A user also needs every directory on the way.
    pepper.parent.chmod(0o700)
    assert is_refused()
    link = pepper.parents[1] / "link"
    link.symlink_to(pepper)
    server.conf.write_text(server.conf.read_text().replace("keys/pepper", "link"))
    done = server.check()
    assert done.returncode != 0 and f'workers cannot read "{link}"' in done.stderr
    pepper.parent.chmod(0o711)
    assert server.check().returncode == 0


def test_files_readable_through_a_group_of_the_workers_are_accepted(
    nginx: Start, provider: Provider, upstream: Upstream, shared_directory: Path
) -> None:
    pepper, groups = shared_directory / "pepper", shared_directory / "group"
    pepper.write_bytes(bytes(32))
    pepper.chmod(0o640)
    os.chown(pepper, 0, 4321)
    groups.write_text(f"{Path('/etc/group').read_text()}keepers:x:4321:www-data\n")
    # This nginx sees other groups than the machine has.
    wrapper = ["unshare", "--mount", "sh", "-c", f'mount --bind {groups} /etc/group && exec "$@"', "sh"]
    store = f"credgate_store sqlite:{shared_directory}/store/tokens.db;\ncredgate_store_pepper_file {pepper};\n"
    server = nginx(guarded(upstream.url, provider.issuer), http=store, user="www-data", wrapper=wrapper)
    assert ask(server.port, headers=ALICE.basic).status == 200


def test_credgate_takes_four_modes(tmp_path: Path) -> None:
    assert conf(tmp_path, "credgate_issuer https://idp.example", mode="optional")[0] == 0
    status, message = conf(tmp_path, "credgate_issuer https://idp.example", mode="maybe")
    assert status != 0 and '"on", "off", "optional" or "dry_run"' in message
    (tmp_path / "gate.json").write_text('{"issuer":"https://idp.example"}')
    status, message = conf(tmp_path, f"credgate_config {tmp_path}/gate.json", mode="optional")
    assert status != 0 and 'set "anonymous" to true in the file' in message


def test_optional_passes_unauthenticated_requests_and_on_denies_them(
    nginx: Start, provider: Provider, upstream: Upstream
) -> None:
    settings = [*gate(provider.issuer)[1:], STATUS, f"proxy_pass {upstream.url}"]
    optional, strict = location("/", "credgate optional", *settings), location("= /on", "credgate on", *settings)
    server = nginx(optional + strict)
    answer = ask(server.port)
    assert (answer.status, answer.header("X-Credgate-Status")) == (200, "ANONYMOUS")
    assert ask(server.port, "/on").status == 401
    answer = ask(server.port, headers=ALICE.basic)
    assert (answer.status, answer.header("X-Credgate-Status")) == (200, "MISS")
    assert ask(server.port, "/?client_id=alice").status == 400


def test_settings_reach_the_provider(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    more = [
        "credgate_scopes read write", "credgate_token_header X-Key k", "credgate_token_post_arg resource r1",
        "credgate_token_post_arg resource r2", "credgate_token_endpoint_auth_method client_secret_basic",
    ]  # fmt: skip
    server = nginx(guarded(upstream.url, scripted.issuer, *more))
    assert ask(server.port, headers=ALICE.basic).status == 200
    last = scripted.state["last"]
    assert last["form"]["scope"] == "read write"
    assert values_of(last, "x-key") == ["k"]
    (authorization,) = values_of(last, "authorization")
    assert authorization.startswith("Basic ")
