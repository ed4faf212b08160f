"""What the routes of requests return: the shapes, and the views of requests and attempts."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from answers import Output, Timestamp
from shiftwork_core.adapters.aws.logs import JobLine
from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.requests.outcomes import JobError
from shiftwork_core.domain.requests.records import LateUpdate, Request, RequestError
from shiftwork_core.domain.times import iso_or_none, to_iso
from shiftwork_core.services.requests import explain
from shiftwork_core.services.requests.details import AttemptDetails, RequestDetails, StepDetails
from shiftwork_core.services.requests.failures import FailedJob

RequestStatusName = Literal["Queuing", "Inprogress", "Completed", "Failed", "Cancelled"]
AttemptStatusName = Literal["new", "inprogress", "completed", "failure", "retry", "cancelled"]


class Counts(Output):
    """How many attempts are in each status."""

    new: int
    inprogress: int
    completed: int
    failure: int
    retry: int
    cancelled: int


class RequestSummary(Output):
    """A request as lists show it."""

    request_id: str
    type: str
    type_version: int
    status: RequestStatusName
    current_step: int
    correlation_id: str | None
    priority: int
    created_at: Timestamp
    started_at: Timestamp | None
    completed_at: Timestamp | None


class StepAnswer(Output):
    """A step of a request; one that is not planned yet has no attempts."""

    index: int
    name: str
    status: Literal["pending", "running", "completed", "failed", "cancelled"]
    job_count: int
    jobs: Counts = Field(
        description="while a step of more than 500 jobs runs, completed, retry and failure are "
        "what was tallied so far, and all others are new, also those in progress"
    )
    started_at: Timestamp | None
    completed_at: Timestamp | None


class RequestErrorAnswer(Output):
    """Why a request failed."""

    type: str
    message: str
    step: int | None
    job: str | None
    attempt_id: str | None


class RequestAnswer(RequestSummary):
    """A request in full."""

    params: dict[str, Any]
    extras: dict[str, Any] = Field(
        description="with what completed jobs of settled steps have returned, and those of the "
        "step in which the request has failed or was cancelled, unless that has more than 500 jobs"
    )
    start_at: Timestamp | None
    retried_at: Timestamp | None = Field(description="when a user last retried it")
    steps: list[StepAnswer]
    error: RequestErrorAnswer | None


class JobErrorAnswer(Output):
    """Why an attempt did not complete."""

    type: str
    message: str


class LateUpdateAnswer(Output):
    """A worker's report on an attempt that it no longer held. It changed nothing."""

    at: Timestamp
    status: str
    worker_id: str | None
    reason: str


class AttemptAnswer(Output):
    """An attempt at a job."""

    attempt_id: str
    job: str
    type: str
    step: int
    attempt: int
    status: AttemptStatusName
    params: Any
    item: Any
    output: Any
    error: JobErrorAnswer | None
    created_at: Timestamp
    started_at: Timestamp | None
    completed_at: Timestamp | None
    wake_at: Timestamp | None
    worker_id: str | None
    fence: int
    late_updates: list[LateUpdateAnswer]


class FailedJobAnswer(Output):
    """A job that has failed for good, by the attempt in which it did."""

    attempt_id: str
    job: str
    type: str
    step: int
    attempt: int
    tries: int = Field(
        description="how often it was tried since a user's last retry that ran it again"
    )
    item: str | None = Field(
        description="its item as JSON; of a longer one the first 1,000 characters and an ellipsis"
    )
    error: JobErrorAnswer | None
    failed_at: Timestamp | None = Field(
        description="of a job of a block when its block's attempt ended; null before that"
    )


class Blocker(Output):
    """What a request waits for."""

    attempt_id: str
    job: str
    status: AttemptStatusName
    reason: str
    wakes_at: Timestamp | None


class ExplainedStep(Output):
    """The current step of a request."""

    index: int
    name: str
    jobs: Counts


class Explanation(Output):
    """Where a request is, and why."""

    request_id: str
    status: RequestStatusName
    summary: str
    step: ExplainedStep | None
    blocked_by: list[Blocker]
    wakes_at: Timestamp | None
    next: str


class LogLineAnswer(Output):
    """A line that a job logged."""

    timestamp: Timestamp
    message: str


class JobLineAnswer(LogLineAnswer):
    """A line of one of a request's jobs."""

    id: str
    attempt_id: str
    job: str


class RequestPage(Output):
    """Some requests, newest first. With a type a page may be short or empty, and not the last."""

    items: list[RequestSummary]
    next_token: str | None


class AttemptPage(Output):
    """Some attempts, in order. With a status a page may be short or empty, and not the last."""

    items: list[AttemptAnswer]
    next_token: str | None


class FailedJobPage(Output):
    """Some failed jobs, in order. A page may be short or empty, and not the last."""

    items: list[FailedJobAnswer]
    next_token: str | None


class LogPage(Output):
    """Some lines, oldest first. A page may be empty and not be the last."""

    items: list[LogLineAnswer]
    next_token: str | None


class FollowedLogs(Output):
    """Some lines, oldest first, and where to go on: at once or later. A line may come again."""

    items: list[JobLineAnswer]
    cursor: str
    has_more: bool


def summary_view(request: Request) -> JsonObject:
    """Return a request as lists show it."""
    return {
        "request_id": request.request_id,
        "type": request.type,
        "type_version": request.type_version,
        "status": request.status.value,
        "current_step": request.current_step,
        "correlation_id": request.correlation_id,
        "priority": request.priority,
        "created_at": iso_or_none(request.created_at),
        "started_at": iso_or_none(request.started_at),
        "completed_at": iso_or_none(request.completed_at),
    }


def request_view(details: RequestDetails) -> JsonObject:
    """Return a request in full."""
    request = details.request
    return summary_view(request) | {
        "params": details.params,
        "extras": details.extras,
        "start_at": iso_or_none(request.start_at),
        "retried_at": iso_or_none(request.retries[-1].retried_at if request.retries else None),
        "steps": [_step_view(step) for step in details.steps],
        "error": None if request.error is None else _request_error_view(request.error),
    }


def _step_view(step: StepDetails) -> JsonObject:
    return {
        "index": step.index,
        "name": step.name,
        "status": step.status.value,
        "job_count": step.job_count,
        "jobs": step.counts,
        "started_at": iso_or_none(step.started_at),
        "completed_at": iso_or_none(step.completed_at),
    }


def _request_error_view(error: RequestError) -> JsonObject:
    return {
        "type": error.type,
        "message": error.message,
        "step": error.step,
        "job": error.job,
        "attempt_id": error.attempt_id,
    }


def attempt_view(details: AttemptDetails) -> JsonObject:
    """Return an attempt at a job."""
    attempt = details.attempt
    return {
        "attempt_id": attempt.attempt_id,
        "job": attempt.name,
        "type": attempt.type,
        "step": attempt.key.step,
        "attempt": attempt.key.attempt,
        "status": attempt.status.value,
        "params": details.params,
        "item": details.item,
        "output": details.output,
        "error": None if attempt.error is None else _job_error_view(attempt.error),
        "created_at": iso_or_none(attempt.created_at),
        "started_at": iso_or_none(attempt.started_at),
        "completed_at": iso_or_none(attempt.completed_at),
        "wake_at": iso_or_none(attempt.wake_at),
        "worker_id": attempt.worker_id,
        "fence": attempt.fence,
        "late_updates": [_late_update_view(late) for late in attempt.late_updates],
    }


def _job_error_view(error: JobError) -> JsonObject:
    return {"type": error.type, "message": error.message}


def failed_job_view(failed: FailedJob) -> JsonObject:
    """Return a job that has failed for good."""
    attempt = failed.attempt
    return {
        "attempt_id": attempt.attempt_id,
        "job": attempt.name,
        "type": attempt.type,
        "step": attempt.key.step,
        "attempt": attempt.key.attempt,
        "tries": attempt.tries,
        "item": failed.item,
        "error": None if attempt.error is None else _job_error_view(attempt.error),
        "failed_at": iso_or_none(attempt.completed_at),
    }


def _late_update_view(late: LateUpdate) -> JsonObject:
    return {
        "at": to_iso(late.at),
        "status": late.status,
        "worker_id": late.worker_id,
        "reason": late.reason,
    }


def explanation_view(found: explain.Explanation) -> JsonObject:
    """Return where a request is, and why."""
    step = found.step
    return {
        "request_id": found.request.request_id,
        "status": found.request.status.value,
        "summary": found.summary,
        "step": step and {"index": step.index, "name": step.name, "jobs": found.counts},
        "blocked_by": [_blocker_view(blocker) for blocker in found.blockers],
        "wakes_at": iso_or_none(found.wakes_at),
        "next": found.next_command,
    }


def _blocker_view(blocker: explain.Blocker) -> JsonObject:
    return {
        "attempt_id": blocker.attempt.attempt_id,
        "job": blocker.attempt.name,
        "status": blocker.attempt.status.value,
        "reason": blocker.reason,
        "wakes_at": iso_or_none(blocker.wakes_at),
    }


def log_line_view(at: datetime, message: str) -> JsonObject:
    """Return a line that a job logged."""
    return {"timestamp": to_iso(at), "message": message}


def job_line_view(line: JobLine) -> JsonObject:
    """Return a line of one of a request's jobs."""
    told = {"id": line.id, "attempt_id": line.attempt_id, "job": line.job}
    return log_line_view(line.timestamp, line.message) | told
