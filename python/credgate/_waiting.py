"""Waits for outcomes in an event loop, which the library wakes through a file descriptor."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from credgate import _credgate

if TYPE_CHECKING:
    from credgate._credgate import Allow, Deny, Request


class Mailbox:
    """The waiting requests of one event loop. Use it only on the loop's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Create a queue and have the loop watch it."""
        self._queue = _credgate.Queue()
        self._waiting: dict[int, asyncio.Future[Allow | Deny]] = {}
        self._retired = False
        loop.add_reader(self._queue.fileno(), self._collect)

    @property
    def is_usable(self) -> bool:
        """Return whether the queue was created in this process."""
        return self._queue.is_usable()

    async def wait(self, request: Request) -> Allow | Deny:
        """Wait for the outcome of a request. Cancelling it does not affect other waiters."""
        begun = self._queue.begin(request)
        if not isinstance(begun, int):
            return begun
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Allow | Deny] = loop.create_future()
        self._waiting[begun] = future
        try:
            return await future
        finally:
            if self._waiting.pop(begun, None):
                self._queue.cancel(begun)
            self._stop_watching(loop)

    def retire(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have the loop stop watching the queue once no request is waiting."""
        self._retired = True
        self._stop_watching(loop)

    def abandon(self) -> None:
        """Drop the waiting requests of a closed loop."""
        self._waiting.clear()

    def _stop_watching(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._retired and not self._waiting and not loop.is_closed():
            loop.remove_reader(self._queue.fileno())

    def _collect(self) -> None:
        for ticket, outcome in self._queue.collect():
            future = self._waiting.pop(ticket, None)
            if future and not future.done():
                future.set_result(outcome)


_mailboxes: WeakKeyDictionary[asyncio.AbstractEventLoop, Mailbox] = WeakKeyDictionary()
# Reentrant: a signal handler may interrupt its holder.
_lock = threading.RLock()


def _mailbox() -> Mailbox:
    """Return the mailbox of the running loop."""
    loop = asyncio.get_running_loop()
    with _lock:
        mailbox = _mailboxes.get(loop)
        if not mailbox or not mailbox.is_usable:
            for closed in [other for other in _mailboxes if other.is_closed()]:
                _mailboxes.pop(closed).abandon()
            mailbox = _mailboxes[loop] = Mailbox(loop)
        return mailbox


async def wait(request: Request) -> Allow | Deny:
    """Wait for the outcome of a request."""
    _credgate.notice_fork()
    return await _mailbox().wait(request)


def close() -> None:
    """Release the engine of this process: drop its tokens and end its thread.

    Requests that are waiting still get their outcomes. The next request creates a new engine.
    """
    # First the engine: a mailbox created in between is retired below, or uses the next engine.
    _credgate.close()
    with _lock:
        mailboxes = list(_mailboxes.items())
        _mailboxes.clear()
    for loop, mailbox in mailboxes:
        with suppress(RuntimeError):  # a closed loop
            loop.call_soon_threadsafe(mailbox.retire, loop)


def after_fork() -> None:
    """Drop the parent's state in a forked child."""
    global _lock  # noqa: PLW0603
    _credgate.note_fork()
    _lock = threading.RLock()
    _mailboxes.clear()
