"""What a process holds in its memory."""

from collections.abc import Iterator
from pathlib import Path


def memory(pid: int) -> Iterator[bytes]:
    """Everything that the process may write to, one mapping after the other: what a core dump has, and more."""
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as file:
        for line in maps:
            bounds, permissions, *_ = line.split()
            if not permissions.startswith("rw"):
                continue
            start, end = (int(bound, 16) for bound in bounds.split("-"))
            file.seek(start)
            yield file.read(end - start)
