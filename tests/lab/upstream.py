"""An upstream that responds to every request with the received bytes.

`GET /_seen` answers the list of all requests since `POST /_reset`, `GET /_last` the last of them.
"""

import asyncio
import sys
from typing import Any

from wire import Request, Response, serve

seen: list[dict[str, Any]] = []


async def answer(request: Request) -> Response:
    match request.target:
        case "/_seen":
            return Response.json(seen)
        case "/_last":
            return Response.json(seen[-1] if seen else None)
        case "/_reset":
            seen.clear()
            return Response.json({})
    seen.append(
        {
            "line": request.line,
            "headers": request.headers,
            "body": request.body.decode("latin-1"),
            "raw": (request.head + request.body).decode("latin-1"),
        }
    )
    return Response.json(seen[-1])


if __name__ == "__main__":
    asyncio.run(serve(answer, int(sys.argv[1])))
