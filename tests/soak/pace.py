"""The pace of a soak."""

from dataclasses import dataclass

CYCLE = 1800.0
"""Workers are replaced in the first third of each cycle of a long run, in which events come twice as often."""


@dataclass(frozen=True)
class Pace:
    """`rate` is in requests a second; the other times are in seconds."""

    seconds: float
    rate: float = 150.0
    between_events: tuple[float, float] = (40.0, 80.0)
    fault: tuple[float, float] = (6.0, 14.0)
    between_samples: float = 30.0

    def is_restless(self, elapsed: float) -> bool:
        """In a run that is shorter than a cycle, workers are replaced all the time."""
        return self.seconds < CYCLE or elapsed % CYCLE < CYCLE / 3


def quick(seconds: float) -> Pace:
    return Pace(seconds, between_events=(1.0, 2.0), fault=(1.0, 2.0), between_samples=1.0)
