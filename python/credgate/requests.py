"""The client's own side, for requests: requests that carry a token.

>>> import credgate, credgate.requests, requests
>>> gate = credgate.Gate(issuer="https://tenant.auth0.com/", audience="https://api.example.com/")
>>> session = requests.Session()
>>> session.auth = credgate.requests.Auth(gate, "id", "secret")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests.auth

from credgate._client import Client

if TYPE_CHECKING:
    from credgate import Token

__all__ = ["Auth"]


class Auth(Client, requests.auth.AuthBase):
    """Gets a token for a client, keeps it, renews it in time, and gets another where it is refused.

    A request that is answered with 401 is sent once more if there is a newer token then: one that
    has just been issued is not refused for its age. A body that can be sent only once is not.

    The token goes to https addresses, and to this machine; with `hosts`, to these hosts alone.
    requests does not carry it along to another host that an answer redirects to.
    """

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Give a request its token."""
        url = str(request.url)
        if not self._may_go_to(url.partition(":")[0], lambda: urlsplit(url).hostname or ""):
            return request
        token = self._token()
        request.headers["Authorization"] = token.authorization
        start = _position(request.body)

        def again(response: requests.Response, **options: Any) -> requests.Response:  # noqa: ANN401
            return self._again(response, token, start, options)

        request.hooks.setdefault("response", []).append(again)
        return request

    def _again(
        self, response: requests.Response, token: Token, start: int | None, options: dict[str, Any]
    ) -> requests.Response:
        """Send a request once more, where who got the token refuses it."""
        if response.status_code != requests.codes.unauthorized:
            return response
        if response.request.headers.get("Authorization") != token.authorization:
            return response
        token.note_upstream_status(response.status_code)
        if start is None:
            return response
        newer = self._token()
        if newer.authorization == token.authorization:
            return response
        # The connection is free once its answer has been read.
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
    """Answer where a body begins; None where it can be sent only once."""
    if body is None or isinstance(body, (bytes, str)):
        return 0
    try:
        position: int = body.tell()
    except (AttributeError, OSError):
        return None
    return position
