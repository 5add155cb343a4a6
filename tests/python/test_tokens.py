"""`Gate.token`, and the attributes of gates, outcomes and errors."""

import asyncio
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Any

import credgate
import jwt
import pytest

from conftest import ALICE, BOB
from support.lab import Provider, Scripted
from support.python import AUDIENCE, UNVERIFIED, fresh_gate, gate, unsigned


def test_token_returns_an_allow_with_a_token(provider: Provider) -> None:
    with_provider = gate(provider.issuer)
    token = with_provider.token(ALICE.id, ALICE.secret)
    assert isinstance(token, credgate.Allow)
    assert token.allowed
    assert (token.cache_status, token.source, token.client_id) == ("MISS", "host", "alice")
    assert token.authorization == f"Bearer {token.access_token}"
    claims = jwt.decode(token.access_token, options={"verify_signature": False})
    assert token.claims == claims
    assert claims["aud"] == AUDIENCE
    assert token.expires_in is not None
    assert 0 < token.expires_in <= 3600
    assert with_provider.token(ALICE.id.encode(), ALICE.secret.encode()).cache_status == "HIT"
    assert with_provider.authenticate(client_id=ALICE.id, client_secret=ALICE.secret).cache_status == "HIT"


def test_claims_are_found_by_name_and_by_path(scripted: Scripted) -> None:
    members = {"sub": "a", "n": 1.5, "ok": True, "realm": {"roles": ["x", "y"]}, "http://n/s": "text"}
    scripted.script(json=unsigned(**members))
    token = gate(scripted.issuer, **UNVERIFIED).token("a", "s")
    assert token.claims == members
    names = ("sub", "n", "ok", "realm", "realm__roles__2", "http://n/s", "absent", "realm__roles__3")
    assert [token.claim(name) for name in names] == [
        "a", "1.5", "true", '{"roles":["x","y"]}', "y", "text", None, None,
    ]  # fmt: skip


def test_an_opaque_token_has_no_claims(scripted: Scripted) -> None:
    token = gate(scripted.issuer).token("a", "s")
    assert (token.claims, token.claim("sub")) == (None, None)


def test_a_token_that_is_not_cached_has_no_expires_in(scripted: Scripted) -> None:
    scripted.script(json={"access_token": "t", "token_type": "Bearer", "expires_in": 1})
    assert gate(scripted.issuer).token("a", "s").expires_in is None


REFUSALS = [
    (401, {"error": "invalid_client"}, "credentials_refused", 401, None),
    (403, {"error": "access_denied"}, "client_forbidden", 403, None),
    (400, {"error": "invalid_request"}, "request_refused", 502, 5),
    (500, {}, "provider_failed", 502, 5),
    (429, {}, "provider_busy", 503, 5),
    (200, {"nonsense": True}, "provider_response_invalid", 502, 5),
]


@pytest.mark.parametrize(("status", "body", "cause", "http_status", "retry_after"), REFUSALS)
def test_token_raises_with_cause_http_status_and_retry_after(
    scripted: Scripted, status: int, body: dict[str, Any], cause: str, http_status: int, retry_after: int | None
) -> None:
    scripted.script(status=status, json=body)
    with pytest.raises(credgate.DeniedError, match="^no token: ") as raised:
        gate(scripted.issuer, scopes=[]).token("a", "s")
    error = raised.value
    assert isinstance(error, credgate.CredgateError)
    assert (error.cause, error.http_status, error.retry_after) == (cause, http_status, retry_after)
    assert not hasattr(error, "code")


def test_an_anonymous_gate_has_no_token_for_a_refused_client(scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer, anonymous=True)
    outcome = with_provider.authenticate(client_id="a", client_secret="wrong")
    assert outcome.allowed
    assert (outcome.cache_status, outcome.client_id, outcome.authorization, outcome.access_token) == ("ANONYMOUS", None, None, None)
    assert (outcome.claims, outcome.claim("sub"), outcome.expires_in) == (None, None, None)
    assert outcome.note_upstream_status(401) is False
    with pytest.raises(credgate.DeniedError, match="anonymous") as raised:
        with_provider.token("a", "wrong")
    assert (raised.value.cause, raised.value.http_status) == ("credentials_refused", 401)


def test_args_are_sent_with_the_token_request(scripted: Scripted) -> None:
    with_provider = credgate.Gate(
        issuer=scripted.issuer, allow_loopback_http=True, token_post_args_host=["audience", "organization"]
    )
    assert with_provider.args == ["audience", "organization"]

    def asked(args: Mapping[str, Any] | None) -> tuple[str | None, str | None]:
        assert with_provider.token("a", "s", args).cache_status == "MISS"
        form = scripted.state["last"]["form"]
        return form.get("audience"), form.get("organization")

    assert asked(None) == (None, None)
    assert asked({"audience": "one"}) == ("one", None)
    assert asked({"organization": b"two"}) == (None, "two")
    assert asked(MappingProxyType({"audience": "one", "organization": "two"})) == ("one", "two")
    assert with_provider.token("a", "s", {"audience": "one", "organization": None}).cache_status == "HIT"
    assert with_provider.token("a", "s", args={}).cache_status == "HIT"
    assert with_provider.authenticate(query="client_id=a&client_secret=s", args={"audience": "one"}).cache_status == "HIT"


@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        ({"scope": "x"}, ValueError, "no argument \"scope\" in its token_post_args_host"),
        ({"audience": 5}, TypeError, "must be str, bytes or bytearray, not int"),
        ({5: "x"}, TypeError, "str"),
        ("audience", TypeError, "Mapping"),
    ],
)
def test_invalid_args_raise(scripted: Scripted, args: Any, error: type, message: str) -> None:
    with_provider = credgate.Gate(
        issuer=scripted.issuer, allow_loopback_http=True, token_post_args_host=["audience"]
    )
    with pytest.raises(error, match=message):
        with_provider.token("a", "s", args)
    with pytest.raises(error, match=message):
        with_provider.authenticate(args=args)


def test_half_a_pair_of_credentials_raises() -> None:
    with_provider = gate("https://idp.example")
    for half in ({"client_id": "a"}, {"client_secret": "s"}):
        with pytest.raises(ValueError, match="client_id and client_secret must be passed together"):
            with_provider.authenticate(**half)
        with pytest.raises(ValueError, match="client_id and client_secret must be passed together"):
            with_provider.token(**half)


@pytest.mark.parametrize("settings", [{}, {"anonymous": True}, {"token_post_args_host": ["tenant"]}])
def test_a_gate_without_a_client_of_its_own_gives_no_token_without_credentials(settings: dict[str, Any]) -> None:
    with_provider = gate("https://idp.example", **settings)
    message = "the gate has no client of its own: pass client_id and client_secret, or set client_id"
    for call in (with_provider.token, with_provider.check, lambda: asyncio.run(with_provider.token_async())):
        with pytest.raises(ValueError, match=message):
            call()


def test_headers_that_are_no_pairs_are_a_type_error() -> None:
    named = gate("https://idp.example", client_id_header="X-Id", client_secret_header="X-Secret")
    for wrong in ({"X-Id": "id"}, ["X-Id"], [("X-Id", 5)]):
        with pytest.raises(TypeError, match=r"headers must be pairs of name and value, .* pass headers.items\(\)"):
            named.authenticate(headers=wrong)  # type: ignore[arg-type]


class Settings(Mapping[str, Any]):
    """A mapping that is not a dict."""

    def __getitem__(self, key: str) -> Any:
        return {"issuer": "https://idp.example", "scopes": ("a", "b")}[key]

    def __iter__(self) -> Iterator[str]:
        return iter(("issuer", "scopes"))

    def __len__(self) -> int:
        return 2


@pytest.mark.parametrize(
    "made",
    [
        lambda: credgate.Gate(issuer="https://idp.example", scopes=["a", "b"]),
        lambda: credgate.Gate({"issuer": "https://idp.example", "scopes": ("a", "b")}),
        lambda: credgate.Gate(config={"issuer": "https://idp.example", "scopes": ["a", "b"]}),
        lambda: credgate.Gate('{"issuer": "https://idp.example", "scopes": ["a", "b"]}'),
        lambda: credgate.Gate(Settings()),
        lambda: credgate.Gate({"name": "openid-connect", "config": {"issuer": "https://idp.example", "scopes": "a b".split()}}),
    ],
    ids=["settings", "dict", "config", "json", "mapping", "kong"],
)
def test_a_configuration_may_be_keywords_a_mapping_or_json(made: Any) -> None:
    config = made().config
    assert (config["issuer"], config["scopes"]) == ("https://idp.example", ["a", "b"])


@pytest.mark.parametrize(
    ("made", "error", "message"),
    [
        (lambda: credgate.Gate(), credgate.ConfigError, "issuer"),
        (lambda: credgate.Gate({}, issuer="https://idp.example"), TypeError, "not both"),
        (lambda: credgate.Gate({"issuer": object()}), TypeError, "fspath|path|PathLike|serializable"),
        (lambda: credgate.Gate(issuer="https://idp.example", leeway=float("nan")), ValueError, "JSON compliant"),
        (lambda: credgate.Gate(isuer="https://idp.example"), credgate.ConfigError, 'did you mean "issuer"'),
        (lambda: credgate.Gate(["issuer"]), TypeError, "must be a mapping or JSON text, not list"),
    ],
)  # fmt: skip
def test_an_invalid_configuration_raises(made: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        made()


def test_a_setting_may_be_a_path_object(tmp_path: Path) -> None:
    with pytest.raises(credgate.ConfigError, match="cannot read") as raised:
        credgate.Gate(issuer="https://idp.example", ssl_trusted_certificate=tmp_path / "absent.pem")
    assert raised.value.code == 2004


def test_the_attributes_of_a_gate() -> None:
    made = credgate.Gate(issuer="https://idp.example", timeout=1500)
    assert made.timeout == 1.5
    assert (made.args, made.warnings) == ([], [])
    assert repr(made) == "<credgate.Gate issuer='https://idp.example'>"
    assert made.config["timeout"] == 1500


def test_wants_body_depends_on_method_media_type_length_and_header() -> None:
    made = gate("https://idp.example", max_body_bytes=100)
    form = "application/x-www-form-urlencoded"
    assert made.wants_body(method="POST", content_type=form)
    assert made.wants_body(method=b"PUT", content_type=b"application/json; charset=utf-8", content_length=100)
    assert not made.wants_body(method="POST", content_type=form, content_length=101)
    assert not made.wants_body(method="POST", content_type=form, content_length=0)
    assert not made.wants_body(method="GET", content_type=form)
    assert not made.wants_body(method="POST", content_type="text/plain")
    assert not made.wants_body(method="POST", content_type=None)
    assert not made.wants_body(method="POST", content_type=form, authorization="Basic YTpi")
    assert made.wants_body(method="POST", content_type=form, authorization="Basic YTpi", content_length=100)
    assert made.wants_body(method="POST", content_type=form, authorization="Bearer t")
    elsewhere = gate("https://idp.example", client_credentials_param_type=["header"])
    assert not elsewhere.wants_body(method="POST", content_type=form)


def test_a_denial_contains_the_response_headers(scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)
    deny = with_provider.authenticate()
    assert not deny.allowed
    assert deny.headers == [
        ("content-type", "application/json; charset=utf-8"),
        ("www-authenticate", 'Basic realm="127.0.0.1", charset="UTF-8"'),
    ]
    scripted.script(status=500)
    deny = with_provider.authenticate(client_id="a", client_secret="s")
    assert not deny.allowed
    assert ("retry-after", "5") in deny.headers
    assert (deny.cause, deny.http_status) == ("provider_failed", 502)
    assert "HTTP 500" in deny.detail


def test_upstream_headers_are_set_or_removed(provider: Provider) -> None:
    claims = {"upstream_headers_names": ["X-Client", "X-Absent"], "upstream_headers_claims": ["client_id", "absent"]}
    allow = gate(provider.issuer, **claims).authenticate(client_id=BOB.id, client_secret=BOB.secret)
    assert allow.allowed
    assert allow.headers == [("authorization", allow.authorization), ("x-client", "bob"), ("x-absent", None)]


def test_outcomes_are_distinguished_by_type_and_by_allowed(scripted: Scripted) -> None:
    with_provider = gate(scripted.issuer)
    for outcome in (with_provider.authenticate(), with_provider.authenticate(client_id="a", client_secret="s")):
        match outcome:
            case credgate.Allow():
                assert outcome.allowed
            case credgate.Deny():
                assert not outcome.allowed


def test_a_gate_can_be_subclassed_and_rejects_new_attributes(scripted: Scripted) -> None:
    class Own(credgate.Gate):
        """A subclass with another method."""

        def bearer(self, client: str) -> str:
            return self.token(client, "s").authorization

    own = Own(issuer=scripted.issuer, allow_loopback_http=True)
    assert own.bearer("a") == "Bearer token-of-a"
    with pytest.raises(AttributeError):
        gate(scripted.issuer).issuer = "x"  # type: ignore[attr-defined]


def test_a_hit_reuses_the_string_of_its_token_until_a_purge(scripted: Scripted) -> None:
    with_provider = fresh_gate(scripted.issuer)
    first = with_provider.token("a", "s").authorization
    assert with_provider.token("a", "s").authorization is first
    outcome = with_provider.authenticate(client_id="a", client_secret="s")
    assert outcome.allowed and outcome.authorization is first and outcome.headers[0][1] is first
    held = sys.getrefcount(first)
    with_provider.purge("a")
    assert sys.getrefcount(first) == held - 1
    assert outcome.authorization == "Bearer token-of-a"


def test_each_of_many_tokens_has_its_own_string(scripted: Scripted) -> None:
    with_provider = fresh_gate(scripted.issuer, refusals_per_gate=0)
    ids = [f"client{number}" for number in range(600)]
    for _ in range(2):
        values = [with_provider.token(client, "s").authorization for client in ids]
        assert values == [f"Bearer token-of-{client}" for client in ids]


def test_threads_that_share_a_token_get_its_string(scripted: Scripted) -> None:
    with_provider = fresh_gate(scripted.issuer)

    def values(_: int) -> set[str]:
        return {with_provider.token(f"client{number % 3}", "s").authorization for number in range(3000)}

    with ThreadPoolExecutor(8) as pool:
        assert set().union(*pool.map(values, range(8))) == {f"Bearer token-of-client{number}" for number in range(3)}
