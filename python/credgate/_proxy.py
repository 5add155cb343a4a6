"""`python -m credgate proxy`: a small reverse proxy, to try a gate without nginx."""

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
# C0 and C1: a terminal obeys them.
CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
# RFC 9110, section 7.6.1; and what has been answered here.
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
A small reverse proxy for development: it does what the nginx module does, for one upstream, on
this machine. It speaks no TLS itself, and closes each connection after its answer.
"""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser("proxy", help="try a gate without nginx", description=DESCRIPTION)
    _arguments.add_to(parser)
    parser.add_argument("--upstream", required=True, metavar="URL", help="where requests go")
    parser.add_argument(
        "--listen",
        default="127.0.0.1:8000",
        metavar="HOST:PORT",
        help="where it listens (127.0.0.1:8000; port 0 takes any that is free)",
    )
    parser.add_argument(
        "--optional", action="store_true", help="let requests without credentials pass, too"
    )
    parser.set_defaults(run=run, parser=parser)


def run(options: argparse.Namespace) -> int:
    """Serve until somebody stops it."""
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
        _arguments.wrong(options, "--listen: must be HOST:PORT, the port 65535 at most")
    guarded = Middleware(Forward(upstream), gate, optional=options.optional)
    try:
        server = Server((listen.hostname, listen.port), Handler)
    except OSError as error:
        _arguments.wrong(options, f"--listen {options.listen}: {error}")
    server.set_app(answering_malformed(without_hop_by_hop(guarded)))
    with server:
        here = f"http://{listen.hostname}:{server.server_port}"
        say(_welcome(here, gate, options, is_local=is_here(listen.hostname)))
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("\nStopped.")
    return 0


def _url(text: str) -> SplitResult | None:
    """Answer the parts of a URL; None where its host or its port cannot be."""
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError:
        return None
    return url


def _welcome(here: str, gate: credgate.Gate, options: argparse.Namespace, *, is_local: bool) -> str:
    settings = f"--config {options.config}" if options.config else "..."
    lines = [
        f"credgate {credgate.__version__}: {here} -> {options.upstream}, for development.",
        f"Credentials are exchanged at {gate.config['issuer']}.",
        "",
        "Try, in another terminal:",
        f'    curl -i -u "$CLIENT_ID:$CLIENT_SECRET" {here}/',
        f"    curl -i {here}/",
        "",
        "What the provider does with these settings, step by step:",
        f'    python -m credgate check {settings} --client-id "$CLIENT_ID"',
        "",
        "Ctrl-C ends it. What comes:",
    ]
    if not is_local:
        lines.insert(
            1,
            "It listens beyond this machine, and without TLS: everybody on the way reads secrets.",
        )
    return "\n".join(lines)


def say(text: str) -> None:
    """Print at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class Server(socketserver.ThreadingMixIn, WSGIServer):
    """One thread for each connection."""

    daemon_threads = True

    def server_bind(self) -> None:
        """Listen, without asking the name service who this is."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Say nothing where a client has left."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Handler(WSGIRequestHandler):
    """One request."""

    path = "-"  # where a first line has none

    def setup(self) -> None:
        """Begin."""
        super().setup()
        self.started = time.monotonic()
        self.told: dict[str, Any] = {}

    def get_environ(self) -> WSGIEnvironment:
        """Answer what WSGI says of a request, and what it does not: its target as it was sent."""
        environ = super().get_environ()
        if "Content-Type" not in self.headers:
            del environ["CONTENT_TYPE"]  # invented
        environ["REQUEST_URI"] = self.path
        environ["credgate.proxy"] = self.told
        if self.is_chunked:
            environ["wsgi.input_terminated"] = True
            environ.pop("CONTENT_LENGTH", None)
        return environ

    def finish(self) -> None:
        """End, once the client has the answer: what it still sends would reset the connection."""
        super().finish()
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(LINGER)
            for _ in range(MOST_PIECES):
                if not self.connection.recv(PIECE):
                    break

    @property
    def is_chunked(self) -> bool:
        """Tell whether the body comes in chunks."""
        return "Transfer-Encoding" in self.headers

    def handle(self) -> None:
        """Serve one request, as the standard library does, whose body may come in chunks."""
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
        answer: Any = self.wfile
        environ = self.get_environ()
        handler = ServerHandler(stream, answer, self.get_stderr(), environ, multithread=True)
        handler.request_handler = self  # type: ignore[attr-defined]
        handler.os_environ = {}  # else this process's HTTP_PROXY would be a header of the request
        handler.run(self.server.get_app())  # type: ignore[attr-defined]

    def log_request(self, code: int | str = "-", _size: int | str = "-") -> None:
        """Tell what became of a request; nothing of a secret."""
        took = round((time.monotonic() - self.started) * 1000)
        outcome = self.told.get("outcome")
        who = f"{outcome.client_id or '-'} {outcome.cache_status}" if outcome else "-"
        line = f"{code} {self.command or '-'} {redacted(self.path)} {who} {took} ms"
        say(line.translate(CONTROLS))

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002, ANN401
        """Log nothing as it came."""


class Chunks:
    """The body of a request that comes in chunks (RFC 9112, section 7.1)."""

    def __init__(self, stream: io.BufferedIOBase) -> None:
        """Read from a connection."""
        self._stream = stream
        self._left = 0
        self._ended = False

    def read(self, size: int = -1) -> bytes:
        """Answer up to `size` bytes; none at the end."""
        read = bytearray()
        while size < 0 or len(read) < size:
            if not self._left and not self._next():
                break
            piece = self._stream.read(min(self._left, PIECE if size < 0 else size - len(read)))
            if not piece:
                message = "The body ends within a chunk"
                raise MalformedError(message)
            read += piece
            self._left -= len(piece)
            if not self._left and self._stream.read(2) != b"\r\n":
                message = "A chunk of the body does not end where its size says"
                raise MalformedError(message)
        return bytes(read)

    def _next(self) -> bool:
        if not self._ended:
            line = self._stream.readline(LONGEST_LINE)
            size = line[:-2].partition(b";")[0].rstrip(b" \t")
            if not line.endswith(b"\r\n") or not CHUNK_SIZE.fullmatch(size):
                message = "The size of a chunk of the body is none"
                raise MalformedError(message)
            self._left = int(size, 16)
            self._ended = self._left == 0
        return not self._ended


class MalformedError(Exception):
    """A request is not what HTTP has."""


def answering_malformed(app: WSGIApplication) -> WSGIApplication:
    """Answer what is malformed, whoever finds it."""

    def served(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            return app(environ, start_response)
        except MalformedError as error:
            return _answer(start_response, "400 Bad Request", str(error))

    return served


def without_hop_by_hop(app: WSGIApplication) -> WSGIApplication:
    """Take away what is for this connection alone, before a gate sets anything."""

    def served(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        named = {name.strip().lower() for name in environ.get("HTTP_CONNECTION", "").split(",")}
        for name in HOP_BY_HOP | (named - {"authorization"}):
            environ.pop(variable(name), None)
        return app(environ, start_response)

    return served


class Forward:
    """The application behind the gate: sends requests upstream."""

    def __init__(self, upstream: SplitResult) -> None:
        """Send them there."""
        self._upstream = upstream

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Send one, and give its answer back as it comes."""
        environ["credgate.proxy"]["outcome"] = environ["credgate.outcome"]
        target = environ["REQUEST_URI"]
        if not target.startswith("/"):
            message = "The target must be a path"
            raise MalformedError(message)
        connection = self._connect()
        try:
            response = self._send(connection, environ, target)
        except MalformedError:
            connection.close()
            raise
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            return _answer(
                start_response, "502 Bad Gateway", f"The upstream does not answer: {error}"
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
            message = "The method, the target or a header holds what none can hold"
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
    """Answer a request's headers as they go upstream; who asked is told anew."""
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


def _body(stream: Any, size: int | None) -> Iterator[bytes]:  # noqa: ANN401 - what WSGI has
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


def _answer(start_response: StartResponse, status: str, message: str) -> Iterable[bytes]:
    body = json.dumps({"message": message}).encode()
    headers = [
        ("content-type", "application/json; charset=utf-8"),
        ("content-length", str(len(body))),
    ]
    start_response(status, headers)
    return [body]
