"""Routes of requests, their jobs and logs: submit, read, list, cancel, retry, explain."""

from __future__ import annotations

from functools import cache
from http import HTTPStatus
from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Query
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from answers import answer
from operations import (
    AttemptId,
    IdempotencyKey,
    Limit,
    LogCursor,
    LogToken,
    NextToken,
    RequestId,
    operation,
)
from shiftwork_core import bootstrap
from shiftwork_core.adapters.aws.logs import JobLogs
from shiftwork_core.adapters.schemas.check import check_schema
from shiftwork_core.domain.metrics.cloudwatch import Metric
from shiftwork_core.domain.requests.records import Attempt, Request
from shiftwork_core.domain.requests.states import AttemptStatus, RequestStatus
from shiftwork_core.errors import FaultAt, Invalid
from shiftwork_core.json_input import check_payloads
from shiftwork_core.services.requests.requests import Requests, Submission
from shiftwork_core.telemetry import count, logger
from v1.requests.inputs import SubmissionInput
from v1.requests.views import (
    AttemptPage,
    Explanation,
    FailedJobPage,
    FollowedLogs,
    LogPage,
    RequestAnswer,
    RequestPage,
    attempt_view,
    explanation_view,
    failed_job_view,
    job_line_view,
    log_line_view,
    request_view,
    summary_view,
)

router = APIGatewayHttpRouter()  # type: ignore[no-untyped-call]

StepIndex = Annotated[int | None, Query(ge=1, le=9999, description="its index, from 1")]

_ONE = {200: ("The request", RequestAnswer)}


@cache
def service() -> Requests:
    """Return the service behind these routes."""
    return bootstrap.requests.service(check_schema)


def _one(request: Request, status: HTTPStatus = HTTPStatus.OK, **headers: str) -> Response[str]:
    return answer(request_view(service().details(request)), status, **headers)


@router.post(
    "/v1/requests",
    **operation(
        "submitRequest",
        "Submit a request",
        {
            200: ("The request that this Idempotency-Key made before", RequestAnswer),
            201: ("The new request", RequestAnswer),
        },
        (400, 413, 415),
    ),
)
def submit(
    body: Annotated[SubmissionInput, Body()], idempotency_key: IdempotencyKey = None
) -> Response[str]:
    """Submit a request."""
    check_payloads(params=body.params, extras=body.extras)
    submission = Submission(
        type=body.type,
        params=body.params,
        extras=body.extras,
        version=body.version,
        correlation_id=body.correlation_id,
        priority=body.priority,
        start_at=body.start_at,
    )
    request, is_new = service().submit(submission, idempotency_key)
    logger.append_keys(request_id=request.request_id)
    if not is_new:
        count(Metric.REQUESTS_REPLAYED)
    status = HTTPStatus.CREATED if is_new else HTTPStatus.OK
    return _one(request, status, Location=f"/v1/requests/{request.request_id}")


@router.get(
    "/v1/requests",
    **operation(
        "listRequests", "List requests", {200: ("A page of them, newest first", RequestPage)}
    ),
)
def find(
    status: Annotated[RequestStatus | None, Query()] = None,
    type_name: Annotated[str | None, Query(alias="type", min_length=1, max_length=128)] = None,
    limit: Limit = 50,
    next_token: NextToken = None,
) -> Response[str]:
    """List requests."""
    page = service().find(status, type_name, limit, next_token)
    items = [summary_view(request) for request in page.items]
    return answer({"items": items, "next_token": page.next_token})


@router.get(
    "/v1/requests/<request_id>",
    **operation("getRequest", "Get a request with its steps", _ONE, (404,)),
)
def get(request_id: RequestId) -> Response[str]:
    """Get a request with its steps."""
    return _one(service().get(request_id))


@router.get(
    "/v1/requests/<request_id>/jobs",
    **operation(
        "listJobs",
        "List every attempt at a request's jobs",
        {200: ("A page of attempts, by step, job and attempt", AttemptPage)},
        (404,),
    ),
)
def jobs(
    request_id: RequestId,
    step: StepIndex = None,
    status: Annotated[AttemptStatus | None, Query()] = None,
    limit: Limit = 50,
    next_token: NextToken = None,
) -> Response[str]:
    """List every attempt at a request's jobs."""
    page = service().attempts(request_id, step, status, limit, next_token)
    items = [attempt_view(attempt) for attempt in page.items]
    return answer({"items": items, "next_token": page.next_token})


@router.get(
    "/v1/requests/<request_id>/failures",
    **operation(
        "listFailures",
        "List a request's jobs that have failed for good",
        {200: ("A page of them, by step and job", FailedJobPage)},
        (404,),
    ),
)
def failures(
    request_id: RequestId, step: StepIndex = None, limit: Limit = 50, next_token: NextToken = None
) -> Response[str]:
    """List the jobs whose latest attempt has failed, also those whose failures are tolerated."""
    page = service().failures(request_id, step, limit, next_token)
    items = [failed_job_view(failed) for failed in page.items]
    return answer({"items": items, "next_token": page.next_token})


@router.post(
    "/v1/requests/<request_id>/cancel",
    **operation(
        "cancelRequest",
        "Cancel a request: none of its jobs starts afterwards",
        {
            **_ONE,
            202: ("The request; it is so wide that a sweep cancels the rest of it", RequestAnswer),
        },
        (400, 404, 409, 413, 415),
    ),
)
def cancel(request_id: RequestId) -> Response[str]:
    """Cancel a request: once this has answered 200, none of its jobs starts."""
    request, is_done = service().cancel(request_id)
    return _one(request, HTTPStatus.OK if is_done else HTTPStatus.ACCEPTED)


@router.post(
    "/v1/requests/<request_id>/retry",
    **operation(
        "retryRequest",
        "Run the failed jobs of a request again, then continue",
        _ONE,
        (400, 404, 409, 413, 415),
    ),
)
def retry(request_id: RequestId) -> Response[str]:
    """Run the jobs again that failed, of a failed request or one that tolerates them."""
    request = service().retry(request_id)
    return _one(request)


@router.get(
    "/v1/requests/<request_id>/explain",
    **operation(
        "explainRequest",
        "Explain where a request is, and why",
        {200: ("Why", Explanation)},
        (404,),
    ),
)
def explain(request_id: RequestId) -> Response[str]:
    """Explain where a request is and why, what blocks it, and when it is due next."""
    return answer(explanation_view(service().explain(request_id)))


@router.get(
    "/v1/requests/<request_id>/logs",
    **operation(
        "followLogs",
        "Follow what a request's jobs log in RunJobs",
        {200: ("Some lines, oldest first, and a cursor to go on from", FollowedLogs)},
        (404,),
    ),
)
def logs(request_id: RequestId, limit: Limit = 50, after: LogCursor = None) -> Response[str]:
    """Follow what the callbacks of a request print and log; not what workers have sent."""
    request = service().get(request_id)
    followed = _job_logs().follow(request, limit, after, bootstrap.world.now())
    return answer(
        {
            "items": list(map(job_line_view, followed.lines)),
            "cursor": followed.cursor,
            "has_more": followed.has_more,
        }
    )


@router.get(
    "/v1/jobs/<attempt_id>/logs",
    **operation(
        "listJobLogs",
        "List what an attempt logged",
        {200: ("A page of lines, oldest first", LogPage)},
        (404,),
    ),
)
def job_logs(
    attempt_id: AttemptId, limit: Limit = 50, next_token: LogToken = None
) -> Response[str]:
    """List what an attempt logged in RunJobs, or what its worker has sent."""
    attempt = service().attempt(attempt_id)
    if attempt.is_polled:
        return _sent_lines(attempt, limit, next_token)
    page = _job_logs().find(attempt, limit, next_token)
    items = [log_line_view(line.timestamp, line.message) for line in page.items]
    return answer({"items": items, "next_token": page.next_token})


def _job_logs() -> JobLogs:
    return JobLogs(bootstrap.world.client("logs"), bootstrap.world.settings().run_jobs_log_group)


def _sent_lines(attempt: Attempt, limit: int, next_token: str | None) -> Response[str]:
    """Return a page of what a polled attempt's worker has sent; its token is a line's number."""
    if not (next_token or "0").isdecimal():
        raise Invalid(
            "not a page of these logs", [FaultAt("next_token", "not a page of these logs")]
        )
    start = int(next_token or 0)
    lines = bootstrap.stores.jobs().logs(attempt.request_id, attempt.key)
    shown = lines[start : start + limit]
    items = [log_line_view(line.at, line.message) for line in shown]
    has_more = start + limit < len(lines)
    return answer({"items": items, "next_token": str(start + limit) if has_more else None})
