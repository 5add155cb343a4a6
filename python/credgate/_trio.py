"""A run of trio, with the part of asyncio's event loop that a mailbox uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from credgate._credgate import Allow, Deny

_loop: trio.lowlevel.RunVar[Loop] = trio.lowlevel.RunVar("credgate loop")


def running_loop() -> Loop:
    """Return the loop of the current run."""
    try:
        return _loop.get()
    except LookupError:
        loop = Loop()
        _loop.set(loop)
        return loop


class Loop:
    """Watches descriptors in system tasks, which end with the run."""

    def __init__(self) -> None:
        """Create it for the current run."""
        self._token = trio.lowlevel.current_trio_token()
        self._watches: dict[int, trio.CancelScope] = {}
        self._is_closed = False

    def add_reader(self, descriptor: int, callback: Callable[[], object]) -> None:
        """Call a function whenever a descriptor is readable."""
        scope = self._watches[descriptor] = trio.CancelScope()

        async def watch() -> None:
            try:
                with scope:
                    while True:
                        await trio.lowlevel.wait_readable(descriptor)
                        callback()
            finally:
                self._is_closed |= descriptor in self._watches

        trio.lowlevel.spawn_system_task(watch, name="credgate")

    def remove_reader(self, descriptor: int) -> None:
        """Stop watching a descriptor."""
        if scope := self._watches.pop(descriptor, None):
            scope.cancel()

    def create_future(self) -> Future:
        """Return a place for an outcome."""
        return Future()

    def call_soon_threadsafe(self, callback: Callable[..., object], *args: object) -> None:
        """Call a function on the run's thread; raise RuntimeError if the run is over."""
        self._token.run_sync_soon(callback, *args)

    def is_closed(self) -> bool:
        """Return whether the run is over: it has ended a watch by itself."""
        return self._is_closed


class Future:
    """An outcome that arrives later. One task awaits it."""

    def __init__(self) -> None:
        """Create it without an outcome."""
        self._arrived = trio.Event()

    def done(self) -> bool:
        """Return whether the outcome has arrived."""
        return self._arrived.is_set()

    def set_result(self, outcome: Allow | Deny) -> None:
        """Set the outcome and wake the task."""
        self._outcome = outcome
        self._arrived.set()

    def __await__(self) -> Generator[None, None, Allow | Deny]:
        """Wait for the outcome."""
        yield from self._arrived.wait().__await__()
        return self._outcome
