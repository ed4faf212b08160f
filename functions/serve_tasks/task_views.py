"""Views of attempts: as Conductor's tasks, and as an exchange gives them to workers."""

from __future__ import annotations

from datetime import datetime
from math import ceil

from shiftwork_core.domain.payloads import Json, JsonObject
from shiftwork_core.domain.requests.records import Attempt
from shiftwork_core.domain.requests.states import AttemptStatus
from shiftwork_core.domain.times import iso_or_none
from shiftwork_core.services.polling.lookup import HeldTask
from task_definitions import epoch_ms

STATUSES = {
    AttemptStatus.NEW: "SCHEDULED",
    AttemptStatus.INPROGRESS: "IN_PROGRESS",
    AttemptStatus.COMPLETED: "COMPLETED",
    AttemptStatus.RETRY: "FAILED",
    AttemptStatus.FAILURE: "FAILED_WITH_TERMINAL_ERROR",
    AttemptStatus.CANCELLED: "CANCELED",
}
_OPEN = (AttemptStatus.NEW, AttemptStatus.INPROGRESS)


def input_of(held: HeldTask) -> JsonObject:
    """Return a task's inputData: params, extras and item, and each param under its own name too.

    So a worker function written for Conductor finds its arguments where it expects them. The
    inputTemplate of the task definition provides those that are missing.
    """
    template = held.job_type.worker.task_def.get("inputTemplate")
    params = held.params if isinstance(held.params, dict) else {}
    whole = {"params": held.params, "extras": held.extras, "item": held.item}
    return (template if isinstance(template, dict) else {}) | params | whole


def conductor_task(held: HeldTask, now: datetime) -> JsonObject:
    """Return Conductor's Task."""
    attempt, request, job_type = held.attempt, held.request, held.job_type
    is_open = attempt.status in _OPEN
    started_ms = epoch_ms(attempt.started_at)
    scheduled_ms = epoch_ms(attempt.created_at)
    wakes_at = attempt.wake_at if attempt.status is AttemptStatus.NEW else None
    was_put_back = attempt.started_at is not None
    return {
        "taskId": attempt.attempt_id,
        "taskType": attempt.type,
        "taskDefName": attempt.type,
        "status": STATUSES[attempt.status],
        "inputData": input_of(held),
        "outputData": held.output,
        "referenceTaskName": attempt.name,
        "workflowInstanceId": request.request_id,
        "workflowType": request.type,
        "workflowPriority": request.priority,
        "correlationId": request.correlation_id,
        "seq": sequence(attempt),
        "retryCount": attempt.key.attempt - 1,
        "retriedTaskId": _previous(attempt),
        "retried": attempt.status is AttemptStatus.RETRY,
        "executed": not is_open,
        "pollCount": attempt.poll_count,
        "iteration": 0,
        "callbackFromWorker": True,
        "workerId": attempt.worker_id,
        "domain": attempt.domain,
        "scheduledTime": scheduled_ms,
        "startTime": started_ms,
        "firstStartTime": started_ms,
        "endTime": epoch_ms(attempt.completed_at),
        "updateTime": epoch_ms(attempt.completed_at or attempt.started_at or attempt.created_at),
        "queueWaitTime": max(0, started_ms - scheduled_ms) if started_ms else 0,
        "startDelayInSeconds": 0 if was_put_back else _seconds(attempt.created_at, wakes_at),
        "callbackAfterSeconds": _seconds(now, wakes_at) if was_put_back else 0,
        "responseTimeoutSeconds": round(job_type.worker.response_timeout_s),
        "rateLimitPerFrequency": job_type.worker.rate_limit.count,
        "rateLimitFrequencyInSeconds": round(job_type.worker.rate_limit.per_s),
        "reasonForIncompletion": attempt.error.message if attempt.error else None,
    }


def exchanged_task(held: HeldTask) -> JsonObject:
    """Return a task as an exchange gives it to a worker."""
    attempt, request = held.attempt, held.request
    return {
        "task_id": attempt.attempt_id,
        "fence": attempt.fence,
        "type": attempt.type,
        "job": attempt.name,
        "request_id": request.request_id,
        "request_type": request.type,
        "attempt": attempt.key.attempt,
        "tries": attempt.tries,
        "params": held.params,
        "extras": held.extras,
        "item": held.item,
        "output": held.output,
        "created_at": iso_or_none(attempt.created_at),
        "lease_until": iso_or_none(attempt.lease_until),
        "response_timeout_s": held.job_type.worker.response_timeout_s,
        "timeout_s": held.job_type.timeout_s,
        "poll_count": attempt.poll_count,
        "correlation_id": request.correlation_id,
        "priority": request.priority,
    }


def sequence(attempt: Attempt) -> int:
    """Return a number of 31 bits that orders a request's attempts."""
    key = attempt.key
    return (key.step - 1) * 10_000_000 + key.job * 1_000 + key.attempt


def log_view(message: str, attempt_id: str, at_ms: int) -> Json:
    """Return Conductor's TaskExecLog."""
    return {"log": message, "taskId": attempt_id, "createdTime": at_ms}


def _previous(attempt: Attempt) -> str | None:
    if attempt.key.attempt == 1:
        return None
    return f"{attempt.request_id}.{attempt.key.step}.{attempt.key.job}.{attempt.key.attempt - 1}"


def _seconds(start: datetime, end: datetime | None) -> int:
    return 0 if end is None else max(0, ceil((end - start).total_seconds()))
