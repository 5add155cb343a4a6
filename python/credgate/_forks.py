"""Notices forks."""

from __future__ import annotations

import importlib
import os
import sys

from credgate._waiting import after_fork


def watch() -> None:
    """Have every forked child start anew."""
    os.register_at_fork(after_in_child=after_fork)
    uwsgi = sys.modules.get("uwsgi")
    if not uwsgi:
        return
    # uWSGI forks without a word to Python, unless it is told to (py-call-osafterfork).
    try:
        decorators = importlib.import_module("uwsgidecorators")
    except Exception:  # noqa: BLE001 - it refuses to be imported without a master
        uwsgi.post_fork_hook = after_fork  # type: ignore[attr-defined]
    else:
        decorators.postfork(after_fork)
