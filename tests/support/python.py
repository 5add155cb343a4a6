"""Gates of the laboratory's providers, and Python programs in their own process."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import credgate

if TYPE_CHECKING:
    from _pytest.logging import LogCaptureFixture

    from support.http import Client
    from support.lab import Provider, Scripted

AUDIENCE = "https://example.com/"


def gate(issuer: str, **settings: Any) -> credgate.Gate:
    """A gate of a provider, for AUDIENCE."""
    return credgate.Gate(issuer=issuer, audience=AUDIENCE, allow_loopback_http=True, **settings)


def fresh_gate(issuer: str, **settings: Any) -> credgate.Gate:
    """A gate that shares no token with any other."""
    return gate(issuer, cache_tokens_salt=uuid4().hex, **settings)


def denials_are_logged(
    logger: str, serve: Callable[..., Any], client: Client, providers: tuple[Provider, Scripted], caplog: LogCaptureFixture
) -> None:
    """Asserts that a middleware logs the reason of a denial, and leaves the outcome to the server."""
    provider, scripted = providers
    caplog.set_level("INFO", logger)
    served = serve(fresh_gate(provider.issuer), target=f"/?{client.wrong().parameters}")
    outcome = served.server["credgate.outcome"]
    assert (outcome.allowed, outcome.cause, outcome.http_status) == (False, "credentials_refused", 401)
    scripted.script(status=500, times=None)
    assert serve(fresh_gate(scripted.issuer), headers=client.basic).server["credgate.outcome"].http_status == 502
    assert "credgate.outcome" not in serve(fresh_gate(provider.issuer), headers=client.basic).server
    records = [record for record in caplog.records if record.name == logger]
    assert [record.levelname for record in records] == ["INFO", "WARNING"]
    refused, failed = (record.getMessage() for record in records)
    assert refused == f"denied with 401: credentials_refused: {outcome.detail}" and outcome.detail
    assert failed.startswith("denied with 502: provider_failed: ")
    assert client.traces(refused, failed) == client.wrong().traces(refused, failed) == []


class Watched:
    """Wraps a gate and reports calls of `note_upstream_status`: a real gate drops a token only after ten seconds."""

    def __init__(self, inner: Any, on_status: Callable[[int], object]):
        self.inner = inner
        self.note_upstream_status = on_status

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def authenticate(self, **request: Any) -> "Watched":
        return Watched(self.inner.authenticate(**request), self.note_upstream_status)

    async def authenticate_async(self, **request: Any) -> "Watched":
        return Watched(await self.inner.authenticate_async(**request), self.note_upstream_status)

    def token(self, *client: Any) -> "Watched":
        return Watched(self.inner.token(*client), self.note_upstream_status)

    async def token_async(self, *client: Any) -> "Watched":
        return Watched(await self.inner.token_async(*client), self.note_upstream_status)


UNVERIFIED = {"verify_signature": False, "verify_claims": False}


def unsigned(**claims: Any) -> dict[str, Any]:
    """A token response with an unsigned JWT, for gates with the settings UNVERIFIED."""
    part = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return {"access_token": f"e30.{part}.c2ln", "token_type": "Bearer", "expires_in": 60}


PRELUDE = """
import sys
import logging
logging.disable()
import credgate
gate = credgate.Gate(issuer=sys.argv[1], allow_loopback_http=True, timeout=60000)
"""


class Program:
    """A Python program in which `gate` is a gate of `issuer`. Warnings are errors."""

    def __init__(self, issuer: str, text: str, *options: str):
        command = [sys.executable, "-W", "error", "-X", "dev", *options, "-c", PRELUDE + dedent(text), issuer]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def line(self) -> str:
        """Returns the next line of its output."""
        assert self.process.stdout
        return self.process.stdout.readline().rstrip("\n")

    def end(self, seconds: float = 60) -> tuple[int, str, str]:
        """Waits for the end; returns the exit status and the rest of stdout and stderr."""
        try:
            out, err = self.process.communicate(timeout=seconds)
        finally:
            self.process.kill()
        return self.process.returncode, out, err


def run(issuer: str, text: str, *options: str) -> str:
    """Returns the output of a program that must exit with status 0 and an empty stderr."""
    status, out, err = Program(issuer, text, *options).end()
    assert (status, err) == (0, ""), (status, out, err)
    return out


def descriptors() -> int:
    """Returns the number of open descriptors of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


def library_threads() -> int:
    """Returns the number of threads of the library in this process."""
    names = (path.read_text() for path in Path("/proc/self/task").glob("*/comm"))
    return sum(name.startswith("credgate-") for name in names)
