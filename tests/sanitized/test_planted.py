"""The sanitizers report planted faults: a module with two faults, in the nginx and with the library of all tests."""

import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import ALICE
from support import nginx
from support.http import ask
from support.lab import Provider, Upstream
from support.process import ROOT

# The planted faults by file: an addition overflows; the length passed to the library is one byte too long.
FAULTS = [
    ("ngx_http_credgate_present.c", "*len = from->len;", "*len = from->len + 1;"),
    ("ngx_http_credgate_query.c", "size_t      len;", "volatile int  big = 2147483647; size_t len;"),
    ("ngx_http_credgate_query.c", "uri = r->unparsed_uri;", "big = big + 1; uri = r->unparsed_uri;"),
]


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """The module with these faults."""
    tree = tmp_path / "tree"
    for part in ("ffi/nginx", "include"):
        shutil.copytree(ROOT / part, tree / part)
    for name, right, wrong in FAULTS:
        file = tree / "ffi/nginx" / name
        text = file.read_text()
        assert right in text
        file.write_text(text.replace(right, wrong, 1))
    build = f"source {ROOT}/tests/lib.sh && build_sanitized_module {tree} {tmp_path}"
    subprocess.run(["bash", "-c", build], check=True)
    return tmp_path / "ngx_http_credgate_module.so"


def test_planted_faults_are_reported(
    tmp_path: Path, provider: Provider, upstream: Upstream, planted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nginx, "MODULE", planted)
    with nginx.Nginx(tmp_path / "nginx", nginx.guarded(upstream.url, provider.issuer)) as server:
        with pytest.raises(ConnectionError):
            ask(server.port, **ALICE.request("query"))
    # UndefinedBehaviorSanitizer writes to standard error, which is nginx's error log, and so does everything after it.
    overflow, overread = server.alarms()
    assert "signed integer overflow" in overflow
    assert "heap-buffer-overflow" in overread
    assert "credgate_core" in server.errors
