"""Routes of workflows: Conductor's clients start, read and end requests."""

from __future__ import annotations

from functools import cache
from typing import Any

import fields
from fields import check, fault_at
from http_messages import DONE, NOTHING, Answer, Call, json_answer, text_answer
from shiftwork_core import bootstrap
from shiftwork_core.domain.metrics.cloudwatch import Metric
from shiftwork_core.domain.payloads import Json, JsonObject
from shiftwork_core.errors import AnswerTooLarge, Conflict, FaultAt, Invalid, NotFound, NotOffered
from shiftwork_core.json_input import check_payloads, summarise
from shiftwork_core.services.requests.requests import Requests, Submission
from shiftwork_core.telemetry import count, logger
from task_views import conductor_task
from workflow_views import conductor_workflow, workflow_status

MAX_PRIORITY = 99
MAX_DOMAINS = 100
MAX_REASON_LENGTH = 1000
#: Each may have an output of its own to fetch, within 29 seconds.
MAX_TASKS = 1000
_MAX_VERSION = 10**9
_STRATEGIES = ("FAIL", "RETURN_EXISTING")


@cache
def service() -> Requests:
    """Return the service behind these routes."""
    return bootstrap.requests.service(_check_schema)


def _check_schema(schema: JsonObject, value: Json) -> list[FaultAt]:
    # It takes long to import, and a process that only serves polls never needs it.
    from shiftwork_core.adapters.schemas.check import check_schema

    return check_schema(schema, value)


def start(call: Call) -> Answer:
    """Submit the request that a StartWorkflowRequest describes."""
    body = call.object()
    if body.get("workflowDef"):
        raise NotOffered(
            "Shiftwork runs no workflow that comes with its own definition",
            "put its request type first: PUT /v1/request-types/{name}, or `shiftwork apply`",
        )
    if body.get("externalInputPayloadStoragePath"):
        raise NotOffered(
            "Shiftwork has no external payload storage of Conductor's",
            "send the input as it is: large ones are stored by Shiftwork",
        )
    submission = Submission(
        type=check("name", body.get("name"), fields.name),
        params=check("input", body.get("input"), fields.map_of_json),
        extras={},
        version=check("version", body.get("version"), _version),
        correlation_id=check("correlationId", body.get("correlationId"), fields.short_text),
        priority=check("priority", body.get("priority"), _priority),
        may_ignore_priority=True,
        domains=check("taskToDomain", body.get("taskToDomain"), _domains),
    )
    key = check("idempotencyKey", body.get("idempotencyKey"), fields.short_text)
    return _start(call, submission, key, body.get("idempotencyStrategy"))


def start_by_name(call: Call) -> Answer:
    """Submit a request whose params are the body."""
    [name] = call.parameters
    submission = Submission(
        type=name,
        params=call.object(),
        extras={},
        version=call.number("version", 0, 0, _MAX_VERSION - 1) or None,
        correlation_id=call.text("correlationId"),
        priority=call.number("priority", 0, 0, MAX_PRIORITY),
        may_ignore_priority=True,
    )
    return _start(call, submission, None, None)


def _start(call: Call, submission: Submission, key: str | None, strategy: Json) -> Answer:
    """Submit the request, under the key and strategy of the headers if the body has none."""
    header = call.headers.get("x-idempotency-key")
    key = key or check("X-Idempotency-Key", header, fields.short_text)
    strategy = strategy or call.headers.get("x-on-conflict") or "FAIL"
    if strategy not in _STRATEGIES:
        raise fault_at("idempotencyStrategy", f"must be one of {', '.join(_STRATEGIES)}")
    check_payloads(input=submission.params)
    try:
        request, is_new = service().submit(submission, key)
    except Invalid as error:
        raise _in_conductors_words(error) from error
    if not is_new and strategy == "FAIL":
        raise Conflict(
            f"workflow {request.request_id} was started under this idempotency key",
            "send idempotencyStrategy RETURN_EXISTING to be given its id",
        )
    logger.append_keys(request_id=request.request_id)
    if not is_new:
        count(Metric.REQUESTS_REPLAYED)
    return text_answer(request.request_id)


def _in_conductors_words(error: Invalid) -> Exception:
    """Return the error in Conductor's terms; an unknown type is a 404 there."""
    if {f.path for f in error.faults} & {"type", "version"}:
        return NotFound(error.detail, "list the request types: GET /v1/request-types")
    if "Idempotency-Key" in {f.path for f in error.faults}:
        return Conflict(error.detail, error.next_step)
    faults = [FaultAt(_renamed(f.path), f.message) for f in error.faults]
    return Invalid(summarise(faults), faults, error.next_step)


def _renamed(path: str) -> str:
    return f"input{path.removeprefix('params')}" if path.startswith("params") else path


def _version(given: Any) -> int | None:
    value = fields.number_in(given)
    if value is None or value == 0:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value < _MAX_VERSION:
        raise ValueError("must be a whole number from 1")
    return value


def _priority(given: Any) -> int:
    value = fields.number_in(given)
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_PRIORITY:
        raise ValueError(f"must be a whole number from 0 to {MAX_PRIORITY}")
    return value


def _domains(value: Any) -> dict[str, str]:
    found = fields.map_of_json(value)
    if len(found) > MAX_DOMAINS:
        raise ValueError(f"has {len(found):,} entries; {MAX_DOMAINS} are the most")
    return {fields.name(task_type): _domain(domain) for task_type, domain in found.items()}


def _domain(value: Any) -> str:
    domain = fields.name(value)
    if "," in domain or domain == "NO_DOMAIN":
        raise ValueError("must name one domain; Shiftwork has no list of domains to fall back to")
    return domain


def get(call: Call) -> Answer:
    """Return a workflow, with its tasks unless `includeTasks` is false."""
    [workflow_id] = call.parameters
    return json_answer(_workflow(workflow_id, has_tasks=call.flag("includeTasks", True)))


def get_status(call: Call) -> Answer:
    """Return a workflow's status."""
    [workflow_id] = call.parameters
    return json_answer(
        workflow_status(
            _workflow(workflow_id, has_tasks=False),
            has_output=call.flag("includeOutput", False),
            has_variables=call.flag("includeVariables", False),
        )
    )


def _workflow(workflow_id: str, *, has_tasks: bool) -> JsonObject:
    request = service().get(workflow_id)
    tasks = None
    if has_tasks:
        held = bootstrap.polling.tasks().of_request(workflow_id, MAX_TASKS)
        if held is None:
            raise AnswerTooLarge(
                f"the workflow has more than {MAX_TASKS:,} tasks, retries counted; one answer has"
                " no more",
                f"ask with includeTasks=false; list them: GET /v1/requests/{workflow_id}/jobs",
            )
        tasks = [conductor_task(task, bootstrap.world.now()) for task in held]
    return conductor_workflow(service().details(request), tasks)


def terminate(call: Call) -> Answer:
    """Cancel a request, which then names the reason as its error."""
    [workflow_id] = call.parameters
    reason = call.query.get("reason", [""])[-1][:MAX_REASON_LENGTH]
    service().cancel(workflow_id, reason or "terminated by a client of the task API")
    return DONE


def retry(call: Call) -> Answer:
    """Run again what failed."""
    [workflow_id] = call.parameters
    service().retry(workflow_id)
    return NOTHING
