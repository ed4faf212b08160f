# long: drawn by `python tools/draw_shapes.py` from docs/reference/openapi.json; do not edit it.
"""The shapes of the API's answers, as typed dictionaries. Times are ISO 8601 UTC texts.

Those of a worker's record are seconds since 1970.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict

Json = Any
JsonObject = dict[str, Json]

AttemptStatus = Literal["new", "inprogress", "completed", "failure", "retry", "cancelled"]
Cause = Literal["schedule", "deadline", "override", "manual", "work", "idle"]
Desired = Literal["on", "off"]
LogLevel = Literal["trace", "debug", "info", "warn", "error"]
Operation = Literal["start", "stop"]
ReportOutcome = Literal["recorded", "late", "renewed", "put-back", "stop", "unknown"]
RequestStatus = Literal["Queuing", "Inprogress", "Completed", "Failed", "Cancelled"]
WorkerStatus = Literal["idle", "available", "busy", "error", "offline", "stopped"]
WorkspaceState = Literal["running", "stopped", "starting", "stopping", "mixed", "unknown"]


class Attempt(TypedDict):
    """An attempt at a job."""

    attempt_id: str
    job: str
    type: str
    step: int
    attempt: int
    status: AttemptStatus
    params: Json
    item: Json
    output: Json
    error: AttemptError | None
    created_at: str
    started_at: str | None
    completed_at: str | None
    wake_at: str | None
    worker_id: str | None
    fence: int
    late_updates: list[LateUpdate]


class AttemptError(TypedDict):
    """Why an attempt did not complete."""

    type: str
    message: str


class AttemptPage(TypedDict):
    """Some attempts, in order. With a status a page may be short or empty, and not the last."""

    items: list[Attempt]
    next_token: str | None


class Blocker(TypedDict):
    """What a request waits for."""

    attempt_id: str
    job: str
    status: AttemptStatus
    reason: str
    wakes_at: str | None


class ClaimedTask(TypedDict):
    """A task as it is given to a worker; `output` is the progress that it has reported so far."""

    task_id: str
    fence: int
    type: str
    job: str
    request_id: str
    request_type: str
    attempt: int
    tries: int
    params: Json
    extras: JsonObject
    item: Json
    output: JsonObject
    created_at: str
    lease_until: str
    response_timeout_s: float
    timeout_s: float
    poll_count: int
    correlation_id: str | None
    priority: int


class DefinitionPage(TypedDict):
    """Some definitions, each in its latest version."""

    items: list[Definition]
    next_token: str | None


class DryRun(TypedDict):
    """What a switch would do now."""

    state: WorkspaceState
    detail: str
    calls: list[str]


class Durations(TypedDict):
    """Durations of one minute. Half and 95 % of them are no longer than the two bounds."""

    count: int
    sum_s: float
    p50_s: float
    p95_s: float


class ExchangeAnswer(TypedDict):
    """The answer to an exchange; `outcomes` has one entry for each result, in order."""

    outcomes: list[ReportOutcome]
    tasks: list[ClaimedTask]
    stop: list[str]
    drained: bool


class ExplainedStep(TypedDict):
    """The current step of a request."""

    index: int
    name: str
    jobs: JobCounts


class Explanation(TypedDict):
    """Where a request is, and why."""

    request_id: str
    status: RequestStatus
    summary: str
    step: ExplainedStep | None
    blocked_by: list[Blocker]
    wakes_at: str | None
    next: str


class FailedJob(TypedDict):
    """A job that has failed for good, by the attempt in which it did."""

    attempt_id: str
    job: str
    type: str
    step: int
    attempt: int
    tries: int
    item: str | None
    error: AttemptError | None
    failed_at: str | None


class FailedJobPage(TypedDict):
    """Some failed jobs, in order. A page may be short or empty, and not the last."""

    items: list[FailedJob]
    next_token: str | None


class FollowedLogs(TypedDict):
    """Some lines, oldest first, and where to go on: at once or later. A line may come again."""

    items: list[JobLine]
    cursor: str
    has_more: bool


class Heartbeat(TypedDict):
    """The answer of an API that is up."""

    status: Literal["ok"]


class Invitation(TypedDict):
    """A token with which this worker registers once."""

    token: str
    expires_at: int


class JobCounts(TypedDict):
    """How many attempts are in each status."""

    new: int
    inprogress: int
    completed: int
    failure: int
    retry: int
    cancelled: int


class JobLine(TypedDict):
    """A line of one of a request's jobs."""

    timestamp: str
    message: str
    id: str
    attempt_id: str
    job: str


class LateUpdate(TypedDict):
    """A worker's report on an attempt that it no longer held. It changed nothing."""

    at: str
    status: str
    worker_id: str | None
    reason: str


class LatestJob(TypedDict):
    """A lifecycle job in short."""

    id: str
    operation: Operation
    state: Literal["pending", "running", "completed", "failed", "cancelled"]
    deadline: str
    reason: str
    error: str | None


class LeftOut(TypedDict):
    """A switch of the schedule that does not happen."""

    at: str
    reason: str


class LifecycleJob(TypedDict):
    """One planned start or stop."""

    id: str
    workspace_id: str
    operation: Operation
    state: Literal["pending", "running", "completed", "failed", "cancelled"]
    deadline: str
    cause: Cause
    reason: str
    attempt: int
    created_at: str
    updated_at: str
    started_at: str | None
    cancelled_at: str | None
    completed_at: str | None
    error: str | None
    due_at: str | None


class LifecycleJobPage(TypedDict):
    """Some lifecycle jobs, newest first. A page may be empty and not be the last."""

    items: list[LifecycleJob]
    next_token: str | None


class LifecycleLog(TypedDict):
    """A line of a lifecycle job's log."""

    id: str
    job_id: str
    created_at: str
    level: LogLevel
    output: str


class LifecycleLogPage(TypedDict):
    """All lines, oldest first."""

    items: list[LifecycleLog]
    next_token: None


class LogLine(TypedDict):
    """A line that a job logged."""

    timestamp: str
    message: str


class LogPage(TypedDict):
    """Some lines, oldest first. A page may be empty and not be the last."""

    items: list[LogLine]
    next_token: str | None


class Minute(TypedDict):
    """What happened within a minute."""

    minute: str
    subject: str
    labels: dict[str, str]
    counts: dict[str, int]
    durations: dict[str, Durations]


class NextSwitch(TypedDict):
    """What switches a workspace next, and why."""

    operation: Operation
    at: str
    cause: Cause
    reason: str


class Notice(TypedDict):
    """A quota or bound that is exceeded, and what to change."""

    level: Literal["warning", "refusal"]
    step: str
    job: str | None
    quota: str
    figure: float
    bound: float
    message: str
    change: str


class Override(TypedDict):
    """Whether a workspace is kept on or off for a while, and why."""

    desired: Desired
    since: str
    until: str
    reason: str


class PendingJob(TypedDict):
    """The lifecycle job that switches a workspace next."""

    job_id: str
    at: str
    cause: Cause


class Plan(TypedDict):
    """The switches to come and those left out, in order of time."""

    items: list[PlanEntry]


class PlanEntry(TypedDict):
    """A switch to come, or one that is left out, and why."""

    at: str
    operation: Operation | None
    cause: Cause | None
    reason: str
    is_left_out: bool


class QueueFinding(TypedDict):
    """Whether jobs of a queue can be claimed now, or why not."""

    queue: str
    waiting: int
    is_blocked: bool
    reason: str
    next: str


class Rebuild(TypedDict):
    """The counters, and the rebuild of them that is under way."""

    status: Literal["none", "waiting", "counting"]
    since: str | None
    gaps: dict[str, str]
    cut: str | None
    reads_from: str | None
    table: str | None
    rows: int


class Request(TypedDict):
    """A request in full."""

    request_id: str
    type: str
    type_version: int
    status: RequestStatus
    current_step: int
    correlation_id: str | None
    priority: int
    created_at: str
    started_at: str | None
    completed_at: str | None
    params: JsonObject
    extras: JsonObject
    start_at: str | None
    retried_at: str | None
    steps: list[Step]
    error: RequestError | None


class RequestError(TypedDict):
    """Why a request failed."""

    type: str
    message: str
    step: int | None
    job: str | None
    attempt_id: str | None


class RequestPage(TypedDict):
    """Some requests, newest first. With a type a page may be short or empty, and not the last."""

    items: list[RequestSummary]
    next_token: str | None


class RequestPlan(TypedDict):
    """What a request takes that is submitted now, if no job is retried."""

    type: str
    version: int
    items: int
    jobs: int
    rows: int
    write_units: float
    read_units: float
    transitions: int
    busiest_write_units: float
    busiest_write_units_bound: int
    history_events: int
    history_events_bound: int
    invocations: int
    seconds: float
    usd: dict[str, float]
    total_usd: float
    steps: list[StepEstimate]
    notices: list[Notice]
    limits: list[Notice]


class RequestSummary(TypedDict):
    """A request as lists show it."""

    request_id: str
    type: str
    type_version: int
    status: RequestStatus
    current_step: int
    correlation_id: str | None
    priority: int
    created_at: str
    started_at: str | None
    completed_at: str | None


class Series(TypedDict):
    """The counters minute by minute, in order; a minute in which nothing happened is left out."""

    items: list[Minute]


class Step(TypedDict):
    """A step of a request; one that is not planned yet has no attempts."""

    index: int
    name: str
    status: Literal["pending", "running", "completed", "failed", "cancelled"]
    job_count: int
    jobs: JobCounts
    started_at: str | None
    completed_at: str | None


class StepEstimate(TypedDict):
    """What a step takes."""

    name: str
    jobs: int
    rows: int
    batches: int
    way: Literal["called", "map", "wide", "wide_slow", "workers"]
    at_once: int
    write_units: float
    read_units: float
    transitions: int
    busiest_write_units: float
    seconds: float


class WorkerExplanation(TypedDict):
    """Why a worker gets jobs or none."""

    worker_id: str
    status: WorkerStatus
    summary: str
    running: int
    build_limit: int
    queues: list[QueueFinding]
    next: str


class WorkerPage(TypedDict):
    """Some workers, by id. A page may be short or empty, and not the last."""

    items: list[WorkerView]
    next_token: str | None


class WorkerToken(TypedDict):
    """A worker's record and its token; it should check in every `check_in_s` seconds."""

    worker: WorkerView
    token: str
    expires_at: int
    check_in_s: float


class WorkerView(TypedDict):
    """A worker's record."""

    worker_id: str
    hostname: str
    address: str
    routes: list[str]
    active: bool
    drained: bool
    status: WorkerStatus
    error: str | None
    last_status_update_at: int
    running_build_ids: list[str]
    build_limit: int
    last_build_started_at: int | None
    last_build_finished_at: int | None
    last_checked_in: int | None
    last_seen_at: int
    kind: Literal["registered", "derived"]
    polls: dict[str, int]


class Workspace(TypedDict):
    """A workspace: what was last seen of it, what is planned, and its definition."""

    workspace_id: str
    state: WorkspaceState
    changed_at: str | None
    started_by: Cause | None
    deadline: str | None
    max_deadline: str | None
    override: Override | None
    pending: PendingJobs
    failures: int
    blocked_until: str | None
    error: str | None
    detail: str
    looked_at: str | None
    created_at: str
    updated_at: str
    definition: JsonObject


class WorkspaceExplanation(TypedDict):
    """Why a workspace is on or off, and when that changes."""

    workspace_id: str
    state: WorkspaceState
    summary: str
    next: list[NextSwitch]
    blocked_by: list[str]
    left_out: list[LeftOut]
    latest_jobs: list[LatestJob]


class WorkspacePage(TypedDict):
    """Some workspaces, by id."""

    items: list[Workspace]
    next_token: str | None


#: A definition: what its author wrote, with its name and version.
Definition = JsonObject

#: An OpenAPI 3.1 document.
OpenApi = JsonObject

#: The jobs that have not ended, one for each operation.
PendingJobs = dict[Operation, PendingJob]
