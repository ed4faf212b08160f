"""Every metric in CloudWatch: its name, unit, dimensions and meaning.

They are in the namespace `Shiftwork` with the dimension `stage`. A metric costs money for each
value of its dimensions, so few have the type too, and none has an id: ids belong in the logs.
"""

from __future__ import annotations

from enum import StrEnum

NAMESPACE = "Shiftwork"
#: The dimension of every metric.
STAGE = "stage"
#: The second dimension of metrics `by_type`: a request type or a job type.
TYPE = "type"

_COUNT = "Count"
_SECONDS = "Seconds"


class Metric(StrEnum):
    """A metric; its value is its name."""

    unit: str
    by_type: bool
    meaning: str

    def __new__(cls, name: str, meaning: str, unit: str = _COUNT, by_type: bool = False) -> Metric:
        """Make a metric of its description."""
        metric = str.__new__(cls, name)
        metric._value_ = name
        metric.meaning, metric.unit, metric.by_type = meaning, unit, by_type
        return metric

    # What happened to rows: counted from the tables' streams, each fact once.
    REQUESTS_SUBMITTED = "RequestsSubmitted", "requests that clients submitted"
    REQUESTS_STARTED = "RequestsStarted", "requests whose first step began"
    REQUESTS_COMPLETED = "RequestsCompleted", "requests that completed", _COUNT, True
    REQUESTS_FAILED = "RequestsFailed", "requests that failed", _COUNT, True
    REQUESTS_CANCELLED = "RequestsCancelled", "requests that were cancelled"
    REQUESTS_RETRIED = "RequestsRetried", "retries of failed requests by a user"
    STEPS_STARTED = "StepsStarted", "steps that began"
    STEPS_COMPLETED = "StepsCompleted", "steps that completed"
    JOBS_COMPLETED = "JobsCompleted", "jobs that completed", _COUNT, True
    JOBS_FAILED = "JobsFailed", "jobs that failed for good", _COUNT, True
    JOBS_CANCELLED = "JobsCancelled", "jobs whose request ended before they started"
    ATTEMPTS_RETRIED = "AttemptsRetried", "attempts that failed and were followed by another"
    LIFECYCLE_JOBS_COMPLETED = "LifecycleJobsCompleted", "workspaces that were started or stopped"
    LIFECYCLE_JOBS_FAILED = "LifecycleJobsFailed", "starts and stops that failed for good"
    LIFECYCLE_JOBS_CANCELLED = "LifecycleJobsCancelled", "starts and stops that became needless"
    REQUEST_SECONDS = "RequestSeconds", "how long completed requests took", _SECONDS
    ATTEMPT_SECONDS = "AttemptSeconds", "how long attempts took, from claim to outcome", _SECONDS
    QUEUE_WAIT_SECONDS = "QueueWaitSeconds", "how long jobs waited for their first claim", _SECONDS
    LIFECYCLE_DELAY_SECONDS = (
        "LifecycleDelaySeconds",
        "how long after its deadline a workspace was switched",
        _SECONDS,
    )
    CHANGES_UNREADABLE = "ChangesUnreadable", "changes of rows that could not be read, nor counted"

    # What is so at the moment: measured every minute.
    QUEUED_JOBS = "QueuedJobs", "jobs that a worker could claim now", _COUNT, True
    OLDEST_QUEUED_JOB_SECONDS = (
        "OldestQueuedJobSeconds",
        "how long the oldest of them could have been claimed",
        _SECONDS,
        True,
    )
    OLDEST_DUE_REQUEST_SECONDS = (
        "OldestDueRequestSeconds",
        "how long the longest due request has waited for a sweep",
        _SECONDS,
    )
    STUCK_REQUESTS = "StuckRequests", "requests that have been due for over ten minutes"
    WORKERS_IDLE = "WorkersIdle", "workers that run nothing"
    WORKERS_AVAILABLE = "WorkersAvailable", "workers that run something and have room for more"
    WORKERS_BUSY = "WorkersBusy", "workers that run as much as they may"
    WORKERS_ERROR = "WorkersError", "workers that report an error, or run more than they may"
    WORKERS_OFFLINE = (
        "WorkersOffline",
        "workers that were silent for too long, or that let a lease run out",
    )
    WORKERS_LOST = "WorkersLost", "workers that fell silent in the last 15 minutes, without leaving"
    LATE_SWITCH_SECONDS = (
        "LateSwitchSeconds",
        "how long the longest due start or stop of a workspace has waited",
        _SECONDS,
    )
    STREAM_LAG_SECONDS = (
        "StreamLagSeconds",
        "how far the counters are behind the tables; up to 90 is usual",
        _SECONDS,
    )
    COUNTERS_GAP = "CountersGap", "tables with changes that were never counted"

    # What functions did: counted where they do it.
    CALLS_ANSWERED = "CallsAnswered", "calls of the API that were answered, with 2xx or 3xx"
    CALLS_REFUSED = "CallsRefused", "calls of the API that were refused, with 4xx"
    CALLS_FAILED = "CallsFailed", "calls of the API that failed, with 5xx"
    REQUESTS_REPLAYED = "RequestsReplayed", "submissions that repeated an Idempotency-Key"
    DEFINITIONS_PUT = "DefinitionsPut", "definitions that were written"
    DEFINITIONS_DELETED = "DefinitionsDeleted", "definitions that were deleted"
    WORKERS_REGISTERED = "WorkersRegistered", "workers that registered"
    WORKSPACES_PUT = "WorkspacesPut", "workspaces that were written"
    WORKSPACES_DELETED = "WorkspacesDeleted", "workspaces that were deleted"
    SWITCHES_ASKED = "SwitchesAsked", "starts and stops that people asked for"
    WORKSPACES_SEEN = "WorkspacesSeen", "workspaces that were due for the scheduler"
    SWITCHES_CLAIMED = (
        "SwitchesClaimed",
        "lifecycle jobs that a tick claimed rather than a message; zero when messages arrive",
    )
    SWEEP_FINDS = "SweepFinds", "rows that sweeps acted on; zero on a good day"
    FINDS_PUT_OFF = "FindsPutOff", "rows that sweeps raised on, and put off; the log says why"
    JOBS_DISCARDED = (
        "JobsDiscarded",
        "outcomes that came too late; a few after a crash are usual, many mean leases too short",
    )
    JOBS_HELD = "JobsHeld", "jobs that a batch left, because another process holds them"
    JOBS_SETTLED = "JobsSettled", "jobs that a batch left, because they had an outcome"
    JOBS_UNTOUCHED = "JobsUntouched", "jobs that a batch left, for want of time"
    TASKS_CLAIMED = "TasksClaimed", "queued jobs that polls claimed"
    CLAIMS_LOST = "ClaimsLost", "claims that another poller won"
    TASKS_HANDED_OUT = "TasksHandedOut", "claimed jobs that were given to workers"
    TASKS_RECORDED = "TasksRecorded", "workers' reports that were recorded"
    TASKS_LATE = "TasksLate", "workers' reports that came too late"
    TASKS_RENEWED = "TasksRenewed", "workers' reports that renewed a lease"
    TASKS_PUT_BACK = "TasksPutBack", "workers' reports that put a job back"
    TASKS_STOPPED = "TasksStopped", "workers' reports on jobs of requests that had ended"
    TASKS_UNKNOWN = "TasksUnknown", "workers' reports on jobs that there are not"
