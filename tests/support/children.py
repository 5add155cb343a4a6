"""Functions for the children of `multiprocessing`, in a module that they can import."""

import asyncio
import os
import pickle
from typing import Any

from support.python import gate

_gates: dict[str, Any] = {}


def ask(issuer: str, client: str) -> tuple[int, str, str]:
    """Returns the pid and the cache status of two requests: one on a thread, one in an event loop."""
    with_provider = _gates.setdefault(issuer, gate(issuer))
    first = with_provider.authenticate(client_id=client, client_secret="s")
    second = asyncio.run(with_provider.authenticate_async(client_id=client, client_secret="s"))
    return os.getpid(), first.cache_status, second.cache_status


def refused(issuer: str) -> None:
    """Raises an exception that must be pickled on its way to the parent."""
    gate(issuer).token("a", "wrong")


def sent(issuer: str) -> str:
    """Pickles a gate; returns the message of the error."""
    try:
        pickle.dumps(gate(issuer))
    except TypeError as error:
        return str(error)
    return "sent"
