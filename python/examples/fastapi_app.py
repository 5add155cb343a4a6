"""A FastAPI application whose clients come with an id and a secret.

CREDGATE_CONFIG=gate.json uvicorn fastapi_app:app
curl -u "$CLIENT_ID:$CLIENT_SECRET" http://127.0.0.1:8000/whoami
"""

import os
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Form, Request

import credgate
import credgate.asgi

app = FastAPI()
# It is outermost if it is added last: what is denied reaches no other middleware.
app.add_middleware(
    credgate.asgi.Middleware, gate=credgate.Gate(Path(os.environ["CREDGATE_CONFIG"]).read_text())
)


def authenticated(request: Request) -> str:
    """Answer who asks."""
    client_id: str = request.scope["credgate.client_id"]
    return client_id


Client = Annotated[str, Depends(authenticated)]


@app.get("/whoami")
async def whoami(client: Client, request: Request) -> dict[str, Any]:
    """Tell what the token says of the client."""
    claims = request.scope["credgate.claims"] or {}
    return {"client": client, "audience": claims.get("aud")}


@app.post("/orders")
async def order(
    client: Client, item: Annotated[str, Form()], note: Annotated[str, Form()] = ""
) -> dict[str, Any]:
    """Take an order, in a form that may have held the credentials too."""
    return {"client": client, "item": item, "note": note}


@app.get("/token")
async def token(request: Request) -> dict[str, Any]:
    """Show how a service that stands behind is called: with the token that is here already."""
    return {"authorization": request.headers["authorization"].partition(" ")[0]}
