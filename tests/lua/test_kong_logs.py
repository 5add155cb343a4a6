"""Logs and traces of Kong hold no secret, although Kong copies the request line before the plugin runs."""

from collections.abc import Callable

import pytest

from conftest import ALICE
from support.http import SOURCES, ask
from support.kong_gateway import Gateway
from support.lab import Provider, Scripted, Upstream
from support.nginx import Nginx
from support.process import free_port

Start = Callable[..., Nginx]


@pytest.fixture
def kong(nginx: Start, upstream: Upstream) -> Gateway:
    return Gateway(nginx, upstream.url)


def urls(kong: Gateway) -> list[str]:
    return [value for span in kong.spans for name, value in span.get("attributes", {}).items() if "url" in name]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("client", [ALICE, ALICE.wrong()], ids=["right", "wrong"])
@pytest.mark.parametrize("path", ["/", "/a%2Fb//c"])
def test_no_secret_is_logged(kong: Gateway, provider: Provider, source: str, client: object, path: str) -> None:
    kong.guard(provider.issuer)
    ask(kong.port, **client.request(source, path))  # type: ignore[attr-defined]
    (entry,) = kong.serialized
    assert entry["request"]["uri"].startswith(path)
    assert ALICE.traces(kong.written) == []


@pytest.mark.parametrize("source", SOURCES)
def test_no_secret_is_logged_if_the_upstream_gets_it(
    kong: Gateway, provider: Provider, upstream: Upstream, source: str
) -> None:
    kong.guard(provider.issuer, hide_credentials=False)
    assert ask(kong.port, **ALICE.request(source)).status == 200
    assert bool(ALICE.traces(str(upstream.last))) == (source != "header")
    assert ALICE.traces(kong.written) == []


def test_queries_of_other_requests_are_logged_as_they_are(kong: Gateway, provider: Provider, upstream: Upstream) -> None:
    kong.guard(provider.issuer, hide_credentials=False)
    ask(kong.port, "/orders?a=b?c&d=%20", headers=ALICE.basic)
    (entry,) = kong.serialized
    assert entry["request"]["uri"] == "/orders?a=b?c&d=%20"
    assert entry["upstream_uri"] == "/orders?a=b?c&d=%20"
    assert entry["request"]["querystring"] == {"a": "b?c", "d": " "}


def test_path_is_logged_as_it_is_if_the_upstream_gets_no_query(
    kong: Gateway, provider: Provider, upstream: Upstream
) -> None:
    kong.guard(provider.issuer)
    path = "/orders" + "/12345678" * 12
    ask(kong.port, f"{path}?{ALICE.parameters}")
    assert kong.serialized[0]["upstream_uri"] == path
    assert kong.serialized[0]["request"]["querystring"] == {}
    assert upstream.last["line"].split()[1] == path


def test_other_attributes_of_spans_stay(kong: Gateway, provider: Provider) -> None:
    kong.guard(provider.issuer)
    ask(kong.port, "/introspect?a=b", headers=ALICE.basic)
    assert kong.spans[1]["attributes"] == {"http.url": "http://other/introspect?token=abc"}
    assert {"http.route": "/a/bcde", "http.target": "/introspect?a=b"}.items() <= kong.spans[0]["attributes"].items()


def test_urls_of_traces_keep_all_but_the_secret(kong: Gateway, provider: Provider) -> None:
    kong.guard(provider.issuer)
    ask(kong.port, f"/orders?a=1&{ALICE.parameters}&b=2")
    other, *own = sorted(urls(kong), key=lambda url: "other" not in url)
    assert other == "http://other/introspect?token=abc"
    assert len(own) == 3
    for url in own:
        assert "/orders?a=1&client_id=alice&client_secret=*" in url and url.endswith("&b=2")


def test_requests_without_a_query_are_logged_as_they_are(kong: Gateway, provider: Provider) -> None:
    kong.guard(provider.issuer)
    ask(kong.port, "/orders", headers=ALICE.basic)
    assert kong.serialized[0]["request"]["uri"] == "/orders"
    assert "http://127.0.0.1/orders" in urls(kong)


@pytest.mark.parametrize("name", ["openid-connect", "credgate"])
def test_provider_that_fails_puts_no_secret_into_logs(
    kong: Gateway, scripted: Scripted, name: str
) -> None:
    scripted.script(body=f"nonsense {ALICE.secret}")
    kong.guard(scripted.issuer, name)
    assert ask(kong.port, f"/?{ALICE.parameters}").status == 502
    assert ALICE.traces(kong.written) == []
    assert "credgate: the token endpoint's response is invalid" in kong.nginx.errors


def test_provider_that_is_down_puts_no_secret_into_logs(kong: Gateway) -> None:
    kong.guard(f"http://127.0.0.1:{free_port()}")
    assert ask(kong.port, f"/?{ALICE.parameters}").status == 502
    assert ALICE.traces(kong.written) == []


@pytest.mark.parametrize("source", SOURCES)
def test_request_that_another_plugin_ends_has_its_query_masked(kong: Gateway, provider: Provider, source: str) -> None:
    kong.add("key-auth")
    kong.guard(provider.issuer)
    assert ask(kong.port, **ALICE.request(source)).status == 401
    assert kong.serialized and provider.count["token"] == 0
    assert ALICE.traces(kong.written) == []


def test_invalid_configuration_answers_500_without_a_secret(
    kong: Gateway, provider: Provider, upstream: Upstream
) -> None:
    kong.control(**{"env/issuer": "not a url"})
    kong.guard("{vault://env/issuer}")
    for _ in range(2):
        assert ask(kong.port, f"/?{ALICE.parameters}").status == 500
    assert not upstream.last
    assert "[kong] openid-connect: issuer: is not a URL" in kong.nginx.errors
    assert ALICE.traces(kong.written) == []
    kong.control(**{"env/issuer": "https://idp.invalid"})
    assert ask(kong.port).status == 401


def test_warnings_of_a_gate_that_a_request_makes_hold_no_secret(kong: Gateway, provider: Provider) -> None:
    kong.control(**{"env/audience": "https://example.com/"})
    kong.guard(provider.issuer, token_post_args_values=["{vault://env/audience}"], timeout=9000)
    kong.control(**{"env/audience": "https://example.com"})
    warning = "allow_loopback_http is true"
    before = kong.nginx.errors.count(warning)
    ask(kong.port, f"/?{ALICE.parameters}")
    assert kong.nginx.errors.count(warning) == before + 1
    assert ALICE.traces(kong.written) == []
