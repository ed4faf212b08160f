"""Evaluate the alarms of template.yaml over values of metrics: `python -m tools.alarms`.

So run it says which of them would ring on the local stack now; nothing there measures what is AWS's
own, such as the errors of functions.

Simpler than CloudWatch in one thing: it looks at exactly as many periods as the alarm evaluates,
while CloudWatch looks a little further back if some of them have no data.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from tests.template import as_text, load_template, resources
from tools.emf import Series, Value, by_period, by_series, period_of
from tools.local_metrics import local_values
from tools.metric_math import evaluate

ALARMS = resources("AWS::CloudWatch::Alarm")
_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
}


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

    def is_in_alarm(self, values: Mapping[Series, Iterable[Value]], now: datetime) -> bool:
        """Whether it is in the state ALARM at `now`, by the periods that have ended."""
        found = {
            m.id: by_period(values.get(m.series, ()), m.stat, m.period_s) for m in self.metrics
        }
        end = period_of(now, self.period_s)
        starts = [end - timedelta(seconds=self.period_s * (n + 1)) for n in range(self.periods)]
        points = [self._point({id: series.get(s) for id, series in found.items()}) for s in starts]
        if self.missing == "notBreaching" and all(point is None for point in points):
            return False
        return sum(map(self._is_breaching, points)) >= self.to_alarm

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


def main() -> None:
    """Say of each alarm whether it would ring on the local stack."""
    now = datetime.now(UTC)
    values = by_series(local_values(now - timedelta(days=1)))
    for name in ALARMS:
        alarm = Alarm.named(name, "local")
        if any(metric.series in values for metric in alarm.metrics):
            print(f"{'RINGS' if alarm.is_in_alarm(values, now) else 'ok':9}{name}")
        else:
            print(f"{'no data':9}{name}")


if __name__ == "__main__":
    main()
