"""The parts of the laboratory: a certified provider, a scripted one, an upstream, a certificate authority."""

import json
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from support import keys
from support.http import FORM, Client, ask
from support.keys import KEYS
from support.process import LAB, Service, free_port


@dataclass(frozen=True)
class Authority:
    """A private certificate authority, with a certificate for 127.0.0.1 and localhost."""

    ca: Path
    cert: Path
    key: Path

    @classmethod
    def create(cls, directory: Path) -> "Authority":
        directory.mkdir(parents=True, exist_ok=True)
        subprocess.run([LAB / "certs.sh", directory], check=True, timeout=60, stdout=subprocess.DEVNULL)
        return cls(directory / "ca.pem", directory / "server.pem", directory / "server.key")

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca))


class Part(Service):
    """A service with control endpoints."""

    tls: Authority | None = None

    def control(self, target: str, method: str = "GET", value: Any = None) -> Any:
        context = self.tls.context() if self.tls else None
        body = None if value is None else json.dumps(value)
        answer = ask(self.port, target, tls=context, method=method, body=body)
        assert answer.status == 200, answer
        return answer.json()

    @property
    def issuer(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"


class Provider(Part):
    """The certified provider. `method` of a client is client_secret_post unless `methods` says otherwise. Clients with
    keys are always registered (see support/keys.py)."""

    def __init__(
        self,
        clients: Sequence[Client],
        log: Path,
        *,
        tls: Authority | None = None,
        port: int | None = None,
        methods: dict[str, str] | None = None,
    ):
        port = port or free_port()
        self.tls = tls
        known: list[dict[str, Any]] = [
            {"id": client.id, "secret": client.secret, "method": (methods or {}).get(client.id, "client_secret_post")}
            for client in clients
        ]
        known += keys.clients(tls=tls is not None)
        # More clients than fit in an environment, and not beside the logs, which hold no secret.
        self._private = tempfile.TemporaryDirectory(prefix="credgate-lab-")
        file = Path(self._private.name) / "clients.json"
        file.write_text(json.dumps(known))
        env = {"PORT": str(port), "CLIENTS_FILE": str(file), "NODE_NO_WARNINGS": "1"}
        if tls:
            mutual = {"MTLS_PORT": str(free_port()), "CLIENT_CA": str(KEYS / "rsa.cert.pem")}
            env |= {"CERT": str(tls.cert), "KEY": str(tls.key), **mutual}
        # The minimum of threads: with more, Node 20 sometimes deadlocks at startup, all of
        # them waiting for one another.
        env["UV_THREADPOOL_SIZE"] = "1"
        node = ["node", "--single-threaded", "--v8-pool-size=1"]
        super().__init__([*node, LAB / "provider.mjs"], log, port=port, env=env)

    def start(self, seconds: float = 30, attempts: int = 4) -> Self:
        """Starts the provider, and again after a startup deadlock, which is rare with few threads but possible."""
        for _ in range(attempts - 1):
            with suppress(TimeoutError):
                return super().start(seconds)
        return super().start(seconds)

    @property
    def count(self) -> Any:
        """{"token", "introspection", "by_client", "refused"}: token requests in total, introspections, token requests by
        client, and refused."""
        count = self.control("/_count")
        del count["handshakes"]
        return count

    @property
    def handshakes(self) -> int:
        """TLS handshakes, that of this question included."""
        return int(self.control("/_count")["handshakes"])

    def reset(self) -> None:
        self.control("/_reset", "POST")

    def jwks(self) -> Any:
        return self.control("/jwks")


class Scripted(Part):
    """The provider that misbehaves on request."""

    def __init__(self, log: Path, *, tls: Authority | None = None, port: int | None = None):
        self.tls = tls
        port = port or free_port()
        keys = [tls.cert, tls.key] if tls else []
        super().__init__([sys.executable, LAB / "scripted.py", str(port), *keys], log, port=port)

    @property
    def state(self) -> Any:
        """{"token", "discovery", "introspection", "waiting", …}, see lab/scripted.py."""
        return self.control("/_control/state")

    def script(self, endpoint: str = "token", **answer: Any) -> None:
        self.control("/_control/script", "POST", {"endpoint": endpoint, **answer})

    def accept(self, secret: str) -> None:
        self.control("/_control/accept", "POST", {"secret": secret})

    def hold(self) -> None:
        self.control("/_control/hold", "POST")

    def release(self) -> None:
        self.control("/_control/release", "POST")

    def reset(self) -> None:
        self.control("/_control/reset", "POST")


class Upstream(Part):
    """The upstream behind the gateway, which records the requests that reach it."""

    def __init__(self, log: Path):
        port = free_port()
        super().__init__([sys.executable, LAB / "upstream.py", str(port)], log, port=port)

    @property
    def seen(self) -> Any:
        """All requests: {"line", "headers", "body", "raw"} each."""
        return self.control("/_seen")

    @property
    def last(self) -> Any:
        return self.control("/_last")

    def reset(self) -> None:
        self.control("/_reset", "POST")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def bearer(seen: dict[str, Any]) -> str:
    """The token that reached the upstream, in its only Authorization header."""
    values = values_of(seen, "authorization")
    assert len(values) == 1 and values[0].startswith("Bearer "), values
    return str(values[0]).removeprefix("Bearer ")


def values_of(seen: dict[str, Any], header: str) -> list[str]:
    """The values that reached the upstream under a header name, in any spelling of the name."""
    return [value for name, value in seen["headers"] if name.lower() == header]


def opaque(provider: Provider, client: Client) -> str:
    """An opaque token of the certified provider: one without an audience."""
    body = f"grant_type=client_credentials&scope=openid&{client.parameters}"
    context = provider.tls.context() if provider.tls else None
    answer = ask(provider.port, "/token", tls=context, method="POST", headers=FORM, body=body)
    assert answer.status == 200, answer
    return str(answer.json()["access_token"])


FAULTS = ("provider-down", "provider-nonsense", "timeout", "upstream-down")


def break_down(fault: str, scripted: Scripted, upstream: Upstream, secret: str) -> tuple[str, str]:
    """An issuer and an upstream with one of FAULTS; nonsense repeats the secret."""
    issuer, backend = scripted.issuer, upstream.url
    match fault:
        case "provider-down":
            issuer = f"http://127.0.0.1:{free_port()}"
        case "provider-nonsense":
            scripted.script(body=f"nonsense {secret}")
        case "timeout":
            scripted.hold()
        case "upstream-down":
            backend = f"http://127.0.0.1:{free_port()}"
    return issuer, backend
