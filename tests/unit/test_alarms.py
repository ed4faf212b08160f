"""Each alarm fires on what it is for and on nothing else, by its own definition in the template."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest

from benchmarks.costs import read_prices
from shiftwork_core.cloudwatch import report_counts, report_gauges
from shiftwork_core.domain.metrics.counters import CounterKey, Happened, Subject, Tally, add
from shiftwork_core.domain.metrics.gauges import DueGauge, Gauges, QueueGauge, StreamGauge
from shiftwork_core.domain.workers.workers import WorkerStatus
from tests.template import as_text, memory_mb, resources
from tools.alarms import ALARMS, Alarm
from tools.emf import Series, Value, by_series, read
from tools.metric_math import evaluate

NOW = datetime(2026, 11, 30, tzinfo=UTC)
DAY = 24 * 60

HEALTHY = Gauges(
    at=NOW,
    queues=(QueueGauge("mail.send", "", 20, 60.0),),
    due_requests={"new-requests": DueGauge(300.0), "inprogress-requests": DueGauge(50.0)},
    workers={WorkerStatus.BUSY: 3, WorkerStatus.IDLE: 2, WorkerStatus.OFFLINE: 1},
    late_switch_s=45.0,
    streams={table: StreamGauge(80.0, False) for table in ("requests", "jobs", "lifecycle_jobs")},
)

#: How often something happens in a minute, by subject, type and field.
Counts = dict[tuple[Subject, str, str], int]

USUAL: Counts = {
    (Subject.REQUESTS, "orders", "Completed"): 9,
    (Subject.REQUESTS, "orders", "Failed"): 1,
    (Subject.JOBS, "mail.send", "completed"): 90,
    (Subject.JOBS, "mail.send", "failure"): 1,
    (Subject.LIFECYCLE_JOBS, "start", "completed"): 1,
}
#: What AWS says of its services in a usual minute. It reports no throttles of tables if none are.
AWS_USUAL: dict[str, float] = {
    "ApproximateNumberOfMessagesVisible": 0,
    "5xx": 0,
    "Count": 100,
    "Duration": 120,
    "Errors": 0,
    "Throttles": 0,
    "Invocations": 10,
    "IteratorAge": 30_000,
    "ConsumedReadCapacityUnits": 100,
    "ConsumedWriteCapacityUnits": 100,
}


@dataclass(frozen=True)
class Minute:
    """What is measured and counted in a minute, and what AWS says, by metric and dimension."""

    gauges: Gauges | None = HEALTHY
    counts: Counts = field(default_factory=lambda: USUAL)
    aws: dict[tuple[str, str], float] = field(default_factory=dict)

    def values(self, at: datetime) -> list[Value]:
        """Return the values that it has in CloudWatch, ours as our code writes them."""
        with redirect_stdout(io.StringIO()) as written:
            counted: Tally = {}
            for (subject, type, name), number in self.counts.items():
                add(counted, Happened(CounterKey(subject, (type,)), name, number))
            report_counts(counted, at, lambda type: type)
            if self.gauges is not None:
                report_gauges(replace(self.gauges, at=at), lambda type: type)
        return [*read(written.getvalue().splitlines()), *self._of_aws(at)]

    def _of_aws(self, at: datetime) -> list[Value]:
        found = []
        for series in series_of_aws():
            [(_, whose)] = series.dimensions
            number = AWS_USUAL.get(series.name)
            for (name, of), given in self.aws.items():
                if series.name == name and of in whose:
                    number = given
            if number is not None:
                found.append(Value(series, at, number))
        return found


@cache
def series_of_aws() -> set[Series]:
    """Return the metrics of AWS's services that alarms read."""
    read_by_alarms = {m.series for name in ALARMS for m in Alarm.named(name).metrics}
    return {series for series in read_by_alarms if series.namespace.startswith("AWS/")}


@cache
def usual_day() -> tuple[list[Value], ...]:
    """Return the values of each minute of a good day."""
    return tuple(Minute().values(NOW - timedelta(minutes=m)) for m in range(DAY, 0, -1))


def ringing(trouble: Minute, minutes: int) -> set[str]:
    """Return the alarms that ring after a good day that ends with some minutes of trouble."""
    values = [value for minute in usual_day()[: DAY - minutes] for value in minute]
    for minute in range(minutes, 0, -1):
        values += trouble.values(NOW - timedelta(minutes=minute))
    return ringing_upon(values)


def ringing_upon(values: list[Value]) -> set[str]:
    found = by_series(values)
    return {name for name in ALARMS if Alarm.named(name).is_in_alarm(found, NOW)}


def measured(**changes: Any) -> Minute:
    return Minute(gauges=replace(HEALTHY, **changes))


TROUBLES: dict[str, tuple[Minute, set[str]]] = {
    "StuckRequestsAlarm": (
        measured(due_requests={"inprogress-requests": DueGauge(601.0, 1)}),
        {"OldestDueRequestAlarm"},
    ),
    "OldestDueRequestAlarm": (measured(due_requests={"new-requests": DueGauge(430.0)}), set()),
    "OldestQueuedJobAlarm": (measured(queues=(QueueGauge("print", "", 1, 901.0),)), set()),
    "FailureRatioAlarm": (
        Minute(counts={**USUAL, (Subject.REQUESTS, "orders", "Failed"): 4}),
        set(),
    ),
    "DeadLettersAlarm": (
        Minute(aws={("ApproximateNumberOfMessagesVisible", "WakeDeadLetterQueue"): 1}),
        set(),
    ),
    "SwitchDeadLettersAlarm": (
        Minute(aws={("ApproximateNumberOfMessagesVisible", "SwitchDeadLetterQueue"): 1}),
        set(),
    ),
    "LostWorkersAlarm": (measured(lost_workers=1), set()),
    "LateSwitchAlarm": (measured(late_switch_s=301.0), set()),
    "FailedLifecycleJobsAlarm": (
        Minute(counts={**USUAL, (Subject.LIFECYCLE_JOBS, "stop", "failed"): 1}),
        set(),
    ),
    "ApiErrorsAlarm": (Minute(aws={("5xx", "HttpApi"): 6}), set()),
    "ApiLatencyAlarm": (Minute(aws={("Duration", "dev-api"): 3100}), set()),
    "FunctionErrorsAlarm": (Minute(aws={("Errors", "count-outcomes"): 1}), set()),
    "FunctionThrottlesAlarm": (Minute(aws={("Throttles", "run-jobs"): 3}), set()),
    "TableThrottlesAlarm": (Minute(aws={("WriteThrottleEvents", "JobsTable"): 3}), set()),
    "StreamLagAlarm": (measured(streams={"jobs": StreamGauge(601.0, False)}), set()),
    "IteratorAgeAlarm": (Minute(aws={("IteratorAge", "count-outcomes"): 600_001}), set()),
    "NotMeasuredAlarm": (Minute(gauges=None), set()),
    "CountersGapAlarm": (measured(streams={"jobs": StreamGauge(5.0, True)}), set()),
    "CostAlarm": (Minute(aws={("Invocations", "advance-request"): 100}), set()),
}
#: For the others half an hour is enough.
TROUBLE_MINUTES = {"CostAlarm": DAY}


def test_every_alarm_is_tried() -> None:
    assert set(TROUBLES) == set(ALARMS)


@pytest.mark.parametrize("name", TROUBLES)
def test_an_alarm_rings_upon_its_trouble_and_the_others_do_not(name: str) -> None:
    trouble, others = TROUBLES[name]
    assert ringing(trouble, TROUBLE_MINUTES.get(name, 30)) == {name} | others


def test_no_alarm_rings_on_a_good_day() -> None:
    assert ringing(Minute(), 0) == set()


def test_no_alarm_rings_on_an_idle_platform() -> None:
    gauges = Gauges(
        at=NOW,
        due_requests={"new-requests": DueGauge(0.0)},
        late_switch_s=0.0,
        streams={"jobs": StreamGauge(0.0, False)},
    )
    idle = Minute(gauges=gauges, counts={})
    values = [v for m in range(DAY, 0, -1) for v in idle.values(NOW - timedelta(minutes=m))]
    ours = [value for value in values if value.series.namespace == "Shiftwork"]
    assert len(ours) > DAY
    assert ringing_upon(ours) == set()


@pytest.mark.parametrize("unread", [{"due_requests": {}}, {"late_switch_s": None}])
def test_what_pages_is_known_to_be_measured(unread: dict[str, Any]) -> None:
    """StuckRequests and LateSwitchSeconds are left out where they cannot be measured."""
    assert ringing(measured(**unread), 30) == {"NotMeasuredAlarm"}


def test_a_gap_that_a_rebuild_ends_within_minutes_rings_nothing() -> None:
    """As after the first deployment."""
    gap = measured(streams={"jobs": StreamGauge(5.0, True)})
    assert ringing(gap, 9) == set()
    assert ringing(gap, 15) == {"CountersGapAlarm"}


def test_a_function_that_fails_once_a_minute_rings_within_ten_minutes() -> None:
    failing = Minute(aws={("Errors", "sweep"): 1})
    assert ringing(failing, 5) == set()
    assert ringing(failing, 10) == {"FunctionErrorsAlarm"}


@pytest.mark.parametrize(("calls_a_minute", "rings"), [(3, set()), (4, {"ApiLatencyAlarm"})])
def test_a_few_slow_calls_are_no_latency(calls_a_minute: int, rings: set[str]) -> None:
    slow = {("Duration", "dev-api"): 9_000.0, ("Invocations", "dev-api"): float(calls_a_minute)}
    assert ringing(Minute(aws=slow), 30) == rings


def test_after_slow_calls_a_quiet_quarter_of_an_hour_ends_it() -> None:
    """With a bare percentile the state would stay until there are calls again."""
    values = [
        value
        for minute in range(60, 0, -1)
        for value in Minute(
            aws={("Duration", "dev-api"): 9_000}
            if minute > 5
            else {("Duration", "dev-api"): 9_000, ("Invocations", "dev-api"): 1}
        ).values(NOW - timedelta(minutes=minute))
    ]
    assert "ApiLatencyAlarm" not in ringing_upon(values)


#: Those that want more than one period of trouble.
PATIENT = [name for name in ALARMS if Alarm.named(name).to_alarm > 1]


@pytest.mark.parametrize("name", PATIENT)
def test_a_minute_of_trouble_rings_nothing(name: str) -> None:
    assert ringing(TROUBLES[name][0], 1) == set()


def test_a_few_failures_are_no_ratio() -> None:
    values = []
    for minute in range(30, 0, -1):
        failed: Counts = {(Subject.REQUESTS, "orders", "Failed"): 1} if minute % 2 else {}
        values += Minute(counts=failed).values(NOW - timedelta(minutes=minute))
    assert "FailureRatioAlarm" not in ringing_upon(values)


def test_another_stages_trouble_rings_nothing_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGE", "prod")
    failing = Minute(counts={(Subject.LIFECYCLE_JOBS, "stop", "failed"): 9}, aws={})
    values = failing.values(NOW - timedelta(minutes=3))
    assert any(value.series.name == "LifecycleJobsFailed" for value in values)
    assert "FailedLifecycleJobsAlarm" not in ringing_upon(values)


# -- what the template says of them ----------------------------------------------------------------


def test_only_the_paging_alarm_tells_anybody() -> None:
    actions = ("AlarmActions", "OKActions", "InsufficientDataActions")
    for name, entry in ALARMS.items():
        assert not set(actions) & set(entry["Properties"]), name
    [paging] = resources("AWS::CloudWatch::CompositeAlarm").values()
    told = [
        {"Fn::If": ["HasAlarmTopic", {"Ref": "AlarmTopicArn"}, {"Ref": "AWS::NoValue"}]},
        {"Fn::If": ["HasAlarmEmail", {"Ref": "AlarmTopic"}, {"Ref": "AWS::NoValue"}]},
    ]
    assert paging["Properties"]["AlarmActions"] == paging["Properties"]["OKActions"] == told


def paging(are_workers_enabled: bool) -> list[str]:
    """Return the terms of the paging alarm's rule, of which one is enough."""
    [alarm] = resources("AWS::CloudWatch::CompositeAlarm").values()
    joined_by, terms = alarm["Properties"]["AlarmRule"]["Fn::Join"]
    assert joined_by == " OR "
    found = []
    for term in terms:
        if "Fn::If" in term:
            condition, then, otherwise = term["Fn::If"]
            assert condition == "AreWorkersEnabled"
            term = then if are_workers_enabled else otherwise
        found.append(as_text(term))
    return found


def test_the_paging_alarm_rings_when_people_wait_or_nobody_would_know() -> None:
    assert sorted(paging(True)) == [
        'ALARM("${ApiErrorsAlarm}")',
        'ALARM("${FailureRatioAlarm}")',
        'ALARM("${LateSwitchAlarm}")',
        'ALARM("${NotMeasuredAlarm}")',
        'ALARM("${StuckRequestsAlarm}")',
    ]


def test_switching_the_workers_off_on_purpose_pages_nobody() -> None:
    gone = set(paging(True)) - set(paging(False))
    assert gone == {'ALARM("${StuckRequestsAlarm}")', 'ALARM("${LateSwitchAlarm}")'}
    assert set(paging(False)) - set(paging(True)) == {"FALSE"}


def test_all_of_them_can_be_left_out() -> None:
    kinds = ("Alarm", "CompositeAlarm")
    for kind in kinds:
        for name, entry in resources(f"AWS::CloudWatch::{kind}").items():
            assert entry["Condition"] == "HasAlarms", name


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_reads_at_most_ten_metrics_of_one_period(name: str) -> None:
    alarm = Alarm.named(name)
    assert 1 <= len(alarm.metrics) <= 10
    assert alarm.period_s * alarm.periods <= 24 * 3600
    assert len({metric.id for metric in alarm.metrics}) == len(alarm.metrics)


def test_the_functions_that_alarms_name_are_those_of_the_template() -> None:
    """They are named rather than referred to, so nothing else would notice a wrong name."""
    functions = {
        entry["Properties"]["FunctionName"]["Fn::Sub"].replace("${AWS::StackName}", "shiftwork-dev")
        for entry in resources("AWS::Serverless::Function").values()
    }
    named = {
        value
        for name in ALARMS
        for metric in Alarm.named(name).metrics
        for dimension, value in metric.series.dimensions
        if dimension == "FunctionName"
    }
    assert functions == named


def test_the_cost_is_that_of_the_price_list() -> None:
    prices = read_prices()
    usd = {name: price / 1e6 for name, price in prices["usd_per_million"].items()}

    def per_ms(function: str) -> float:
        return float(prices["usd_per_lambda_gb_s"] * memory_mb(function) / 1024 / 1000)

    call, transition = usd["lambda_requests"], usd["state_transitions"]
    expected = {
        "run_jobs": call + transition,
        "run_jobs_ms": per_ms("RunJobsFunction"),
        "advance_request": call + 3.5 * transition,
        "advance_request_ms": per_ms("AdvanceRequestFunction"),
        "serve_tasks": 2 * call + usd["http_api_requests"],
        "serve_tasks_ms": per_ms("ServeTasksFunction"),
        "jobs_written": usd["dynamodb_write_units"],
        "requests_written": usd["dynamodb_write_units"],
        "jobs_read": usd["dynamodb_read_units"],
        "requests_read": usd["dynamodb_read_units"],
    }
    alarm = Alarm.named("CostAlarm")
    assert {metric.id for metric in alarm.metrics} == set(expected)
    nothing = dict.fromkeys(expected)
    for id, price in expected.items():
        found = evaluate(alarm.expression, {**nothing, id: 1_000_000})
        assert found == pytest.approx(price * 1_000_000, rel=1e-4), id
