"""Applications behind a gate that echo the requests they receive. The servers of the tests run them.

CREDGATE_CONFIG is the path of the gate's configuration. With CREDGATE_WARM, a token is requested before workers are forked.
The loggers named in CREDGATE_FILTERED get a filter. A request for /raise raises an exception.
"""

import json
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import credgate
import credgate.asgi
import credgate.wsgi

GATE = credgate.Gate(Path(os.environ["CREDGATE_CONFIG"]).read_text())
if "CREDGATE_WARM" in os.environ:
    GATE.authenticate(authorization=os.environ["CREDGATE_WARM"])

for name in os.environ.get("CREDGATE_FILTERED", "").split():
    logging.getLogger(name).addFilter(credgate.LogFilter())


def shown(scope: Any) -> dict[str, Any]:
    if scope.get("path", scope.get("PATH_INFO")) == "/raise":
        raise RuntimeError("requested by the test")
    outcome = scope["credgate.outcome"]
    return {
        "client": scope["credgate.client_id"],
        "claims": scope["credgate.claims"],
        "cache_status": outcome.cache_status,
        "pid": os.getpid(),
    }


async def asgi_echo(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        return
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept", "headers": [(b"x-client", scope["credgate.client_id"].encode())]})
        await send({"type": "websocket.close", "code": 1000})
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    echo = {
        **shown(scope),
        "method": scope["method"],
        "query": scope["query_string"].decode("latin-1"),
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]],
        "body": body.decode("latin-1"),
    }
    status = int(dict(echo["headers"]).get("x-status", "200"))
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(echo).encode()})


def wsgi_echo(environ: Any, start_response: Any) -> Iterable[bytes]:
    size = environ.get("CONTENT_LENGTH")
    stream = environ["wsgi.input"]
    body = stream.read() if environ.get("wsgi.input_terminated") else stream.read(int(size or 0))
    headers = [[name[5:].replace("_", "-").lower(), value] for name, value in environ.items() if name.startswith("HTTP_")]
    echo = {
        **shown(environ),
        "method": environ["REQUEST_METHOD"],
        "query": environ["QUERY_STRING"],
        "targets": [environ[name] for name in ("RAW_URI", "REQUEST_URI") if name in environ],
        "headers": [*headers, ["content-length", size]],
        "body": body.decode("latin-1"),
    }
    start_response(f"{environ.get('HTTP_X_STATUS', 200)} Echoed", [("content-type", "application/json")])
    return [json.dumps(echo).encode()]


asgi = credgate.asgi.Middleware(asgi_echo, GATE)
asgi_optional = credgate.asgi.Middleware(asgi_echo, GATE, optional=True)
wsgi = credgate.wsgi.Middleware(wsgi_echo, GATE)
wsgi_optional = credgate.wsgi.Middleware(wsgi_echo, GATE, optional=True)
