"""What tests do with the deployed stack beyond calling its API."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, cached_property
from typing import Any, TypeVar
from uuid import uuid4

import boto3
import httpx2

from shiftwork.api.calls.requests import ENDED
from shiftwork.api.client import ShiftworkClient
from shiftwork.api.shapes import Attempt, Request
from shiftwork_core import bootstrap
from shiftwork_core.errors import Unavailable
from shiftwork_core.ports.world import Machine
from shiftwork_core.services.requests.requests import Requests
from shiftwork_platform.wiring import Ports, Services

Found = TypeVar("Found")
JsonObject = dict[str, Any]

#: Where conftest.py puts the address of `service.py`.
SERVICE_URL = "SHIFTWORK_TEST_SERVICE"
#: Generous: all tests share the stack, and the machine may be busy.
PATIENCE_S = 90.0
_TICK_S = 0.1


def until(look: Callable[[], Found | None], what: str, timeout_s: float = PATIENCE_S) -> Found:
    """Call `look` until its result is true, and return it."""
    deadline = time.monotonic() + timeout_s
    while not (found := look()):
        assert time.monotonic() < deadline, f"after {timeout_s:g} s still not: {what}"
        time.sleep(_TICK_S)
    return found


def unique(name: str) -> str:
    """Return a name that no other test, and no other run against this stack, uses."""
    return f"{name}-{uuid4().hex[:8]}"


def seconds_between(start: str | None, end: str | None) -> float:
    """Return the seconds between two times of the API."""
    assert start is not None and end is not None
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def job(name: str, type: str, **spec: Any) -> JsonObject:
    """Return a job of a request type; all but `for_each` are its params."""
    entry: JsonObject = {"name": name, "type": f"probe.{type}"}
    if "for_each" in spec:
        entry["for_each"] = spec.pop("for_each")
    return entry | ({"params": spec} if spec else {})


def side_by_side(calls: Sequence[Callable[[], Found]], at_once: int | None = None) -> list[Found]:
    """Make all calls in threads, all at once or so many at a time."""
    with ThreadPoolExecutor(at_once or len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


class LostMachine:
    """Loses every start, like an API that dies right after writing the request."""

    def start(self, request_id: str, execution: int) -> None:
        raise Unavailable("lost")

    def wake_execution(self, token: str) -> bool:
        raise AssertionError("nobody waits")


@dataclass(eq=False)
class Lab:
    """The stack under test."""

    api: ShiftworkClient = field(default_factory=lambda: ShiftworkClient(timeout_s=120))
    stack: str = field(default_factory=lambda: os.environ["SHIFTWORK_STACK"])

    # -- AWS -----------------------------------------------------------------------------------

    @cache  # noqa: B019  (there is one lab a process)
    def client(self, service: str) -> Any:
        return boto3.client(service)  # type: ignore[call-overload]

    @cached_property
    def outputs(self) -> dict[str, str]:
        """The stack's outputs."""
        stacks = self.client("cloudformation").describe_stacks(StackName=self.stack)
        return {o["OutputKey"]: o["OutputValue"] for o in stacks["Stacks"][0]["Outputs"]}

    def function(self, name: str) -> str:
        """Return the deployed name of a function, e.g. of `RunJobs`."""
        return self.outputs[f"{name}FunctionName"]

    def environment(self, function: str) -> dict[str, str]:
        """Return a variable of the function's environment."""
        configuration = self.client("lambda").get_function_configuration(
            FunctionName=self.function(function)
        )
        return dict(configuration["Environment"]["Variables"])

    def invoke(self, function: str, event: JsonObject) -> Any:
        """Invoke a function of the stack and return its answer."""
        answer = self.client("lambda").invoke(
            FunctionName=self.function(function), Payload=json.dumps(event).encode()
        )
        content = json.loads(answer["Payload"].read() or "null")
        assert "FunctionError" not in answer, content
        return content

    def sweep(self, *names: str) -> None:
        """Run sweeps, as the schedules do."""
        for name in names:
            self.invoke("Sweep", {"sweep": name})

    # -- definitions and requests --------------------------------------------------------------

    def define(self, *steps: list[JsonObject], name: str = "request", **body: Any) -> str:
        """Put a request type of its own, with steps named s1, s2...; return its name."""
        name = unique(name)
        self.redefine(name, *steps, **body)
        return name

    def redefine(self, name: str, *steps: list[JsonObject], **body: Any) -> JsonObject:
        """Put a version of a request type."""
        named = [{"name": f"s{n}", "jobs": jobs} for n, jobs in enumerate(steps, 1)]
        return self.api.put_definition("request-type", name, {"steps": named, **body})

    def submit(self, *steps: list[JsonObject], **params: Any) -> str:
        """Submit a request of a type of its own; return its id."""
        return self.api.submit(self.define(*steps), params)["request_id"]

    def attempts(self, request_id: str, step: int | None = None) -> list[Attempt]:
        """Return all attempts of a request in order."""
        return list(self.api.jobs(request_id, step=step))

    def history(self, request_id: str, step: int | None = None) -> list[str]:
        """Return all attempts as `name attempt status`."""
        return [f"{a['job']} {a['attempt']} {a['status']}" for a in self.attempts(request_id, step)]

    def at_rest(self, request_id: str) -> list[Attempt]:
        """Return all attempts once none of them waits or runs.

        A request has failed by one write, and what still waits is cancelled by those that follow.
        """

        def look() -> list[Attempt] | None:
            attempts = self.attempts(request_id)
            return None if any(a["status"] in ("new", "inprogress") for a in attempts) else attempts

        return until(look, f"nothing of {request_id} waits or runs")

    def ended(self, request_id: str, *sweeps: str, timeout_s: float = PATIENCE_S) -> Request:
        """Return the request once it has ended, running the sweeps meanwhile."""

        def look() -> Request | None:
            request = self.api.get(request_id)
            if request["status"] in ENDED:
                return request
            self.sweep(*sweeps)
            return None

        return until(look, f"request {request_id} has ended", timeout_s)

    def completed(self, request_id: str, *sweeps: str, timeout_s: float = PATIENCE_S) -> Request:
        """Wait until the request has ended, check that it is Completed, and return it."""
        request = self.ended(request_id, *sweeps, timeout_s=timeout_s)
        assert request["status"] == "Completed", request["error"]
        return request

    def failed(self, request_id: str) -> Request:
        """Wait until the request has ended, check that it is Failed, and return it."""
        request = self.ended(request_id)
        assert request["status"] == "Failed"
        return request

    def service(self, machine: Machine | None = None) -> Requests:
        """Return the API's service in this process, over the stack's own tables."""
        os.environ.update(self.environment("Api"))
        ports = Ports(
            requests=bootstrap.stores.requests(),
            jobs=bootstrap.stores.jobs(),
            definitions=bootstrap.stores.definitions(),
            blobs=bootstrap.world.blobs(),
            machine=machine or bootstrap.world.machine(),
            wake_queue=bootstrap.world.wake_queue(),
            clock=bootstrap.world.now,
            new_id=lambda letter: bootstrap.world.new_id(),
            lease=bootstrap.world.settings().lease,
        )
        return Services(ports).requests

    # -- gates ---------------------------------------------------------------------------------

    def open(self, gate: str) -> None:
        """Open the gate, so that waiting jobs go on."""
        self.client("s3").put_object(
            Bucket=self.outputs["BlobsBucketName"], Key=f"documents/gates/{gate}", Body=b""
        )

    def running(self, request_id: str, count: int = 1) -> list[Attempt]:
        """Wait until `count` attempts of the request run, and return them."""

        def look() -> list[Attempt] | None:
            found = list(self.api.jobs(request_id, status="inprogress"))
            return found if len(found) >= count else None

        return until(look, f"{count} jobs of {request_id} are running")

    # -- executions ----------------------------------------------------------------------------

    def execution_arn(self, request_id: str, execution: int = 1) -> str:
        machine: str = self.outputs["StateMachineArn"]
        name = request_id if execution == 1 else f"{request_id}-{execution}"
        return f"{machine.replace(':stateMachine:', ':execution:')}:{name}"

    def start_execution(self, request_id: str, name: str, execution: int = 1) -> str:
        """Start an execution by hand; return its ARN."""
        state = {"request_id": request_id, "execution": execution, "events": 0}
        started = self.client("stepfunctions").start_execution(
            stateMachineArn=self.outputs["StateMachineArn"], name=name, input=json.dumps(state)
        )
        return str(started["executionArn"])

    def execution_ended(self, arn: str) -> JsonObject:
        """Wait until an execution has ended, and return its description."""

        def look() -> JsonObject | None:
            found: JsonObject = self.client("stepfunctions").describe_execution(executionArn=arn)
            return found if found["status"] != "RUNNING" else None

        return until(look, f"execution {arn} has ended")

    def states_entered(self, request_id: str, execution: int = 1) -> list[str]:
        """Return the states that an execution has entered so far, in order."""
        pages = (
            self.client("stepfunctions")
            .get_paginator("get_execution_history")
            .paginate(executionArn=self.execution_arn(request_id, execution))
        )
        events = (event for page in pages for event in page["events"])
        details = (event.get("stateEnteredEventDetails") for event in events)
        return [entered["name"] for entered in details if entered]

    def execution_waits(self, request_id: str, execution: int = 1) -> None:
        """Wait until an execution waits for its task token."""
        until(
            lambda: self.states_entered(request_id, execution)[-1:] == ["AwaitStep"],
            f"the execution of {request_id} waits",
        )

    # -- what was written ----------------------------------------------------------------------

    def rows_with(self, text: str) -> int:
        """Return how many rows of all tables hold `text` anywhere."""
        tables = [self.outputs[f"{t}TableName"] for t in ("Requests", "Jobs", "Definitions")]
        return sum(text in str(row) for table in tables for row in self._rows(table))

    def _rows(self, table: str) -> Iterator[JsonObject]:
        paginator = self.client("dynamodb").get_paginator("scan")
        for page in paginator.paginate(TableName=table, ConsistentRead=True):
            yield from page["Items"]

    def blobs(self, request_id: str) -> list[str]:
        """Return the keys of a request's objects in S3."""
        found = self.client("s3").list_objects_v2(
            Bucket=self.outputs["BlobsBucketName"], Prefix="requests/"
        )
        keys = [entry["Key"] for entry in found.get("Contents", [])]
        return [key for key in keys if f"/{request_id}/" in key]

    # -- logs ----------------------------------------------------------------------------------

    def lines(self, function: str, *texts: str) -> list[JsonObject]:
        """Return the lines that a function logged with all these texts, as JSON."""
        answer = self.client("logs").filter_log_events(
            logGroupName=f"/aws/lambda/{self.function(function)}", filterPattern=f'"{texts[0]}"'
        )
        messages = [str(event["message"]) for event in answer["events"]]
        return [json.loads(m) for m in messages if all(text in m for text in texts)]

    # -- the service that jobs call ------------------------------------------------------------

    def script(self, *answers: JsonObject) -> str:
        """Let the service give these answers in order, the last one forever; return the script."""
        name = unique("script")
        httpx2.put(f"{os.environ[SERVICE_URL]}/scripts/{name}", json=answers).raise_for_status()
        return name

    def calls(self, script: str) -> list[JsonObject]:
        """Return the calls that the service has seen."""
        seen: list[JsonObject] = httpx2.get(f"{os.environ[SERVICE_URL]}/scripts/{script}").json()
        return seen
