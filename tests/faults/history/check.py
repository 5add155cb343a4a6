"""The offline checker of a history."""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from faults.history import LIFE

SECOND = 1_000_000_000
PURGED_WITHIN = 2 * SECOND
"""The documented time after which no process serves a purged token."""
MARGIN = 5 * SECOND
"""`eagerly_expire`: a token is not served within it."""
REFRESH_AHEAD = 0.8
CLOCKS = 1 * SECOND
"""Tolerance of times that the library rounds to seconds."""
NEVER = 1 << 62


@dataclass(frozen=True)
class Exchange:
    """A token request that was granted."""

    start: int
    end: int
    key: str
    token: str
    operation: str

    @property
    def worker(self) -> str:
        return self.operation.partition("-")[0]


@dataclass(frozen=True)
class Purge:
    """A purge. `end` is NEVER if its process died before it returned."""

    start: int
    end: int
    target: str
    worker: str


@dataclass
class Report:
    """The result of a check."""

    operations: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    # The longest time after a purge at which a process served a purged token, in seconds.
    latest: float = 0.0

    def __str__(self) -> str:
        counts = ", ".join(f"{name} {count:,}" for name, count in sorted(self.counts.items()))
        lines = [
            f"{self.operations:,} operations: {counts}",
            f"a purged token was served for at most {self.latest:.2f} s after the purge",
            f"{len(self.violations)} violations",
            *self.violations[:20],
        ]
        return "\n".join(lines)


class History:
    """Everything of a directory but the operations, which are read one by one."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.exchanges = {exchange.token: exchange for exchange in _exchanges(directory / "provider")}
        self.killed: dict[str, int] = {}
        for words in _lines(directory / "runner"):
            self.killed[words[2]] = int(words[1])
        # By client; "*" is everybody.
        self.purges: dict[str, list[Purge]] = defaultdict(list)
        self.failing: set[str] = set()

    def files(self) -> list[Path]:
        return sorted(self.directory.glob("worker-*"))

    def purges_of(self, key: str) -> Iterator[list[Purge]]:
        yield self.purges.get(key.partition("/")[0], [])
        yield self.purges.get("*", [])


def check(directory: Path) -> Report:
    """Checks a history."""
    history, report = History(directory), Report()
    for file in history.files():
        read_purges(history, file, report)
    for purges in history.purges.values():
        purges.sort(key=lambda purge: purge.start)
    ended: dict[str, str] = {}
    led = {exchange.operation for exchange in history.exchanges.values()}
    for file in history.files():
        for operation, token in check_operations(history, file, report):
            if operation in led:
                ended[operation] = token
    check_exchanges(history, ended, report)
    report.counts["exchanges"] = len(history.exchanges)
    report.counts["purges"] = sum(map(len, history.purges.values()))
    report.counts["kills"] = len(history.killed)
    return report


def _lines(file: Path) -> Iterator[list[str]]:
    """The complete lines: the last one of a killed process may lack its end."""
    if file.exists():
        with file.open() as lines:
            for line in lines:
                if line.endswith("\n"):
                    yield line.split()


def _exchanges(file: Path) -> Iterator[Exchange]:
    for _, start, end, key, token, operation in _lines(file):
        yield Exchange(int(start), int(end), key, token, operation)


def worker_of(file: Path) -> str:
    return file.name.split("-")[1]


def read_purges(history: History, file: Path, report: Report) -> None:
    begun: tuple[int, str] | None = None
    worker = worker_of(file)
    for words in _lines(file):
        match words:
            case ["purge", _, time, target]:
                begun = int(time), target
            case ["purged", _, time] if begun:
                history.purges[begun[1]].append(Purge(begun[0], int(time), begun[1], worker))
                begun = None
            case ["failures", _, count] if int(count) > 0:
                history.failing.add(worker)
    if begun:
        history.purges[begun[1]].append(Purge(begun[0], NEVER, begun[1], worker))


def check_operations(history: History, file: Path, report: Report) -> Iterable[tuple[str, str]]:
    """Checks each operation for itself, and returns its token."""
    begun: tuple[int, str, bool] | None = None
    for words in _lines(file):
        match words:
            case ["op", _, time, key, secret]:
                begun = int(time), key, secret == "right"
            case ["end", operation, time, status, token] if begun:
                start, key, is_right = begun
                begun = None
                report.operations += 1
                report.counts[status] += 1
                if token != "-":
                    for violation in served(history, report, start, int(time), key, is_right, token):
                        report.violations.append(f"{operation}: {violation}")
                elif is_right:
                    report.violations.append(f"{operation}: no token: {status}")
                yield operation, token


def served(
    history: History, report: Report, start: int, end: int, key: str, is_right: bool, token: str
) -> Iterator[str]:
    """The violations of a request that got a token."""
    exchange = history.exchanges.get(token)
    if not is_right:
        yield f"a token for a wrong secret of {key}"
    if exchange is None:
        yield f"a token that the provider did not grant: {token}"
        return
    if exchange.key != key:
        yield f"the token of another client: {exchange.key} for {key}"
    if end < exchange.start:
        yield f"a token before its exchange: {token}"
    if start > exchange.end + LIFE * SECOND:
        yield f"an expired token: {token}"
    for purges in history.purges_of(key):
        # Those that began after the exchange, and returned before the request.
        first = bisect_right(purges, exchange.start, key=lambda purge: purge.start)
        for purge in purges[first : bisect_left(purges, start, key=lambda purge: purge.start)]:
            if purge.end > start or lost(history, purge):
                continue
            after = start - purge.end
            report.latest = max(report.latest, after / SECOND)
            if after > PURGED_WITHIN:
                yield f"{token}, {after / SECOND:.2f} s after a purge of {purge.target}"


def lost(history: History, purge: Purge) -> bool:
    """A process that dies may take a purge along that it has not stored yet."""
    return history.killed.get(purge.worker, NEVER) < purge.end + SECOND


def check_exchanges(history: History, ended: dict[str, str], report: Report) -> None:
    """One exchange for each key while its lease and its token last."""
    of_key: dict[str, list[Exchange]] = defaultdict(list)
    for exchange in sorted(history.exchanges.values(), key=lambda exchange: exchange.start):
        of_key[exchange.key].append(exchange)
    for exchanges in of_key.values():
        for first, second in zip(exchanges, exchanges[1:], strict=False):
            why = reason(history, ended, first, second)
            report.counts[f"exchanges anew: {why or 'none'}"] += 1
            if why is None:
                gap = (second.start - first.end) / SECOND
                report.violations.append(f"{second.operation}: {second.token}, {gap:.3f} s after {first.token}")


def reason(history: History, ended: dict[str, str], first: Exchange, second: Exchange) -> str | None:
    """The reason of a second exchange, if there is one. `ended` has the tokens of operations: one that began a refresh got the
    older token."""
    died = history.killed.get(first.worker, NEVER)
    if ended.get(first.operation) != first.token and died < second.start:
        return "the first one's process died"
    if second.start < first.end:
        return None
    if second.start - first.start > (LIFE * SECOND - MARGIN) * REFRESH_AHEAD - CLOCKS:
        return "the token's age"
    for purges in history.purges_of(first.key):
        # A purge reaches the store a moment after it has returned.
        begin = bisect_left(purges, first.start - PURGED_WITHIN, key=lambda purge: purge.start)
        if begin < len(purges) and purges[begin].start < second.start:
            return "a purge"
    if first.worker in history.failing or second.worker in history.failing:
        return "the store failed"
    return None
