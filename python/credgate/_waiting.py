"""Waits for outcomes in an event loop, which the library wakes through a file descriptor.

A loop is one of asyncio or a run of trio. anyio needs no code of its own: it runs on either.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Union
from weakref import WeakKeyDictionary

from credgate import _credgate

if TYPE_CHECKING:
    from credgate import _trio
    from credgate._credgate import Allow, Deny, Request

Loop = Union[asyncio.AbstractEventLoop, "_trio.Loop"]
Future = Union["asyncio.Future[Allow | Deny]", "_trio.Future"]


class Mailbox:
    """The waiting requests of one event loop. Use it only on the loop's thread."""

    def __init__(self, loop: Loop) -> None:
        """Create a queue and have the loop watch it."""
        self._queue = _credgate.Queue()
        self._waiting: dict[int, Future] = {}
        self._retired = False
        loop.add_reader(self._queue.fileno(), self._collect)

    @property
    def is_usable(self) -> bool:
        """Return whether the queue was created in this process."""
        return self._queue.is_usable()

    async def wait(self, request: Request, loop: Loop) -> Allow | Deny:
        """Wait for the outcome of a request. Cancelling it does not affect other waiters."""
        begun = self._queue.begin(request)
        if not isinstance(begun, int):
            return begun
        future = self._waiting[begun] = loop.create_future()
        try:
            return await future
        finally:
            if self._waiting.pop(begun, None):
                self._queue.cancel(begun)
            self._stop_watching(loop)

    def retire(self, loop: Loop) -> None:
        """Have the loop stop watching the queue once no request is waiting."""
        self._retired = True
        self._stop_watching(loop)

    def abandon(self) -> None:
        """Drop the waiting requests of a closed loop."""
        self._waiting.clear()

    def _stop_watching(self, loop: Loop) -> None:
        if self._retired and not self._waiting and not loop.is_closed():
            loop.remove_reader(self._queue.fileno())

    def _collect(self) -> None:
        for ticket, outcome in self._queue.collect():
            future = self._waiting.pop(ticket, None)
            if future and not future.done():
                future.set_result(outcome)


_mailboxes: WeakKeyDictionary[Loop, Mailbox] = WeakKeyDictionary()
# Reentrant: a signal handler may interrupt its holder.
_lock = threading.RLock()


def _running_loop() -> Loop:
    """Return the running loop. A program that runs trio has imported it."""
    # With trio as a guest of asyncio, both run in this thread.
    in_trio_task = getattr(sys.modules.get("trio.lowlevel"), "in_trio_task", None)
    if in_trio_task and in_trio_task():
        from credgate import _trio  # noqa: PLC0415

        return _trio.running_loop()
    return asyncio.get_running_loop()


def _mailbox(loop: Loop) -> Mailbox:
    """Return the mailbox of a loop."""
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
    loop = _running_loop()
    return await _mailbox(loop).wait(request, loop)


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
