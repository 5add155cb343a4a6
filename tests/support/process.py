"""Processes that report readiness, and stop."""

import os
import random
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

TESTS = Path(__file__).resolve().parent.parent
ROOT = TESTS.parent
LAB = TESTS / "lab"
PORTS = range(10_000, 32_768)

_given: set[int] = set()


def free_port() -> int:
    """A free port of 127.0.0.1 that this function has not returned before.

    Not one that the system gives to clients, and for each process of pytest from a range of its own: none is taken
    between here and the call that listens.
    """
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    ports = PORTS[number :: max(processes, number + 1)]
    while True:
        port = random.choice(ports)
        if port not in _given:
            _given.add(port)
            with socket.socket() as probe, suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port


def run(
    *command: str | Path, seconds: float = 300, env: Mapping[str, str] | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end. It must succeed, unless `check` says otherwise."""
    done = subprocess.run(list(map(str, command)), env=env, capture_output=True, text=True, timeout=seconds)
    assert not check or done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


def gone(pid: int) -> bool:
    """Has the process ended, reaped or not?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
    except OSError:
        return True


def opened(pid: int, what: str) -> int:
    """The number of a process's descriptors of that kind."""
    count = 0
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            count += what in os.readlink(file)
    return count


def descriptors(pid: int) -> int:
    """The number of a process's open descriptors."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def allow_descriptors() -> int:
    """Lets this process and its children open as many as the system allows, and returns that number."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def listening(port: int) -> bool:
    """Does a server accept connections there?"""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def until(condition: Callable[[], object], what: str, seconds: float = 15) -> None:
    """Polls `condition` until it holds; a TimeoutError names `what` was waited for."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(0.01)


class Service:
    """A child process that listens on one port of 127.0.0.1 and writes to one log file."""

    def __init__(self, command: Sequence[str | Path], log: Path, *, port: int, env: Mapping[str, str] | None = None):
        self.command = [str(part) for part in command]
        self.log = log
        self.port = port
        self.env = {**os.environ, **(env or {})}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, seconds: float = 90) -> Self:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.env,
                start_new_session=True,  # Ctrl-C is for us; we stop our children
            )
        try:
            until(lambda: self.exited or self.ready(), " ".join(self.command), seconds)
            if self.exited:
                raise RuntimeError(f"{self.command} ended at once:\n{self.log.read_text(errors='replace')}")
        except BaseException:
            self.stop(signal.SIGKILL)
            raise
        return self

    def ready(self) -> bool:
        return listening(self.port)

    @property
    def pid(self) -> int:
        assert self.process is not None, "not started"
        return self.process.pid

    @property
    def exited(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def kill(self, number: int) -> None:
        if not self.exited:
            os.kill(self.pid, number)

    def kill_descendants(self) -> None:
        """Kills the processes that the ended process has left behind in its group."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def wait(self, seconds: float = 20) -> int:
        """The exit status, once the process has ended."""
        assert self.process is not None, "not started"
        return self.process.wait(seconds)

    def stop(self, number: int = signal.SIGTERM, seconds: float = 20) -> None:
        """Ends the process, by SIGKILL if SIGTERM has no effect."""
        if self.process is None:
            return
        self.kill(number)
        try:
            self.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.wait()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
