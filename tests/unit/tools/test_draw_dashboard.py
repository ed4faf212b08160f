"""The dashboard of the template is the one drawn, and shows only what there is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from shiftwork_core.domain.metrics.cloudwatch import Metric
from tests.template import load_template
from tools.alarms import ALARMS, Alarm
from tools.draw_dashboard import COLUMNS, TEMPLATE, draw, references

BODY = load_template()["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
WIDGETS: list[dict[str, Any]] = json.loads(BODY)["widgets"]
CATALOGUE = {metric.value: metric for metric in Metric}


def lines() -> Iterator[list[Any]]:
    """Yield the metrics of all graphs."""
    for widget in WIDGETS:
        yield from widget["properties"].get("metrics", [])


def test_the_template_has_the_dashboard_that_is_drawn() -> None:
    template = TEMPLATE.read_text()
    assert draw(template) == template


def test_it_answers_from_top_to_bottom() -> None:
    headings = [w["properties"]["markdown"] for w in WIDGETS if w["type"] == "text"]
    assert headings == [
        "## Is it healthy?",
        "## What waits, and for how long?",
        "## What fails, and why?",
        "## Who works?",
        "## What is switched late?",
        "## What does it cost today?",
        "## May these figures be trusted?",
    ]


def test_every_reference_is_to_something_of_the_template() -> None:
    template = load_template()
    known = {*template["Resources"], *template["Parameters"], "AWS::StackName", "AWS::Region"}
    found = references(BODY)
    assert len(found) > 20
    assert {reference.partition(".")[0] for reference in found} <= known


def test_our_metrics_are_those_of_the_catalogue() -> None:
    ours = {line[1] for line in lines() if line[0] == "Shiftwork"}
    assert len(ours) > 30
    assert ours <= set(CATALOGUE)
    for line in lines():
        if line[0] == "Shiftwork":
            assert line[2:4] == ["stage", "${Stage}"]


def test_only_metrics_with_types_are_shown_by_type() -> None:
    searches = [line[0]["expression"] for line in lines() if "SEARCH" in str(line[0])]
    names = [re.search(r'MetricName="(\w+)"', search).group(1) for search in searches]  # type: ignore[union-attr]
    assert len(names) == 5
    assert all(CATALOGUE[name].by_type for name in names)
    assert all('stage="${Stage}"' in search for search in searches)


def test_it_shows_every_metric_of_ours_that_rings() -> None:
    shown = {line[1] for line in lines() if len(line) > 1}
    rings = {metric.series.name for name in ALARMS for metric in Alarm.named(name).metrics}
    ours = {name for name in rings if name in CATALOGUE}
    assert len(ours) > 8
    assert ours <= shown


def test_it_shows_the_state_of_every_alarm() -> None:
    [states] = [w["properties"]["alarms"] for w in WIDGETS if w["type"] == "alarm"]
    assert states == [f"${{{name}.Arn}}" for name in ["PagingAlarm", *ALARMS]]


def test_widgets_fill_their_rows_and_do_not_overlap() -> None:
    rows: dict[int, list[dict[str, Any]]] = {}
    for widget in WIDGETS:
        rows.setdefault(widget["y"], []).append(widget)
    for row in rows.values():
        assert sum(widget["width"] for widget in row) == COLUMNS
        assert len({widget["height"] for widget in row}) == 1
        for left, right in pairwise(row):
            assert left["x"] + left["width"] == right["x"]
    for (y, row), (below, _) in pairwise(sorted(rows.items())):
        assert y + row[0]["height"] == below
