"""What the stream's counters and the measured gauges become in CloudWatch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from shiftwork_core.cloudwatch import report_counts, report_gauges
from shiftwork_core.domain.metrics.cloudwatch import NAMESPACE, Metric
from shiftwork_core.domain.metrics.counters import (
    LATE,
    TOOK,
    WAITED,
    CounterKey,
    Happened,
    Subject,
    Tally,
    add,
)
from shiftwork_core.domain.metrics.gauges import DueGauge, Gauges, QueueGauge, StreamGauge
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.domain.workers.workers import WorkerStatus
from tools.emf import Series, Value, read, statistic

AT = datetime(2026, 11, 29, 9, 0, 17, tzinfo=UTC)
MAIL = CounterKey(Subject.JOBS, ("mail.send",))
PRINT = CounterKey(Subject.JOBS, ("print",))
ORDERS = CounterKey(Subject.REQUESTS, ("orders",))
START = CounterKey(Subject.LIFECYCLE_JOBS, ("start",))

Emitted = Callable[[], list[Value]]


@pytest.fixture
def emitted(capsys: pytest.CaptureFixture[str]) -> Emitted:
    """Return what was written since the last call."""
    return lambda: [*read(capsys.readouterr().out.splitlines())]


def added(*happened: Happened) -> Tally:
    counted: Tally = {}
    for one in happened:
        add(counted, one)
    return counted


def same(type: str) -> str:
    return type


def of_stage(values: list[Value]) -> dict[str, list[float]]:
    """Return the values of the stage's metrics."""
    return of_dimensions(values, {"stage": "dev"})


def of_type(values: list[Value], type: str) -> dict[str, list[float]]:
    return of_dimensions(values, {"stage": "dev", "type": type})


def of_dimensions(values: list[Value], dimensions: dict[str, str]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for value in values:
        if value.series == Series.of(NAMESPACE, value.series.name, dimensions):
            found.setdefault(value.series.name, []).append(value.value)
    return found


def test_outcomes_are_reported_for_the_stage_and_a_few_by_type(emitted: Emitted) -> None:
    report_counts(
        added(
            Happened(MAIL, "completed", 5),
            Happened(MAIL, "retry", 2),
            Happened(PRINT, "completed", 1),
            Happened(PRINT, "failure", 1),
            Happened(ORDERS, "Queuing", 3),
            Happened(ORDERS, "Failed", 1),
            Happened(ORDERS, "retries", 1),
            Happened(START, "failed", 1),
        ),
        AT,
        same,
    )
    values = emitted()
    assert of_stage(values) == {
        "JobsCompleted": [6],
        "AttemptsRetried": [2],
        "JobsFailed": [1],
        "RequestsSubmitted": [3],
        "RequestsFailed": [1],
        "RequestsCompleted": [0],
        "RequestsRetried": [1],
        "LifecycleJobsFailed": [1],
    }
    assert of_type(values, "mail.send") == {"JobsCompleted": [5]}
    assert of_type(values, "print") == {"JobsCompleted": [1], "JobsFailed": [1]}
    assert of_type(values, "orders") == {"RequestsFailed": [1]}
    assert {value.at for value in values} == {AT}


def test_types_beyond_the_bound_are_added_up_as_other(emitted: Emitted) -> None:
    additions = added(Happened(MAIL, "failure", 2), Happened(PRINT, "failure", 3))
    report_counts(additions, AT, lambda type: "other")
    assert of_type(emitted(), "other") == {"JobsFailed": [5]}


def test_a_batch_that_adds_nothing_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    report_counts({}, AT, same)
    report_counts(added(Happened(CounterKey(Subject.QUEUES, ("a", "")), "queued")), AT, same)
    assert capsys.readouterr().out == ""


def test_every_metric_of_additions_can_be_reported(emitted: Emitted) -> None:
    """The catalogue's first part is what a stream can report."""
    fields = {
        Subject.REQUESTS: [*RequestStatus, "retries", "running", "completed"],
        Subject.JOBS: ["completed", "failure", "retry", "cancelled"],
        Subject.LIFECYCLE_JOBS: ["completed", "failed", "cancelled"],
        Subject.STREAMS: ["unreadable"],
    }
    happened = [
        Happened(CounterKey(subject, ("a",)), field)
        for subject, names in fields.items()
        for field in names
    ]
    happened += TOOK.observe(MAIL, 1, AT) + TOOK.observe(ORDERS, 1, AT)
    happened += WAITED.observe(MAIL, 1, AT) + LATE.observe(START, 1, AT)
    report_counts(added(*happened), AT, same)
    metrics = [*Metric]
    expected = metrics[: metrics.index(Metric.QUEUED_JOBS)]
    assert {*of_stage(emitted())} == {metric.value for metric in expected}


def test_durations_give_percentiles_at_the_bound_of_their_bucket(emitted: Emitted) -> None:
    durations_s = [0.2] * 800 + [3.0] * 190 + [90_000] * 10
    happened = [one for took_s in durations_s for one in TOOK.observe(MAIL, took_s, AT)]
    report_counts(added(*happened), AT, same)
    seconds = of_stage(emitted())["AttemptSeconds"]
    assert len(seconds) == 1000
    assert [statistic(p, seconds) for p in ("p50", "p90", "p99.5")] == [0.25, 5.0, 21600]


def test_gauges_are_reported_for_the_stage_and_queues_by_type(emitted: Emitted) -> None:
    report_gauges(
        Gauges(
            at=AT,
            queues=(
                QueueGauge("mail.send", "", 7, 40.0),
                QueueGauge("mail.send", "eu", 3, 90.0),
                QueueGauge("print", "", 1, 5.0),
            ),
            due_requests={
                "new-requests": DueGauge(30.0, 0),
                "inprogress-requests": DueGauge(700, 2),
            },
            workers={WorkerStatus.IDLE: 4, WorkerStatus.BUSY: 2},
            lost_workers=1,
            late_switch_s=12.0,
            streams={"jobs": StreamGauge(50.0, False), "requests": StreamGauge(20.0, True)},
        ),
        same,
    )
    values = emitted()
    assert of_stage(values) == {
        "QueuedJobs": [11],
        "OldestQueuedJobSeconds": [90],
        "OldestDueRequestSeconds": [700],
        "StuckRequests": [2],
        "WorkersIdle": [4],
        "WorkersAvailable": [0],
        "WorkersBusy": [2],
        "WorkersError": [0],
        "WorkersOffline": [0],
        "WorkersLost": [1],
        "LateSwitchSeconds": [12],
        "StreamLagSeconds": [50],
        "CountersGap": [1],
    }
    assert of_type(values, "mail.send") == {"QueuedJobs": [10], "OldestQueuedJobSeconds": [90]}
    assert of_type(values, "print") == {"QueuedJobs": [1], "OldestQueuedJobSeconds": [5]}


def test_an_idle_platform_reports_zeros(emitted: Emitted) -> None:
    idle = Gauges(
        at=AT,
        due_requests={"new-requests": DueGauge()},
        workers=dict.fromkeys(WorkerStatus, 0),
        lost_workers=0,
        late_switch_s=0.0,
        streams={"jobs": StreamGauge(0.0, has_gap=False)},
    )
    report_gauges(idle, same)
    stage = of_stage(emitted())
    assert {*stage} == {m.value for m in Metric if m in GAUGES}
    assert {number for values in stage.values() for number in values} == {0}


def test_what_could_not_be_measured_is_not_reported_as_zero(emitted: Emitted) -> None:
    report_gauges(Gauges(at=AT), same)
    assert {*of_stage(emitted())} == {"QueuedJobs", "OldestQueuedJobSeconds"}


GAUGES = [*Metric][[*Metric].index(Metric.QUEUED_JOBS) : [*Metric].index(Metric.CALLS_ANSWERED)]


@pytest.mark.parametrize(
    ("type", "dimension"),
    [("läufe", "l\\xe4ufe"), (" :x", "x"), ("::", "?"), ("a" * 2000, "a" * 1024)],
)
def test_a_type_becomes_a_dimension_that_cloudwatch_takes(
    emitted: Emitted, type: str, dimension: str
) -> None:
    report_counts(added(Happened(CounterKey(Subject.JOBS, (type,)), "failure")), AT, same)
    assert of_type(emitted(), dimension) == {"JobsFailed": [1]}


def test_metrics_have_the_catalogues_units_and_types(emitted: Emitted) -> None:
    report_gauges(Gauges(at=AT, queues=(QueueGauge("a", "", 1, 1.0),)), same)
    report_counts(
        added(*(Happened(key, field) for key in (ORDERS, MAIL) for field in ("Failed", "failure"))),
        AT,
        same,
    )
    for value in emitted():
        metric = next(metric for metric in Metric if metric.value == value.series.name)
        assert value.unit == metric.unit
        assert metric.by_type or "type" not in dict(value.series.dimensions)


def test_a_hundred_types_stay_within_the_limits_of_a_document(emitted: Emitted) -> None:
    keys = [CounterKey(Subject.JOBS, (f"type-{number}",)) for number in range(100)]
    additions = added(*(Happened(key, "completed", 100) for key in keys))
    additions |= {key: Counter({"completed": 10, "took_1000": 50}) for key in keys}
    report_counts(additions, AT, same)
    stage = of_stage(emitted())  # Reading refuses what is over the limits.
    assert (stage["JobsCompleted"], len(stage["AttemptSeconds"])) == ([1000], 5000)
