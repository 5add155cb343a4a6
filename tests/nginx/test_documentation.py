"""The documentation of the nginx module: its examples run."""

import re
import subprocess
from pathlib import Path
from urllib.parse import quote

import jwt
import pytest
from conftest import ALICE, BOB
from support.endpoints import token_request
from support.examples import Example, blocks, section
from support.http import SOURCES, Client, ask
from support.keys import KEYS
from support.lab import Authority, Provider, Scripted, Upstream, bearer, opaque, values_of
from support.nginx import BINARY, MODULE
from support.process import ROOT, until
from support.redis import PASSWORD, RIGHTS, USER, Redis
from support.store import a_pepper

NGINX = ROOT / "ffi/nginx"
PAGES = {page.name: page.read_text() for page in sorted(NGINX.glob("*.md"))}
OPERATING = PAGES["OPERATING.md"]

EXAMPLES = [text for page in PAGES.values() for text in blocks("nginx", page)]

# The one that loads the module and does nothing else.
(LOADING,) = (text for text in EXAMPLES if text.startswith("load_module") and "http" not in text.split(";", 1)[1])
# The level of the error log, outside of http.
(LEVEL,) = (text for text in EXAMPLES if text.startswith("error_log"))


TIME_AND_ADDRESS = r"\d{4}-\d\d-\d\dT[\d:+-]+ 127\.0\.0\.1 "


def example(mark: str, directory: Path, here: dict[str, object]) -> Example:
    """The one example that contains `mark`."""
    (text,) = (text for text in EXAMPLES if mark in text)
    return Example(text, directory, here, f"load_module {MODULE};")


def check(directory: Path, configuration: str) -> subprocess.CompletedProcess[str]:
    conf = directory / "nginx.conf"
    (directory / "logs").mkdir(exist_ok=True)  # the log of an nginx in its own prefix
    conf.write_text(f"{configuration}\nevents {{}}\npid {directory}/pid;\n")
    command = [BINARY, "-t", "-p", directory, "-e", directory / "error.log", "-c", conf]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.fixture
def here(tls_provider: Provider, upstream: Upstream, authority: Authority) -> dict[str, object]:
    """The provider and the upstream of this machine, in place of those in the examples."""
    trusted = f"credgate_ssl_trusted_certificate {authority.ca}"
    return {
        "credgate on;": f"credgate on; {trusted};",
        "https://tenant.auth0.com": tls_provider.issuer,
        "http://127.0.0.1:8080": upstream.url,
    }


# Examples


def test_level_of_the_error_log_shows_denied_clients_and_the_provider(
    tmp_path: Path, scripted: Scripted, here: dict[str, object]
) -> None:
    (gate,) = (text for text in EXAMPLES if "location /orders/ {" in text)
    log = tmp_path / "notice.log"
    here |= {"https://tenant.auth0.com": f"{scripted.issuer}; credgate_allow_loopback_http on", "/var/log/nginx/error.log": log}
    text = f"{LEVEL}\nhttp {{\n{gate}\n}}"
    with Example(text, tmp_path, here, f"load_module {MODULE};").running() as port:
        scripted.script(status=401, json={"error": "invalid_client"})
        assert ask(port, "/orders/", headers=ALICE.basic).status == 401
        scripted.reset()
        scripted.script(status=500)
        assert ask(port, "/orders/", headers=BOB.basic).status == 502
        until(lambda: f"{scripted.issuer}: request failed" in log.read_text(), "the record of the library")
    assert '[warn]' in log.read_text() and 'client "alice" denied: credentials_refused' in log.read_text()


def test_load_module_by_path(tmp_path: Path) -> None:
    here = {"/path/to/target/nginx/ngx_http_credgate_module.so": MODULE}
    text = LOADING
    for written, meant in here.items():
        text = text.replace(written, str(meant))
    assert check(tmp_path, text).returncode == 0


def test_first_configuration(tmp_path: Path, upstream: Upstream, here: dict[str, object]) -> None:
    with example("location /orders/ {", tmp_path, here).running() as port:
        for source in SOURCES:
            assert ask(port, **ALICE.request(source, "/orders/7")).status == 200
            assert bearer(upstream.last)
            assert ALICE.traces(upstream.last["raw"]) == []


def test_named_headers(tmp_path: Path, upstream: Upstream, here: dict[str, object]) -> None:
    with example("credgate_client_id_header X-Client-Id;", tmp_path, here).running() as port:
        assert ask(port, headers={"X-Client-Id": ALICE.id, "X-Client-Secret": ALICE.secret}).status == 200
        assert bearer(upstream.last) and ALICE.traces(upstream.last["raw"]) == []


def test_resource_metadata(tmp_path: Path, here: dict[str, object]) -> None:
    with example("credgate_resource_metadata https", tmp_path, here).running() as port:
        challenge = ask(port).header("WWW-Authenticate") or ""
        location = challenge.partition('resource_metadata="https://example.com')[2].rstrip('"')
        assert ask(port, location).json()["resource"] == "https://example.com/"


def test_audience_depends_on_the_path(tmp_path: Path, upstream: Upstream, here: dict[str, object]) -> None:
    with example("map $uri $audience", tmp_path, here).running() as port:
        for path, audience in {"/": "https://example.com/", "/orders/7": "https://orders.example.com/"}.items():
            assert ask(port, path, headers=ALICE.basic).status == 200
            claims = jwt.decode(bearer(upstream.last), options={"verify_signature": False})
            assert claims["aud"] == audience


def test_provider_with_a_name(tmp_path: Path, upstream: Upstream, here: dict[str, object]) -> None:
    with example("credgate_provider tenant {", tmp_path, here).running() as port:
        assert ask(port, "/reports/7", headers=ALICE.basic).status == 200
        claims = jwt.decode(bearer(upstream.last), options={"verify_signature": False})
        assert (claims["aud"], claims["scope"]) == ("https://example.com/", "api:read")


def test_provider_by_host(tmp_path: Path, upstream: Upstream, here: dict[str, object]) -> None:
    with example("map $host $api", tmp_path, here).running() as port:
        for host, audience in {"www": "https://example.com/", "orders": "https://orders.example.com/"}.items():
            headers = ALICE.basic | {"Host": f"{host}.example.com"}
            assert ask(port, headers=headers).status == 200
            claims = jwt.decode(bearer(upstream.last), options={"verify_signature": False})
            assert claims["aud"] == audience
        assert ask(port, headers=ALICE.basic | {"Host": "other.example.com"}).status == 500


def test_opaque_tokens_are_introspected(
    tmp_path: Path, tls_provider: Provider, upstream: Upstream, here: dict[str, object]
) -> None:
    secret = tmp_path / "secret"
    secret.write_text(BOB.secret)
    here |= {
        "_client_id gateway;": f"_client_id {BOB.id}; credgate_introspection_endpoint_auth_method client_secret_post;",
        "/run/secrets/gateway": secret,
    }
    token = {"Authorization": f"Bearer {opaque(tls_provider, ALICE)}"}
    with example("credgate_auth_methods introspection;", tmp_path, here).running() as port:
        # An opaque token of this provider has no audience.
        assert ask(port, "/opaque/7", headers=token).status == 403
        assert ask(port, "/opaque/7", headers={"Authorization": "Bearer made-up"}).status == 401
    here["credgate_audience_required https://orders.example.com/;"] = ""
    (tmp_path / "any").mkdir()
    with example("credgate_auth_methods introspection;", tmp_path / "any", here).running() as port:
        assert ask(port, "/opaque/7", headers=token).status == 200
        assert f"Bearer {bearer(upstream.last)}" == token["Authorization"]


def test_a_header_of_the_token_request_is_in_a_file(
    tmp_path: Path, upstream: Upstream, here: dict[str, object]
) -> None:
    key = tmp_path / "key"
    key.write_text("s3cret")
    with example("credgate_token_header_file X-Api-Key", tmp_path, here | {"/run/secrets/api-key": key}).running() as port:
        assert ask(port, headers=ALICE.basic).status == 200
        assert "s3cret" not in str(upstream.last)


def test_log_of_clients_and_claims(tmp_path: Path, upstream: Upstream, here: dict[str, object]) -> None:
    log = tmp_path / "clients.log"
    with example("log_format clients", tmp_path, here | {"/var/log/nginx/clients.log": log}).running() as port:
        assert ask(port, **ALICE.request("query")).status == 200
        assert ask(port, headers=ALICE.wrong().basic).status == 401
        assert ["x-client", "alice"] in upstream.last["headers"]
        until(lambda: log.read_text().count("\n") == 2, "the log")
    served, refused = log.read_text().splitlines()
    assert re.fullmatch(
        TIME_AND_ADDRESS + r'alice "GET /\?client_id=alice&client_secret=\*+&keep=1 HTTP/1.1" 200 MISS - \d\.\d+ alice', served
    )
    assert re.fullmatch(TIME_AND_ADDRESS + r'alice "GET / HTTP/1.1" 401 MISS credentials_refused \d\.\d+ -', refused)


def test_rate_limit_for_each_client(tmp_path: Path, here: dict[str, object]) -> None:
    # Without delays, so that the test does not wait.
    here |= {"rate=10r/s": "rate=1r/m", "burst=5": "burst=5 nodelay"}
    with example("limit_req_zone", tmp_path, here).running() as port:
        statuses = [ask(port, headers=ALICE.basic).status for _ in range(8)]
        assert statuses == [200] * 6 + [503] * 2
        assert ask(port, headers=BOB.basic).status == 200
        assert ask(port, headers=ALICE.wrong().basic).status == 401


@pytest.fixture
def service(tls_provider: Provider, authority: Authority) -> dict[str, object]:
    """The provider of this machine, for the services of a gate, in which `credgate on` is implied."""
    issuer = f"{tls_provider.issuer}; credgate_ssl_trusted_certificate {authority.ca}"
    return {"https://tenant.auth0.com": issuer}


def test_token_endpoint(tmp_path: Path, tls_provider: Provider, service: dict[str, object]) -> None:
    with example("location = /oauth/token", tmp_path, service).running() as port:
        for _ in range(3):
            answer = token_request(port, ALICE, target="/oauth/token")
            claims = jwt.decode(answer.json()["access_token"], options={"verify_signature": False})
            assert claims["aud"] == "https://example.com/"
    assert tls_provider.count["token"] == 1


def test_auth_request(tmp_path: Path, upstream: Upstream, service: dict[str, object]) -> None:
    here = {"https://tenant.auth0.com/": service["https://tenant.auth0.com"], "http://127.0.0.1:8080": upstream.url}
    with example("auth_request /_credgate", tmp_path, here).running() as port:
        assert ask(port, "/api/x", headers=ALICE.basic).status == 200
        assert bearer(upstream.last) and ALICE.traces(upstream.last["raw"]) == []
        assert ask(port, "/api/x", headers=ALICE.wrong().basic).status == 401
        assert ask(port, "/_credgate", headers=ALICE.basic).status == 404


def test_check_for_other_proxies(tmp_path: Path, service: dict[str, object]) -> None:
    here = {"https://tenant.auth0.com/": service["https://tenant.auth0.com"]}
    with example("location /check {", tmp_path, here).running() as port:
        answer = ask(port, "/check/orders?x=1", headers=ALICE.basic)
        assert (answer.status, answer.header("X-Client")) == (200, ALICE.id)
        assert (answer.header("Authorization") or "").startswith("Bearer ")
        assert ask(port, "/check").status == 401


def test_passwords_beside_credentials(
    tmp_path: Path, tls_provider: Provider, upstream: Upstream, here: dict[str, object]
) -> None:
    people = tmp_path / "people"
    people.write_text("ann:{PLAIN}password\n")
    with example("auth_basic people", tmp_path, here | {"/etc/nginx/people": people}).running() as port:
        assert ask(port, headers=ALICE.basic).status == 200
        assert bearer(upstream.last)
        assert ask(port, headers=Client("ann", "password").basic).status == 200
        assert values_of(upstream.last, "authorization") == []
        for client, challenges in ((ALICE.wrong(), 2), (Client("ann", "typo"), 1)):
            denied = ask(port, headers=client.basic)
            assert denied.status == 401
            assert denied.body == b"Ask for credentials at https://example.com/"
            assert len(denied.all("WWW-Authenticate")) == challenges
    # Those with alice's secrets, right and wrong, and none with a person's password.
    assert set(tls_provider.count["by_client"]) == {"alice"}


def test_cache_of_responses_for_each_client(
    tmp_path: Path, upstream: Upstream, here: dict[str, object]
) -> None:
    with example("proxy_cache_path", tmp_path, here | {"/var/cache/nginx/orders": tmp_path / "orders"}).running() as port:
        for client in (ALICE, BOB):
            tokens = {bearer(ask(port, **client.request(source, "/x")).json()) for source in ("header", "query") * 2}
            (token,) = tokens
            assert jwt.decode(token, options={"verify_signature": False})["sub"] == client.id
        assert ask(port, "/x").status == 401
    assert len(upstream.seen) == 4


def test_credentials_of_the_gateway(tmp_path: Path, upstream: Upstream, here: dict[str, object]) -> None:
    secret = tmp_path / "gateway.secret"
    secret.write_text(f"{ALICE.secret}\n")
    here |= {"/etc/credgate/gateway.secret": secret, "credgate_client_id gateway": "credgate_client_id alice"}
    with example("credgate_client_secret_file", tmp_path, here).running() as port:
        assert ask(port, headers={"X-Own": "header"}).status == 200
        claims = jwt.decode(bearer(upstream.last), options={"verify_signature": False})
        assert claims["sub"] == "alice"
    assert "client_id is set" not in (tmp_path / "error.log").read_text(), "allow and deny guard it"


def test_key_of_the_gateway(tmp_path: Path, upstream: Upstream, here: dict[str, object]) -> None:
    here |= {"/etc/credgate/gateway.jwk": KEYS / "p256.jwk", "credgate_client_id gateway": "credgate_client_id key-p256"}
    with example("private_key_jwt", tmp_path, here).running() as port:
        assert ask(port).status == 200
        claims = jwt.decode(bearer(upstream.last), options={"verify_signature": False})
        assert claims["sub"] == "key-p256"


def test_clients_by_api_key(tmp_path: Path, upstream: Upstream, here: dict[str, object]) -> None:
    secrets = tmp_path / "secrets"
    secrets.write_text(f'alice "{ALICE.secret}";\n')
    with example("map $http_x_api_key", tmp_path, here | {"/etc/credgate/secrets": secrets}).running() as port:
        assert ask(port, headers={"X-Api-Key": "key-7f3a-of-alice"}).status == 200
        claims = jwt.decode(bearer(upstream.last), options={"verify_signature": False})
        assert claims["sub"] == "alice" and values_of(upstream.last, "x-api-key") == []
        for headers in ({}, {"X-Api-Key": "key"}, {"X-Api-Key": "key-91cd-of-bob"}, ALICE.basic):
            assert ask(port, headers=headers).status == 401


def test_clients_by_certificate(
    tmp_path: Path, authority: Authority, upstream: Upstream, here: dict[str, object]
) -> None:
    secrets = tmp_path / "secrets"
    secrets.write_text(f'alice "{ALICE.secret}";\n')
    here |= {
        "/etc/credgate/secrets": secrets,
        "CN=orders.example.com": "CN=127.0.0.1",
        "/etc/ssl/server.pem": authority.cert,
        "/etc/ssl/server.key": authority.key,
        "/etc/ssl/machines-ca.pem": authority.ca,
    }
    machine = authority.context()
    machine.load_cert_chain(authority.cert, authority.key)
    with example("map $ssl_client_s_dn", tmp_path, here).running() as port:
        assert ask(port, tls=machine).status == 200
        claims = jwt.decode(bearer(upstream.last), options={"verify_signature": False})
        assert claims["sub"] == "alice"
        assert ask(port, tls=authority.context(), headers=ALICE.basic).status == 400


def test_dry_run(tmp_path: Path, upstream: Upstream, authority: Authority, here: dict[str, object]) -> None:
    trusted = f"credgate dry_run; credgate_ssl_trusted_certificate {authority.ca};"
    log = tmp_path / "decisions.log"
    del here["credgate on;"]
    replaced = here | {"credgate dry_run;": trusted, "/var/log/nginx/decisions.log": log}
    with example("log_format decisions", tmp_path, replaced).running() as port:
        for client in (ALICE, ALICE.wrong()):
            assert ask(port, headers=client.basic).status == 200
            assert values_of(upstream.last, "authorization") == [client.basic["Authorization"]]
        until(lambda: log.read_text().count("\n") == 2, "the log")
    for line, cause in zip(log.read_text().splitlines(), ("-", "credentials_refused"), strict=True):
        assert re.fullmatch(TIME_AND_ADDRESS + rf'alice "GET / HTTP/1.1" MISS {cause}', line)


def test_operations_endpoints(tmp_path: Path) -> None:
    # The gate of a real configuration, in the same nginx.
    gate = "location / { credgate on; credgate_issuer https://tenant.auth0.com; }"
    served = example("credgate_purge", tmp_path, {"location = /metrics": f"{gate} location = /metrics"})
    with served.running() as port:
        metrics = ask(port, "/metrics").body.decode()
        report = ask(port, "/credgate").json()
        assert ask(port, "/purge?all", method="POST").json() == {"message": "purged"}
        assert ask(port, "/purge?all").status == 405
    kinds = re.findall(r"^# TYPE (\w+) (\w+)$", metrics, re.MULTILINE)
    assert re.findall(r"^\| `(credgate_\w+)` \| (\w+) \|", OPERATING, re.MULTILINE) == kinds
    table = re.findall(r"^\| (`.+`) \|", section(OPERATING, "## Report"), re.MULTILINE)
    assert sorted(re.findall(r"`(\w+)`", " ".join(table))) == sorted(report)


def test_counters_of_each_client(tmp_path: Path, here: dict[str, object]) -> None:
    gate = "location / { credgate on; credgate_issuer https://tenant.auth0.com; proxy_pass http://127.0.0.1:8080; }"
    for written, meant in here.items():
        gate = gate.replace(written, str(meant))
    here = {"location = /metrics": f"{gate} location = /metrics"}
    with example("credgate_metrics_clients", tmp_path, here).running() as port:
        assert ask(port, headers=ALICE.basic).status == 200
        assert ask(port, headers=ALICE.wrong().basic).status == 401
        metrics = ask(port, "/metrics").body.decode()
    counted = re.findall(r"^credgate_client_requests_total.*", metrics, re.MULTILINE)
    documented = re.findall(r"^credgate_client_requests_total.*", section(OPERATING, "### Clients"), re.MULTILINE)
    without = lambda lines: [line.rpartition(" ")[0] for line in lines]  # noqa: E731
    assert without(counted) == without(documented)
    assert [line.rpartition(" ")[2] for line in counted] == ["0", "0", "1", "1"]


def test_traces_reach_the_provider(tmp_path: Path, scripted: Scripted, upstream: Upstream, here: dict[str, object]) -> None:
    here["https://tenant.auth0.com"] = f"{scripted.issuer}; credgate_allow_loopback_http on"
    with example("location /traced/ {", tmp_path, here).running() as port:
        parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        assert ask(port, "/traced/", headers=ALICE.basic | {"traceparent": parent}).status == 200
    assert ["traceparent", parent] in scripted.state["last"]["headers"]


def test_workers_share_a_sqlite_file(tmp_path: Path, here: dict[str, object]) -> None:
    file = tmp_path / "run/tokens.db"
    with example("sqlite:", tmp_path, here | {"/run/credgate/tokens.db": file}).running() as port:
        assert ask(port, headers=ALICE.basic).status == 200
    assert file.exists()


def test_hosts_share_a_redis_server(tmp_path: Path, authority: Authority, here: dict[str, object]) -> None:
    here |= {
        "/etc/credgate/pepper": a_pepper(tmp_path),
        "/etc/credgate/cache-ca.pem": authority.ca,
    }
    with Redis(tmp_path / "redis", tls=authority, login=RIGHTS).start() as redis:
        here |= {
            "gateway:PASSWORD@cache.example.com:6380": f"{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{redis.tls_port}"
        }
        with example("rediss:", tmp_path, here).running() as port:
            assert ask(port, headers=ALICE.basic).status == 200
            assert redis.keys("v") == 1


def test_every_example_has_a_test() -> None:
    marks = re.findall(r'\bexample\("([^"]+)"', Path(__file__).read_text())
    assert [text for text in EXAMPLES if text not in {LOADING, LEVEL} and not any(mark in text for mark in marks)] == []
