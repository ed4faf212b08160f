"""Draw the dashboard with the metrics of the local stack: `python -m tools.draw_dashboard_picture`.

It shows what the template's dashboard would show: our metrics are read from the logs of the stack's
functions, and the alarms are evaluated over them. What AWS measures itself has no data locally, and
its panels say so. `plot_dashboard.py` does the drawing, in the environment of the documentation.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from shiftwork.local import tools
from shiftwork_core.domain.metrics.cloudwatch import NAMESPACE, TYPE
from tools.alarms import ALARMS, Alarm
from tools.draw_dashboard import Widget, body
from tools.emf import Series, Value, by_period, by_series, read
from tools.local_metrics import ROOT, local_lines

STAGE = "local"
PICTURE = ROOT / "docs" / "images" / "dashboard.png"
_SEARCH = re.compile(r"""MetricName="(\w+)" .*', '(\w+)', \d+\)""")
_NONE = "none in this time"
_OF_AWS = "measured by AWS: no data on the local stack"

Values = Mapping[Series, list[Value]]
Panel = dict[str, Any]


class Picture:
    """The dashboard's panels, filled from the lines of a stack's logs."""

    def __init__(self, lines: Iterable[str], now: datetime) -> None:
        self._lines = list(lines)
        self._values: Values = by_series(read(self._lines))
        self._now = now

    def panels(self) -> list[Panel]:
        """Return a panel for each widget of the dashboard, in its place."""
        return [self._panel(widget) for widget in body()["widgets"]]

    def _panel(self, widget: Widget) -> Panel:
        place = {key: widget[key] for key in ("x", "y", "width", "height")}
        about = widget["properties"]
        match widget["type"]:
            case "text":
                return {**place, "kind": "heading", "title": about["markdown"].removeprefix("## ")}
            case "alarm":
                return {**place, "kind": "states", "states": dict(self._states())}
            case "log":
                errors = self._errors().most_common(6)
                return {**place, "kind": "table", "title": about["title"], "rows": errors}
        drawn = [line for metric in about["metrics"] for line in self._lines_of(metric)]
        is_ours = any(metric[0] == NAMESPACE or _search(metric) for metric in about["metrics"])
        return {
            **place,
            "kind": "lines",
            "title": about["title"],
            "stacked": about.get("stacked", False),
            "lines": drawn,
            "note": "" if drawn else _NONE if is_ours else _OF_AWS,
        }

    def _lines_of(self, metric: list[Any]) -> Iterator[dict[str, Any]]:
        """Yield the lines of one entry of a graph: one, or one for each type."""
        if found := _search(metric):
            for series in sorted(self._values, key=lambda series: sorted(series.dimensions)):
                dimensions = dict(series.dimensions)
                if series.name == found[1] and TYPE in dimensions:
                    yield self._line(series, found[2], dimensions[TYPE])
        elif metric[0] == NAMESPACE:
            _, name, dimension, _, options = metric
            series = Series.of(NAMESPACE, name, {dimension: STAGE})
            if series in self._values:
                yield self._line(series, options["stat"], options["label"])

    def _line(self, series: Series, stat: str, label: str) -> dict[str, Any]:
        points = by_period(self._values[series], stat, 60)
        return {"label": label, "points": [[at.timestamp(), n] for at, n in points.items()]}

    def _states(self) -> Iterator[tuple[str, str]]:
        for name in ALARMS:
            yield name, Alarm.named(name, STAGE).state(self._values, self._now)

    def _errors(self) -> Counter[str]:
        """Return how often each message of an error was logged."""
        found: Counter[str] = Counter()
        for line in self._lines:
            if line.startswith("{") and '"level":"ERROR"' in line.replace(" ", ""):
                found[str(json.loads(line).get("message"))] += 1
        return found


def _search(metric: list[Any]) -> re.Match[str] | None:
    """Return the name and the statistic of an entry that searches a metric by type."""
    return _SEARCH.search(metric[0]["expression"]) if isinstance(metric[0], dict) else None


def main() -> None:
    """Draw the last `--minutes` of the local stack."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--output", type=Path, default=PICTURE)
    options = parser.parse_args()
    now = datetime.now(UTC)
    since = now - timedelta(minutes=options.minutes)
    picture = {
        "title": f"Shiftwork {STAGE}, {now:%Y-%m-%d}, UTC",
        "since": since.timestamp(),
        "until": now.timestamp(),
        "panels": Picture(local_lines(since), now).panels(),
    }
    folder = tools.environment(ROOT, ROOT / ".shiftwork", "docs", print)
    command = [str(folder / "python"), str(ROOT / "tools" / "plot_dashboard.py"), options.output]
    subprocess.run(command, input=json.dumps(picture), text=True, check=True)
    print(f"{options.output}: {options.output.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main()
