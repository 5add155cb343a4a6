"""Starts the provider."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def provider() -> Iterator[str]:
    """Runs the provider, and returns its issuer. It needs CPython 3.10 or later: that of the tests."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(ROOT / "target/venv/bin/python"), str(Path(__file__).with_name("provider.py")), str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout and process.stdout.readline().startswith("ready"), "the provider does not start"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()
