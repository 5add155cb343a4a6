"""The example of the core, against the certified provider."""

import os
import subprocess

from conftest import ALICE
from support import readme
from support.http import Client
from support.lab import Provider
from support.process import ROOT


def exchange(provider: Provider, client: Client) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["cargo", "run", "--quiet", "-p", "credgate-core", "--example", "exchange", "--",
         provider.issuer, client.id, "https://api.example/"],
        cwd=ROOT, env={**os.environ, "CLIENT_SECRET": client.secret}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def test_it_exchanges_credentials_and_verifies_the_token(provider: Provider) -> None:
    done = exchange(provider, ALICE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("MISS: alice, a token of ")
    assert provider.count["token"] == 1


def test_command_of_the_readme_exchanges_credentials(provider: Provider) -> None:
    (command,) = (block.text for block in readme.way("Rust"))
    for written, meant in {"https://tenant.auth0.com": provider.issuer, "cargo run": "cargo run --quiet"}.items():
        assert written in command
        command = command.replace(written, meant)
    client = {**os.environ, "CLIENT_ID": ALICE.id, "CLIENT_SECRET": ALICE.secret}
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, env=client, capture_output=True, text=True, timeout=300)
    assert done.stdout.startswith("MISS: alice, a token of "), done.stderr


def test_it_says_why_not(provider: Provider) -> None:
    done = exchange(provider, Client("alice", "wr0ng"))
    assert done.returncode == 1
    assert done.stdout.startswith("401 credentials_refused: token endpoint http://127.0.0.1:")
    assert "wr0ng" not in done.stdout + done.stderr
