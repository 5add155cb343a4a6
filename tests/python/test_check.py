"""`python -m credgate check` explains the responses of nine providers, and every fault."""

import argparse
import base64
import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import credgate
import jwt
import pytest
from credgate import _arguments
from credgate.__main__ import main
from cryptography.hazmat.primitives.asymmetric import ec

from conftest import ALICE
from support.http import Client
from support.keys import KEYS
from support.lab import Authority, Provider, Scripted
from support.process import TESTS, free_port, until
from support.snapshots import Snapshot
from support.vectors import Vector, load

HERE = Path(__file__).parent
DIALECTS = {file.stem: load(f"dialects/{file.name}") for file in sorted((TESTS / "vectors/dialects").glob("*.json"))}
STATUS = {"ok": 0, "refused": 3, "unreachable": 4, "misconfigured": 5}

Check = Callable[..., tuple[int, str]]


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Check:
    """Runs the command for a configuration; returns its exit status and its normalized output."""

    def run(config: dict[str, Any], *options: str, client: Client = ALICE) -> tuple[int, str]:
        monkeypatch.setenv("CREDGATE_CLIENT_SECRET", client.secret)
        monkeypatch.setenv("COLUMNS", "100")
        file = tmp_path / "gate.json"
        file.write_text(json.dumps(config))
        own = "client_id" in config
        status = main(["check", "--config", str(file), *([] if own else ["--client-id", client.id]), *options])
        printed = capsys.readouterr().out
        assert client.traces(printed) == []
        return status, normalized(printed)

    return run


def normalized(printed: str) -> str:
    """Joins the lines of each finding, and masks ports and durations."""
    printed = printed.replace(str(KEYS), "KEYS")
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", re.sub(r"\n {24}(?!To do:|The provider says:)", " ", printed))
    return re.sub(r"in \d+ ms", "in N ms", text).rstrip("\n")


def matches(file: str, title: str, status: int, printed: str) -> None:
    Snapshot(HERE / "snapshots" / f"{file}.txt").check(title, f"{printed}\n(exit status {status})")


def script(scripted: Scripted, vector: Vector) -> None:
    """Has the provider respond as in a vector."""
    local = ("issuer", "token_endpoint", "jwks_uri")
    listed = {name: value for name, value in vector.input["metadata"].items() if name not in local}
    scripted.script("discovery", merge={"token_endpoint_auth_methods_supported": None, "jwks_uri": None, **listed})
    answers = vector.input["answers"]
    for number, one in enumerate(answers, 1):
        body = one.get("body", "")
        shown = {"body": body} if isinstance(body, str) else {"json": body}
        scripted.script(status=one["status"], headers=one.get("headers", {}), times=1 if number < len(answers) else None, **shown)


@pytest.mark.parametrize(
    "vector", [vector for vectors in DIALECTS.values() for vector in vectors], ids=lambda vector: vector.id
)
def test_the_response_of_each_provider_is_explained(vector: Vector, check: Check, scripted: Scripted) -> None:
    script(scripted, vector)
    config = {**vector.input["config"], "issuer": scripted.issuer, "allow_loopback_http": True}
    if "token_endpoint" in config:
        config["token_endpoint"] = f"{scripted.issuer}/token"
    status, printed = check(config)
    matches(vector.id.split("/")[0], vector.id, status, printed)
    assert status == expected(vector)


def expected(vector: Vector) -> int:
    """The exit status: a denial is `refused`, unless the gate requests an unknown scope or audience."""
    if "deny" not in vector.expect:
        return 0
    if "client_id" in vector.input["config"]:
        return STATUS["refused"]  # the gateway's own client: requests get 502, and the check says why
    last = vector.input["answers"][-1].get("body", "")
    if isinstance(last, dict) and last.get("error") in ("invalid_scope", "invalid_target"):
        return STATUS["misconfigured"]
    return {
        "credentials_refused": STATUS["refused"],
        "client_forbidden": STATUS["refused"],
        "request_refused": STATUS["misconfigured"],
        "provider_failed": STATUS["unreachable"],
        "provider_busy": STATUS["unreachable"],
    }[vector.expect["deny"]["cause"]]


KEY = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())


def key_set(key: ec.EllipticCurvePrivateKey = KEY) -> dict[str, Any]:
    return {"keys": [{**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key())), "kid": "k1", "use": "sig"}]}


def token(issuer: str, key: Any = KEY, algorithm: str = "ES256", kid: str = "k1", **claims: Any) -> dict[str, Any]:
    """A token response with a JWT."""
    usual = {"iss": issuer, "sub": "alice@clients", "aud": "https://example.com/", "exp": int(time.time()) + 7200}
    signed = jwt.encode({**usual, **claims}, key, algorithm, headers={"kid": kid})
    return {"access_token": signed, "token_type": "Bearer", "expires_in": 3600}


Fault = Callable[[Scripted], dict[str, Any]]


def discovery(**script: Any) -> Fault:
    """Scripts the metadata endpoint."""

    def arrange(scripted: Scripted) -> dict[str, Any]:
        scripted.script("discovery", **script)
        return {}

    return arrange


def granted(config: dict[str, Any] | None = None, **script: Any) -> Fault:
    """Scripts the token endpoint."""

    def arrange(scripted: Scripted) -> dict[str, Any]:
        scripted.script(**script)
        return config or {}

    return arrange


def signed(config: dict[str, Any] | None = None, keys: Any = None, jwks: dict[str, Any] | None = None, **claims: Any) -> Fault:
    """Scripts a token response with a JWT; the provider's keys are `keys`, or the response `jwks`."""

    def arrange(scripted: Scripted) -> dict[str, Any]:
        scripted.script(json=token(scripted.issuer, **claims))
        scripted.script("jwks", **(jwks or {"json": keys or key_set()}))
        return config or {}

    return arrange


def refused(status: int, body: Any, **config: Any) -> Fault:
    shown = {"body": body} if isinstance(body, str) else {"json": body}
    return granted(config, status=status, **shown)


def held(scripted: Scripted) -> dict[str, Any]:
    scripted.hold()
    return {"timeout": 300}


AUDIENCE = {"audience": "https://example.com/"}
NO_SERVICE_ACCOUNT = "Client not enabled to retrieve service account"
FAULTS: dict[str, tuple[str, Fault]] = {
    "host name that does not resolve": ("unreachable", lambda _: {"issuer": "https://nobody.invalid"}),
    "connection refused": ("unreachable", lambda _: {"issuer": f"http://127.0.0.1:{free_port()}"}),
    "issuer without https": ("misconfigured", lambda _: {"issuer": "http://provider.example"}),
    "unknown setting": ("misconfigured", lambda _: {"audiense": "x"}),
    "client not in clients_allowed": ("misconfigured", lambda _: {"clients_allowed": ["team-a-*"]}),
    "dangerous settings": ("ok", lambda _: {"hide_credentials": False}),
    "bearer only": ("misconfigured", lambda _: {"auth_methods": ["bearer"]}),
    "bearer only, with a JWT": (
        "ok",
        signed({**AUDIENCE, "auth_methods": ["bearer"], "audience_required": "https://example.com/"}),
    ),
    "no metadata": ("misconfigured", discovery(status=404, json={"error": "not_found"})),
    "HTML page at the well-known URL": ("misconfigured", discovery(body="<!doctype html><title>Sign in</title>")),
    "metadata that is not JSON": ("misconfigured", discovery(body="hello")),
    "metadata that is not an object": ("misconfigured", discovery(json=["a"])),
    "metadata without issuer": ("misconfigured", discovery(merge={"issuer": None})),
    "metadata of another issuer": ("misconfigured", discovery(merge={"issuer": "https://other.example"})),
    "metadata of an issuer without https": ("misconfigured", discovery(merge={"issuer": "http://provider.example:8080"})),
    "token endpoint and keys without https": (
        "misconfigured",
        discovery(merge={"token_endpoint": "http://provider.example/token", "jwks_uri": "http://provider.example/keys"}),
    ),
    "token endpoint with a fragment": (
        "misconfigured",
        discovery(merge={"token_endpoint": "https://provider.example/token#x"}),
    ),
    "token endpoint without https": ("misconfigured", discovery(merge={"token_endpoint": "http://provider.example/token"})),
    "jwks_uri without https": ("misconfigured", discovery(merge={"jwks_uri": "http://provider.example/keys"})),
    "no token endpoint": ("misconfigured", discovery(merge={"token_endpoint": None})),
    "redirected metadata": ("misconfigured", discovery(status=301, headers={"location": "https://b.example/"})),
    "metadata behind a login": ("misconfigured", discovery(status=401)),
    "rate limit of the metadata endpoint": ("unreachable", discovery(status=429)),
    "metadata endpoint that fails": ("unreachable", discovery(status=503, body="<html>down</html>")),
    "provider that hangs up": ("unreachable", discovery(hang_up=True)),
    "metadata that is too large": ("misconfigured", discovery(body="x" * 1000, repeat=1100)),
    "grant not listed in the metadata": ("ok", discovery(merge={"grant_types_supported": ["authorization_code"]})),
    "authentication method not listed in the metadata": (
        "ok",
        discovery(merge={"token_endpoint_auth_methods_supported": ["private_key_jwt"]}),
    ),
    "no discovery": ("ok", lambda scripted: {
        "using_pseudo_issuer": True, "token_endpoint": f"{scripted.issuer}/token", "verify_signature": False,
    }),
    "wrong secret": ("refused", refused(401, {"error": "invalid_client"})),
    "wrong secret, with Basic": (
        "refused",
        refused(401, {"error": "invalid_client"}, token_endpoint_auth_method="client_secret_basic"),
    ),
    "wrong secret, with Basic that is not encoded": (
        "refused",
        refused(
            401,
            {"error": "invalid_client"},
            token_endpoint_auth_method="client_secret_basic",
            token_endpoint_basic_encoding="raw",
        ),
    ),
    "client that must use the other authentication method": (
        "ok",
        granted(AUDIENCE, status=401, json={"error": "invalid_client"}, times=1),
    ),
    "client that both authentication methods do not authenticate": (
        "refused",
        refused(401, {"error": "invalid_client"}, **AUDIENCE),
    ),
    "client without a service account": (
        "refused",
        refused(401, {"error": "unauthorized_client", "error_description": NO_SERVICE_ACCOUNT}),
    ),
    "web application firewall": ("unreachable", refused(403, "<!doctype html><title>Request blocked</title>")),
    "grant not allowed for the client": ("refused", refused(400, {"error": "unauthorized_client"})),
    "unknown scope": ("misconfigured", refused(400, {"error": "invalid_scope"}, scopes=["read", "wrote"])),
    "openid scope refused": ("ok", granted({}, status=400, json={"error": "invalid_scope"}, times=1)),
    "unknown audience": ("misconfigured", refused(400, {"error": "invalid_target"}, **AUDIENCE)),
    "missing audience": ("misconfigured", refused(400, {"error": "invalid_target"})),
    "incomplete request": ("misconfigured", refused(400, {"error": "invalid_request"})),
    "missing value of token_post_args_host": (
        "misconfigured",
        refused(400, {"error": "invalid_target"}, token_post_args_host=["audience"]),
    ),
    "unsupported grant": ("misconfigured", refused(400, {"error": "unsupported_grant_type"})),
    "non-standard error": ("misconfigured", refused(400, {"error": "quirk", "message": "Out of cheese."})),
    "provider that repeats the secret": (
        "misconfigured",
        refused(400, {"error": "invalid_request", "error_description": f"no {ALICE.secret} here"}),
    ),
    "control characters in the error description": (
        "misconfigured",
        refused(400, {"error": "invalid_request", "error_description": "\u001b[2Jall is well\r\n" + "x" * 400}),
    ),
    "token endpoint that does not exist": ("misconfigured", refused(404, "not here")),
    "redirected token request": ("misconfigured", refused(307, "")),
    "rate limit of the token endpoint": ("unreachable", granted(status=429, headers={"retry-after": "30"})),
    "token endpoint that fails": ("unreachable", refused(500, "<html>oops</html>")),
    "token endpoint that hangs up": ("unreachable", granted(hang_up=True)),
    "timeout": ("unreachable", held),
    "HTML page instead of a token": ("misconfigured", refused(200, "<html>hello</html>")),
    "text instead of a token": ("misconfigured", refused(200, "hello")),
    "token bound to a key": ("misconfigured", granted(merge={"token_type": "DPoP"})),
    "token with a lifetime of zero": ("ok", granted(AUDIENCE, merge={"expires_in": 0})),
    "token with a lifetime of one minute": ("ok", granted(AUDIENCE, merge={"expires_in": 60})),
    "token of unknown lifetime": ("ok", granted(AUDIENCE, merge={"expires_in": None})),
    "large token": ("ok", granted(AUDIENCE, merge={"access_token": "x" * 8000})),
    "opaque token": ("ok", granted()),
    "opaque token with audience_required": (
        "misconfigured",
        granted({**AUDIENCE, "audience_required": "https://example.com/"}),
    ),
    "opaque token without the required scope": (
        "misconfigured",
        granted({**AUDIENCE, "scopes": "read", "scopes_required": "write"}),
    ),
    "fewer scopes than requested": ("ok", granted({**AUDIENCE, "scopes": ["read", "write"]}, merge={"scope": "read"})),
    "JWT": ("ok", signed(AUDIENCE)),
    "JWT for another audience": ("ok", signed({"audience": "https://other.example"})),
    "JWT without the required audience": ("misconfigured", signed({"audience_required": ["https://a.example", "b c"]})),
    "JWT without the required scope": ("misconfigured", signed({"scopes_required": "read"}, scope="write")),
    "JWT without a scope claim": ("misconfigured", signed({"scopes_required": "read"})),
    "JWT with its scopes in scp": ("ok", signed({**AUDIENCE, "scopes_required": "read"}, scp=["write", "read"])),
    "JWT without the required role": ("misconfigured", signed({"roles_required": "admin"}, roles=["guest"])),
    "JWT with a forbidden claim": ("misconfigured", signed({"claims_forbidden": "email"}, email="a@b")),
    "expired JWT": ("misconfigured", signed(exp=1_700_000_000)),
    "JWT that is not valid yet": ("misconfigured", signed(nbf=int(time.time()) + 86_400)),
    "JWT with another issuer": ("misconfigured", signed(iss="https://sts.example")),
    "JWT signed with another key": ("misconfigured", signed(key=OTHER)),
    "JWT with an unknown kid": ("misconfigured", signed(kid="k2")),
    "JWT signed with a key that is not for signatures": (
        "misconfigured",
        signed(keys={"keys": [{**key_set()["keys"][0], "use": "SIG"}]}),
    ),
    "JWT signed with HS256": ("misconfigured", signed(key="s" * 32, algorithm="HS256")),
    "unverified JWT": ("ok", signed({**AUDIENCE, "verify_signature": False})),
    "JWKS that does not exist": ("misconfigured", signed(jwks={"status": 404})),
    "JWKS endpoint that fails": ("unreachable", signed(jwks={"status": 500})),
    "JWKS that is not JSON": ("misconfigured", signed(jwks={"body": "hello"})),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_explained_with_a_remedy(fault: str, check: Check, scripted: Scripted) -> None:
    verdict, arrange = FAULTS[fault]
    arranged = arrange(scripted)
    status, printed = check({"issuer": scripted.issuer, "allow_loopback_http": True, **arranged})
    matches("faults", fault, status, printed)
    assert status == STATUS[verdict]
    last = printed.split("\n\n")[0].splitlines()
    assert any(line.startswith("ERROR") for line in last) == (verdict != "ok")
    if verdict != "ok":
        assert last[-1].startswith(" " * 24 + "To do: ")


def test_a_server_without_tls_is_explained(check: Check, provider: Provider) -> None:
    status, printed = check({"issuer": provider.issuer.replace("http:", "https:")})
    matches("faults", "server without TLS", status, printed)
    assert status == 4


def test_metadata_without_jwks_uri_is_explained(check: Check, scripted: Scripted) -> None:
    scripted.script("discovery", merge={"jwks_uri": None})
    scripted.script(json=token(scripted.issuer))
    status, printed = check({"issuer": scripted.issuer, "allow_loopback_http": True})
    matches("faults", "metadata without jwks_uri", status, printed)
    assert status == 5


@pytest.fixture(scope="module")
def over_tls(logs: Path, authority: Authority) -> Iterator[Scripted]:
    with Scripted(logs / "tls-scripted.log", tls=authority).start() as scripted:
        yield scripted


def test_an_untrusted_certificate_is_explained(check: Check, over_tls: Scripted, authority: Authority) -> None:
    status, printed = check({"issuer": over_tls.issuer})
    matches("faults", "untrusted certificate", status, printed)
    assert status == 4
    assert check({"issuer": over_tls.issuer, "ssl_trusted_certificate": str(authority.ca)})[0] == 0


def test_a_certified_provider_passes(check: Check, provider: Provider) -> None:
    status, printed = check(
        {"issuer": f"{provider.issuer}/.well-known/openid-configuration", "allow_loopback_http": True},
        "--audience", "https://example.com/", "--scope", "read",
    )  # fmt: skip
    whole = re.sub(r"35\d\d", "3...", printed)  # seconds since the token was issued
    matches("certified", "a client with an audience", status, whole)
    assert status == 0
    status, printed = check({"issuer": provider.issuer, "allow_loopback_http": True}, client=ALICE.wrong())
    matches("certified", "a wrong secret", status, printed)
    assert status == 3


def test_json_output_contains_the_facts(check: Check, provider: Provider) -> None:
    settings = ["--set", "allow_loopback_http=true", "--audience", "https://example.com/", "--scope", ""]
    status, printed = check({}, "--issuer", provider.issuer, "--json", *settings)
    diagnosis = json.loads(printed)
    assert (status, diagnosis["verdict"]) == (0, "ok")
    facts = {finding["step"]: finding["facts"] for finding in diagnosis["findings"] if finding["level"] == "notice"}
    assert facts["token"]["kind"] == "jwt" and facts["token"]["claim_aud"] == "https://example.com/"
    assert facts["token_request"]["auth_method"] == "client_secret_post" and "scope" not in facts["token_request"]
    assert facts["signature"]["algorithm"] == "RS256"
    assert "eyJ" not in printed
    assert check({}, "--issuer", "nonsense", "--json")[0] == 5


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_strict_counts_warnings_as_failures(options: tuple[str, ...], check: Check, over_tls: Scripted, authority: Authority) -> None:
    config = {"issuer": over_tls.issuer, "ssl_trusted_certificate": str(authority.ca), "audience": "https://example.com/"}
    assert check(config, "--strict", *options)[0] == 0
    config["hide_credentials"] = False
    assert check(config, *options)[0] == 0
    status, printed = check(config, "--strict", *options)
    assert status == 6
    if options:
        assert json.loads(printed)["verdict"] == "ok"
    else:
        assert printed.endswith("See the warnings above. (exit status 6)")
    # A failure keeps its own status.
    config["scopes_required"] = "write"
    assert check(config, "--strict", *options)[0] == 5


def test_options_override_a_configuration_in_kongs_format(check: Check, scripted: Scripted) -> None:
    plugin = {"name": "openid-connect", "config": {"issuer": "https://nobody.invalid", "scopes": ["openid"]}}
    assert check(plugin, "--issuer", scripted.issuer, "--set", "allow_loopback_http=true", "--scope", "a", "--scope", "b")[0] == 0
    assert scripted.state["last"]["form"]["scope"] == "a b"


def test_arg_sets_arguments_of_the_token_request(check: Check, scripted: Scripted) -> None:
    config = {"issuer": scripted.issuer, "allow_loopback_http": True, "token_post_args_host": ["audience", "tenant"]}
    config["token_post_args_client"] = ["scope"]
    args = ["--arg", "audience=https://a.example/?x=1", "--arg", "scope=a b", "--arg", "tenant="]
    status, printed = check(config, *args)
    assert (status, "token_post_args_host" in printed) == (0, False), printed
    form = scripted.state["last"]["form"]
    assert (form["audience"], form["scope"]) == ("https://a.example/?x=1", "a b")
    assert "tenant" not in form
    assert "Requested: the audience https://a.example/?x=1 and the scope a b" in printed
    status, printed = check(config, "--arg", "audiense=x")
    assert status == 5
    assert "audience, tenant, scope" in printed


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "credgate", "check", "--client-id", ALICE.id, "--set", "allow_loopback_http=true", *options]


def test_the_secret_is_read_from_a_file_or_standard_input(tmp_path: Path, provider: Provider) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{ALICE.secret}\n")
    clean = {name: value for name, value in os.environ.items() if name != "CREDGATE_CLIENT_SECRET"}
    for options, stdin in ((["--secret-file", str(file)], ""), (["--secret-file", "-"], ALICE.secret)):
        done = subprocess.run(
            command("--issuer", provider.issuer, *options), input=stdin, env=clean, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert ALICE.traces(done.stdout, done.stderr) == []


def test_the_secret_is_prompted_for_without_echo(provider: Provider) -> None:
    child, terminal = pty.fork()
    if child == 0:
        os.environ.pop("CREDGATE_CLIENT_SECRET", None)
        program = command("--issuer", provider.issuer)
        os.execv(program[0], program)
    printed = b""
    while b"Secret of alice:" not in printed:
        printed += os.read(terminal, 1000)
    os.write(terminal, f"{ALICE.secret}\n".encode())
    with contextlib.suppress(OSError):  # the child has exited
        while data := os.read(terminal, 1000):
            printed += data
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, printed
    assert b"It works" in printed
    assert ALICE.traces(printed) == []


def on_terminal(
    program: list[str], during: Callable[[bytes], None] = lambda _: None, **env: str
) -> tuple[int, bytes]:
    """Runs a command in a terminal of 80 columns; returns its exit status and the bytes that the terminal received."""
    child, terminal = pty.fork()
    if child == 0:
        for name in ("NO_COLOR", "FORCE_COLOR"):
            os.environ.pop(name, None)
        os.environ.update({"TERM": "xterm", "COLUMNS": "80", "CREDGATE_CLIENT_SECRET": ALICE.secret, **env})
        os.execv(program[0], program)
    received = b""
    with contextlib.suppress(OSError):  # the child has exited
        while data := os.read(terminal, 1000):
            received += data
            during(received)
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), received.replace(b"\r\n", b"\n")


COLOURS = re.compile(rb"\x1b\[[0-9;]*m")


def test_a_terminal_shows_colours_unless_it_must_not(provider: Provider) -> None:
    program = command("--issuer", provider.issuer)
    status, coloured = on_terminal(program)
    assert status == 0
    assert b"\x1b[32mok       \x1b[0m\x1b[1mdiscovery      \x1b[0m" in coloured
    assert b"\x1b[32mIt works: a gateway with these settings lets this client in. See the" in coloured
    # The finding is enough: no line of the log repeats it.
    assert coloured.count(b"allow_loopback_http is true") == 1
    plain = re.sub(rb"in \d+ ms|for 3\d+|3\d+ seconds", b"N", COLOURS.sub(b"", coloured))
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}, {"NO_COLOR": "1", "FORCE_COLOR": "1"}):
        status, shown = on_terminal(program, **env)
        assert (status, b"\x1b" in shown) == (0, False), env
        assert re.sub(rb"in \d+ ms|for 3\d+|3\d+ seconds", b"N", shown) == plain, env
    assert COLOURS.search(on_terminal(program, TERM="dumb", FORCE_COLOR="1")[1])
    assert max(map(len, plain.splitlines())) <= 80


def test_colours_are_for_terminals_and_for_those_who_ask(
    check: Check, monkeypatch: pytest.MonkeyPatch, provider: Provider
) -> None:
    config = {"issuer": provider.issuer, "allow_loopback_http": True}
    monkeypatch.delenv("NO_COLOR", raising=False)
    for value, expected in (("", False), ("1", True)):
        monkeypatch.setenv("FORCE_COLOR", value)
        assert ("\x1b[" in check(config)[1]) is expected
    assert "\x1b" not in check(config, "--json")[1]
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in check(config)[1]


def test_a_narrow_terminal_has_the_findings_below_their_steps(provider: Provider) -> None:
    status, shown = on_terminal(command("--issuer", provider.issuer), NO_COLOR="1", COLUMNS="50")
    lines = shown.decode().splitlines()
    assert status == 0
    assert "ok       discovery" in lines
    assert lines[lines.index("ok       discovery") + 1].startswith("         127.0.0.1:")
    assert all(len(line) <= 50 or "http" in line for line in lines[: lines.index("")])


def test_a_terminal_shows_that_the_command_waits(scripted: Scripted) -> None:
    scripted.hold()
    released = []

    def release(received: bytes) -> None:
        if b" 1 s" in received and not released:
            released.append(True)
            scripted.release()

    status, received = on_terminal(command("--issuer", scripted.issuer), release)
    assert (status, released) == (0, [True])
    host = scripted.issuer.removeprefix("http://").encode()
    assert b"\r\x1b[KWaiting for " + host + b" 1 s" in received
    waiting, _, rest = received.rpartition(b"\r\x1b[K")
    assert b"Waiting" in waiting and b"Waiting" not in rest
    assert b"It works" in rest


@pytest.mark.parametrize("quiet", ["a pipe", "a dumb terminal"])
def test_only_a_terminal_shows_that_the_command_waits(scripted: Scripted, quiet: str) -> None:
    scripted.hold()
    program = command("--issuer", scripted.issuer, "--set", "timeout=1500")
    if quiet == "a pipe":
        env = {**os.environ, "CREDGATE_CLIENT_SECRET": ALICE.secret}
        done = subprocess.run(program, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        status, shown = done.returncode, done.stdout
    else:
        status, shown = on_terminal(program, TERM="dumb")
    assert status == STATUS["unreachable"]
    assert b"Waiting" not in shown and b"\x1b" not in shown


def test_ctrl_c_ends_a_waiting_command(tmp_path: Path, scripted: Scripted) -> None:
    scripted.hold()
    file = tmp_path / "secret"
    file.write_text("secret")
    program = command("--issuer", scripted.issuer, "--secret-file", str(file))
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        until(lambda: scripted.state["waiting"] == 1, "the exchange to begin")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err


SECRET = "s3cret-of-an-argument"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--issuer", "https://a.example"], "no terminal to prompt for the secret"),
        (["--secret-file", "/nonexistent", "--issuer", "https://a.example"], "--secret-file /nonexistent"),
        (["--config", "/nonexistent"], "--config /nonexistent"),
        (["--secret-file", "/dev/null", "--issuer", "https://a.example"], "--secret-file /dev/null is empty"),
        (["--set", "nonsense"], "must be NAME=VALUE"),
        (["--issuer", "https://a.example", "--arg", "nonsense"], "--arg: must be NAME=VALUE"),
        (["--client-secret", SECRET], "unknown option: --client-secret\n"),
        ([f"--client-secret={SECRET}"], "unknown option: --client-secret\n"),
        (["--secret", SECRET], "unknown option: --secret\n"),
        ([SECRET], "too many arguments"),
        (["--set", SECRET], "--set: must be NAME=VALUE"),
        (["--set", f"client_secret={SECRET}"], "--set client_secret: is a secret, and every user of the machine can read arguments: "
         "use client_secret_file, or --config"),
        (["--set", f"introspection_client_secret={SECRET}"], "use introspection_client_secret_file, or --config"),
    ],
)  # fmt: skip
def test_an_invalid_command_line_exits_with_status_2(options: list[str], message: str) -> None:
    clean = {name: value for name, value in os.environ.items() if name != "CREDGATE_CLIENT_SECRET"}
    done = subprocess.run(command(*options), env=clean, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert message in done.stderr
    assert SECRET not in done.stderr


def test_gate_check_returns_the_diagnosis(provider: Provider) -> None:
    gate = credgate.Gate(issuer=provider.issuer, allow_loopback_http=True)
    assert gate.check(ALICE.id, ALICE.secret)["verdict"] == "ok"
    diagnosis = gate.check(ALICE.id, "wrong")
    assert diagnosis["verdict"] == "refused"
    assert diagnosis["findings"][-1]["code"] == "credentials_refused"
    with_args = credgate.Gate(issuer=provider.issuer, allow_loopback_http=True, token_post_args_host=["resource", "audience"])
    granted = with_args.check(ALICE.id, ALICE.secret, {"audience": b"https://example.com/", "resource": None})
    assert granted["findings"][-1]["step"] == "requirements" and "argument_missing" not in str(granted)
    assert next(one for one in granted["findings"] if one["code"] == "granted")["facts"]["audience"] == "https://example.com/"
    # The check cached nothing.
    assert gate.authenticate(authorization="Basic " + base64.b64encode(b"alice:wrong").decode()).cache_status == "MISS"


def test_the_snapshots_contain_no_obsolete_titles() -> None:
    texts = Snapshot(HERE / "snapshots/faults.txt").texts()
    own_tests = {"metadata without jwks_uri", "server without TLS", "untrusted certificate"}
    assert set(texts) == {*FAULTS, *own_tests}
    for dialect, vectors in DIALECTS.items():
        assert set(Snapshot(HERE / f"snapshots/{dialect}.txt").texts()) == {vector.id for vector in vectors}


def test_an_empty_secret_in_the_environment_is_named() -> None:
    environment = {**os.environ, "CREDGATE_CLIENT_SECRET": ""}
    done = subprocess.run(command("--issuer", "https://a.example"), env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.endswith("CREDGATE_CLIENT_SECRET is empty\n")


@pytest.mark.parametrize(("options", "expected"), [("client_id=123", "123"), ('client_id="123"', "123"), ("client_id=null", None)])
def test_a_setting_of_text_takes_a_number_as_text(options: str, expected: str | None) -> None:
    parser = argparse.ArgumentParser()
    _arguments.add_to(parser)
    assert _arguments.read(parser.parse_args(["--set", options, "--set", "timeout=5"])) == {"client_id": expected, "timeout": 5}


@pytest.mark.parametrize(("output", "status", "said"), [("| true", 141, ""), (">/dev/full", 1, "No space left on device")])
def test_output_that_cannot_be_written_gives_no_traceback(output: str, status: int, said: str) -> None:
    shell = f'{sys.executable} -m credgate settings {output}; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, timeout=60)
    assert done.returncode == status
    assert said in done.stderr and done.stderr.count("\n") == (1 if said else 0), done.stderr
