"""An API that shows each request as it arrives, on port 8080 of this host.

python upstream.py
"""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Upstream(BaseHTTPRequestHandler):
    """Respond with the request line and the headers."""

    def do_GET(self) -> None:
        """Show a request without a body."""
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(f"{self.requestline}\n{self.headers}".encode())


ThreadingHTTPServer(("127.0.0.1", 8080), Upstream).serve_forever()
