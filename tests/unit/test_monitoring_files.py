"""The dashboard and the alert rules ask for metrics that exist; each alert has a runbook."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.support import ROOT
from tests.support.tools import run
from voxcpm_openai.metrics.families import Metrics
from voxcpm_openai.metrics.server import ServerCollector

DASHBOARD = ROOT / "deploy/grafana/voxcpm-openai.json"
ALERTS = ROOT / "deploy/prometheus/alerts.yaml"
OPERATIONS = ROOT / "docs/operations.md"
METRIC = re.compile(r"\b(?:voxcpm|vllm)[_:]\w+")
ENDS = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}


def offered() -> set[str]:
    """Return the names of all series."""
    own = Metrics([], [], "tone")._registry.collect()
    families = [*own, *ServerCollector("tone", [1], 1).collect()]
    return {f"{one.name}{end}" for one in families for end in ENDS[one.type]}


def queries() -> Iterator[str]:
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel["targets"]:
            yield target["expr"]
    for variable in json.loads(DASHBOARD.read_text())["templating"]["list"][1:]:
        yield variable["query"]["query"]
    yield ALERTS.read_text()


def test_each_query_names_metrics_that_there_are() -> None:
    asked = {name for query in queries() for name in METRIC.findall(query)}
    assert len(asked) > 15
    assert asked <= offered()


def test_each_metric_is_in_the_manual() -> None:
    told = set(METRIC.findall(OPERATIONS.read_text()))
    ends = "_total|_bucket|_sum|_count"
    assert {re.sub(rf"({ends})$", "", name) for name in offered()} <= {
        re.sub(rf"({ends})$", "", name) for name in told
    }


def test_each_panel_has_a_place_and_an_id_of_its_own() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    places = [(one["gridPos"]["x"], one["gridPos"]["y"]) for one in panels]
    assert len(set(places)) == len({one["id"] for one in panels}) == len(panels)


def test_each_alert_has_a_runbook() -> None:
    names = re.findall(r"- alert: (\w+)", ALERTS.read_text())
    pages = re.findall(r'runbook: "docs/operations.md#(\w+)"', ALERTS.read_text())
    assert [name.lower() for name in names] == pages
    headings = re.findall(r"^#+ (\w+)$", OPERATIONS.read_text(), re.MULTILINE)
    assert set(names) <= set(headings)


@pytest.mark.parametrize(
    "arguments", [("check", "rules", "alerts.yaml"), ("test", "rules", "alerts.test.yaml")]
)
def test_promtool_accepts_the_rules(arguments: tuple[str, ...]) -> None:
    done = run("promtool", *arguments, cwd=ALERTS.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout
