"""A provider of another project: started once, set up over its admin API, stopped and started again by tests."""

import http.client
import json
import signal
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Self

import jwt

from support.http import JSON, Client, ask
from support.nginx import AUDIENCE
from support.process import ROOT, Service, until

TARGET = ROOT / "target"
WELL_KNOWN = "/.well-known/openid-configuration"

_numbers = count(1)


class RealProvider(Service, ABC):
    """One provider. Each test registers clients of its own, so that none depends on what others did."""

    name: str
    directory: Path
    issuer: str
    seconds_to_start: float

    def start(self, seconds: float = 0) -> Self:
        """Starts the provider. The error contains the end of its log if it is not ready in time."""
        if not (self.directory / "installed").exists():
            raise RuntimeError(f"{self.name} is not installed in {self.directory}: run `tests/run.sh providers`")
        self.prepare()
        seconds = seconds or self.seconds_to_start
        try:
            return super().start(seconds)
        except (RuntimeError, TimeoutError) as error:
            why = f"not ready after {seconds:g} s" if isinstance(error, TimeoutError) else "it ended at once"
            raise RuntimeError(f"{self.name} did not start: {why}. The end of {self.log}:\n{self.tail()}") from None

    def prepare(self) -> None:
        """Does what must be done before a start."""

    def tail(self, lines: int = 30) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def ready(self) -> bool:
        try:
            return self.healthy()
        except (OSError, http.client.HTTPException):
            return False

    @contextmanager
    def outage(self, number: int) -> Iterator[None]:
        """A time without the provider: killed by SIGKILL, or frozen by SIGSTOP. Afterwards it is ready again."""
        self.kill(number)
        if number == signal.SIGKILL:
            self.wait()
        try:
            yield
        finally:
            self.revive()

    def revive(self) -> None:
        """Ends an outage, if there is one."""
        if self.exited:
            self.start()
        else:
            self.kill(signal.SIGCONT)
            until(self.ready, f"{self.name} to continue", self.seconds_to_start)

    def stop(self, number: int = signal.SIGTERM, seconds: float = 20) -> None:
        self.kill(signal.SIGCONT)
        super().stop(number, seconds)

    def new_client(self) -> Client:
        """A client that is not registered yet. Its secret contains characters that each encoding changes."""
        return Client(f"machine-{next(_numbers)}", "Kanarie7Qz+/%&=:?#x")

    def metadata(self) -> Any:
        return fetched(self.issuer + WELL_KNOWN)

    def verified(self, token: str) -> dict[str, Any]:
        """The claims of a token, checked against the provider's keys by another implementation."""
        keys = jwt.PyJWKSet.from_dict(fetched(self.metadata()["jwks_uri"]))
        key = keys[jwt.get_unverified_header(token)["kid"]]
        return jwt.decode(token, key, algorithms=["RS256", "ES256"], issuer=self.issuer, options={"verify_aud": False})

    @abstractmethod
    def healthy(self) -> bool:
        """Is the provider ready for requests?"""

    @abstractmethod
    def register(
        self, *, audiences: Sequence[str] = (AUDIENCE,), scopes: Sequence[str] = ("openid",), roles: Sequence[str] = ()
    ) -> Client:
        """A new client that may have tokens for these audiences, with these scopes and these roles."""

    @abstractmethod
    def token_requests(self) -> int:
        """The number of token requests that the provider has received."""

    @abstractmethod
    def rotate(self) -> None:
        """Adds a key, with which the provider signs from now on."""


class Exchanges:
    """The token requests that a provider receives from now on."""

    def __init__(self, provider: RealProvider):
        self._provider = provider
        self._before = provider.token_requests()

    @property
    def count(self) -> int:
        return self._provider.token_requests() - self._before


def fetched(url: str) -> Any:
    """A JSON document of a provider on loopback."""
    port, _, path = url.removeprefix("http://127.0.0.1:").partition("/")
    answer = ask(int(port), f"/{path}")
    assert answer.status == 200, answer
    return answer.json()


def called(port: int, target: str, method: str, value: Any, headers: dict[str, str]) -> tuple[Any, str]:
    """Calls an admin API. Returns the response's document, if there is one, and the path of a created object."""
    body = None if value is None else json.dumps(value)
    answer = ask(port, target, method=method, headers={**headers, **JSON}, body=body)
    assert 200 <= answer.status < 300, f"{method} {target}: {answer}"
    return (answer.json() if answer.body else None), answer.header("Location") or ""
