"""The URI without credentials for the upstream, and redacted logs of requests that no gate has seen."""

import signal
from collections.abc import Callable

import pytest

from conftest import ALICE
from support.h2 import H2Connection
from support.http import ask
from support.lab import Provider, Upstream
from support.nginx import Nginx, location
from support.openresty import gate, guarded, start

Start = Callable[..., Nginx]

URI = ('uri_variable = "credgate_uri"', "set $credgate_uri $request_uri")
REDACT = 'log_by_lua_block { require("resty.credgate").redact() }\n'


@pytest.mark.parametrize("protocol", ["http1", "http2"])
@pytest.mark.parametrize(
    ("sent", "received"),
    [
        ("/a%2Fb//c/%7Ex?{}&q=%20", "/a%2Fb//c/%7Ex?q=%20"),
        ("/a%2Fb//c/%7Ex?{}", "/a%2Fb//c/%7Ex"),
        ("/a%2Fb//c/%7Ex?q=%20", "/a%2Fb//c/%7Ex?q=%20"),
        ("/a%2Fb//c/%7Ex", "/a%2Fb//c/%7Ex"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_path_arrives_in_the_encoding_of_the_client(
    nginx: Start, provider: Provider, upstream: Upstream, sent: str, received: str, protocol: str, method: str
) -> None:
    server = start(nginx, f"gate = {gate(provider.issuer)}", guarded(f"{upstream.url}$credgate_uri", *URI))
    request = {"method": method}
    if method == "POST":
        request |= {"body": "a=1", "headers": {"Content-Type": "application/x-www-form-urlencoded"}}
    if "{}" not in sent:
        request["headers"] = {**request.get("headers", {}), **ALICE.basic}
    connection = H2Connection(server.h2_port)
    asker = connection.ask if protocol == "http2" else lambda *target, **rest: ask(server.port, *target, **rest)
    for _ in range(2):
        assert asker(sent.format(ALICE.parameters), **request).status == 200
        assert upstream.last["line"].split()[1] == received
        assert ALICE.traces(upstream.last["raw"]) == []
    connection.close()


@pytest.mark.parametrize("protocol", ["http1", "http2"])
@pytest.mark.parametrize("place", ["/", "/open/", "/redirect/", "/limited/", "/missing/"])
def test_redact_keeps_secrets_out_of_the_access_log(
    nginx: Start, provider: Provider, upstream: Upstream, place: str, protocol: str
) -> None:
    log = 'log_format all "$request_uri $args $arg_client_secret $uri $query_string";'
    server = start(
        nginx,
        f"gate = {gate(provider.issuer)}",
        "access_log all.log all; access_log combined.log combined;"
        + guarded(upstream.url)
        + location("/open/", f"proxy_pass {upstream.url}")
        + location("/redirect/", "return 301 https://$host$request_uri")
        + location("/limited/", "limit_req zone=one", f"proxy_pass {upstream.url}")
        + location("/missing/"),
        http=f"{REDACT}{log} limit_req_zone $server_port zone=one:32k rate=1r/m;",
    )
    connection = H2Connection(server.h2_port)
    for _ in range(2):
        target = f"{place}?{ALICE.parameters}&keep=1"
        answer = connection.ask(target) if protocol == "http2" else ask(server.port, target)
        if place == "/redirect/":
            assert answer.header("Location") == f"https://127.0.0.1{target}"
    connection.close()
    server.stop(signal.SIGQUIT)
    written = b"".join((server.directory / name).read_bytes() for name in ("all.log", "combined.log"))
    assert b"keep=1" in written and ALICE.traces(written) == []
