"""Client-side authentication for aiohttp 3.12 and later: requests that carry a token.

>>> import credgate, credgate.aiohttp, aiohttp
>>> gate = credgate.Gate(issuer="https://tenant.auth0.com/", audience="https://api.example.com/")
>>> auth = credgate.aiohttp.Auth(gate, "id", "secret", hosts=["api.example.com"])
>>> async def main():
...     async with aiohttp.ClientSession(middlewares=[auth]) as session:
...         await session.get("https://api.example.com/orders")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from credgate._client import UNAUTHORIZED, Client

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import aiohttp

    from credgate import Gate

__all__ = ["Auth"]


class Auth(Client):
    """A client middleware: adds a cached token to each request, and refreshes it before it expires.

    If a response is 401 and there is a newer token by then, the request is repeated once with it. A
    token received within the last ten seconds is not replaced, and a body that can be sent only
    once is not repeated.

    The token is sent to these hosts only, over https or to loopback addresses. `hosts` is required
    because aiohttp calls the middleware for redirected requests too.
    """

    def __init__(
        self,
        gate: Gate,
        client_id: str | None = None,
        client_secret: str | None = None,
        *,
        args: Mapping[str, str | None] | None = None,
        hosts: Collection[str],
    ) -> None:
        """Create it for one client. Without id and secret, that is the gate's own (client_id).

        `args` are values for the gate's token_post_args_host. `hosts` are the only hosts that
        receive the token, without scheme and port. Raises ValueError as the other `Auth` classes.
        """
        super().__init__(gate, client_id, client_secret, args=args, hosts=hosts)

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Send a request; repeat it once if its token is rejected."""
        if not self._may_go_to(request.url.scheme, request.url.host or ""):
            return await handler(request)
        token = await self._token_async()
        request.headers["Authorization"] = token.authorization
        response = await handler(request)
        if response.status != UNAUTHORIZED:
            return response
        token.note_upstream_status(response.status)
        if request.body != b"" and getattr(request.body, "consumed", True):
            return response
        newer = await self._token_async()
        if newer.authorization == token.authorization:
            return response
        response.release()
        request.headers["Authorization"] = newer.authorization
        return await handler(request)
