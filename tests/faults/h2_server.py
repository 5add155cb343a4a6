"""An HTTP/2 server whose responses have faults, by name."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

Answer = Callable[[str, dict[str, str], bytes], Awaitable[tuple[dict[str, Any], str | None]]]
"""Takes path, headers and body; returns the usual response, and the name of a fault."""

READY = [(":status", "200"), ("content-type", "application/json")]


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answer) -> None:
    """Serves one connection."""
    config = h2.config.H2Configuration(client_side=False, header_encoding="latin-1", validate_outbound_headers=False)
    state = h2.connection.H2Connection(config)
    state.initiate_connection()
    requests: dict[int, tuple[dict[str, str], bytearray]] = {}
    writer.write(state.data_to_send())
    while data := await reader.read(65536):
        try:
            events = state.receive_data(data)
        except h2.exceptions.ProtocolError:
            return
        for event in events:
            match event:
                case h2.events.RequestReceived():
                    requests[event.stream_id] = dict(event.headers), bytearray()
                case h2.events.DataReceived():
                    requests[event.stream_id][1].extend(event.data)
                    state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                case h2.events.StreamEnded():
                    headers, body = requests.pop(event.stream_id)
                    value, fault = await answer(headers[":path"], headers, bytes(body))
                    if not await respond(state, writer, event.stream_id, json.dumps(value).encode(), fault):
                        return
        writer.write(state.data_to_send())
        await writer.drain()


async def respond(
    state: h2.connection.H2Connection, writer: asyncio.StreamWriter, stream: int, body: bytes, fault: str | None
) -> bool:
    """Sends the response or its fault. False: the connection ends."""
    match fault:
        case None:
            state.send_headers(stream, READY)
            state.send_data(stream, body, end_stream=True)
        case "goaway":
            state.close_connection(last_stream_id=0)
        case "goaway-error":
            state.close_connection(h2.errors.ErrorCodes.INTERNAL_ERROR, last_stream_id=stream)
        case "reset":
            state.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)
        case "refused":
            state.reset_stream(stream, h2.errors.ErrorCodes.REFUSED_STREAM)
        case "http11-required":
            state.reset_stream(stream, h2.errors.ErrorCodes.HTTP_1_1_REQUIRED)
        case "garbage":
            writer.write(state.data_to_send() + b"\xff" * 100)
            await writer.drain()
            return False
        case "headers-only":
            state.send_headers(stream, READY, end_stream=True)
        case "half-body":
            state.send_headers(stream, [*READY, ("content-length", str(len(body)))])
            state.send_data(stream, body[: len(body) // 2])
            writer.write(state.data_to_send())
            await writer.drain()
            return False
        case "half-body-hang":
            state.send_headers(stream, READY)
            state.send_data(stream, body[: len(body) // 2])
        case "huge-headers":
            state.send_headers(stream, [*READY, *((f"x-{number}", "x" * 100) for number in range(3000))])
        case "no-status":
            state.send_headers(stream, READY[1:])
        case "ping-only":
            state.ping(b"12345678")
        case "hang":
            pass
    writer.write(state.data_to_send())
    await writer.drain()
    return fault not in ("goaway", "goaway-error")
