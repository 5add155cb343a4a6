"""Consumers, credentials and groups of the plugin for Kong Gateway, and other plugins beside it."""

from collections.abc import Callable
from typing import Any

import pytest

from conftest import ALICE, BOB
from support.http import SOURCES, Answer, ask
from support.kong_gateway import Gateway, consumer
from support.lab import Provider, Scripted, Upstream, bearer, values_of
from support.nginx import Nginx
from support.python import UNVERIFIED, unsigned

Start = Callable[..., Nginx]

GUEST = consumer(1, "guest")
CONSUMERS = (GUEST, consumer(2, "alice", "customer-alice"), consumer(3, "other", "alice"))
HEADERS = ("X-Consumer-ID", "X-Consumer-Custom-ID", "X-Consumer-Username", "X-Credential-Identifier")
FORGED = dict.fromkeys((*HEADERS, "X-Anonymous-Consumer", "X-Authenticated-Groups"), "forged")


@pytest.fixture
def kong(nginx: Start, upstream: Upstream) -> Gateway:
    """A gateway in which a later plugin shows the identity."""
    gateway = Gateway(nginx, upstream.url, consumers=CONSUMERS)
    gateway.add("observer")
    return gateway


def seen(answer: Answer) -> tuple[str | None, str | None, str | None]:
    """Consumer, credential and groups that the later plugin sees."""
    return answer.header("X-Seen-Consumer"), answer.header("X-Seen-Credential"), answer.header("X-Seen-Groups")


def sent(upstream: Upstream) -> dict[str, list[str]]:
    """The headers of the identity that reached the upstream."""
    found = {name: values_of(upstream.last, name.lower()) for name in FORGED}
    return {name: values for name, values in found.items() if values}


def claims(kong: Gateway, scripted: Scripted, values: dict[str, Any], **config: Any) -> Answer:
    """The answer to a request whose token has these claims."""
    scripted.script(json=unsigned(**values))
    kong.guard(scripted.issuer, **UNVERIFIED, **config)
    return ask(kong.port, headers={**ALICE.basic, **FORGED})


def test_credential_is_the_subject_and_forged_headers_go(
    kong: Gateway, provider: Provider, upstream: Upstream
) -> None:
    kong.guard(provider.issuer)
    answer = ask(kong.port, headers={**ALICE.basic, **FORGED})
    assert seen(answer) == (None, "alice", None)
    assert sent(upstream) == {"X-Credential-Identifier": ["alice"]}


def test_credential_claim_may_be_nested_or_missing(kong: Gateway, scripted: Scripted) -> None:
    values = {"sub": "alice", "account": {"ids": ["a-1"]}}
    path = ["account", "ids", "1"]
    assert seen(claims(kong, scripted, values, credential_claim=path))[1] == "a-1"


def test_missing_credential_claim_falls_back_to_the_client_id(kong: Gateway, scripted: Scripted) -> None:
    assert seen(claims(kong, scripted, {"sub": "x"}, credential_claim=["none"]))[1] == "alice"


@pytest.mark.parametrize(
    ("by", "expected"),
    [(None, CONSUMERS[2]), (["username"], CONSUMERS[1]), (["id", "username"], CONSUMERS[1])],
)
def test_claim_finds_the_consumer(
    kong: Gateway, provider: Provider, upstream: Upstream, by: list[str] | None, expected: dict[str, str]
) -> None:
    kong.guard(provider.issuer, consumer_claim=["sub"], **({"consumer_by": by} if by else {}))
    answer = ask(kong.port, headers={**ALICE.basic, **FORGED})
    assert seen(answer) == (expected["id"], "alice", None)
    assert sent(upstream) == {
        "X-Consumer-ID": [expected["id"]],
        "X-Consumer-Custom-ID": [expected["custom_id"]],
        "X-Consumer-Username": [expected["username"]],
        "X-Credential-Identifier": ["alice"],
    }
    assert bearer(upstream.last)


def test_claim_finds_the_consumer_by_id(kong: Gateway, scripted: Scripted) -> None:
    answer = claims(kong, scripted, {"sub": GUEST["id"]}, consumer_claim=["sub"], consumer_by=["id"])
    assert seen(answer)[0] == GUEST["id"]


def test_client_without_a_consumer_is_forbidden(kong: Gateway, provider: Provider, upstream: Upstream) -> None:
    kong.guard(provider.issuer, consumer_claim=["sub"], forbidden_error_message="No consumer")
    answer = ask(kong.port, headers=BOB.basic)
    assert (answer.status, answer.json()) == (403, {"message": "No consumer"})
    assert not upstream.last


def test_missing_claim_finds_no_consumer(kong: Gateway, provider: Provider) -> None:
    kong.guard(provider.issuer, consumer_claim=["none"])
    assert ask(kong.port, headers=ALICE.basic).status == 403


def test_consumer_may_be_optional(kong: Gateway, provider: Provider, upstream: Upstream) -> None:
    kong.guard(provider.issuer, consumer_claim=["sub"], consumer_optional=True)
    assert seen(ask(kong.port, headers={**BOB.basic, **FORGED})) == (None, "bob", None)
    assert sent(upstream) == {"X-Credential-Identifier": ["bob"]}


def test_consumers_are_cached_and_so_are_absent_ones(kong: Gateway, provider: Provider) -> None:
    kong.guard(provider.issuer, consumer_claim=["sub"], consumer_by=["username"])

    def calls(answer: Answer) -> int:
        return int(answer.header("X-Database-Calls") or 0)

    first = calls(ask(kong.port, headers=ALICE.basic))
    assert calls(ask(kong.port, headers=ALICE.basic)) == first
    for _ in range(2):
        assert ask(kong.port, headers=BOB.basic).status == 403
    assert calls(ask(kong.port, headers=ALICE.basic)) == first + 1
    kong.control(seconds=6)
    assert ask(kong.port, headers=BOB.basic).status == 403
    assert calls(ask(kong.port, headers=ALICE.basic)) == first + 2
    kong.control(seconds=31)
    assert calls(ask(kong.port, headers=ALICE.basic)) == first + 3


@pytest.mark.parametrize("anonymous", [None, "guest"])
def test_failing_database_lets_nobody_in(
    kong: Gateway, scripted: Scripted, upstream: Upstream, anonymous: str | None
) -> None:
    settings = {"consumer_claim": ["sub"]} | ({"anonymous": anonymous} if anonymous else {})
    answer = claims(kong, scripted, {"sub": "database-is-down"}, **settings)
    assert (answer.status, upstream.last) == (500, None)
    assert "cannot load the consumer: no connection" in kong.nginx.errors


def test_failing_database_is_not_a_missing_consumer(kong: Gateway, scripted: Scripted, upstream: Upstream) -> None:
    down = "00000000-0000-4000-8000-00000000dead"
    answer = claims(kong, scripted, {"sub": down}, consumer_claim=["sub"], consumer_by=["id"], consumer_optional=True)
    assert (answer.status, upstream.last) == (500, None)
    assert "cannot load the consumer: no connection" in kong.nginx.errors


@pytest.mark.parametrize(
    ("value", "groups", "header"),
    [
        (["read", "write"], "read|write", "read, write"),
        ("read", "read", "read"),
        ('["admin"]', '["admin"]', '["admin"]'),
        ([], "", None),
        ([1, True], "1|true", "1, true"),
    ],
)
def test_groups_are_those_of_the_claim(
    kong: Gateway, scripted: Scripted, upstream: Upstream, value: Any, groups: str, header: str | None
) -> None:
    answer = claims(kong, scripted, {"sub": "x", "g": {"s": value}}, authenticated_groups_claim=["g", "s"])
    assert (answer.header("X-Seen-Groups") or "") == groups
    assert [text for text in values_of(upstream.last, "x-authenticated-groups") if text] == ([header] if header else [])


def test_absent_groups_are_no_groups(kong: Gateway, scripted: Scripted, upstream: Upstream) -> None:
    assert seen(claims(kong, scripted, {"sub": "x"}, authenticated_groups_claim=["g"]))[2] is None
    assert "X-Authenticated-Groups" not in sent(upstream)


@pytest.mark.parametrize("name", [GUEST["username"], GUEST["id"]])
@pytest.mark.parametrize("credentials", [{}, ALICE.wrong().basic])
def test_anonymous_consumer_takes_the_place_of_a_denial(
    kong: Gateway, provider: Provider, upstream: Upstream, name: str, credentials: dict[str, str]
) -> None:
    kong.guard(provider.issuer, anonymous=name)
    answer = ask(kong.port, headers={**FORGED, **credentials})
    assert seen(answer) == (GUEST["id"], None, None)
    assert sent(upstream) == {
        "X-Consumer-ID": [GUEST["id"]], "X-Consumer-Username": ["guest"], "X-Anonymous-Consumer": ["true"],
    }  # fmt: skip
    assert values_of(upstream.last, "authorization") == []


def test_valid_credentials_are_not_anonymous(kong: Gateway, provider: Provider, upstream: Upstream) -> None:
    kong.guard(provider.issuer, anonymous="guest")
    assert seen(ask(kong.port, headers={**ALICE.basic, **FORGED})) == (None, "alice", None)
    assert bearer(upstream.last)


def test_client_without_a_consumer_is_anonymous_and_has_no_token(
    kong: Gateway, provider: Provider, upstream: Upstream
) -> None:
    kong.guard(provider.issuer, anonymous="guest", consumer_claim=["sub"], upstream_headers_names=["X-Sub"],
               upstream_headers_claims=["sub"], authenticated_groups_claim=["sub"])  # fmt: skip
    assert seen(ask(kong.port, headers=BOB.basic)) == (GUEST["id"], None, None)
    assert values_of(upstream.last, "authorization") == values_of(upstream.last, "x-sub") == []


def test_missing_anonymous_consumer_is_an_error(kong: Gateway, provider: Provider, upstream: Upstream) -> None:
    kong.guard(provider.issuer, anonymous="nobody")
    assert ask(kong.port).status == 500
    assert not upstream.last
    assert "anonymous: there is no consumer nobody" in kong.nginx.errors


@pytest.mark.parametrize("source", SOURCES)
def test_earlier_plugin_authenticates_in_a_logical_or(
    kong: Gateway, provider: Provider, upstream: Upstream, source: str
) -> None:
    kong.add("key-auth", anonymous="guest")
    kong.guard(provider.issuer, anonymous="guest")
    request = ALICE.request(source)
    request["headers"] = {**request.get("headers", {}), "apikey": "carol", "X-Authenticated-Groups": "forged"}
    answer = ask(kong.port, **request)
    assert seen(answer) == ("c-carol", "k-carol", None)
    assert sent(upstream) == {"X-Consumer-ID": ["c-carol"]}
    assert provider.count["token"] == 0
    assert ALICE.traces(str(upstream.last)) == ALICE.traces(kong.written) == []


def test_token_that_an_earlier_plugin_accepted_stays_in_a_logical_or(
    kong: Gateway, provider: Provider, upstream: Upstream
) -> None:
    kong.add("key-auth", anonymous="guest")
    kong.guard(provider.issuer, anonymous="guest")
    headers = {"apikey": "carol", "Authorization": "Bearer theirs"}
    assert ask(kong.port, f"/?{ALICE.parameters}", headers=headers).status == 200
    assert values_of(upstream.last, "authorization") == ["Bearer theirs"]
    assert ALICE.traces(str(upstream.last)) == ALICE.traces(kong.written) == []


def test_plugin_authenticates_if_the_earlier_one_does_not(
    kong: Gateway, provider: Provider, upstream: Upstream
) -> None:
    kong.add("key-auth", anonymous="guest")
    kong.guard(provider.issuer, anonymous="guest")
    assert seen(ask(kong.port, headers=ALICE.basic)) == (None, "alice", None)
    assert sent(upstream) == {"X-Credential-Identifier": ["alice"]}
    assert seen(ask(kong.port)) == (GUEST["id"], None, None)


def test_both_plugins_are_needed_without_anonymous(kong: Gateway, provider: Provider, upstream: Upstream) -> None:
    kong.add("key-auth")
    kong.guard(provider.issuer)
    assert ask(kong.port, headers={"apikey": "carol"}).status == 401
    assert ask(kong.port, headers=ALICE.basic).status == 401
    assert not upstream.last
    assert seen(ask(kong.port, headers={**ALICE.basic, "apikey": "carol"})) == (None, "alice", None)
