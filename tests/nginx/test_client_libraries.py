"""Standard OAuth client libraries get their tokens from `credgate_token`."""

from collections.abc import Callable
from urllib.parse import quote

import msal
import pytest
import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session as AuthlibSession
from conftest import ALICE, BOB
from oauthlib.oauth2 import (
    BackendApplicationClient,
    InvalidClientError,
    InvalidScopeError,
)
from requests_oauthlib import OAuth2Session
from support.http import Client
from support.lab import Authority, Provider, Upstream, bearer
from support.nginx import Nginx, gate, guarded, location
from support.process import free_port

Start = Callable[..., Nginx]
METHODS = ("client_secret_basic", "client_secret_post")


@pytest.fixture
def server(nginx: Start, provider: Provider, authority: Authority, upstream: Upstream) -> Nginx:
    """The token endpoint over http and https, with metadata as a provider has them, and an API behind a gate."""
    tls = free_port()
    metadata = (
        f'{{"issuer": "https://localhost:{tls}/tenant", "token_endpoint": "https://localhost:{tls}/token", '
        f'"authorization_endpoint": "https://localhost:{tls}/authorize"}}'
    )
    server = nginx(
        f"listen 127.0.0.1:{tls} ssl;\nssl_certificate {authority.cert};\nssl_certificate_key {authority.key};\n"
        + location("= /token", *gate(provider.issuer)[1:], "credgate_basic_encoding form", "credgate_token")
        + location(
            "= /tenant/.well-known/openid-configuration", "default_type application/json", f"return 200 '{metadata}'"
        )
        + guarded(
            upstream.url,
            provider.issuer,
            "credgate_auth_methods bearer",
            "credgate_audience_required https://example.com/",
        )
    )
    server.tls = tls
    return server


def url(server: Nginx) -> str:
    return f"http://127.0.0.1:{server.port}/token"


def upstream_accepts(server: Nginx, token: str) -> None:
    answer = requests.get(
        f"http://127.0.0.1:{server.port}/api", headers={"Authorization": f"Bearer {token}"}, timeout=30
    )
    assert answer.status_code == 200
    assert bearer(answer.json()) == token


@pytest.mark.parametrize("method", METHODS)
def test_authlib(server: Nginx, provider: Provider, method: str) -> None:
    # Authlib does not form-encode the halves of HTTP Basic.
    secret = quote(ALICE.secret, safe="") if method == "client_secret_basic" else ALICE.secret
    client = Client(ALICE.id, secret)
    for _ in range(3):
        with AuthlibSession(client.id, client.secret, token_endpoint_auth_method=method) as session:
            token = session.fetch_token(url(server), grant_type="client_credentials")
            assert token["token_type"] == "Bearer" and token["expires_in"] > 0
            upstream_accepts(server, token["access_token"])
    assert provider.count["token"] == 1
    with AuthlibSession(BOB.id, "wrong", token_endpoint_auth_method=method) as session:
        with pytest.raises(OAuthError) as raised:
            session.fetch_token(url(server), grant_type="client_credentials")
        assert raised.value.error == "invalid_client"


@pytest.mark.parametrize(
    "in_header, include_id", [(True, True), (True, False), (False, True)], ids=["basic-and-id", "basic", "form"]
)
def test_requests_oauthlib(
    server: Nginx, provider: Provider, monkeypatch: pytest.MonkeyPatch, in_header: bool, include_id: bool
) -> None:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    for _ in range(3):
        client = BackendApplicationClient(client_id=ALICE.id)
        with OAuth2Session(client=client) as session:
            basic = requests.auth.HTTPBasicAuth(ALICE.id, quote(ALICE.secret, safe=""))
            form = {"client_secret": ALICE.secret, "include_client_id": True}
            token = session.fetch_token(
                url(server), **({"auth": basic, "include_client_id": include_id} if in_header else form)
            )
            assert token["expires_in"] > 0
            upstream_accepts(server, token["access_token"])
    assert provider.count["token"] == 1
    with OAuth2Session(client=BackendApplicationClient(client_id=BOB.id)) as session, pytest.raises(InvalidClientError):
        session.fetch_token(url(server), client_secret="wrong", include_client_id=True)
    client = BackendApplicationClient(client_id=ALICE.id, scope="admin")
    with OAuth2Session(client=client) as session, pytest.raises(InvalidScopeError):
        session.fetch_token(url(server), client_secret=ALICE.secret, include_client_id=True)


def test_msal(server: Nginx, provider: Provider, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.ca))

    def app(client: Client) -> msal.ConfidentialClientApplication:
        return msal.ConfidentialClientApplication(
            client.id,
            client_credential=client.secret,
            oidc_authority=f"https://localhost:{server.tls}/tenant",
        )

    for _ in range(3):
        token = app(ALICE).acquire_token_for_client(["openid"])
        assert "access_token" in token, token
        upstream_accepts(server, token["access_token"])
    assert provider.count["token"] == 1
    assert app(BOB.wrong()).acquire_token_for_client(["openid"])["error"] == "invalid_client"
