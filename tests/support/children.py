"""What children of `multiprocessing` do: in a module that they can import."""

import asyncio
import os
import pickle
from typing import Any

from support.python import gate

_gates: dict[str, Any] = {}


def ask(issuer: str, client: str) -> tuple[int, str, str]:
    """Who asks, and how two requests came about: one of a thread, one of an event loop."""
    with_provider = _gates.setdefault(issuer, gate(issuer))
    first = with_provider.authenticate(client_id=client, client_secret="s")
    second = asyncio.run(with_provider.authenticate_async(client_id=client, client_secret="s"))
    return os.getpid(), first.cache_status, second.cache_status


def refused(issuer: str) -> None:
    """Raises what has to come back through a pickle."""
    gate(issuer).token("a", "wrong")


def sent(issuer: str) -> str:
    """What sending a gate to another process ends in."""
    try:
        pickle.dumps(gate(issuer))
    except TypeError as error:
        return str(error)
    return "sent"
