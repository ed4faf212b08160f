"""Routes of workers: register, check in, drain and resume them, and read their records."""

from __future__ import annotations

from functools import cache
from http import HTTPStatus
from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Path, Query
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from answers import answer
from operations import Limit, operation
from shiftwork_core import bootstrap
from shiftwork_core.caller import Caller, caller_of
from shiftwork_core.domain.metrics.cloudwatch import Metric
from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.workers.workers import Worker, WorkerReport, WorkerStatus
from shiftwork_core.routes import Scope
from shiftwork_core.services.workers.records import WorkerFilter, WorkerRecords
from shiftwork_core.services.workers.register import IssuedToken, Registrations
from shiftwork_core.telemetry import count
from v1.workers.inputs import (
    WORKER_ID_PATTERN,
    CheckInInput,
    InvitationInput,
    RegistrationInput,
    WorkerInput,
)
from v1.workers.views import (
    InvitationAnswer,
    WorkerAnswer,
    WorkerExplanation,
    WorkerPage,
    WorkerTokenAnswer,
    explanation_view,
    token_view,
    worker_view,
)

router = APIGatewayHttpRouter()  # type: ignore[no-untyped-call]

WorkerId = Annotated[str, Path(max_length=200)]
#: A page's token is the last id of the page before.
LastId = Annotated[str | None, Query(max_length=200, pattern=WORKER_ID_PATTERN)]
UnixTime = Annotated[int | None, Query(ge=0, lt=2**40, description="seconds since 1970, exclusive")]

_ONE = {200: ("The record", WorkerAnswer)}
_CHECKED_IN = {200: ("The record, and a fresh token", WorkerTokenAnswer)}
_BODY = (400, 403, 404, 413, 415)


@cache
def workers() -> WorkerRecords:
    """Return the service of records."""
    return bootstrap.watch.records()


@cache
def registrations() -> Registrations:
    """Return the service of registrations."""
    return bootstrap.workers.registrations()


def _caller() -> Caller:
    return caller_of(router.current_event.raw_event)


def _view(worker: Worker) -> JsonObject:
    return worker_view(worker, workers().status_of(worker))


def _one(worker: Worker) -> Response[str]:
    return answer(_view(worker))


def _with_token(
    worker: Worker, issued: IssuedToken, status: HTTPStatus = HTTPStatus.OK
) -> Response[str]:
    body = {
        "worker": _view(worker),
        **token_view(issued),
        "check_in_s": bootstrap.watch.liveness().seen_every.total_seconds(),
    }
    return answer(body, status, Location=f"/v1/workers/{worker.worker_id}")


def _report(body: CheckInInput) -> WorkerReport:
    """Read a worker's report on itself. Any status but `error` says that the worker is well."""
    error = None if body.status is None else ""
    if body.error is not None or body.status == "error":
        error = body.error or "the worker reports an error"
    given = body if isinstance(body, WorkerInput) else WorkerInput()
    return WorkerReport(
        address=given.address,
        routes=given.routes,
        active=given.active,
        build_limit=body.build_limit,
        running_build_ids=body.running_build_ids,
        error=error,
    )


@router.post(
    "/v1/worker-registrations",
    **operation(
        "inviteWorker",
        "Get a token with which a worker registers once",
        {201: ("The token", InvitationAnswer)},
        (400, 403, 413, 415),
    ),
)
def invite(body: Annotated[InvitationInput, Body()]) -> Response[str]:
    """Get a token with which a worker registers once."""
    issued = registrations().invite(body.hostname, body.job_types)
    return answer(token_view(issued), HTTPStatus.CREATED)


@router.post(
    "/v1/workers",
    **operation(
        "registerWorker",
        "Register a worker",
        {201: ("Its record, and its token", WorkerTokenAnswer)},
        (400, 403, 413, 415),
    ),
)
def register(body: Annotated[RegistrationInput, Body()]) -> Response[str]:
    """Register a worker that has just started, whether for the first time or again."""
    worker, issued = registrations().register(
        _caller(),
        body.hostname,
        body.address,
        body.routes,
        body.build_limit,
        body.running_build_ids,
    )
    count(Metric.WORKERS_REGISTERED)
    return _with_token(worker, issued, HTTPStatus.CREATED)


@router.get(
    "/v1/workers",
    **operation("listWorkers", "List workers", {200: ("A page of them, by id", WorkerPage)}),
)
def find(
    active: Annotated[bool | None, Query(description="false: workers that get no jobs")] = None,
    status: Annotated[WorkerStatus | None, Query()] = None,
    checked_in_before: UnixTime = None,
    checked_in_after: UnixTime = None,
    limit: Limit = 50,
    next_token: LastId = None,
) -> Response[str]:
    """List workers."""
    wanted = WorkerFilter(active, status, checked_in_before, checked_in_after)
    page = workers().find(wanted, limit, next_token)
    items = [_view(worker) for worker in page.items]
    return answer({"items": items, "next_token": page.next_token})


@router.get("/v1/workers/<worker_id>", **operation("getWorker", "Get a worker", _ONE, (403, 404)))
def get(worker_id: WorkerId) -> Response[str]:
    """Get a worker; a worker gets only itself."""
    _caller().require(worker_id)
    return _one(workers().get(worker_id))


@router.put(
    "/v1/workers/<worker_id>",
    **operation(
        "putWorker", "Change the fields of a worker's record that the body names", _ONE, _BODY
    ),
)
def put(worker_id: WorkerId, body: Annotated[WorkerInput, Body()]) -> Response[str]:
    """Change the fields that the body names; a worker may change only its own record."""
    caller = _caller()
    caller.require(worker_id)
    by_itself = caller.scope is Scope.WORKER
    return _one(workers().report(worker_id, _report(body), by_itself=by_itself))


@router.delete(
    "/v1/workers/<worker_id>",
    **operation(
        "deleteWorker",
        "Delete a worker's record",
        {204: ("Deleted; its tokens end within a minute", None)},
        (404, 409),
    ),
)
def delete(worker_id: WorkerId) -> Response[str]:
    """Delete a worker's record."""
    workers().delete(worker_id)
    return Response(HTTPStatus.NO_CONTENT.value, body="")


@router.post(
    "/v1/workers/<worker_id>/refresh",
    **operation("refreshWorker", "Check a worker in, and renew its token", _CHECKED_IN, _BODY),
)
def refresh(
    worker_id: WorkerId, body: Annotated[CheckInInput | None, Body()] = None
) -> Response[str]:
    """Check a worker in, record its report on itself, and renew its token."""
    report = _report(body or CheckInInput())
    return _with_token(*registrations().refresh(_caller(), worker_id, report))


@router.post(
    "/v1/workers/<worker_id>/drain",
    **operation(
        "drainWorker",
        "Drain a worker: it gets no more jobs, and its builds may finish",
        _ONE,
        (400, 404, 413, 415),
    ),
)
def drain(worker_id: WorkerId) -> Response[str]:
    """Drain a worker: it gets no more jobs, and its builds may finish."""
    return _one(workers().drain(worker_id))


@router.post(
    "/v1/workers/<worker_id>/resume",
    **operation("resumeWorker", "Give a drained worker jobs again", _ONE, (400, 404, 413, 415)),
)
def resume(worker_id: WorkerId) -> Response[str]:
    """Give a drained worker jobs again."""
    return _one(workers().resume(worker_id))


@router.post(
    "/v1/workers/<worker_id>/revoke",
    **operation(
        "revokeWorker",
        "End all tokens of a worker within a minute: it must register again",
        _ONE,
        (400, 404, 413, 415),
    ),
)
def revoke(worker_id: WorkerId) -> Response[str]:
    """End all tokens of a worker within a minute: it must register again."""
    return _one(registrations().revoke(worker_id))


@router.get(
    "/v1/workers/<worker_id>/explain",
    **operation(
        "explainWorker",
        "Explain why a worker gets jobs or none",
        {200: ("Why", WorkerExplanation)},
        (404,),
    ),
)
def explain(worker_id: WorkerId) -> Response[str]:
    """Explain why a worker gets jobs or none, by queue, and what to do next."""
    found = bootstrap.workers.explainer().explain(workers().get(worker_id))
    return answer(explanation_view(found))
