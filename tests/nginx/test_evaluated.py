"""Variables that nginx has evaluated before the gate: afterwards they have the values of the forwarded request."""

from collections.abc import Callable

import pytest

from conftest import ALICE
from support.http import SOURCES, ask
from support.lab import Provider, Upstream, values_of
from support.nginx import Nginx, gate, location

Start = Callable[..., Nginx]

EARLY = """
    limit_req_zone $http_authorization zone=one:1m rate=10000r/s;
    limit_req_zone $request_uri zone=two:1m rate=10000r/s;
    limit_req_zone $mapped zone=three:1m rate=10000r/s;
    limit_req_zone $args zone=four:1m rate=10000r/s;
    map $request_uri $mapped { default $request_uri; }
"""
LIMITS = [f"limit_req zone={zone} burst=1000" for zone in ("one", "two", "three", "four")]
COPY = ["set $copy $http_authorization", "set $line $request_uri"]


@pytest.mark.parametrize("source", SOURCES)
def test_variables_evaluated_before_the_gate_are_those_of_the_forwarded_request(
    nginx: Start, provider: Provider, upstream: Upstream, source: str
) -> None:
    headers = {"Auth": "$http_authorization", "Uri": "$request_uri", "Args": "$args", "Mapped": "$mapped"}
    sent = [f"proxy_set_header X-{name} {variable}" for name, variable in headers.items()]
    server = nginx(
        location("/", *gate(provider.issuer), *LIMITS, *COPY, *sent, "set $where backend", "proxy_pass http://$where$request_uri"),
        http=EARLY + f"upstream backend {{ server 127.0.0.1:{upstream.port}; }}",
    )
    for _ in range(2):
        answer = ask(server.port, **ALICE.request(source, "/a%2Fb//c"))
        assert answer.status == 200, answer
        seen = answer.json()
        token = values_of(seen, "authorization")
        assert token == values_of(seen, "x-auth") and token[0].startswith("Bearer ")
        cut = "/a%2Fb//c?keep=1" if source == "query" else "/a%2Fb//c"
        assert seen["line"].split()[1] == cut
        assert values_of(seen, "x-uri") == values_of(seen, "x-mapped") == [cut]
        assert values_of(seen, "x-args") == (["keep=1"] if source == "query" else [])
        assert ALICE.traces(seen["raw"]) == [] and "***" not in seen["raw"]


def test_a_copy_of_the_uri_in_a_set_variable_forwards_no_secret(
    nginx: Start, provider: Provider, upstream: Upstream
) -> None:
    copy = ["set $line $request_uri", "proxy_set_header X-Line $line"]
    server = nginx(location("/", *gate(provider.issuer), *copy, f"proxy_pass {upstream.url}"))
    seen = ask(server.port, **ALICE.request("query")).json()
    assert ALICE.traces(seen["raw"]) == [] and values_of(seen, "x-line")[0].endswith("&keep=1")


def test_the_token_variable_forwards_the_token(nginx: Start, provider: Provider, upstream: Upstream) -> None:
    forwarded = ["proxy_set_header X-Token $credgate_authorization", f"proxy_pass {upstream.url}"]
    server = nginx(
        location("/", *gate(provider.issuer), *forwarded) + location("/open/", *forwarded)
    )
    for _ in range(2):
        seen = ask(server.port, headers=ALICE.basic).json()
        assert values_of(seen, "x-token") == values_of(seen, "authorization")
    assert values_of(ask(server.port, "/open/", headers=ALICE.basic).json(), "x-token") == []
