"""The cost of a cached token for a machine client: `python -m bench.clients [--rounds N]`.

This package beside its peers, in one process. Each case is called in shuffled rounds; a ratio is that of the same round. Everything is on loopback.
"""

import itertools
import json
import platform
import random
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import credgate
import credgate.httpx
import credgate.httpx2
import credgate.requests
import httpx
import httpx2
import httpx_auth
import msal
import requests
import requests_oauth2client
import requests_oauthlib
from authlib.integrations.httpx_client import OAuth2Client
from authlib.integrations.requests_client import OAuth2Session
from oauthlib.oauth2 import BackendApplicationClient

from bench.behind import Behind
from bench.cases import MACHINE
from bench.figures import Table, options, quartiles, spread, write
from support.http import Client
from support.lab import Provider

BASIC = Client(f"b{MACHINE.id[1:]}", MACHINE.secret)
"""Another, which authenticates with Basic: some of the peers know nothing else."""
AUDIENCE = "https://example.com/"
SLICE = 0.05
"""Seconds that a case runs in one round."""


@dataclass(frozen=True)
class Case:
    """One way to give a request its token, with the token cached. `beside` names the baseline of its ratio."""

    name: str
    what: str
    call: Callable[[], Any]
    beside: str | None = None


def flows(provider: Provider) -> list[Case]:
    """The authentication alone, without the request."""
    url = "https://api.example.com/orders"
    token_url = f"{provider.issuer}/token"
    gate = credgate.Gate(issuer=provider.issuer, allow_loopback_http=True, audience=AUDIENCE, scopes=["openid", "read"])
    request, request2 = httpx.Request("GET", url), httpx2.Request("GET", url)
    prepared = requests.Request("GET", url).prepare()

    by_httpx = credgate.httpx.Auth(gate, MACHINE.id, MACHINE.secret)
    by_httpx2 = credgate.httpx2.Auth(gate, MACHINE.id, MACHINE.secret)
    by_requests = credgate.requests.Auth(gate, MACHINE.id, MACHINE.secret)

    def fresh() -> requests.PreparedRequest:
        """The request without the hooks of the case before; each case of requests pays for it."""
        prepared.hooks["response"].clear()
        return prepared

    peer = httpx_auth.OAuth2ClientCredentials(
        token_url, BASIC.id, BASIC.secret, scope="openid read", audience=AUDIENCE, client=httpx.Client(trust_env=False)
    )
    session = OAuth2Session(BASIC.id, BASIC.secret, scope="openid read", token_endpoint=token_url)
    session.trust_env = False
    session.fetch_token(token_url, grant_type="client_credentials", audience=AUDIENCE)

    def with_authlib() -> None:
        session.ensure_active_token(session.token)
        session.token_auth(fresh())

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        by_authlib = OAuth2Client(BASIC.id, BASIC.secret, scope="openid read", token_endpoint=token_url, trust_env=False)
        by_authlib.fetch_token(token_url, grant_type="client_credentials", audience=AUDIENCE)

    def with_authlib_httpx() -> None:
        by_authlib.ensure_active_token(by_authlib.token)
        next(by_authlib.token_auth.sync_auth_flow(request))

    oauth2 = requests_oauth2client.OAuth2Client(token_url, client_id=BASIC.id, client_secret=BASIC.secret, testing=True)
    by_oauth2 = requests_oauth2client.OAuth2ClientCredentialsAuth(oauth2, scope="openid read", audience=AUDIENCE)
    by_oauthlib = requests_oauthlib.OAuth2(client=BackendApplicationClient(BASIC.id), token=dict(session.token))
    application = msal.ConfidentialClientApplication(
        MACHINE.id, MACHINE.secret, authority="https://login.microsoftonline.com/tenant",
        http_client=Stub(), instance_discovery=False,
    )  # fmt: skip
    return [
        Case("httpx", "credgate.httpx.Auth", lambda: next(by_httpx.sync_auth_flow(request))),
        Case("httpx2", "credgate.httpx2.Auth", lambda: next(by_httpx2.sync_auth_flow(request2)), "httpx"),
        Case("requests", "credgate.requests.Auth", lambda: by_requests(fresh())),
        Case("httpx-auth", "its OAuth2ClientCredentials", lambda: next(peer.sync_auth_flow(request)), "httpx"),
        Case("authlib-httpx", "Authlib's OAuth2Client", with_authlib_httpx, "httpx"),
        Case("authlib", "Authlib's OAuth2Session", with_authlib, "requests"),
        Case("requests-oauth2client", "its OAuth2ClientCredentialsAuth", lambda: by_oauth2(fresh()), "requests"),
        Case("requests-oauthlib", "its OAuth2, which renews nothing", lambda: by_oauthlib(fresh()), "requests"),
        Case("msal", "acquire_token_for_client", lambda: application.acquire_token_for_client(["api://x/.default"]), "requests"),
    ]  # fmt: skip


def whole(provider: Provider, url: str) -> list[Case]:
    """Whole requests on a connection that is kept."""
    gate = credgate.Gate(issuer=provider.issuer, allow_loopback_http=True, audience=AUDIENCE, scopes=["openid", "read"])
    bare, ours, theirs = (httpx.Client(trust_env=False) for _ in range(3))
    ours.auth = credgate.httpx.Auth(gate, MACHINE.id, MACHINE.secret)
    theirs.auth = httpx_auth.OAuth2ClientCredentials(
        f"{provider.issuer}/token", BASIC.id, BASIC.secret, scope="openid read", audience=AUDIENCE, client=bare
    )
    plain, mine, others = (requests.Session() for _ in range(3))
    for session in (plain, mine, others):
        session.trust_env = False
    mine.auth = credgate.requests.Auth(gate, MACHINE.id, MACHINE.secret)
    oauth2 = requests_oauth2client.OAuth2Client(
        f"{provider.issuer}/token", client_id=BASIC.id, client_secret=BASIC.secret, testing=True
    )
    others.auth = requests_oauth2client.OAuth2ClientCredentialsAuth(oauth2, scope="openid read", audience=AUDIENCE)
    return [
        Case("GET httpx", "without a token", lambda: bare.get(url)),
        Case("GET httpx, credgate", "credgate.httpx.Auth", lambda: ours.get(url), "GET httpx"),
        Case("GET httpx, httpx-auth", "its OAuth2ClientCredentials", lambda: theirs.get(url), "GET httpx"),
        Case("GET requests", "without a token", lambda: plain.get(url)),
        Case("GET requests, credgate", "credgate.requests.Auth", lambda: mine.get(url), "GET requests"),
        Case(
            "GET requests, oauth2client", "requests-oauth2client's OAuth2ClientCredentialsAuth",
            lambda: others.get(url), "GET requests",
        ),
    ]  # fmt: skip


class Stub:
    """A transport for msal, which takes no authority on loopback."""

    def get(self, url: str, **_: Any) -> Any:
        base = url.partition("/v2.0")[0]
        return Reply({"issuer": base, "authorization_endpoint": f"{base}/a", "token_endpoint": f"{base}/t"})

    def post(self, *_: Any, **__: Any) -> Any:
        return Reply({"access_token": "x" * 671, "token_type": "Bearer", "expires_in": 3600})

    def close(self) -> None:
        pass


class Reply:
    status_code = 200

    def __init__(self, value: Any):
        self.text = json.dumps(value)
        self.headers: dict[str, str] = {}

    def raise_for_status(self) -> None:
        pass


@contextmanager
def lab(directory: Path) -> Iterator[tuple[Provider, str]]:
    """The provider, and an nginx that answers everything."""
    methods = {BASIC.id: "client_secret_basic"}
    with (
        Provider([MACHINE, BASIC], directory / "provider.log", methods=methods).start() as provider,
        Behind(directory / "api").start() as behind,
    ):
        yield provider, f"http://127.0.0.1:{behind.port}/"


def microseconds(call: Callable[[], Any]) -> float:
    """For one call, by as many as fit into a slice."""
    started = time.perf_counter()
    for count in itertools.count(1):
        call()
        took = time.perf_counter() - started
        if took > SLICE:
            return took / count * 1e6
    raise AssertionError


def measure(directory: Path, rounds: int) -> dict[str, Any]:
    """Microseconds of each case, and how many times as long as the case beside it it takes."""
    with lab(directory) as (provider, url):
        cases = flows(provider) + whole(provider, url)
        for case in cases:
            case.call()
        times: dict[str, list[float]] = {case.name: [] for case in cases}
        for number in range(rounds):
            print(f"· clients, round {number + 1} of {rounds} ...", flush=True)
            for case in random.sample(cases, len(cases)):
                times[case.name].append(microseconds(case.call))
    figures = {}
    for case in cases:
        own = times[case.name]
        figures[case.name] = {"what": case.what, "microseconds": round(statistics.median(own), 2)}
        if case.beside:
            ratios = [one / other for one, other in zip(own, times[case.beside], strict=True)]
            figures[case.name] |= {"beside": case.beside, "ratio": [round(value, 2) for value in quartiles(ratios)]}
    return figures


def table(figures: dict[str, Any]) -> Table:
    rows = [
        [
            f"`{name}`", f"{case['microseconds']:.2f}", spread(case["ratio"]) if "ratio" in case else "1.00",
            f"`{case['beside']}`" if "beside" in case else "–", case["what"],
        ]
        for name, case in figures.items()
    ]  # fmt: skip
    columns = ("case", "µs per call", "ratio", "beside", "description")
    return Table("A cached token for a Python client, and its peers", columns, rows)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="credgate-bench-") as directory:
        rounds = options().rounds
        figures = measure(Path(directory), rounds)
    conditions = f"{platform.python_implementation()} {platform.python_version()}, {rounds} rounds"
    write({"clients": {"conditions": conditions, "cases": figures, "tables": [table(figures)]}})


if __name__ == "__main__":
    main()
