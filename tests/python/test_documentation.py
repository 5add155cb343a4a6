"""Runs every block of python/README.md, and checks that it documents every public name."""

import asyncio
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import credgate
import httpx
import pytest
from prometheus_client import REGISTRY

from support.examples import blocks, fenced
from support.deck import deck, plugin, service
from support.http import Client, ask
from support.keys import KEYS
from support.lab import Authority, Provider, Upstream
from support.local import Local, serving
from support.process import ROOT, TESTS, Service, free_port
from support.vectors import load

README = (ROOT / "python/README.md").read_text()
DOCUMENTED = Client("id", "secret")


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Provider]:
    """A provider that knows the client of the documentation."""
    with Provider([DOCUMENTED], tmp_path_factory.mktemp("documented") / "log", tls=authority).start() as provider:
        yield provider


@pytest.fixture
def api() -> Iterator[Local]:
    """The API of the documentation. It requires a token."""
    with serving(lambda seen: (200 if (seen.authorization or "").startswith("Bearer eyJ") else 401, {}, b"")) as local:
        yield local


def here(text: str, provider: Provider, authority: Authority, **more: str) -> str:
    """Replaces the names in a block with those of the test."""
    meant = {
        "https://tenant.auth0.com": provider.issuer,
        'issuer="': f'ssl_trusted_certificate="{authority.ca}", issuer="',
        '"issuer": ': f'"ssl_trusted_certificate": "{authority.ca}", "issuer": ',
        **more,
    }
    for written, value in meant.items():
        text = text.replace(written, value)
    return text


def test_the_python_blocks_run_in_order(
    tmp_path: Path, documented: Provider, authority: Authority, api: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    namespace: dict[str, Any] = {"__name__": "readme"}
    tmp_path.chmod(0o700)
    address = {"https://api.example.com": api.url, '"api.example.com"': '"127.0.0.1"', "/run/credgate": str(tmp_path)}
    address |= {"/etc/credgate/gateway.jwk": str(KEYS / "p256.jwk"), '"gateway"': '"key-p256"'}
    before = set(REGISTRY._collector_to_names)
    codes = blocks("python", README)
    assert len(codes) > 10
    for number, code in enumerate(codes):
        exec(compile(here(code, documented, authority, **address), f"README.md, block {number}", "exec"), namespace)
        if number == 0:
            assert namespace["headers"]["authorization"].startswith("Bearer eyJ")
    assert len(api.seen) == 5, "one request of each example of client-side authentication"
    credgate.close()
    credgate.configure()
    for added in set(REGISTRY._collector_to_names) - before:
        REGISTRY.unregister(added)
    for name in ("gunicorn.access", "gunicorn.error", "werkzeug", "django.server"):
        logging.getLogger(name).filters.clear()
    logging.getLogger("credgate.asgi").setLevel(logging.NOTSET)


def test_the_applications_of_the_readme_respond(documented: Provider, authority: Authority) -> None:
    namespace: dict[str, Any] = {"__name__": "readme", "credgate": credgate}
    texts = [code for code in blocks("python", README) if "credgate.Gate(issuer" in code or "@" in code or ".mount(" in code]
    for text in texts:
        exec(here(text, documented, authority), namespace)

    async def asked(path: str, headers: dict[str, str]) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(namespace["served"]), base_url="http://here") as client:
            return await client.get(path, headers=headers)

    async def tokens() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(namespace["services"]), base_url="http://here") as client:
            form = {"grant_type": "client_credentials"}
            return await client.post("/oauth/token", headers=DOCUMENTED.basic, data=form)

    async def part(path: str, headers: dict[str, str]) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(namespace["whole"]), base_url="http://here") as client:
            return await client.get(path, headers=headers)

    async def checked(path: str) -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(namespace["services"]), base_url="http://here") as client:
            return (await client.get(path, headers=DOCUMENTED.basic)).status_code

    assert asyncio.run(asked("/whoami", DOCUMENTED.basic)).json() == "id"
    assert asyncio.run(asked("/whoami", {})).status_code == 401
    assert asyncio.run(asked("/healthz", {})).json() == "well"
    posted = asyncio.run(tokens())
    assert posted.json()["token_type"] == "Bearer" and posted.headers["cache-control"] == "no-store"
    assert [asyncio.run(checked(path)) for path in ("/check", "/check/orders/5")] == [200, 200]
    assert asyncio.run(part("/api/orders", DOCUMENTED.basic)).json() == "id"
    paths = ("/api/orders", "/", "/docs", "/openapi.json")
    assert [asyncio.run(part(path, {})).status_code for path in paths] == [401, 200, 200, 200]
    assert [asyncio.run(asked(path, {})).status_code for path in ("/docs", "/openapi.json")] == [401, 401]
    with_client = namespace["flask_app"].test_client()
    assert with_client.get("/whoami", headers=DOCUMENTED.basic).text == "id"
    assert with_client.get("/whoami").status_code == 401


def test_the_commands_of_the_readme_run(tmp_path: Path, documented: Provider, authority: Authority, upstream: Upstream) -> None:
    wheel, extras, install, check, migrate, proxy = blocks("", README)
    # packages/test_newcomers.py runs these.
    assert wheel in (ROOT / "README.md").read_text()
    names = sorted(metadata.metadata("credgate").get_all("Provides-Extra") or [])
    assert extras == f"venv/bin/pip install 'credgate[{','.join(names)}]'\n"
    kong, written = tmp_path / "kong.yaml", tmp_path / "gates.conf"
    kong.write_text(deck(service(plugins=[plugin()])))
    command = migrate.replace("kong.yaml", str(kong)).replace("/etc/nginx/conf.d/gates.conf", str(written))
    subprocess.run(["bash", "-c", f"PATH={Path(sys.executable).parent}:$PATH {command}"], check=True, timeout=60)
    assert "credgate_issuer https://idp.example;" in written.read_text()
    installed = (TESTS / "lib.sh").read_text().replace("--quiet --force-reinstall --no-deps ", "").replace('"$ROOT/python"', "./python")
    assert install.strip().removeprefix("venv/bin/") in installed
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "SSL_CERT_FILE": str(authority.ca)}
    check = here(check, documented, authority).strip() + f" --set ssl_trusted_certificate={authority.ca}"
    done = subprocess.run(["bash", "-c", check], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "It works" in done.stdout
    port = free_port()
    (tmp_path / "gate.json").write_text(json.dumps({"issuer": documented.issuer, "ssl_trusted_certificate": str(authority.ca)}))
    shown = {"http://127.0.0.1:8080": upstream.url, "127.0.0.1:8000": f"127.0.0.1:{port}", "gate.json": str(tmp_path / "gate.json")}
    command = ["bash", "-c", f"exec {here(proxy, documented, authority, **shown)}"]
    with Service(command, tmp_path / "log", port=port, env=environment).start() as proxied:
        assert ask(proxied.port, headers=DOCUMENTED.basic).status == 200


def test_the_example_output_matches_the_snapshots() -> None:
    shown, losses = blocks("text", README)
    lost = deck(service(plugins=[plugin(session_secret="x"), {"name": "acl"}]))
    command = [sys.executable, "-m", "credgate", "migrate", "-"]
    done = subprocess.run(command, input=lost, capture_output=True, text=True, timeout=60)
    assert sorted(losses.splitlines()) == sorted(done.stderr.splitlines()[:-1])
    said = "".join(file.read_text() for file in (TESTS / "python/snapshots").glob("*.txt"))
    for line in re.sub(r"\n {24}(?!To do:|The provider says:)", " ", shown).splitlines():
        start = re.sub(r"tenant\.auth0\.com responded in \d+ ms.*", "", line.partition("…")[0])
        assert start in said, line


def test_every_block_has_a_tested_language() -> None:
    fences = len(re.findall(r"^```", README, re.MULTILINE))
    settings = [block for block in fenced(README) if block.label == "settings"]  # test_settings.py has it
    assert fences == 2 * (len(settings) + sum(len(blocks(language, README)) for language in ("", "python", "text")))


def test_every_public_name_is_documented() -> None:
    names = {name for name in credgate.__all__ if not name.startswith("_")}
    names |= {f"{name}(" for name in dir(credgate.Gate) if not name.startswith("_") and callable(getattr(credgate.Gate, name))}
    typed = {"Allow", "Deny", "Token", "Diagnosis", "Finding"}  # types of return values
    shown = README.replace("`", "(")
    assert [name for name in sorted(names - typed) if name not in shown] == []


@pytest.mark.parametrize("documented", [credgate.Gate, credgate.Allow, credgate.Deny])
def test_every_public_attribute_is_documented(documented: type) -> None:
    attributes = [name for name in dir(documented) if not name.startswith("_")]
    assert len(attributes) > 8
    assert [name for name in attributes if f"`{name}" not in README and f".{name}(" not in README] == []


def test_every_cause_is_documented_with_its_http_status() -> None:
    rows = re.findall(r"^\| ([45]\d\d) \| (`.*) \|$", README, re.MULTILINE)
    status_of = {cause: int(http_status) for http_status, causes in rows for cause in re.findall(r"`(\w+)`", causes)}
    header = (ROOT / "include/credgate.h").read_text()
    # The codes of causes begin at 3001 (include/credgate.h).
    assert set(status_of) == {name.lower() for name in re.findall(r"#define CREDGATE_(\w+) [345]\d{3}$", header, re.MULTILINE)}
    # A token endpoint has the statuses of RFC 6749.
    files = [file.name for file in (TESTS / "vectors").glob("*.json") if file.name != "token_endpoint.json"]
    expected = [vector.expect for file in files for vector in load(file)]
    pairs = {(one["cause"], one["http_status"]) for one in expected if isinstance(one, dict) and "cause" in one}
    assert len(pairs) > 10
    assert [pair for pair in sorted(pairs) if status_of[pair[0]] != pair[1]] == []


def test_every_command_line_option_is_documented() -> None:
    for command in ("check", "migrate", "proxy", "settings"):
        done = subprocess.run([sys.executable, "-m", "credgate", command, "--help"], capture_output=True, text=True, timeout=60)
        options = set(re.findall(r"--[a-z-]+", done.stdout)) - {"--help"}
        assert [option for option in options if option not in README] == []


def test_the_console_script_is_the_same_command() -> None:
    script = Path(sys.executable).with_name("credgate")
    done = subprocess.run([sys.executable, script, "check", "--help"], capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("usage: credgate check "), done.stderr


def test_the_gate_of_the_example_applications_is_valid() -> None:
    for name in ("django", "fastapi", "flask"):
        assert "gate.json of this directory" in (ROOT / f"python/examples/{name}_app.py").read_text()
    made = credgate.Gate((ROOT / "python/examples/gate.json").read_text())
    assert (made.config["issuer"], made.warnings) == ("https://tenant.auth0.com/", [])
