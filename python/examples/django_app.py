"""A Django application in one file. Clients send a client id and secret.

Put your issuer and audience into gate.json of this directory.

pip install django gunicorn uvicorn
CREDGATE_CONFIG=gate.json gunicorn django_app:application
CREDGATE_CONFIG=gate.json uvicorn django_app:asgi_application    # the same with ASGI
curl -u "$CLIENT_ID:$CLIENT_SECRET" http://127.0.0.1:8000/whoami
"""

import os
import secrets
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

import credgate
import credgate.asgi
import credgate.wsgi

settings.configure(
    ROOT_URLCONF=__name__,
    WSGI_APPLICATION=f"{__name__}.application",
    SECRET_KEY=secrets.token_urlsafe(),
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
)


def authenticated(request: HttpRequest) -> dict[str, Any]:
    """Return the entries of the middleware: in the scope with ASGI, in META with WSGI."""
    entries: dict[str, Any] = getattr(request, "scope", request.META)
    return entries


def whoami(request: HttpRequest) -> JsonResponse:
    """Return the client id and the audience of its token."""
    entries = authenticated(request)
    claims = entries["credgate.claims"] or {}
    return JsonResponse({"client": entries["credgate.client_id"], "audience": claims.get("aud")})


def order(request: HttpRequest) -> JsonResponse:
    """Take an order from a form, which may also contain the credentials."""
    client = authenticated(request)["credgate.client_id"]
    return JsonResponse({**request.POST.dict(), "client": client})


def token(request: HttpRequest) -> JsonResponse:
    """Show the header for calls to other services: it carries the token."""
    return JsonResponse({"authorization": request.headers["Authorization"].partition(" ")[0]})


urlpatterns = [path("whoami", whoami), path("orders", order), path("token", token)]

gate = credgate.Gate(Path(os.environ["CREDGATE_CONFIG"]).read_text())
application = credgate.wsgi.Middleware(get_wsgi_application(), gate)
asgi_application = credgate.asgi.Middleware(get_asgi_application(), gate)
