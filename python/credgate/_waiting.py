"""Waits for outcomes in an event loop, which the library wakes through a descriptor."""

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
    """Where one event loop finds its outcomes. Used on the loop's thread alone."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have the loop watch a queue."""
        self._queue = _credgate.Queue()
        self._waiting: dict[int, asyncio.Future[Allow | Deny]] = {}
        self._retired = False
        loop.add_reader(self._queue.fileno(), self._collect)

    @property
    def is_usable(self) -> bool:
        """Tell whether it is this process's."""
        return self._queue.is_usable()

    async def ask(self, request: Request) -> Allow | Deny:
        """Wait for what becomes of a request; being cancelled changes nothing for others."""
        answer = self._queue.begin(request)
        if not isinstance(answer, int):
            return answer
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Allow | Deny] = loop.create_future()
        self._waiting[answer] = future
        try:
            return await future
        finally:
            if self._waiting.pop(answer, None):
                self._queue.cancel(answer)
            self._leave(loop)

    def retire(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have the loop watch no longer, once nobody waits."""
        self._retired = True
        self._leave(loop)

    def abandon(self) -> None:
        """Forget who waits, as the loop is closed."""
        self._waiting.clear()

    def _leave(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._retired and not self._waiting and not loop.is_closed():
            loop.remove_reader(self._queue.fileno())

    def _collect(self) -> None:
        for ticket, outcome in self._queue.collect():
            future = self._waiting.pop(ticket, None)
            if future and not future.done():
                future.set_result(outcome)


_mailboxes: WeakKeyDictionary[asyncio.AbstractEventLoop, Mailbox] = WeakKeyDictionary()
# A signal handler may come in between.
_lock = threading.RLock()


def _mailbox() -> Mailbox:
    """Answer the running loop's."""
    loop = asyncio.get_running_loop()
    with _lock:
        mailbox = _mailboxes.get(loop)
        if not mailbox or not mailbox.is_usable:
            for closed in [other for other in _mailboxes if other.is_closed()]:
                _mailboxes.pop(closed).abandon()
            mailbox = _mailboxes[loop] = Mailbox(loop)
        return mailbox


async def wait(request: Request) -> Allow | Deny:
    """Wait for what becomes of a request."""
    _credgate.notice_fork()
    return await _mailbox().ask(request)


def close() -> None:
    """Let go of this process's engine: its tokens are forgotten, and its thread ends.

    Who waits for an outcome still gets it. What is asked for after that makes another engine.
    """
    # The engine first: a mailbox that is made in between is of the next one, or goes too.
    _credgate.close()
    with _lock:
        mailboxes = list(_mailboxes.items())
        _mailboxes.clear()
    for loop, mailbox in mailboxes:
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(mailbox.retire, loop)


def after_fork() -> None:
    """Forget in a child what is its parent's."""
    global _lock  # noqa: PLW0603
    _credgate.note_fork()
    _lock = threading.RLock()
    _mailboxes.clear()
