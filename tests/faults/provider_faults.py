"""The table of provider faults: sections of rows."""

import base64
import gzip
import hmac
import json
from collections.abc import Callable
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from faults.replies import JSON, End, Reply, body, chunked, endless, framed, head, http, merge, message, oauth, raw, slowly
from faults.rows import Fault, Listener, Verdict
from support import keys

UNREACHABLE = Verdict(502, "provider_unreachable", 5)
FAILED = Verdict(502, "provider_failed", 5)
INVALID = Verdict(502, "provider_response_invalid", 5)
REJECTED = Verdict(502, "request_refused", 5)
UNVERIFIABLE = Verdict(502, "token_unverifiable", 5)
LATE = Verdict(504, "provider_timeout", 5)
REFUSED = Verdict(401, "credentials_refused")
FORBIDDEN = Verdict(403, "client_forbidden")
TOKEN = Verdict(200)

BACK_OFF = 5
"""Seconds until metadata and keys are fetched again after a failure; the seconds for which a refusal is cached."""
PAUSE = 5
"""The longest pause of the circuit breaker, in seconds."""
REDISCOVERY = 1
"""The `rediscovery_lifetime` of rows that depend on it, in seconds."""
FETCH = 3
"""The deadline of a fetch of metadata or keys, in seconds."""


def busy(seconds: int) -> Verdict:
    return Verdict(503, "provider_busy", seconds)


def connections(name: str, title: str, expect: Verdict, *, tls: bool = False, **more: Any) -> Fault:
    return Fault(name, title, expect=expect, listener=Listener(name, tls), **more)


def names(name: str, title: str, lines: str, expect: Verdict, **more: Any) -> Fault:
    reach = {"allow_addresses": ["127.0.0.0/8"]}
    return Fault(name, title, expect=expect, listener=Listener("good"), resolves_to=lines, settings=reach, **more)


def h2(name: str, title: str, expect: Verdict = FAILED) -> Fault:
    return Fault(f"h2-{name}", title, expect=expect, listener=Listener("good"), h2=name)


def token(name: str, title: str, reply: Reply, expect: Verdict = INVALID, **more: Any) -> Fault:
    return Fault(f"token-{name}", title, reply, expect, **more)


def refusal(name: str, title: str, reply: Reply, expect: Verdict) -> Fault:
    """A refusal is cached."""
    return token(name, title, reply, expect, recovery=BACK_OFF)


def limited(name: str, title: str, reply: Reply, seconds: int = 5) -> Fault:
    """A 429, whose Retry-After holds for the client. Other clients wait for a minute at most."""
    recovery, others = (60, True) if seconds > 60 else (seconds, False)
    return token(name, title, reply, busy(seconds), recovery=recovery, others_recover=others)


def discovery(
    name: str, title: str, reply: Reply, expect: Verdict = INVALID, recovery: float | None = BACK_OFF, **more: Any
) -> Fault:
    return Fault(f"discovery-{name}", title, reply, expect, recovery, "discovery", **more)


def rediscovered(
    name: str, title: str, reply: Reply, expect: Verdict = INVALID, pause: float = 0, **more: Any
) -> Fault:
    """The metadata are valid, but do not suffice: they are fetched again after `rediscovery_lifetime`. Nothing is tried
    during a pause."""
    settings = {"rediscovery_lifetime": REDISCOVERY}
    return discovery(name, title, reply, expect, REDISCOVERY + pause, settings=settings, **more)


def jwks(name: str, title: str, reply: Reply, expect: Verdict, recovery: float | None = BACK_OFF) -> Fault:
    return Fault(f"jwks-{name}", title, reply, expect, recovery, "jwks")


def forged(name: str, title: str, forge: Callable[..., str], expect: Verdict = UNVERIFIABLE) -> Fault:
    return Fault(f"jwt-{name}", title, forge=forge, expect=expect, recovery=BACK_OFF)


def signed(claims: dict[str, Any], key: str, kid: str, **changes: Any) -> str:
    claims = {name: value for name, value in (claims | changes).items() if value is not None}
    return jwt.encode(claims, key, "ES256", {"kid": kid})


def header(**members: Any) -> Callable[..., str]:
    """Signs correctly under another header."""
    return lambda claims, key, kid: jwt.encode(claims, key, "ES256", {"kid": kid} | members)


def claims(**changes: Any) -> Callable[..., str]:
    """Signs other claims correctly."""
    return lambda claims, key, kid: signed(claims, key, kid, **changes)


def by_public_key(claims: dict[str, Any], _: str, kid: str) -> str:
    """HS256 with the text of the public key."""
    parts = [json.dumps(part).encode() for part in ({"alg": "HS256", "kid": kid}, claims)]
    text = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    mac = hmac.digest(json.dumps(keys.public("p256")).encode(), text, "sha256")
    return (text + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()


def changed(claims: dict[str, Any], key: str, kid: str) -> str:
    """Claims that are not those of the signature."""
    start, _, signature = signed(claims, key, kid).split(".")
    other = json.dumps(claims | {"sub": "admin"}).encode()
    return ".".join([start, base64.urlsafe_b64encode(other).rstrip(b"=").decode(), signature])


def keys_of(*jwks: dict[str, Any]) -> Reply:
    return http(200, json.dumps({"keys": jwks}), content_type="application/json")


ANOTHER = ec.generate_private_key(ec.SECP256R1())
OUR_KEY = keys.public("p256")
OTHER_KEY = keys.public("rsa")
LONG_AGO = "Fri, 01 Jan 2021 00:00:00 GMT"
FAR_AWAY = "Thu, 01 Jan 2099 00:00:00 GMT"

SECTIONS: dict[str, list[Fault]] = {
    "Names": [
        names("name-unknown", "no such name", "unknown", UNREACHABLE),
        names("name-again", "the resolver fails", "again", UNREACHABLE),
        names("name-hangs", "the resolver does not respond", "hangs", LATE),
        names("name-forbidden", "the name leads to a cloud's metadata service only", "169.254.169.254", UNREACHABLE),
        names("name-half-dead", "the first of two addresses refuses connections", "127.0.0.9 127.0.0.1", TOKEN),
    ],
    "Connections": [
        connections("refuses", "connections are refused", UNREACHABLE),
        connections("full", "connections are not accepted", LATE),
        connections("resets", "connections are reset when the request comes", FAILED),
        connections("closes", "connections are closed at once", FAILED),
        connections("silent", "connections are accepted, and nothing follows", LATE),
        connections("garbage", "the server speaks another protocol", FAILED),
        Fault(
            "breaker", "connections are refused, six times in a row", expect=Verdict(503, "provider_paused", 1),
            listener=Listener("refuses", False), before=5, recovery=1,
        ),
    ],
    "TLS": [
        connections("expired", "the certificate has expired", UNREACHABLE, tls=True),
        connections("future", "the certificate is not valid yet", UNREACHABLE, tls=True),
        connections("other-name", "the certificate is of another name", UNREACHABLE, tls=True),
        connections("other-ca", "an unknown authority signed the certificate", UNREACHABLE, tls=True),
        connections("self-signed", "the certificate signed itself", UNREACHABLE, tls=True),
        connections("ca-as-server", "the certificate is one of an authority", UNREACHABLE, tls=True),
        connections("old-tls", "the server speaks TLS 1.1 only", UNREACHABLE, tls=True),
        connections("asks", "the server demands a client certificate", FAILED, tls=True),
        connections("no-tls", "the server speaks HTTP without TLS", UNREACHABLE, tls=True),
        Fault("tls-closes", "the server closes during the handshake", expect=UNREACHABLE, listener=Listener("closes")),
        Fault("tls-resets", "the server resets during the handshake", expect=UNREACHABLE, listener=Listener("resets")),
        Fault("tls-silent", "the server does not begin the handshake", expect=LATE, listener=Listener("silent")),
        Fault("tls-garbage", "the server answers the handshake with noise", expect=UNREACHABLE, listener=Listener("garbage")),
    ],
    "HTTP/2": [
        h2("goaway", "GOAWAY before the request was read"),
        h2("goaway-error", "GOAWAY with an error"),
        h2("reset", "RST_STREAM with INTERNAL_ERROR"),
        h2("refused", "RST_STREAM with REFUSED_STREAM"),
        h2("http11-required", "RST_STREAM with HTTP_1_1_REQUIRED"),
        h2("garbage", "no frames, but noise"),
        h2("headers-only", "a response without its body", INVALID),
        h2("no-status", "a response without its status"),
        h2("half-body", "half a body, and the connection ends"),
        h2("half-body-hang", "half a body, and nothing follows", LATE),
        h2("huge-headers", "300 KB of headers"),
        h2("hang", "pings are answered, the request is not", LATE),
    ],
    "HTTP/1.1 of the token endpoint": [
        token("close", "the connection closes without a response", raw(End.CLOSE), FAILED),
        token("reset", "the connection is reset without a response", raw(End.RESET), FAILED),
        token("hang", "no response", raw(End.HANG), LATE),
        token("half-line", "the connection closes in the status line", raw(b"HTTP/1.1 2", End.CLOSE), FAILED),
        token("half-head", "the connection closes in the headers", raw(head(200, JSON)[:-4], End.CLOSE), FAILED),
        token("reset-head", "the connection is reset in the headers", raw(head(200, JSON)[:-4], 0.05, End.RESET), FAILED),
        token("hang-head", "the headers do not end", raw(head(200, JSON)[:-4], End.HANG), LATE),
        token(
            "half-body", "the connection closes in the body",
            framed(lambda data: [head(200, JSON, ("Content-Length", str(len(data)))) + data[:20], End.CLOSE]), FAILED,
        ),
        token(
            "reset-body", "the connection is reset in the body",
            framed(lambda data: [head(200, JSON, ("Content-Length", str(len(data)))) + data[:20], 0.05, End.RESET]), FAILED,
        ),
        token(
            "hang-body", "the body does not end",
            framed(lambda data: [head(200, JSON, ("Content-Length", str(len(data)))) + data[:20], End.HANG]), LATE,
        ),
        token("slow-bytes", "a byte every 20 ms", slowly(0.02), LATE),
        token(
            "length-short", "Content-Length is shorter than the body",
            framed(lambda data: [head(200, JSON, ("Content-Length", "20")) + data, End.CLOSE]),
        ),
        token(
            "length-long", "Content-Length is longer than the body, and the connection closes",
            framed(lambda data: [head(200, JSON, ("Content-Length", "999")) + data, End.CLOSE]), FAILED,
        ),
        token(
            "length-long-hang", "Content-Length is longer than the body, and nothing follows",
            framed(lambda data: [head(200, JSON, ("Content-Length", "999")) + data, End.HANG]), LATE,
        ),
        token(
            "length-twice", "two different lengths",
            framed(lambda data: [head(200, ("Content-Length", "20"), ("Content-Length", str(len(data)))) + data, End.CLOSE]),
            FAILED,
        ),
        token("length-negative", "a negative length", raw(head(200, ("Content-Length", "-1")), End.CLOSE), FAILED),
        token("length-word", "a length that is no number", raw(head(200, ("Content-Length", "long")), End.CLOSE), FAILED),
        token("length-huge", "a length of 10 GB", raw(head(200, ("Content-Length", "9" * 10)), End.CLOSE), FAILED),
        token(
            "bytes-after", "bytes after the response",
            lambda value: [message(200, json.dumps(value).encode(), JSON) + b"HTTP/1.1 200 OK\r\n\r\n{}", End.CLOSE], TOKEN,
        ),
        token(
            "until-close", "neither a length nor chunks: the body ends with the connection",
            framed(lambda data: [head(200, JSON) + data, End.CLOSE]), TOKEN,
        ),
        token("chunk-size", "a chunk size that is no number", chunked(b"zz\r\n{}\r\n0\r\n\r\n", End.CLOSE), FAILED),
        token("chunk-huge", "a chunk size of more than 64 bits", chunked(b"f" * 17 + b"\r\n{}\r\n", End.CLOSE), FAILED),
        token("chunk-end", "a chunk without its end", chunked(b"2\r\n{}0\r\n\r\n", End.CLOSE), FAILED),
        token("chunk-close", "the connection closes before the last chunk", chunked(b"2\r\n{}\r\n", End.CLOSE), FAILED),
        token("chunk-hang", "the last chunk does not come", chunked(b"2\r\n{}\r\n", End.HANG), LATE),
        token("chunk-endless", "chunks without an end", endless(head(200, ("Transfer-Encoding", "chunked")), b"400\r\n" + b" " * 1024 + b"\r\n")),
        token("endless", "a body without an end", endless(head(200, JSON), b" " * 4096)),
        token("head-endless", "headers without an end", endless(b"HTTP/1.1 200 OK\r\n", b"X-Filler: " + b"x" * 1000 + b"\r\n"), FAILED),
        token("head-many", "10,000 headers", raw(head(200, *((f"X-{number}", "x") for number in range(10_000))), End.CLOSE), FAILED),
        token("head-no-colon", "a header without a colon", raw(b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", End.CLOSE), FAILED),
        token("head-nul", "a NUL in a header", raw(b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n", End.CLOSE), FAILED),
        token("version", "HTTP/9.9", raw(b"HTTP/9.9 200 OK\r\n\r\n", End.CLOSE), FAILED),
        token("no-http", "another protocol's greeting", raw(b"220 mail.example ESMTP\r\n", End.CLOSE), FAILED),
        token("continue-endless", "100 Continue without an end", endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.001), LATE),
        token("switch", "101 Switching Protocols", raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", End.CLOSE), INVALID),
    ],
    "Redirects": [
        token(f"{status}", f"{status} to another URL of the provider", http(status, location="elsewhere"))
        for status in (300, 301, 302, 303, 305, 307, 308)
    ]
    + [token("loop", "307 to itself", http(307, location="token"))],
    "Statuses of the token endpoint": [
        refusal("400-invalid-client", "400 `invalid_client`", oauth(400, "invalid_client"), REFUSED),
        refusal("401-invalid-client", "401 `invalid_client`", oauth(401, "invalid_client"), REFUSED),
        refusal("401-other-word", "401 with any other word, or none", oauth(401, "access_denied"), REFUSED),
        refusal("401-text", "401 that is not JSON", http(401, "Unauthorized"), REFUSED),
        refusal("400-unauthorized-client", "400 `unauthorized_client`", oauth(400, "unauthorized_client"), FORBIDDEN),
        refusal("400-invalid-scope", "400 `invalid_scope`", oauth(400, "invalid_scope"), FORBIDDEN),
        refusal("400-invalid-target", "400 `invalid_target`", oauth(400, "invalid_target"), FORBIDDEN),
        refusal("400-audience", "400 `invalid_request` about the audience", oauth(400, "invalid_request", "the audience is not allowed"), FORBIDDEN),
        refusal("403-access-denied", "403 `access_denied`", oauth(403, "access_denied"), FORBIDDEN),
        refusal("400-invalid-request", "400 `invalid_request`", oauth(400, "invalid_request"), REJECTED),
        refusal("400-invalid-grant", "400 `invalid_grant`", oauth(400, "invalid_grant"), REJECTED),
        refusal("400-grant-type", "400 `unsupported_grant_type`", oauth(400, "unsupported_grant_type"), REJECTED),
        token("400-unknown-word", "400 with an unknown word", oauth(400, "out_of_cheese"), REJECTED),
        token("400-text", "400 that is not JSON", http(400, "Bad Request"), REJECTED),
        token("400-server-error", "400 `server_error`", oauth(400, "server_error"), REJECTED),
        token("402", "402", http(402, "Payment Required"), REJECTED),
        token("403-text", "403 of a firewall, not JSON", http(403, "<html>Forbidden</html>"), FAILED),
        *(
            token(f"{status}", f"{status}", http(status, "no"), REJECTED)
            for status in (404, 405, 406, 407, 408, 409, 410, 411, 413, 415, 421, 422, 451, 499)
        ),
        *(token(f"{status}", f"{status}", http(status, "no"), FAILED) for status in (500, 501, 502, 504, 511, 599)),
        token("500-invalid-client", "500 with `invalid_client`", oauth(500, "invalid_client"), FAILED),
        *(token(f"{status}", f"{status}", http(status, "{}")) for status in (201, 202, 203, 206, 600, 999)),
        token("204", "204", raw(head(204))),
        token("304", "304", raw(head(304))),
        token("1000", "a status of four digits", http(1000), FAILED),
    ],
    "Rate limits": [
        limited("429", "429 without `Retry-After`", http(429)),
        limited("429-1", "429 with `Retry-After: 1`", http(429, retry_after="1"), 1),
        limited("429-0", "429 with `Retry-After: 0`", http(429, retry_after="0"), 1),
        limited("429-past", "429 with a date that has passed", http(429, retry_after=LONG_AGO), 1),
        limited("429-far", "429 with a date in 2099", http(429, retry_after=FAR_AWAY), 3600),
        limited("429-huge", "429 with `Retry-After: 99999999999999999999`", http(429, retry_after="9" * 20), 3600),
        limited("429-negative", "429 with `Retry-After: -1`", http(429, retry_after="-1")),
        limited("429-fraction", "429 with `Retry-After: 1.5`", http(429, retry_after="1.5")),
        limited("429-word", "429 with `Retry-After: soon`", http(429, retry_after="soon")),
        limited("429-list", "429 with `Retry-After: 1, 2`", http(429, retry_after="1, 2")),
        limited("429-empty", "429 with an empty `Retry-After`", http(429, retry_after="")),
        limited("429-long", "429 with a `Retry-After` of 600 digits", http(429, retry_after="1" * 600)),
        token("503-2", "503 with `Retry-After: 2`", http(503, retry_after="2"), Verdict(502, "provider_failed", 2)),
        token("503-far", "503 with a date in 2099", http(503, retry_after=FAR_AWAY), Verdict(502, "provider_failed", 3600)),
    ],
    "Token responses": [
        token("html", "200 with a page of HTML", http(200, "<html>Sign in</html>", content_type="text/html")),
        token("empty", "200 without a body", http(200)),
        token("cut", "JSON that ends early", body(lambda data: data[:-1])),
        token("more", "JSON with bytes after it", body(lambda data: data + b"x")),
        token("twice", "the JSON object twice", body(lambda data: data + data)),
        token("bom", "JSON after a byte order mark", body(lambda data: b"\xef\xbb\xbf" + data)),
        token("utf-16", "JSON in UTF-16", body(lambda data: data.decode().encode("utf-16"))),
        token("no-utf-8", "JSON with bytes that are not UTF-8", body(lambda data: data.replace(b"Bearer", b"Bearer\xff"))),
        token("gzip", "a compressed body, which nobody asked for", lambda value: [message(200, gzip.compress(json.dumps(value).encode()), JSON, ("Content-Encoding", "gzip"))]),
        token("array", "a JSON array", http(200, "[]")),
        token("null", "JSON's `null`", http(200, "null")),
        token("number", "a JSON number", http(200, "7")),
        token("deep", "JSON of 10,000 levels", http(200, "[" * 10_000)),
        token("long", "a response longer than 64 KiB", body(lambda data: data + b" " * 65_536)),
        token("error", "200 with an OAuth error", oauth(200, "invalid_client")),
        token("none", "no `access_token`", merge(access_token=None)),
        token("repeated", "`access_token` twice", body(lambda data: b'{"access_token": "another", ' + data[1:])),
        token("token-empty", "an empty `access_token`", merge(access_token="")),
        token("token-number", "a number as `access_token`", merge(access_token=7)),
        token("token-object", "an object as `access_token`", merge(access_token={"value": "x"})),
        token("token-space", "an `access_token` with a space", merge(access_token="two words")),
        token("token-newline", "an `access_token` with a line break", merge(access_token="a\r\nX-Evil: 1")),
        token("token-nul", "an `access_token` with a NUL", merge(access_token="a\0b")),
        token("token-unicode", "an `access_token` outside ASCII", merge(access_token="tökén")),
        token("token-long", "an `access_token` of 17 KiB", merge(access_token="x" * 17 * 1024)),
        token("type-none", "no `token_type`", merge(token_type=None)),
        token("type-dpop", "`token_type` `DPoP`", merge(token_type="DPoP")),
        token("type-mac", "`token_type` `mac`", merge(token_type="mac")),
        token("type-number", "a number as `token_type`", merge(token_type=7)),
        token("type-lower", "`token_type` `bearer`", merge(token_type="bearer"), TOKEN),
        token("scope-list", "a list as `scope`", merge(scope=["read"]), TOKEN),
    ],
    "Lifetimes": [
        token(f"life-{name}", f"`expires_in` {json.dumps(value)}", merge(expires_in=value), TOKEN)
        for name, value in {
            "zero": 0, "negative": -1, "text": "3600", "word": "soon", "fraction": 0.5, "huge": 1e300, "int64": 2**63,
            "true": True, "list": [], "object": {},
        }.items()
    ]
    + [token("life-none", "no `expires_in`", merge(expires_in=None), TOKEN)],
    "Discovery": [
        discovery("404", "404", http(404)),
        discovery("500", "500", http(500), FAILED),
        discovery("401", "401", http(401)),
        discovery("302", "302 to another URL", http(302, location="elsewhere")),
        discovery("loop", "302 to itself", http(302, location="openid-configuration")),
        discovery("429", "429 with `Retry-After: 7`", http(429, retry_after="7"), busy(7), 7),
        discovery("hang", "no response", raw(End.HANG), LATE, FETCH + BACK_OFF),
        discovery("slow", "a byte every 50 ms", slowly(0.05), LATE, FETCH + BACK_OFF),
        discovery("close", "the connection closes without a response", raw(End.CLOSE), FAILED),
        discovery("reset", "the connection is reset without a response", raw(End.RESET), FAILED),
        discovery("half", "the connection closes in the body", framed(lambda data: [head(200, JSON, ("Content-Length", str(len(data)))) + data[:20], End.CLOSE]), FAILED),
        discovery("html", "a page of HTML", http(200, "<html></html>")),
        discovery("empty", "an empty body", http(200)),
        discovery("array", "a JSON array", http(200, "[]")),
        discovery("deep", "JSON of 10,000 levels", http(200, "[" * 10_000)),
        discovery("long", "more than 1 MiB", body(lambda data: data + b" " * 1024 * 1024)),
        discovery("endless", "a body without an end", endless(head(200, JSON), b" " * 65_536)),
        discovery("other-issuer", "another issuer", merge(issuer="https://other.example/")),
        discovery("no-issuer", "no `issuer`", merge(issuer=None)),
        discovery("issuer-number", "a number as `issuer`", merge(issuer=7)),
        discovery("issuer-twice", "`issuer` twice", body(lambda data: b'{"issuer": "https://other.example", ' + data[1:])),
        rediscovered("no-endpoint", "no `token_endpoint`", merge(token_endpoint=None)),
        discovery("endpoint-http", "an `http` token endpoint elsewhere", merge(token_endpoint="http://idp.example/token")),
        discovery("endpoint-relative", "a relative token endpoint", merge(token_endpoint="/token")),
        discovery("endpoint-file", "a `file` URL as token endpoint", merge(token_endpoint="file:///etc/passwd")),
        discovery("endpoint-user", "a token endpoint with a user name", merge(token_endpoint="https://user:pass@idp.example/token")),
        discovery("endpoint-number", "a number as token endpoint", merge(token_endpoint=7)),
        rediscovered("endpoint-metadata", "a cloud's metadata service as token endpoint", merge(token_endpoint="https://169.254.169.254/token"), UNREACHABLE, PAUSE),
        rediscovered("endpoint-dead", "a token endpoint that refuses connections", merge(token_endpoint="http://127.0.0.1:1/token"), UNREACHABLE, PAUSE),
        rediscovered("no-jwks", "no `jwks_uri`, beside signed tokens", merge(jwks_uri=None), UNVERIFIABLE, 2 * BACK_OFF - REDISCOVERY, forge=signed),
        discovery("methods-text", "a text as list of methods", merge(token_endpoint_auth_methods_supported="client_secret_post")),
        discovery("methods-none", "methods without any that has a secret", merge(token_endpoint_auth_methods_supported=["private_key_jwt"]), TOKEN),
        discovery("jwks-http", "an `http` `jwks_uri` elsewhere", merge(jwks_uri="http://idp.example/jwks")),
    ],
    "Keys": [
        jwks("500", "500", http(500), FAILED),
        jwks("404", "404", http(404), INVALID),
        jwks("302", "302 to another URL", http(302, location="elsewhere"), INVALID),
        jwks("429", "429 with `Retry-After: 7`", http(429, retry_after="7"), busy(7), 7),
        jwks("hang", "no response", raw(End.HANG), LATE, FETCH + BACK_OFF),
        jwks("close", "the connection closes without a response", raw(End.CLOSE), FAILED),
        jwks("html", "a page of HTML", http(200, "<html></html>"), INVALID),
        jwks("long", "more than 1 MiB", body(lambda data: data + b" " * 1024 * 1024), INVALID),
        jwks("no-member", "no `keys`", http(200, "{}"), INVALID),
        jwks("keys-text", "a text as `keys`", http(200, '{"keys": "all"}'), INVALID),
        jwks("empty", "no keys", keys_of(), UNVERIFIABLE),
        jwks("unknown-kid", "keys, but not the one of the token's `kid`", keys_of(OTHER_KEY), UNVERIFIABLE),
        jwks("other-type", "a key of another type under the token's `kid`", keys_of(OTHER_KEY | {"kid": OUR_KEY["kid"]}), UNVERIFIABLE),
        jwks("symmetric", "a symmetric key under the token's `kid`", keys_of({"kty": "oct", "k": "c2VjcmV0", "kid": OUR_KEY["kid"]}), UNVERIFIABLE),
        jwks("encryption", "a key for encryption under the token's `kid`", keys_of(OUR_KEY | {"use": "enc"}), UNVERIFIABLE),
        jwks("other-algorithm", "a key for another algorithm under the token's `kid`", keys_of(OUR_KEY | {"alg": "ES384"}), UNVERIFIABLE),
        jwks("broken-key", "a key that is no point of its curve", keys_of(OUR_KEY | {"x": OUR_KEY["y"]}), UNVERIFIABLE),
        jwks("two", "two keys with the same `kid`, the second is right", keys_of(keys.public("p384", kid=OUR_KEY["kid"]), OUR_KEY), TOKEN),
        jwks("one-broken", "an unreadable key beside the right one", keys_of({"kty": "EC", "crv": "P-256"}, OUR_KEY), TOKEN),
        jwks("many", "the right key after 99 others", keys_of(*(keys.public("ed25519", kid=str(number)) for number in range(99)), OUR_KEY), TOKEN),
        jwks("too-many", "the right key after 100 others", keys_of(*(keys.public("ed25519", kid=str(number)) for number in range(100)), OUR_KEY), UNVERIFIABLE),
    ],
    "Signed tokens": [
        forged("changed", "claims that were not signed", changed),
        forged("none", "algorithm `none`", lambda claims, *_: jwt.encode(claims, None, "none")),
        forged("hs256", "HS256 with the public key as secret", by_public_key),
        forged("other-key", "another key's signature under a known `kid`", lambda claims, _, kid: jwt.encode(claims, ANOTHER, "ES256", {"kid": kid})),
        forged("kid", "an unknown `kid`", header(kid="unknown")),
        forged("crit", "an unknown critical header", header(crit=["exp2"], exp2=1)),
        forged("expired", "a token that has expired", claims(exp=1_600_000_000)),
        forged("future", "a token that is not valid yet", claims(nbf=4_000_000_000)),
        forged("other-issuer", "a token of another issuer", claims(iss="https://other.example")),
        forged("no-issuer", "a token without an issuer", claims(iss=None)),
        forged("exp-text", "a text as `exp`", claims(exp="tomorrow")),
    ],
}

FAULTS = [fault for faults in SECTIONS.values() for fault in faults]
assert len({fault.name for fault in FAULTS}) == len(FAULTS), "names are unique"
