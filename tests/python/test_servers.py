"""Real servers: uvicorn, gunicorn with each worker class, with and without preload, and uWSGI."""

import json
import re
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from conftest import ALICE, BOB, CAROL, CLIENTS
from support.http import FORM, JSON, SOURCES, ask
from support.lab import Provider, Scripted
from support.process import Service, free_port, gone, until

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
EXAMPLES = HERE.parent.parent / "python/examples"
PROCESSES = 2

GUNICORN = [
    BIN / "gunicorn", "--config", HERE / "gunicorn_hooks.py", "--workers", str(PROCESSES), "--access-logfile", "-",
    "--bind", "127.0.0.1:PORT", "--no-control-socket",
]  # fmt: skip
UWSGI = [
    BIN / "uwsgi", "--master", "--processes", str(PROCESSES), "--http-socket", "127.0.0.1:PORT", "--die-on-term",
    "--need-app", "--log-format", '"%(credgate_request)" %(status)', "--module",
]  # fmt: skip
UVICORN = [BIN / "uvicorn", "--host", "127.0.0.1", "--port", "PORT"]

SERVERS: dict[str, list[str | Path]] = {
    "uvicorn": [*UVICORN, "apps:asgi"],
    "uvicorn-workers": [*UVICORN, "--workers", str(PROCESSES), "apps:asgi"],
    "gunicorn": [*GUNICORN, "apps:wsgi"],
    "gunicorn-preload": [*GUNICORN, "--preload", "apps:wsgi"],
    "gunicorn-threads": [*GUNICORN, "--threads", "4", "--preload", "apps:wsgi"],
    "gunicorn-asgi": [*GUNICORN, "--worker-class", "asgi", "--env", "CREDGATE_FILTERED=gunicorn.access", "apps:asgi"],
    "gunicorn-uvicorn": [*GUNICORN, "--worker-class", "uvicorn_worker.UvicornWorker", "apps:asgi"],
    "gunicorn-uvicorn-preload": [*GUNICORN, "--worker-class", "uvicorn_worker.UvicornWorker", "--preload", "apps:asgi"],
    "uwsgi": [*UWSGI, "apps:wsgi"],
    "uwsgi-lazy-apps": [*UWSGI, "apps:wsgi", "--lazy-apps"],
    "uwsgi-without-master": [*(part for part in UWSGI if part != "--master"), "apps:wsgi"],
    "uwsgi-threads": [*UWSGI, "apps:wsgi", "--enable-threads", "--threads", "4"],
}


@contextmanager
def running(
    command: list[str | Path], directory: Path, config: dict[str, Any], *, at: Path = HERE, **env: str
) -> Iterator[Service]:
    """Runs a server command in the directory `at`; PORT in it is replaced."""
    port = free_port()
    file = directory / "gate.json"
    file.write_text(json.dumps({"allow_loopback_http": True, "audience": "https://example.com/", **config}))
    filled = [str(part).replace("PORT", str(port)) for part in command]
    environment = {"CREDGATE_CONFIG": str(file), "PYTHONPATH": str(at), "PYTHONUNBUFFERED": "1", **env}
    service = Service(filled, directory / "log", port=port, env=environment)
    try:
        service.start()
        until(lambda: ask(port).status == 401, "the application to respond")
        if command[0] == BIN / "gunicorn":
            until(lambda: ready(service) == PROCESSES, "all workers")
        yield service
    finally:
        try:
            service.stop(signal.SIGTERM)
        finally:
            # A server without a master, or one that was killed, leaves workers behind.
            service.kill_descendants()


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, _provider: Provider) -> Iterator[Service]:
    """Each server. With preload, the engine has already been used in the process that forks."""
    directory = tmp_path_factory.mktemp(request.param)
    config = {"issuer": _provider.issuer, "cache_tokens_salt": request.param, "max_body_bytes": 1000}
    with running(SERVERS[request.param], directory, config, CREDGATE_WARM=CAROL.basic["Authorization"]) as service:
        yield service


def log(service: Service) -> str:
    return service.log.read_text(errors="replace")


def ready(service: Service) -> int:
    """The number of gunicorn's workers that have been ready for signals. An earlier SIGTERM is lost."""
    return log(service).count("Worker ready")


def headers(echo: Any, name: str) -> list[str]:
    return [value for key, value in echo["headers"] if key == name and value is not None]


@pytest.mark.parametrize("source", SOURCES)
def test_credentials_are_replaced_with_a_token(source: str, server: Service) -> None:
    response = ask(server.port, **ALICE.request(source, "/x"))
    assert response.status == 200, log(server)
    echo = response.json()
    assert (echo["client"], echo["claims"]["aud"]) == ("alice", "https://example.com/")
    (authorization,) = headers(echo, "authorization")
    assert authorization.startswith("Bearer eyJ")
    assert ALICE.traces(response.body) == []
    if source == "query":
        assert echo["query"] == "keep=1"
    if source in ("form", "json"):
        assert echo["body"] == "keep=1" if source == "form" else json.loads(echo["body"]) == {"keep": 1}
        assert headers(echo, "content-length") == [str(len(echo["body"]))]


def test_denied_requests_get_a_response(server: Service) -> None:
    for request in ({}, {"headers": ALICE.wrong().basic}, ALICE.wrong().request("query"), {"method": "HEAD"}):
        response = ask(server.port, **request)
        assert (response.status, response.header("WWW-Authenticate")) == (401, 'Basic realm="127.0.0.1", charset="UTF-8"')
        assert response.body == (b"" if "method" in request else b'{"message":"Unauthorized"}')
    assert ask(server.port, f"/?{ALICE.parameters}", headers=ALICE.basic).status == 400


def test_no_access_log_contains_a_secret(server: Service) -> None:
    for client in (ALICE, ALICE.wrong()):
        ask(server.port, **client.request("query", "/logged"))
        ask(server.port, **client.request("form", "/logged"))
    until(lambda: log(server).count("GET /logged") >= 2, "the lines to be logged")
    assert ALICE.traces(log(server)) == []
    assert f"client_id={ALICE.id}&client_secret=***" in log(server)


def test_a_body_over_the_limit_arrives_whole(server: Service) -> None:
    body = "a=" + "x" * 50_000
    response = ask(server.port, method="POST", headers={**FORM, **ALICE.basic}, body=body)
    assert response.status == 200
    assert response.json()["body"] == body


# uWSGI does not pass chunked bodies to applications.
@pytest.mark.parametrize("server", [name for name in SERVERS if not name.startswith("uwsgi")], indirect=True)
def test_a_chunked_body_is_searched_for_credentials(server: Service) -> None:
    pieces = [ALICE.parameters.encode()[:7], ALICE.parameters.encode()[7:], b"&keep=1"]
    chunked = {**FORM, "Transfer-Encoding": "chunked"}
    response = ask(server.port, method="POST", headers=chunked, body=iter(pieces))
    assert response.status == 200, log(server)
    assert response.json()["body"] == "keep=1"


def test_each_process_makes_one_exchange_per_client(server: Service, provider: Provider) -> None:
    with ThreadPoolExecutor(12) as pool:
        responses = list(pool.map(lambda _: ask(server.port, headers=BOB.basic), range(60)))
    assert {response.status for response in responses} == {200}, log(server)
    pids = {response.json()["pid"] for response in responses}
    assert provider.count["by_client"]["bob"] == len(pids) <= PROCESSES
    statuses = [response.json()["cache_status"] for response in responses]
    assert statuses.count("MISS") == len(pids)


def test_a_websocket_handshake_is_authenticated_and_logged_without_a_secret(tmp_path: Path, provider: Provider) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AA" * 11 + "=="}
    with running(SERVERS["uvicorn"], tmp_path, {"issuer": provider.issuer}) as service:
        for request in ({"headers": ALICE.basic}, {"target": f"/?{ALICE.parameters}"}):
            response = ask(service.port, **{**request, "headers": {**request.get("headers", {}), **upgrade}})
            assert (response.status, response.header("X-Client")) == (101, "alice"), log(service)
        denied = ask(service.port, headers={**upgrade, **ALICE.wrong().basic})
        assert (denied.status, denied.body) == (401, b'{"message":"Unauthorized"}')
        assert ALICE.traces(log(service)) == []


def pid_of(port: int) -> int:
    pid: int = ask(port, headers=ALICE.basic).json()["pid"]
    return pid


def test_a_server_stops_without_errors(tmp_path: Path, provider: Provider) -> None:
    for name in ("uvicorn", "gunicorn-preload", "gunicorn-uvicorn-preload", "uwsgi"):
        directory = tmp_path / name
        directory.mkdir()
        with running(SERVERS[name], directory, {"issuer": provider.issuer}) as service:
            pids: set[int] = set()
            wanted = 1 if name == "uvicorn" else PROCESSES
            with ThreadPoolExecutor(4) as pool:
                until(lambda: pids.update(pool.map(pid_of, [service.port] * 4)) or len(pids) == wanted, "all workers")
        until(lambda: all(gone(pid) for pid in pids), "the workers to end")
        for error in ("Traceback", "panicked", "SIGKILL", "Segmentation"):
            assert error not in log(service), f"{name}: {log(service)}"


def test_a_retiring_worker_finishes_its_requests(tmp_path: Path, scripted: Scripted) -> None:
    with running(SERVERS["gunicorn-uvicorn"], tmp_path, {"issuer": scripted.issuer, "token_endpoint_auth_method": "client_secret_post"}) as service:
        scripted.hold()
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(ask, service.port, headers=ALICE.basic)
            until(lambda: scripted.state["waiting"] == 1, "the exchange to begin")
            service.kill(signal.SIGHUP)  # new workers; the old ones finish
            until(lambda: ready(service) == 2 * PROCESSES, "the new workers")
            scripted.release()
            assert waiting.result().status == 200


@pytest.mark.parametrize("name", ["gunicorn", "gunicorn-threads"])
def test_gunicorn_with_a_log_filter_logs_no_secret_of_a_failed_request(name: str, tmp_path: Path, provider: Provider) -> None:
    both = "gunicorn.access gunicorn.error"
    with running(SERVERS[name], tmp_path, {"issuer": provider.issuer}, CREDGATE_FILTERED=both) as service:
        assert ask(service.port, **ALICE.request("query", "/raise")).status == 500
        until(lambda: re.search(r"GET /raise\?client_id=alice&client_secret=\*+&keep=1 HTTP.* 500 ", log(service)), "the line")
        assert "RuntimeError: requested by the test" in log(service)
        assert ALICE.traces(log(service)) == []


DEVELOPMENT = {
    "werkzeug": "import apps; from werkzeug.serving import run_simple; run_simple('127.0.0.1', PORT, apps.wsgi, threaded=True)",
    "django.server": "import django_app; from django.core.management import call_command;"
    "call_command('runserver', '127.0.0.1:PORT', '--noreload')",
}


@pytest.mark.parametrize("logger", DEVELOPMENT)
def test_a_development_server_with_a_log_filter_logs_no_secret(
    logger: str, tmp_path: Path, provider: Provider
) -> None:
    program = f"import logging, credgate; logging.getLogger({logger!r}).addFilter(credgate.LogFilter()); {DEVELOPMENT[logger]}"
    at = EXAMPLES if logger == "django.server" else HERE
    with running([sys.executable, "-c", program], tmp_path, {"issuer": provider.issuer}, at=at) as service:
        clients = (*CLIENTS, ALICE.wrong())
        for client in clients:
            ask(service.port, **client.request("query", "/logged"))
        until(lambda: log(service).count("GET /logged") == len(clients), "the lines to be logged")
        for client in clients:
            assert client.traces(log(service)) == []
            # The whole secret is gone, whatever its characters: the next parameter follows.
            assert re.search(rf"GET /logged\?client_id={client.id}&client_secret=\*+&keep=1 HTTP", log(service)), log(service)


APPLICATIONS = {
    "fastapi": [*UVICORN, "fastapi_app:app"],
    "flask": [*GUNICORN, "flask_app:app"],
    "django": [*GUNICORN, "--preload", "django_app:application"],
    "django-asgi": [*UVICORN, "django_app:asgi_application"],
}


@pytest.fixture(scope="module", params=APPLICATIONS)
def application(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, _provider: Provider) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp(request.param)
    with running(APPLICATIONS[request.param], directory, {"issuer": _provider.issuer}, at=EXAMPLES) as service:
        yield service


def test_an_example_identifies_its_client(application: Service) -> None:
    for client in (ALICE, BOB):
        for source in ("header", "query"):
            response = ask(application.port, **client.request(source, "/whoami"))
            assert response.json() == {"client": client.id, "audience": "https://example.com/"}, log(application)
    assert ask(application.port, "/token", headers=ALICE.basic).json() == {"authorization": "Bearer"}
    assert ask(application.port, "/whoami").status == 401
    assert ask(application.port, "/nowhere", headers=ALICE.basic).status == 404


def test_an_example_reads_a_form_that_contained_credentials(application: Service) -> None:
    body = f"{ALICE.parameters}&item=tea&note=hot"
    response = ask(application.port, "/orders", method="POST", headers=FORM, body=body)
    assert response.json() == {"client": "alice", "item": "tea", "note": "hot"}, log(application)
    assert ALICE.traces(log(application)) == []


def test_a_client_does_not_choose_the_identity_in_an_example(application: Service) -> None:
    body = f"{ALICE.parameters}&item=tea&client=root"
    response = ask(application.port, "/orders", method="POST", headers=FORM, body=body)
    assert response.json()["client"] == "alice"


def test_an_example_denies_a_body_that_is_no_order(application: Service) -> None:
    response = ask(application.port, "/orders", method="POST", headers={**ALICE.basic, **JSON}, body="[1]")
    assert response.status in (200, 400, 422), log(application)
    if response.status == 200:
        assert response.json() == {"client": "alice"}, "Django's form is empty"


