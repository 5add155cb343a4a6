"""Every provider fault in every host: the response, its time, the token, and the recovery."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faults.hosts import STARTERS, Host, Response, running
from faults.provider_faults import FAULTS
from faults.rows import Fault, Verdict
from support.http import Client
from support.lab import Part, Upstream
from support.process import TESTS, Service, free_port, run

TIMEOUT = 2.0
"""The gates' `timeout`, in seconds."""
SLACK = 2.0
"""The time that a busy machine may add to a deadline, in seconds."""
SHORT_RECOVERY = 10
"""Recoveries that may take longer, in seconds, are waited for in the long form only."""
AT_A_TIME = 32


@dataclass
class Cell:
    """One fault in one host."""

    fault: Fault
    host: Host
    response: Response | None = None
    recovered_after: float | None = None
    problems: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.host.name}/{self.fault.name}"

    def ask(self, client: str, seconds: float = TIMEOUT + SLACK) -> Response | None:
        try:
            return self.host.ask(self.fault.name, Client(client, f"s3cret-of-{client}"), seconds)
        except OSError as error:
            self.problems.append(f"{client}: {type(error).__name__} within {seconds:g} s")
            return None


class Faulty(Part):
    """The faulty provider, and the names that lead to it."""

    def __init__(self, directory: Path):
        port = free_port()
        self.names = directory / "names"
        self.names.mkdir(parents=True)
        self.ca = directory / "ca.pem"
        command = [sys.executable, "-m", "faults.provider_server", str(port), str(directory)]
        super().__init__(command, directory / "provider.log", port=port)

    def set_broken(self, is_broken: bool) -> None:
        for fault in FAULTS:
            if fault.resolves_to:
                file = self.names / f"{fault.name}.provider.test"
                file.write_text(fault.resolves_to if is_broken else "127.0.0.1")
        self.control("/_control/break" if is_broken else "/_control/mend", "POST")

    @property
    def state(self) -> Any:
        return self.control("/_control/state")

    def settings(self, host: str, fault: Fault, port: int | None) -> dict[str, Any]:
        """The settings of the gate of a row."""
        if port is None:
            base = f"http://127.0.0.1:{self.port}"
        else:
            assert fault.listener
            scheme = "https" if fault.listener.tls else "http"
            base = f"{scheme}://{f'{fault.name}.provider.test' if fault.resolves_to else '127.0.0.1'}:{port}"
        return {
            "issuer": f"{base}/{host}/{fault.name}",
            "allow_loopback_http": True,
            "ssl_trusted_certificate": str(self.ca),
            "timeout": int(TIMEOUT * 1000),
            **fault.settings,
        }


@contextmanager
def laboratory(directory: Path) -> Iterator[tuple[Faulty, list[Host]]]:
    """The provider and the hosts."""
    shim = directory / "names.so"
    run("cc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o", shim, TESTS / "faults/names.c")
    with Faulty(directory).start() as provider, Upstream(directory / "upstream.log").start() as upstream:
        provider.set_broken(False)
        ports = provider.state["ports"]
        gates = {
            host: {fault.name: provider.settings(host, fault, ports.get(fault.name)) for fault in FAULTS}
            for host in STARTERS
        }
        env = {"LD_PRELOAD": str(shim), "CREDGATE_TEST_NAMES": str(provider.names)}
        with running(directory, upstream, gates, env=env) as hosts:
            yield provider, hosts


def measure(directory: Path, *, is_long: bool = False) -> list[Cell]:
    """Runs all cells."""
    with laboratory(directory) as (provider, hosts):
        cells = [Cell(fault, host) for fault in FAULTS for host in hosts]

        def each(step: Callable[[Cell], None], chosen: list[Cell]) -> None:
            with ThreadPoolExecutor(AT_A_TIME) as pool:
                list(pool.map(step, chosen))

        each(warm, [cell for cell in cells if cell.fault.is_warm])
        provider.set_broken(True)
        each(suffer, cells)
        each(stay_warm, [cell for cell in cells if cell.fault.is_warm])
        seen = provider.state["seen"]
        provider.set_broken(False)
        each(lambda cell: recover(cell, time.monotonic(), is_long), cells)
        granted = provider.state["granted"]
        for cell in cells:
            judge(cell, seen, granted)
        for host in hosts:
            if host.service.exited:
                cells[0].problems.append(f"{host.name} has ended")
    return cells


def warm(cell: Cell) -> None:
    response = cell.ask("warm")
    if response and response.verdict != Verdict(200):
        cell.problems.append(f"before the fault: {response.verdict}")


def suffer(cell: Cell) -> None:
    for number in range(cell.fault.before):
        cell.ask(f"before-{number}")
    cell.response = cell.ask("cold")


def stay_warm(cell: Cell) -> None:
    response = cell.ask("warm")
    if response and (response.verdict.status, response.cache_status) != (200, "HIT"):
        cell.problems.append(f"a cached token during the fault: {response.verdict} {response.cache_status}")


def recover(cell: Cell, since: float, is_long: bool) -> None:
    """Asks until a token comes."""
    if (cell.fault.recovery or 0) > SHORT_RECOVERY and not is_long:
        return
    limit = since + (cell.fault.recovery or 0) + SLACK
    client = "other" if cell.fault.others_recover else "cold"
    while (response := cell.ask(client)) is None or response.verdict.status != 200:
        if cell.fault.recovery is None or time.monotonic() > limit:
            cell.problems.append(f"no recovery: {response and response.verdict}")
            return
        time.sleep(0.25)
    cell.recovered_after = time.monotonic() - since


INVALID = "provider_response_invalid"


def judge(cell: Cell, seen: dict[str, int], granted: dict[str, str]) -> None:
    """Compares with the documentation."""
    response, fault = cell.response, cell.fault
    if response is None:
        return
    if response.verdict != fault.expect:
        cell.problems.append(f"responds {response.verdict}, documented is {fault.expect}")
    if response.token and granted.get(response.token) != f"{cell.name}/cold":
        cell.problems.append(f"a wrong token: {granted.get(response.token)}")
    if seen.get(f"{cell.name}/elsewhere"):
        cell.problems.append("a redirect was followed")
    if fault.where == "discovery" and fault.expect.cause == INVALID and seen.get(f"{cell.name}/token"):
        cell.problems.append("a secret was sent after an invalid discovery")


def table(cells: list[Cell]) -> str:
    """A line for each fault, and for each problem."""
    lines = [f"{'fault':26} {'nginx':36} {'lua':36} {'python':36} recovered"]
    for fault in FAULTS:
        of = [cell for cell in cells if cell.fault is fault]
        verdicts = " ".join(f"{str(cell.response and cell.response.verdict):36}" for cell in of)
        times = [cell.recovered_after for cell in of]
        recovered = f"{max(filter(None, times)):4.1f} s" if all(times) else "   -"
        lines.append(f"{fault.name:26} {verdicts} {recovered}")
    # At the end, where they are seen.
    lines += [f"FAILED  {cell.name}: {problem}" for cell in cells for problem in cell.problems]
    return "\n".join(lines)
