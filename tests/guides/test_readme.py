"""The README: its blocks run here with the parts of this machine, and its examples are the files of the repository.

`packages/test_newcomers.py` runs them on a clean Debian with the packages.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conftest import ALICE
from support import readme
from support.examples import Example, fenced
from support.http import SOURCES, ask
from support.kong_gateway import Gateway
from support.lab import Authority, Provider, Upstream, bearer, values_of
from support.library import compiled
from support.nginx import MODULE, Nginx
from support.openresty import LOAD, PATHS
from support.process import ROOT, Service, free_port, run, until

TENANT = "https://tenant.auth0.com"
API = "http://127.0.0.1:8080"


@pytest.fixture
def client() -> dict[str, str]:
    """The environment with the client of the first block."""
    return {**os.environ, "CLIENT_ID": ALICE.id, "CLIENT_SECRET": ALICE.secret}


@pytest.fixture
def shows(tmp_path: Path) -> Iterator[int]:
    """The port of the upstream that shows each request."""
    port = free_port()
    (command,) = re.findall(r"^python3 (\S+) &$", readme.UPSTREAM, re.MULTILINE)
    file = tmp_path / "upstream.py"
    file.write_text((ROOT / command).read_text().replace("8080", str(port)))
    with Service([sys.executable, file], tmp_path / "upstream.log", port=port).start():
        yield port


def forwarded(printed: str) -> bool:
    """Does the text show a request with a token, and no secret?"""
    assert ALICE.traces(printed) == []
    return re.search(r"^Authorization: Bearer eyJ[\w-]+\.", printed, re.MULTILINE | re.IGNORECASE) is not None


def serves(example: Example, upstream: Upstream) -> None:
    with example.running() as port:
        for source in SOURCES:
            assert ask(port, **ALICE.request(source)).status == 200
            assert bearer(upstream.last)
            assert ALICE.traces(upstream.last["raw"]) == []
        assert ask(port, headers=ALICE.wrong().basic).status == 401


def test_nginx(tmp_path: Path, tls_provider: Provider, authority: Authority, upstream: Upstream) -> None:
    trusted = f"credgate on; credgate_ssl_trusted_certificate {authority.ca};"
    here = {TENANT: tls_provider.issuer, API: upstream.url, "credgate on;": trusted}
    serves(Example(readme.file_of("nginx").text, tmp_path, here, f"load_module {MODULE};"), upstream)


def test_openresty(tmp_path: Path, tls_provider: Provider, authority: Authority, upstream: Upstream) -> None:
    issuer = f'ssl_trusted_certificate = "{authority.ca}", issuer = "{tls_provider.issuer}'
    here = {f'issuer = "{TENANT}': issuer, API: upstream.url}
    # The nginx module may be installed, too.
    both = f"{LOAD}load_module {MODULE};\n"
    serves(Example(PATHS + readme.file_of("OpenResty").text, tmp_path, here, both), upstream)


def test_kong_gateway(
    nginx: Callable[..., Nginx], tls_provider: Provider, authority: Authority, upstream: Upstream
) -> None:
    trust = {"lua_ssl_trusted_certificate_combined": str(authority.ca)}
    kong = Gateway(nginx, upstream.url, plugins=("openid-connect",), configuration=trust)
    (commands,) = (block.text for block in readme.way("Kong Gateway") if "kong restart" in block.text)
    (add,) = re.findall(r"^(curl \S+/plugins (?:.*\\\n)*.*\n)", commands, re.MULTILINE)
    here = {"http://localhost:8001": f"http://127.0.0.1:{kong.port}", TENANT: tls_provider.issuer}
    for written, meant in here.items():
        assert written in add
        add = add.replace(written, meant)
    run("bash", "-c", add.replace("curl ", "curl --fail-with-body --silent --show-error "))
    assert ask(kong.port, headers=ALICE.basic).status == 200
    assert bearer(upstream.last)


def test_python(tls_provider: Provider, authority: Authority, shows: int, client: dict[str, str]) -> None:
    text = readme.file_of("Python").text
    for written, meant in {
        TENANT: tls_provider.issuer,
        "8080": str(shows),
        "audience=": f'ssl_trusted_certificate="{authority.ca}", audience=',
    }.items():
        assert written in text
        text = text.replace(written, meant)
    assert forwarded(run(sys.executable, "-c", text, env=client).stdout)
    denied = run(sys.executable, "-c", text, env={**client, "CLIENT_SECRET": "wrong"}, check=False).stderr
    assert re.search(r"^credgate\.DeniedError: .*credentials_refused", denied, re.MULTILINE), denied


def test_c(tmp_path: Path, tls_provider: Provider, authority: Authority, shows: int, client: dict[str, str]) -> None:
    flags = run("pkg-config", "--cflags", "--libs", "libcurl").stdout.split()
    program = compiled(ROOT / "ffi/examples/forward.c", tmp_path, "-D_POSIX_C_SOURCE=200809L", *flags)
    gate = tmp_path / "gate.json"
    configuration = json.loads(readme.file_of("C").text.replace(TENANT, tls_provider.issuer))
    # More headers than one: a name that is only hidden, the token, and a claim.
    headers = {"client_id_header": "x-id", "client_secret_header": "x-secret", "upstream_headers": [{"header": "x-client", "path": ["sub"]}]}
    gate.write_text(json.dumps({**configuration, **headers, "ssl_trusted_certificate": str(authority.ca)}))
    url = f"http://127.0.0.1:{shows}/"
    shown = run(program, gate, url, env=client).stdout
    assert forwarded(shown)
    assert re.search(r"^x-client: alice$", shown, re.MULTILINE | re.IGNORECASE)
    for secret, cause in (("wrong", "credentials_refused: token endpoint"), ("", "empty_credential")):
        denied = run(program, gate, url, env={**client, "CLIENT_SECRET": secret}, check=False)
        assert denied.returncode == 1
        assert denied.stderr.startswith(f"401 {cause}")


def test_production_example(
    tmp_path: Path, tls_provider: Provider, authority: Authority, upstream: Upstream
) -> None:
    text = (ROOT / "ffi/nginx/examples/production.conf").read_text()
    here = {
        "credgate on;": f"credgate on; credgate_ssl_trusted_certificate {authority.ca};",
        TENANT: tls_provider.issuer,
        API: upstream.url,
        "/etc/ssl/gateway.pem": authority.cert,
        "/etc/ssl/gateway.key": authority.key,
        "/var/log/nginx": tmp_path,
    }
    example = Example(text, tmp_path, here, f"load_module {MODULE};")
    with example.running() as port:
        headers = {**ALICE.basic, "x-client": "forged", "x_client": "forged"}
        assert ask(port, tls=authority.context(), headers=headers).status == 200
        assert bearer(upstream.last)
        assert values_of(upstream.last, "x-client") == ["alice"]
        metrics = ask(example.ports[1], "/metrics").body.decode()
        assert 'credgate_requests_total{outcome="allow",cache_status="miss"} 1' in metrics.splitlines()
        assert ask(example.ports[1], "/status").status == 200
        assert ask(example.ports[1], "/purge?client_id=alice", method="POST").status == 200
        assert ask(port, tls=authority.context(), headers=headers).status == 200
        assert tls_provider.count["by_client"] == {"alice": 2}
        assert ask(port, tls=authority.context(), headers=ALICE.wrong().basic).status == 401
        until(lambda: (tmp_path / "clients.log").read_text().count("\n") == 3, "the log")
    for line, rest in zip((tmp_path / "clients.log").read_text().splitlines(), ("200 MISS -", "200 MISS -", "401 MISS credentials_refused")):
        assert re.fullmatch(rf'[\dT:+-]+ 127\.0\.0\.1 alice "GET / HTTP/1\.1" {rest} \d\.\d+', line)
    assert 'client "alice" denied: credentials_refused' in (tmp_path / "error.log").read_text()


def test_configuration_is_also_one_of_kong(tmp_path: Path) -> None:
    seed = readme.file_of("C").text
    for number, text in enumerate((seed, f'{{"name": "openid-connect", "config": {seed}}}')):
        (tmp_path / "gate.json").write_text(text)
        conf = tmp_path / f"{number}.conf"
        conf.write_text(
            f"load_module {MODULE};\npid {tmp_path}/pid;\nevents {{}}\n"
            "http { server { location / { credgate on; credgate_config gate.json; } } }\n"
        )
        (tmp_path / "logs").mkdir(exist_ok=True)
        run("nginx", "-t", "-p", tmp_path, "-e", tmp_path / "error.log", "-c", conf)


@pytest.mark.parametrize(
    ("heading", "file"),
    [
        ("nginx", "ffi/nginx/examples/gate.conf"),
        ("OpenResty", "ffi/lua/examples/gate.conf"),
        ("Python", "python/examples/forward.py"),
    ],
)
def test_example_is_the_block_of_the_readme(heading: str, file: str) -> None:
    without_docstring = re.sub(r'\A""".*?"""\n\n', "", (ROOT / file).read_text(), flags=re.DOTALL)
    assert without_docstring == readme.file_of(heading).text


def test_every_block_has_a_test() -> None:
    shown = fenced(readme.TEXT)
    in_ways = [block for heading in readme.WAYS for block in readme.way(heading)]
    first, *rest = [block.text for block in shown if block not in in_ways]
    assert re.findall(r"^(\S+) +#", first, re.MULTILINE) == ["tests/demo.sh", "tests/run.sh"]
    assert rest == [readme.BUILD, readme.UPSTREAM]
    assert readme.TEXT.count("```") == 2 * len(shown)


def test_packages_script_has_the_steps_that_the_readme_names() -> None:
    script, *steps = readme.BUILD.split()
    text = (ROOT / script).read_text()
    assert steps and all(f"\nstep_{step}() {{" in text for step in steps)


def test_each_file_of_a_block_is_named_before_it() -> None:
    named = re.findall(r"^`([^`]+)`[^\n]*:\n\n```\w+ \S+\n", readme.START, re.MULTILINE)
    assert named == [block.label for block in fenced(readme.START) if block.label]
