"""Requests for a proxy, and the CPU time that they cost it."""

import ctypes
import os
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bench.behind import OTHERS
from bench.cases import MACHINE


@dataclass(frozen=True)
class Load:
    """Requests that were answered 200, the seconds that they took, and the CPU time of all threads of the proxy: the total in
    nanoseconds, and the clock ticks in user and kernel mode, whose ratio splits it."""

    requests: int = 0
    seconds: float = 0
    cpu: int = 0
    user: int = 0
    system: int = 0

    def __add__(self, other: Self) -> "Load":
        return Load(
            self.requests + other.requests, self.seconds + other.seconds,
            self.cpu + other.cpu, self.user + other.user, self.system + other.system,
        )  # fmt: skip

    @property
    def rate(self) -> float:
        return self.requests / self.seconds

    @property
    def microseconds(self) -> float:
        """CPU time per request."""
        return self.cpu / self.requests / 1000


def load(pid: int, port: int, seconds: int) -> Load:
    """Requests from wrk to a proxy for that long."""
    header = f"Authorization: {MACHINE.basic['Authorization']}"
    total, (user, system) = cpu(pid), ticks(pid)
    done = subprocess.run(
        ["taskset", "-c", OTHERS, "wrk", "-t2", "-c64", f"-d{seconds}s", "-H", header, f"http://127.0.0.1:{port}/"],
        capture_output=True, text=True, timeout=seconds + 60, check=True,
    )  # fmt: skip
    after, (after_user, after_system) = cpu(pid), ticks(pid)
    requests, rate = requests_of(done.stdout)
    return Load(requests, requests / rate, after - total, after_user - user, after_system - system)


def requests_of(output: str) -> tuple[int, float]:
    """The number of requests and their rate, which wrk prints more precisely than their time. All were answered 200."""
    if re.search(r"Non-2xx|Socket errors", output):
        raise ValueError(f"not all requests were answered 200:\n{output}")
    count = re.search(r"^\s*(\d+) requests in ", output, re.MULTILINE)
    rate = re.search(r"^Requests/sec:\s+([\d.]+)", output, re.MULTILINE)
    if not count or not rate or not int(count[1]):
        raise ValueError(f"no requests were answered:\n{output}")
    return int(count[1]), float(rate[1])


def cpu(pid: int) -> int:
    """Nanoseconds that all threads of a process have run for, ended ones too. The scheduler counts them exactly."""
    clock = ctypes.c_int()
    if error := ctypes.CDLL(None).clock_getcpuclockid(pid, ctypes.byref(clock)):
        raise OSError(error, os.strerror(error), str(pid))
    return time.clock_gettime_ns(clock.value)


def ticks(pid: int) -> tuple[int, int]:
    return ticks_of(Path(f"/proc/{pid}/stat").read_text())


def ticks_of(stat: str) -> tuple[int, int]:
    """The clock ticks in user and in kernel mode, fields 14 and 15 of /proc/PID/stat. Field 2 is a name in parentheses,
    which may contain some itself."""
    fields = stat[stat.rindex(")") + 1 :].split()
    return int(fields[11]), int(fields[12])
