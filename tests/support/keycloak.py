"""Keycloak, with one realm in a database of its own."""

import json
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from support.http import FORM, Client, ask
from support.keys import KEYS, SUBJECT, public
from support.lab import Authority
from support.nginx import AUDIENCE
from support.process import free_port
from support.real_provider import TARGET, RealProvider, called

ADMIN = "admin"
REALM = "machines"
# The kinds of event that are a token request of this grant.
LOGINS = ("CLIENT_LOGIN", "CLIENT_LOGIN_ERROR")
# A client gets these without a request: Keycloak's own, which a client with scopes of its own must name.
DEFAULT_SCOPES = ("acr", "basic", "email", "profile", "roles", "web-origins")
SCOPES = ("api:read", "api:write")
ROLES = ("reader", "writer")


# The certificate in a client's connection, by its subject.
BY_CERTIFICATE = {"clientAuthenticatorType": "client-x509", "attributes": {"x509.subjectdn": SUBJECT}}


def by_key(jwk: str) -> dict[str, Any]:
    """An assertion, signed with this key."""
    attributes = {"use.jwks.string": "true", "jwks.string": json.dumps({"keys": [public(jwk, use="sig")]})}
    return {"clientAuthenticatorType": "client-jwt", "attributes": attributes}


class Keycloak(RealProvider):
    """Clients may use Basic and the form alike. The `audience` argument has no effect: mappers set audiences."""

    name = "Keycloak"
    directory = TARGET / "keycloak"
    seconds_to_start = 150

    def __init__(self, data: Path, authority: Authority):
        port, self.management_port, https_port = free_port(), free_port(), free_port()
        self.issuer = f"http://127.0.0.1:{port}/realms/{REALM}"
        # The same realm, where clients may present certificates: Keycloak takes its issuer from the request.
        self.tls_issuer = f"https://127.0.0.1:{https_port}/realms/{REALM}"
        # Without a write delay, each change is on disk when its request ends, and survives SIGKILL.
        options = {
            "cache": "local",
            "db-url": f"jdbc:h2:file:{data}/keycloak;NON_KEYWORDS=VALUE;WRITE_DELAY=0",
            "hostname-strict": "false",
            "http-enabled": "true",
            "http-host": "127.0.0.1",
            "http-management-port": self.management_port,
            "http-port": port,
            "https-certificate-file": authority.cert,
            "https-certificate-key-file": authority.key,
            "https-port": https_port,
            "https-trust-store-file": KEYS / "rsa.cert.pem",
            "https-trust-store-type": "PEM",
        }
        command: list[str | Path] = [self.directory / "bin/kc.sh", "start", "--optimized"]
        command += [f"--{name}={value}" for name, value in options.items()]
        env = {
            "KC_BOOTSTRAP_ADMIN_USERNAME": ADMIN,
            "KC_BOOTSTRAP_ADMIN_PASSWORD": ADMIN,
            "JAVA_OPTS_KC_HEAP": "-Xms128m -Xmx700m",
            # The start is most of the work: code is compiled once, and quickly.
            "JAVA_OPTS_APPEND": "-XX:TieredStopAtLevel=1",
        }
        self._authority = authority
        self._priorities = count(200)
        super().__init__(command, data / "keycloak.log", port=port, env=env)

    def healthy(self) -> bool:
        # Its scheme is https where the server has a certificate.
        answer = ask(self.management_port, "/health/ready", tls=self._authority.context())
        return answer.status == 200 and answer.json()["status"] == "UP"

    def set_up(self) -> None:
        """Makes the realm, its scopes and its roles."""
        scopes = [
            {"name": scope, "protocol": "openid-connect", "attributes": {"include.in.token.scope": "true"}}
            for scope in SCOPES
        ]
        realm = {"realm": REALM, "enabled": True, "eventsEnabled": True, "enabledEventTypes": LOGINS}
        self._admin("/admin/realms", "POST", realm)
        for scope in scopes:
            self._admin(f"/admin/realms/{REALM}/client-scopes", "POST", scope)
        for role in ROLES:
            self._admin(f"/admin/realms/{REALM}/roles", "POST", {"name": role})

    def register(
        self,
        *,
        audiences: Sequence[str] = (AUDIENCE,),
        scopes: Sequence[str] = ("openid",),
        roles: Sequence[str] = (),
        service_account: bool = True,
        proof: dict[str, Any] | None = None,
    ) -> Client:
        """`proof` takes the place of the secret: `by_key` or `BY_CERTIFICATE`."""
        client = self.new_client()
        mappers = [
            {
                "name": audience,
                "protocol": "openid-connect",
                "protocolMapper": "oidc-audience-mapper",
                "config": {"included.custom.audience": audience, "access.token.claim": "true"},
            }
            for audience in audiences
        ]
        description = {
            "clientId": client.id,
            **(proof or {"secret": client.secret}),
            "serviceAccountsEnabled": service_account,
            "standardFlowEnabled": not service_account,
            "defaultClientScopes": DEFAULT_SCOPES,
            "optionalClientScopes": [scope for scope in scopes if scope != "openid"],
            "protocolMappers": mappers,
        }
        _, location = self._admin(f"/admin/realms/{REALM}/clients", "POST", description)
        if roles:
            self._give(location.rsplit("/", 1)[1], roles)
        return client

    def _give(self, client: str, roles: Sequence[str]) -> None:
        """Gives roles to the service account of a client."""
        realm = f"/admin/realms/{REALM}"
        user, _ = self._admin(f"{realm}/clients/{client}/service-account-user")
        known = [self._admin(f"{realm}/roles/{role}")[0] for role in roles]
        self._admin(f"{realm}/users/{user['id']}/role-mappings/realm", "POST", known)

    def token_requests(self) -> int:
        kinds = urlencode({"type": LOGINS, "max": 1_000_000}, doseq=True)
        events, _ = self._admin(f"/admin/realms/{REALM}/events?{kinds}")
        return len(events)

    def rotate(self) -> None:
        realm, _ = self._admin(f"/admin/realms/{REALM}")
        priority = next(self._priorities)
        key = {
            "name": f"key-{priority}",
            "providerId": "rsa-generated",
            "providerType": "org.keycloak.keys.KeyProvider",
            "parentId": realm["id"],
            "config": {"priority": [str(priority)], "enabled": ["true"], "active": ["true"], "keySize": ["2048"]},
        }
        self._admin(f"/admin/realms/{REALM}/components", "POST", key)

    def _admin(self, target: str, method: str = "GET", value: Any = None) -> tuple[Any, str]:
        form = {"grant_type": "password", "client_id": "admin-cli", "username": ADMIN, "password": ADMIN}
        answer = ask(
            self.port, "/realms/master/protocol/openid-connect/token", method="POST", headers=FORM, body=urlencode(form)
        )
        assert answer.status == 200, answer
        return called(self.port, target, method, value, {"Authorization": f"Bearer {answer.json()['access_token']}"})
