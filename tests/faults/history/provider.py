"""The provider of a history. It responds after a random time, and writes down every token that it grants.

    python -m faults.history.provider PORT FILE
"""

import asyncio
import json
import os
import random
import sys
import time
from urllib.parse import parse_qsl

from faults.history import LIFE
from faults.replies import JSON, message

LONGEST = 0.03
"""The longest time of an exchange, in seconds."""


def operation_of(headers: bytes) -> str:
    """The operation in the traceparent: 8 digits of a worker, 4 of a thread, 20 of a number."""
    _, _, rest = headers.lower().partition(b"traceparent: 00-")
    trace = rest[:32].decode()
    return "-".join(str(int(part, 16)) for part in (trace[:8], trace[8:12], trace[12:]))


class Provider(asyncio.Protocol):
    """One connection. `number` counts the tokens of all of them."""

    number = 0
    file = -1
    issuer = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport, self.received = transport, b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        _, _, length = head.lower().partition(b"content-length: ")
        if not end or len(body) < int(length.partition(b"\r\n")[0] or 0):
            return
        self.received = b""
        if head.startswith(b"GET"):
            methods = ["client_secret_post"]
            metadata = {"issuer": self.issuer, "token_endpoint": f"{self.issuer}/token"}
            self.respond(200, {**metadata, "token_endpoint_auth_methods_supported": methods})
            return
        form = dict(parse_qsl(body.decode()))
        client, operation = form["client_id"], operation_of(head)
        if form["client_secret"] != f"secret-of-{client}":
            self.respond(401, {"error": "invalid_client"})
            return
        began = time.monotonic_ns()
        key = f"{client}/{form['audience']}"
        asyncio.get_running_loop().call_later(random.uniform(0, LONGEST), self.grant, began, key, operation)

    def grant(self, began: int, key: str, operation: str) -> None:
        Provider.number += 1
        token = f"{key}/{self.number}"
        line = f"exchange {began} {time.monotonic_ns()} {key} {token} {operation}\n"
        os.write(self.file, line.encode())
        self.respond(200, {"access_token": token, "token_type": "Bearer", "expires_in": int(LIFE)})

    def respond(self, status: int, value: dict[str, object]) -> None:
        self.transport.write(message(status, json.dumps(value).encode(), JSON))


async def main(port: int, file: str) -> None:
    Provider.issuer = f"http://127.0.0.1:{port}"
    Provider.file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    server = await asyncio.get_running_loop().create_server(Provider, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
