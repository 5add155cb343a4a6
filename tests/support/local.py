"""A server in the test's own process that answers with the test's own code."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass
class Seen:
    """A received request."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def authorization(self) -> str | None:
        return self.headers.get("authorization")


@dataclass
class Local:
    """The server's address and the requests that it received."""

    port: int
    seen: list[Seen] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


Answer = tuple[int, dict[str, str], Any]


@contextmanager
def serving(answer: Callable[[Seen], Answer]) -> Iterator[Local]:
    """Responds with a status, headers and a body: bytes, or pieces after which the connection closes."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            body = b""
            if "content-length" in self.headers:
                body = self.rfile.read(int(self.headers["content-length"]))
            while "chunked" in self.headers.get("transfer-encoding", ""):
                size = int(self.rfile.readline(), 16)
                body += self.rfile.read(size)
                self.rfile.readline()
                if not size:
                    break
            headers = {name.lower(): value for name, value in self.headers.items()}
            seen = Seen(self.command, self.path, headers, body)
            local.seen.append(seen)
            status, sent, content = answer(seen)
            self.send_response(status)
            pieces = content
            if isinstance(content, bytes):
                sent = {**sent, "Content-Length": str(len(content))}
                pieces = [content]
            else:
                self.close_connection = True
            for name, value in sent.items():
                self.send_header(name, value)
            self.end_headers()
            for piece in pieces:
                self.wfile.write(piece)
                self.wfile.flush()

        do_GET = do_POST = do_HEAD = do_PUT = handle_one

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

    server = Server(("127.0.0.1", 0), Handler)
    local = Local(server.server_port)
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield local
    finally:
        server.shutdown()
        thread.join(30)
        server.server_close()
