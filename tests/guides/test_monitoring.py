"""ffi/nginx/monitoring: alerts and dashboard, compared with the metrics that nginx and Python export."""

import json
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import credgate
import pytest
import yaml

from conftest import ALICE
from support.http import ask
from support.lab import Scripted, Upstream
from support.nginx import Nginx, guarded, location
from support.process import ROOT, run

HERE = Path(__file__).parent
MONITORING = ROOT / "ffi/nginx/monitoring"
OPERATING = (ROOT / "ffi/nginx/OPERATING.md").read_text()
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((MONITORING / "credgate.rules.yml").read_text())["groups"] for rule in group["rules"]
]
DASHBOARD = json.loads((MONITORING / "dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
ALERTS = {rule["alert"]: rule["expr"] for rule in RULES}
QUERIES = {panel["title"]: [target["expr"] for target in panel["targets"]] for panel in PANELS}
# Prometheus itself adds them to each sample.
ADDED = {"job", "instance"}

Exported = dict[str, dict[str, set[str]]]


def exported(text: str) -> Exported:
    """The values of each label, by metric."""
    found: Exported = defaultdict(lambda: defaultdict(set))
    for line in text.splitlines():
        if not line.startswith("#"):
            name, labels = re.fullmatch(r"(\w+)(?:\{(.*)\})? \S+", line).groups()  # type: ignore[union-attr]
            values = found[name]
            for label, value in re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or ""):
                values[label].add(value)
    return found


@pytest.fixture
def metrics(nginx: Callable[..., Nginx], scripted: Scripted, upstream: Upstream) -> dict[str, Exported]:
    """The metrics of nginx and of Python after a request with a token."""
    scripted.script(headers={"x-ratelimit-remaining": "7"})
    counted = "credgate_metrics_clients 10;"
    server = nginx(guarded(upstream.url, scripted.issuer) + location("= /metrics", "credgate_metrics"), http=counted)
    assert ask(server.port, headers=ALICE.basic).status == 200
    credgate.configure(metrics_clients=10)
    gate = credgate.Gate(issuer=scripted.issuer, allow_loopback_http=True)
    assert gate.authenticate(authorization=ALICE.basic["Authorization"]).allowed
    of_python = exported(credgate.metrics())
    credgate.close()
    credgate.configure()
    return {"nginx": exported(ask(server.port, "/metrics").body.decode()), "python": of_python}


def selectors(expression: str) -> list[tuple[str, str]]:
    """The metrics in an expression, each with the text inside its braces."""
    return re.findall(r"\b(credgate_\w+)(?:\{([^}]*)\})?", expression)


def grouped(expression: str) -> set[str]:
    return {label for labels in re.findall(r"\bby \(([^)]*)\)", expression) for label in labels.split(", ")}


def faults(expression: str, known: Exported) -> list[str]:
    """The metrics, labels and values in an expression that are not exported."""
    found = []
    labels_of_all = set(ADDED)
    for metric, matchers in selectors(expression):
        if metric not in known:
            found.append(metric)
            continue
        labels_of_all |= set(known[metric])
        for label, operator, value in re.findall(r'(\w+)(=~|=)"([^"]*)"', matchers):
            if label in ADDED:
                continue
            wanted = value.split("|") if operator == "=~" else [value]
            found += [f"{metric}{{{label}={one}}}" for one in wanted if one not in known[metric].get(label, set())]
    return found + [f"by {label}" for label in sorted(grouped(expression) - labels_of_all)]


def test_rules_and_queries_name_exported_metrics_labels_and_values(metrics: dict[str, Exported]) -> None:
    expressions = [*ALERTS.values(), *(query for queries in QUERIES.values() for query in queries)]
    assert len(expressions) > 30
    assert all(selectors(expression) for expression in expressions)
    assert [fault for expression in expressions for fault in faults(expression, metrics["nginx"])] == []
    # Only nginx has workers.
    without = [expression for expression in expressions if "credgate_workers_" not in expression]
    assert [fault for expression in without for fault in faults(expression, metrics["python"])] == []


def test_a_foreign_name_is_found(metrics: dict[str, Exported]) -> None:
    for expression, fault in (
        ("rate(credgate_request_total[5m])", "credgate_request_total"),
        ('credgate_denied_total{cause="no_credential"}', "credgate_denied_total{cause=no_credential}"),
        ('credgate_denied_total{reason="x"}', "credgate_denied_total{reason=x}"),
        ('credgate_requests_total{cache_status=~"hit|cold"}', "credgate_requests_total{cache_status=cold}"),
        ("sum by (status) (credgate_requests_total)", "by status"),
    ):
        assert faults(expression, metrics["python"]) == [fault]


def test_the_dashboard_shows_every_metric(metrics: dict[str, Exported]) -> None:
    shown = {metric for queries in QUERIES.values() for query in queries for metric, _ in selectors(query)}
    family = lambda name: re.sub(r"_seconds_(bucket|sum|count)$", "_seconds", name)  # noqa: E731
    assert {family(name) for host in metrics.values() for name in host} == {family(name) for name in shown}


def test_the_dashboard_has_titles_units_and_one_place_for_each_panel() -> None:
    assert len(QUERIES) == len(PANELS)
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in DASHBOARD["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells)) and max(x for x, _ in cells) < 24
    assert all(panel["fieldConfig"]["defaults"]["unit"] for panel in PANELS)


def test_the_queries_are_valid(tmp_path: Path) -> None:
    variables = {"$__rate_interval": "5m", "$job": ".*"}
    rules = []
    for number, query in enumerate(query for queries in QUERIES.values() for query in queries):
        for name, value in variables.items():
            query = query.replace(name, value)
        assert "$" not in query
        rules.append({"record": f"query:{number}", "expr": query})
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    run("promtool", "check", "rules", file)


def test_the_alerts_are_valid_and_fire_as_intended() -> None:
    run("promtool", "check", "rules", MONITORING / "credgate.rules.yml")
    run("promtool", "test", "rules", HERE / "alerts.yml")


def test_each_alert_fires_in_a_case_and_not_in_healthy_traffic() -> None:
    healthy, *others = yaml.safe_load((HERE / "alerts.yml").read_text())["tests"]
    assert {test["alertname"]: test["exp_alerts"] for test in healthy["alert_rule_test"]} == dict.fromkeys(ALERTS, [])
    fired = {test["alertname"] for case in others for test in case.get("alert_rule_test", ()) if test["exp_alerts"]}
    assert fired == set(ALERTS)


def test_each_alert_has_a_row_in_the_manual() -> None:
    assert re.findall(r"^\| `(Credgate\w+)` \|", OPERATING, re.MULTILINE) == list(ALERTS)
