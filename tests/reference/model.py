"""The verdict on a request, written a second time from the documentation alone.

`verdict` says which credentials a request has, or why it is denied; `key`, which requests share a token; `served_until`, how
long a gate serves it; `policy`, whether a gate accepts it. Nothing here knows the library.
"""

from __future__ import annotations

import binascii
import json
import re
from dataclasses import dataclass
from typing import Any, List, NamedTuple, Optional, Tuple

STATUS = {
    "no_credentials": 401,
    "empty_credential": 401,
    "malformed_basic": 400,
    "malformed_parameter": 400,
    "incomplete_pair": 400,
    "repeated_parameter": 400,
    "two_places": 400,
    "invalid_characters": 400,
    "too_long": 400,
    "client_not_allowed": 403,
    "token_insufficient": 403,
    "token_invalid": 401,
    "token_unverifiable": 502,
}
MAX_TOGETHER, MAX_ARGS, MAX_TOKEN = 2048, 16, 16384
TEN_YEARS = 10 * 365 * 86400
# The age, in seconds, at which a token that is not trusted is replaced.
REPLACED_AFTER = 5
BODY_METHODS = (b"POST", b"PUT", b"PATCH")
FORM, JSON = b"application/x-www-form-urlencoded", b"application/json"
# The claim of each kind of requirement, and the settings that can change a token.
DEFAULT_CLAIM = {"audience": "aud", "scopes": "scope", "roles": "roles", "groups": "groups"}
SHARED = (
    "issuer",
    "scopes",
    "audience",
    "cache_tokens_salt",
    "token_post_args",
    "token_headers",
    "token_post_args_client",
    "token_post_args_host",
    "client_id",
    "client_secret",
)
ID, SECRET = b"client_id", b"client_secret"


Pair = Tuple[bytes, bytes]
Parameters = List[Tuple[Optional[bytes], Any, Optional[bytes]]]


class Denied(NamedTuple):
    """A denial: the cause, and another that would be as good, if there is one."""

    cause: str
    other: str = ""

    @property
    def http_status(self) -> int:
        return STATUS[self.cause]


class Passes(NamedTuple):
    """The request goes on without a token."""

    cache_status: str


class Found(NamedTuple):
    """The credentials of a request, their place, and the arguments of the token request that come with it."""

    source: str
    client_id: bytes
    client_secret: bytes
    args: tuple[tuple[bytes, bytes], ...] = ()


@dataclass
class Request:
    """A request as a host passes it on. None: there is no such part."""

    method: bytes = b"GET"
    authorization: bytes | None = None
    query: bytes | None = None
    content_type: bytes | None = None
    body: bytes | None = None
    client_id: bytes | None = None
    client_secret: bytes | None = None
    client_id_header: bytes | None = None
    client_secret_header: bytes | None = None
    repeated: bool = False
    args: tuple[bytes, ...] = ()


class Gate:
    """A configuration, with its defaults. `is_check`: of the service that other proxies ask."""

    def __init__(self, config: dict[str, Any], is_check: bool = False) -> None:
        get = config.get
        default = ["header", "query", "body"] + ["headers"] * ("client_id_header" in config)
        self.methods = get("auth_methods", ["client_credentials"])
        exchanges = "client_credentials" in self.methods
        self.places = frozenset(get("client_credentials_param_type", default) if exchanges else ())
        self.client_args = [name.encode() for name in get("token_post_args_client", [])]
        if is_check:
            self.places &= {"header", "headers"}
            self.client_args = []
        self.host_args = [name.encode() for name in get("token_post_args_host", [])]
        self.basic_is_form = get("basic_encoding", "raw") == "form"
        self.max_body_bytes = get("max_body_bytes", 65536)
        self.preflight_passes = not get("run_on_preflight", True)
        self.anonymous = get("anonymous", False)
        allowed = get("clients_allowed")
        self.clients_allowed = None if allowed is None else [pattern(text) for text in allowed]
        self.key = json.dumps([get(name) for name in SHARED])
        self.verify_claims = get("verify_claims", True)
        self.issuers = get("issuers_allowed") or [config["issuer"]]
        self.leeway = get("leeway", 0)
        self.margin = get("leeway", 0) + get("eagerly_expire", 5)
        self.caches = get("cache_tokens", True)
        self.cache_ttl = get("cache_ttl", 3600)
        self.cache_ttl_max = get("cache_ttl_max", float("inf"))
        self.requested = " ".join(get("scopes", ["openid"]))
        self.audience = " ".join(get("audience", []))
        self.fixed_args = tuple(get("token_post_args", {}).items())
        self.forbidden = get("claims_forbidden", [])
        self.scopes_claim = get("scopes_claim")
        self.required = [
            (kind, get(f"{kind}_claim", [DEFAULT_CLAIM[kind]]), [set(one.split()) for one in get(f"{kind}_required")])
            for kind in DEFAULT_CLAIM
            if get(f"{kind}_required")
        ]
        self.searches_body = bool(self.client_args) or ("body" in self.places and not config.get("client_id"))
        self.own = tuple(one(config[name]).encode() for name in ("client_id", "client_secret") if name in config) or None


def one(value: Any) -> Any:
    """Returns the only element of a list, as Kong writes it, or the value itself."""
    return value[0] if isinstance(value, list) else value


MEMORIES: list[dict[bytes, Any]] = []


def remembered(function: Any) -> Any:
    """Remembers the last results of a function: the same parts occur in many requests."""
    known: dict[bytes, Any] = {}

    def remember(text: bytes) -> Any:
        if text in known:
            return known[text]
        if len(known) > 8192:
            known.clear()
        known[text] = result = function(text)
        return result

    MEMORIES.append(known)
    return remember


def pattern(text: str) -> Any:
    """Compiles an element of clients_allowed: `*` matches any characters."""
    return re.compile(b".*".join(re.escape(part.encode()) for part in text.split("*")), re.DOTALL)


def verdict(gate: Gate, request: Request) -> Denied | Passes | Found:
    """Returns the credentials of a request, or the gate's decision without them."""
    if gate.preflight_passes and request.method == b"OPTIONS":
        return Passes("PREFLIGHT")
    try:
        found = search(gate, request, Room())
        if found.source != "token" and not allows(gate, found.client_id):
            raise Fault("client_not_allowed")
        return found
    except Fault as fault:
        if gate.anonymous and STATUS[fault.cause] == 401:
            return Passes("ANONYMOUS")
        return Denied(fault.cause, fault.other)


def allows(gate: Gate, client_id: bytes) -> bool:
    if gate.clients_allowed is None:
        return True
    return any(allowed.fullmatch(client_id) for allowed in gate.clients_allowed)


class Fault(Exception):
    """The first fault of a request. Another cause is as good, if there is one."""

    def __init__(self, cause: str, other: str = "") -> None:
        self.cause, self.other = cause, other


class Malformed(NamedTuple):
    """A value that does not decode, or is not a string. The bytes before its fault are at most this long."""

    length: int


class Room:
    """Counts the bytes of decoded values: no more than a request may have."""

    def __init__(self) -> None:
        self.left = MAX_TOGETHER + 1

    def take(self, value: bytes | Malformed) -> bytes:
        if isinstance(value, Malformed):
            raise Fault("malformed_parameter", "too_long" if value.length > self.left else "")
        self.left -= len(value)
        if self.left < 0:
            raise Fault("too_long")
        return value


def search(gate: Gate, request: Request, room: Room) -> Found:
    """Returns the credentials of a request."""
    if request.client_id is not None:
        pair, source = (request.client_id, request.client_secret), "host"
    elif gate.own:
        pair, source = gate.own, "host"
    elif "host" in gate.places:
        raise Fault("no_credentials")
    else:
        pair, source = search_places(gate, request, room)
        if source == "token":
            return Found("token", pair, b"")
    args = caller_args(gate, request, room)
    for name, value in zip(gate.host_args, request.args):
        if value:
            args.append((name, room.take(value)))
    if len(args) > MAX_ARGS:
        raise Fault("too_long")
    for _, value in args:
        try:
            value.decode()
        except UnicodeDecodeError:
            raise Fault("malformed_parameter") from None
    for half in pair:
        if not half:
            raise Fault("empty_credential")
        if not is_printable(half):
            raise Fault("invalid_characters")
    together = len(pair[0]) + (len(pair[1]) if pair is not gate.own else 0)
    for _, value in args:
        together += len(value)
    if together > MAX_TOGETHER:
        raise Fault("too_long")
    return Found(source, *pair, tuple(args))


def search_places(gate: Gate, request: Request, room: Room) -> Any:
    """Searches the places in their order. Returns a pair and its place, or a token and "token"."""
    found = None
    for source, place in PLACES:
        try:
            pair = place(gate, request, room)
        except Fault as fault:
            if found and found[1] != "token" and "too_long" in (fault.cause, fault.other):
                raise Fault("two_places", fault.cause if fault.other else "") from None
            raise
        if pair and found:
            raise Fault("two_places")
        if pair:
            found = pair, source
    if not found:
        raise Fault("no_credentials")
    return found


# The places. Each returns a pair, or None.

_PRINTABLE = re.compile(rb"[\x20-\x7e]*")
_TOKEN = re.compile(rb"[A-Za-z0-9._~+/-]+=*")


@remembered
def is_printable(text: bytes) -> bool:
    return _PRINTABLE.fullmatch(text) is not None


def bearer(gate: Gate, request: Request, room: Room) -> bytes | None:
    if "bearer" not in gate.methods:
        return None
    token = after_scheme(request.authorization, b"bearer")
    if token is not None and (len(token) > MAX_TOKEN or not _TOKEN.fullmatch(token)):
        raise Fault("token_invalid")
    return token


def named_headers(gate: Gate, request: Request, room: Room) -> Pair | None:
    if "headers" not in gate.places:
        return None
    if request.repeated:
        raise Fault("repeated_parameter")
    first, second = request.client_id_header, request.client_secret_header
    if first is None and second is None:
        return None
    if first is None or second is None:
        raise Fault("incomplete_pair")
    return room.take(first.strip(b" \t")), room.take(second.strip(b" \t"))


def basic(gate: Gate, request: Request, room: Room) -> Pair | None:
    text = after_scheme(request.authorization, b"basic") if "header" in gate.places else None
    if text is None:
        return None
    pair = decoded_base64(text)
    if pair is None:
        raise Fault("malformed_basic", "too_long" if len(text) * 3 // 4 > room.left - 3 else "")
    client_id, colon, secret = room.take(pair).partition(b":")
    if not colon:
        raise Fault("empty_credential")
    if gate.basic_is_form:
        client_id, secret = decoded(client_id), decoded(secret)
        if client_id is None or secret is None:
            raise Fault("malformed_basic")
    return client_id, secret


def query(gate: Gate, request: Request, room: Room) -> Pair | None:
    if "query" not in gate.places or request.query is None:
        return None
    return pair_of(form(request.query), room)


def body(gate: Gate, request: Request, room: Room) -> Pair | None:
    return pair_of(body_parameters(gate, request), room) if "body" in gate.places else None


PLACES = (("token", bearer), ("headers", named_headers), ("header", basic), ("query", query), ("body", body))


def after_scheme(value: bytes | None, wanted: bytes) -> bytes | None:
    """Returns the rest of an Authorization header, if it has this scheme."""
    if value is None:
        return None
    scheme, rest = scheme_and_rest(value)
    return rest if scheme == wanted else None


@remembered
def scheme_and_rest(value: bytes) -> tuple[bytes, bytes]:
    scheme, _, rest = value.strip(b" \t").partition(b" ")
    return scheme.lower(), rest.lstrip(b" ")


_BASE64 = re.compile(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


@remembered
def decoded_base64(text: bytes) -> bytes | None:
    """Base64 with padding, and with zero bits at its end (RFC 4648 sections 3.2 and 3.5)."""
    if not _BASE64.fullmatch(text):
        return None
    pair = binascii.a2b_base64(text)
    return pair if binascii.b2a_base64(pair, newline=False) == text else None


def wants_body(gate: Gate, request: Request, length: int) -> bool:
    """Returns whether a host must read the body of a request; a length of -1 is unknown."""
    if not gate.searches_body or length == 0 or length > gate.max_body_bytes or not body_kind(request):
        return False
    schemes = [b"basic"] * ("header" in gate.places) + [b"bearer"] * ("bearer" in gate.methods)
    decides = any(after_scheme(request.authorization, scheme) is not None for scheme in schemes)
    if "headers" in gate.places:
        decides = decides or request.client_id_header is not None or request.client_secret_header is not None
    return length >= 0 or bool(gate.client_args) or not decides


def pair_of(parameters: Parameters, room: Room) -> Pair | None:
    """Returns the pair among the parameters of a place."""
    names, values = {ID: 0, SECRET: 0}, {}
    for name, value, half in parameters:
        if half:
            if name == half and half not in values:
                values[half] = room.take(value)
            names[half] += 1
    if not values:
        return None
    if max(names.values()) > 1:
        raise Fault("repeated_parameter")
    if len(values) < 2:
        raise Fault("incomplete_pair")
    return values[ID], values[SECRET]


def half_of(name: bytes | None) -> bytes | None:
    """Returns the half that a parameter is, or may be for another parser: CLIENT_ID and client_id[] are client_id."""
    stem = (name or b"").partition(b"[")[0].lower()
    return stem if stem in (ID, SECRET) else None


def caller_args(gate: Gate, request: Request, room: Room) -> list[Any]:
    """Returns the arguments of the token request that the client has set."""
    if not gate.client_args:
        return []
    args: list[Any] = []
    parameters = (form(request.query) if request.query else []) + body_parameters(gate, request)
    for wanted in gate.client_args:
        before = len(args)
        for name, value, _ in parameters:
            if name == wanted and room.take(value):
                args.append((name, value))
                if len(args) > MAX_ARGS:
                    raise Fault("too_long")
        if wanted == b"scope" and len(args) > before + 1:
            raise Fault("repeated_parameter")
    return args


# Parameters: names, values, and the half of a pair that each is. A name that does not decode is None.


def body_parameters(gate: Gate, request: Request) -> Parameters:
    text = request.body
    if not text or len(text) > gate.max_body_bytes:
        return []
    kind = body_kind(request)
    return form(text) if kind == FORM else members(text) if kind == JSON else []


def body_kind(request: Request) -> bytes | None:
    """Returns the media type of a body that is searched."""
    media = media_type(request.content_type or b"")
    return media if media in (FORM, JSON) and request.method in BODY_METHODS else None


@remembered
def media_type(value: bytes) -> bytes:
    return value.partition(b";")[0].strip().lower()


@remembered
def form(text: bytes) -> Parameters:
    parameters = []
    for part in text.split(b"&"):
        name, _, value = part.partition(b"=")
        name, text = decoded(name), decoded(value)
        parameters.append((name, Malformed(len(value)) if text is None else text, half_of(name)))
    return parameters


def decoded(text: bytes) -> bytes | None:
    """Decodes a form's text: `+` is a space, `%` begins an escape."""
    if b"+" in text:
        text = text.replace(b"+", b" ")
    if b"%" not in text:
        return text
    first, *rest = text.split(b"%")
    parts = [first]
    for part in rest:
        escape = _HEX.get(part[:2])
        if escape is None:
            return None
        parts.append(escape)
        parts.append(part[2:])
    return b"".join(parts)


_DIGITS = "0123456789abcdefABCDEF"
_HEX = {(high + low).encode(): bytes((int(high + low, 16),)) for high in _DIGITS for low in _DIGITS}


_TOKENS = re.compile(
    r'[ \t\n\r]*([{}\[\],:]|"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|true|false|null'
    r"|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)[ \t\n\r]*"
)
VALUE, VALUE_OR_END, NAME, NAME_OR_END, COLON, COMMA_OR_END, END = range(7)


@remembered
def members(text: bytes) -> Parameters:
    """Returns the top-level members of a JSON object (RFC 8259), however deep; nothing for any other text."""
    found: list[tuple[str, str]] = []
    opened: list[str] = []
    state, name, at = VALUE, "", 0
    try:
        whole = text.decode()
    except UnicodeDecodeError:
        return []
    while at < len(whole):
        match = _TOKENS.match(whole, at)
        if match is None:
            return []
        token, at = match[1], match.end()
        first = token[0]
        if not opened and (first != "{" or state == END):
            return []
        if first in "}]":
            empty = NAME_OR_END if first == "}" else VALUE_OR_END
            if (opened.pop() == "{") != (first == "}") or state not in (empty, COMMA_OR_END):
                return []
            state = COMMA_OR_END if opened else END
        elif first == "," and state == COMMA_OR_END:
            state = NAME if opened[-1] == "{" else VALUE
        elif first == ":" and state == COLON:
            state = VALUE
        elif first == '"' and state in (NAME, NAME_OR_END):
            name, state = token if len(opened) == 1 else name, COLON
        elif first not in ",:" and state in (VALUE, VALUE_OR_END):
            if len(opened) == 1:
                found.append((name, token))
            if first in "{[":
                opened.append(first)
                state = NAME_OR_END if first == "{" else VALUE_OR_END
            else:
                state = COMMA_OR_END
        else:
            return []
    if state != END:
        return []
    parameters = []
    for name, value in found:
        text = string(name)
        name = None if isinstance(text, Malformed) else text
        parameters.append((name, string(value), half_of(name)))
    return parameters


def string(token: str) -> bytes | Malformed:
    """Decodes a string, which must not have an unpaired surrogate."""
    if token[0] != '"':
        return Malformed(0)
    try:
        return json.loads(token).encode()
    except UnicodeEncodeError:
        return Malformed(len(token.encode()))


# Tokens.


@dataclass
class Token:
    """A token as the provider issued it, between two moments."""

    text: bytes
    response: dict[str, Any]
    claims: dict[str, Any] | None
    requested: str
    earliest: float
    latest: float


def key(gate: Gate, found: Found) -> Any:
    """Returns everything that can change a token: requests with the same share one."""
    return gate.key, found.client_id, found.client_secret, found.args


def token_request(gate: Gate, found: Found) -> list[list[str]]:
    """Returns the parameters that the provider gets."""
    args = [(name.decode(), value.decode()) for name, value in found.args]
    fixed = [("scope", requested_scope(gate, found)), ("audience", gate.audience), *gate.fixed_args]
    pair = [("client_id", found.client_id.decode()), ("client_secret", found.client_secret.decode())]
    pairs = [*fixed, *pair, ("grant_type", "client_credentials"), *(arg for arg in args if arg[0] != "scope")]
    return [list(pair) for pair in pairs if pair[1]]


def requested_scope(gate: Gate, found: Found) -> str:
    """Returns the scope of the request, which replaces the configured ones."""
    return next((value.decode() for name, value in found.args if name == b"scope"), gate.requested)


def served_until(gate: Gate, token: Token, issued: float) -> float:
    """Returns the end of the time for which a gate serves a token that was issued at that time."""
    if not gate.caches:
        return 0
    exp = (token.claims or {}).get("exp")
    left = exp - issued if number(exp) else None
    stated = token.response.get("expires_in")
    if stated is None:
        life = gate.cache_ttl if left is None else left
    else:
        try:
            life = float(stated)
        except (TypeError, ValueError):
            return 0
    if not 0 < life <= TEN_YEARS:
        return 0
    if left is not None:
        life = min(life, left)
    return issued + min(life - gate.margin, gate.cache_ttl_max)


def policy(gate: Gate, token: Token, now: float) -> str | None:
    """Returns the cause for which a gate denies a token, or None."""
    if not verifies(gate, token, now):
        return "token_unverifiable"
    return None if suffices(gate, token) else "token_insufficient"


def verifies(gate: Gate, token: Token, now: float) -> bool:
    """Returns whether issuer and times of a token are right; an opaque token has none."""
    claims = token.claims
    if claims is None or not gate.verify_claims:
        return True
    if claims.get("iss") not in gate.issuers:
        return False
    if any(name in claims and not number(claims[name]) for name in ("exp", "nbf", "iat")):
        return False
    exp, nbf = claims.get("exp"), claims.get("nbf")
    return (exp is None or now < exp + gate.leeway) and (nbf is None or now >= nbf - gate.leeway)


def suffices(gate: Gate, token: Token) -> bool:
    """Returns whether a token has the claims that a gate requires, and none that it forbids."""
    claims = token.claims
    if gate.forbidden and (claims is None or any(name in claims for name in gate.forbidden)):
        return False
    return all(
        any(element <= values(gate, token, kind, path) for element in elements) for kind, path, elements in gate.required
    )


def number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def values(gate: Gate, token: Token, kind: str, path: list[str]) -> set[str]:
    """Returns the values of a claim: an array of strings, or one string with values separated by spaces."""
    if kind == "scopes":
        path = gate.scopes_claim or (["scope"] if token.claims is None or "scope" in token.claims else ["scp"])
        if token.claims is None:
            scope = token.response.get("scope", token.requested) if path == ["scope"] else ""
            return set(scope.split())
    value: Any = token.claims
    for name in path:
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and name.isdigit() and 0 < int(name) <= len(value):
            value = value[int(name) - 1]
        else:
            return set()
    if isinstance(value, str):
        return set(value.split())
    return {one for one in value if isinstance(one, str)} if isinstance(value, list) else set()
