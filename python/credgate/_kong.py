"""Declarative configurations of Kong, as `deck` and the admin API write them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Union
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = Union[None, bool, int, float, str, list["Json"], dict[str, "Json"]]

PLUGINS = ("openid-connect", "credgate")
MAX_NODES = 200_000
"""YAML's aliases make large documents of short files."""


class InvalidFileError(Exception):
    """The file is not a configuration of Kong."""


@dataclass
class Plugin:
    """A plugin, and the names of the entities that it applies to."""

    name: str
    config: dict[str, Any]
    service: str | None = None
    route: str | None = None
    others: dict[str, str] = field(default_factory=dict)


@dataclass
class Route:
    """A route of a service; `fields` are Kong's."""

    name: str
    fields: dict[str, Any]
    plugins: list[Plugin] = field(default_factory=list)


@dataclass
class Service:
    """An upstream service; `fields` are Kong's."""

    name: str
    fields: dict[str, Any]
    routes: list[Route] = field(default_factory=list)
    plugins: list[Plugin] = field(default_factory=list)

    @property
    def scheme(self) -> str:
        """The protocol: http, https, or another one."""
        return str(self.fields.get("protocol") or "http")

    @property
    def host(self) -> str:
        """The host, or the name of an upstream."""
        return str(self.fields.get("host") or "")

    @property
    def port(self) -> int:
        """The port."""
        return int(self.fields.get("port") or (443 if self.scheme == "https" else 80))

    @property
    def path(self) -> str:
        """The path before that of a request, without a slash at its end."""
        return str(self.fields.get("path") or "").rstrip("/")


@dataclass
class Document:
    """A file. `rest` has the entities of other kinds, by kind."""

    services: list[Service]
    plugins: list[Plugin]
    rest: dict[str, list[Any]]


def parse(text: str) -> Document:
    """Return the entities of a file: deck's YAML or JSON, or an answer of the admin API."""
    document = _load(text)
    _count(document)
    if not isinstance(document, dict):
        message = "must be an object: a declarative configuration, or an answer of the admin API"
        raise InvalidFileError(message)
    if isinstance(document.get("config"), dict) and "name" in document:
        return Document([], [_plugin(document, {})], {})
    if isinstance(document.get("data"), list):
        return Document([], [_plugin(each, {}) for each in _objects(document, "data")], {})
    return _Reader(document).document()


def _load(text: str) -> Json:
    try:
        loaded: Json = json.loads(text, object_pairs_hook=_without_repetition)
    except json.JSONDecodeError as error:
        if text.lstrip().startswith("{"):
            message = f"is not JSON: {error}"
            raise InvalidFileError(message) from error
        return _load_yaml(text)
    return loaded


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        message = f'has "{twice}" twice in one object'
        raise InvalidFileError(message)
    return members


def _load_yaml(text: str) -> Json:
    try:
        import yaml  # type: ignore[import-untyped,unused-ignore] # noqa: PLC0415
    except ImportError as error:
        message = "is YAML, which requires PyYAML: pip install 'credgate[migrate]'"
        raise InvalidFileError(message) from error

    # A class of its own: constructors belong to the class.
    loader: Any = type("Loader", (yaml.SafeLoader,), {})

    def mapping(self: Any, node: Any) -> dict[str, Any]:  # noqa: ANN401
        self.flatten_mapping(node)
        pairs = self.construct_pairs(node, deep=True)
        return _without_repetition([(str(name), value) for name, value in pairs])

    loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    try:
        loaded: Json = yaml.load(text, loader)  # noqa: S506
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        # The text of the error may repeat a secret of the file.
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        message = f"is not YAML{where}"
        raise InvalidFileError(message) from error
    return loaded


def _count(value: Json) -> None:
    """Refuse a document that is larger than any configuration, as aliases can make it."""
    nodes, pending = 0, [value]
    while pending:
        value = pending.pop()
        nodes += 1
        if nodes > MAX_NODES:
            message = f"has more than {MAX_NODES} values"
            raise InvalidFileError(message)
        if isinstance(value, dict):
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)


def _objects(parent: dict[str, Any], name: str) -> Iterator[dict[str, Any]]:
    children = parent.get(name) or []
    if not isinstance(children, list) or not all(isinstance(child, dict) for child in children):
        message = f"{name}: must be a list of objects"
        raise InvalidFileError(message)
    yield from children


TYPES = {
    list: ("hosts", "methods", "paths", "protocols", "sources", "destinations", "snis"),
    int: ("connect_timeout", "port", "read_timeout", "retries", "write_timeout"),
    str: ("host", "path", "protocol", "url"),
}
NAMES = {list: "a list of strings", int: "a whole number", str: "a string"}


def _check(where: str, entity: dict[str, Any]) -> None:
    """Refuse fields of another type than Kong's."""
    for expected, names in TYPES.items():
        for name in names:
            value = entity.get(name)
            fits = isinstance(value, expected) and not isinstance(value, bool)
            if isinstance(value, list) and name not in ("sources", "destinations"):
                fits = fits and all(isinstance(element, str) for element in value)
            if value is not None and not fits:
                message = f"{where}: {name}: must be {NAMES[expected]}"
                raise InvalidFileError(message)


def _name(entity: object) -> str | None:
    """Return the name of an entity, or of a reference to one."""
    if isinstance(entity, dict):
        name = entity.get("name") or entity.get("username") or entity.get("id")
        return None if name is None else str(name)
    return None if entity is None else str(entity)


SCOPES = ("consumer", "consumer_group")


def _plugin(entity: dict[str, Any], shared: dict[str, Any], **scope: str) -> Plugin:
    """`shared` has the configurations that several plugins use by name."""
    name = entity.get("name")
    if not isinstance(name, str):
        message = "a plugin has no name"
        raise InvalidFileError(message)
    config = dict(shared.get(str(entity.get("_config"))) or {})
    own = entity.get("config") or {}
    if not isinstance(own, dict):
        message = f"plugin {name}: config: must be an object"
        raise InvalidFileError(message)
    config.update(own)
    others = {kind: _name(entity[kind]) or "" for kind in SCOPES if entity.get(kind)}
    references = {kind: _name(entity.get(kind)) for kind in ("service", "route")}
    return Plugin(name, config, others=others, **{**references, **scope})


class _Reader:
    """Reads a declarative configuration."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.root = document
        self.shared: dict[str, Any] = document.get("_plugin_configs") or {}
        self.known = {"services", "routes", "plugins", "_plugin_configs"}

    def document(self) -> Document:
        services = [self._service(entity) for entity in _objects(self.root, "services")]
        self._add_routes(services)
        plugins = list(self._plugins(self.root))
        rest = {
            kind: list(_objects(self.root, kind))
            for kind, entities in self.root.items()
            if kind not in self.known and isinstance(entities, list) and entities
        }
        for upstream in rest.get("upstreams", []):
            for target in _objects(upstream, "targets"):
                weight = target.get("weight", 100)
                if not isinstance(target.get("target"), str) or not isinstance(weight, int):
                    message = f"upstream {_name(upstream)}: a target is invalid"
                    raise InvalidFileError(message)
        if not (services or plugins or rest):
            message = "has no services and no plugins: it is no configuration of Kong"
            raise InvalidFileError(message)
        return Document(services, plugins, rest)

    def _plugins(self, parent: dict[str, Any], **scope: str) -> Iterator[Plugin]:
        for entity in _objects(parent, "plugins"):
            if entity.get("enabled") is not False:
                yield _plugin(entity, self.shared, **scope)

    def _service(self, entity: dict[str, Any]) -> Service:
        fields = dict(entity)
        name = _name(entity) or str(entity.get("url") or entity.get("host") or "")
        _check(f"service {name}", entity)
        if url := fields.pop("url", None):
            fields.update(_parts(name, url))
        service = Service(name, fields)
        service.plugins = list(self._plugins(entity, service=name))
        service.routes = [self._route(each, name) for each in _objects(entity, "routes")]
        return service

    def _route(self, entity: dict[str, Any], service: str) -> Route:
        name = _name(entity) or str(entity.get("paths") or entity.get("hosts") or "")
        _check(f"route {name}", entity)
        return Route(name, entity, list(self._plugins(entity, service=service, route=name)))

    def _add_routes(self, services: list[Service]) -> None:
        """Add the routes beside the services, which name theirs."""
        by_name = {service.name: service for service in services}
        by_id = {
            str(service.fields["id"]): service for service in services if "id" in service.fields
        }
        for entity in _objects(self.root, "routes"):
            wanted = _name(entity.get("service"))
            service = by_name.get(wanted or "") or by_id.get(wanted or "")
            if service is None:
                message = f"route {_name(entity)}: its service is not in the file"
                raise InvalidFileError(message)
            service.routes.append(self._route(entity, service.name))


def _parts(name: str, url: str) -> dict[str, Any]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        message = f"service {name}: its url is invalid"
        raise InvalidFileError(message) from error
    if not parts.hostname:
        message = f"service {name}: its url is invalid"
        raise InvalidFileError(message)
    return {
        "protocol": parts.scheme,
        "host": parts.hostname,
        "port": port,
        "path": parts.path or None,
    }
