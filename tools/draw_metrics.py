"""Draw docs/reference/cloudwatch.md from the catalogue: `python -m tools.draw_metrics`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from shiftwork_core.domain.metrics.cloudwatch import Metric

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "cloudwatch.md"

_INTRODUCTION = """\
# CloudWatch metrics

Drawn from `domain/metrics/cloudwatch.py` by `tools/draw_metrics.py`; a test keeps the two equal.

All are in the namespace `Shiftwork` with the dimension `stage`. Those by type exist a second
time with the dimension `type`: the request type or the job type, `other` for those beyond a
hundred. [Words](metrics.md#words) explains due, lease, sweep and switch. A metric costs $0.30 a
month for each value of its dimensions, in proportion to the hours in which it is written, so
only these few have the type, and none an id: ids are in the logs.

Durations of the first table are the upper bounds of the counters' buckets, 50 ms to six hours, a
value for each: a percentile is at most one bucket too long.
"""

#: The tables, each with its first metric.
_SECTIONS = {
    Metric.REQUESTS_SUBMITTED: "What happened, counted from the tables' streams, each fact once",
    Metric.QUEUED_JOBS: "What is so, measured every minute",
    Metric.CALLS_ANSWERED: "What functions did, counted where they do it",
}


def draw() -> str:
    """Return the page."""
    return "\n".join([_INTRODUCTION, *_lines()]).rstrip() + "\n"


def _lines() -> Iterator[str]:
    for metric in Metric:
        if metric in _SECTIONS:
            is_first = metric is next(iter(Metric))
            yield from [] if is_first else [""]
            yield from [f"## {_SECTIONS[metric]}", ""]
            yield from ["| metric | unit | by type | |", "| --- | --- | --- | --- |"]
        by_type = "yes" if metric.by_type else ""
        yield f"| `{metric.value}` | {metric.unit} | {by_type} | {metric.meaning} |"


if __name__ == "__main__":
    PAGE.write_text(draw())
