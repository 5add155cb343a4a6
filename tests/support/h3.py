"""HTTP/3 with one request per connection."""

import asyncio
import ssl
from collections.abc import Mapping
from pathlib import Path

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, H3Event, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, QuicEvent

from support.http import TIMEOUT, Answer


class _Exchange(QuicConnectionProtocol):
    """Collects the response to one request."""

    def __init__(self, *arguments: object, **options: object):
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        self.http = H3Connection(self._quic)
        self.headers: list[tuple[str, str]] = []
        self.body = b""
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def send(self, head: list[tuple[bytes, bytes]], body: bytes | None) -> None:
        stream = self._quic.get_next_available_stream_id()
        self.http.send_headers(stream, head, end_stream=body is None)
        if body is not None:
            self.http.send_data(stream, body, end_stream=True)
        self.transmit()

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, ConnectionTerminated) and not self.ended.done():
            self.ended.set_exception(ConnectionError(event.reason_phrase))
        for http_event in self.http.handle_event(event):
            self._note(http_event)

    def _note(self, event: H3Event) -> None:
        if isinstance(event, HeadersReceived):
            self.headers += [(name.decode(), value.decode("latin-1")) for name, value in event.headers]
        if isinstance(event, DataReceived):
            self.body += event.data
        if isinstance(event, HeadersReceived | DataReceived) and event.stream_ended and not self.ended.done():
            self.ended.set_result(None)


def ask(
    port: int,
    target: str = "/",
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes | str | None = None,
    ca: Path,
) -> Answer:
    """The answer to one request. The server's certificate must be trusted by `ca`."""
    data = body.encode() if isinstance(body, str) else body
    head = {":method": method, ":scheme": "https", ":authority": "localhost", ":path": target}
    head |= {name.lower(): value for name, value in (headers or {}).items()}
    if data is not None:
        head["content-length"] = str(len(data))
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in head.items()]

    async def exchange() -> Answer:
        configuration = QuicConfiguration(alpn_protocols=H3_ALPN, server_name="localhost")
        configuration.verify_mode = ssl.CERT_REQUIRED
        configuration.load_verify_locations(str(ca))
        async with connect("127.0.0.1", port, configuration=configuration, create_protocol=_Exchange) as client:
            assert isinstance(client, _Exchange)
            client.send(encoded, data)
            await client.ended
            (_, status), *rest = client.headers
            return Answer(int(status), rest, client.body)

    return asyncio.run(asyncio.wait_for(exchange(), TIMEOUT))
