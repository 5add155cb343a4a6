"""Client-side authentication for httpx: requests that carry a token.

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
    """Adds a cached token to each request, and refreshes it before it expires.

    If a response is 401 and there is a newer token by then, the request is repeated once with it. A
    token received within the last ten seconds is not replaced, and a body that can be sent only
    once is not repeated.

    The token is sent to https URLs and to loopback addresses only; with `hosts`, to these hosts
    only. On a redirect to another host, httpx removes it.
    """

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        """Send a request; repeat it once if its token is rejected."""
        if not self._may_go_to(request.url.scheme, lambda: request.url.host):
            yield request
            return
        token = self._token()
        response = yield _carrying(token, request)
        if _is_rejected(token, response):
            newer = self._token()
            if newer.authorization != token.authorization:
                yield _carrying(newer, response.request)

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Send a request; repeat it once if its token is rejected."""
        if not self._may_go_to(request.url.scheme, lambda: request.url.host):
            yield request
            return
        token = await self._token_async()
        response = yield _carrying(token, request)
        if _is_rejected(token, response):
            newer = await self._token_async()
            if newer.authorization != token.authorization:
                yield _carrying(newer, response.request)


def _carrying(token: Token, request: httpx.Request) -> httpx.Request:
    request.headers["Authorization"] = token.authorization
    return request


def _is_rejected(token: Token, response: httpx.Response) -> bool:
    """Return whether the token was rejected and the request can be repeated.

    After redirects, that is the last request; it may have been sent without the token.
    """
    if response.status_code != httpx.codes.UNAUTHORIZED:
        return False
    if response.request.headers.get("Authorization") != token.authorization:
        return False
    token.note_upstream_status(response.status_code)
    return isinstance(response.request.stream, httpx.ByteStream)
