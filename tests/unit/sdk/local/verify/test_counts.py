"""Counting what a request uses: in CloudWatch, in streams, in an execution's history."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from shiftwork.local.verify.cloudwatch import CloudWatchCounts
from shiftwork.local.verify.counts import FUNCTIONS, count_transitions
from shiftwork.local.verify.streams import write_units

TABLES = ("RequestsTable", "PayloadsTable", "JobsTable")
RESOURCES = {name: f"stack-{name}-X" for name in (*FUNCTIONS, *TABLES)}


class CloudWatch:
    """Shows the sums of a minute only so many seconds after it, and some of them later still."""

    def __init__(self, shows: dict[tuple[str, str], float], after_s: float = 180.0) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        self.shows = shows
        self.after_s = after_s
        self.asked: list[dict[str, Any]] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def get_paginator(self, operation: str) -> CloudWatch:
        assert operation == "get_metric_data"
        return self

    def paginate(self, **asked: Any) -> Iterator[dict[str, Any]]:
        self.asked.append(asked)
        is_late = self.now < asked["EndTime"].timestamp() + self.after_s
        for query in asked["MetricDataQueries"]:
            metric = query["MetricStat"]["Metric"]
            [dimension] = metric["Dimensions"]
            value = self.shows.get((metric["MetricName"], dimension["Value"]), 0.0)
            half = [] if is_late else [value / 2]
            yield {"MetricDataResults": [{"Id": query["Id"], "Values": [value / 2, *half]}]}


SHOWN = {
    ("ConsumedWriteCapacityUnits", RESOURCES["JobsTable"]): 3000.0,
    ("ConsumedWriteCapacityUnits", RESOURCES["RequestsTable"]): 12.0,
    ("ConsumedReadCapacityUnits", RESOURCES["JobsTable"]): 95.0,
    ("ConsumedReadCapacityUnits", RESOURCES["RequestsTable"]): 25.0,
    ("Invocations", RESOURCES["RunJobsFunction"]): 10.0,
    ("Invocations", RESOURCES["ApiFunction"]): 1.0,
}


def counted(cloudwatch: CloudWatch) -> dict[str, float | None]:
    source = CloudWatchCounts(cloudwatch, RESOURCES, cloudwatch.sleep, lambda: cloudwatch.now)
    source.begin()
    return dict(source.take(1000))


def test_metrics_are_read_once_they_stay_as_they_are() -> None:
    """The first half is shown at once: whoever took that would count half."""
    cloudwatch = CloudWatch(SHOWN, after_s=100.0)
    assert counted(cloudwatch) == {
        "job_write_units": 3.0,
        "request_write_units": 12.0,
        "read_units": 0.12,
        "invocations": 11.0,
    }


def test_the_count_is_of_whole_minutes_of_the_clock() -> None:
    cloudwatch = CloudWatch(SHOWN)
    counted(cloudwatch)
    assert cloudwatch.slept[0] == 20.0
    asked = cloudwatch.asked[-1]
    assert (asked["StartTime"].timestamp(), asked["EndTime"].timestamp()) == (1020.0, 1080.0)


def test_metrics_that_never_come_are_given_up() -> None:
    cloudwatch = CloudWatch({})
    assert counted(cloudwatch) == {}
    assert cloudwatch.now < 1080 + 1000


def test_a_service_that_shows_nothing_leaves_the_count_unknown() -> None:
    shown = {key: value for key, value in SHOWN.items() if key[0] != "Invocations"}
    assert counted(CloudWatch(shown)) == {}


def test_a_history_with_the_states_of_a_map_counts_them_once() -> None:
    """AWS shows tasks as states and as what they scheduled; each is one transition."""
    task = ["TaskStateEntered", "TaskScheduled", "TaskSucceeded", "TaskStateExited"]
    aws = ["ExecutionStarted", *task, "ChoiceStateEntered", "MapStateEntered", *task, *task]
    assert count_transitions(aws) == 5


def test_a_history_without_the_states_of_a_map_counts_the_tasks_that_they_scheduled() -> None:
    emulator = ["TaskStateEntered", "TaskScheduled", "MapStateEntered", *["TaskScheduled"] * 10]
    assert count_transitions(emulator) == 12


def test_a_retry_is_a_transition() -> None:
    assert count_transitions(["TaskStateEntered", "TaskScheduled", "TaskScheduled"]) == 2


@pytest.mark.parametrize(("bytes_", "units"), [(900, 1), (1024, 2), (3000, 3)])
def test_a_write_costs_the_larger_of_the_row_before_and_after(bytes_: int, units: int) -> None:
    large, small = {"text": {"S": "x" * bytes_}}, {"n": {"N": "1"}, "m": {"M": {"l": {"L": []}}}}
    assert write_units({"NewImage": large}) == units
    assert write_units({"OldImage": large, "NewImage": small}) == units
