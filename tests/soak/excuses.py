"""The times at which an answer may be other than usual, because of an event of the chaos. Each is explicit and short."""

import math
from dataclasses import dataclass, field

AFTER_A_PROVIDER_FAULT = 10.0
"""Metadata is fetched again 5 s after a failure, the circuit breaker is open for up to 5 s, and the next probe takes time."""
AFTER_A_KILLED_WORKER = 2.0
"""Its connections break. A worker waits up to two seconds for a lease of the dead one."""
AFTER_A_STORE_KILL = 12.0
"""The longest pause of the store's circuit breaker, 10 s, jittered."""


@dataclass
class Excuse:
    """`kind` is "provider", "worker HOST" or "store". Times are of the event loop's clock."""

    kind: str
    begin: float
    end: float = math.inf


@dataclass
class Excuses:
    """All excuses of the last hour."""

    all: list[Excuse] = field(default_factory=list)

    def begin(self, kind: str, now: float) -> Excuse:
        self.all = [excuse for excuse in self.all if excuse.end > now - 3600]
        self.all.append(excuse := Excuse(kind, now))
        return excuse

    def holds(self, kind: str, begin: float, end: float) -> bool:
        """Does an excuse of that kind overlap with the time between?"""
        return any(one.kind == kind and one.begin <= end and begin <= one.end for one in self.all)
