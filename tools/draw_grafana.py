"""Draw docs/grafana/shiftwork.json, the dashboard: `python tools/draw_grafana.py`.

From top to bottom: is it healthy, what waits, what fails, who works, what is switched late, how far
are the counters behind. `tests/unit/docs/test_grafana.py` checks the queries.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DASHBOARD = Path(__file__).resolve().parents[1] / "docs" / "grafana" / "shiftwork.json"

_WIDTH = 24
_HEIGHT = {"stat": 4, "timeseries": 8}
_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
#: Counters are added to at most every half minute; shorter intervals would show steps.
RATE = "$__rate_interval"


@dataclass(frozen=True)
class Panel:
    """A question, and the query that answers it. `red_from` is where the answer is bad."""

    title: str
    query: str
    legend: str = ""
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    red_from: float | None = None
    is_stacked: bool = False


def _stat(title: str, query: str, unit: str = "short", red_from: float = 1) -> Panel:
    return Panel(title, query, unit=unit, kind="stat", width=4, red_from=red_from)


def _rate(metric: str, labels: str, only: str = "") -> str:
    return f"sum by ({labels}) (rate(shiftwork_{metric}_total{only}[{RATE}]))"


def _quantile(histogram: str, label: str) -> str:
    buckets = f"rate(shiftwork_{histogram}_seconds_bucket[{RATE}])"
    return f"histogram_quantile(0.95, sum by (le, {label}) ({buckets}))"


def _mean(histogram: str, label: str) -> str:
    sums = f"sum by ({label}) (rate(shiftwork_{histogram}_seconds_sum[{RATE}]))"
    return f"{sums} / sum by ({label}) (rate(shiftwork_{histogram}_seconds_count[{RATE}]))"


#: Prometheus takes a total that falls for one that began anew from 0.
_REBUILD_HINT = (
    "After a rebuild of the counters totals may be lower, since rows have expired, and a rate shows"
    " a peak that was none. A line marks the rebuild."
)
_NOTHING_HINT = (
    "Nothing is shown for an hour after a rebuild of the counters: totals may be lower then, since"
    " rows have expired, and would look like failures."
)
_REBUILDS = "changes(shiftwork_counters_since_timestamp_seconds[{window}]) > 0"
_FAILED = 'sum(increase(shiftwork_requests_total{status="Failed"}[1h]))'
_ENDED = 'sum(increase(shiftwork_requests_total{status=~"Completed|Failed"}[1h]))'
#: Nothing, rather than something wrong, for the hour after a rebuild.
_FAILING = f"{_FAILED} / {_ENDED} unless on() {_REBUILDS.format(window='1h')}"

ROWS: dict[str, list[Panel]] = {
    "Is it healthy?": [
        _stat("Stuck requests", "sum(shiftwork_stuck_requests)"),
        _stat("Requests that fail, last hour", _FAILING, "percentunit", 0.05),
        _stat("Oldest queued job", "max(shiftwork_queue_oldest_seconds)", "s", 900),
        _stat("Dead letters", "sum(shiftwork_dead_letters)"),
        _stat("Workers lost lately", "sum(shiftwork_lost_workers)"),
        _stat("Longest late switch", "max(shiftwork_late_switch_seconds)", "s", 300),
    ],
    "What waits?": [
        Panel("Queued jobs", "shiftwork_queue_jobs > 0", "{{type}} {{domain}}"),
        Panel(
            "Oldest job of each queue",
            "shiftwork_queue_oldest_seconds > 0",
            "{{type}} {{domain}}",
            "s",
        ),
        Panel("Wait for the first claim, p95", _quantile("queue_wait", "type"), "{{type}}", "s"),
        Panel("Jobs queued, a second", _rate("queued_attempts", "type"), "{{type}}", "cps"),
        Panel("Longest due request", "shiftwork_due_requests_oldest_seconds", "{{lane}}", "s"),
        Panel("Stuck requests by lane", "shiftwork_stuck_requests", "{{lane}}"),
    ],
    "What fails?": [
        Panel("Requests, a second", _rate("requests", "status"), "{{status}}", "cps"),
        Panel(
            "Failed requests, a second",
            _rate("requests", "type", '{status="Failed"}'),
            "{{type}}",
            "cps",
        ),
        Panel(
            "Failed jobs, a second",
            _rate("jobs", "type", '{outcome="failure"}'),
            "{{type}}",
            "cps",
        ),
        Panel(
            "Attempts tried again, a second",
            _rate("attempts", "type", '{outcome="retry"}'),
            "{{type}}",
            "cps",
        ),
        Panel("Retries by users, a second", _rate("request_retries", "type"), "{{type}}", "cps"),
        Panel("Finds of the sweeps, a second", _rate("sweep_finds", "sweep"), "{{sweep}}", "cps"),
        Panel("Dead letters by queue", "shiftwork_dead_letters", "{{queue}}"),
        Panel(
            "How long requests take, p95", _quantile("request_duration", "type"), "{{type}}", "s"
        ),
        Panel("How long steps take, mean", _mean("step_duration", "type"), "{{type}}", "s"),
    ],
    "Who works?": [
        Panel("Workers by status", "shiftwork_workers", "{{status}}", is_stacked=True),
        Panel(
            "Completed jobs, a second",
            _rate("jobs", "type", '{outcome="completed"}'),
            "{{type}}",
            "cps",
        ),
        Panel(
            "How long attempts take, p95", _quantile("attempt_duration", "type"), "{{type}}", "s"
        ),
    ],
    "What is switched late?": [
        Panel("Longest due switch", "shiftwork_late_switch_seconds", "late", "s"),
        Panel(
            "Delay of switches, p95",
            _quantile("lifecycle_delay", "operation"),
            "{{operation}}",
            "s",
        ),
        Panel(
            "Starts and stops that ended, a second",
            _rate("lifecycle_jobs", "operation, outcome"),
            "{{operation}} {{outcome}}",
            "cps",
        ),
    ],
    "How far are the counters behind?": [
        Panel("Behind each table", "shiftwork_stream_lag_seconds", "{{table}}", "s"),
        Panel("Changes that nobody counted", "shiftwork_counters_gap", "{{table}}"),
        Panel(
            "Changes that could not be read, a second",
            _rate("unreadable_changes", "table"),
            "{{table}}",
            "cps",
        ),
        Panel("The counters can be read", "shiftwork_counters_up", "up"),
        Panel(
            "Age of the counters", "time() - shiftwork_counters_since_timestamp_seconds", unit="s"
        ),
        Panel("Types that are shown together", "shiftwork_summed_types", "types"),
    ],
}


def draw() -> str:
    """Return the dashboard."""
    datasource = {"name": "datasource", "type": "datasource", "query": "prometheus"}
    dashboard = {
        "title": "Shiftwork",
        "uid": "shiftwork",
        "schemaVersion": 39,
        "editable": True,
        "refresh": "1m",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "tags": ["shiftwork"],
        "templating": {"list": [datasource]},
        "annotations": {"list": [_rebuilds()]},
        "panels": [*_placed()],
    }
    return json.dumps(dashboard, indent=1) + "\n"


def _rebuilds() -> dict[str, Any]:
    """Return the marks at the moments when the counters were rebuilt."""
    return {
        "name": "Rebuilds of the counters",
        "datasource": _DATASOURCE,
        "enable": True,
        "iconColor": "orange",
        "expr": _REBUILDS.format(window="2m"),
        "titleFormat": "The counters were rebuilt",
    }


def _placed() -> Iterator[dict[str, Any]]:
    """Yield the panels with their places, row below row."""
    x = y = height = number = 0
    for title, panels in ROWS.items():
        x, y, number = 0, y + height, number + 1
        place = {"h": 1, "w": _WIDTH, "x": 0, "y": y}
        yield {"type": "row", "id": number, "title": title, "collapsed": False, "gridPos": place}
        y, height = y + 1, 0
        for panel in panels:
            if x + panel.width > _WIDTH:
                x, y = 0, y + height
            height, number = _HEIGHT[panel.kind], number + 1
            place = {"h": height, "w": panel.width, "x": x, "y": y}
            yield {**_drawn(panel), "id": number, "gridPos": place}
            x += panel.width


def _hint(query: str) -> str:
    """Return what to know of a query that is computed from the growth of totals."""
    if "increase(" in query:
        return _NOTHING_HINT
    return _REBUILD_HINT if "rate(" in query else ""


def _drawn(panel: Panel) -> dict[str, Any]:
    target = {"refId": "A", "expr": panel.query, "legendFormat": panel.legend or "__auto"}
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0}
    if panel.red_from is not None:
        steps = [{"color": "green", "value": None}, {"color": "red", "value": panel.red_from}]
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
    if panel.is_stacked:
        defaults["custom"] = {"stacking": {"mode": "normal"}, "fillOpacity": 30}
    return {
        "type": panel.kind,
        "title": panel.title,
        **({"description": hint} if (hint := _hint(panel.query)) else {}),
        "datasource": _DATASOURCE,
        "targets": [{**target, "datasource": _DATASOURCE}],
        "fieldConfig": {"defaults": defaults, "overrides": []},
    }


if __name__ == "__main__":
    DASHBOARD.write_text(draw())
