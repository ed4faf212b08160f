"""The picture of the dashboard has a panel for each widget, with what the stack's logs say."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from shiftwork_core.cloudwatch import report_counts, report_gauges
from shiftwork_core.domain.metrics.counters import CounterKey, Happened, Subject, Tally, add
from shiftwork_core.domain.metrics.gauges import DueGauge, Gauges, StreamGauge
from tools.draw_dashboard import body
from tools.draw_dashboard_picture import Panel, Picture

NOW = datetime(2026, 11, 29, 9, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def panels(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[Panel]:
    """Return the panels of half an hour in which a request is stuck and jobs fail."""
    monkeypatch.setenv("STAGE", "local")
    counted: Tally = {}
    for type in ("mail.send", "print"):
        add(counted, Happened(CounterKey(Subject.JOBS, (type,)), "failure", 2))
    for minute in range(30, 0, -1):
        at = NOW - minute * MINUTE
        due = {"inprogress-requests": DueGauge(700.0, 1)}
        streams = {"jobs": StreamGauge(20.0, False)}
        report_gauges(
            Gauges(at, due_requests=due, late_switch_s=0, streams=streams), lambda type: type
        )
        report_counts(counted, at, lambda type: type)
    error = json.dumps({"level": "ERROR", "message": "a task is too large"})
    lines = ["START RequestId: 1", error, *capsys.readouterr().out.splitlines(), error]
    return Picture(lines, NOW).panels()


def titled(panels: list[Panel], title: str) -> Panel:
    [found] = [panel for panel in panels if panel.get("title") == title]
    return found


def test_each_widget_has_its_panel_in_its_place(panels: list[Panel]) -> None:
    places = ("x", "y", "width", "height")
    assert [[panel[at] for at in places] for panel in panels] == [
        [widget[at] for at in places] for widget in body()["widgets"]
    ]


def test_alarms_have_the_state_that_the_metrics_give(panels: list[Panel]) -> None:
    [states] = [panel["states"] for panel in panels if panel["kind"] == "states"]
    assert (states["StuckRequestsAlarm"], states["OldestDueRequestAlarm"]) == ("rings", "rings")
    assert (states["LateSwitchAlarm"], states["NotMeasuredAlarm"]) == ("ok", "ok")
    assert (states["CostAlarm"], states["LostWorkersAlarm"]) == ("AWS measures this", "nothing yet")


def test_a_graph_has_a_point_a_minute(panels: list[Panel]) -> None:
    [line] = titled(panels, "Stuck requests")["lines"]
    assert [number for _, number in line["points"]] == [1] * 30
    assert line["points"][-1][0] == (NOW - MINUTE).timestamp()


def test_a_search_has_a_line_for_each_type(panels: list[Panel]) -> None:
    lines = titled(panels, "Failed jobs, by type")["lines"]
    assert [line["label"] for line in lines] == ["mail.send", "print"]
    assert titled(panels, "Failed requests, by type")["note"] == "none in this time"


def test_what_aws_measures_says_that_it_has_no_data(panels: list[Panel]) -> None:
    for title in ("Dead letters", "The last day (USD, list prices)"):
        assert titled(panels, title)["note"] == "measured by AWS: no data on the local stack"


def test_errors_are_counted_by_message(panels: list[Panel]) -> None:
    rows = titled(panels, "Errors in the logs, by message")["rows"]
    assert rows == [("a task is too large", 2)]
