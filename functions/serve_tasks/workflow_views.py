"""Views of requests as Conductor's workflows."""

from __future__ import annotations

from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.services.requests.details import RequestDetails
from task_definitions import epoch_ms

STATUSES = {
    RequestStatus.QUEUING: "RUNNING",
    RequestStatus.INPROGRESS: "RUNNING",
    RequestStatus.COMPLETED: "COMPLETED",
    RequestStatus.FAILED: "FAILED",
    RequestStatus.CANCELLED: "TERMINATED",
}


def conductor_workflow(details: RequestDetails, tasks: list[JsonObject] | None) -> JsonObject:
    """Return Conductor's Workflow, without tasks for None."""
    request = details.request
    ended_ms = epoch_ms(request.completed_at)
    failed_job = request.error.job if request.error else None
    failed = [t for t in tasks or [] if t["status"] == "FAILED_WITH_TERMINAL_ERROR"]
    return {
        "workflowId": request.request_id,
        "workflowName": request.type,
        "workflowType": request.type,
        "workflowVersion": request.type_version,
        "version": request.type_version,
        # Conductor's clients read name and version here.
        "workflowDefinition": {"name": request.type, "version": request.type_version, "tasks": []},
        "status": STATUSES[request.status],
        "input": details.params,
        "output": details.extras,
        "variables": {},
        "correlationId": request.correlation_id,
        "priority": request.priority,
        "taskToDomain": request.domains,
        "createTime": epoch_ms(request.created_at),
        "startTime": epoch_ms(request.created_at),
        "endTime": ended_ms,
        "updateTime": ended_ms or epoch_ms(request.started_at or request.created_at),
        "reasonForIncompletion": request.error.message if request.error else None,
        "failedReferenceTaskNames": [failed_job] if failed_job else [],
        "failedTaskNames": sorted({t["taskDefName"] for t in failed}),
    } | ({} if tasks is None else {"tasks": tasks})


def workflow_status(workflow: JsonObject, *, has_output: bool, has_variables: bool) -> JsonObject:
    """Return Conductor's WorkflowStatus."""
    about = {key: workflow[key] for key in ("workflowId", "correlationId", "status")}
    about |= {"output": workflow["output"]} if has_output else {}
    return about | ({"variables": workflow["variables"]} if has_variables else {})
