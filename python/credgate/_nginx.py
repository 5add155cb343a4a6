"""nginx configurations for the services and routes of Kong."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from credgate import _kong, _plugin
from credgate._directives import directives, quoted, word

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from credgate._plugin import Gate, Loss

FORWARDED = (
    'proxy_set_header Connection "";',
    "proxy_set_header X-Real-IP $remote_addr;",
    "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
    "proxy_set_header X-Forwarded-Proto $scheme;",
    "proxy_set_header X-Forwarded-Host $host;",
    "proxy_set_header X-Forwarded-Port $server_port;",
)
SHARED = ("proxy_http_version 1.1;", *FORWARDED)
TIMEOUTS = {"connect_timeout": "connect", "write_timeout": "send", "read_timeout": "read"}
RESTRICTIONS = ("headers", "snis", "sources", "destinations", "expression")
TRUSTED = ("client_certificate", "ca_certificates", "tls_verify", "tls_verify_depth", "tls_sans")


def write(
    document: _kong.Document, gate: Callable[[_kong.Plugin], Gate], listen: str
) -> tuple[str, list[Loss]]:
    """Return the configuration, and what it lacks."""
    writer = _Writer(document, gate, listen)
    text = writer.text()
    return text, _plugin.unique(writer.losses)


class _Writer:
    def __init__(
        self, document: _kong.Document, gate: Callable[[_kong.Plugin], Gate], listen: str
    ) -> None:
        self.document = document
        self.gate = gate
        self.listen = listen
        self.losses: list[Loss] = []
        self.upstreams = {
            str(each["name"]): each
            for each in document.rest.get("upstreams", [])
            if isinstance(each, dict) and "name" in each
        }

    def lose(self, where: str, setting: str, reason: str) -> str:
        """Note a loss, and return the setting."""
        self.losses.append(_plugin.Loss(where, setting, reason))
        return setting

    def text(self) -> str:
        for kind in self.document.rest:
            if kind != "upstreams" and not kind.startswith("_"):
                self.lose("global", kind, "entities of this kind have no counterpart in nginx")
        if not self.document.services:
            return "".join(map(self._directives_alone, self._gates()))
        upstreams = [self._upstream(name) for name in self.upstreams]
        return "".join([*upstreams, *self._servers()])

    def _gates(self) -> Iterator[_kong.Plugin]:
        for plugin in self.document.plugins:
            if plugin.name in _kong.PLUGINS:
                yield plugin
            else:
                self.lose(_plugin.place(plugin), f"plugin {plugin.name}", _OTHER_PLUGIN)

    def _directives_alone(self, plugin: _kong.Plugin) -> str:
        """Return the directives of a plugin whose service is not in the file."""
        lines, lost = self._gate(plugin)
        lines = [*_closed(lost), *lines]
        return "\n".join([f"# For the location of {_plugin.place(plugin)}.", *lines, ""])

    def _upstream(self, name: str) -> str:
        fields = self.upstreams[name]
        where = f"upstream {name}"
        lines = []
        for target in fields.get("targets") or []:
            weight = target.get("weight", 100)
            use = f"weight={weight}" if weight else "down"
            lines.append(f"    server {word(str(target.get('target')))} {use};")
        for setting in ("hash_on", "healthchecks", "client_certificate", "host_header"):
            if fields.get(setting) not in (None, "none"):
                self.lose(where, setting, "configure nginx's own directives of the upstream module")
        algorithm = fields.get("algorithm", "round-robin")
        if algorithm == "least-connections":
            lines.insert(0, "    least_conn;")
        elif algorithm != "round-robin":
            self.lose(where, "algorithm", "configure nginx's own directives of the upstream module")
        return "\n".join([f"upstream {word(name)} {{", *lines, "    keepalive 32;", "}", "", ""])

    def _servers(self) -> Iterator[str]:
        """Return a server for each host of the routes; routes without a host are in all of them."""
        routes = [
            (service, route) for service in self.document.services for route in service.routes
        ]
        hosts = dict.fromkeys(
            host for _, route in routes for host in route.fields.get("hosts") or []
        )
        for host in [*hosts, None]:
            mine = [pair for pair in routes if host in (pair[1].fields.get("hosts") or [])]
            everywhere = [pair for pair in routes if not pair[1].fields.get("hosts")]
            locations = self._locations([*mine, *everywhere])
            if not mine and host is not None:
                continue
            name = word(str(host)) if host else "_"
            default = "" if host else " default_server"
            lines = [f"listen {self.listen}{default};", f"server_name {name};", "", *SHARED]
            head = "".join(f"    {line}".rstrip() + "\n" for line in lines)
            body = "\n".join(locations or ["    location / {\n        return 404;\n    }\n"])
            yield f"server {{\n{head}\n{body}}}\n\n"

    def _locations(self, pairs: Iterable[tuple[_kong.Service, _kong.Route]]) -> list[str]:
        written: dict[str, tuple[str, str]] = {}
        for service, route in pairs:
            where = f"route {route.name}"
            body, lost = self._body(service, route)
            for path in route.fields.get("paths") or ["/"]:
                match = f"~ {quoted('^' + path[1:])}" if path.startswith("~") else word(path)
                if match in written:
                    other = written[match][0]
                    if other != where:
                        reason = f"{other} has the same path; nginx chooses by host and path only"
                        self.lose(where, f"path {path}", reason)
                    continue
                lines = [*_closed(lost), *body(path)]
                text = "".join(f"        {line}\n" for line in lines)
                written[match] = where, f"    location {match} {{\n{text}    }}\n"
        return [text for _, text in written.values()]

    def _body(
        self, service: _kong.Service, route: _kong.Route
    ) -> tuple[Callable[[str], list[str]], list[str]]:
        """Return the directives of a route by the path, and the settings that they lack."""
        where = f"route {route.name}"
        lost = [
            *self._restrictions(where, route.fields),
            *self._trust(f"service {service.name}", service),
        ]
        lines = []
        if methods := route.fields.get("methods"):
            pattern = quoted(f"^({'|'.join(methods)})$")
            lines.append(f"if ($request_method !~ {pattern}) {{ return 404; }}")
        plugins, others = self._plugins(service, route)
        lost += others
        for plugin in plugins:
            lines_of_gate, missing = self._gate(plugin)
            lines += lines_of_gate
            lost += missing
        lines += _timeouts(service)
        if route.fields.get("preserve_host"):
            # A location with headers of its own inherits none.
            lines += ["proxy_set_header Host $http_host;", *FORWARDED]
        if service.scheme == "https":
            lines.append("proxy_ssl_server_name on;")
        return lambda path: [*lines, *_proxied(service, route, path, self.upstreams)], lost

    def _restrictions(self, where: str, fields: dict[str, Any]) -> Iterator[str]:
        for setting in RESTRICTIONS:
            if fields.get(setting):
                yield self.lose(where, setting, "nginx chooses a location by host and path only")
        protocols = fields.get("protocols") or ["http", "https"]
        if "http" not in protocols:
            yield self.lose(
                where, "protocols", "the listener has no TLS; add one with ssl and your certificate"
            )
        if fields.get("path_handling") == "v1":
            yield self.lose(where, "path_handling", "paths are joined as in v0, Kong's default")

    def _trust(self, where: str, service: _kong.Service) -> Iterator[str]:
        for setting in TRUSTED:
            if service.fields.get(setting):
                yield self.lose(where, setting, "use proxy_ssl_verify and its directives")
        if service.scheme not in ("http", "https"):
            yield self.lose(where, "protocol", f"{service.scheme} is not proxied by proxy_pass")
        if not service.host:
            yield self.lose(where, "host", "is missing")
        if "$" in f"{service.path}{service.host}":
            yield self.lose(where, "path", "a value with $ would be a variable of nginx")

    def _plugins(
        self, service: _kong.Service, route: _kong.Route
    ) -> tuple[list[_kong.Plugin], list[str]]:
        """Return the gate's plugin: that of the route, else the service's, else the global one."""
        found: dict[str, _kong.Plugin] = {}
        lost = []
        scopes = [*self.document.plugins, *service.plugins, *route.plugins]
        for plugin in scopes:
            if plugin.service not in (None, service.name, service.fields.get("id")):
                continue
            if plugin.route not in (None, route.name, route.fields.get("id")):
                continue
            if plugin.name in _kong.PLUGINS:
                rank = _rank(plugin)
                if plugin.name not in found or rank >= _rank(found[plugin.name]):
                    found[plugin.name] = plugin
            else:
                lost.append(
                    self.lose(_plugin.place(plugin), f"plugin {plugin.name}", _OTHER_PLUGIN)
                )
        gates = list(found.values())
        if len(gates) > 1:
            lost.append(
                self.lose(f"route {route.name}", "plugin credgate", "a location has one gate")
            )
        return gates[:1], lost

    def _gate(self, plugin: _kong.Plugin) -> tuple[list[str], list[str]]:
        """Return the directives of a gate, and the settings that they lack."""
        gate = self.gate(plugin)
        self.losses += gate.losses
        lost = [loss.setting for loss in gate.losses]
        if gate.config is None:
            return [], lost
        lines: list[str] = []
        for setting, written in directives(gate.config):
            if written is None:
                reason = "a value with $ would be a variable of nginx; put it into a file"
                lost.append(self.lose(gate.where, setting, reason))
            else:
                lines.append(written)
        return lines, lost


_OTHER_PLUGIN = "only openid-connect is carried; use a directive of nginx, or another module"


def _rank(plugin: _kong.Plugin) -> int:
    return 2 * (plugin.route is not None) + (plugin.service is not None)


def _closed(lost: list[str]) -> list[str]:
    """Return the line that closes a location which lost something."""
    if not lost:
        return []
    return [f"return 503;  # Remove it after you have replaced: {', '.join(dict.fromkeys(lost))}."]


def _timeouts(service: _kong.Service) -> Iterator[str]:
    for setting, directive in TIMEOUTS.items():
        if service.fields.get(setting) not in (None, 60000):
            yield f"proxy_{directive}_timeout {service.fields[setting]}ms;"
    retries = service.fields.get("retries")
    if retries not in (None, 5):
        yield f"proxy_next_upstream_tries {int(retries) + 1};"


def _proxied(
    service: _kong.Service, route: _kong.Route, path: str, upstreams: dict[str, Any]
) -> Iterator[str]:
    """Return the directives that pass a request on, with the path that Kong makes."""
    if service.scheme not in ("http", "https") or not service.host or "$" in service.path:
        return
    base = service.path
    strips = route.fields.get("strip_path") is not False and path != "/"
    if strips:
        prefix = path[1:] if path.startswith("~") else re.escape(path.rstrip("/"))
        yield f"rewrite {quoted(f'^(?:{prefix})$')} {word(base or '/')} break;"
        rest = quoted(f"^(?:{prefix})/?(?<credgate_rest>.*)$")
        yield f"rewrite {rest} {word(f'{base}/')}$credgate_rest break;"
    elif base:
        yield f'rewrite "^/(?<credgate_rest>.*)$" {word(f"{base}/")}$credgate_rest break;'
    port = "" if service.host in upstreams else f":{service.port}"
    host = f"[{service.host}]" if ":" in service.host else service.host
    yield f"proxy_pass {service.scheme}://{host}{port};"
