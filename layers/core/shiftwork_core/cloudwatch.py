"""Write what happened and what was measured as CloudWatch metrics.

Each is a line of JSON in the embedded metric format (EMF), which CloudWatch Logs turns into
metrics: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
A call writes one document for the stage and one for each type. What functions do is counted in
`telemetry.py`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from shiftwork_core.domain.metrics.cloudwatch import NAMESPACE, STAGE, TYPE, Metric
from shiftwork_core.domain.metrics.counters import (
    LATE,
    TOOK,
    WAITED,
    Histogram,
    Subject,
    Tally,
)
from shiftwork_core.domain.metrics.gauges import Gauges
from shiftwork_core.domain.requests.records import StepStatus
from shiftwork_core.domain.requests.states import AttemptStatus, RequestStatus
from shiftwork_core.domain.workers.workers import WorkerStatus
from shiftwork_core.domain.workspaces.records import JobState
from shiftwork_core.settings import stage

#: How many values a metric may have in one document, as EMF says.
MAX_VALUES = 100

#: The metrics of the counters' fields.
_COUNTED: Mapping[tuple[Subject, str], Metric] = {
    (Subject.REQUESTS, RequestStatus.QUEUING): Metric.REQUESTS_SUBMITTED,
    (Subject.REQUESTS, RequestStatus.INPROGRESS): Metric.REQUESTS_STARTED,
    (Subject.REQUESTS, RequestStatus.COMPLETED): Metric.REQUESTS_COMPLETED,
    (Subject.REQUESTS, RequestStatus.FAILED): Metric.REQUESTS_FAILED,
    (Subject.REQUESTS, RequestStatus.CANCELLED): Metric.REQUESTS_CANCELLED,
    (Subject.REQUESTS, "retries"): Metric.REQUESTS_RETRIED,
    (Subject.REQUESTS, StepStatus.RUNNING): Metric.STEPS_STARTED,
    (Subject.REQUESTS, StepStatus.COMPLETED): Metric.STEPS_COMPLETED,
    (Subject.JOBS, AttemptStatus.COMPLETED): Metric.JOBS_COMPLETED,
    (Subject.JOBS, AttemptStatus.FAILURE): Metric.JOBS_FAILED,
    (Subject.JOBS, AttemptStatus.RETRY): Metric.ATTEMPTS_RETRIED,
    (Subject.JOBS, AttemptStatus.CANCELLED): Metric.JOBS_CANCELLED,
    (Subject.LIFECYCLE_JOBS, JobState.COMPLETED): Metric.LIFECYCLE_JOBS_COMPLETED,
    (Subject.LIFECYCLE_JOBS, JobState.FAILED): Metric.LIFECYCLE_JOBS_FAILED,
    (Subject.LIFECYCLE_JOBS, JobState.CANCELLED): Metric.LIFECYCLE_JOBS_CANCELLED,
    (Subject.STREAMS, "unreadable"): Metric.CHANGES_UNREADABLE,
}
#: The metrics of the counters' histograms.
_DURATIONS: Mapping[tuple[Subject, Histogram], Metric] = {
    (Subject.REQUESTS, TOOK): Metric.REQUEST_SECONDS,
    (Subject.JOBS, TOOK): Metric.ATTEMPT_SECONDS,
    (Subject.JOBS, WAITED): Metric.QUEUE_WAIT_SECONDS,
    (Subject.LIFECYCLE_JOBS, LATE): Metric.LIFECYCLE_DELAY_SECONDS,
}
#: Those that have stopped have no metric: nobody acts on them, and each costs money.
_WORKERS: Mapping[WorkerStatus, Metric] = {
    WorkerStatus.IDLE: Metric.WORKERS_IDLE,
    WorkerStatus.AVAILABLE: Metric.WORKERS_AVAILABLE,
    WorkerStatus.BUSY: Metric.WORKERS_BUSY,
    WorkerStatus.ERROR: Metric.WORKERS_ERROR,
    WorkerStatus.OFFLINE: Metric.WORKERS_OFFLINE,
}

_RATIO = (Metric.REQUESTS_COMPLETED, Metric.REQUESTS_FAILED)

#: Values by metric: a number, or durations of which CloudWatch makes percentiles.
_Values = Mapping[Metric, float | list[float]]


def report_counts(added: Tally, at: datetime, type_label: Callable[[str], str]) -> None:
    """Write what the totals grew by.

    `type_label` bounds the types: it returns `other` for those beyond a number.

    A counter has durations in buckets, so a duration is written as its bucket's upper bound (that
    of the bucket before, in the last one): percentiles are at most so much too long. Values beyond
    the first hundred of a metric are in documents of their own, about five bytes each.
    """
    stage_counts: Counter[Metric] = Counter()
    type_counts: dict[str, Counter[Metric]] = {}
    for key, fields in added.items():
        for field, number in fields.items():
            metric = _COUNTED.get((key.subject, field))
            if metric is None:
                continue
            stage_counts[metric] += number
            if metric.by_type:
                type_counts.setdefault(type_label(key.labels[0]), Counter())[metric] += number
    if stage_counts & Counter(_RATIO):  # So that their ratio has both of its numbers.
        stage_counts.update(dict.fromkeys(_RATIO, 0))
    _write(at, None, stage_counts)
    for label, counts in type_counts.items():
        _write(at, label, counts)
    for chunk in _chunks(_durations(added)):
        _write(at, None, chunk)


def report_gauges(gauges: Gauges, type_label: Callable[[str], str]) -> None:
    """Write what was measured. `type_label` bounds the types, as in `report_counts`.

    What could not be measured is left out: a zero would say that all is well.
    """
    values: dict[Metric, float] = {
        Metric.QUEUED_JOBS: sum(queue.jobs for queue in gauges.queues),
        Metric.OLDEST_QUEUED_JOB_SECONDS: max((q.oldest_s for q in gauges.queues), default=0),
    }
    if due := gauges.due_requests.values():
        values[Metric.OLDEST_DUE_REQUEST_SECONDS] = max(lane.oldest_s for lane in due)
        values[Metric.STUCK_REQUESTS] = sum(lane.stuck for lane in due)
    if gauges.lost_workers is not None:
        values[Metric.WORKERS_LOST] = gauges.lost_workers
    if gauges.late_switch_s is not None:
        values[Metric.LATE_SWITCH_SECONDS] = gauges.late_switch_s
    if gauges.workers:
        values |= {metric: gauges.workers.get(status, 0) for status, metric in _WORKERS.items()}
    if streams := gauges.streams.values():
        values[Metric.STREAM_LAG_SECONDS] = max(stream.lag_s for stream in streams)
        values[Metric.COUNTERS_GAP] = sum(stream.has_gap for stream in streams)
    _write(gauges.at, None, values)
    by_type: dict[str, dict[Metric, float]] = {}
    for queue in gauges.queues:
        queues = by_type.setdefault(type_label(queue.job_type), {})
        jobs, oldest = Metric.QUEUED_JOBS, Metric.OLDEST_QUEUED_JOB_SECONDS
        queues[jobs] = queues.get(jobs, 0) + queue.jobs
        queues[oldest] = max(queues.get(oldest, 0), queue.oldest_s)
    for label, values in by_type.items():
        _write(gauges.at, label, values)


def _durations(added: Tally) -> dict[Metric, list[float]]:
    found: dict[Metric, list[float]] = {}
    for key, fields in added.items():
        for (subject, histogram), metric in _DURATIONS.items():
            if subject is key.subject:
                found.setdefault(metric, []).extend(_values(histogram, fields))
    return found


def _values(histogram: Histogram, fields: Mapping[str, int]) -> Iterator[float]:
    longest = histogram.bounds_s[-1]
    for field, bound in histogram.bucket_fields().items():
        yield from [min(bound, longest)] * fields.get(field, 0)


def _chunks(durations: Mapping[Metric, list[float]]) -> Iterator[dict[Metric, list[float]]]:
    longest = max(map(len, durations.values()), default=0)
    for start in range(0, longest, MAX_VALUES):
        part = slice(start, start + MAX_VALUES)
        yield {metric: values[part] for metric, values in durations.items() if values[part]}


def _write(at: datetime, type: str | None, values: _Values) -> None:
    """Write one document, unless it has no values. Lambda sends what is printed to the log."""
    if values:
        print(json.dumps(_document(at, type, values), separators=(",", ":")))


def _document(at: datetime, type: str | None, values: _Values) -> dict[str, Any]:
    dimensions = {STAGE: stage()} if type is None else {STAGE: stage(), TYPE: _as_dimension(type)}
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [[*dimensions]],
        "Metrics": [{"Name": metric.value, "Unit": metric.unit} for metric in values],
    }
    about = {"Timestamp": round(at.timestamp() * 1000), "CloudWatchMetrics": [directive]}
    return {"_aws": about, **dimensions, **{metric.value: n for metric, n in values.items()}}


def _as_dimension(type: str) -> str:
    """Return a type as CloudWatch takes it: ASCII, not blank, no colon first, 1024 characters."""
    text = type.encode("ascii", "backslashreplace").decode()
    return text.strip().lstrip(":")[:1024] or "?"
