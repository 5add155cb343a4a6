"""A provider whose tokens say what was asked for: discovery, and a token endpoint that grants everything.

The claims and the lifetime of a token follow from its client id, by `claims.profile`; `serial` and `asked` are in every token.

    provider.py PORT
"""

import asyncio
import base64
import json
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))
from wire import Request, Response, serve

from claims import profile

def encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


class Provider:
    def __init__(self, port: int) -> None:
        self.issuer = f"http://127.0.0.1:{port}"
        self.serial = 0

    async def answer(self, request: Request) -> Response:
        if request.target == "/token":
            return self.token(request)
        return Response.json(
            {
                "issuer": self.issuer,
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/jwks",
                "token_endpoint_auth_methods_supported": ["client_secret_post"],
            }
        )

    def token(self, request: Request) -> Response:
        pairs = parse_qsl(request.body.decode(), keep_blank_values=True)
        form = dict(pairs)
        response = profile(form["client_id"], self.issuer, time.time())
        claims = response.pop("claims")
        self.serial += 1
        said = {"serial": self.serial, "asked": sorted(pairs), "response": dict(response)}
        if claims is None:
            response["access_token"] = encoded(said)
        else:
            header = encoded({"alg": "RS256", "typ": "at+jwt"})
            response["access_token"] = f"{header}.{encoded({**claims, **said})}.c2ln"
        return Response.json(response)


if __name__ == "__main__":
    asyncio.run(serve(Provider(int(sys.argv[1])).answer, int(sys.argv[1])))
