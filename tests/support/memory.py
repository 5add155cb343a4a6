"""The memory of a process."""

from collections.abc import Iterator
from pathlib import Path


def memory(pid: int) -> Iterator[bytes]:
    """All writable mappings of the process: a superset of a core dump."""
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as file:
        for line in maps:
            bounds, permissions, *_ = line.split()
            if not permissions.startswith("rw"):
                continue
            start, end = (int(bound, 16) for bound in bounds.split("-"))
            file.seek(start)
            try:
                mapping = file.read(end - start)
            except OSError:
                # A thread has unmapped it meanwhile.
                continue
            yield mapping
