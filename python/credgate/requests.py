"""Client-side authentication for requests: requests that carry a token.

>>> import credgate, credgate.requests, requests
>>> gate = credgate.Gate(issuer="https://tenant.auth0.com/", audience="https://api.example.com/")
>>> session = requests.Session()
>>> session.auth = credgate.requests.Auth(gate, "id", "secret")
"""

from __future__ import annotations

from types import MethodType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests.auth

from credgate._client import Client

if TYPE_CHECKING:
    from credgate import Token

__all__ = ["Auth"]


class Auth(Client, requests.auth.AuthBase):
    """Adds a cached token to each request, and refreshes it before it expires.

    If a response is 401 and there is a newer token by then, the request is repeated once with it. A
    token received within the last ten seconds is not replaced, and a body that can be sent only
    once is not repeated.

    The token is sent to https URLs and to loopback addresses only; with `hosts`, to these hosts
    only. On a redirect to another host, requests removes it.
    """

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the token to a request."""
        url = request.url or ""
        if self._hosts is not None or not url.startswith("https:"):
            parts = urlsplit(url)
            if not self._may_go_to(parts.scheme, parts.hostname or ""):
                return request
        token = self._token()
        request.headers["Authorization"] = token.authorization
        start = 0 if request.body is None else _position(request.body)
        # A bound method costs half as much as a closure.
        repeat = MethodType(_repeat, (self, token, start))
        request.hooks.setdefault("response", []).append(repeat)
        return request


def _repeat(
    sent: tuple[Auth, Token, int | None],
    response: requests.Response,
    **options: Any,  # noqa: ANN401
) -> requests.Response:
    """Repeat a request if its token was rejected. `sent`: its token, and the start of its body."""
    auth, token, start = sent
    if response.status_code != requests.codes.unauthorized:
        return response
    if response.request.headers.get("Authorization") != token.authorization:
        return response
    token.note_upstream_status(response.status_code)
    if start is None:
        return response
    newer = auth._token()  # noqa: SLF001
    if newer.authorization == token.authorization:
        return response
    # The connection is reusable once the response has been read.
    _ = response.content
    response.close()
    request = response.request.copy()
    request.headers["Authorization"] = newer.authorization
    body: Any = request.body
    if hasattr(body, "seek"):
        body.seek(start)
    repeated: requests.Response = response.connection.send(request, **options)
    repeated.history.append(response)
    repeated.request = request
    return repeated


def _position(body: Any) -> int | None:  # noqa: ANN401
    """Return the position of a body's start; None if it can be sent only once."""
    if body is None or isinstance(body, (bytes, str)):
        return 0
    try:
        position: int = body.tell()
    except (AttributeError, OSError):
        return None
    return position
