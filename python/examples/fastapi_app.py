"""A FastAPI application. Clients send a client id and secret.

Put your issuer and audience into gate.json of this directory.

pip install fastapi uvicorn python-multipart    # the last reads forms
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
# Add it last: the middleware added last is outermost, so denied requests reach no other.
app.add_middleware(
    credgate.asgi.Middleware, gate=credgate.Gate(Path(os.environ["CREDGATE_CONFIG"]).read_text())
)


def authenticated(request: Request) -> str:
    """Return the client id."""
    client_id: str = request.scope["credgate.client_id"]
    return client_id


Client = Annotated[str, Depends(authenticated)]


@app.get("/whoami")
async def whoami(client: Client, request: Request) -> dict[str, Any]:
    """Return the client id and the audience of its token."""
    claims = request.scope["credgate.claims"] or {}
    return {"client": client, "audience": claims.get("aud")}


@app.post("/orders")
async def order(
    client: Client, item: Annotated[str, Form()], note: Annotated[str, Form()] = ""
) -> dict[str, Any]:
    """Take an order from a form, which may also contain the credentials."""
    return {"client": client, "item": item, "note": note}


@app.get("/token")
async def token(request: Request) -> dict[str, Any]:
    """Show the header for calls to other services: it carries the token."""
    return {"authorization": request.headers["authorization"].partition(" ")[0]}
