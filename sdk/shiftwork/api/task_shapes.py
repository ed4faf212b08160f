"""What the API answers, as it stands on the wire. Times are ISO 8601 UTC texts."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

Json = Any
JsonObject = dict[str, Json]
Kind = Literal["request-type", "job-type"]

#: A request in one of these does not change any more, unless it is retried.
ENDED = frozenset({"Completed", "Failed", "Cancelled"})


class JobCounts(TypedDict):
    """How many attempts of a step stand in each status."""

    new: int
    inprogress: int
    completed: int
    failure: int
    retry: int
    cancelled: int


class Step(TypedDict):
    """A step of a request; `index` counts from 1, a step not yet planned has zero counts.

    `job_count` is how many jobs it has, `jobs` how many attempts at them stand in each status.
    """

    index: int
    name: str
    status: Literal["pending", "running", "completed", "failed", "cancelled"]
    job_count: int
    jobs: JobCounts
    started_at: str | None
    completed_at: str | None


class RequestError(TypedDict):
    """Why a request failed, and by which job where there is one."""

    type: str
    message: str
    step: int | None
    job: str | None
    attempt_id: str | None


class RequestSummary(TypedDict):
    """A request as a list shows it."""

    request_id: str
    type: str
    type_version: int
    status: str
    current_step: int
    correlation_id: str | None
    priority: int
    created_at: str
    started_at: str | None
    completed_at: str | None


class Request(RequestSummary):
    """A request in full."""

    params: JsonObject
    extras: JsonObject
    start_at: str | None
    steps: list[Step]
    error: RequestError | None


class AttemptError(TypedDict):
    """Why a try did not complete."""

    type: str
    message: str


class Attempt(TypedDict):
    """One try at a job; `job` is the job's name, for a fan-out `name[0]`."""

    attempt_id: str
    job: str
    type: str
    step: int
    attempt: int
    status: str
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


class RequestPage(TypedDict):
    """Some requests, newest first; `next_token` is None on the last page."""

    items: list[RequestSummary]
    next_token: str | None


class AttemptPage(TypedDict):
    """Some attempts in order of step, job and attempt; `next_token` is None on the last page."""

    items: list[Attempt]
    next_token: str | None


class LogLine(TypedDict):
    """A line that a job logged."""

    timestamp: str
    message: str


class Blocker(TypedDict):
    """An attempt that a request waits for, or that failed it."""

    attempt_id: str
    job: str
    status: str
    reason: str
    wakes_at: str | None


class ExplainedStep(TypedDict):
    """The step at which a request stands."""

    index: int
    name: str
    jobs: JobCounts


class Explanation(TypedDict):
    """Why a request stands where it stands; `next` is a command to try."""

    request_id: str
    status: str
    summary: str
    step: ExplainedStep | None
    blocked_by: list[Blocker]
    wakes_at: str | None
    next: str


# -- tasks ---------------------------------------------------------------------------------------


class Want(TypedDict):
    """How many tasks of a type a worker can take now; of a domain only, if it names one."""

    type: str
    count: int
    domain: str | None


class Said(TypedDict):
    """A line that a task's worker logged."""

    at: str
    message: str


class TaskReport(TypedDict):
    """What became of a task, as a worker reports it in an exchange."""

    task_id: str
    fence: int
    status: str
    output: JsonObject
    reason: str
    callback_after_s: float
    extend_lease: bool
    logs: list[Said]


class HandedTask(TypedDict):
    """A task as an exchange hands it out; `output` is what earlier rounds of it have put down."""

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


class Exchanged(TypedDict):
    """The answer to an exchange; `outcomes` tell what became of each result, in order."""

    outcomes: list[str]
    tasks: list[HandedTask]
    stop: list[str]
    drained: bool


class TaskLog(TypedDict):
    """A line of a task's log in Conductor's words; the time is in epoch milliseconds."""

    log: str
    taskId: str
    createdTime: int


#: A task in Conductor's words; docs/reference/conductor-api.md tells its fields.
TaskView = dict[str, Json]


# -- workers -------------------------------------------------------------------------------------


class WorkerView(TypedDict):
    """A worker's record. Times are seconds since 1970.

    `status` is `idle`, `available`, `busy`, `error` or `offline`. `active` is false while it is
    given no jobs, `drained` if that is because somebody drained it. `running_build_ids` are the ids
    of the attempts that it holds. `polls` tells when it last polled which queue.
    """

    worker_id: str
    hostname: str
    address: str
    routes: list[str]
    active: bool
    drained: bool
    status: str
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


class Invitation(TypedDict):
    """A token that registers one worker, once, and when it ends."""

    token: str
    expires_at: int


class WorkerToken(TypedDict):
    """A worker's record and token; it should check in every `check_in_s` seconds."""

    worker: WorkerView
    token: str
    expires_at: int
    check_in_s: float


class QueueFinding(TypedDict):
    """Whether jobs of a queue can be given out now, or why not; `next` is what to do about it."""

    queue: str
    waiting: int
    is_blocked: bool
    reason: str
    next: str


class WorkerExplanation(TypedDict):
    """Why a worker is given work or none; `next` is a command to try."""

    worker_id: str
    status: str
    summary: str
    running: int
    build_limit: int
    queues: list[QueueFinding]
    next: str
