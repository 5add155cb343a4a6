"""Replays the core's vectors through a host, as raw bytes on a socket or through the host's own API: same input, same outcome."""

import json
import socket
import time
from collections.abc import Callable
from typing import Any

import jwt

from support.keys import public
from support.lab import Scripted, Upstream
from support.vectors import Vector, load, to_bytes

SHOWN = [vector for vector in load("extraction.json") if "token" not in vector.expect]
# Credentials that the host supplies are not in a request.
EXTRACTION = [vector for vector in load("extraction.json") if "credentials" not in vector.input]
PARTS = ("method", "authorization", "query", "content_type", "body")
ASSERTIONS = load("assertion.json")
TRACEPARENT = load("traceparent.json")
CHALLENGES = load("challenges.json")
INTROSPECTION = load("introspection.json")
HIDING = [vector for vector in load("hiding.json") if "redact" not in vector.input]


def ask_raw(port: int, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Returns status, headers and body of the response to these bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return int(first.split(" ")[1]), headers, body


def request_of(vector: Vector, path: str) -> bytes:
    query, authorization = vector.bytes("query"), vector.bytes("authorization")
    content_type, body = vector.bytes("content_type"), vector.bytes("body")
    default = b"POST" if body is not None else b"GET"
    lines = [
        (vector.bytes("method") or default)
        + b" "
        + path.encode()
        + (b"" if query is None else b"?" + query)
        + b" HTTP/1.1",
        b"Host: gateway.example",
        b"Connection: close",
    ]
    if authorization is not None:
        lines.append(b"Authorization: " + authorization)
    if content_type is not None:
        lines.append(b"Content-Type: " + content_type)
    lines += [name + b": " + value for name, value in headers_of(vector)]
    lines += [b"X-Arg-%d: " % number + to_bytes(arg) for number, arg in enumerate(vector.input.get("args", []))]
    lines += [b"Traceparent: " + to_bytes(value) for value in vector.input.get("traceparent", [])]
    if body is not None:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + (body or b"")


def headers_of(vector: Vector) -> list[tuple[bytes, bytes]]:
    """The request's other headers."""
    return [(to_bytes(name), to_bytes(value)) for name, value in vector.input.get("headers", [])]


def refused_by_nginx(vector: Vector) -> bool:
    """Is it invalid HTTP for nginx, which responds 400 or 405 before a gate sees it?"""
    method, query = vector.bytes("method") or b"GET", vector.bytes("query") or b""
    fields = (vector.bytes("authorization") or b"") + (vector.bytes("content_type") or b"")
    fields += b"".join(value for _, value in headers_of(vector))
    return (
        method in (b"CONNECT", b"TRACE")
        or not method.isupper()
        or any(byte <= 0x20 or byte == 0x7F for byte in query)
        or 0 in fields
    )


def changed_by_nginx(vector: Vector) -> bool:
    """Does HTTP read it differently? A `#` ends the query, and a line break ends the header."""
    fields = (vector.bytes("authorization") or b"") + (vector.bytes("content_type") or b"")
    return b"#" in (vector.bytes("query") or b"") or any(byte in fields for byte in b"\r\n")


def paths(vectors: list[Vector]) -> dict[str, str]:
    """A path for each configuration that vectors have, by its JSON."""
    found: dict[str, str] = {}
    for vector in vectors:
        found.setdefault(configuration(vector), f"/gate{len(found)}")
    return found


def configuration(vector: Vector) -> str:
    return json.dumps(vector.input.get("config", {}), sort_keys=True)


Ask = Callable[[Vector], tuple[int, dict[str, str], bytes]]


def asker(port: int, places: dict[str, str]) -> Ask:
    return lambda vector: ask_raw(port, request_of(vector, places[configuration(vector)]))


def replay_extraction(ask: Ask, scripted: Scripted) -> None:
    """The host's gates cache no tokens, and report the cause in a header X-Error."""
    scripted.script(json={"access_token": "t", "token_type": "Bearer", "expires_in": 60})
    differences, by_nginx = [], 0
    for vector in EXTRACTION:
        if changed_by_nginx(vector) or "token" in vector.expect:
            continue
        status, headers, _ = ask(vector)
        if refused_by_nginx(vector):
            by_nginx += 1
            if status not in (400, 405) or "x-error" in headers:
                differences.append(f"{vector.id}: nginx was to refuse it, and {status} came")
        elif "cause" in vector.expect:
            expected = (vector.expect["http_status"], vector.expect["cause"])
            if (status, headers.get("x-error")) != expected:
                differences.append(f"{vector.id}: expected {expected}, came {status} {headers.get('x-error')}")
        else:
            form = scripted.state["last"]["form"]
            args = dict(vector.expect.get("args", []))
            came = {name: form.get(name) for name in ("client_id", "client_secret", *args)}
            expected_pair = {name: to_bytes(vector.expect[name]).decode() for name in ("client_id", "client_secret")}
            expected_pair |= args
            if status != 200 or came != expected_pair:
                differences.append(f"{vector.id}: expected {expected_pair}, came {status} {came}")
    assert not differences, "\n" + "\n".join(differences)
    assert by_nginx < len(EXTRACTION) / 4, "most vectors reach the gate"


def replay_traceparent(ask: Callable[[Vector], int], scripted: Scripted) -> None:
    """The host's gates cache no tokens. `ask` returns the status."""
    differences = []
    for vector in TRACEPARENT:
        status = ask(vector)
        headers = scripted.state["last"]["headers"]
        came = [value for name, value in headers if name.lower() == "traceparent"]
        expected = [vector.expect["sent"]] if vector.expect["sent"] else []
        if (status, came) != (200, expected):
            differences.append(f"{vector.id}: expected {expected}, came {status} {came}")
    assert not differences, "\n" + "\n".join(differences)
    assert len(TRACEPARENT) >= 30


def parts_of(vector: Vector) -> dict[str, bytes]:
    """The parts of the request, by name."""
    return {name: vector.bytes(name) or b"" for name in PARTS if name in vector.input}


def args_of(vector: Vector) -> dict[str, bytes]:
    """The host's argument values, by the gate's names for them."""
    names = vector.input.get("config", {}).get("token_post_args_host", [])
    return dict(zip(names, map(to_bytes, vector.input.get("args", [])), strict=True))


def pair_of(vector: Vector) -> list[bytes]:
    """The id and secret that the host supplies itself, if any."""
    return [to_bytes(half) for half in vector.input.get("credentials", [])]


def replay_shown(judge: Callable[[Vector], dict[str, Any]], scripted: Scripted) -> None:
    """The host's gates cache no tokens. `judge` returns `allowed`, and then `client_id` and `source`, or `cause` and
    `http_status`."""
    scripted.script(json={"access_token": "t", "token_type": "Bearer", "expires_in": 60})
    differences = []
    for vector in SHOWN:
        came, expect = judge(vector), vector.expect
        if "cause" in expect:
            expected = {"allowed": False, "cause": expect["cause"], "http_status": expect["http_status"]}
        else:
            name = to_bytes(expect["client_id"]).decode()
            expected = {"allowed": True, "client_id": name, "source": expect["source"]}
            form = scripted.state["last"]["form"]
            secret = to_bytes(expect["client_secret"]).decode()
            wanted = {"client_id": name, "client_secret": secret, **dict(expect.get("args", []))}
            sent = {name: form.get(name) for name in wanted}
            if sent != wanted:
                differences.append(f"{vector.id}: expected {wanted}, sent {sent}")
        if came != expected:
            differences.append(f"{vector.id}: expected {expected}, came {came}")
    assert not differences, "\n" + "\n".join(differences)


def replay_hiding(ask: Ask, upstream: Upstream, part: str) -> None:
    """The host's gates pass requests without credentials; the vectors' credentials are hidden, or stay."""
    vectors = [vector for vector in HIDING if part in vector.input]
    differences, compared = [], 0
    for vector in vectors:
        if changed_by_nginx(vector) or refused_by_nginx(vector):
            continue
        status, _, _ = ask(vector)
        if status != 200:
            continue  # half a pair, or one twice: refused, and nothing goes upstream
        compared += 1
        seen = upstream.last
        if part == "headers":
            expected, came = sorted(vector.expect["headers"]), sent_on(vector, seen)
        else:
            expected = to_bytes(vector.expect[part]).decode("latin-1")
            came = seen["body"] if part == "body" else seen["line"].split(" ")[1].partition("?")[2]
        if came != expected:
            differences.append(f"{vector.id}: expected {expected!r}, came {came!r}")
    assert not differences, "\n" + "\n".join(differences)
    assert compared >= len(vectors) / 2, f"{compared} of {len(vectors)} reached the upstream"


def own_gate(vector: Vector, issuer: str) -> dict[str, Any]:
    """The settings of a gate whose client has a key or a certificate."""
    return {"issuer": issuer, "allow_loopback_http": True, "cache_tokens": False, **vector.input["config"]}


def replay_assertions(ask: Callable[[Vector], tuple[int, str | None]], scripted: Scripted) -> None:
    """`ask` sends a request without credentials to a gate with `own_gate`. It returns the status and the cause."""
    differences = []
    for vector in ASSERTIONS:
        scripted.reset()
        came, expect = ask(vector), vector.expect
        if deny := expect.get("deny"):
            wanted: Any = (deny["http_status"], deny["cause"])
            seen: Any = came
        elif came[0] != 200:
            wanted, seen = 200, came
        else:
            form = scripted.state["last"]["form"]
            seen = stated(form.pop("client_assertion", None), expect.get("key"))
            seen["form"] = [list(pair) for pair in sorted(form.items())]
            claims = json.loads(json.dumps(expect.get("claims")).replace("$ISSUER", scripted.issuer))
            wanted = {"form": expect["form"], "header": expect.get("header"), "claims": claims}
        if seen != wanted:
            differences.append(f"{vector.id}: expected {wanted}, came {seen}")
    assert not differences, "\n" + "\n".join(differences)
    assert len(ASSERTIONS) > 20


def verified(assertion: str, jwk: str) -> dict[str, Any]:
    """The claims of an assertion, verified by another implementation, except for its audience."""
    algorithm = jwt.get_unverified_header(assertion)["alg"]
    key = jwt.PyJWK(public(jwk), algorithm=algorithm)
    claims: dict[str, Any] = jwt.decode(assertion, key, algorithms=[algorithm], options={"verify_aud": False})
    return claims


def stated(assertion: str | None, key: str | None) -> dict[str, Any]:
    """Header and claims of an assertion, verified if there is a key, without the times and the id."""
    if assertion is None:
        return {"header": None, "claims": None}
    claims = jwt.decode(assertion, options={"verify_signature": False})
    if key:
        assert verified(assertion, key.removesuffix(".jwk")) == claims
    for name in ("iat", "exp", "jti"):
        claims.pop(name, None)
    return {"header": jwt.get_unverified_header(assertion), "claims": claims}


def sent_on(vector: Vector, seen: dict[str, Any]) -> list[list[str]]:
    """The headers of the vector that reached the upstream, in order of their names."""
    names = {name.decode().lower() for name, _ in headers_of(vector)}
    return sorted([name, value] for name, value in seen["headers"] if name.lower() in names)


def replay_challenges(judge: Callable[[Vector], Any], scripted: Scripted) -> None:
    """The host's gates cache nothing. `judge` returns "allow", or `cause`, `http_status` and `challenge`."""
    differences = []
    for vector in CHALLENGES:
        scripted.reset()
        if answer := vector.input.get("answer"):
            scripted.script(**answer)
        expect = dict(vector.expect)
        if expect["challenge"]:
            expect["challenge"] = expect["challenge"].replace("{realm}", "127.0.0.1")
        if (came := judge(vector)) != expect:
            differences.append(f"{vector.id}: expected {expect}, came {came}")
    assert not differences, "\n" + "\n".join(differences)


def challenged(ask: Ask) -> Callable[[Vector], Any]:
    """Reads the denial in a host's response to the raw request."""

    def judge(vector: Vector) -> Any:
        status, headers, _ = ask(vector)
        return {"cause": headers.get("x-error"), "http_status": status, "challenge": headers.get("www-authenticate")}

    return judge


def filled(value: Any, issuer: str) -> Any:
    """The body of an introspection response with the issuer and the times that it refers to."""
    match value:
        case str():
            return value.replace("{issuer}", issuer)
        case {"now": seconds}:
            return int(time.time()) + seconds
        case dict():
            return {name: filled(item, issuer) for name, item in value.items()}
        case list():
            return [filled(item, issuer) for item in value]
        case _:
            return value


# Each vector has a gate of its own kind, and none remembers a verdict.
FORGETFUL = {"cache_tokens": False, "cache_ttl_neg": 0, "refusals_per_client": 0, "refusals_per_gate": 0}


def replay_introspection(judge: Callable[[Vector], tuple[int, str]], scripted: Scripted) -> None:
    """The host's gates are FORGETFUL. `judge` presents the token, and returns the status, and the cause of a denial or
    the client id."""
    differences = []
    for vector in INTROSPECTION:
        response = dict(vector.input["response"])
        body = response.pop("body", None)
        text = response.pop("text", None)
        scripted.reset()
        answer = {"json": filled(body, scripted.issuer)} if text is None else {"body": text}
        scripted.script("introspection", **response, **answer)
        status, shown = judge(vector)
        if "allow" in vector.expect:
            expected = (200, vector.expect["allow"]["client_id"])
        else:
            expected = (vector.expect["http_status"], vector.expect["cause"])
        if (status, shown) != expected:
            differences.append(f"{vector.id}: expected {expected}, came {(status, shown)}")
        introspected = scripted.state["introspected"]
        if introspected and introspected["form"]["token"] != vector.input["token"]:
            differences.append(f"{vector.id}: introspected {introspected['form']}")
    assert not differences, "\n" + "\n".join(differences)
