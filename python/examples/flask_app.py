"""A Flask application. Clients send a client id and secret.

Put your issuer and audience into gate.json of this directory.

pip install flask gunicorn
CREDGATE_CONFIG=gate.json gunicorn flask_app:app
curl -u "$CLIENT_ID:$CLIENT_SECRET" http://127.0.0.1:8000/whoami
"""

import os
from pathlib import Path
from typing import Any

from flask import Flask, abort, request

import credgate
import credgate.wsgi

app = Flask(__name__)
gate = credgate.Gate(Path(os.environ["CREDGATE_CONFIG"]).read_text())
app.wsgi_app = credgate.wsgi.Middleware(app.wsgi_app, gate)  # type: ignore[method-assign]


@app.get("/whoami")
def whoami() -> dict[str, Any]:
    """Return the client id and the audience of its token."""
    claims = request.environ["credgate.claims"] or {}
    return {"client": request.environ["credgate.client_id"], "audience": claims.get("aud")}


@app.post("/orders")
def order() -> dict[str, Any]:
    """Take an order from a form or a JSON object, which may also contain the credentials."""
    given = request.get_json() if request.is_json else request.form.to_dict()
    if not isinstance(given, dict):
        abort(400)
    return {**given, "client": request.environ["credgate.client_id"]}


@app.get("/token")
def token() -> dict[str, Any]:
    """Show the header for calls to other services: it carries the token."""
    return {"authorization": request.headers["Authorization"].partition(" ")[0]}
