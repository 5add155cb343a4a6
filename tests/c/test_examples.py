"""The examples in C: a host that is copied from poll_loop.c has the duties of a gateway, and both say why they fail."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from conftest import ALICE, BOB
from support.http import Client
from support.lab import Provider
from support.library import compiled
from support.process import ROOT, free_port, run

EXAMPLES = ROOT / "ffi/examples"
POSIX = "-D_POSIX_C_SOURCE=200809L"
CURL = run("pkg-config", "--cflags", "--libs", "libcurl").stdout.split()
VALGRIND = ["valgrind", "-q", "--error-exitcode=9", "--leak-check=full", "--show-leak-kinds=definite,possible"]
FORWARDED = r"  authorization: \d+ bytes\n"


@pytest.fixture(scope="module")
def poll_loop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(EXAMPLES / "poll_loop.c", tmp_path_factory.mktemp("c"), POSIX)


@pytest.fixture(scope="module")
def forward(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(EXAMPLES / "forward.c", tmp_path_factory.mktemp("c"), POSIX, *CURL)


def gate(directory: Path, issuer: str, **settings: Any) -> Path:
    path = directory / "gate.json"
    path.write_text(json.dumps({"issuer": issuer, "audience": "https://example.com/", "allow_loopback_http": True, **settings}))
    return path


def basic(client: Client) -> str:
    return str(client.basic["Authorization"])


def test_all_requests_run_concurrently(poll_loop: Path, tmp_path: Path, provider: Provider) -> None:
    requests = [basic(ALICE), "", "", basic(BOB), "", "", basic(ALICE)]
    done = run(*VALGRIND, poll_loop, gate(tmp_path, provider.issuer), "GET", *requests)
    outcomes = dict(re.findall(r"^request (\d): (.+)$", done.stdout, re.MULTILINE))
    assert outcomes == {"1": "allow MISS alice", "2": f"allow MISS {BOB.id}", "3": "allow JOINED alice"}
    assert len(re.findall(FORWARDED, done.stdout)) == 3
    assert provider.count["by_client"] == {"alice": 1, BOB.id: 1}


def test_credentials_stay_out_of_forwarded_requests_and_logs(
    poll_loop: Path, tmp_path: Path, provider: Provider
) -> None:
    query, form = (f"{kept}&{ALICE.parameters}" for kept in ("a=1", "b=2"))
    done = run(poll_loop, gate(tmp_path, provider.issuer), "POST", "", query, "b=2", "", "a=1", form)
    assert len(re.findall(rf"^  POST /\?a=1\n{FORWARDED}  b=2$", done.stdout, re.MULTILINE)) == 2
    assert ALICE.traces(done.stdout + done.stderr) == []
    assert "eyJ" not in done.stdout + done.stderr


def test_client_sets_no_header_that_the_gate_sets(poll_loop: Path, tmp_path: Path, provider: Provider) -> None:
    headers = [{"header": "x-client", "path": ["sub"]}, {"header": "x-tenant", "path": ["tenant"]}]
    config = gate(tmp_path, provider.issuer, upstream_headers=headers, client_id_header="x-id", client_secret_header="x-secret")
    done = run(poll_loop, config, "GET", basic(ALICE))
    hidden = "  without x-id\n  without x-secret\n"
    assert re.search(rf"GET /\n{hidden}{FORWARDED}  x-client: 5 bytes\n  without x-tenant\n", done.stdout), done.stdout


def test_denial_has_a_status_a_challenge_and_a_body(poll_loop: Path, tmp_path: Path, provider: Provider) -> None:
    wrong = ALICE.wrong()
    done = run(poll_loop, gate(tmp_path, provider.issuer), "GET", basic(wrong), check=False)
    assert done.returncode == 1
    assert done.stdout == (
        "request 1: deny MISS credentials_refused\n"
        "  HTTP/1.1 401\n"
        '  WWW-Authenticate: Basic realm="127.0.0.1", charset="UTF-8"\n'
        "  Content-Type: application/json; charset=utf-8\n"
        '  {"message":"Unauthorized"}\n'
    )
    assert "request 1: token endpoint " in done.stderr
    assert wrong.traces(done.stderr) == []


def test_log_has_the_warnings_of_the_gate_and_the_records_of_the_engine(poll_loop: Path, tmp_path: Path) -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    config = gate(tmp_path, dead, token_endpoint=f"{dead}/token", jwks_endpoint=f"{dead}/keys")
    done = run(poll_loop, config, "GET", basic(ALICE), check=False)
    assert done.returncode == 1
    assert "\n  HTTP/1.1 502\n  Retry-After: 5\n" in done.stdout
    warning, *lines = done.stderr.splitlines()
    assert warning == "warning: allow_loopback_http is true: use it for development only"
    assert any(re.match(r"request 1: .*Connection refused", line) for line in lines), lines
    assert any(line.startswith(f"warning: {dead}: ") and "metadata" in line for line in lines), lines


def test_other_duties_are_in_the_code() -> None:
    text = (EXAMPLES / "poll_loop.c").read_text()
    assert "request->peer = " in text
    for function in ("credgate_gate_wants_body", "credgate_outcome_upstream_status", "credgate_ticket_cancel"):
        assert function in text


@pytest.mark.parametrize("name", ["poll_loop", "forward"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file or directory"),
        ("", "CONFIG_SYNTAX the configuration is not JSON: EOF"),
        (" " * 65_536, "File too large"),
        ('{"issuer": 1}', "CONFIG_VALUE issuer: "),
    ],
    ids=["absent", "empty", "large", "invalid"],
)
def test_unusable_configuration_is_named(
    name: str, content: str | None, said: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    path = tmp_path / "gate.json"
    if content is not None:
        path.write_text(content)
    program = request.getfixturevalue(name)
    client = {"CLIENT_ID": ALICE.id, "CLIENT_SECRET": ALICE.secret}
    done = run(program, path, "GET" if name == "poll_loop" else "http://127.0.0.1:1/", env=client, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{path}: {said}"), done.stderr


@pytest.mark.parametrize("missing", ["CLIENT_ID", "CLIENT_SECRET"])
def test_missing_variables_are_named(forward: Path, tmp_path: Path, missing: str) -> None:
    client = {"CLIENT_ID": ALICE.id, "CLIENT_SECRET": ALICE.secret}
    del client[missing]
    done = run(forward, gate(tmp_path, "https://idp.example/"), "http://127.0.0.1:1/", env=client, check=False)
    assert done.returncode == 2
    assert done.stderr == "usage: CLIENT_ID=... CLIENT_SECRET=... forward CONFIG.json URL\n"


def test_status_of_a_failed_call_is_named(tmp_path: Path) -> None:
    (tmp_path / "fails.h").write_text("""
        #include <credgate.h>
        static int32_t fails(const credgate_gate *gate, const credgate_queue *queue, const credgate_request *request,
                             void *user_data, credgate_outcome *outcome, uint64_t *out_ticket)
        {
            (void) gate, (void) queue, (void) request, (void) user_data, (void) outcome, (void) out_ticket;
            return CREDGATE_WRONG_PROCESS;
        }
        #define credgate_authenticate fails
    """)
    program = compiled(EXAMPLES / "forward.c", tmp_path, POSIX, "-include", f"{tmp_path}/fails.h", *CURL)
    client = {"CLIENT_ID": ALICE.id, "CLIENT_SECRET": ALICE.secret}
    done = run(program, gate(tmp_path, "https://idp.example/"), "http://127.0.0.1:1/", env=client, check=False)
    assert (done.returncode, done.stderr.strip()) == (2, "forward: WRONG_PROCESS")
