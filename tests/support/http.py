"""A client that sends exact bytes, with a deadline for every wait."""

import base64
import http.client
import json
import re
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

TIMEOUT = 30.0
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}

Body = bytes | str | Iterable[bytes] | None


@dataclass(frozen=True)
class Answer:
    """A complete response."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name: str) -> str | None:
        return next(iter(self.all(name)), None)

    def json(self) -> Any:
        return json.loads(self.body)


class Connection:
    """One keep-alive connection."""

    def __init__(self, port: int, *, tls: ssl.SSLContext | None = None, timeout: float = TIMEOUT):
        if tls:
            self.raw: http.client.HTTPConnection = http.client.HTTPSConnection(
                "127.0.0.1", port, timeout=timeout, context=tls
            )
        else:
            self.raw = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)

    def send(
        self, target: str = "/", *, method: str = "GET", headers: Mapping[str, str] | None = None, body: Body = None
    ) -> None:
        """`body` is chunked when it is an iterable of pieces."""
        if isinstance(body, str):
            body = body.encode()
        headers = dict(headers or {})
        self.raw.request(method, target, body, headers, encode_chunked="Transfer-Encoding" in headers)

    def receive(self) -> Answer:
        response = self.raw.getresponse()
        return Answer(response.status, response.getheaders(), response.read())

    def ask(self, target: str = "/", **request: Any) -> Answer:
        self.send(target, **request)
        return self.receive()

    def close(self) -> None:
        self.raw.close()


def ask(port: int, target: str = "/", *, tls: ssl.SSLContext | None = None, **request: Any) -> Answer:
    """One request on a connection of its own."""
    connection = Connection(port, tls=tls)
    try:
        return connection.ask(target, **request)
    finally:
        connection.close()


@dataclass(frozen=True)
class Client:
    """A headless client: its id and secret, and the four ways to present them."""

    id: str
    secret: str

    @property
    def pair(self) -> str:
        return base64.b64encode(f"{self.id}:{self.secret}".encode()).decode()

    @property
    def basic(self) -> dict[str, str]:
        return {"Authorization": f"Basic {self.pair}"}

    @property
    def parameters(self) -> str:
        return f"client_id={quote(self.id, safe='')}&client_secret={quote(self.secret, safe='')}"

    @property
    def document(self) -> str:
        return json.dumps({"client_id": self.id, "client_secret": self.secret, "keep": 1})

    def wrong(self) -> "Client":
        """The same client with a wrong secret."""
        return Client(self.id, f"wrong{self.secret}")

    def request(self, source: str, target: str = "/") -> dict[str, Any]:
        """Arguments for `ask` that present the credentials in `source`: header, query, form or json."""
        match source:
            case "header":
                return {"target": target, "headers": self.basic}
            case "query":
                return {"target": f"{target}?{self.parameters}&keep=1"}
            case "form":
                return {"target": target, "method": "POST", "headers": FORM, "body": f"{self.parameters}&keep=1"}
            case "json":
                return {"target": target, "method": "POST", "headers": JSON, "body": self.document}
        raise ValueError(source)

    def spellings(self) -> set[bytes]:
        """Every encoding of the secret that Credgate may meet."""
        secret = self.secret
        every_byte = "".join(f"%{byte:02X}" for byte in secret.encode())
        texts = {
            secret,
            max(re.findall(r"\w+", secret), key=len),
            quote(secret, safe=""),
            quote(secret, safe="").lower(),
            json.dumps(secret)[1:-1],
            every_byte,
            every_byte.lower(),
            self.pair,
        }
        return {text.encode() for text in texts}

    def traces(self, *blobs: bytes | str) -> list[bytes]:
        """The encodings of the secret that occur in any of `blobs`; a clean run has none."""
        joined = b"\0".join(blob.encode("latin-1") if isinstance(blob, str) else blob for blob in blobs)
        return [spelling for spelling in self.spellings() if spelling in joined]


SOURCES = ("header", "query", "form", "json")
