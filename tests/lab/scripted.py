"""A provider that misbehaves on request: discovery and a token endpoint whose every answer a test can script.

    scripted.py PORT [CERT KEY]

Unscripted, it grants every client a token that names it, and refuses secrets that begin with "wrong". A scripted refusal
is for those secrets only. A token is active unless it begins with "wrong"; its client is the rest after "token-of-".

    POST /_control/script   {"endpoint": "token", "refusal", "discovery", "jwks" or "introspection", "times": N or null
                             for ever, any of "status", "headers" (an object), "body" (text) or "json", "repeat" (the body, N times),
                             "hang_up" (true), "pause" (seconds before each byte)}
                            "merge" (an object) changes members of the usual answer; null removes one.
    POST /_control/hold     token requests wait ...
    POST /_control/release  ... until here
    POST /_control/accept   {"secret"}: every other secret is refused from now on
    POST /_control/reset    forget scripts and counts, release everybody
    GET  /_control/state    {"token", "discovery", "introspection", "waiting", "by_client", "last", "introspected"}: counts,
                            the last token request and the last introspection request
"""

import asyncio
import base64
import json
import ssl
import sys
from collections import Counter
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from wire import Request, Response, serve


class Scripted:
    """State of the provider; one per process."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.waiting = 0
        self.open = asyncio.Event()
        self.reset()

    def reset(self) -> None:
        self.scripts: dict[str, list[dict[str, Any]]] = {
            "token": [],
            "refusal": [],
            "discovery": [],
            "jwks": [],
            "introspection": [],
        }
        self.counts = {"token": 0, "discovery": 0, "introspection": 0}
        self.by_client: Counter[str] = Counter()
        self.last: dict[str, Any] | None = None
        self.introspected: dict[str, Any] | None = None
        self.accepted: str | None = None
        self.open.set()

    async def answer(self, request: Request) -> Response:
        path = request.target.split("?")[0]
        if path.startswith("/_control/"):
            return self.control(path.removeprefix("/_control/"), request)
        if path == "/token":
            return await self.token(request)
        if path in ("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"):
            self.counts["discovery"] += 1
            return self.scripted("discovery", self.metadata())
        if path == "/introspect":
            return self.introspection(request)
        if path == "/jwks":
            return self.scripted("jwks", {"keys": []})
        return Response.json({"error": "not_found"}, 404)

    def control(self, command: str, request: Request) -> Response:
        match command:
            case "script":
                script = json.loads(request.body)
                self.scripts[script.pop("endpoint")].append(script)
            case "accept":
                self.accepted = json.loads(request.body)["secret"]
            case "hold":
                self.open.clear()
            case "release":
                self.open.set()
            case "reset":
                self.reset()
        state = {"waiting": self.waiting, "by_client": self.by_client, "last": self.last, "introspected": self.introspected}
        return Response.json({**self.counts, **state})

    def metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "introspection_endpoint": f"{self.issuer}/introspect",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
            "grant_types_supported": ["client_credentials"],
        }

    async def token(self, request: Request) -> Response:
        self.counts["token"] += 1
        form = dict(parse_qsl(request.body.decode("latin-1"), keep_blank_values=True))
        self.last = {"line": request.line, "headers": request.headers, "form": form}
        self.waiting += 1
        try:
            await self.open.wait()
        finally:
            self.waiting -= 1
        client, secret = _credentials(request, form)
        self.by_client[client] += 1
        if secret.startswith("wrong") and self.scripts["refusal"]:
            return self.scripted("refusal", {})
        is_wrong = secret.startswith("wrong") or self.accepted not in (None, secret)
        if is_wrong and not self.scripts["token"]:
            return Response.json({"error": "invalid_client", "error_description": "client authentication failed"}, 401)
        usual = {"access_token": f"token-of-{client}", "token_type": "Bearer", "expires_in": 3600}
        return self.scripted("token", usual)

    def introspection(self, request: Request) -> Response:
        self.counts["introspection"] += 1
        form = dict(parse_qsl(request.body.decode("latin-1"), keep_blank_values=True))
        self.introspected = {"line": request.line, "headers": request.headers, "form": form}
        token = form.get("token", "")
        usual: dict[str, Any] = {"active": not token.startswith("wrong")}
        if usual["active"]:
            usual |= {"client_id": token.removeprefix("token-of-"), "iss": self.issuer, "scope": "read"}
        return self.scripted("introspection", usual)

    def scripted(self, endpoint: str, usual: dict[str, Any]) -> Response:
        scripts = self.scripts[endpoint]
        if not scripts:
            return Response.json(usual)
        script = scripts[0]
        if script.get("times") is not None:
            script["times"] -= 1
            if script["times"] <= 0:
                scripts.pop(0)
        value = script.get("json", {**usual, **script.get("merge", {})})
        if "merge" in script:
            value = {name: member for name, member in value.items() if member is not None}
        body = script.get("body", json.dumps(value)) * script.get("repeat", 1)
        headers = {"content-type": "application/json", **script.get("headers", {})}
        return Response(
            script.get("status", 200),
            list(headers.items()),
            body.encode(),
            script.get("hang_up", False),
            script.get("pause", 0.0),
        )


def _credentials(request: Request, form: dict[str, str]) -> tuple[str, str]:
    scheme, _, pair = (request.header("authorization") or "").partition(" ")
    if scheme.lower() == "basic":
        client, _, secret = base64.b64decode(pair).decode().partition(":")
        return unquote_plus(client), unquote_plus(secret)
    return form.get("client_id", ""), form.get("client_secret", "")


async def main(port: int, cert: str | None = None, key: str | None = None) -> None:
    context = None
    if cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
    scheme = "https" if cert else "http"
    await serve(Scripted(f"{scheme}://127.0.0.1:{port}").answer, port, context)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), *sys.argv[2:]))
