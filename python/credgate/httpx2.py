"""Client-side authentication for httpx2: requests that carry a token.

>>> import credgate, credgate.httpx2, httpx2
>>> gate = credgate.Gate(issuer="https://tenant.auth0.com/", audience="https://api.example.com/")
>>> auth = credgate.httpx2.Auth(gate, "id", "secret")
>>> client = httpx2.Client(base_url="https://api.example.com", auth=auth)
"""

from __future__ import annotations

import httpx2

from credgate._flows import Flows

__all__ = ["Auth"]


class Auth(Flows["httpx2.Request", "httpx2.Response"], httpx2.Auth):
    """Adds a cached token to each request, and refreshes it before it expires.

    If a response is 401 and there is a newer token by then, the request is repeated once with it. A
    token received within the last ten seconds is not replaced, and a body that can be sent only
    once is not repeated.

    The token is sent to https URLs and to loopback addresses only; with `hosts`, to these hosts
    only. On a redirect to another host, httpx2 removes it.
    """

    whole = httpx2.ByteStream
