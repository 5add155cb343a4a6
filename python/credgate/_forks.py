"""Hooks that run in forked children."""

from __future__ import annotations

import importlib
import os
import sys

from credgate._waiting import after_fork


def watch() -> None:
    """Reset the package's state in every forked child."""
    os.register_at_fork(after_in_child=after_fork)
    uwsgi = sys.modules.get("uwsgi")
    if not uwsgi:
        return
    # uWSGI does not report forks to Python by default (py-call-osafterfork).
    try:
        decorators = importlib.import_module("uwsgidecorators")
    except Exception:  # noqa: BLE001 - the import fails without a master process
        uwsgi.post_fork_hook = after_fork  # type: ignore[attr-defined]
    else:
        decorators.postfork(after_fork)
