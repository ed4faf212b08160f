"""The deployment that is measured: a local stack of its own, which the benchmarks may change."""

from __future__ import annotations

import io
import json
import os
import time
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3

from shiftwork.api.client import ShiftworkClient

PROJECT = Path(__file__).resolve().parent.parent
BATCH_SIZES = (10, 100)
_DEADLINE_S = 120.0
_POLL_S = 0.05

#: Registered beside the callbacks of the project, on this deployment only.
_EMPTY_CALLBACKS = f"""
from shiftwork_core.callbacks import callback

for size in {BATCH_SIZES}:
    callback(f"bench.empty{{size}}")(lambda job: None)
"""
#: It logs one line, as a Powertools handler does: the emulator makes a silent one wait for 50 ms.
_NO_OP = """
def handler(event, context):
    print("no-op")
    return {"is_waiting": False}
"""


class Deployment:
    """A local stack, by the logical ids of its template.

    Attributes
    ----------
    endpoint
        The emulator's address.
    functions
        The names of the deployed functions by their logical ids.
    physical
        The names of all resources by their logical ids.
    api
        A client of Shiftwork's API.
    """

    def __init__(self) -> None:
        self.endpoint = os.environ["AWS_ENDPOINT_URL"]
        if urlsplit(self.endpoint).hostname not in ("127.0.0.1", "localhost"):
            raise SystemExit(
                f"benchmarks change what they measure: not {self.endpoint}, but a local stack only"
            )
        self.api = ShiftworkClient()
        stack = aws("cloudformation").describe_stack_resources(
            StackName=os.environ["SHIFTWORK_STACK"]
        )
        self.physical: dict[str, str] = {
            resource["LogicalResourceId"]: resource["PhysicalResourceId"]
            for resource in stack["StackResources"]
        }
        self.functions = {
            logical: physical
            for logical, physical in self.physical.items()
            if logical.endswith("Function")
        }

    def configuration(self, function: str) -> dict[str, Any]:
        """Return the configuration of a function."""
        name = self.functions[function]
        config: dict[str, Any] = aws("lambda").get_function_configuration(FunctionName=name)
        return config

    def invoke(self, function: str, event: Mapping[str, Any]) -> None:
        """Call a function, and wait for its answer."""
        answer = aws("lambda").invoke(
            FunctionName=self.functions[function], Payload=json.dumps(event)
        )
        if "FunctionError" in answer:
            raise RuntimeError(f"{function} failed: {answer['Payload'].read().decode()}")

    # -- preparing it --------------------------------------------------------------------------

    def set_environment(self, function: str, variables: Mapping[str, str]) -> None:
        """Add variables to a function's environment; its running processes serve no more calls."""
        environment = self.configuration(function)["Environment"]["Variables"]
        aws("lambda").update_function_configuration(
            FunctionName=self.functions[function],
            Environment={"Variables": {**environment, **variables}},
        )

    def add_empty_jobs(self) -> None:
        """Deploy callbacks that do nothing, and a job type of each batch size for them."""
        folder = PROJECT / "functions/run_jobs"
        files = {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*.py")}
        files["callbacks/bench.py"] = _EMPTY_CALLBACKS
        aws("lambda").update_function_code(
            FunctionName=self.functions["RunJobsFunction"], ZipFile=zipped(files)
        )
        for size in BATCH_SIZES:
            job_type = {"target": "python", "batch_size": size}
            self.api.put_definition("job-type", f"bench.empty{size}", job_type)

    def add_request_type(self, steps: int, batch_size: int) -> str:
        """Put a request type each of whose steps has an empty job for every item of `params`."""
        name = f"bench-{steps}-steps-batch-{batch_size}"
        job = {"name": "job", "type": f"bench.empty{batch_size}", "for_each": "params.items"}
        body = {
            "params": {"type": "object"},
            "steps": [{"name": f"step{n}", "jobs": [job]} for n in range(1, steps + 1)],
        }
        self.api.put_definition("request-type", name, body)
        return name

    def add_bare_machine(self, steps: int, width: int) -> str:
        """Make a machine of `steps` Maps in sequence, each of `width` calls of a no-op function."""
        like = self.configuration("RunJobsFunction")
        function = aws("lambda").create_function(
            FunctionName="bench-no-op",
            Runtime=like["Runtime"],
            Role=like["Role"],
            Handler="app.handler",
            MemorySize=like["MemorySize"],
            Code={"ZipFile": zipped({"app.py": _NO_OP})},
        )["FunctionArn"]
        call = {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": {"FunctionName": function, "Payload.$": "$"},
            "End": True,
        }
        states: dict[str, Any] = {"Done": {"Type": "Succeed"}}
        for step in range(1, steps + 1):
            states[f"Step{step}"] = {
                "Type": "Map",
                "ItemsPath": "$.items",
                "MaxConcurrency": 40,
                "ItemProcessor": {"StartAt": "Call", "States": {"Call": call}},
                "ResultPath": None,
                "Next": f"Step{step + 1}" if step < steps else "Done",
            }
        machine = aws("stepfunctions").create_state_machine(
            name="bench-bare-map",
            definition=json.dumps({"StartAt": "Step1", "States": states}),
            roleArn=like["Role"],
        )
        return str(machine["stateMachineArn"])

    # -- running something ---------------------------------------------------------------------

    def execution_of(self, request_id: str) -> str:
        """Return the ARN of a request's first execution."""
        machine = self.physical["RunRequestStateMachine"]
        return f"{machine.replace(':stateMachine:', ':execution:')}:{request_id}"


@cache
def aws(service: str) -> Any:
    """Return a client of one of the emulator's services."""
    return boto3.client(service)  # type: ignore[call-overload]


def wait_for(execution: str) -> dict[str, Any]:
    """Return the description of an execution that has succeeded.

    Raises
    ------
    RuntimeError
        If it fails, or takes longer than two minutes.
    """
    deadline = time.monotonic() + _DEADLINE_S
    while time.monotonic() < deadline:
        found: dict[str, Any] = aws("stepfunctions").describe_execution(executionArn=execution)
        if found["status"] == "SUCCEEDED":
            return found
        if found["status"] != "RUNNING":
            raise RuntimeError(f"{execution} is {found['status']}: {found.get('cause')}")
        time.sleep(_POLL_S)
    raise RuntimeError(f"{execution} still runs after {_DEADLINE_S:.0f} s")


def zipped(files: Mapping[str, str]) -> bytes:
    """Return a zip archive of text files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()
