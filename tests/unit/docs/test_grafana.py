"""The Grafana dashboard and the alerts name only series and labels that GET /metrics has."""

from __future__ import annotations

import json
import re

import pytest

from shiftwork_core.domain.metrics.catalogue import PREFIX
from tests.unit.docs.prometheus_queries import (
    ALERTS,
    Query,
    of_alerts,
    of_dashboard,
    series,
    values,
)
from tools import draw_grafana

QUERIES = [*of_dashboard(), *of_alerts()]
#: Metrics that are on no panel, and why.
NOT_SHOWN = {
    "info": "an alert uses it to see that nothing is scraped",
    "steps": "how long steps take is shown, and requests are counted",
}


def test_the_dashboard_is_the_one_that_the_tool_draws() -> None:
    drawn = draw_grafana.DASHBOARD.read_text()
    assert drawn == draw_grafana.draw(), "run: python tools/draw_grafana.py"


def test_there_are_queries() -> None:
    assert len(of_dashboard()) > 25
    assert len(of_alerts()) > 5


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)
def test_a_query_reads_series_that_exist(query: Query) -> None:
    assert query.metrics()
    assert query.metrics() <= series().keys()


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)
def test_a_query_uses_labels_that_its_series_have(query: Query) -> None:
    known = series()
    for name, label, asked in query.filters():
        assert label in known[name]
        possible = values().get((name, label))
        assert possible is not None, f"{name} may have any {label}"
        assert {*asked.split("|")} <= {*possible}
    for name in query.metrics():
        assert query.grouped_by() <= known[name] | {"le"}
        assert query.shown <= (query.grouped_by() or known[name])
    if "histogram_quantile" in query.text:
        assert "le" in query.grouped_by()


def test_every_metric_is_on_the_dashboard_or_there_is_a_reason_why_not() -> None:
    shown = {name for query in of_dashboard() for name in query.metrics()}
    ends = re.compile(r"_total$|_seconds_(sum|count|bucket)$")
    names = {ends.sub("", name).removeprefix(PREFIX) for name in shown}
    all_names = {ends.sub("", name).removeprefix(PREFIX) for name in series()}
    assert names | NOT_SHOWN.keys() == all_names
    assert not names & NOT_SHOWN.keys()


def test_every_panel_has_the_datasource_of_the_dashboard_and_a_place_of_its_own() -> None:
    dashboard = json.loads(draw_grafana.DASHBOARD.read_text())
    [variable] = dashboard["templating"]["list"]
    assert (variable["name"], variable["type"]) == ("datasource", "datasource")
    places: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        if panel["type"] != "row":
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            assert panel["targets"][0]["datasource"] == panel["datasource"]
        taken = {
            (place["x"] + dx, place["y"] + dy)
            for dx in range(place["w"])
            for dy in range(place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not taken & places
        places |= taken


def test_what_is_computed_from_totals_says_what_a_rebuild_does_to_it() -> None:
    """They may fall then, and Prometheus takes that for a restart from 0."""
    panels = json.loads(draw_grafana.DASHBOARD.read_text())["panels"]
    rates = re.compile(r"\b(rate|irate|increase)\(")
    queries = {p["title"]: target["expr"] for p in panels for target in p.get("targets", [])}
    expected = {title for title, query in queries.items() if rates.search(query)}
    assert len(expected) > 10
    assert {panel["title"] for panel in panels if "rebuild" in panel.get("description", "")} == (
        expected
    )


def test_no_alert_takes_a_rebuild_for_what_happened() -> None:
    for query in of_alerts():
        windows = set(re.findall(r"\b(?:rate|irate|increase)\([^\[]+\[(\w+)\]", query.text))
        for window in windows:
            guard = f"unless on() changes(shiftwork_counters_since_timestamp_seconds[{window}]) > 0"
            assert query.text.rstrip().endswith(guard), query.name


def test_the_rows_go_from_top_to_bottom() -> None:
    dashboard = json.loads(draw_grafana.DASHBOARD.read_text())
    rows = [panel for panel in dashboard["panels"] if panel["type"] == "row"]
    assert [row["title"] for row in rows] == [*draw_grafana.ROWS]
    assert [row["gridPos"]["y"] for row in rows] == sorted(row["gridPos"]["y"] for row in rows)


def test_every_alert_says_what_to_do() -> None:
    text = ALERTS.read_text()
    assert text.count("- alert:") == text.count("summary:") == text.count("description:")
    assert text.count("severity: page") < text.count("- alert:")
