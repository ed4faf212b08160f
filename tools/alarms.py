"""Evaluate the alarms of template.yaml over values of metrics: `python -m tools.alarms`.

So run it says which of them would ring on the local stack now, and by which value; nothing there
measures what is AWS's own, such as the errors of functions.

Simpler than CloudWatch in one thing: it looks at exactly as many periods as the alarm evaluates,
while CloudWatch looks a little further back if some of them have no data.
"""

from __future__ import annotations

import argparse
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any

from shiftwork_core.domain.metrics.cloudwatch import NAMESPACE
from tests.template import as_text, load_template, resources
from tools.emf import Series, Value, by_period, by_series, period_of
from tools.local_metrics import local_values
from tools.metric_math import evaluate

ALARMS = resources("AWS::CloudWatch::Alarm")
_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
}
_WORDS = {"GreaterThanThreshold": "above", "LessThanThreshold": "below"}


class State(StrEnum):
    """What is so of an alarm on a stack."""

    RINGS = "rings"
    OK = "ok"
    #: None of its metrics has had a value.
    NOTHING = "nothing yet"
    #: Nor will they, where there is no AWS.
    OF_AWS = "AWS measures this"


def deployed(value: Any, stage: str) -> str:
    """Return a value as it is after deployment; references to resources stay as they are."""
    text = as_text(value)
    given = {
        "${Stage}": stage,
        "${AWS::StackName}": f"shiftwork-{stage}",
        "${DailyCostUsd}": str(load_template()["Parameters"]["DailyCostUsd"]["Default"]),
    }
    for reference, value in given.items():
        text = text.replace(reference, value)
    return text


@dataclass(frozen=True)
class MetricStat:
    """A metric that an alarm evaluates."""

    id: str
    series: Series
    stat: str
    period_s: int


@dataclass(frozen=True)
class Alarm:
    """An alarm of the template."""

    name: str
    metrics: tuple[MetricStat, ...]
    expression: str
    periods: int
    to_alarm: int
    threshold: float
    comparison: str
    missing: str

    @classmethod
    @cache
    def named(cls, name: str, stage: str = "dev") -> Alarm:
        """Read an alarm's definition."""
        properties = ALARMS[name]["Properties"]
        if "Metrics" in properties:
            [expression] = [m for m in properties["Metrics"] if "Expression" in m]
            metrics = tuple(
                _of_query(query, stage) for query in properties["Metrics"] if "MetricStat" in query
            )
            # Only the expression's result is compared.
            assert [m for m in properties["Metrics"] if m.get("ReturnData", True)] == [expression]
            text = expression["Expression"]
        else:
            metrics, text = (_of_metric(properties, stage),), "m"
        return cls(
            name=name,
            metrics=metrics,
            expression=text,
            periods=properties["EvaluationPeriods"],
            to_alarm=properties["DatapointsToAlarm"],
            threshold=float(deployed(properties["Threshold"], stage)),
            comparison=properties["ComparisonOperator"],
            missing=properties["TreatMissingData"],
        )

    @property
    def period_s(self) -> int:
        """The period, which is the same for all of its metrics."""
        [period_s] = {metric.period_s for metric in self.metrics}
        return period_s

    @property
    def bound(self) -> str:
        """When a point of it breaches, in words: `above 5`."""
        return f"{_WORDS[self.comparison]} {self.threshold:g}"

    def state(self, values: Mapping[Series, Iterable[Value]], now: datetime) -> State:
        """Return what is so of it at `now`, by the periods that have ended."""
        if self.missing == "breaching" or any(m.series in values for m in self.metrics):
            return State.RINGS if self.is_in_alarm(values, now) else State.OK
        is_ours = any(metric.series.namespace == NAMESPACE for metric in self.metrics)
        return State.NOTHING if is_ours else State.OF_AWS

    def is_in_alarm(self, values: Mapping[Series, Iterable[Value]], now: datetime) -> bool:
        """Whether it is in the state ALARM at `now`, by the periods that have ended."""
        points = self.points(values, now)
        if self.missing == "notBreaching" and all(point is None for point in points):
            return False
        return sum(map(self._is_breaching, points)) >= self.to_alarm

    def points(self, values: Mapping[Series, Iterable[Value]], now: datetime) -> list[float | None]:
        """Return what it compares with its bound, of the periods that have ended, newest first."""
        found = {
            m.id: by_period(values.get(m.series, ()), m.stat, m.period_s) for m in self.metrics
        }
        end = period_of(now, self.period_s)
        starts = [end - timedelta(seconds=self.period_s * (n + 1)) for n in range(self.periods)]
        return [self._point({id: series.get(s) for id, series in found.items()}) for s in starts]

    def _point(self, metrics: Mapping[str, float | None]) -> float | None:
        return evaluate(self.expression, metrics)

    def _is_breaching(self, point: float | None) -> bool:
        if point is None:
            assert self.missing in ("breaching", "notBreaching")
            return self.missing == "breaching"
        return _COMPARISONS[self.comparison](point, self.threshold)


def _of_metric(properties: Mapping[str, Any], stage: str) -> MetricStat:
    stat = properties.get("Statistic") or properties["ExtendedStatistic"]
    return MetricStat("m", _series(properties, stage), stat, properties["Period"])


def _of_query(query: Mapping[str, Any], stage: str) -> MetricStat:
    stat = query["MetricStat"]
    return MetricStat(query["Id"], _series(stat["Metric"], stage), stat["Stat"], stat["Period"])


def _series(metric: Mapping[str, Any], stage: str) -> Series:
    dimensions = {d["Name"]: deployed(d["Value"], stage) for d in metric["Dimensions"]}
    return Series.of(metric["Namespace"], metric["MetricName"], dimensions)


def line(alarm: Alarm, values: Mapping[Series, Iterable[Value]], now: datetime) -> str:
    """Say of an alarm what is so, with the value of its last period, the bound, and its end."""
    state = alarm.state(values, now)
    said = f"{state:18}{alarm.name:26}"
    if state not in (State.RINGS, State.OK):
        return said.rstrip()
    point = alarm.points(values, now)[0]
    value = "none" if point is None else f"{point:.4g}"
    end = period_of(now, alarm.period_s)
    rule = f"{alarm.to_alarm} of {alarm.periods} periods of {alarm.period_s // 60} min"
    return f"{said}{value:>8} until {end:%H:%M} UTC; rings {alarm.bound} in {rule}"


def main() -> None:
    """Say of each alarm whether it would ring on the local stack."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    now = datetime.now(UTC)
    values = by_series(local_values(now - timedelta(days=1)))
    for name in ALARMS:
        print(line(Alarm.named(name, "local"), values, now))


if __name__ == "__main__":
    main()
