"""Gates in a Python process: a location for each, as in the configurations of the other hosts.

    python -m faults.python_host PORT UPSTREAM GATES [ENGINE]

GATES is a file with settings by name, ENGINE one with the options of the engine. `/NAME` is guarded by the gate of that
name, and forwards to the upstream. `/metrics` and `/purge` are as in nginx.
"""

import http.client
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import credgate


def main(port: int, upstream: int, gates_file: Path, engine_file: Path | None) -> None:
    if engine_file:
        credgate.configure(**json.loads(engine_file.read_text()))
    gates = {name: credgate.Gate(settings) for name, settings in json.loads(gates_file.read_text()).items()}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/metrics":
                return self.respond(200, {}, credgate.metrics().encode())
            outcome = gates[self.path[1:]].authenticate(authorization=self.headers["Authorization"])
            status = {"X-Credgate-Status": outcome.cache_status}
            if not outcome.allowed:
                cause = {"X-Credgate-Cause": outcome.cause}
                return self.respond(outcome.http_status, dict(outcome.headers) | status | cause, outcome.body.encode())
            connection = http.client.HTTPConnection("127.0.0.1", upstream)
            connection.request("GET", self.path, headers={name: value for name, value in outcome.headers if value})
            self.respond(200, status, connection.getresponse().read())
            connection.close()

        def do_POST(self) -> None:
            credgate.purge()
            self.respond(200, {}, b"{}")

        def respond(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 1024

    Server(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]) if sys.argv[4:] else None)
