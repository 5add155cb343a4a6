"""Declarative files of Kong for the tests of `migrate`."""

from typing import Any

import yaml


def deck(*services: dict[str, Any], **more: Any) -> str:
    return str(yaml.safe_dump({"_format_version": "3.0", "services": list(services), **more}, sort_keys=False))


def plugin(issuer: str = "https://idp.example", **config: Any) -> dict[str, Any]:
    """The plugin of Kong's guide for Auth0."""
    guide = {
        "auth_methods": ["client_credentials"],
        "issuer": issuer,
        "token_post_args_names": ["audience"],
        "token_post_args_values": ["https://example.com/"],
    }
    return {"name": "openid-connect", "config": guide | config}


def service(url: str = "http://127.0.0.1:9000", *routes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "example", "url": url, "routes": list(routes) or [route()], **more}


def route(name: str = "api", *paths: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "paths": list(paths) or ["/"], **more}
