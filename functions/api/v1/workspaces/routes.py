"""Routes of workspaces and their lifecycle jobs."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from http import HTTPStatus
from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Path, Query
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter
from pydantic import BaseModel

from answers import answer
from inputs import NAME_PATTERN
from operations import Limit, NameInPath, NextToken, operation
from shiftwork_core import bootstrap
from shiftwork_core.caller import caller_of
from shiftwork_core.domain.metrics.cloudwatch import Metric
from shiftwork_core.domain.workers.workers import worker_key
from shiftwork_core.domain.workspaces.records import (
    Desired,
    JobState,
    Operation,
    Override,
    Workspace,
)
from shiftwork_core.errors import FaultAt, Invalid
from shiftwork_core.json_input import check_payloads
from shiftwork_core.services.workspaces.workspaces import Workspaces
from shiftwork_core.telemetry import count, logger
from v1.workspaces.inputs import DeadlineInput, OverrideInput, WorkspaceInput
from v1.workspaces.views import (
    DryRunAnswer,
    LifecycleJobAnswer,
    LifecycleJobPage,
    LifecycleLogPage,
    PlanAnswer,
    WorkspaceAnswer,
    WorkspaceExplanation,
    WorkspacePage,
    dry_run_view,
    explanation_view,
    job_view,
    log_view,
    plan_view,
    view,
)

router = APIGatewayHttpRouter()  # type: ignore[no-untyped-call]

JobId = Annotated[str, Path(max_length=200)]
#: A page's token is the last id of the page before.
LastId = Annotated[str | None, Query(pattern=NAME_PATTERN)]
IsDryRun = Annotated[bool, Query(description="only say what a switch would do now")]
Days = Annotated[int, Query(ge=1, le=90, description="how far ahead")]

_ONE = {200: ("The workspace", WorkspaceAnswer)}
_JOB = {200: ("The job", LifecycleJobAnswer)}
_SWITCHED: dict[int, tuple[str, type[BaseModel] | None]] = {
    200: ("What would be done; nothing was", DryRunAnswer),
    202: ("The job that switches it", LifecycleJobAnswer),
}
_BODY = (400, 404, 413, 415)


@cache
def workspaces() -> Workspaces:
    """Return the service behind these routes."""
    return bootstrap.workspaces.service()


def _one(row: Workspace, status: HTTPStatus = HTTPStatus.OK) -> Response[str]:
    return answer(view(row, workspaces().override_of(row)), status)


@router.put(
    "/v1/workspaces/<name>",
    **operation(
        "putWorkspace",
        "Create or replace a workspace",
        {
            200: ("The workspace, replaced or unchanged", WorkspaceAnswer),
            201: ("The new workspace", WorkspaceAnswer),
        },
        (400, 404, 413, 415),
    ),
)
def put(name: NameInPath, body: Annotated[WorkspaceInput, Body()]) -> Response[str]:
    """Store the body as it was written: validation added and converted nothing."""
    if body.name not in (None, name):
        message = f"must be {name!r}, as in the path, or left out"
        raise Invalid(f"the body's name {message}", [FaultAt("name", message)])
    given = router.current_event.json_body
    definition = {k: v for k, v in given.items() if k not in ("kind", "name")}
    check_payloads(definition=definition)
    row, is_new = workspaces().put(name, definition)
    count(Metric.WORKSPACES_PUT)
    return _one(row, HTTPStatus.CREATED if is_new else HTTPStatus.OK)


@router.get(
    "/v1/workspaces",
    **operation(
        "listWorkspaces", "List workspaces", {200: ("A page of them, by id", WorkspacePage)}
    ),
)
def find(limit: Limit = 50, next_token: LastId = None) -> Response[str]:
    """List workspaces."""
    page = workspaces().find(limit, next_token)
    items = [view(row, workspaces().override_of(row)) for row in page.items]
    return answer({"items": items, "next_token": page.next_token})


@router.get("/v1/workspaces/<name>", **operation("getWorkspace", "Get a workspace", _ONE, (404,)))
def get(name: NameInPath) -> Response[str]:
    """Get a workspace."""
    return _one(workspaces().get(name))


@router.delete(
    "/v1/workspaces/<name>",
    **operation(
        "deleteWorkspace",
        "Delete a workspace",
        {204: ("Deleted; the machines that it stands for stay as they are", None)},
        (404,),
    ),
)
def delete(name: NameInPath) -> Response[str]:
    """Delete a workspace and cancel its jobs."""
    workspaces().delete(name)
    count(Metric.WORKSPACES_DELETED)
    return Response(HTTPStatus.NO_CONTENT.value, body="")


def _switch(name: str, operation: Operation, is_dry_run: bool) -> Response[str]:
    if is_dry_run:
        return answer(dry_run_view(workspaces().dry_run(name, operation)))
    job = workspaces().switch(name, operation)
    logger.append_keys(lifecycle_job_id=job.id)
    count(Metric.SWITCHES_ASKED)
    return answer(job_view(job), HTTPStatus.ACCEPTED, Location=f"/v1/lifecycle-jobs/{job.id}")


@router.post(
    "/v1/workspaces/<name>/start",
    **operation("startWorkspace", "Start a workspace now", _SWITCHED, (*_BODY, 409)),
)
def start(name: NameInPath, dry_run: IsDryRun = False) -> Response[str]:
    """Start a workspace now. Two calls make one job."""
    return _switch(name, Operation.START, dry_run)


@router.post(
    "/v1/workspaces/<name>/stop",
    **operation("stopWorkspace", "Stop a workspace now", _SWITCHED, (*_BODY, 409)),
)
def stop(name: NameInPath, dry_run: IsDryRun = False) -> Response[str]:
    """Stop a workspace now. Two calls make one job."""
    return _switch(name, Operation.STOP, dry_run)


@router.put(
    "/v1/workspaces/<name>/override",
    **operation("overrideWorkspace", "Keep a workspace on, or off, until a time", _ONE, _BODY),
)
def override(name: NameInPath, body: Annotated[OverrideInput, Body()]) -> Response[str]:
    """Keep a workspace on, or off, until a time; an earlier override is replaced."""
    since = bootstrap.world.now() if body.since is None else body.since
    wanted = Override(Desired(body.desired), since, body.until, body.reason)
    return _one(workspaces().override(name, wanted))


@router.delete(
    "/v1/workspaces/<name>/override",
    **operation("clearOverride", "Let the schedule decide again", _ONE, (404,)),
)
def clear_override(name: NameInPath) -> Response[str]:
    """Let the schedule decide again."""
    return _one(workspaces().clear_override(name))


@router.post(
    "/v1/workspaces/<name>/activity",
    **operation(
        "reportActivity", "Report that a workspace is in use: it stays on longer", _ONE, _BODY
    ),
)
def activity(name: NameInPath) -> Response[str]:
    """Report that a workspace is in use: its deadline moves later, never earlier.

    A worker may say so of the workspaces that it runs in.
    """
    caller = caller_of(router.current_event.raw_event)
    worker = caller.name_of(None) if caller.is_worker else None
    return _one(workspaces().active(name, worker and worker_key(worker)))


@router.put(
    "/v1/workspaces/<name>/deadline",
    **operation("moveDeadline", "Stop a running workspace at a time", _ONE, (*_BODY, 409)),
)
def deadline(name: NameInPath, body: Annotated[DeadlineInput, Body()]) -> Response[str]:
    """Stop a running workspace at a time; its schedule may stop it sooner."""
    return _one(workspaces().set_deadline(name, body.deadline))


@router.get(
    "/v1/workspaces/<name>/plan",
    **operation(
        "planWorkspace",
        "List the switches to come, and those that are left out",
        {200: ("The switches, in order of time", PlanAnswer)},
        (404,),
    ),
)
def plan(name: NameInPath, days: Days = 30) -> Response[str]:
    """List the switches to come, and those that are left out and why."""
    entries = workspaces().plan(name, bootstrap.world.now() + timedelta(days=days))
    return answer({"items": [plan_view(entry) for entry in entries]})


@router.get(
    "/v1/workspaces/<name>/explain",
    **operation(
        "explainWorkspace",
        "Explain why a workspace is on or off",
        {200: ("Why", WorkspaceExplanation)},
        (404,),
    ),
)
def explain(name: NameInPath) -> Response[str]:
    """Explain why a workspace is on or off, when that changes next, and what prevents it."""
    explained = bootstrap.workspaces.explainer().explain(workspaces().get(name))
    return answer(explanation_view(explained))


@router.get(
    "/v1/lifecycle-jobs",
    **operation(
        "listLifecycleJobs",
        "List the starts and stops of workspaces",
        {200: ("A page of them, newest first", LifecycleJobPage)},
    ),
)
def find_jobs(
    workspace: Annotated[str | None, Query(pattern=NAME_PATTERN)] = None,
    state: Annotated[JobState | None, Query()] = None,
    limit: Limit = 50,
    next_token: NextToken = None,
) -> Response[str]:
    """List the starts and stops of workspaces."""
    page = workspaces().jobs(workspace, state, limit, next_token)
    return answer({"items": [job_view(job) for job in page.items], "next_token": page.next_token})


@router.get(
    "/v1/lifecycle-jobs/<job_id>",
    **operation("getLifecycleJob", "Get a lifecycle job", _JOB, (404,)),
)
def get_job(job_id: JobId) -> Response[str]:
    """Get a lifecycle job."""
    return answer(job_view(workspaces().job(job_id)))


@router.post(
    "/v1/lifecycle-jobs/<job_id>/cancel",
    **operation(
        "cancelLifecycleJob", "Cancel a lifecycle job: its switch is left out", _JOB, (*_BODY, 409)
    ),
)
def cancel_job(job_id: JobId) -> Response[str]:
    """Cancel a lifecycle job that has not ended: its switch is left out."""
    return answer(job_view(workspaces().cancel_job(job_id)))


@router.get(
    "/v1/lifecycle-jobs/<job_id>/logs",
    **operation(
        "listLifecycleJobLogs",
        "List what was done for a lifecycle job",
        {200: ("Every line, oldest first", LifecycleLogPage)},
        (404,),
    ),
)
def job_logs(job_id: JobId) -> Response[str]:
    """List what was done for a lifecycle job, and why."""
    lines = workspaces().job_logs(job_id)
    return answer({"items": [log_view(line) for line in lines], "next_token": None})
