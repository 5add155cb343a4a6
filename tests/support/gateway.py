"""Credgate in nginx and in Python, with the same settings and the same view of a decision."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import jwt

from support.http import Client, ask
from support.lab import Upstream, bearer
from support.nginx import AUDIENCE, STATUS, Nginx, location

REPORTED = (STATUS, "add_header X-Credgate-Cause $credgate_cause always")


@dataclass(frozen=True)
class Decision:
    """The outcome of one request. `token` is the one that the upstream gets."""

    http_status: int
    cache_status: str
    cause: str | None = None
    token: str | None = None
    retry_after: int | None = None

    @property
    def claims(self) -> dict[str, Any]:
        assert self.token, self
        return jwt.decode(self.token, options={"verify_signature": False})

    @property
    def kid(self) -> str:
        assert self.token, self
        return str(jwt.get_unverified_header(self.token)["kid"])

    @property
    def scopes(self) -> list[str]:
        """The scopes of the token, which is a text in `scope` or a list in `scp`."""
        claims = self.claims
        return list(claims["scp"]) if "scp" in claims else str(claims["scope"]).split()


class Gateway(Protocol):
    def ask(self, client: Client, source: str = "header") -> Decision:
        """Sends one request with the client's credentials."""


Start = Callable[..., Gateway]


def four_settings(issuer: str, **more: Any) -> dict[str, Any]:
    """The four settings of the documentation, for a provider on loopback, and `more`."""
    return {
        "auth_methods": ["client_credentials"],
        "issuer": issuer,
        "token_post_args_names": ["audience"],
        "token_post_args_values": [AUDIENCE],
        "allow_loopback_http": True,
        **more,
    }


class NginxGateway:
    """One gate in nginx, in front of an upstream that shows what it receives."""

    def __init__(self, start: Callable[..., Nginx], directory: Path, upstream: Upstream, settings: dict[str, Any]):
        file = directory / "gate.json"
        file.write_text(json.dumps(settings))
        directives = ("credgate on", f"credgate_config {file}", *REPORTED, f"proxy_pass {upstream.url}")
        self.server = start(location("/", *directives))

    def ask(self, client: Client, source: str = "header") -> Decision:
        answer = ask(self.server.port, **client.request(source, "/orders"))
        cache_status = answer.header("X-Credgate-Status") or ""
        if answer.status == 200:
            seen = answer.json()
            assert client.traces(seen["raw"]) == []
            return Decision(200, cache_status, token=bearer(seen))
        retry_after = answer.header("Retry-After")
        return Decision(
            answer.status,
            cache_status,
            cause=answer.header("X-Credgate-Cause"),
            retry_after=int(retry_after) if retry_after else None,
        )


class PythonGateway:
    """One gate in this process."""

    def __init__(self, settings: dict[str, Any]):
        import credgate

        self.gate = credgate.Gate(settings)

    def ask(self, client: Client, source: str = "header") -> Decision:
        request = client.request(source, "/orders")
        headers = request.get("headers", {})
        outcome = self.gate.authenticate(
            method=request.get("method", "GET"),
            query=request["target"].partition("?")[2],
            authorization=headers.get("Authorization"),
            content_type=headers.get("Content-Type"),
            body=request.get("body"),
        )
        if outcome.allowed:
            return Decision(200, outcome.cache_status, token=outcome.access_token)
        return Decision(outcome.http_status, outcome.cache_status, cause=outcome.cause, retry_after=outcome.retry_after)
