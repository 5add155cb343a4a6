"""HTTP/2 with prior knowledge on one connection: enough to abort a stream and to keep using the others."""

import socket
from collections.abc import Mapping

import h2.config
import h2.connection
import h2.events
import hpack

from support.http import TIMEOUT, Answer

GOAWAY = 7


class H2Connection:
    """Streams are numbers: `send` opens one, `receive` waits for its response, `cancel` resets it."""

    def __init__(self, port: int = 0, *, over: socket.socket | None = None, silent: bool = False):
        """A `silent` connection sends nothing before the first request."""
        self.socket = over or socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
        config = h2.config.H2Configuration(client_side=True, header_encoding="latin-1")
        self.state = h2.connection.H2Connection(config)
        self.state.initiate_connection()
        self.streams: dict[int, Answer] = {}
        self.ended: set[int] = set()
        self.received = b""
        if not silent:
            self._flush()

    def send(
        self,
        target: str = "/",
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | str | None = None,
        told: bool = True,
    ) -> int:
        """Without `told`, no content-length announces the body."""
        stream = self.state.get_next_available_stream_id()
        # An indexed field stays in the tables of both sides as long as the connection lives.
        path = hpack.NeverIndexedHeaderTuple(":path", target)
        head = [(":method", method), (":scheme", "http"), (":authority", "127.0.0.1"), path]
        for name, value in (headers or {}).items():
            kind = hpack.NeverIndexedHeaderTuple if "secret" in name.lower() else hpack.HeaderTuple
            head.append(kind(name.lower(), value))
        data = body.encode() if isinstance(body, str) else body
        if data is not None and told:
            head.append(("content-length", str(len(data))))
        self.state.send_headers(stream, head, end_stream=data is None)
        if data is not None:
            most = self.state.max_outbound_frame_size
            for start in range(0, len(data), most):
                self.state.send_data(stream, data[start : start + most])
            self.state.end_stream(stream)
        self._flush()
        return stream

    def receive(self, stream: int) -> Answer:
        while stream not in self.ended:
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError("the server closed the connection")
            for event in self.state.receive_data(self._without_goaway(data)):
                self._note(event)
            self._flush()
        return self.streams[stream]

    def _without_goaway(self, data: bytes) -> bytes:
        """Reads whole frames. After GOAWAY a server finishes its streams, but the library would stop reading."""
        self.received += data
        frames = b""
        while len(self.received) >= 9:
            end = 9 + int.from_bytes(self.received[:3], "big")
            if len(self.received) < end:
                break
            if self.received[3] != GOAWAY:
                frames += self.received[:end]
            self.received = self.received[end:]
        return frames

    def ask(self, target: str = "/", **request: object) -> Answer:
        return self.receive(self.send(target, **request))  # type: ignore[arg-type]

    def cancel(self, stream: int) -> None:
        self.state.reset_stream(stream)
        self._flush()

    def close(self) -> None:
        self.socket.close()

    def _note(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived():
                pairs = [(str(name), str(value)) for name, value in event.headers or []]
                self.streams[event.stream_id] = Answer(int(dict(pairs)[":status"]), pairs, b"")
            case h2.events.DataReceived():
                old = self.streams[event.stream_id]
                self.streams[event.stream_id] = Answer(old.status, old.headers, old.body + (event.data or b""))
                self.state.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
            case h2.events.StreamEnded():
                self.ended.add(event.stream_id)
            case h2.events.StreamReset():
                raise ConnectionError(f"stream {event.stream_id} was reset")

    def _flush(self) -> None:
        self.socket.sendall(self.state.data_to_send())
