"""The queries of the Grafana dashboard and of the alerts, and the series that they can name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from shiftwork_core.domain.metrics.catalogue import COUNTERS, GAUGES, HISTOGRAMS, PREFIX
from tests.unit.docs.pages import ROOT
from tools.draw_grafana import DASHBOARD, RATE

ALERTS = ROOT / "docs" / "grafana" / "alerts.yml"
_SERIES = re.compile(r"(shiftwork_\w+)(?:\{([^}]*)\})?")
_FILTER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"((?:\\.|[^"\\])*)"')
_BY = re.compile(r"\bby \(([^)]*)\)")


@dataclass(frozen=True)
class Query:
    """A query, and the labels that its legend or message shows."""

    name: str
    text: str
    shown: frozenset[str]

    def metrics(self) -> set[str]:
        """Return the series that it reads."""
        return {name for name, _ in _SERIES.findall(self.text)}

    def filters(self) -> Iterator[tuple[str, str, str]]:
        """Yield a series, a label and the value that is asked of it."""
        for name, inside in _SERIES.findall(self.text):
            for label, value in _FILTER.findall(inside):
                yield name, label, value

    def grouped_by(self) -> set[str]:
        """Return the labels by which it sums."""
        return {label for inside in _BY.findall(self.text) for label in re.findall(r"\w+", inside)}

    def as_rule(self) -> str:
        """Return it as Prometheus takes it, without Grafana's variable."""
        return self.text.replace(RATE, "5m")


def series() -> dict[str, set[str]]:
    """Return the labels of every series of GET /metrics by its name."""
    found = {
        f"{PREFIX}{counter.name}_total": {*counter.labels, *([counter.by] if counter.by else [])}
        for counter in COUNTERS
    }
    for histogram in HISTOGRAMS:
        name = f"{PREFIX}{histogram.name}_seconds"
        found |= {f"{name}_{end}": {*histogram.labels} for end in ("sum", "count")}
        found[f"{name}_bucket"] = {*histogram.labels, "le"}
    return found | {f"{PREFIX}{gauge.name}": {*gauge.labels} for gauge in GAUGES.values()}


def values() -> dict[tuple[str, str], tuple[str, ...]]:
    """Return the values that a label of a counter can have, where the catalogue names them."""
    return {
        (f"{PREFIX}{counter.name}_total", counter.by): counter.fields
        for counter in COUNTERS
        if counter.by
    }


def of_dashboard() -> list[Query]:
    """Return the queries of the dashboard's panels, and of the marks on all of them."""
    dashboard = json.loads(DASHBOARD.read_text())
    marks = [
        Query(mark["name"], mark["expr"], frozenset()) for mark in dashboard["annotations"]["list"]
    ]
    return marks + [
        Query(
            panel["title"],
            target["expr"],
            frozenset(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])),
        )
        for panel in dashboard["panels"]
        for target in panel.get("targets", [])
    ]


def of_alerts() -> list[Query]:
    """Return the expressions of the alerts."""
    [group] = yaml.safe_load(ALERTS.read_text())["groups"]
    return [
        Query(
            rule["alert"],
            rule["expr"],
            frozenset(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])),
        )
        for rule in group["rules"]
    ]
