"""Routes of task definitions: Conductor's clients write and read job types of target worker."""

from __future__ import annotations

from fields import fault_at
from http_messages import DONE, Answer, Call, json_answer
from shiftwork_core import bootstrap
from shiftwork_core.domain.metrics.cloudwatch import Metric
from shiftwork_core.domain.payloads import Json
from shiftwork_core.domain.requests.definitions import Definition, Kind, Target
from shiftwork_core.errors import Conflict, NotFound
from shiftwork_core.telemetry import count
from task_definitions import merged, name_in, task_def_of

#: How many a call has time to write one after the other.
MAX_TASK_DEFS = 100


def _is_polled(definition: Definition) -> bool:
    return definition.body.get("target") == Target.WORKER.value


def _latest(name: str) -> Definition | None:
    """Return the job type; None if there is none.

    Raises
    ------
    Conflict
        If its jobs are not for workers.
    """
    try:
        found = bootstrap.requests.definitions().get(Kind.JOB_TYPE, name)
    except NotFound:
        return None
    if not _is_polled(found):
        raise Conflict(
            f"the jobs of type {name!r} are not done by workers: {found.body.get('target')} does",
            "choose another name, or change the job type: PUT /v1/job-types/{name}",
        )
    return found


def _put(task_def: Json, path: str, *, must_exist: bool) -> None:
    name = name_in(task_def, path)
    latest = _latest(name)
    if latest is None and must_exist:
        raise NotFound(
            f"there is no task definition {name!r}", "create it: POST /api/metadata/taskdefs"
        )
    body = merged(task_def, latest.body if latest else None, path)
    bootstrap.requests.definitions().put(Kind.JOB_TYPE, name, body)
    count(Metric.DEFINITIONS_PUT)


def create(call: Call) -> Answer:
    """Create job types from task definitions; in existing ones change the fields that are named."""
    task_defs = call.json()
    if not isinstance(task_defs, list):
        raise fault_at("", "must be an array of task definitions")
    if len(task_defs) > MAX_TASK_DEFS:
        raise fault_at("", f"has {len(task_defs):,} definitions; {MAX_TASK_DEFS} are the most")
    for index, task_def in enumerate(task_defs):  # Check all before writing one.
        latest = _latest(name_in(task_def, f"[{index}]"))
        merged(task_def, latest.body if latest else None, f"[{index}]")
    for index, task_def in enumerate(task_defs):
        _put(task_def, f"[{index}]", must_exist=False)
    return DONE


def update(call: Call) -> Answer:
    """Change the fields that are named, and no others."""
    _put(call.json(), "", must_exist=True)
    return DONE


def get(call: Call) -> Answer:
    """Return one task definition."""
    [name] = call.parameters
    call.caller.require_type(name)
    found = bootstrap.requests.definitions().get(Kind.JOB_TYPE, name)
    if not _is_polled(found):
        raise NotFound(f"job type {name!r} is not done by workers, so it has no task definition")
    return json_answer(task_def_of(found))


def get_all(call: Call) -> Answer:
    """Return every task definition, by name; of a worker's types, if its token names some."""
    found = bootstrap.requests.definitions().polled()
    return json_answer([task_def_of(d) for d in found if call.caller.may_do(d.name)])


def delete(call: Call) -> Answer:
    """Hide the job type. Requests that were submitted before keep their version."""
    [name] = call.parameters
    if _latest(name) is None:
        raise NotFound(f"there is no task definition {name!r}")
    bootstrap.requests.definitions().delete(Kind.JOB_TYPE, name)
    count(Metric.DEFINITIONS_DELETED)
    return DONE
