"""The pace of a soak."""

from dataclasses import dataclass

RESTLESS = 1 / 3
"""Workers are replaced in the first third of a long run, and then no more: the drift of their memory is that of the rest."""
SETTLES = 900.0
"""Seconds after that, within which a worker has seen every kind of event."""
LONG = 3600.0
"""A shorter run shows no drift in an hour: in it, workers are replaced all the time."""


@dataclass(frozen=True)
class Pace:
    """`rate` is in requests a second; the other times are in seconds."""

    seconds: float
    rate: float = 150.0
    between_events: tuple[float, float] = (40.0, 80.0)
    fault: tuple[float, float] = (6.0, 14.0)
    between_samples: float = 30.0

    def is_restless(self, elapsed: float) -> bool:
        return self.seconds < LONG or elapsed < self.seconds * RESTLESS


def quick(seconds: float) -> Pace:
    return Pace(seconds, between_events=(1.0, 2.0), fault=(1.0, 2.0), between_samples=1.0)


def settled(seconds: float) -> float:
    """The time after which samples show the drift of a run."""
    return seconds * RESTLESS + SETTLES if seconds >= LONG else 0.0
