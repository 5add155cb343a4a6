"""The client's own side, for httpx: requests that carry a token.

>>> import credgate, credgate.httpx, httpx
>>> gate = credgate.Gate(issuer="https://tenant.auth0.com/", audience="https://api.example.com/")
>>> auth = credgate.httpx.Auth(gate, "id", "secret")
>>> client = httpx.Client(base_url="https://api.example.com", auth=auth)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from credgate._client import Client

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from credgate import Token

__all__ = ["Auth"]


class Auth(Client, httpx.Auth):
    """Gets a token for a client, keeps it, renews it in time, and gets another where it is refused.

    A request that is answered with 401 is sent once more if there is a newer token then: one that
    has just been issued is not refused for its age. A body that can be sent only once is not.

    The token goes to https addresses, and to this machine; with `hosts`, to these hosts alone.
    httpx does not carry it along to another host that an answer redirects to.
    """

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        """Send a request, and perhaps once more."""
        if not self._may_go_to(request.url.scheme, lambda: request.url.host):
            yield request
            return
        token = self._token()
        response = yield _carrying(token, request)
        if _is_refused(token, response):
            newer = self._token()
            if newer.authorization != token.authorization:
                yield _carrying(newer, response.request)

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Send a request, and perhaps once more."""
        if not self._may_go_to(request.url.scheme, lambda: request.url.host):
            yield request
            return
        token = await self._token_async()
        response = yield _carrying(token, request)
        if _is_refused(token, response):
            newer = await self._token_async()
            if newer.authorization != token.authorization:
                yield _carrying(newer, response.request)


def _carrying(token: Token, request: httpx.Request) -> httpx.Request:
    request.headers["Authorization"] = token.authorization
    return request


def _is_refused(token: Token, response: httpx.Response) -> bool:
    """Tell whether who got the token refuses it, and the request can be sent once more.

    That is the one which is refused: the last, where there have been redirects.
    """
    if response.status_code != httpx.codes.UNAUTHORIZED:
        return False
    if response.request.headers.get("Authorization") != token.authorization:
        return False
    token.note_upstream_status(response.status_code)
    return isinstance(response.request.stream, httpx.ByteStream)
