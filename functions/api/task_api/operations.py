"""The table of what each route of tasks takes and answers; Conductor's words are kept.

A route that is not here answers 501. Statuses that every route may answer are in `document`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from task_api import inputs, views

#: A query's parameter, or another that the path does not name.
Parameter = dict[str, Any]


@dataclass(frozen=True, slots=True)
class TaskOperation:
    """What a route takes and answers.

    Attributes
    ----------
    name
        The operation's id.
    summary
        What the route does.
    answers
        What each status of a success means, and the type of its JSON: `str` stands for an id as
        plain text, None for an empty answer.
    problems
        The statuses of refusals, besides those that every route has, or every one with a variable.
    parameters
        Those of the query and of headers.
    body
        The type of its JSON, None for no body; `str` stands for a text.
    needs_body
        Whether the body may not be missing.
    """

    name: str
    summary: str
    answers: Mapping[int, tuple[str, Any]]
    problems: tuple[int, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    body: Any = None
    needs_body: bool = field(default=True)


def _query(name: str, description: str = "", **schema: Any) -> Parameter:
    """Return an optional parameter of the query, a short text unless the schema says otherwise."""
    kind = schema or {"type": "string", "maxLength": 200}
    about = {"description": description} if description else {}
    return {"name": name, "in": "query", "schema": kind} | about


def _header(name: str, description: str, **schema: Any) -> Parameter:
    return {"name": name, "in": "header", "schema": schema, "description": description}


def _flag(name: str, default: bool) -> Parameter:
    return _query(name, type="boolean", default=default)


_DOMAIN = _query("domain", "take only tasks of this domain; absent: those of none")
_WORKER = _query("workerid", "absent: the one that the token is for")
_TYPE = _query("taskType", type="string", minLength=1, maxLength=200) | {"required": True}
_TYPES = _query(
    "taskType",
    type="array",
    maxItems=100,
    items={"type": "string", "minLength": 1, "maxLength": 200},
)
_PRIORITY = _query("priority", type="integer", minimum=0, maximum=99, default=0)
_VERSION = _query("version", "0: the latest", type="integer", minimum=0, maximum=10**9 - 1)

_STRATEGIES = ["FAIL", "RETURN_EXISTING"]

_DONE = {200: ("Done", None)}
_TASK_ID = {200: ("The task's id", str)}
_WORKFLOW_ID = {200: ("The workflow's id", str)}
_NONE = {204: ("There is none", None)}
_SIZES = {200: ("The number of queued tasks by queue", dict[str, int])}
_POLLS = {200: ("Who polled when", list[views.ConductorPollData])}

OPERATIONS: dict[tuple[str, str], TaskOperation] = {
    ("POST", "/v1/tasks/exchange"): TaskOperation(
        "exchangeTasks",
        "Report results, and claim tasks, in one call",
        {200: ("How the results were taken, and the tasks", views.ExchangeAnswer)},
        body=inputs.ExchangeInput,
        needs_body=False,
    ),
    ("POST", "/api/token"): TaskOperation(
        "issueConductorToken",
        "Get a signed token for one of the deployment's",
        {200: ("The token", views.ConductorToken)},
        body=inputs.ConductorTokenInput,
    ),
    ("GET", "/api/tasks/poll/{*type}"): TaskOperation(
        "pollConductorTask",
        "Claim a task",
        {200: ("The task", views.ConductorTask), **_NONE},
        (404,),
        (_WORKER, _DOMAIN),
    ),
    ("GET", "/api/tasks/poll/batch/{*type}"): TaskOperation(
        "pollConductorTasks",
        "Claim tasks",
        {200: ("The tasks; none if none is queued", list[views.ConductorTask])},
        (),
        (
            _WORKER,
            _DOMAIN,
            _query(
                "count",
                "at most 100 are given",
                type="integer",
                minimum=1,
                maximum=1000,
                default=1,
            ),
            _query(
                "timeout",
                "how long to wait for the first one, in milliseconds",
                type="integer",
                minimum=0,
                maximum=5000,
                default=100,
            ),
        ),
    ),
    ("POST", "/api/tasks"): TaskOperation(
        "updateConductorTask",
        "Report on a task",
        _TASK_ID,
        (404, 501),
        body=inputs.ConductorTaskResultInput,
    ),
    ("POST", "/api/tasks/update-v2"): TaskOperation(
        "updateConductorTaskAndPoll",
        "Report on a task, and claim the next one of its type",
        {200: ("The next task", views.ConductorTask), **_NONE},
        (501,),
        body=inputs.ConductorTaskResultInput,
    ),
    ("POST", "/api/tasks/{*workflow_id}/{*name}/{*status}"): TaskOperation(
        "updateConductorTaskByName",
        "Report on the latest task of a reference name",
        _TASK_ID,
        (404, 409),
        body=dict[str, Any],
        needs_body=False,
    ),
    ("GET", "/api/tasks/{*task_id}"): TaskOperation(
        "getConductorTask", "Get a task", {200: ("The task", views.ConductorTask)}, (404,)
    ),
    ("POST", "/api/tasks/{*task_id}/log"): TaskOperation(
        "addConductorLog",
        "Add a line to a task's log",
        _DONE,
        (404,),
        body=str,
        needs_body=False,
    ),
    ("GET", "/api/tasks/{*task_id}/log"): TaskOperation(
        "getConductorLogs",
        "Get a task's log",
        {200: ("Its lines, in order of time", list[views.ConductorLog])},
        (404,),
    ),
    ("GET", "/api/tasks/queue/size"): TaskOperation(
        "getConductorQueueSize",
        "Count the queued tasks of a type",
        {200: ("The number", int)},
        (),
        (_TYPE, _DOMAIN),
    ),
    ("GET", "/api/tasks/queue/sizes"): TaskOperation(
        "getConductorQueueSizes", "Count the queued tasks of some types", _SIZES, (), (_TYPES,)
    ),
    ("GET", "/api/tasks/queue/all"): TaskOperation(
        "getConductorQueues", "Count the queued tasks of every queue", _SIZES
    ),
    ("GET", "/api/tasks/queue/polldata"): TaskOperation(
        "getConductorPollData", "List who polled for a type", _POLLS, (), (_TYPE,)
    ),
    ("GET", "/api/tasks/queue/polldata/all"): TaskOperation(
        "getAllConductorPollData", "List who polled for which type", _POLLS
    ),
    ("GET", "/api/metadata/taskdefs"): TaskOperation(
        "listConductorTaskDefs",
        "List the task definitions",
        {200: ("All of them, by name", list[views.ConductorTaskDef])},
    ),
    ("POST", "/api/metadata/taskdefs"): TaskOperation(
        "createConductorTaskDefs",
        "Create task definitions, or change the fields that are named",
        _DONE,
        (409,),
        body=inputs.ConductorTaskDefsInput,
    ),
    ("PUT", "/api/metadata/taskdefs"): TaskOperation(
        "updateConductorTaskDef",
        "Change the fields of a task definition that are named",
        _DONE,
        (404, 409),
        body=inputs.ConductorTaskDefInput,
    ),
    ("GET", "/api/metadata/taskdefs/{*type}"): TaskOperation(
        "getConductorTaskDef",
        "Get a task definition",
        {200: ("The definition", views.ConductorTaskDef)},
        (404,),
    ),
    ("DELETE", "/api/metadata/taskdefs/{*type}"): TaskOperation(
        "deleteConductorTaskDef", "Delete a task definition", _DONE, (404, 409)
    ),
    ("POST", "/api/workflow"): TaskOperation(
        "startConductorWorkflow",
        "Start a workflow",
        _WORKFLOW_ID,
        (404, 409, 501),
        (
            _header("X-Idempotency-Key", "if the body has none", type="string", maxLength=200),
            _header("X-On-Conflict", "if the body has no strategy", enum=_STRATEGIES),
        ),
        body=inputs.ConductorStartInput,
    ),
    ("POST", "/api/workflow/{*name}"): TaskOperation(
        "startConductorWorkflowByName",
        "Start a workflow with the body as its input",
        _WORKFLOW_ID,
        (404, 409),
        (
            _VERSION,
            _query("correlationId"),
            _PRIORITY,
            _header("X-Idempotency-Key", "of the start", type="string", maxLength=200),
            _header("X-On-Conflict", "what a key that was used means", enum=_STRATEGIES),
        ),
        body=dict[str, Any],
        needs_body=False,
    ),
    ("GET", "/api/workflow/{*workflow_id}"): TaskOperation(
        "getConductorWorkflow",
        "Get a workflow",
        {200: ("The workflow", views.ConductorWorkflow)},
        (404,),
        (_flag("includeTasks", True),),
    ),
    ("GET", "/api/workflow/{*workflow_id}/status"): TaskOperation(
        "getConductorWorkflowStatus",
        "Get a workflow's status",
        {200: ("The status", views.ConductorWorkflowStatus)},
        (404,),
        (_flag("includeOutput", False), _flag("includeVariables", False)),
    ),
    ("DELETE", "/api/workflow/{*workflow_id}"): TaskOperation(
        "terminateConductorWorkflow",
        "Cancel a workflow",
        _DONE,
        (404, 409),
        (_query("reason", "becomes the request's error", type="string"),),
    ),
    ("POST", "/api/workflow/{*workflow_id}/retry"): TaskOperation(
        "retryConductorWorkflow",
        "Run again what failed",
        {204: ("It runs again", None)},
        (404, 409),
    ),
}
