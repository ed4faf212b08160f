"""What `python -m tools.alarms` says of an alarm."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tools.alarms import Alarm, line
from tools.emf import Series, Value, by_series

NOW = datetime(2026, 11, 30, 12, 0, 30, tzinfo=UTC)


def of_stuck(numbers: list[float]) -> dict[Series, list[Value]]:
    """Return the values of StuckRequests in the minutes before now, the last one last."""
    series = Series.of("Shiftwork", "StuckRequests", {"stage": "local"})
    ago = range(len(numbers), 0, -1)
    return by_series(
        Value(series, NOW - timedelta(minutes=m), number)
        for m, number in zip(ago, numbers, strict=True)
    )


def said(name: str, values: dict[Series, list[Value]]) -> str:
    return " ".join(line(Alarm.named(name, "local"), values, NOW).split())


def test_it_says_the_value_the_bound_and_until_when() -> None:
    rule = "until 12:00 UTC; rings above 0 in 3 of 5 periods of 1 min"
    assert said("StuckRequestsAlarm", of_stuck([2, 2, 3])) == f"rings StuckRequestsAlarm 3 {rule}"
    assert said("StuckRequestsAlarm", of_stuck([2, 2])) == f"ok StuckRequestsAlarm 2 {rule}"


def test_it_tells_what_aws_measures_from_what_has_not_been_measured_yet() -> None:
    assert said("LostWorkersAlarm", {}) == "nothing yet LostWorkersAlarm"
    assert said("ApiErrorsAlarm", {}) == "AWS measures this ApiErrorsAlarm"


def test_an_alarm_on_missing_data_rings_when_there_is_none() -> None:
    rule = "until 12:00 UTC; rings below 1 in 3 of 3 periods of 5 min"
    assert said("NotMeasuredAlarm", {}) == f"rings NotMeasuredAlarm none {rule}"
