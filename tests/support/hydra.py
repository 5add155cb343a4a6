"""Ory Hydra, with a database of its own and JWTs as access tokens."""

import json
from collections.abc import Sequence
from pathlib import Path

from support.http import Client, ask
from support.nginx import AUDIENCE
from support.process import free_port, run
from support.real_provider import TARGET, RealProvider, called


class Hydra(RealProvider):
    """Each client has one auth method, and may have no other audience or scope than it is registered for."""

    name = "Ory Hydra"
    directory = TARGET / "hydra"
    seconds_to_start = 60

    def __init__(self, data: Path):
        self.program = self.directory / "hydra"
        port, self.admin_port = free_port(), free_port()
        self.issuer = f"http://127.0.0.1:{port}"
        self.configuration = data / "hydra.json"
        self.database = data / "hydra.db"
        self.dsn = f"sqlite://{self.database}?_fk=true"
        settings = {
            "dsn": self.dsn,
            "log": {"level": "info", "format": "json"},
            "serve": {
                "public": {"host": "127.0.0.1", "port": port},
                "admin": {"host": "127.0.0.1", "port": self.admin_port},
            },
            "urls": {"self": {"issuer": self.issuer}},
            "strategies": {"access_token": "jwt"},
            "secrets": {"system": ["a secret for tests on loopback"]},
            # Without reports of use to its makers: all traffic stays on loopback.
            "sqa": {"opt_out": True},
        }
        self.configuration.write_text(json.dumps(settings))
        command: list[str | Path] = [self.program, "serve", "all", "--dev", "--config", self.configuration]
        super().__init__(command, data / "hydra.log", port=port)

    def prepare(self) -> None:
        if not self.database.exists():
            run(self.program, "migrate", "sql", "--yes", "--config", self.configuration, self.dsn)

    def healthy(self) -> bool:
        # Hydra makes its RSA keys when they are first used, which takes seconds: with the key set, before any test.
        targets = [(self.port, "/health/ready"), (self.admin_port, "/health/ready"), (self.port, "/.well-known/jwks.json")]
        return all(ask(port, target).status == 200 for port, target in targets)

    def register(
        self,
        *,
        audiences: Sequence[str] = (AUDIENCE,),
        scopes: Sequence[str] = ("openid",),
        roles: Sequence[str] = (),
        auth_method: str = "client_secret_post",
        access_tokens: str = "jwt",
    ) -> Client:
        assert not roles, "Hydra has no roles"
        client = self.new_client()
        description = {
            "client_id": client.id,
            "client_secret": client.secret,
            "grant_types": ["client_credentials"],
            "audience": list(audiences),
            "scope": " ".join(scopes),
            "token_endpoint_auth_method": auth_method,
            "access_token_strategy": access_tokens,
        }
        called(self.admin_port, "/admin/clients", "POST", description, {})
        return client

    @property
    def introspection_endpoint(self) -> str:
        """Of the admin API, which requires no authentication."""
        return f"http://127.0.0.1:{self.admin_port}/admin/oauth2/introspect"

    def token_requests(self) -> int:
        """Counts in the request log, which Hydra writes before it handles a request."""
        count = 0
        for line in self.log.read_text(errors="replace").splitlines():
            if "started handling request" in line:
                request = json.loads(line)["http_request"]
                count += (request["method"], request["path"]) == ("POST", "/oauth2/token")
        return count

    def rotate(self) -> None:
        key = {"alg": "ES256", "use": "sig", "kid": ""}
        called(self.admin_port, "/admin/keys/hydra.jwt.access-token", "POST", key, {})
