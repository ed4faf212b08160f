"""Plot the panels that draw_dashboard_picture.py sends as JSON; matplotlib is all that it needs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.dates import AutoDateLocator, DateFormatter

#: Inches of a column and of a row of CloudWatch's grid.
_WIDTH, _HEIGHT = 0.62, 0.41
_COLUMNS = 24
#: Colours that those who see few colours can tell apart.
_COLOURS = ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#777777", "#222222"]
_MINUTE = timedelta(minutes=1)
_STATES = {"ok": "#009E73", "rings": "#D55E00"}
_NO_STATE = "#BBBBBB"

Panel = dict[str, Any]


def plot(picture: dict[str, Any], output: str) -> None:
    """Plot the panels, each in its place, and write the picture."""
    rows = max(panel["y"] + panel["height"] for panel in picture["panels"]) + 1
    figure = plt.figure(figsize=(_COLUMNS * _WIDTH, rows * _HEIGHT), facecolor="white")
    figure.suptitle(picture["title"], x=0.01, y=1 - 0.2 / rows, ha="left", size=13, weight="bold")
    for panel in picture["panels"]:
        top = 1 - (panel["y"] + 1) / rows
        height, width = panel["height"] / rows, panel["width"] / _COLUMNS
        left = panel["x"] / _COLUMNS
        is_graph = panel["kind"] == "lines"
        inner = (0.03, 1.1 / rows, 0.012, 0.75 / rows) if is_graph else (0.01, 0.1 / rows, 0.01, 0)
        axes = figure.add_axes(
            (
                left + inner[0],
                top - height + inner[1],
                width - inner[0] - inner[2],
                height - inner[1] - inner[3],
            )
        )
        _PLOTS[panel["kind"]](axes, panel, picture)
    figure.savefig(output, dpi=80)


def _heading(axes: Any, panel: Panel, picture: dict[str, Any]) -> None:
    axes.axis("off")
    axes.text(0, 0.2, panel["title"], size=12, weight="bold", transform=axes.transAxes)


def _states(axes: Any, panel: Panel, picture: dict[str, Any]) -> None:
    axes.axis("off")
    for number, (name, state) in enumerate(panel["states"].items()):
        x, y = number % 6 / 6, 0.9 - number // 6 * 0.26
        label = f"{name.removesuffix('Alarm')}: {state}"
        fill = _STATES.get(state, _NO_STATE)
        style = {"boxstyle": "round", "facecolor": fill, "edgecolor": "none"}
        colour = "white" if state in _STATES else "#333333"
        axes.text(x, y, label, size=8, color=colour, bbox=style, va="center")


def _table(axes: Any, panel: Panel, picture: dict[str, Any]) -> None:
    axes.axis("off")
    axes.text(0, 0.95, panel["title"], size=9, va="top", transform=axes.transAxes)
    rows = panel["rows"] or [["none in this time", ""]]
    for number, (message, times) in enumerate(rows):
        text = f"{times:>5}  {message[:52]}"
        axes.text(0, 0.8 - number * 0.12, text, size=8, family="monospace", va="top")


def _lines(axes: Any, panel: Panel, picture: dict[str, Any]) -> None:
    axes.set_title(panel["title"], loc="left", size=9)
    axes.set_prop_cycle(color=_COLOURS)
    since, until = (_time(picture[key]) for key in ("since", "until"))
    axes.set_xlim(since, until)
    axes.xaxis.set_major_locator(AutoDateLocator(maxticks=5))
    axes.xaxis.set_major_formatter(DateFormatter("%H:%M", tz=UTC))
    axes.tick_params(labelsize=7, length=2)
    axes.grid(visible=True, color="#EEEEEE")
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if panel["stacked"]:
        _stack(axes, panel["lines"])
    else:
        for line in panel["lines"]:
            moments, numbers = zip(*_with_gaps(line["points"]), strict=True)
            axes.plot(moments, numbers, label=line["label"], marker=".", linewidth=1.2)
    _finish(axes, panel)


def _finish(axes: Any, panel: Panel) -> None:
    """Scale a graph, and say what its colours mean, or why it is empty."""
    highest = max((n for line in panel["lines"] for _, n in line["points"]), default=0)
    axes.set_ylim(bottom=0, top=None if highest else 1)
    if panel["lines"]:
        longest = max(len(line["label"]) for line in panel["lines"])
        columns = 5 if longest < 10 else 3 if longest < 22 else 2
        handles, labels = axes.get_legend_handles_labels()
        shown = slice(2 * columns)  # There is room for two rows.
        place = {"loc": "upper left", "bbox_to_anchor": (-0.02, -0.1), "ncols": columns}
        style = {"fontsize": 6.5, "frameon": False, "columnspacing": 0.8, "handlelength": 1}
        axes.legend(handles[shown], labels[shown], **place, **style)
    if panel["note"]:
        middle = {"ha": "center", "transform": axes.transAxes}
        axes.text(0.5, 0.5, panel["note"], size=8, color="#888888", **middle)


def _stack(axes: Any, lines: list[dict[str, Any]]) -> None:
    """Draw bars of a minute upon each other: areas of a single minute would have no width."""
    below: dict[float, float] = {}
    for line in lines:
        moments = [at for at, _ in line["points"]]
        heights = [number for _, number in line["points"]]
        bottoms = [below.get(at, 0) for at in moments]
        times = [_time(at) for at in moments]
        axes.bar(times, heights, _MINUTE, bottoms, align="edge", label=line["label"])
        below |= {at: below.get(at, 0) + number for at, number in line["points"]}


def _with_gaps(points: list[list[float]]) -> Iterator[tuple[datetime, float]]:
    """Yield the points of a line, with one that is no number where minutes have no data."""
    before = points[0][0]
    for at, number in points:
        if at - before > 2 * _MINUTE.total_seconds():
            yield _time(before) + _MINUTE, float("nan")
        yield _time(at), number
        before = at


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


_PLOTS = {"heading": _heading, "states": _states, "table": _table, "lines": _lines}

if __name__ == "__main__":
    plot(json.load(sys.stdin), sys.argv[1])
