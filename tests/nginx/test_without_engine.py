"""Denials of the module itself, in workers without an engine and in others, appear in metrics, report and status page."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

from conftest import ALICE
from support.http import ask
from support.lab import Provider, Scripted, Upstream
from support.nginx import Nginx, guarded, location
from support.process import until
from support.store import a_pepper
from test_operating import metrics
from test_status import OPERATING, shown, text

Start = Callable[..., Nginx]


def kill_workers(server: Nginx) -> None:
    """The master starts others."""
    old = server.workers
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(server.workers - old) == len(old), "new workers")


def denied(server: Nginx, cause: str) -> float:
    now = metrics(server)
    by_cause = now[f'credgate_denied_total{{cause="{cause}"}}']
    assert now['credgate_requests_total{outcome="deny",cache_status="none"}'] == by_cause
    assert ask(server.port, "/report").json()["causes"].get(cause, 0) == by_cause
    return by_cause


def test_workers_without_an_engine_are_counted_with_their_denials(
    nginx: Start, provider: Provider, upstream: Upstream, tmp_path: Path
) -> None:
    pepper = a_pepper(tmp_path)
    kept = tmp_path / "kept"
    store = f"credgate_store sqlite:{tmp_path}/store/tokens.db;\ncredgate_store_pepper_file {pepper};\n"
    http = f"{store}credgate_metrics_clients 9;"
    server = nginx(guarded(upstream.url, provider.issuer) + OPERATING, http=http, workers=2)
    assert ask(server.port, headers=ALICE.basic).status == 200
    assert metrics(server)["credgate_workers_without_engine"] == 0
    pepper.rename(kept)
    kill_workers(server)
    until(lambda: metrics(server)["credgate_workers_without_engine"] == 2, "both workers")
    for _ in range(5):
        assert ask(server.port, headers=ALICE.basic).status == 503
    assert denied(server, "engine_unavailable") == 5
    assert metrics(server)['credgate_client_requests_total{client_id="other",result="denied"}'] == 5
    report = ask(server.port, "/report").json()
    assert report["workers_without_engine"] == 2 and report["denied"] == {"none": 5}
    page = text(shown(server))
    assert "no engine in 2 of 2 processes" in page and "engine_unavailable 503 5" in page
    shutil.copy(kept, pepper)
    server.reload()
    until(lambda: metrics(server)["credgate_workers_without_engine"] == 0, "the new workers")
    assert denied(server, "engine_unavailable") == 5
    assert "this worker has no engine" in server.errors
    server.error_log.write_text("")


def test_an_unknown_provider_is_counted_as_a_denial(nginx: Start, scripted: Scripted, upstream: Upstream) -> None:
    block = f"credgate_provider red {{ issuer {scripted.issuer}; allow_loopback_http on; }}\n"
    served = location("/", "credgate on", "credgate_provider $http_x_tenant", f"proxy_pass {upstream.url}")
    server = nginx(served + OPERATING, http=block)
    for _ in range(3):
        assert ask(server.port, headers={**ALICE.basic, "X-Tenant": "green"}).status == 500
    assert denied(server, "internal") == 3
    assert ask(server.port, headers={**ALICE.basic, "X-Tenant": "red"}).status == 200
    assert denied(server, "internal") == 3
