"""Providers as their token endpoints behave: each checks the request as its provider does, and signs a real token.

    dialects.py PORT CERT KEY CLIENTS PUBLIC

CLIENTS is a JSON file, {"id": "secret"}. The issuers, below https://127.0.0.1:PORT:

    /auth0/                  audience required: an unknown one is refused, and without one the token is opaque
    /okta/oauth2/default     one of the server's own scopes; `openid` is refused
    /entra/v2.0              the scope API/.default and no other; tokens have version 2, and roles
    /cognito                 scopes RESOURCE-SERVER/SCOPE; the token endpoint is on another host, and tokens have no audience
    /generic                 a provider that follows RFC 6749 and RFC 8707: scope, and resource as the audience
    /internal/realms/r       the internal address of the issuer PUBLIC
"""

import asyncio
import base64
import json
import ssl
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from wire import Request, Response, serve

AUDIENCE = "https://example.com/"
SCOPES = {"api:read", "api:write"}
ENTRA_API = "api://11111111-2222-3333-4444-555555555555"
METHODS = ["client_secret_basic", "client_secret_post"]


class Refused(Exception):
    """An error response of the token endpoint."""

    def __init__(self, status: int, **body: Any):
        self.response = Response.json(body, status)


@dataclass(frozen=True)
class Asked:
    """A token request of an authenticated client."""

    client: str
    form: dict[str, str]

    @property
    def scopes(self) -> set[str]:
        return set(self.form.get("scope", "").split())


Claims = dict[str, Any] | None
Grant = Callable[[Asked], Claims]


@dataclass(frozen=True)
class Dialect:
    """One provider. `grant` returns the claims of a token, or None for an opaque one."""

    issuer: str
    grant: Grant
    lifetime: int
    wrong_secret: Refused
    unknown_client: Refused | None = None
    token_host: str = "127.0.0.1"
    is_internal: bool = False


def auth0(asked: Asked) -> Claims:
    audience = asked.form.get("audience")
    if audience is None:
        return None
    if audience != AUDIENCE:
        detail = f"Service not enabled within domain: {audience}"
        raise Refused(403, error="access_denied", error_description=detail)
    permissions = asked.scopes - {"openid"}
    if missing := permissions - SCOPES:
        raise Refused(403, error="access_denied", error_description=f"Client has not been granted scopes: {', '.join(missing)}")
    userinfo = ["https://tenant.auth0.com/userinfo"] if "openid" in asked.scopes else []
    return {
        "sub": f"{asked.client}@clients",
        "azp": asked.client,
        "aud": [audience, *userinfo] if userinfo else audience,
        "gty": "client-credentials",
        **({"scope": " ".join(sorted(permissions))} if permissions else {}),
    }


def okta(asked: Asked) -> Claims:
    if "openid" in asked.scopes:
        detail = "Cannot request 'openid' scopes using client credentials."
        raise Refused(400, error="invalid_scope", error_description=detail)
    if not asked.scopes or asked.scopes - SCOPES:
        detail = "One or more scopes are not configured for the authorization server resource."
        raise Refused(400, error="invalid_scope", error_description=detail)
    return {"sub": asked.client, "cid": asked.client, "aud": "api://default", "scp": sorted(asked.scopes)}


def entra(asked: Asked) -> Claims:
    if asked.scopes != {f"{ENTRA_API}/.default"}:
        detail = f"AADSTS1002012: The provided value for scope {asked.form.get('scope')} is not valid."
        raise Refused(400, error="invalid_scope", error_description=detail, error_codes=[1002012])
    # An application without an app role gets a token too: it has no roles.
    roles = {} if asked.client.endswith("-without-role") else {"roles": ["Orders.Read"]}
    api = ENTRA_API.removeprefix("api://")
    return {"sub": asked.client, "azp": asked.client, "aud": api, "ver": "2.0", **roles}


def cognito(asked: Asked) -> Claims:
    if any(not scope.startswith("orders/") for scope in asked.scopes):
        raise Refused(400, error="invalid_scope")
    scopes = asked.scopes or {"orders/read", "orders/write"}
    return {
        "sub": asked.client,
        "client_id": asked.client,
        "token_use": "access",
        "scope": " ".join(sorted(scopes)),
    }


def generic(asked: Asked) -> Claims:
    if asked.scopes - SCOPES:
        raise Refused(400, error="invalid_scope")
    if asked.form.get("resource", AUDIENCE) != AUDIENCE:
        raise Refused(400, error="invalid_target")
    audience = {"aud": AUDIENCE} if "resource" in asked.form else {}
    return {"sub": asked.client, "client_id": asked.client, "scope": " ".join(sorted(asked.scopes)), **audience}


def internal(asked: Asked) -> Claims:
    return {"sub": asked.client, "azp": asked.client, "aud": AUDIENCE, "scope": "openid"}


INVALID_CLIENT = Refused(401, error="invalid_client")
DIALECTS = {
    "auth0": Dialect(
        "/auth0/", auth0, 86_400, Refused(401, error="access_denied", error_description="Unauthorized")
    ),
    "okta": Dialect(
        "/okta/oauth2/default",
        okta,
        3600,
        Refused(
            401,
            error="invalid_client",
            error_description="The client secret supplied for a confidential client is invalid.",
        ),
        Refused(401, errorCode="invalid_client", errorSummary="Invalid value for 'client_id' parameter."),
    ),
    "entra": Dialect(
        "/entra/v2.0",
        entra,
        3599,
        Refused(
            401,
            error="invalid_client",
            error_description="AADSTS7000215: Invalid client secret provided.",
            error_codes=[7000215],
        ),
        Refused(
            400,
            error="unauthorized_client",
            error_description="AADSTS700016: The application was not found in the directory.",
            error_codes=[700016],
        ),
    ),
    "cognito": Dialect("/cognito", cognito, 3600, Refused(400, error="invalid_client"), token_host="localhost"),
    "generic": Dialect("/generic", generic, 3600, INVALID_CLIENT),
    "internal": Dialect("/internal/realms/r", internal, 300, INVALID_CLIENT, is_internal=True),
}


class Dialects:
    """All of them, with one key."""

    def __init__(self, port: int, clients: dict[str, str], public: str):
        self.port = port
        self.public = public
        self.clients = clients
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    async def answer(self, request: Request) -> Response:
        path = request.target.split("?")[0]
        dialect = DIALECTS.get(path.split("/")[1])
        if dialect is None:
            return Response.json({"error": "not_found"}, 404)
        match path.removeprefix(dialect.issuer.rstrip("/")):
            case "/.well-known/openid-configuration":
                return Response.json(self.metadata(dialect))
            case "/jwks":
                return Response.json({"keys": [self.public_key()]})
            case "/token":
                try:
                    return self.token(dialect, request)
                except Refused as refused:
                    return refused.response
        return Response.json({"error": "not_found"}, 404)

    def url(self, dialect: Dialect, host: str = "127.0.0.1") -> str:
        return f"https://{host}:{self.port}{dialect.issuer}"

    def issuer(self, dialect: Dialect) -> str:
        return self.public if dialect.is_internal else self.url(dialect)

    def metadata(self, dialect: Dialect) -> dict[str, Any]:
        here = self.url(dialect).rstrip("/")
        return {
            "issuer": self.issuer(dialect),
            "token_endpoint": f"{self.url(dialect, dialect.token_host).rstrip('/')}/token",
            "jwks_uri": f"{here}/jwks",
            "token_endpoint_auth_methods_supported": METHODS,
        }

    def public_key(self) -> dict[str, Any]:
        key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        return {**key, "kid": "key-1", "use": "sig", "alg": "RS256"}

    def token(self, dialect: Dialect, request: Request) -> Response:
        form = dict(parse_qsl(request.body.decode("latin-1"), keep_blank_values=True))
        client, secret = credentials(request, form)
        if client not in self.clients:
            raise dialect.unknown_client or dialect.wrong_secret
        if secret != self.clients[client]:
            raise dialect.wrong_secret
        if form.get("grant_type") != "client_credentials":
            raise Refused(400, error="unsupported_grant_type")
        claims = dialect.grant(Asked(client, form))
        token = "0paque-t0ken" if claims is None else self.signed(dialect, claims)
        return Response.json({"access_token": token, "token_type": "Bearer", "expires_in": dialect.lifetime})

    def signed(self, dialect: Dialect, claims: dict[str, Any]) -> str:
        now = int(time.time())
        times = {"iat": now, "exp": now + dialect.lifetime}
        return jwt.encode({"iss": self.issuer(dialect), **times, **claims}, self.key, "RS256", {"kid": "key-1"})


def credentials(request: Request, form: dict[str, str]) -> tuple[str, str]:
    scheme, _, pair = (request.header("authorization") or "").partition(" ")
    if scheme.lower() == "basic":
        client, _, secret = base64.b64decode(pair).decode().partition(":")
        return unquote_plus(client), unquote_plus(secret)
    return form.get("client_id", ""), form.get("client_secret", "")


async def main(port: int, cert: str, key: str, clients: str, public: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    await serve(Dialects(port, json.loads(Path(clients).read_text()), public).answer, port, context)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), *sys.argv[2:]))
