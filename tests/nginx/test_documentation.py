"""What the documentation says is so."""

import json
import re
import socket
import subprocess
from pathlib import Path
from urllib.parse import quote

import jwt
import pytest
from conftest import ALICE, BOB
from support.examples import Example, blocks
from support.http import SOURCES, Client, ask
from support.lab import Authority, Provider, Upstream, bearer, values_of
from support.nginx import BINARY, MODULE
from support.process import ROOT, free_port, until
from support.redis import PASSWORD, RIGHTS, USER, Redis
from support.store import a_pepper

README = (ROOT / "README.md").read_text()
REFERENCE = (ROOT / "ffi/nginx/README.md").read_text()


EXAMPLES = blocks("nginx", README) + blocks("nginx", REFERENCE)

# The one that names the module and nothing else.
(LOADING,) = (text for text in EXAMPLES if text.startswith("load_module") and "http" not in text.split(";", 1)[1])


def example(mark: str, directory: Path, here: dict[str, object]) -> Example:
    """The one example that holds `mark`."""
    (text,) = (text for text in EXAMPLES if mark in text)
    return Example(text, directory, here, f"load_module {MODULE};")


def check(directory: Path, configuration: str) -> subprocess.CompletedProcess[str]:
    conf = directory / "nginx.conf"
    (directory / "logs").mkdir(exist_ok=True)  # where an nginx of its own prefix logs
    conf.write_text(f"{configuration}\nevents {{}}\npid {directory}/pid;\n")
    command = [BINARY, "-t", "-p", directory, "-e", directory / "error.log", "-c", conf]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.fixture
def here(tls_provider: Provider, upstream: Upstream, authority: Authority) -> dict[str, object]:
    """What stands here for the provider and the upstream of the examples."""
    trusted = f"credgate_ssl_trusted_certificate {authority.ca}"
    return {
        "credgate on;": f"credgate on; {trusted};",
        "https://tenant.auth0.com": tls_provider.issuer,
        "http://127.0.0.1:8080": upstream.url,
    }


def test_the_readmes_configuration_works(
    tmp_path: Path, authority: Authority, upstream: Upstream, here: dict[str, object]
) -> None:
    files = {
        "/path/to/target/nginx/ngx_http_credgate_module.so": MODULE,
        "/etc/ssl/gateway.pem": authority.cert,
        "/etc/ssl/gateway.key": authority.key,
    }
    with example("/etc/ssl/gateway.pem", tmp_path, here | files).running() as port:
        for source in SOURCES:
            answer = ask(port, tls=authority.context(), **ALICE.request(source, "/api/x"))
            assert answer.status == 200
            assert bearer(upstream.last)


def test_a_module_that_is_named_is_loaded(tmp_path: Path) -> None:
    here = {"/path/to/target/nginx/ngx_http_credgate_module.so": MODULE}
    text = LOADING
    for written, meant in here.items():
        text = text.replace(written, str(meant))
    assert check(tmp_path, text).returncode == 0


def test_an_audience_may_depend_on_the_path(tmp_path: Path, upstream: Upstream, here: dict[str, object]) -> None:
    with example("map $uri $audience", tmp_path, here).running() as port:
        for path, audience in {"/": "https://example.com/", "/orders/7": "https://orders.example.com/"}.items():
            assert ask(port, path, headers=ALICE.basic).status == 200
            claims = jwt.decode(bearer(upstream.last), options={"verify_signature": False})
            assert claims["aud"] == audience


def test_a_log_of_clients_and_claims(tmp_path: Path, upstream: Upstream, here: dict[str, object]) -> None:
    log = tmp_path / "clients.log"
    with example("log_format clients", tmp_path, here | {"/var/log/nginx/clients.log": log}).running() as port:
        assert ask(port, **ALICE.request("query")).status == 200
        assert ask(port, headers=ALICE.wrong().basic).status == 401
        assert ["x-client", "alice"] in upstream.last["headers"]
        until(lambda: log.read_text().count("\n") == 2, "the log")
    served, refused = log.read_text().splitlines()
    assert re.fullmatch(
        r'alice "GET /\?client_id=alice&client_secret=\*+&keep=1 HTTP/1.1" 200 MISS - \d\.\d+ alice', served
    )
    assert re.fullmatch(r'- "GET / HTTP/1.1" 401 MISS credentials_refused \d\.\d+ -', refused)


def test_a_limit_for_each_client(tmp_path: Path, here: dict[str, object]) -> None:
    # Without patience, so that nobody has to wait.
    here |= {"rate=10r/s": "rate=1r/m", "burst=5": "burst=5 nodelay"}
    with example("limit_req_zone", tmp_path, here).running() as port:
        statuses = [ask(port, headers=ALICE.basic).status for _ in range(8)]
        assert statuses == [200] * 6 + [503] * 2
        assert ask(port, headers=BOB.basic).status == 200
        assert ask(port, headers=ALICE.wrong().basic).status == 401


def test_people_beside_machines(tmp_path: Path, upstream: Upstream, here: dict[str, object]) -> None:
    people = tmp_path / "people"
    people.write_text("ann:{PLAIN}password\n")
    with example("auth_basic people", tmp_path, here | {"/etc/nginx/people": people}).running() as port:
        assert ask(port, headers=ALICE.basic).status == 200
        assert bearer(upstream.last)
        assert ask(port, headers=Client("ann", "password").basic).status == 200
        assert values_of(upstream.last, "authorization") == []
        denied = ask(port, headers=ALICE.wrong().basic)
        assert denied.status == 401
        assert denied.body == b"Ask for credentials at https://example.com/"
        assert denied.all("WWW-Authenticate")


def test_those_who_operate_it(tmp_path: Path) -> None:
    # Beside a gate, as they are in the real world.
    gate = "location / { credgate on; credgate_issuer https://tenant.auth0.com; }"
    served = example("credgate_purge", tmp_path, {"location = /metrics": f"{gate} location = /metrics"})
    with served.running() as port:
        assert b"credgate_requests_total" in ask(port, "/metrics").body
        assert ask(port, "/credgate").json()
        assert ask(port, "/purge?all", method="POST").status == 200
        assert ask(port, "/purge?all").status == 405


def test_workers_that_share_a_file(tmp_path: Path, here: dict[str, object]) -> None:
    file = tmp_path / "run/tokens.db"
    with example("sqlite:", tmp_path, here | {"/run/credgate/tokens.db": file}).running() as port:
        assert ask(port, headers=ALICE.basic).status == 200
    assert file.exists()


def test_hosts_that_share_a_server(tmp_path: Path, authority: Authority, here: dict[str, object]) -> None:
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


def test_what_nginx_refuses_is_not_logged(tmp_path: Path, upstream: Upstream) -> None:
    files = {f"/var/log/nginx/{name}.log": tmp_path / f"{name}.log" for name in ("access", "error")}
    served = example("$loggable", tmp_path, files)
    served.ports.append(free_port())
    server = f"server {{ listen 127.0.0.1:{served.ports[0]}; location / {{ return 204; }} }}\n}}"
    served.conf.write_text(served.conf.read_text().replace("\n}", server, 1))
    with served.running() as port:
        twice = b"".join(f"Authorization: {ALICE.basic['Authorization']}\r\n".encode() for _ in range(2))
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"GET /?client_secret=s3cret HTTP/1.1\r\nHost: x\r\n" + twice + b"\r\n")
            assert connection.recv(12) == b"HTTP/1.1 400"
        assert ask(port, "/seen").status == 204
        until(lambda: "/seen" in files["/var/log/nginx/access.log"].read_text(), "the log")
    for file in files.values():
        assert "s3cret" not in file.read_text()
        assert not ALICE.traces(file.read_bytes())


def test_the_readmes_json_is_a_configuration(tmp_path: Path) -> None:
    (seed,) = blocks("json", README)
    kong = f'{{"name": "openid-connect", "config": {seed}}}'
    for config in (seed, kong):
        (tmp_path / "gate.json").write_text(config)
        location = "location / { credgate on; credgate_config gate.json; }"
        done = check(tmp_path, f"load_module {MODULE};\nhttp {{ server {{ {location} }} }}")
        assert done.returncode == 0, done.stderr


def test_the_readme_names_only_fields_that_exist() -> None:
    fields = json.loads((ROOT / "core/config.schema.json").read_text())["properties"]
    (section,) = re.findall(r"^## Configuration\n(.*?)^## ", README, re.MULTILINE | re.DOTALL)
    named = re.findall(r"^\| `(\w+)`", section, re.MULTILINE)
    assert len(named) > 5
    assert [name for name in named if name not in fields] == []


@pytest.mark.parametrize(
    ("file", "pattern", "form"),
    [
        ("ngx_http_credgate_module.c", r'^    NGX_HTTP_CREDGATE_SETTING\("(\w+)"', "Syntax:  credgate_{} "),
        ("ngx_http_credgate_module.c", r'^    NGX_HTTP_CREDGATE_OPTION\("(\w+)"', "Syntax:  credgate_{} "),
        ("ngx_http_credgate_variables.c", r'^    \{ ngx_string\("(\w+)"\)', "`${}`"),
        ("ngx_http_credgate_module.c", r'^    \{ ngx_string\("(\w+)"\)', "Syntax:  {}"),
    ],
    ids=["settings", "options", "variables", "directives"],
)
def test_everything_that_an_operator_can_type_is_in_the_reference(file: str, pattern: str, form: str) -> None:
    names = re.findall(pattern, (ROOT / "ffi/nginx" / file).read_text(), re.MULTILINE)
    assert len(names) >= 2
    assert [name for name in names if form.format(name) not in REFERENCE] == []


def test_every_example_has_its_test() -> None:
    """What no test here names is not known to work."""
    marks = re.findall(r'\bexample\("([^"]+)"', Path(__file__).read_text())
    assert [text for text in EXAMPLES if text != LOADING and not any(mark in text for mark in marks)] == []
