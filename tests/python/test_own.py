"""Credentials that the gateway or the caller supplies, in Python."""

import json
from pathlib import Path
from typing import Any

import credgate
import pytest
from credgate.__main__ import main

from conftest import ALICE
from support.lab import Provider, Scripted


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "gateway.secret"
    file.write_text(f"{ALICE.secret}\n")
    return file


def settings(provider: Provider | Scripted, **more: Any) -> dict[str, Any]:
    return {"issuer": provider.issuer, "allow_loopback_http": True, **more}


def test_a_request_without_credentials_gets_the_gateways_token(provider: Provider, file: Path) -> None:
    own = credgate.Gate(settings(provider, client_id="alice", client_secret_file=str(file)))
    outcome = own.authenticate(authorization="Basic %", query="client_id=x")
    assert outcome.allowed and (outcome.client_id, outcome.source, outcome.cache_status) == ("alice", "host", "MISS")
    assert own.token().cache_status == "HIT"
    assert own.hide_query("client_id=x") == "client_id=x"
    assert any("client_id is set" in warning for warning in own.warnings)
    assert ALICE.traces(repr(own), json.dumps(own.config), repr(outcome)) == []


def test_a_changed_secret_file_is_used_at_the_next_exchange(scripted: Scripted, file: Path) -> None:
    own = credgate.Gate(settings(scripted, client_id="alice", client_secret_file=str(file), cache_tokens=False))
    for secret in ("first", "second"):
        scripted.accept(secret)
        file.write_text(secret)
        assert own.token().client_id == "alice"
        assert scripted.state["last"]["form"]["client_secret"] == secret


def test_the_callers_credentials_are_exchanged(provider: Provider) -> None:
    gate = credgate.Gate(settings(provider, client_credentials_param_type="host"))
    assert gate.authenticate(client_id=ALICE.id, client_secret=ALICE.secret).allowed
    for more, cause in (
        ({}, "no_credentials"),
        (ALICE.basic, "no_credentials"),
        ({"client_id": "alice", "client_secret": ""}, "empty_credential"),
        ({"client_id": "", "client_secret": ""}, "empty_credential"),
    ):
        outcome = gate.authenticate(**{name.lower(): value for name, value in more.items()})
        assert not outcome.allowed and outcome.cause == cause
    with pytest.raises(ValueError, match="the gate has no client of its own"):
        gate.token()
    with pytest.raises(ValueError, match="together"):
        gate.authenticate(client_id="alice")


def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, config: dict[str, Any], *options: str) -> tuple[int, str]:
    (tmp_path / "gate.json").write_text(json.dumps(config))
    status = main(["check", "--config", str(tmp_path / "gate.json"), *options])
    printed = " ".join(capsys.readouterr().out.split())
    assert ALICE.traces(printed) == []
    return status, printed


def test_check_uses_the_gateways_own_client(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, provider: Provider, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDGATE_CLIENT_SECRET", raising=False)
    monkeypatch.setenv("COLUMNS", "1000")
    in_file = settings(provider, client_id="alice", client_secret_file=str(file))
    status, printed = run(capsys, tmp_path, in_file)
    assert status == 0, printed
    assert "uses the gateway's own client alice (client_id)" in printed and f"client_secret_file, {file}" in printed
    inline = settings(provider, client_id="alice", client_secret=ALICE.wrong().secret)
    status, printed = run(capsys, tmp_path, inline)
    assert status == 3 and "its secret is in client_secret." in printed
    monkeypatch.setenv("CREDGATE_CLIENT_SECRET", ALICE.secret)
    status, printed = run(capsys, tmp_path, inline, "--client-id", "alice")
    assert status == 0 and "Check again without a client id" in printed
    with pytest.raises(SystemExit) as left:
        run(capsys, tmp_path, settings(provider))
    assert left.value.code == 2
    assert "--client-id is required" in capsys.readouterr().err
