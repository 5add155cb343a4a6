"""Runs the comparison: `python -m bench [--rounds N] [--seconds N]`."""

import os
import platform
import random
import re
import signal
import statistics
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.behind import OTHERS, Behind
from bench.cases import MACHINE, Case, cases
from bench.figures import NAME, options, quartiles, write
from support.http import Connection, ask
from support.lab import Provider, bearer
from support.nginx import Nginx, guarded
from support.process import Service, free_port

MODULES = Path("/usr/lib/nginx/modules")
WARMING = 3000
"""Requests before that: LuaJIT compiles what has run often."""
COUNTED = 300
"""Requests whose instructions are counted."""
PROXY = "0"
"""The processor of the proxy that is measured; all else is on another."""


class Proxy(Service):
    """An nginx of one process, on a processor of its own."""

    def __init__(self, directory: Path, case: Case, upstream: int, *, wrapper: tuple[str, ...] = ()):
        directory.mkdir(parents=True)
        self.port = free_port()
        modules = "".join(f"load_module {MODULES / module};\n" for module in case.modules)
        temporary = "".join(
            f"{kind}_temp_path {directory};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (directory / "nginx.conf").write_text(f"""
            {modules}
            user root; daemon off; master_process off; worker_processes 1;
            pid {directory}/nginx.pid; error_log {directory}/error.log warn;
            events {{ worker_connections 4096; }}
            http {{
                access_log off; {temporary} keepalive_requests 1000000000;
                {case.http}
                upstream behind {{ server 127.0.0.1:{upstream}; keepalive 128; keepalive_requests 1000000000; }}
                server {{
                    listen 127.0.0.1:{self.port} backlog=1024;
                    location / {{
                        proxy_pass http://behind; proxy_http_version 1.1; proxy_set_header Connection "";
                        {case.location}
                    }}
                }}
            }}
        """)
        command = ["taskset", "-c", PROXY, *wrapper, "nginx", "-p", directory, "-c", directory / "nginx.conf"]
        super().__init__([*command, "-e", directory / "error.log"], directory / "stderr.log", port=self.port)

    def warm(self) -> None:
        for _ in range(50):
            answer = ask(self.port, headers=MACHINE.basic)
            assert answer.status == 200, answer


def wrk(port: int, seconds: int) -> float:
    """Requests per second, all of them answered 200."""
    header = f"Authorization: {MACHINE.basic['Authorization']}"
    done = subprocess.run(
        ["taskset", "-c", OTHERS, "wrk", "-t2", "-c64", f"-d{seconds}s", "-H", header, f"http://127.0.0.1:{port}/"],
        capture_output=True, text=True, timeout=seconds + 60, check=True,
    )  # fmt: skip
    if re.search(r"Non-2xx|Socket errors", done.stdout):
        raise RuntimeError(f"not all requests were answered 200:\n{done.stdout}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    assert rate, done.stdout
    return float(rate[1])


def instructions(directory: Path, case: Case, upstream: int) -> dict[str, float]:
    """User-space instructions of the proxy for one request on a connection that is kept, by callgrind: all of them, and
    those of the C library's allocator, whose cost depends on the place of unrelated long-lived blocks in its heap."""
    out = directory / "callgrind.out"
    wrapper = ("valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}", "--quiet")
    with Proxy(directory / "nginx", case, upstream, wrapper=wrapper).start(120) as proxy:
        proxy.warm()
        connection = Connection(proxy.port, timeout=120)
        for _ in range(WARMING):
            connection.ask(headers=MACHINE.basic)
        switch = ["callgrind_control", "-i"]
        subprocess.run([*switch, "on", str(proxy.pid)], check=True, capture_output=True, timeout=60)
        for _ in range(COUNTED):
            assert connection.ask(headers=MACHINE.basic).status == 200
        subprocess.run([*switch, "off", str(proxy.pid)], check=True, capture_output=True, timeout=60)
        connection.close()
        proxy.stop(signal.SIGTERM, 60)
    text = out.read_text()
    totals = re.search(r"^totals: (\d+)", text, re.MULTILINE)
    assert totals, "callgrind counted nothing"
    return {"all": int(totals[1]) / COUNTED, "allocator": of_file(text, "malloc.c") / COUNTED}


def of_file(profile: str, name: str) -> int:
    """The instructions of one source file, in callgrind's format: names are numbered at their first use, and the line
    after `calls=` has the cost of the callee."""
    wanted, current, is_call, total = set[str](), "", False, 0
    for line in profile.splitlines():
        # The line of a callee may name a file first, too.
        if file := re.match(r"(c?)f[lie]=\((\d+)\)(?: (.*))?", line):
            if not file[1]:
                current = file[2]
            if file[3] and Path(file[3]).name == name:
                wanted.add(file[2])
        elif line.startswith("calls="):
            is_call = True
        elif re.match(r"[+*\-\d]", line):
            if current in wanted and not is_call:
                total += int(line.split()[-1])
            is_call = False
    assert wanted, f"no function of {name}: are the symbols of the C library (libc6-dbg) installed?"
    return total


def a_token(provider: Provider, directory: Path) -> str:
    """One as the provider issues it, taken from a request that the module let through."""
    echo = 'location /echo { add_header X-Seen $http_authorization; return 200 "{}"; }'
    listener = free_port()
    http = f"server {{ listen 127.0.0.1:{listener}; {echo} }}"
    with Nginx(directory, guarded(f"http://127.0.0.1:{listener}/echo", provider.issuer), http=http) as nginx:
        seen = ask(nginx.port, headers=MACHINE.basic).header("X-Seen") or ""
    return bearer({"headers": [["authorization", seen]]})


def measure(rounds: int, seconds: int) -> dict[str, Any]:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="credgate-bench-")))
        provider = stack.enter_context(Provider([MACHINE], directory / "provider.log").start())
        upstream = stack.enter_context(Behind(directory / "behind").start())
        all_cases = cases(provider.issuer, a_token(provider, directory / "token"))
        counts = {}
        for case in all_cases:
            print(f"· instructions of {case.name} ...", flush=True)
            counts[case.name] = instructions(directory / f"count-{case.name}", case, upstream.port)
        proxies = {
            case.name: stack.enter_context(Proxy(directory / case.name, case, upstream.port).start())
            for case in all_cases
        }
        for proxy in proxies.values():
            proxy.warm()
            wrk(proxy.port, 1)
        rates: dict[str, list[float]] = {name: [] for name in proxies}
        for number in range(rounds):
            print(f"· round {number + 1} of {rounds} ...", flush=True)
            for name in random.sample(list(proxies), len(proxies)):
                rates[name].append(wrk(proxies[name].port, seconds))
    figures = {}
    for case in all_cases:
        ratios = [own / bare for own, bare in zip(rates[case.name], rates["bare"], strict=True)]
        figures[case.name] = {
            "what": case.what,
            "requests_per_second": [round(rate) for rate in rates[case.name]],
            "ratio_to_bare": [round(value, 3) for value in quartiles(ratios)],
            "instructions_per_request": round(counts[case.name]["all"]),
            "instructions_beyond_bare": round(counts[case.name]["all"] - counts["bare"]["all"]),
            "allocator_beyond_bare": round(counts[case.name]["allocator"] - counts["bare"]["allocator"]),
        }
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} processors, {platform.release()}",
        "rounds": rounds,
        "seconds": seconds,
        "cases": figures,
    }


def table(figures: dict[str, Any]) -> str:
    lines = [f"{'case':13} {'req/s':>8} {'ratio to bare':>22} {'instructions':>13} {'beyond bare':>12} {'allocator':>10}  what"]
    for name, case in figures["cases"].items():
        low, middle, high = case["ratio_to_bare"]
        rate = statistics.median(case["requests_per_second"])
        lines.append(
            f"{name:13} {rate:8.0f} {middle:8.2f} ({low:.2f}..{high:.2f}) {case['instructions_per_request']:15,}"
            f" {case['instructions_beyond_bare']:12,} {case['allocator_beyond_bare']:10,}  {case['what']}"
        )
    return "\n".join(lines)


def main() -> None:
    given = options()
    figures = measure(given.rounds, given.seconds)
    write(figures)
    print(f"\n{table(figures)}\n\nMedians; ratios are of the same round, with quartiles.")
    print(f"The last count is the allocator's part of the instructions beyond bare. {NAME}")


if __name__ == "__main__":
    main()
