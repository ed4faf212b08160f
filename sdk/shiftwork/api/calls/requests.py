"""The calls of requests: submit, list, cancel, retry, explain; their jobs and logs."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import uuid4

from shiftwork.api.call import PAGE, Call, Pages, given, quoted, time_text

if TYPE_CHECKING:
    from shiftwork.api.shapes import (
        Attempt,
        AttemptPage,
        Explanation,
        FailedJob,
        FailedJobPage,
        FollowedLogs,
        JsonObject,
        LogLine,
        LogPage,
        Request,
        RequestPage,
        RequestSummary,
    )

#: A request with one of these statuses changes only if it is retried.
ENDED = frozenset({"Completed", "Failed", "Cancelled"})


def submit(
    type: str,
    params: JsonObject | None = None,
    *,
    extras: JsonObject | None = None,
    version: int | None = None,
    correlation_id: str | None = None,
    priority: int | None = None,
    start_at: datetime | str | None = None,
    idempotency_key: str | None = None,
) -> Call[Request]:
    """Submit a request and return it.

    The client repeats a lost call under the same idempotency key, so that it makes one request.
    With a key of your own this holds across processes too: submitting again under the same key
    returns the request that already exists.
    """
    optional = {
        "extras": extras,
        "version": version,
        "correlation_id": correlation_id,
        "priority": priority,
        "start_at": time_text(start_at),
    }
    body = {"type": type, "params": params or {}} | given(optional)
    headers = {"Idempotency-Key": idempotency_key or str(uuid4())}
    return Call("POST", "/v1/requests", json=body, headers=headers)


def get(request_id: str) -> Call[Request]:
    """Return the request, with its steps and the counts of their attempts."""
    return Call("GET", f"/v1/requests/{quoted(request_id)}")


def list_page(
    *,
    status: str | None = None,
    type: str | None = None,
    limit: int = PAGE,
    next_token: str | None = None,
) -> Call[RequestPage]:
    """Return a page of requests, newest first."""
    query = given({"status": status, "type": type, "limit": limit, "next_token": next_token})
    return Call("GET", "/v1/requests", query)


def list_all(*, status: str | None = None, type: str | None = None) -> Pages[RequestSummary]:
    """Yield requests, newest first."""
    return Pages("/v1/requests", given({"status": status, "type": type}))


def jobs(request_id: str, *, step: int | None = None, status: str | None = None) -> Pages[Attempt]:
    """Yield the request's attempts in order of step, job and attempt."""
    query = given({"step": step, "status": status})
    return Pages(f"/v1/requests/{quoted(request_id)}/jobs", query)


def jobs_page(
    request_id: str,
    *,
    step: int | None = None,
    status: str | None = None,
    limit: int = PAGE,
    next_token: str | None = None,
) -> Call[AttemptPage]:
    """Return a page of the request's attempts."""
    query = given({"step": step, "status": status, "limit": limit, "next_token": next_token})
    return Call("GET", f"/v1/requests/{quoted(request_id)}/jobs", query)


def failures(request_id: str, *, step: int | None = None) -> Pages[FailedJob]:
    """Yield the request's jobs that have failed for good, in order of step and job."""
    return Pages(f"/v1/requests/{quoted(request_id)}/failures", given({"step": step}))


def failures_page(
    request_id: str, *, step: int | None = None, limit: int = PAGE, next_token: str | None = None
) -> Call[FailedJobPage]:
    """Return a page of the request's jobs that have failed for good."""
    query = given({"step": step, "limit": limit, "next_token": next_token})
    return Call("GET", f"/v1/requests/{quoted(request_id)}/failures", query)


def cancel(request_id: str) -> Call[Request]:
    """Cancel the request; once this has returned, no job of it starts."""
    return Call("POST", f"/v1/requests/{quoted(request_id)}/cancel")


def retry(request_id: str) -> Call[Request]:
    """Run the failed jobs again, then continue. Not repeated once the call may have arrived."""
    return Call("POST", f"/v1/requests/{quoted(request_id)}/retry", is_repeatable=False)


def explain(request_id: str) -> Call[Explanation]:
    """Return what the request is waiting for, or why it ended."""
    return Call("GET", f"/v1/requests/{quoted(request_id)}/explain")


def job_logs(attempt_id: str) -> Pages[LogLine]:
    """Yield the lines that the attempt logged."""
    return Pages(f"/v1/jobs/{quoted(attempt_id)}/logs")


def job_logs_page(
    attempt_id: str, *, limit: int = PAGE, next_token: str | None = None
) -> Call[LogPage]:
    """Return a page of the lines that the attempt logged."""
    query = given({"limit": limit, "next_token": next_token})
    return Call("GET", f"/v1/jobs/{quoted(attempt_id)}/logs", query)


def follow_logs(
    request_id: str, *, limit: int = PAGE, after: str | None = None
) -> Call[FollowedLogs]:
    """Return lines that callbacks of the request logged from a cursor on, and the next cursor.

    A line may come again behind a cursor, with the same id.
    """
    query = given({"limit": limit, "after": after})
    return Call("GET", f"/v1/requests/{quoted(request_id)}/logs", query)
