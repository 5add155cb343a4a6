"""The throughput of exchanges beside the provider's own: `python -m bench.cold`.

Each request is of another client, so that each causes an exchange. The provider, over TLS, is the certified one, or an
nginx that repeats one response of it, which leaves the gateway as the bottleneck. Each round measures the provider driven
by wrk with the token requests themselves, and a new gateway with as many concurrent requests.
"""

import base64
import os
import random
import re
import statistics
import subprocess
import tempfile
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from bench.behind import OTHERS, Behind
from bench.cases import Case, directives
from bench.figures import Table, options, quartiles, spread, write
from bench.load import cpu, requests_of
from bench.proxy import PROXY, Proxy
from support.http import FORM, Client, ask
from support.lab import Authority, Provider
from support.nginx import AUDIENCE, MODULE, gate
from support.process import Service, free_port

CLIENTS = 40_000
"""Of the certified provider. The other one takes all."""
CONCURRENT = 64
"""Requests at a time: the default of `credgate_max_exchanges`."""
SCRIPT = Path(__file__).with_name("cold.lua")
SECRET = "s" * 40
FIRST, LAST = "cli", f"xy:{SECRET}"
"""Each id is FIRST, six digits and "xy": parts whose base64 does not depend on one another."""
GRANT = urlencode({"grant_type": "client_credentials", "scope": "openid api:read", "audience": AUDIENCE})


CASES = {
    "certified": "oidc-provider",
    "certified_off": "oidc-provider; no store",
    "fixed": "fixed token",
    "fixed_off": "fixed token; no store",
    "fixed_http2_off": "fixed token, HTTP/2; no store",
}
"""The provider, and the gateway if it does not have the default store, which is a SQLite file."""


def client(number: int) -> Client:
    return Client(f"{FIRST}{number:06}xy", SECRET)


@dataclass(frozen=True)
class Run:
    """Requests that were answered 200, per second; latencies in milliseconds; TLS handshakes of the provider, and CPU time
    of the gateway in microseconds, per request."""

    requests: int
    rate: float
    p50: float
    p99: float
    handshakes: float
    cpu: float = 0


class Fixed(Service):
    """An nginx in place of a provider: it answers each of these paths with a fixed text."""

    def __init__(self, directory: Path, tls: Authority, documents: dict[str, str], port: int, http2: str = ""):
        directory.mkdir(parents=True)
        self.status_port = free_port()
        temporary = "".join(
            f"{kind}_temp_path {directory};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        locations = "".join(f"location = {path} {{ return 200 '{text}'; }}\n" for path, text in documents.items())
        (directory / "nginx.conf").write_text(f"""
            user root; daemon off; master_process off; pid {directory}/nginx.pid; error_log {directory}/error.log warn;
            events {{ worker_connections 4096; }}
            http {{
                access_log off; {temporary} keepalive_requests 1000000000; default_type application/json;
                server {{
                    listen 127.0.0.1:{port} ssl {http2} backlog=1024;
                    ssl_certificate {tls.cert}; ssl_certificate_key {tls.key};
                    {locations}
                }}
                server {{ listen 127.0.0.1:{self.status_port}; location / {{ stub_status; }} }}
            }}
        """)
        command = ["taskset", "-c", OTHERS, "nginx", "-p", directory, "-c", directory / "nginx.conf"]
        super().__init__([*command, "-e", directory / "error.log"], directory / "stderr.log", port=port)

    @property
    def handshakes(self) -> int:
        """Its connections, that of this question included."""
        accepted = re.search(r"requests\s+(\d+)", ask(self.status_port).body.decode())
        assert accepted
        return int(accepted[1])

    @property
    def issuer(self) -> str:
        return f"https://127.0.0.1:{self.port}"


def fixed(directory: Path, certified: Provider, tls: Authority, http2: str = "") -> Fixed:
    """A provider with the documents and one token response of the certified one."""
    port = free_port()

    def moved(path: str) -> str:
        answer = ask(certified.port, path, tls=tls.context())
        assert answer.status == 200, answer
        return answer.body.decode().replace(certified.issuer, f"https://127.0.0.1:{port}")

    request = {"method": "POST", "headers": {**client(0).basic, **FORM}, "body": GRANT}
    granted = ask(certified.port, "/token", tls=tls.context(), **request)
    assert granted.status == 200, granted
    documents = {path: moved(path) for path in ("/.well-known/openid-configuration", "/jwks")}
    return Fixed(directory, tls, documents | {"/token": granted.body.decode()}, port, http2)


def load(port: int, scheme: str, seconds: int, method: str, path: str, *body: str) -> tuple[int, float, float, float]:
    """Requests of ever new clients for that long: their number, their rate, and two latencies."""
    parts = [base64.b64encode(part.encode()).decode() for part in (FIRST, LAST)]
    done = subprocess.run(
        [
            *("wrk", "-t1", f"-c{CONCURRENT}", f"-d{seconds}s", "--timeout", "30s", "-s", SCRIPT),
            *(f"{scheme}://127.0.0.1:{port}", "--", method, path, *parts, *body),
        ],
        capture_output=True, text=True, timeout=seconds + 60, check=True,
    )  # fmt: skip
    requests, rate = requests_of(done.stdout)
    latencies = re.search(r"^p50 (\d+) us, p99 (\d+) us$", done.stdout, re.MULTILINE)
    assert latencies, done.stdout
    return requests, rate, int(latencies[1]) / 1000, int(latencies[2]) / 1000


def alone(provider: Provider | Fixed, seconds: int) -> Run:
    """The provider itself."""
    before = provider.handshakes
    requests, rate, p50, p99 = load(provider.port, "https", seconds, "POST", "/token", GRANT)
    return Run(requests, rate, p50, p99, (provider.handshakes - before - 1) / requests)


def gateway(
    directory: Path, provider: Provider | Fixed, signer: str, tls: Authority, upstream: int, seconds: int, http: str
) -> Run:
    """A new gateway, which has the provider's metadata and keys, and nothing else."""
    required = (
        "credgate_scopes openid api:read", "credgate_scopes_required api:read",
        f"credgate_audience_required {AUDIENCE}", f"credgate_issuers_allowed {signer}", f"credgate_ssl_trusted_certificate {tls.ca}",
    )  # fmt: skip
    case = Case(
        "cold", "every request is a miss", directives(gate(provider.issuer, *required)),
        f"credgate_metrics_clients 100; {http}", (str(MODULE),), "location = /metrics { credgate_metrics; }",
    )  # fmt: skip
    with Proxy(directory, case, upstream).start() as proxy:
        # Not one of those that wrk sends.
        answer = ask(proxy.port, headers=client(CLIENTS - 1).basic)
        assert answer.status == 200, answer
        before, spent = provider.handshakes, cpu(proxy.pid)
        requests, rate, p50, p99 = load(proxy.port, "http", seconds, "GET", "/")
        spent = cpu(proxy.pid) - spent
        return Run(requests, rate, p50, p99, (provider.handshakes - before - 1) / requests, spent / requests / 1000)


def measure(rounds: int, seconds: int) -> dict[str, list[tuple[Run, Run]]]:
    """For each case, the provider's own runs and those of the gateway, by round."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="credgate-bench-")))
        tls = Authority.create(directory / "tls")
        clients = [client(number) for number in range(CLIENTS)]
        methods = dict.fromkeys((one.id for one in clients), "client_secret_basic")
        certified = Provider(clients, directory / "provider.log", tls=tls, methods=methods)
        stack.enter_context(certified.start())
        os.sched_setaffinity(certified.pid, {int(OTHERS)})
        upstream = stack.enter_context(Behind(directory / "behind").start())
        plain = stack.enter_context(fixed(directory / "plain", certified, tls).start())
        http2 = stack.enter_context(fixed(directory / "http2", certified, tls, "http2").start())
        runs: dict[str, list[tuple[Run, Run]]] = {name: [] for name in CASES}
        for number in range(rounds):
            print(f"· round {number + 1} of {rounds} ...", flush=True)
            for name in random.sample(list(CASES), len(CASES)):
                provider: Provider | Fixed = certified if name.startswith("certified") else plain
                if "http2" in name:
                    provider = http2
                duration = certified_seconds(seconds) if provider is certified else seconds
                store = "credgate_store off;" if name.endswith("_off") else ""
                own = alone(provider, duration)
                place = directory / f"{name}-{number}"
                ours = gateway(place, provider, certified.issuer, tls, upstream.port, duration, store)
                runs[name].append((own, ours))
        return runs


def certified_seconds(seconds: int) -> int:
    """The certified provider is slow: one second is too short for it. A fast machine uses 22,000 CLIENTS in 8."""
    return min(4 * seconds, 8)


def ratios(runs: list[tuple[Run, Run]]) -> list[float]:
    return quartiles([ours.rate / own.rate for own, ours in runs])


def table(runs: dict[str, list[tuple[Run, Run]]]) -> Table:
    rows = []
    for name, pairs in runs.items():
        for index, who in enumerate(("the provider alone", "through the gateway")):
            mine = [pair[index] for pair in pairs]

            def middle(field: str, runs: list[Run] = mine) -> float:
                return float(statistics.median(getattr(run, field) for run in runs))

            rows.append([
                CASES[name] if index == 0 else "", who, f"{middle('rate'):,.0f}", spread(ratios(pairs)) if index else "–",
                f"{middle('p50'):.1f}", f"{middle('p99'):.1f}", f"{1000 * middle('handshakes'):.1f}",
                f"{middle('cpu'):.0f}" if index else "–",
            ])  # fmt: skip
    columns = (
        "provider", "driven", "exchanges per second", "ratio", "p50 ms", "p99 ms", "handshakes per 1,000", "CPU µs each",
    )  # fmt: skip
    return Table("Exchanges, each of another client, beside the provider alone", columns, rows)


def main() -> None:
    given = options(5)
    runs = measure(given.rounds, given.seconds)
    cases = {
        name: {
            "throughput_ratio": [round(value, 3) for value in ratios(pairs)],
            "alone": [asdict(own) for own, _ in pairs],
            "gateway": [asdict(ours) for _, ours in pairs],
        }
        for name, pairs in runs.items()
    }
    conditions = (
        f"{CONCURRENT} requests at a time, {given.rounds} rounds of {given.seconds} s"
        f" ({certified_seconds(given.seconds)} s for oidc-provider)"
    )
    write({"cold": {"conditions": conditions, "cases": cases, "tables": [table(runs)]}})


if __name__ == "__main__":
    main()
