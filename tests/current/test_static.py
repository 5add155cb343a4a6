"""The module linked into nginx with --add-module, instead of being loaded."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import ALICE
from support.http import ask
from support.lab import Scripted, Upstream, bearer
from support.nginx import BINARY, Nginx, guarded
from support.process import ROOT


@pytest.fixture
def static(tmp_path: Path) -> Path:
    """An nginx that contains the module, and little else."""
    tree = tmp_path / "source"
    shutil.copytree(Path(BINARY).parent / "source", tree)
    configure = [tree / "auto/configure", f"--add-module={ROOT}/ffi/nginx", "--without-http_gzip_module"]
    for command in ([*configure, "--with-http_v2_module", "--with-http_stub_status_module"], ["make", "-j2"]):
        done = subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr
    return tree / "objs/nginx"


def test_a_static_module_needs_no_load_module(
    static: Path, scripted: Scripted, upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("support.nginx.BINARY", static)
    with Nginx(tmp_path / "nginx", guarded(upstream.url, scripted.issuer), loaded=False) as server:
        for status in ("MISS", "HIT"):
            answer = ask(server.port, headers=ALICE.basic)
            assert (answer.status, answer.header("X-Credgate-Status")) == (200, status)
            assert bearer(upstream.last)
    assert server.alarms() == []
