"""ffi/lua/KONG.md: its commands run in the stand-in of Kong; the package."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from conftest import ALICE, BOB
from support.examples import blocks, section
from support.http import ask
from support.kong_gateway import Gateway, consumer
from support.lab import Authority, Provider, Upstream, bearer, values_of
from support.nginx import Nginx
from support.process import ROOT

LUA = ROOT / "ffi/lua"
README = (LUA / "KONG.md").read_text()
GUIDE, CONSUMER, OWN, ENGINE = blocks("bash", README)


@pytest.fixture
def kong(nginx: Callable[..., Nginx], upstream: Upstream, authority: Authority) -> Gateway:
    return Gateway(
        nginx, upstream.url, consumers=(consumer(1, "alice"),),
        configuration={"lua_ssl_trusted_certificate_combined": str(authority.ca)},
    )  # fmt: skip


def run(command: str, kong: Gateway, provider: Provider, **places: str) -> None:
    """Runs a block as a shell does, against the stand-in and the laboratory's provider."""
    here = {"http://localhost:8001": f"http://127.0.0.1:{kong.port}", "https://tenant.auth0.com": provider.issuer}
    for written, meant in (here | places).items():
        assert written in command
        command = command.replace(written, meant)
    command = command.replace("curl ", "curl --fail-with-body --silent --show-error ")
    made = subprocess.run(["bash", "-ec", command], capture_output=True, text=True, timeout=60)
    assert made.returncode == 0, made.stdout + made.stderr


def test_command_of_the_guide(kong: Gateway, tls_provider: Provider, upstream: Upstream) -> None:
    run(GUIDE, kong, tls_provider)
    assert ask(kong.port, headers=ALICE.basic).status == 200
    assert bearer(upstream.last)
    assert ask(kong.port, headers=ALICE.wrong().basic).status == 401


def test_declarative_example(kong: Gateway, tls_provider: Provider, upstream: Upstream) -> None:
    text = (LUA / "examples/kong.yaml").read_text().replace("https://tenant.auth0.com", tls_provider.issuer)
    (example,) = yaml.safe_load(text)["services"]
    (declared,) = example["plugins"]
    assert kong.post(declared).status == 201
    assert ask(kong.port, headers=ALICE.basic).status == 200
    assert bearer(upstream.last)


def test_command_with_consumers(kong: Gateway, tls_provider: Provider, upstream: Upstream) -> None:
    run(CONSUMER, kong, tls_provider)
    assert ask(kong.port, headers=ALICE.basic).status == 200
    assert values_of(upstream.last, "x-consumer-username") == ["alice"]
    assert ask(kong.port, headers=BOB.basic).status == 403


def test_commands_with_the_credentials_of_the_gateway(
    kong: Gateway, tls_provider: Provider, upstream: Upstream
) -> None:
    kong.control(**{"env/gateway-secret": BOB.secret})
    run(OWN, kong, tls_provider, **{"config.client_id=gateway": "config.client_id=bob"})
    assert ask(kong.port).status == 401
    assert ask(kong.port, headers={"apikey": "carol"}).status == 200
    assert bearer(upstream.last)
    assert tls_provider.count["by_client"] == {"bob": 1}


def test_error_is_the_one_shown(kong: Gateway) -> None:
    (shown,) = blocks("json", README)
    answer = kong.add(issuer="https://idp.example", login_action="response").json()
    del answer["message"]
    assert answer == json.loads(shown)


def test_options_of_the_engine(
    nginx: Callable[..., Nginx], upstream: Upstream, provider: Provider,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (options,) = re.findall(r"CREDGATE_ENGINE='(.*)'", ENGINE)
    (unit,) = blocks("systemd", README)
    assert re.findall(r"^Environment='CREDGATE_ENGINE=(.*)'$", unit, re.MULTILINE) == [options]
    monkeypatch.setenv("CREDGATE_ENGINE", options.replace("/run/credgate", str(tmp_path)))
    kong = Gateway(nginx, upstream.url)
    kong.guard(provider.issuer)
    assert ask(kong.port, headers=ALICE.basic).status == 200
    assert (tmp_path / "tokens.db").exists()


def test_settings_of_kong_name_the_plugin_and_its_directories() -> None:
    (text,) = blocks("ini", README)
    settings = dict(line.split(" = ") for line in text.splitlines())
    path = settings["lua_package_path"].removesuffix(";;").replace("/path/to/credgate", str(ROOT))
    for name in settings["plugins"].split(",")[1:]:
        assert Path(path.replace("?", f"kong/plugins/{name}/handler")).exists()
    assert settings["lua_package_cpath"] == "/path/to/credgate/target/release/?.so;;"


def test_own_fields_and_the_priority_are_those_of_the_reference() -> None:
    fields = (LUA / "lib/kong/plugins/credgate/fields.lua").read_text()
    own = re.findall(r"^    (\w+) = ", fields.split("local OWN = {")[1].split("\n}\n")[0], re.MULTILINE)
    assert sorted(own) == sorted(re.findall(r"^\| `(\w+)` \|", section(README, "## Consumers and groups"), re.MULTILINE))
    handler = (LUA / "lib/kong/plugins/credgate/handler.lua").read_text()
    (priority,) = re.findall(r"PRIORITY = (\d+)", handler)
    assert f"The priority is {priority}" in README


def test_rock_installs_every_file_of_the_plugin(tmp_path: Path) -> None:
    tree = tmp_path / "lua"
    shutil.copytree(LUA, tree)
    (rockspec,) = LUA.glob("kong-plugin-credgate-*.rockspec")
    version = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    assert version and rockspec.name == f"kong-plugin-credgate-{version[1]}-1.rockspec"
    assert f'VERSION = "{version[1]}"' in (LUA / "lib/kong/plugins/credgate/handler.lua").read_text()
    command = ["luarocks", "--lua-version", "5.1", "make", "--deps-mode", "none", "--tree", tmp_path / "rocks"]
    made = subprocess.run([*command, rockspec.name], cwd=tree, capture_output=True, text=True, timeout=120)
    assert made.returncode == 0, made.stdout + made.stderr
    installed = {path.relative_to(tmp_path / "rocks/share/lua/5.1") for path in tmp_path.glob("rocks/share/**/*.lua")}
    assert installed == {path.relative_to(LUA / "lib") for path in LUA.glob("lib/kong/**/*.lua")}
