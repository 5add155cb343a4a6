"""Client-side authentication for httpx: requests that carry a token.

>>> import credgate, credgate.httpx, httpx
>>> gate = credgate.Gate(issuer="https://tenant.auth0.com/", audience="https://api.example.com/")
>>> auth = credgate.httpx.Auth(gate, "id", "secret")
>>> client = httpx.Client(base_url="https://api.example.com", auth=auth)
"""

from __future__ import annotations

import httpx

from credgate._flows import Flows

__all__ = ["Auth"]


class Auth(Flows["httpx.Request", "httpx.Response"], httpx.Auth):
    """Adds a cached token to each request, and refreshes it before it expires.

    If a response is 401 and there is a newer token by then, the request is repeated once with it. A
    token received within the last ten seconds is not replaced, and a body that can be sent only
    once is not repeated.

    The token is sent to https URLs and to loopback addresses only; with `hosts`, to these hosts
    only. On a redirect to another host, httpx removes it.
    """

    whole = httpx.ByteStream
