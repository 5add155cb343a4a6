"""The result of a soak, from its log."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from soak.cast import CLIENTS, GATES, MARGIN, life
from soak.log import read
from soak.pace import LONG, settled
from soak.samples import Point, Sample, drift, growth

MOST_DRIFT = 1.0
MOST_GROWTH = {"descriptors": 2, "threads": 0}
STORES = 3


@dataclass
class Soak:
    """The content of a log."""

    seconds: float = 0.0
    ended: bool = False
    wrong: list[str] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    state: dict[str, Any] = field(default_factory=dict)

    @property
    def elapsed(self) -> float:
        return float(self.state.get("elapsed", 0.0))

    @property
    def is_long(self) -> bool:
        return self.seconds >= LONG

    def settled(self) -> dict[str, dict[int, list[Sample]]]:
        """Samples by role and process. In a short run, all of them."""
        found: dict[str, dict[int, list[Sample]]] = defaultdict(lambda: defaultdict(list))
        for one in self.samples:
            if one.time >= settled(self.seconds):
                role = " ".join(one.role.split()[:2])
                found[role][one.pid].append(one)
        return found


def load(path: Path) -> Soak:
    soak = Soak()
    for line in read(path):
        match line.pop("kind"):
            case "begin":
                soak.seconds = line["seconds"]
            case "end":
                soak.ended = True
            case "wrong":
                soak.wrong.append(f"after {line['time']} s: {line['what']}")
            case "sample":
                soak.samples.append(Sample(**line))
            case "state":
                soak.state = line
    return soak


def rows(soak: Soak) -> tuple[list[str], list[str]]:
    """The table of processes, and the failures in it."""
    head = f"{'process':16} {'MiB/h':>7} {'anon':>7} {'MiB':>11} {'descriptors':>11} {'threads':>8} {'samples':>8}"
    table, failures = [head], []
    for role, processes in sorted(soak.settled().items()):
        lines = [samples for samples in processes.values() if len(samples) >= 6]
        if not lines:
            continue
        resident: list[list[Point]] = [[(one.time, one.resident) for one in line] for line in lines]
        anonymous: list[list[Point]] = [[(one.time, one.anonymous) for one in line] for line in lines]
        values = [one.resident / 1024 for line in lines for one in line]
        grown = {
            name: max(growth([getattr(one, name) for one in line]) for line in lines) for name in MOST_GROWTH
        }  # fmt: skip
        drifts = drift(resident), drift(anonymous)
        table.append(
            f"{role:16} {drifts[0]:7.2f} {drifts[1]:7.2f} {min(values):5.1f}-{max(values):5.1f} "
            f"{grown['descriptors']:+11.0f} {grown['threads']:+8.0f} {sum(map(len, lines)):8}"
        )
        if soak.is_long and drifts[0] > MOST_DRIFT:
            failures.append(f"{role} grows by {drifts[0]:.2f} MiB an hour")
        for name, most in MOST_GROWTH.items():
            if soak.is_long and grown[name] > most:
                failures.append(f"{role} has {grown[name]:.0f} {name} more")
    return table, failures


def most_exchanges(seconds: float) -> float:
    """The token requests of clients that never rest, in each store, without any event."""
    return STORES * len(GATES) * sum(seconds / (0.8 * (life(client.id) - MARGIN)) for client in CLIENTS)


def render(soak: Soak) -> tuple[str, list[str]]:
    """The report, and the failures."""
    verdicts: Counter[str] = Counter(soak.state.get("verdicts", {}))
    lines = [f"{sum(verdicts.values()):,} requests in {soak.elapsed / 3600:.2f} h", "", f"{'verdict':48} {'requests':>10}"]
    lines += [f"{name:48} {count:10,}" for name, count in sorted(verdicts.items())]
    lines += ["", f"{'event':48} {'times':>10}"]
    lines += [f"{name:48} {count:10,}" for name, count in sorted(soak.state.get("events", {}).items())]
    counts = soak.state.get("provider", {})
    lines += ["", f"{'provider':48} {'requests':>10}"]
    lines += [f"{name:48} {count:10,}" for name, count in sorted(counts.items())]
    lines += [f"{'tokens at most, if no client rests, no event':48} {most_exchanges(soak.elapsed):10,.0f}", ""]
    table, failures = rows(soak)
    lines += [*table, "", f"stores: {soak.state.get('stores')}", f"the longest answer took {soak.state.get('longest')} s"]
    if soak.wrong:
        failures.append(f"{len(soak.wrong)} wrong answers")
        lines += ["", *soak.wrong[:50]]
    if not soak.ended:
        failures.append("interrupted")
    if not soak.samples:
        failures.append("no samples")
    return "\n".join(lines), failures


def conclude(path: Path) -> int:
    """Prints the report. Returns the exit status."""
    text, failures = render(load(path))
    print(text)
    print("", *[f"FAILED: {failure}" for failure in failures] or ["0 wrong answers, no drift"], sep="\n")
    return bool(failures)
