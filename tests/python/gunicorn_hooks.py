"""Hooks of gunicorn, for the tests of servers."""

from typing import Any


def post_worker_init(worker: Any) -> None:
    """Logs that a worker has its signal handlers and its application."""
    worker.log.info("Worker ready (pid: %s)", worker.pid)
