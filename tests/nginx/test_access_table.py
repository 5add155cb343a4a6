"""A gate beside nginx's own access modules: the table of combinations.

A cell of `access_table.txt` is the status, the view of the upstream, and the number of exchanges if there were any:

    token   the gate's token, and nothing that the client sent under the names of the gate
    bare    neither a token nor anything that the client sent under these names
    sent    the request as the client sent it
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.http import Answer, Client, ask
from support.lab import Scripted, Upstream
from support.nginx import Nginx, location
from support.process import free_port
from support.snapshots import Snapshot

Start = Callable[..., Nginx]

TABLE = Snapshot(Path(__file__).with_name("access_table.txt"))

OTHERS = {
    "-": [],
    "allow": ["allow all"],
    "deny": ["deny all"],
    "auth_basic": ["auth_basic people", "auth_basic_user_file people"],
    "request yes": ["auth_request /yes"],
    "request no": ["auth_request /no"],
}
GATES = {
    "off": ["credgate off"],
    "on": ["credgate on"],
    "optional": ["credgate optional"],
    "preflight": ["credgate on", "credgate_run_on_preflight off"],
    "dry_run": ["credgate dry_run"],
}
PAIRS = tuple(f"{kind} {source}" for kind in ("good", "wrong") for source in ("header", "query", "form"))
CREDENTIALS = ("none", *PAIRS, "person", "bearer")
FORGED = {"X-Client": "forged", "X_Client": "forged", "x-client": "forged"}


@dataclass(frozen=True)
class Row:
    """A location."""

    satisfy: str
    other: str
    gate: str
    provider: str

    @property
    def path(self) -> str:
        return f"/{'/'.join(vars(self).values()).replace(' ', '-')}/"

    @property
    def title(self) -> str:
        return f"{self.other:<11}  {self.gate:<9}  {self.provider:<4}"


@dataclass(frozen=True)
class Cell:
    """A request to a location, with an id of its own, so that no cell profits from another's token."""

    row: Row
    credentials: str
    number: int

    @property
    def client(self) -> Client:
        kind = self.credentials.split()[0]
        # The scripted provider refuses secrets that begin with "wrong".
        return Client(f"{kind}-{self.number}", f"{'' if kind == 'good' else 'wrong'}Kanarie7Qz{self.number}")

    @property
    def request(self) -> dict[str, Any]:
        source = "header" if self.credentials == "person" else self.credentials.split()[-1]
        match source:
            case "none":
                request: dict[str, Any] = {"target": self.row.path}
            case "bearer":
                request = {"target": self.row.path, "headers": {"Authorization": "Bearer own"}}
            case _:
                request = self.client.request(source, self.row.path)
        request["headers"] = {**request.get("headers", {}), **FORGED}
        if self.row.gate == "preflight":
            request["method"] = "OPTIONS"
        return request


@dataclass(frozen=True)
class Result:
    """The answer to a cell's request."""

    status: int
    view: str
    exchanges: int

    def __str__(self) -> str:
        # The circuit breaker turns a 502 into a 503.
        status = "502" if self.status in (502, 503) else str(self.status)
        return f"{status} {self.view}{f' +{self.exchanges}' if self.exchanges else ''}"


def view(cell: Cell, answer: Answer) -> str:
    """The upstream's view of the request."""
    if answer.status != 200:
        return "-"
    seen, sent = answer.json(), cell.request
    values = [value for name, value in seen["headers"] if name.lower() == "authorization"]
    asked = sent["headers"].get("Authorization")
    forged = [name for name, _ in seen["headers"] if name in FORGED]
    is_whole = seen["line"].split()[1] == sent["target"] and seen["body"] == sent.get("body", "")
    if is_whole and len(forged) == len(FORGED) and values == ([asked] if asked else []):
        return "sent"
    leaks = [leak for leak in ("forged", "Bearer own", cell.client.secret, cell.client.pair) if leak in seen["raw"]]
    is_token = values == [f"Bearer token-of-{cell.client.id}"]
    words = ["token" if is_token else "bare" if not values else "AUTHORIZATION", *leaks]
    if "?" in sent["target"]:
        assert seen["line"].split()[1] == f"{cell.row.path}?keep=1"
    return " ".join(words)


def rows(satisfy: str) -> list[Row]:
    return [
        Row(satisfy, other, gate, provider)
        for other in OTHERS
        for gate in GATES
        for provider in (("-",) if gate == "off" else ("up", "down"))
    ]


def results(
    start: Start, scripted: Scripted, upstream: Upstream, satisfy: str, directory: Path
) -> dict[Row, dict[str, Result]]:
    down = f"http://127.0.0.1:{free_port()}"
    cells = [
        Cell(row, credentials, number)
        for number, (row, credentials) in enumerate(
            (row, credentials)
            for row in rows(satisfy)
            for credentials in CREDENTIALS
            # An OPTIONS request has no body.
            if not (row.gate == "preflight" and credentials.endswith("form"))
        )
    ]
    people = [cell.client for cell in cells if cell.credentials == "person"]
    (directory / "people").write_text("".join(f"{one.id}:{{PLAIN}}{one.secret}\n" for one in people))
    server = start(
        "".join(
            location(
                row.path,
                f"satisfy {row.satisfy}",
                *OTHERS[row.other],
                *GATES[row.gate],
                f"credgate_issuer {down if row.provider == 'down' else scripted.issuer}",
                f"proxy_pass {upstream.url}",
            ).replace("user_file people", f"user_file {directory}/people")
            for row in rows(satisfy)
        )
        + location("= /yes", "internal", "return 204")
        + location("= /no", "internal", "return 403"),
        http="underscores_in_headers on; credgate_allow_loopback_http on; credgate_upstream_header x-client sub;"
        "credgate_refusals_per_client 0; credgate_refusals_per_source 0; credgate_refusals_per_gate 0;",
    )
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda cell: ask(server.port, **cell.request), cells))
    exchanges = scripted.state["by_client"]
    table: dict[Row, dict[str, Result]] = {row: {} for row in rows(satisfy)}
    for cell, answer in zip(cells, answers, strict=True):
        result = Result(answer.status, view(cell, answer), exchanges.get(cell.client.id, 0))
        table[cell.row][cell.credentials] = result
    return table


def rendered(table: dict[Row, dict[str, Result]]) -> str:
    lines = [f"{'other':<11}  {'gate':<9}  {'idp':<4}  " + "  ".join(f"{name:<12}" for name in CREDENTIALS)]
    for row, cells in table.items():
        if row.gate == "off":
            lines.append("")
        texts = [str(cells[name]) if name in cells else "" for name in CREDENTIALS]
        lines.append(f"{row.title}  " + "  ".join(f"{text:<12}" for text in texts))
    return "\n".join(line.rstrip() for line in lines)


@pytest.mark.parametrize("satisfy", ["all", "any"])
def test_a_gate_opens_nothing_and_leaks_nothing_beside_other_access_modules(
    nginx: Start, scripted: Scripted, upstream: Upstream, tmp_path: Path, satisfy: str
) -> None:
    table = results(nginx, scripted, upstream, satisfy, tmp_path)
    for row, cells in table.items():
        without = table[Row(satisfy, row.other, "off", "-")]
        for credentials, result in cells.items():
            where = (row, credentials, result)
            if row.gate == "off":
                assert result.view in ("sent", "-"), where
            elif row.gate == "dry_run":
                assert (result.status, result.view) == (without[credentials].status, without[credentials].view), where
            else:
                assert result.view in ("token", "bare", "-"), where
                # Only good credentials open a location that is closed without the gate.
                is_granted = satisfy == "any" and result.view == "token"
                assert result.status != 200 or without[credentials].status == 200 or is_granted, where
                assert result.view != "token" or (credentials.startswith("good") and row.provider == "up"), where
            if row.gate == "on" and result.status == 200 and (satisfy == "all" or row.other == "-"):
                assert result.view == "token", where
            if row.other in ("deny", "request no") and satisfy == "all":
                assert (result.status, result.exchanges) == (403, 0), where
            if row.other == "auth_basic" and satisfy == "any" and credentials == "person":
                assert (result.status, result.exchanges) == (200, 0), where
    TABLE.check(f"satisfy {satisfy}", rendered(table))
