"""Run a request with one wide step of jobs that do nothing, and count what it uses."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Mapping
from typing import Any
from urllib.request import urlopen

from shiftwork.api.client import ShiftworkClient
from shiftwork.local.errors import LocalStackError
from shiftwork.local.verify.counts import Clients, CountSource, transitions_of
from shiftwork.local.verify.figures import Expected

_NAME = "verify-empty-step"
_JOB_TYPE = "verify.empty"
_CALLBACK = f'''"""A job that does nothing: `shiftwork verify` adds it to its throw-away stack."""

from shiftwork_core.callbacks import callback

callback("{_JOB_TYPE}")(lambda job: None)
'''
_WITHIN_S = 600.0
_POLL_S = 1.0


def run_step(
    clients: Clients,
    resources: Mapping[str, str],
    api: ShiftworkClient,
    source: CountSource,
    expected: Expected,
) -> Mapping[str, float | None]:
    """Run the step on the stack; return the figures.

    Raises
    ------
    LocalStackError
        If the request does not complete.
    """
    _add_callback(clients("lambda"), resources["RunJobsFunction"])
    job_type = {"target": "python", "batch_size": expected.batch_size}
    api.put_definition("job-type", _JOB_TYPE, job_type)
    job = {"name": "job", "type": _JOB_TYPE, "for_each": "params.items"}
    steps = {"steps": [{"name": "step", "jobs": [job]}], "params": {"type": "object"}}
    api.put_definition("request-type", _NAME, steps)
    source.begin()
    submitted = api.submit(_NAME, {"items": list(range(expected.jobs))})
    request_id = submitted["request_id"]
    machine = resources["RunRequestStateMachine"]
    execution = f"{machine.replace(':stateMachine:', ':execution:')}:{request_id}"
    # Not by polling the API, whose calls and reads would count too.
    _await_end(clients("stepfunctions"), execution)
    found = dict(source.take(expected.jobs))
    request = api.get(request_id)
    if request["status"] != "Completed":
        raise LocalStackError(f"The step of {expected.jobs:,} jobs ended {request['status']}.")
    return {**found, "transitions": transitions_of(clients("stepfunctions"), execution)}


def _add_callback(functions: Any, name: str) -> None:
    """Put a callback that does nothing beside those that are deployed."""
    location = functions.get_function(FunctionName=name)["Code"]["Location"]
    with urlopen(location, timeout=60) as answer:
        code = io.BytesIO(answer.read())
    with zipfile.ZipFile(code, "a") as archive:
        archive.writestr("callbacks/verify.py", _CALLBACK)
    functions.update_function_code(FunctionName=name, ZipFile=code.getvalue())
    functions.get_waiter("function_updated_v2").wait(FunctionName=name)


def _await_end(stepfunctions: Any, execution: str) -> None:
    deadline = time.monotonic() + _WITHIN_S
    while time.monotonic() < deadline:
        status = stepfunctions.describe_execution(executionArn=execution)["status"]
        if status == "SUCCEEDED":
            return
        if status != "RUNNING":
            raise LocalStackError(f"The execution of the step is {status}.")
        time.sleep(_POLL_S)
    raise LocalStackError(f"The execution of the step still runs after {_WITHIN_S:.0f} s.")
