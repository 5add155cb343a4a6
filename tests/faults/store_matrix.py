"""Every store fault in every host: each client gets its own token, the failure is counted and logged, and the store recovers."""

import itertools
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faults.hosts import STARTERS, Host, running
from faults.store_faults import ALWAYS, NEVER, ONCE, STORE_FAULTS, Sqlite, StoreFault
from support.http import Client
from support.lab import Scripted, Upstream
from support.process import until
from support.redis import Redis, ScriptedRedis
from support.store import a_pepper

STORE_TIMEOUT = 400
"""`store_timeout`, in milliseconds."""
LONGEST = 8.0
"""No request may take longer, in seconds: a call takes `store_timeout`, and after five the circuit breaker is open."""
RECOVERY = 13.0
"""The circuit breaker's longest pause of ten seconds, jittered, and the time of a busy machine."""
AT_A_TIME = 5
GATE = "gate"


@dataclass
class Row:
    """One fault in all hosts."""

    fault: StoreFault
    results: dict[str, str] = field(default_factory=dict)
    recovered_after: float | None = None
    problems: list[str] = field(default_factory=list)

    def check(self, holds: object, problem: str) -> None:
        if not holds:
            self.problems.append(problem)


def measure(directory: Path) -> list[Row]:
    """Runs all rows."""
    with (
        Scripted(directory / "provider.log").start() as provider,
        Upstream(directory / "upstream.log").start() as upstream,
        ThreadPoolExecutor(AT_A_TIME) as pool,
    ):
        return list(pool.map(lambda fault: run(fault, directory / fault.name, provider, upstream), STORE_FAULTS))


@contextmanager
def store_of(fault: StoreFault, directory: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    """The store of a row, and the options of the engines."""
    options: dict[str, Any] = {"store_timeout": STORE_TIMEOUT, **fault.options}
    kind = fault.name.partition("-")[0]
    if kind == "sqlite":
        with ExitStack() as later:
            store = Sqlite(directory / "store", later)
            yield store, {"store": f"sqlite:{store.file}", **options}
        return
    options["store_pepper_file"] = str(a_pepper(directory))
    if kind == "redis":
        with ScriptedRedis(directory / "redis.log").start() as fake:
            yield fake, {"store": fake.url, **options}
    else:
        with Redis(directory / "redis").start() as redis:
            yield redis, {"store": redis.url(), **options}


def run(fault: StoreFault, directory: Path, provider: Scripted, upstream: Upstream) -> Row:
    row = Row(fault)
    directory.mkdir()
    settings = {GATE: {"issuer": provider.issuer, "allow_loopback_http": True, "timeout": 10_000}}
    gates = dict.fromkeys(STARTERS, settings)
    with ExitStack() as stack:
        store, options = stack.enter_context(store_of(fault, directory))
        begun = fault.begin(store)
        if fault.precedes:
            begun.__enter__()
        started = stack.enter_context(ExitStack())
        hosts = started.enter_context(running(directory, upstream, gates, options))
        before = {host.name: 0.0 for host in hosts}
        if not fault.precedes:
            row.check(is_shared(hosts, f"{fault.name}-warm"), "not shared before the fault")
            for host, other in zip(hosts, [*hosts[1:], hosts[0]], strict=True) if fault.of_values else ():
                row.check(ask(other, client_of(fault, host)) == "MISS", f"{other.name} does not exchange before the fault")
            before = {host.name: host.counted("failures") for host in hosts}
            begun.__enter__()
        for host in hosts:
            suffer(row, host, provider)
        count(row, hosts, before)
        begun.__exit__(None, None, None)
        if fault.recovery:
            # The documented remedy, and a restart.
            started.close()
            hosts = stack.enter_context(running(directory, upstream, gates, options))
        recover(row, hosts)
        for host in hosts:
            row.check(not host.service.exited, f"{host.name} has ended")
    return row


def client_of(fault: StoreFault, host: Host) -> str:
    return f"{fault.name}-{host.name}"


def ask(host: Host, client: str) -> str:
    """The cache status of a request that is allowed."""
    response = host.ask(GATE, Client(client, "s3cret"), LONGEST)
    if response.verdict.status != 200:
        return str(response.verdict)
    return response.cache_status if response.token == f"token-of-{client}" else f"the wrong token {response.token}"


def is_shared(hosts: list[Host], client: str) -> bool:
    """Whether one host exchanges and the others share its token."""
    return [ask(host, client) for host in hosts] == ["MISS"] + ["SHARED"] * (len(hosts) - 1)


def suffer(row: Row, host: Host, provider: Scripted) -> None:
    """A client during the fault."""
    client = client_of(row.fault, host)
    try:
        statuses = [ask(host, client), ask(host, client)]
    except OSError as error:
        statuses = [f"{type(error).__name__} within {LONGEST:g} s"]
    row.results[host.name] = " ".join(statuses)
    row.check(statuses == ["MISS", "HIT"], f"{host.name}: {' '.join(statuses)}")
    exchanges = provider.state["by_client"].get(client)
    row.check(exchanges == 1 + row.fault.of_values, f"{host.name}: {exchanges} token requests")


def count(row: Row, hosts: list[Host], before: dict[str, float]) -> None:
    """Checks the failures that the hosts have counted and logged."""
    failed = [host for host in hosts if host.counted("failures") > before[host.name]]
    numbers = {ALWAYS: range(len(hosts), len(hosts) + 1), ONCE: range(1, len(hosts) + 1), NEVER: range(1)}
    row.check(len(failed) in numbers[row.fault.counted], f"failures counted: {[host.name for host in failed]}")
    for host in failed if row.fault.says else ():
        text = row.fault.says or ""
        row.check(says(host, text, client_of(row.fault, host)), f"{host.name}: no log line with {text!r}: {store_lines(host)}")


def says(host: Host, text: str, client: str) -> bool:
    """Whether the log has a line about the store with this text. Another failure may come first, and pause the store: further
    clients make the host use it again."""
    numbers = itertools.count()

    def said() -> bool:
        if any(text in line for line in store_lines(host)):
            return True
        ask(host, f"{client}-{next(numbers)}")
        return False

    with suppress(TimeoutError):
        until(said, text, 15)
        return True
    return False


def store_lines(host: Host) -> list[str]:
    return [line[line.index("store ") :][:160] for line in host.said.splitlines() if "store " in line]


def recover(row: Row, hosts: list[Host]) -> None:
    """Asks with new clients until they are shared."""
    began = time.monotonic()
    for number in itertools.count():
        with suppress(OSError):
            if is_shared(hosts, f"{row.fault.name}-after-{number}"):
                row.recovered_after = time.monotonic() - began
                return
        if time.monotonic() - began > RECOVERY:
            row.problems.append(f"not shared again after {RECOVERY:g} s")
            return
        time.sleep(0.2)


def table(rows: list[Row]) -> str:
    """A line for each fault, and for each problem."""
    lines = [f"{'fault':26} {'nginx':20} {'lua':20} {'python':20} recovered"]
    for row in rows:
        results = " ".join(f"{row.results.get(host, '-'):20}" for host in STARTERS)
        seconds = "   -" if row.recovered_after is None else f"{row.recovered_after:4.1f} s"
        lines.append(f"{row.fault.name:26} {results} {seconds}")
    # At the end, where they are seen.
    lines += [f"FAILED  {row.fault.name}: {problem}" for row in rows for problem in row.problems]
    return "\n".join(lines)
