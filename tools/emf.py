"""Read metrics from lines of the embedded metric format, and their statistics by period.

As CloudWatch does it, in little: for the tests of alarms and the picture of the dashboard.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: EMF's limits, of its specification.
MAX_METRICS = MAX_VALUES = 100
MAX_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Series:
    """Which metric: its namespace, name and dimensions."""

    namespace: str
    name: str
    dimensions: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, namespace: str, name: str, dimensions: Mapping[str, str]) -> Series:
        """Return the series with these dimensions."""
        return cls(namespace, name, frozenset(dimensions.items()))


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a metric, at a time."""

    series: Series
    at: datetime
    value: float
    unit: str = "None"


def read(lines: Iterable[str]) -> Iterator[Value]:
    """Yield the values of every line that is an EMF document; others are passed over.

    Raises
    ------
    ValueError
        If CloudWatch would not take a document.
    """
    for line in lines:
        if line.startswith("{") and '"_aws"' in line:
            yield from _read_document(line)


def _read_document(line: str) -> Iterator[Value]:
    document = json.loads(line)
    if len(line.encode()) > MAX_BYTES:
        raise ValueError(f"{len(line):,} bytes")
    at = _EPOCH + timedelta(milliseconds=document["_aws"]["Timestamp"])
    for directive in document["_aws"]["CloudWatchMetrics"]:
        if len(directive["Metrics"]) > MAX_METRICS:
            raise ValueError(f"{len(directive['Metrics'])} metrics")
        for metric in directive["Metrics"]:
            given = document[metric["Name"]]
            values = given if isinstance(given, list) else [given]
            if len(values) > MAX_VALUES:
                raise ValueError(f"{metric['Name']} has {len(values)} values")
            for names in directive["Dimensions"]:
                dimensions = {name: document[name] for name in names}
                series = Series.of(directive["Namespace"], metric["Name"], dimensions)
                yield from (Value(series, at, value, metric["Unit"]) for value in values)


def statistic(name: str, values: list[float]) -> float:
    """Return a statistic of values: `Sum`, `p90`, ..."""
    if name.startswith("p"):
        ordered = sorted(values)
        rank = math.ceil(float(name[1:]) / 100 * len(ordered))
        return ordered[max(rank, 1) - 1]
    match name:
        case "Sum":
            return sum(values)
        case "Maximum":
            return max(values)
        case "Minimum":
            return min(values)
        case "Average":
            return sum(values) / len(values)
        case "SampleCount":
            return len(values)
        case _:
            raise ValueError(f"there is no statistic {name!r}")


def by_series(values: Iterable[Value]) -> dict[Series, list[Value]]:
    """Return the values of each series."""
    found: dict[Series, list[Value]] = {}
    for value in values:
        found.setdefault(value.series, []).append(value)
    return found


def by_period(values: Iterable[Value], stat: str, period_s: int) -> dict[datetime, float]:
    """Return a statistic for each period that has values, by the period's beginning."""
    found: dict[datetime, list[float]] = {}
    for value in values:
        found.setdefault(period_of(value.at, period_s), []).append(value.value)
    return {start: statistic(stat, within) for start, within in sorted(found.items())}


def period_of(moment: datetime, period_s: int) -> datetime:
    """Return the beginning of a moment's period."""
    seconds = (moment - _EPOCH).total_seconds()
    return _EPOCH + timedelta(seconds=seconds - seconds % period_s)
