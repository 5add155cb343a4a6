"""WSGI middleware: authenticates clients for Flask, Django or any other application.

>>> import credgate, credgate.wsgi
>>> gate = credgate.Gate(issuer="https://tenant.auth0.com/")
>>> def app(environ, start_response): ...
>>> guarded = credgate.wsgi.Middleware(app, gate)
"""

from __future__ import annotations

import http.client
import io
import logging
import sys
from typing import TYPE_CHECKING, Any

from credgate._middleware import (
    DESCRIBING,
    NO_STORE,
    Body,
    Headers,
    check_headers,
    entries,
    hidden,
    length,
    note_denial,
    redacted,
    token_headers,
    variable,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from credgate import Allow, Deny, Gate

__all__ = ["Check", "Middleware", "TokenEndpoint"]

# The variables in which servers put the original request target.
TARGETS = ("RAW_URI", "REQUEST_URI")
PIECE = 16 * 1024
_logger = logging.getLogger(__name__)


class Middleware:
    """Replaces the credentials of requests with a token.

    The environ of the application has `credgate.client_id`, `credgate.claims` and
    `credgate.outcome`. The middleware itself responds to denied requests, and logs the reason. If
    `optional` is true, requests that would get 401 reach the application without a token and
    without their credentials, also if the provider refused these. Their `credgate.client_id` is
    None.

    The application gets a copy of the environ. In the server's own environ, the middleware
    overwrites secrets in the query, because servers log it; the environ of a denied request gets
    `credgate.outcome`.
    """

    def __init__(self, app: WSGIApplication, gate: Gate, *, optional: bool = False) -> None:
        """Guard an application with a gate."""
        self.app = app
        self.gate = gate.optional() if optional else gate
        self._traces = gate.wants_traceparent
        # A variable does not tell "_" from "-", so the gate gets its own spelling.
        self._named = [(name.encode(), variable(name)) for name in gate.credential_headers]

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        upstream = dict(environ)
        _redact(environ)
        sent = [(name, _sent(upstream, key)) for name, key in self._named]
        headers = [(name, value) for name, value in sent if value is not None]
        body = _Body(self.gate, upstream, headers)
        outcome = self.gate.authenticate(
            method=_sent(upstream, "REQUEST_METHOD") or b"GET",
            authorization=_sent(upstream, "HTTP_AUTHORIZATION"),
            query=_sent(upstream, "QUERY_STRING"),
            content_type=_sent(upstream, "CONTENT_TYPE"),
            body=body.whole,
            peer=_sent(upstream, "REMOTE_ADDR"),
            traceparent=_sent(upstream, "HTTP_TRACEPARENT") if self._traces else None,
            headers=headers,
        )
        if not outcome.allowed:
            note_denial(_logger, outcome, environ)
            return _deny(outcome, environ, start_response)
        body.hide(upstream)
        upstream["QUERY_STRING"] = hidden(self.gate, f"?{upstream.get('QUERY_STRING', '')}")[1:]
        for name in TARGETS:
            if name in upstream:
                upstream[name] = hidden(self.gate, upstream[name])
        for name, value in outcome.headers:
            upstream.pop(variable(name), None)
            if value is not None:
                upstream[variable(name)] = value.encode().decode("latin-1")
        upstream.update(entries(outcome))
        return self.app(upstream, _noting(start_response, outcome))


class TokenEndpoint:
    """An application: an OAuth 2.0 token endpoint that answers from the cache of a gate.

    It takes the requests of RFC 6749 section 4.4.2 and returns the responses of sections 5.1 and
    5.2. Raises ConfigError if the gate exchanges no credentials of clients.
    """

    def __init__(self, gate: Gate) -> None:
        """Serve the tokens of a gate."""
        self._guarded = Middleware(_send_token, gate.token_endpoint())

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        return self._guarded(environ, _with_no_store(start_response))


class Check:
    """An application that other proxies ask about their requests.

    It responds with 200 and the headers for the upstream, or with the denial: for Traefik's
    ForwardAuth, Envoy's HTTP ext_authz and nginx's auth_request. It searches headers only, because
    it cannot remove anything from a query or a body. Raises ConfigError if the gate searches no
    header. If `optional` is true, requests that would get 401 get 200 without a token.
    """

    def __init__(self, gate: Gate, *, optional: bool = False) -> None:
        """Answer for a gate."""
        self._guarded = Middleware(_send_headers, gate.external(), optional=optional)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        return self._guarded(environ, _with_no_store(start_response))


class _Body(Body):
    """The body of a request. Passes it on to the application."""

    def __init__(self, gate: Gate, environ: WSGIEnvironment, headers: Headers) -> None:
        """Read the body, up to max_body_bytes, if it can contain credentials."""
        method = _sent(environ, "REQUEST_METHOD") or b"GET"
        authorization = _sent(environ, "HTTP_AUTHORIZATION")
        super().__init__(gate, method, authorization, _sent(environ, "CONTENT_TYPE"), headers)
        announced = length(environ.get("CONTENT_LENGTH"))
        ends = announced is not None or environ.get("wsgi.input_terminated")
        if ends and self.is_wanted(announced):
            self._read(environ, announced)

    def _read(self, environ: WSGIEnvironment, announced: int | None) -> None:
        stream = environ["wsgi.input"]
        read = bytearray()
        while announced is None or len(read) < announced:
            piece = stream.read(PIECE if announced is None else min(PIECE, announced - len(read)))
            if not piece:
                break
            read += piece
            if not self.is_wanted(len(read)):
                environ["wsgi.input"] = io.BufferedReader(_Resumed(bytes(read), stream))
                return
        environ["wsgi.input"] = io.BytesIO(read)
        # A truncated body must not be searched for credentials.
        if announced is None or len(read) == announced:
            self.whole = bytes(read)

    def hide(self, environ: WSGIEnvironment) -> None:
        """Remove the credentials, and adapt `environ`."""
        body = self.without_credentials()
        if body is None:
            return
        for name in DESCRIBING:
            environ.pop(variable(name), None)
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))


class _Resumed(io.RawIOBase):
    """A stream: the part that has been read, then the rest."""

    def __init__(self, read: bytes, rest: Any) -> None:  # noqa: ANN401 - the server's own type
        self._read = io.BytesIO(read)
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - as in io
        data = self._read.read(len(buffer)) or self._rest.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _sent(environ: WSGIEnvironment, name: str) -> bytes | None:
    """Return the bytes of a variable (PEP 3333 decodes them as Latin-1)."""
    value = environ.get(name)
    return value.encode("latin-1") if value is not None else None


def _redact(environ: WSGIEnvironment) -> None:
    """Overwrite secrets in the variables that the server logs."""
    environ["QUERY_STRING"] = redacted(f"?{environ.get('QUERY_STRING', '')}")[1:]
    for name in TARGETS:
        if name in environ:
            environ[name] = redacted(environ[name])
    uwsgi = sys.modules.get("uwsgi")
    if uwsgi:
        # uWSGI logs its own copy of the request line; a log format can use this one instead.
        target = environ.get("REQUEST_URI", "")
        line = f"{environ['REQUEST_METHOD']} {target} {environ.get('SERVER_PROTOCOL', '')}"
        uwsgi.set_logvar("credgate_request", line)


def _noting(start_response: StartResponse, outcome: Allow) -> StartResponse:
    """Wrap `start_response` to report the status: the application may reject the token."""

    def noting(status: str, *rest: Any) -> Any:  # noqa: ANN401 - passed on
        outcome.note_upstream_status(int(status[:3]))
        return start_response(status, *rest)

    return noting


def _deny(
    outcome: Deny, environ: WSGIEnvironment, start_response: StartResponse
) -> Iterable[bytes]:
    body = outcome.body.encode()
    reason = http.client.responses.get(outcome.http_status, "")
    headers = [*outcome.headers, ("content-length", str(len(body)))]
    start_response(f"{outcome.http_status} {reason}", headers)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


def _send_token(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    outcome: Allow = environ["credgate.outcome"]
    body = (outcome.token_response or "").encode()
    start_response("200 OK", token_headers(body))
    return [body]


def _send_headers(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    headers = check_headers(environ["credgate.outcome"])
    # PEP 3333 encodes headers as Latin-1.
    latin = [(name, value.encode().decode("latin-1")) for name, value in headers]
    start_response("200 OK", latin)
    return []


def _with_no_store(start_response: StartResponse) -> StartResponse:
    """Wrap `start_response` to keep every response out of caches (RFC 6749 section 5.1)."""

    def starting(status: str, headers: Any, *rest: Any) -> Any:  # noqa: ANN401 - passed on
        return start_response(status, [*headers, *NO_STORE], *rest)

    return starting
