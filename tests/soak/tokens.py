"""Tokens that say to whom the provider has issued them, so that nobody needs a table of them."""

import hmac
import itertools
import os
import time
from dataclasses import dataclass, field

import jwt

from support import keys

KEY = "p256"
PRIVATE = (keys.KEYS / f"{KEY}.pem").read_text()
STRANGER = (keys.KEYS / "ed25519.pem").read_text()
KID = str(keys.public(KEY)["kid"])


@dataclass(frozen=True)
class Grant:
    """The content of a token. Times are Unix times in seconds."""

    client: str
    scope: str
    issued: float
    expires: float
    number: int


@dataclass
class Mint:
    """Issues tokens, opaque or signed, and recognizes its own."""

    issuer: str
    key: bytes = field(default_factory=lambda: os.urandom(32))
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def opaque(self, client: str, scope: str, life: int) -> str:
        now = int(time.time() * 1000)
        text = f"{client}~{scope}~{now}~{now + life * 1000}~{next(self.numbers)}"
        return f"{text}~{self._mac(text)}"

    def signed(self, client: str, scope: str, life: int) -> str:
        return jwt.encode(self._claims(client, scope, life), PRIVATE, "ES256", {"kid": KID})

    def forged(self, client: str, scope: str) -> str:
        """The right claims and `kid`, and the signature of a key that is not the provider's."""
        return jwt.encode(self._claims(client, scope, 3600), STRANGER, "EdDSA", {"kid": KID})

    def read(self, token: str) -> Grant | None:
        """None for a token that this mint has not issued."""
        text = _jti(token) if token.count(".") == 2 else token
        text, _, mac = text.rpartition("~")
        if not hmac.compare_digest(mac, self._mac(text)):
            return None
        client, scope, issued, expires, number = text.split("~")
        return Grant(client, scope, int(issued) / 1000, int(expires) / 1000, int(number))

    def _claims(self, client: str, scope: str, life: int) -> dict[str, object]:
        now = int(time.time())
        about = {"iss": self.issuer, "sub": client, "client_id": client, "scope": scope}
        return {**about, "iat": now, "exp": now + life, "jti": self.opaque(client, scope, life)}

    def _mac(self, text: str) -> str:
        return hmac.digest(self.key, text.encode(), "sha256")[:12].hex()


def _jti(token: str) -> str:
    try:
        return str(jwt.decode(token, options={"verify_signature": False})["jti"])
    except (jwt.InvalidTokenError, KeyError):
        return ""
