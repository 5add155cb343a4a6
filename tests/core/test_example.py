"""The example of the core, against the certified provider, and the way of the README for Rust."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import ALICE
from support import readme
from support.examples import section
from support.http import Client
from support.lab import Provider
from support.process import ROOT, free_port

TENANT = "https://tenant.auth0.com"
EXCHANGE = ["cargo", "run", "--quiet", "-p", "credgate-core", "--example", "exchange", "--"]


@pytest.fixture
def gate(tmp_path: Path, provider: Provider) -> Path:
    """The configuration of the README, for a provider on loopback."""
    text = readme.file_of("C").text
    assert TENANT in text
    path = tmp_path / "gate.json"
    path.write_text(json.dumps({**json.loads(text.replace(TENANT, provider.issuer)), "allow_loopback_http": True}))
    return path


def run(command: list[str], client: Client) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "CLIENT_ID": client.id, "CLIENT_SECRET": client.secret}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)


def test_it_exchanges_credentials_and_verifies_the_token(gate: Path, provider: Provider) -> None:
    done = run([*EXCHANGE, str(gate)], ALICE)
    assert re.fullmatch(r"MISS: alice, a token of \d{3,} bytes\n", done.stdout), done.stderr
    assert done.returncode == 0
    assert provider.count["token"] == 1


def test_command_of_the_readme_exchanges_credentials(gate: Path) -> None:
    (commands,) = (block.text for block in readme.way("Rust"))
    for written, meant in {" gate.json": f" {gate}", " --open": " --no-deps"}.items():
        assert written in commands
        commands = commands.replace(written, meant)
    done = run(["bash", "-euc", commands], ALICE)
    assert done.stdout.startswith("MISS: alice, a token of "), done.stderr
    assert done.returncode == 0


def test_dependency_of_the_readme_is_this_crate(tmp_path: Path) -> None:
    (dependency,) = re.findall(r"`(credgate-core = [^`]+)`", section(readme.TEXT, "### Rust"))
    (tmp_path / "src").mkdir()
    (tmp_path / "src/lib.rs").touch()
    shutil.copy(ROOT / "Cargo.lock", tmp_path)
    manifest = f"[package]\nname = 'host'\nedition = '2024'\n[dependencies]\n{dependency}\n"
    assert "../credgate/core" in manifest
    (tmp_path / "Cargo.toml").write_text(manifest.replace("../credgate/core", str(ROOT / "core")))
    tree = ["cargo", "tree", "--quiet", "--offline", "--depth", "1", "--manifest-path", str(tmp_path / "Cargo.toml")]
    assert f"({ROOT}/core)" in run(tree, ALICE).stdout


def test_it_says_why_not(gate: Path) -> None:
    done = run([*EXCHANGE, str(gate)], ALICE.wrong())
    assert done.returncode == 1
    assert done.stdout.startswith("401 credentials_refused: token endpoint http://127.0.0.1:")
    assert ALICE.wrong().traces(done.stdout + done.stderr) == []


def test_its_log_has_warnings_and_records(gate: Path) -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    settings = {"issuer": dead, "token_endpoint": f"{dead}/token", "jwks_endpoint": f"{dead}/keys"}
    gate.write_text(json.dumps({**settings, "allow_loopback_http": True}))
    done = run([*EXCHANGE, str(gate)], ALICE)
    assert done.stdout.startswith("502 provider_unreachable: ")
    warning, *records = done.stderr.splitlines()
    assert warning == "warning: allow_loopback_http is true: use it for development only"
    assert any(record.startswith(f"warning: {dead}") for record in records)


@pytest.mark.parametrize(("content", "said"), [(None, "No such file"), ("", "the configuration is not JSON: EOF")])
def test_unusable_configuration_is_named(gate: Path, content: str | None, said: str) -> None:
    gate.unlink() if content is None else gate.write_text(content)
    done = run([*EXCHANGE, str(gate)], ALICE)
    assert done.returncode == 2
    assert done.stderr.startswith(f"{gate}: {said}")


def test_usage_names_its_variables() -> None:
    usage = "usage: CLIENT_ID=… CLIENT_SECRET=… exchange CONFIG.json\n"
    assert run(EXCHANGE, ALICE).stderr == usage
    done = subprocess.run([*EXCHANGE, "gate.json"], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (2, usage)
