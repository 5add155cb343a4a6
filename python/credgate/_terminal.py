"""A terminal: its width, its colours, and a line that shows that a command waits."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_WIDTH = 100
CODES = {"bold": "1", "dim": "2", "red": "1;31", "green": "32", "yellow": "33"}
CLEAR = "\r\x1b[K"
# A command that ends sooner shows no progress: a line that flashes tells nothing.
DELAY = 0.5
INTERVAL = 0.25


class Style:
    """Colours text for a stream, if it shows colours.

    NO_COLOR wins over FORCE_COLOR, each if it is not empty. Otherwise a terminal shows colours,
    unless TERM is "dumb".
    """

    def __init__(self, stream: TextIO) -> None:
        if os.environ.get("NO_COLOR"):
            self.is_coloured = False
        elif os.environ.get("FORCE_COLOR"):
            self.is_coloured = True
        else:
            self.is_coloured = is_terminal(stream)

    def __call__(self, text: str, code: str) -> str:
        """Return the text in a colour of CODES."""
        return f"\x1b[{CODES[code]}m{text}\x1b[0m" if self.is_coloured and text else text


def is_terminal(stream: TextIO) -> bool:
    """Return whether a stream is a terminal that understands control sequences."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def width() -> int:
    """Return the width of the terminal, at most 100 columns."""
    return min(shutil.get_terminal_size((MAX_WIDTH, 24)).columns, MAX_WIDTH)


@contextlib.contextmanager
def waiting(text: str) -> Iterator[None]:
    """Show a text and the seconds so far while the block runs, if standard error is a terminal."""
    if not is_terminal(sys.stderr):
        yield
        return
    done = threading.Event()
    thread = threading.Thread(target=_show, args=(text, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _show(text: str, done: threading.Event) -> None:
    started = time.monotonic()
    if done.wait(DELAY):
        return
    while True:
        line = f"{text} {int(time.monotonic() - started)} s"
        sys.stderr.write(f"{CLEAR}{line[: width() - 1]}")
        sys.stderr.flush()
        if done.wait(INTERVAL):
            break
    sys.stderr.write(CLEAR)
    sys.stderr.flush()
