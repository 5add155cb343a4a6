"""The pace of a soak."""

from dataclasses import dataclass

LONG = 7200.0
"""Seconds of a run that shows the drift of an hour. In a shorter one, workers are replaced all the time."""
RESTLESS = 1 / 6
"""The part of a long run in which workers are replaced."""
SETTLED = 1 / 2
"""The part of a long run after which workers have seen every event many times: until then, each may be a new maximum."""
STORM = (1.0, 3.0)
"""The pause between events from the one part to the other."""


@dataclass(frozen=True)
class Pace:
    """`rate` is in requests a second; the other times are in seconds. `between_events` is the shortest and the longest pause, once
    workers have settled."""

    seconds: float
    rate: float = 150.0
    between_events: tuple[float, float] = (40.0, 80.0)
    fault: tuple[float, float] = (6.0, 14.0)
    between_samples: float = 30.0

    def is_restless(self, elapsed: float) -> bool:
        """Are workers replaced?"""
        return self.seconds < LONG or elapsed < self.seconds * RESTLESS

    def pause(self, elapsed: float) -> tuple[float, float]:
        """The shortest and the longest pause before the next event."""
        shortest, longest = self.between_events
        if self.is_restless(elapsed):
            return shortest / 2, longest / 2
        return STORM if elapsed < settled(self.seconds) else self.between_events


def quick(seconds: float) -> Pace:
    return Pace(seconds, between_events=(1.0, 2.0), fault=(1.0, 2.0), between_samples=1.0)


def settled(seconds: float) -> float:
    """The time after which samples show the drift of a run."""
    return seconds * SETTLED if seconds >= LONG else 0.0
