"""The core's vectors through nginx's module."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.http import ask
from support.lab import Scripted, Upstream
from support.nginx import Nginx, location
from support.replay import (
    ASSERTIONS,
    CHALLENGES,
    EXTRACTION,
    FORGETFUL,
    HIDING,
    INTROSPECTION,
    TRACEPARENT,
    Ask,
    asker,
    challenged,
    configuration,
    own_gate,
    paths,
    replay_assertions,
    replay_challenges,
    replay_extraction,
    replay_hiding,
    replay_introspection,
    replay_traceparent,
)
from support.vectors import Vector

Start = Callable[..., Nginx]


def in_directives(config: dict[str, Any]) -> list[str]:
    """A configuration whose arguments come with the request, in headers."""
    names = config.pop("token_post_args_host")
    words = {True: "on", False: "off"}
    plain = {name: " ".join(value) if isinstance(value, list) else value for name, value in config.items()}
    return [
        *(f"credgate_{name} {words.get(value, value)}" for name, value in plain.items()),
        *(f"credgate_token_post_arg {name} $http_x_arg_{number}" for number, name in enumerate(names)),
    ]


def gates(start: Start, issuer: str, upstream: str, directory: Path, vectors: list[Vector], **fixed: Any) -> Ask:
    """One nginx with a location for each configuration that vectors have."""
    places = paths(vectors)
    server = "underscores_in_headers on;\nlarge_client_header_buffers 8 64k;\nclient_max_body_size 1m;\n"
    for config, path in places.items():
        own = {"issuer": issuer, "allow_loopback_http": True, **fixed, **json.loads(config)}
        if "token_post_args_host" in own:
            settings = in_directives(own)
        else:
            file = directory / f"{path[1:]}.json"
            file.write_text(json.dumps(own))
            settings = [f"credgate_config {file}"]
        error = "add_header X-Error $credgate_cause always"
        server += location(f"= {path}", "credgate on", *settings, error, f"proxy_pass {upstream}")
    return asker(start(server).port, places)


def test_extraction(nginx: Start, scripted: Scripted, upstream: Upstream, tmp_path: Path) -> None:
    replay_extraction(gates(nginx, scripted.issuer, upstream.url, tmp_path, EXTRACTION, cache_tokens=False), scripted)


def test_traceparent(nginx: Start, scripted: Scripted, upstream: Upstream, tmp_path: Path) -> None:
    ask = gates(nginx, scripted.issuer, upstream.url, tmp_path, TRACEPARENT, cache_tokens=False)
    replay_traceparent(lambda vector: ask(vector)[0], scripted)


@pytest.mark.parametrize("part", ["query", "body", "headers"])
def test_hiding(nginx: Start, scripted: Scripted, upstream: Upstream, tmp_path: Path, part: str) -> None:
    replay_hiding(gates(nginx, scripted.issuer, upstream.url, tmp_path, HIDING, anonymous=True), upstream, part)


def test_assertions(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    server = ""
    for vector in ASSERTIONS:
        words = {True: "on", False: "off"}
        own = own_gate(vector, scripted.issuer).items()
        text = {name: value[0] if isinstance(value, list) else words.get(value, value) for name, value in own}
        settings = [f"credgate_{name} {value}" for name, value in text.items()]
        error = "add_header X-Error $credgate_cause always"
        server += location(f"= /{vector.id}", "credgate on", *settings, error, f"proxy_pass {upstream.url}")
    port = nginx(server).port

    def answer(vector: Vector) -> tuple[int, str | None]:
        came = ask(port, f"/{vector.id}")
        return came.status, came.header("X-Error")

    replay_assertions(answer, scripted)


def test_challenges(nginx: Start, scripted: Scripted, upstream: Upstream, tmp_path: Path) -> None:
    uncached = {"cache_tokens": False, "cache_ttl_neg": 0}
    replay_challenges(challenged(gates(nginx, scripted.issuer, upstream.url, tmp_path, CHALLENGES, **uncached)), scripted)


def test_introspection(nginx: Start, scripted: Scripted, upstream: Upstream, tmp_path: Path) -> None:
    places = paths(INTROSPECTION)
    server = ""
    for config, path in places.items():
        own = {"issuer": scripted.issuer, "allow_loopback_http": True, **FORGETFUL, **json.loads(config)}
        file = tmp_path / f"{path[1:]}.json"
        file.write_text(json.dumps(own))
        shown = ["add_header X-Cause $credgate_cause always", "add_header X-Client $credgate_client_id always"]
        server += location(f"= {path}", "credgate on", f"credgate_config {file}", *shown, f"proxy_pass {upstream.url}")
    started = nginx(server)

    def judge(vector: Vector) -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {vector.input['token']}"}
        answer = ask(started.port, places[configuration(vector)], headers=headers)
        return answer.status, answer.header("X-Client") or answer.header("X-Cause") or ""

    replay_introspection(judge, scripted)
    for vector in INTROSPECTION:
        assert vector.input["token"] not in started.error_log.read_text()
