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
