"""`python -m credgate proxy`: a small reverse proxy for trying a gate without nginx."""

from __future__ import annotations

import http
import http.client
import json
import re
import socket
import socketserver
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler, WSGIServer

import credgate
from credgate import _arguments
from credgate._client import is_here
from credgate._middleware import length, redacted, variable
from credgate.wsgi import Middleware

if TYPE_CHECKING:
    import argparse
    import io
    from collections.abc import Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

PIECE = 64 * 1024
LONGEST_LINE = 64 * 1024
CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")
LINGER = 1.0
MOST_PIECES = 256
TIMEOUT = 60
# C0 and C1 control characters, which would control the terminal.
CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
# RFC 9110 section 7.6.1, and Expect, which the proxy handles itself.
HOP_BY_HOP = {
    "connection",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
DESCRIPTION = """\
A small reverse proxy for development. It does what the nginx module does, for one upstream. It
accepts plain HTTP only, and closes each connection after its response.
"""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "proxy", help="run a reverse proxy, to try a gate without nginx", description=DESCRIPTION
    )
    _arguments.add_to(parser)
    parser.add_argument(
        "--upstream", required=True, metavar="URL", help="the URL that requests are forwarded to"
    )
    parser.add_argument(
        "--listen",
        default="127.0.0.1:8000",
        metavar="HOST:PORT",
        help="the address to listen on (default 127.0.0.1:8000; port 0 picks a free port)",
    )
    parser.add_argument(
        "--optional", action="store_true", help="forward requests without credentials too"
    )
    parser.set_defaults(run=run, parser=parser)


def run(options: argparse.Namespace) -> int:
    """Serve until interrupted."""
    config = _arguments.read(options)
    try:
        gate = credgate.Gate(config)
    except credgate.ConfigError as error:
        _arguments.wrong(options, str(error))
    upstream = _url(options.upstream)
    if (
        not upstream
        or upstream.scheme not in {"http", "https"}
        or not upstream.hostname
        or upstream.query
    ):
        _arguments.wrong(options, "--upstream: must be an http:// or https:// URL without a query")
    listen = _url(f"//{options.listen}")
    if not listen or not listen.hostname or listen.port is None:
        _arguments.wrong(options, "--listen: must be HOST:PORT with a port up to 65535")
    guarded = Middleware(Forward(upstream), gate, optional=options.optional)
    try:
        server = Server((listen.hostname, listen.port), Handler)
    except OSError as error:
        _arguments.wrong(options, f"--listen {options.listen}: {error}")
    server.set_app(rejecting_malformed(without_hop_by_hop(guarded)))
    with server:
        here = f"http://{listen.hostname}:{server.server_port}"
        say(_welcome(here, gate, options, is_local=is_here(listen.hostname)))
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("\nStopped.")
    return 0


def _url(text: str) -> SplitResult | None:
    """Return the parts of a URL; None if its host or port is invalid."""
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError:
        return None
    return url


def _welcome(here: str, gate: credgate.Gate, options: argparse.Namespace, *, is_local: bool) -> str:
    settings = f"--config {options.config}" if options.config else "..."
    lines = [
        f"credgate {credgate.__version__}: {here} -> {options.upstream}, for development only.",
        f"Exchanges credentials at {gate.config['issuer']}.",
        "",
        "Try, in another terminal:",
        f'    curl -i -u "$CLIENT_ID:$CLIENT_SECRET" {here}/',
        f"    curl -i {here}/",
        "",
        "Explain how the provider responds to these settings:",
        f'    python -m credgate check {settings} --client-id "$CLIENT_ID"',
        "",
        "Press Ctrl-C to stop. Requests:",
    ]
    if not is_local:
        lines.insert(
            1,
            "WARNING: listens on the network without TLS; anyone on the path can read secrets.",
        )
    return "\n".join(lines)


def say(text: str) -> None:
    """Print and flush."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class Server(socketserver.ThreadingMixIn, WSGIServer):
    """A server with one thread per connection."""

    daemon_threads = True

    def server_bind(self) -> None:
        """Listen, without the reverse DNS lookup of the base class."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Ignore disconnected clients."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Handler(WSGIRequestHandler):
    """Handles one request per connection."""

    path = "-"  # if the request line has none

    def setup(self) -> None:
        """Start the clock."""
        super().setup()
        self.started = time.monotonic()
        self.context: dict[str, Any] = {}

    def get_environ(self) -> WSGIEnvironment:
        """Return the environ, with the original request target."""
        environ = super().get_environ()
        if "Content-Type" not in self.headers:
            del environ["CONTENT_TYPE"]  # a default of the base class
        environ["REQUEST_URI"] = self.path
        environ["credgate.proxy"] = self.context
        if self.is_chunked:
            environ["wsgi.input_terminated"] = True
            environ.pop("CONTENT_LENGTH", None)
        return environ

    def finish(self) -> None:
        """Drain the connection before closing: unread input would reset it."""
        super().finish()
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(LINGER)
            for _ in range(MOST_PIECES):
                if not self.connection.recv(PIECE):
                    break

    @property
    def is_chunked(self) -> bool:
        """Return whether the body is chunked."""
        return "Transfer-Encoding" in self.headers

    def handle(self) -> None:
        """Serve one request as the base class does; its body may be chunked."""
        self.raw_requestline = self.rfile.readline(LONGEST_LINE + 1)
        if len(self.raw_requestline) > LONGEST_LINE:
            self.requestline = self.request_version = self.command = ""
            self.send_error(http.HTTPStatus.REQUEST_URI_TOO_LONG)
            return
        if not self.raw_requestline or not self.parse_request():
            return
        if self.headers.get("Transfer-Encoding", "chunked").lower() != "chunked":
            self.send_error(http.HTTPStatus.NOT_IMPLEMENTED)
            return
        stream: Any = Chunks(self.rfile) if self.is_chunked else self.rfile
        wfile: Any = self.wfile
        environ = self.get_environ()
        handler = ServerHandler(stream, wfile, self.get_stderr(), environ, multithread=True)
        handler.request_handler = self  # type: ignore[attr-defined]
        handler.os_environ = {}  # otherwise this process's HTTP_PROXY becomes a request header
        handler.run(self.server.get_app())  # type: ignore[attr-defined]

    def log_request(self, code: int | str = "-", _size: int | str = "-") -> None:
        """Print one line per request, without secrets."""
        took = round((time.monotonic() - self.started) * 1000)
        outcome = self.context.get("outcome")
        client = f"{outcome.client_id or '-'} {outcome.cache_status}" if outcome else "-"
        line = f"{code} {self.command or '-'} {redacted(self.path)} {client} {took} ms"
        say(line.translate(CONTROLS))

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002, ANN401
        """Log nothing: the arguments may contain secrets."""


class Chunks:
    """A chunked request body (RFC 9112 section 7.1)."""

    def __init__(self, stream: io.BufferedIOBase) -> None:
        """Create it for a connection."""
        self._stream = stream
        self._left = 0
        self._ended = False

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes; none at the end."""
        read = bytearray()
        while size < 0 or len(read) < size:
            if not self._left and not self._next():
                break
            piece = self._stream.read(min(self._left, PIECE if size < 0 else size - len(read)))
            if not piece:
                message = "The body ends inside a chunk"
                raise MalformedError(message)
            read += piece
            self._left -= len(piece)
            if not self._left and self._stream.read(2) != b"\r\n":
                message = "A chunk of the body is longer than its size"
                raise MalformedError(message)
        return bytes(read)

    def _next(self) -> bool:
        if not self._ended:
            line = self._stream.readline(LONGEST_LINE)
            size = line[:-2].partition(b";")[0].rstrip(b" \t")
            if not line.endswith(b"\r\n") or not CHUNK_SIZE.fullmatch(size):
                message = "A chunk of the body has an invalid size"
                raise MalformedError(message)
            self._left = int(size, 16)
            self._ended = self._left == 0
        return not self._ended


class MalformedError(Exception):
    """A request that violates HTTP."""


def rejecting_malformed(app: WSGIApplication) -> WSGIApplication:
    """Turn a MalformedError of the application into a 400."""

    def served(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            return app(environ, start_response)
        except MalformedError as error:
            return _respond(start_response, "400 Bad Request", str(error))

    return served


def without_hop_by_hop(app: WSGIApplication) -> WSGIApplication:
    """Remove hop-by-hop headers before the gate sets its own."""

    def served(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        named = {name.strip().lower() for name in environ.get("HTTP_CONNECTION", "").split(",")}
        for name in HOP_BY_HOP | (named - {"authorization"}):
            environ.pop(variable(name), None)
        return app(environ, start_response)

    return served


class Forward:
    """The application behind the gate: forwards requests to the upstream."""

    def __init__(self, upstream: SplitResult) -> None:
        """Forward to this URL."""
        self._upstream = upstream

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Forward one request and stream the response."""
        environ["credgate.proxy"]["outcome"] = environ["credgate.outcome"]
        target = environ["REQUEST_URI"]
        if not target.startswith("/"):
            message = "The request target must be a path"
            raise MalformedError(message)
        connection = self._connect()
        try:
            response = self._send(connection, environ, target)
        except MalformedError:
            connection.close()
            raise
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            return _respond(
                start_response, "502 Bad Gateway", f"The upstream does not respond: {error}"
            )
        headers = [
            (name, value) for name, value in response.getheaders() if name.lower() not in HOP_BY_HOP
        ]
        start_response(f"{response.status} {response.reason or 'Unknown'}", headers)
        return _pieces(response, connection)

    def _connect(self) -> http.client.HTTPConnection:
        is_tls = self._upstream.scheme == "https"
        kind = http.client.HTTPSConnection if is_tls else http.client.HTTPConnection
        return kind(str(self._upstream.hostname), self._upstream.port, timeout=TIMEOUT)

    def _send(
        self, connection: http.client.HTTPConnection, environ: WSGIEnvironment, target: str
    ) -> http.client.HTTPResponse:
        path = self._upstream.path.rstrip("/") + target
        try:
            connection.putrequest(environ["REQUEST_METHOD"], path, skip_accept_encoding=True)
            for name, value in _headers(environ):
                connection.putheader(name, value.encode("latin-1"))
        except (ValueError, http.client.InvalidURL) as error:
            message = "The method, the request target or a header contains invalid characters"
            raise MalformedError(message) from error
        size = length(environ.get("CONTENT_LENGTH"))
        is_chunked = size is None and environ.get("wsgi.input_terminated", False)
        if is_chunked:
            connection.putheader("Transfer-Encoding", "chunked")
        elif size is not None:
            connection.putheader("Content-Length", str(size))
        connection.endheaders()
        for piece in _body(environ["wsgi.input"], None if is_chunked else size or 0):
            connection.send(b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked else piece)
        if is_chunked:
            connection.send(b"0\r\n\r\n")
        return connection.getresponse()


def _headers(environ: WSGIEnvironment) -> Iterator[tuple[str, str]]:
    """Yield the request's headers for the upstream, with new X-Forwarded headers."""
    ours = {
        "X-Forwarded-For": environ["REMOTE_ADDR"],
        "X-Forwarded-Host": environ.get("HTTP_HOST", ""),
        "X-Forwarded-Proto": "http",
    }
    for key, value in environ.items():
        name = key[5:].replace("_", "-").title()
        if key.startswith("HTTP_") and name not in {"Host", *ours}:
            yield name, value
    if environ.get("CONTENT_TYPE"):
        yield "Content-Type", environ["CONTENT_TYPE"]
    yield from ours.items()


def _body(stream: Any, size: int | None) -> Iterator[bytes]:  # noqa: ANN401 - WSGI does not name the type
    while size is None or size > 0:
        piece = stream.read(PIECE if size is None else min(PIECE, size))
        if not piece:
            break
        yield piece
        size = None if size is None else size - len(piece)


def _pieces(
    response: http.client.HTTPResponse, connection: http.client.HTTPConnection
) -> Iterator[bytes]:
    try:
        while piece := response.read1(PIECE):
            yield piece
    finally:
        connection.close()


def _respond(start_response: StartResponse, status: str, message: str) -> Iterable[bytes]:
    body = json.dumps({"message": message}).encode()
    headers = [
        ("content-type", "application/json; charset=utf-8"),
        ("content-length", str(len(body))),
    ]
    start_response(status, headers)
    return [body]
