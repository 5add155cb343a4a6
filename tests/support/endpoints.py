"""Replays the vectors of token endpoints and of external checks through a host, as raw bytes on a socket."""

import json
from pathlib import Path

from support.http import FORM, Answer, Client, ask
from support.lab import Scripted
from support.nginx import location
from support.replay import Ask
from support.vectors import Vector, load, to_bytes

TOKEN_REQUESTS = load("token_endpoint.json")
CHECKS = load("check.json")
GRANT = "grant_type=client_credentials"
ISSUED = {"access_token": "t", "token_type": "Bearer", "expires_in": 60}


def token_request(port: int, client: Client, more: str = "", target: str = "/token") -> Answer:
    """A request with HTTP Basic."""
    return ask(port, target, method="POST", headers={**client.basic, **FORM}, body=GRANT + more)


def endpoints(directory: Path, places: dict[str, str], issuer: str, directive: str) -> str:
    """A location of nginx for each configuration, whose gate caches no tokens."""
    text = ""
    for config, path in places.items():
        file = directory / f"{path[1:]}.json"
        own = {"issuer": issuer, "allow_loopback_http": True, "cache_tokens": False}
        file.write_text(json.dumps({**own, **json.loads(config)}))
        error = "add_header X-Error $credgate_cause always"
        text += location(f"= {path}", f"credgate_config {file}", directive, error)
    return text


def replay_token_requests(respond: Ask, scripted: Scripted) -> None:
    """The host's gates cache no tokens, and report the cause in a header X-Error if they can."""
    scripted.script(json=ISSUED)
    differences = []
    for vector in TOKEN_REQUESTS:
        status, headers, body = respond(vector)
        expect = vector.expect
        if headers.get("cache-control") != "no-store" or headers.get("pragma") != "no-cache":
            differences.append(f"{vector.id}: may be stored: {headers}")
        if not headers.get("content-type", "").startswith("application/json"):
            differences.append(f"{vector.id}: is no JSON: {headers}")
        if "error" not in expect:
            differences += exchanged(vector, status, scripted)
            # The provider states no scope, so that of the token is the requested one.
            scope = scripted.state["last"]["form"].get("scope")
            issued = {**ISSUED, "scope": scope} if scope else ISSUED
            if status == 200 and {**json.loads(body), "expires_in": 60} != issued:
                differences.append(f"{vector.id}: came {body!r}")
            continue
        error = None if vector.bytes("method") == b"HEAD" else json.loads(body)["error"]
        wanted = None if vector.bytes("method") == b"HEAD" else expect["error"]
        came = (status, error, headers.get("x-error", expect["cause"]))
        if came != (expect["http_status"], wanted, expect["cause"]):
            differences.append(f"{vector.id}: expected {expect}, came {came}")
        if headers.get("www-authenticate", "").startswith('Basic realm="') != (status == 401):
            differences.append(f"{vector.id}: has the challenge {headers.get('www-authenticate')}")
    assert not differences, "\n" + "\n".join(differences)


def replay_checks(respond: Ask, scripted: Scripted) -> None:
    """The host's gates cache no tokens, and report the cause in a header X-Error if they can."""
    scripted.script(json=ISSUED)
    differences = []
    for vector in CHECKS:
        status, headers, body = respond(vector)
        expect = vector.expect
        if headers.get("cache-control") != "no-store":
            differences.append(f"{vector.id}: may be stored: {headers}")
        if "cause" not in expect:
            differences += exchanged(vector, status, scripted)
            if (headers.get("authorization"), body) != ("Bearer t", b""):
                differences.append(f"{vector.id}: came {headers} {body!r}")
            continue
        came = (status, headers.get("x-error", expect["cause"]))
        if came != (expect["http_status"], expect["cause"]) or "authorization" in headers:
            differences.append(f"{vector.id}: expected {expect}, came {came}")
    assert not differences, "\n" + "\n".join(differences)


def exchanged(vector: Vector, status: int, scripted: Scripted) -> list[str]:
    """The differences of an exchange from the expected one."""
    form = scripted.state["last"]["form"]
    wanted = {name: to_bytes(vector.expect[name]).decode() for name in ("client_id", "client_secret")}
    wanted |= dict(vector.expect.get("args", []))
    sent = {name: form.get(name) for name in wanted}
    return [] if (status, sent) == (200, wanted) else [f"{vector.id}: expected {wanted}, came {status} {sent}"]
