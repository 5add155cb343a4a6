"""Random gates, and random requests for them: well-formed places, their mutations, and the limits of the documentation."""

from __future__ import annotations

import base64
import random
from typing import Any

from .model import Request

IDS = [
    b"alice",
    b"a",
    b"b",
    b"ab",
    b"bob",
    b"a b",
    b"a+b",
    b"a%62",
    b"ALICE",
    b"x-y",
    b"client:1",
    b'"q\\',
    b" a",
    b"~!",
    b"abc",
    b"id7",
    b"id8",
    b"id9",
    b"c1",
    b"c2",
    b"c3",
    b"c4",
]
COMMON = [b"s", b"s3cret"]
SECRETS = [*COMMON * 5, b"b:s", b"s+t", b"s%74", b"&=", b'\\"', b"s ", b"/?#", b":"]
EDGES = [b"", b"\x7f", b"\x1f", b"\x00", b"\xc3\xa9", b"\xff", b"\xc0\xaf", b"\n", b"\t", b"a\x80"]
NOISE = [
    b"x=1",
    b"",
    b"=",
    b"x",
    b"client=2",
    b"client_ids=3",
    b"client_id%20=4",
    b"%=5",
    b"y=%zz",
    b"CLIENT_ID=6",
    b"_client_id=7",
    b"client_id%00=8",
    b"client%zzid=9",
    b"q=client_id%3Dx%26client_secret%3Dy",
    b"z=%ff",
    b"client_secret;=1",
    b"client-id=1",
]
ARGS = [b"audience", b"scope", b"resource", b"org"]
ARG_VALUES = [b"", b"https://a.example", b"read", b"read write", b"a+b", b"caf\xc3\xa9", b"\xff", b"x\x00", b"1", b"%41"]
FORM, JSON = b"application/x-www-form-urlencoded", b"application/json"
TYPES = [
    b"application/x-www-form-urlencoded; charset=utf-8",
    b"Application/X-WWW-Form-Urlencoded",
    b"application/json;charset=utf-8",
    b"APPLICATION/JSON",
    b" application/json ",
    b"application/json\t;x",
    b"application/jsonp",
    b"application/problem+json",
    b"text/plain",
    b"",
    b"multipart/form-data; boundary=x",
    b"application/x-www-form-urlencoded, application/json",
    b"application/x-www-form-urlencodedx",
    b";application/json",
    b"application /json",
    b"application/json;",
]
SCHEMES = [
    b"",
    b" ",
    b"Bearer abc",
    b"Digest x=1",
    b"Basic",
    b"bearer",
    b"Bearer",
    b"Basi",
    b"Negotiate YQ==",
    b"Bearer a=b",
    b"BEARER  abc-._~+/9==",
    b"Bearer abc def",
    b"Bearer " + b"x" * 16384,
    b"Bearer " + b"x" * 16385,
]
HOST_VALUES = [b"", b"t1", b"t2", b"a b", b"\xc3\xa9", b"\xff"]
STOCK = 400
METHODS = [b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"HEAD", b"post", b"", b"POST ", b"CONNECT", b"QUERY"]
REST = [
    b'"a":1',
    b'"n":null',
    b'"o":{"client_id":"in"}',
    b'"l":[1,2.5e3,-0,{"client_secret":"in"}]',
    b'"client_ids":"x"',
    b'"":""',
    b'"u":"\\u00e9\\ud83d\\ude00"',
    b'"Client_Id":"x"',
    b'"t":true',
    b'"x":"\\ud800"',
    b'"s":"\xc3\xa9"',
    b'"bad":"\xff"',
    b'"e":1e999',
    b'"z":01',
    b'"q":"\t"',
    b'"i":12345678901234567890123456789',
    b'"c":"\\x41"',
    b"'a':1",
    b'"nan":NaN',
    b'"client_id\\u0000":"x"',
]


class Generator:
    """Draws everything from one seed.

    A request is put together from stocks of parts. With one request in four, one part of one stock is replaced by a new one:
    drawing a part costs more than all the rest, and the same part means something else beside others and at other gates.
    """

    def __init__(self, seed: Any, issuer: str) -> None:
        self.issuer = issuer
        self.rng = random.Random(seed)
        self.random = self.rng.random
        self.stocks = [[draw() for _ in range(STOCK)] for draw in self.draws()]

    def draws(self) -> list[Any]:
        return [self.authorization, self.form, self.form, self.json, self.headers, self.pair]

    def renew(self) -> None:
        number = int(self.random() * len(self.stocks))
        self.stocks[number][int(self.random() * STOCK)] = self.draws()[number]()

    def pair(self) -> tuple[bytes, bytes]:
        """Returns an id and a secret, sometimes outside of the limits."""
        client_id, secret = self.one(IDS), self.one(SECRETS)
        draw = self.random()
        if draw < 0.06:
            return self.edge(client_id), secret
        if draw < 0.12:
            return client_id, self.edge(secret)
        if draw < 0.15:
            return self.long(client_id)
        return client_id, secret

    def one(self, options: Any) -> Any:
        return options[int(self.random() * len(options))]

    def likely(self, chance: float) -> bool:
        return self.random() < chance

    # Gates.

    def config(self, salts: list[str]) -> tuple[dict[str, Any], bool]:
        """Returns a configuration, and whether the gate is that of the service that other proxies ask."""
        one, likely = self.one, self.likely
        config: dict[str, Any] = {"issuer": self.issuer, "allow_loopback_http": True, "refresh_ahead": 1}
        config["cache_tokens_salt"] = one(salts)
        config["verify_signature"] = False
        is_check = False
        kind = self.random()
        if kind < 0.05:
            config |= {"client_id": "gateway", "client_secret": "its own"}
        elif kind < 0.1:
            config["client_credentials_param_type"] = ["host"]
        else:
            if likely(0.35):
                config |= {"client_id_header": "X-Client-Id", "client_secret_header": "X-Client-Secret"}
            places = [place for place in ("header", "query", "body", "headers") if likely(0.6)]
            if "client_id_header" not in config and "headers" in places:
                places.remove("headers")
            if places and likely(0.5):
                config["client_credentials_param_type"] = places
                if "headers" not in places:
                    config.pop("client_id_header", None), config.pop("client_secret_header", None)
            if likely(0.3):
                config["basic_encoding"] = "form"
            if likely(0.2):
                config["max_body_bytes"] = one([40, 60, 64, 100, 1000])
            if likely(0.4):
                config["token_post_args_client"] = self.some(["audience", "scope", "resource", "org"])
            if likely(0.3):
                config["clients_allowed"] = self.some(
                    ["alice", "a*", "*b", "*", "i*7", "*a*b*", "c?", "ALICE", "a b", "**", "id[79]", "c.", "client:1"]
                )
            if likely(0.12):
                config["anonymous"] = True
            if likely(0.1):
                config["auth_methods"] = ["client_credentials", "bearer"]
                config["verify_signature"] = True
                config["ignore_signature"] = ["client_credentials"]
        if likely(0.15):
            config["run_on_preflight"] = False
        if likely(0.15):
            config["token_post_args_host"] = ["tenant", "resource"][: one([1, 2])]
            config["token_post_args_client"] = [name for name in config.get("token_post_args_client", []) if name != "resource"]
        self.token_request(config)
        fixed = {"audience", *config.get("token_post_args", ())} if "audience" in config else {*config.get("token_post_args", ())}
        config["token_post_args_client"] = [name for name in config.get("token_post_args_client", ()) if name not in fixed]
        self.requirements(config)
        if {"header", "headers"} & set(config.get("client_credentials_param_type", ["header"])) and "client_id" not in config:
            is_check = likely(0.1)
        return config, is_check

    def some(self, options: list[Any]) -> list[Any]:
        return [option for option in options if self.likely(0.4)] or [self.one(options)]

    def token_request(self, config: dict[str, Any]) -> None:
        one, likely = self.one, self.likely
        if likely(0.3):
            config["scopes"] = one([[], ["read"], ["read", "write"], ["write", "read"], ["openid"]])
        if likely(0.2):
            config["audience"] = one([["https://a.example"], ["https://b.example"]])
        if likely(0.1):
            config["token_post_args"] = one([{"org": "1"}, {"org": "2"}])
        if likely(0.1):
            config["token_headers"] = one([{"x-a": "1"}, {"x-a": "2"}])

    def requirements(self, config: dict[str, Any]) -> None:
        one, likely = self.one, self.likely
        for name, chance, options in (
            (
                "audience_required",
                0.15,
                [["https://a.example"], ["https://a.example https://b.example"], ["x", "https://b.example"]],
            ),
            ("scopes_required", 0.2, [["read"], ["read write"], ["admin", "read write"], ["5"], ["openid"]]),
            ("roles_required", 0.1, [["r1"], ["r1 r2"], ["r2", "r3"], ["3"]]),
            ("groups_required", 0.1, [["g1"], ["g1 g2"], ["g2"]]),
            ("claims_forbidden", 0.1, [["admin"], ["scp"], ["nothing"]]),
            ("issuers_allowed", 0.2, [[self.issuer, self.issuer + "/", "https://other.example"], ["https://other.example"]]),
            (
                "roles_claim",
                0.4,
                [["realm_access", "roles"], ["realm_access", "1", "roles"], ["realm_access", "2"], ["roles", "r1"]],
            ),
            ("scopes_claim", 0.2, [["scope"], ["scp"], ["response", "scope"]]),
            ("leeway", 0.15, [2, 30]),
            ("eagerly_expire", 0.15, [0, 1, 8]),
            ("cache_ttl", 0.1, [7, 100]),
            ("cache_ttl_max", 0.15, [1, 6, 60]),
            ("verify_claims", 0.1, [False]),
            ("cache_tokens", 0.04, [False]),
        ):
            if likely(chance):
                config[name] = one(options)
        if config.get("verify_claims") is False:
            config.pop("issuers_allowed", None)
            if "auth_methods" in config:
                config.pop("verify_claims")

    # Requests.

    @staticmethod
    def kinds(config: dict[str, Any]) -> list[int]:
        """Returns the numbers of the stocks that a gate searches."""
        default = ["header", "query", "body", "headers"] if "client_id_header" in config else ["header", "query", "body"]
        places = config.get("client_credentials_param_type", default)
        numbers = {"header": [0], "query": [1], "body": [2, 3], "headers": [4]}
        return [number for place in places for number in numbers.get(place, [])] or list(range(5))

    def request(self, config: dict[str, Any], kinds: list[int]) -> Request:
        if self.random() < 0.25:
            self.renew()
        draw, one = self.random, self.one
        headers, query, form, json, named, supplied = self.stocks
        request = Request(b"GET" if draw() < 0.5 else one(METHODS))
        places, chance = 1, draw()
        if chance < 0.05:
            places = 0
        elif chance > 0.88:
            places = 2 if chance < 0.97 else 3
        for _ in range(places):
            kind = one(kinds) if draw() < 0.8 else int(draw() * 5)
            if kind == 0:
                request.authorization = one(headers)
            elif kind == 1:
                request.query = one(query)
            elif kind == 2:
                request.body, request.content_type = one(form), FORM
            elif kind == 3:
                request.body, request.content_type = one(json), JSON
            else:
                request.client_id_header, request.client_secret_header = one(named)
                request.repeated = draw() < 0.03
        if request.body is not None:
            if draw() < 0.9:
                request.method = METHODS[1 + int(draw() * 3)]
            if draw() < 0.1:
                request.content_type = one(TYPES)
        if request.query is None and draw() < 0.15:
            request.query = self.noise()
        if request.authorization is None and draw() < 0.05:
            request.authorization = one(SCHEMES)
        if draw() < 0.02 or ("host" in config.get("client_credentials_param_type", ()) and draw() < 0.7):
            request.client_id, request.client_secret = one(supplied)
        request.args = one(HOST_VALUES), one(HOST_VALUES)
        return request

    def edge(self, text: bytes) -> bytes:
        at = int(self.random() * (len(text) + 1))
        return one_of(self.random(), [text[:at] + self.one(EDGES) + text[at:], self.one(EDGES)])

    def long(self, client_id: bytes) -> tuple[bytes, bytes]:
        total = 2046 + int(self.random() * 5)
        left = self.one([1, 2, 1000, len(client_id), total - 1])
        return (client_id + b"x" * total)[:left], b"y" * (total - left)

    def authorization(self) -> bytes:
        one, likely = self.one, self.likely
        client_id, secret = self.pair()
        if likely(0.2):
            client_id, secret = self.escaped(client_id), self.escaped(secret)
        pair = client_id + b":" + secret
        if likely(0.05):
            pair = one(
                [client_id, secret + client_id, client_id + b":", b":" + secret, b":", b"", pair + b":" + pair, pair + b"\n"]
            )
        text = base64.b64encode(pair)
        if likely(0.05):
            text = one(
                [
                    text.rstrip(b"="),
                    text + b"=",
                    base64.urlsafe_b64encode(pair),
                    text.replace(b"=", b"%3D"),
                    text + b" ",
                    text[:-1],
                    text + b"A",
                    b" " + text,
                    text + b", " + text,
                    text[:4] + b"\r\n" + text[4:],
                    pair,
                    text + text,
                    text + b"\n",
                    self.last_bits(text),
                ]
            )
        scheme = (
            b"Basic "
            if likely(0.8)
            else one(
                [
                    b"basic ",
                    b"BASIC ",
                    b"bAsIc  ",
                    b" Basic ",
                    b"\tBasic ",
                    b"Basic",
                    b"Basic\t",
                    b"Basic:",
                    b"Basicx ",
                    b"Bearer ",
                    b"Basic \t",
                    b"\xa0Basic ",
                    b"\nBasic ",
                    b"Basic   ",
                    b"B asic ",
                ]
            )
        )
        return self.mutated(scheme + text + (b"" if likely(0.97) else one([b" ", b"\t", b"\n", b"\0", b" \t "])))

    def last_bits(self, text: bytes) -> bytes:
        """Changes the last character before the padding: perhaps only bits that encode nothing."""
        kept = text.rstrip(b"=")
        return kept[:-1] + self.one([b"A", b"B", b"Q", b"R", b"/", b"+"]) + text[len(kept) :]

    def escaped(self, text: bytes) -> bytes:
        """Encodes a form's text: all bytes that need it, and a few more."""
        draw, chance = self.random, 0.5 if self.likely(0.05) else 0.0
        parts = []
        for byte in text:
            if byte == 0x20:
                parts.append(b"+" if draw() < 0.6 else b"%20")
            elif byte in b"&=+%#" or byte < 0x20 or byte > 0x7E or (chance and draw() < chance):
                parts.append(b"%%%02X" % byte if draw() < 0.5 else b"%%%02x" % byte)
            else:
                parts.append(b"%c" % byte)
        escaped = b"".join(parts)
        if draw() < 0.01:
            at = int(draw() * (len(escaped) + 1))
            escaped = (
                escaped[:at]
                + self.one([b"%", b"%2", b"%zz", b"%2z", b"%%", b"%u0041", b"% 1", b"%+1", b"%00", b"%c3%a9", b"%ff", b"%0a"])
                + escaped[at:]
            )
        return escaped

    def parameter(self, name: bytes, value: bytes) -> bytes:
        draw = self.random()
        if draw < 0.08:
            name = b"".join(b"%%%02x" % byte if self.random() < 0.3 else b"%c" % byte for byte in name)
        elif draw < 0.09:
            name = self.one(
                [
                    name.upper(),
                    name + b"%20",
                    b"+" + name,
                    name.replace(b"_", b"-"),
                    name + b"[]",
                    name + b"%00",
                    name + b"%",
                    b"\0" + name,
                ]
            )
        if draw > 0.97:
            return name + b"=" + value
        if draw > 0.96:
            return name
        return name + b"=" + self.escaped(value)

    def form(self) -> bytes:
        one, likely = self.one, self.likely
        client_id, secret = self.pair()
        first, second = self.parameter(b"client_id", client_id), self.parameter(b"client_secret", secret)
        pairs = [first, second] if likely(0.8) else [second, first]
        if likely(0.06):
            pairs.insert(
                int(self.random() * 3),
                one([first, second, self.parameter(b"client_id", one(IDS)), self.parameter(b"client_secret", b"")]),
            )
        if likely(0.06):
            pairs.pop(int(self.random() * len(pairs)))
        while likely(0.25):
            pairs.insert(int(self.random() * (len(pairs) + 1)), self.noise())
        separator = b"&" if likely(0.97) else one([b";", b"&&", b"&amp;", b" & ", b"\n", b"%26"])
        return self.mutated(separator.join(pairs))

    def noise(self) -> bytes:
        if self.likely(0.5):
            return self.parameter(self.one(ARGS), self.one(ARG_VALUES))
        return self.one(NOISE)

    def string(self, text: bytes) -> bytes:
        """Encodes a JSON string; bytes above ASCII stay as they are."""
        draw, chance = self.random, 0.5 if self.likely(0.1) else 0.0
        parts = []
        for byte in text:
            if byte in b'"\\':
                parts.append(b"\\%c" % byte if draw() < 0.8 else b"\\u%04x" % byte)
            elif byte < 0x20 or (chance and byte < 0x80 and draw() < chance):
                parts.append(b"\\u%04X" % byte)
            else:
                parts.append(b"%c" % byte)
        return b'"' + b"".join(parts) + b'"'

    def json(self) -> bytes:
        one, likely = self.one, self.likely
        client_id, secret = self.pair()
        first, second = self.string(client_id), self.string(secret)
        if likely(0.05):
            wrong = one([b"null", b"1", b"true", b"[]", b"{}", b'["x"]', b'""', b"", b'"\\ud800"', b'"\\u00e9"', b'"x" "y"'])
            first, second = (wrong, second) if likely(0.5) else (first, wrong)
        colon = b":" if likely(0.8) else one([b" : ", b":\n", b"\t:", b": "])
        parts = [self.string(b"client_id") + colon + first, self.string(b"client_secret") + colon + second]
        if likely(0.2):
            parts.reverse()
        if likely(0.06):
            parts.insert(int(self.random() * 3), one([parts[0], parts[1], b'"client_id":null', b'"client_secret":"s"']))
        if likely(0.06):
            parts.pop(int(self.random() * len(parts)))
        while likely(0.3):
            value = self.string(one(ARG_VALUES)) if likely(0.9) else one([b"null", b"[]", b"1", b'["a"]'])
            part = one(REST) if likely(0.5) else b'"' + one(ARGS) + b'":' + value
            parts.insert(int(self.random() * (len(parts) + 1)), part)
        text = b"{" + (b"," if likely(0.9) else b" , ").join(parts) + b"}"
        if likely(0.05):
            text = one(
                [
                    text + b" ",
                    b"\n" + text,
                    b"\xef\xbb\xbf" + text,
                    text + b"x",
                    text + text,
                    b"[" + text + b"]",
                    text[:-1],
                    text[:-1] + b",}",
                    text + b"\0",
                    b"/**/" + text,
                    b"\x0b" + text,
                    text.decode("latin-1").encode("utf-16-le"),
                    b"null",
                    b'"x"',
                    b"",
                    text[:-1]
                    + b',"d":'
                    + self.one([b"[" * 200 + b"]" * 200, b"[" * 4000 + b"]" * 4000, b"[" * 200 + b"]" * 199])
                    + b"}",
                ]
            )
        return self.mutated(text)

    def headers(self) -> tuple[bytes | None, bytes | None]:
        one = self.one
        client_id, secret = self.pair()
        first: bytes | None = client_id
        second: bytes | None = secret
        if self.likely(0.15):
            first, second = one(
                [
                    (None, secret),
                    (client_id, None),
                    (b"", secret),
                    (client_id, b""),
                    (b"", b""),
                    (b" " + client_id + b"\t", secret),
                    (client_id, secret + b" "),
                    (client_id + b", " + client_id, secret),
                    (b" ", b" "),
                    (None, None),
                    (b"", None),
                ]
            )
        return first, second

    def mutated(self, text: bytes) -> bytes:
        """Changes bytes at random, in one of twelve texts."""
        while self.likely(0.08):
            at, kind = int(self.random() * (len(text) + 1)), int(self.random() * 6)
            to = min(len(text), at + 1 + int(self.random() * 4))
            if kind == 0:
                text = text[:at] + text[to:]
            elif kind == 1:
                text = text[:at] + bytes((int(self.random() * 256),)) + text[at + 1 :]
            elif kind == 2:
                text = text[:at] + bytes((int(self.random() * 256),)) + text[at:]
            elif kind == 3:
                text = text[:to] + text[at:]
            elif kind == 4:
                text = (
                    text[:at]
                    + self.one([b"&", b"=", b"%", b"+", b'"', b"\\", b",", b":", b"\0", b"\xff", b" ", b"\xc3\xa9", b"{", b"}"])
                    + text[at:]
                )
            else:
                text = text[:at]
        return text


def one_of(draw: float, options: list[Any]) -> Any:
    return options[int(draw * len(options))]
