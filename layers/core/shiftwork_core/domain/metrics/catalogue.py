"""Every metric of `GET /metrics`: its name, kind, labels and help text.

The names in CloudWatch are in `cloudwatch.py`. A metric has no id among its labels: ids belong in
the logs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from shiftwork_core.domain.metrics.counters import (
    LATE,
    STEP_TOOK,
    TOOK,
    WAITED,
    Histogram,
    Subject,
)
from shiftwork_core.domain.requests.records import StepStatus
from shiftwork_core.domain.requests.states import ATTEMPT_OPEN, AttemptStatus, RequestStatus
from shiftwork_core.domain.workspaces.records import JobState

PREFIX = "shiftwork_"
#: The label of what is shown together.
OTHER = "other"


@dataclass(frozen=True, slots=True)
class CounterMetric:
    """Fields of a subject's counters as a metric `shiftwork_<name>_total`.

    With `by` each field is a value of that label; without, there is one field and no such label.
    """

    name: str
    help: str
    subject: Subject
    labels: tuple[str, ...]
    fields: tuple[str, ...]
    by: str | None = None


@dataclass(frozen=True, slots=True)
class HistogramMetric:
    """A histogram of a subject's counters as a metric `shiftwork_<name>_seconds`."""

    name: str
    help: str
    subject: Subject
    labels: tuple[str, ...]
    histogram: Histogram


@dataclass(frozen=True, slots=True)
class GaugeMetric:
    """A measured value as a metric `shiftwork_<name>`."""

    name: str
    help: str
    labels: tuple[str, ...] = ()


_ENDED_ATTEMPTS = tuple(status.value for status in AttemptStatus if status not in ATTEMPT_OPEN)
_ENDED_JOBS = tuple(status for status in _ENDED_ATTEMPTS if status != AttemptStatus.RETRY)
_TYPE = ("type",)

COUNTERS = (
    CounterMetric(
        "requests",
        "Requests that have reached a status, by request type; Queuing counts submissions.",
        Subject.REQUESTS,
        _TYPE,
        tuple(status.value for status in RequestStatus),
        "status",
    ),
    CounterMetric(
        "request_retries",
        "Retries of failed requests by a user, by request type.",
        Subject.REQUESTS,
        _TYPE,
        ("retries",),
    ),
    CounterMetric(
        "steps",
        "Steps that began (running) and that completed, by request type.",
        Subject.REQUESTS,
        _TYPE,
        (StepStatus.RUNNING.value, StepStatus.COMPLETED.value),
        "status",
    ),
    CounterMetric(
        "jobs",
        "Jobs that have ended, by job type and outcome; one that a user retries may end again.",
        Subject.JOBS,
        _TYPE,
        _ENDED_JOBS,
        "outcome",
    ),
    CounterMetric(
        "attempts",
        "Attempts that have ended, by job type and outcome; retry was followed by another.",
        Subject.JOBS,
        _TYPE,
        _ENDED_ATTEMPTS,
        "outcome",
    ),
    CounterMetric(
        "queued_attempts",
        "Attempts that were queued for workers, by job type and domain.",
        Subject.QUEUES,
        ("type", "domain"),
        ("queued",),
    ),
    CounterMetric(
        "lifecycle_jobs",
        "Starts and stops of workspaces that have ended, by operation and outcome.",
        Subject.LIFECYCLE_JOBS,
        ("operation",),
        (JobState.COMPLETED.value, JobState.FAILED.value, JobState.CANCELLED.value),
        "outcome",
    ),
    CounterMetric(
        "sweep_finds",
        "What the sweeps found and set going again, by sweep.",
        Subject.SWEEPS,
        ("sweep",),
        ("finds",),
    ),
    CounterMetric(
        "unreadable_changes",
        "Changes of rows that could not be read, and so were not counted, by table.",
        Subject.STREAMS,
        ("table",),
        ("unreadable",),
    ),
)

HISTOGRAMS = (
    HistogramMetric(
        "request_duration",
        "How long completed requests took since their submission or start time, by request type.",
        Subject.REQUESTS,
        _TYPE,
        TOOK,
    ),
    HistogramMetric(
        "step_duration",
        "How long completed steps took, by request type.",
        Subject.REQUESTS,
        _TYPE,
        STEP_TOOK,
    ),
    HistogramMetric(
        "attempt_duration",
        "How long attempts took from claim to outcome, by job type.",
        Subject.JOBS,
        _TYPE,
        TOOK,
    ),
    HistogramMetric(
        "queue_wait",
        "How long jobs waited for their first claim, by job type.",
        Subject.JOBS,
        _TYPE,
        WAITED,
    ),
    HistogramMetric(
        "lifecycle_delay",
        "How long after its deadline a workspace was switched, by operation.",
        Subject.LIFECYCLE_JOBS,
        ("operation",),
        LATE,
    ),
)


class Gauge(StrEnum):
    """The gauges by name; `GAUGES` describes them."""

    INFO = "info"
    QUEUE_JOBS = "queue_jobs"
    QUEUE_OLDEST = "queue_oldest_seconds"
    DUE_REQUESTS_OLDEST = "due_requests_oldest_seconds"
    STUCK_REQUESTS = "stuck_requests"
    WORKERS = "workers"
    LOST_WORKERS = "lost_workers"
    LATE_SWITCH = "late_switch_seconds"
    DEAD_LETTERS = "dead_letters"
    STREAM_LAG = "stream_lag_seconds"
    COUNTERS_GAP = "counters_gap"
    COUNTERS_UP = "counters_up"
    COUNTERS_SINCE = "counters_since_timestamp_seconds"
    SUMMED_TYPES = "summed_types"


GAUGES = {
    Gauge.INFO: GaugeMetric("info", "This deployment, by stage; always 1.", ("stage",)),
    Gauge.QUEUE_JOBS: GaugeMetric(
        "queue_jobs",
        "Jobs that a worker could claim now, by job type and domain; counted up to 1000 a queue.",
        ("type", "domain"),
    ),
    Gauge.QUEUE_OLDEST: GaugeMetric(
        "queue_oldest_seconds",
        "How long the oldest job of a queue could have been claimed, by job type and domain.",
        ("type", "domain"),
    ),
    Gauge.DUE_REQUESTS_OLDEST: GaugeMetric(
        "due_requests_oldest_seconds",
        "How long the longest due request has waited for a sweep, by lane.",
        ("lane",),
    ),
    Gauge.STUCK_REQUESTS: GaugeMetric(
        "stuck_requests",
        "Requests that have been due for over ten minutes, by lane; counted up to 1000.",
        ("lane",),
    ),
    Gauge.WORKERS: GaugeMetric("workers", "Workers by status.", ("status",)),
    Gauge.LOST_WORKERS: GaugeMetric(
        "lost_workers", "Workers that fell silent, without leaving, in the last 15 minutes."
    ),
    Gauge.LATE_SWITCH: GaugeMetric(
        "late_switch_seconds", "How long the longest due start or stop of a workspace has waited."
    ),
    Gauge.DEAD_LETTERS: GaugeMetric(
        "dead_letters", "Messages that no function could handle, by queue.", ("queue",)
    ),
    Gauge.STREAM_LAG: GaugeMetric(
        "stream_lag_seconds",
        "How far the counters are behind a table's changes, by table; up to 90 is usual.",
        ("table",),
    ),
    Gauge.COUNTERS_GAP: GaugeMetric(
        "counters_gap",
        "Whether changes of a table were never counted (1) or not (0); a rebuild counts them.",
        ("table",),
    ),
    Gauge.COUNTERS_UP: GaugeMetric("counters_up", "Whether the counters could be read (1, 0)."),
    Gauge.COUNTERS_SINCE: GaugeMetric(
        "counters_since_timestamp_seconds",
        "When the counters were begun, or rebuilt for the last time; they may have fallen then.",
    ),
    Gauge.SUMMED_TYPES: GaugeMetric(
        "summed_types",
        f'Types shown together as type="{OTHER}", since this answer would be too large.',
    ),
}
