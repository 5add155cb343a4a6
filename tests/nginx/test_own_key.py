"""The gateway's own client with a key, an assertion or a certificate in place of a secret."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import jwt
import pytest

from support.http import ask
from support.keys import KEYS, own
from support.lab import Authority, Provider, Scripted, Upstream, bearer
from support.nginx import AUDIENCE, STATUS, Nginx, gate, location
from support.process import until

Start = Callable[..., Nginx]


def keyed(issuer: str, upstream: Upstream, settings: dict[str, object], *more: str) -> str:
    lines = [f"credgate_{name} {value}" for name, value in settings.items()]
    return location("/", *gate(issuer, *lines, *more), STATUS, f"proxy_pass {upstream.url}")


def certified(name: str, method: str = "tls_client_auth") -> dict[str, object]:
    return {
        "client_id": "tls" if method == "tls_client_auth" else "self-signed",
        "token_endpoint_auth_method": method,
        "tls_client_auth_cert": KEYS / f"{name}.cert.pem",
        "tls_client_auth_key": KEYS / f"{name}.pem",
    }


@pytest.mark.parametrize(
    ("jwk", "file", "more"),
    [
        ("rsa", "rsa.pem", {"client_assertion_kid": "rsa-1"}),
        ("rsa", "rsa.ps256.jwk", {}),
        ("p256", "p256.sec1.pem", {}),
        ("p256", "p256.jwk", {}),
        ("ed25519", "ed25519.jwk", {}),
    ],
)
def test_private_key_jwt_at_the_certified_provider(
    nginx: Start, provider: Provider, upstream: Upstream, jwk: str, file: str, more: dict[str, object]
) -> None:
    server = nginx(keyed(provider.issuer, upstream, own(f"key-{jwk}", file, **more)))
    assert [ask(server.port).header("X-Credgate-Status") for _ in range(3)] == ["MISS", "HIT", "HIT"]
    claims = jwt.decode(bearer(upstream.last), options={"verify_signature": False})
    assert (claims["sub"], claims["aud"]) == (f"key-{jwk}", AUDIENCE)
    assert provider.count["by_client"] == {f"key-{jwk}": 1}


def test_a_key_of_another_client_is_refused_by_the_provider_and_costs_no_401(
    nginx: Start, provider: Provider, upstream: Upstream
) -> None:
    server = nginx(keyed(provider.issuer, upstream, own("key-p256", "p384.pem", client_assertion_kid="p256-1")))
    assert ask(server.port).status == 502
    assert not upstream.last
    assert "HTTP 401 invalid_client" in server.errors


@pytest.mark.parametrize(
    ("name", "method"), [("rsa", "tls_client_auth"), ("p256", "self_signed_tls_client_auth")]
)
def test_a_certificate_proves_the_client_at_the_endpoint_for_it(
    nginx: Start, tls_provider: Provider, upstream: Upstream, authority: Authority, name: str, method: str
) -> None:
    trusted = f"credgate_ssl_trusted_certificate {authority.ca}"
    server = nginx(keyed(tls_provider.issuer, upstream, certified(name, method), trusted))
    assert [ask(server.port).header("X-Credgate-Status") for _ in range(2)] == ["MISS", "HIT"]
    claims = jwt.decode(bearer(upstream.last), options={"verify_signature": False})
    assert claims["sub"] == certified(name, method)["client_id"]


def test_a_certificate_of_another_subject_is_refused_by_the_provider(
    nginx: Start, tls_provider: Provider, upstream: Upstream, authority: Authority
) -> None:
    trusted = f"credgate_ssl_trusted_certificate {authority.ca}"
    server = nginx(keyed(tls_provider.issuer, upstream, certified("ed25519"), trusted))
    assert ask(server.port).status == 502
    assert not upstream.last


def test_new_keys_are_used_without_a_reload_and_without_a_failed_request(
    nginx: Start, scripted: Scripted, upstream: Upstream, tmp_path: Path
) -> None:
    file = tmp_path / "gateway.jwk"
    names = ("p256", "rsa", "ed25519", "p384")
    shutil.copy(KEYS / "p521.jwk", file)
    server = nginx(keyed(scripted.issuer, upstream, own("gateway", file), "credgate_cache_tokens off"))
    workers = server.workers
    assert ask(server.port).status == 200
    for name in names:
        file.write_text("{")  # half written
        assert ask(server.port).status == 200
        shutil.copy(KEYS / f"{name}.jwk", file)
        assert ask(server.port).status == 200
        header = jwt.get_unverified_header(scripted.state["last"]["form"]["client_assertion"])
        assert header["kid"].startswith(name.removesuffix("25519"))
    assert server.workers == workers
    until(lambda: "the last usable key stays in use" in server.errors, "the warning")


def test_new_certificates_are_used_without_a_reload(
    nginx: Start, tls_provider: Provider, upstream: Upstream, authority: Authority, tmp_path: Path
) -> None:
    for file, source in (("cert", "ed25519.cert.pem"), ("key", "ed25519.pem")):
        shutil.copy(KEYS / source, tmp_path / file)
    files = {"tls_client_auth_cert": tmp_path / "cert", "tls_client_auth_key": tmp_path / "key"}
    more = ("credgate_cache_tokens off", f"credgate_ssl_trusted_certificate {authority.ca}", "credgate_cache_ttl_neg 0s")
    server = nginx(keyed(tls_provider.issuer, upstream, certified("rsa") | files, *more))
    assert ask(server.port).status == 502
    for file, source in (("cert", "rsa.cert.pem"), ("key", "rsa.pem")):
        shutil.copy(KEYS / source, tmp_path / file)
    assert ask(server.port).status == 200


def test_a_renewed_assertion_is_sent_and_an_expired_one_is_not(
    nginx: Start, scripted: Scripted, upstream: Upstream, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    settings = {
        "client_id": "gateway",
        "token_endpoint_auth_method": "private_key_jwt",
        "client_assertion_file": file,
    }
    shutil.copy(KEYS / "assertion.expired.jwt", file)
    server = nginx(keyed(scripted.issuer, upstream, settings, "credgate_cache_tokens off"))
    assert ask(server.port).status == 503
    assert scripted.state["token"] == 0
    assert "client_assertion_file: " in server.errors and "contains an assertion that expired" in server.errors
    shutil.copy(KEYS / "assertion.jwt", file)
    assert ask(server.port).status == 200
    assert scripted.state["last"]["form"]["client_assertion"] == file.read_text().strip()


def test_no_key_and_no_assertion_reaches_a_log_or_the_upstream(
    nginx: Start, scripted: Scripted, upstream: Upstream, tmp_path: Path
) -> None:
    file = tmp_path / "key.pem"
    shutil.copy(KEYS / "p256.pem", file)
    settings = own("gateway", file) | {"cache_tokens": "off"}
    server = nginx(keyed(scripted.issuer, upstream, settings))
    assert ask(server.port).status == 200
    assertion = scripted.state["last"]["form"]["client_assertion"]
    scripted.script(status=401, json={"error": "invalid_client", "error_description": assertion})
    assert ask(server.port).status == 502
    (tmp_path / "key.pem").write_text((KEYS / "p384.pem").read_text()[:-40])
    ask(server.port)
    secrets = [line for key in ("p256", "p384") for line in (KEYS / f"{key}.pem").read_text().splitlines()[1:-1]]
    shown = server.logs.decode(errors="replace") + json.dumps(upstream.seen)
    assert [secret for secret in (*secrets, assertion, assertion.rpartition(".")[2]) if secret in shown] == []


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (own("gateway", "rsa1024.pem"), '"credgate_client_assertion_key_file" directive'),
        (own("gateway", "p256.pem", client_alg="RS256"), '"credgate_client_alg" directive'),
        (
            own("gateway", "rsa.pem", client_assertion_cert_file=KEYS / "p256.cert.pem"),
            '"credgate_client_assertion_cert_file" directive',
        ),
        (
            {"client_id": "gateway", "token_endpoint_auth_method": "tls_client_auth"},
            '"credgate_token_endpoint_auth_method" directive',
        ),
    ],
)
def test_an_unfit_key_is_an_error_of_its_directive(
    tmp_path: Path, scripted: Scripted, upstream: Upstream, settings: dict[str, object], says: str
) -> None:
    checked = Nginx(tmp_path / "checked", keyed(scripted.issuer, upstream, settings)).check()
    assert checked.returncode != 0
    assert says in checked.stderr, checked.stderr
