"""What clients get: the shapes of answers, as openapi.json shows them, and how they are written.

The services build the answers; the tests hold them to these shapes.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any, Literal

from aws_lambda_powertools.event_handler import Response
from pydantic import BaseModel, ConfigDict, Field

from shiftwork_core.domain.payloads import Json
from v1.requests.inputs import Name

Timestamp = str
RequestStatusName = Literal["Queuing", "Inprogress", "Completed", "Failed", "Cancelled"]
AttemptStatusName = Literal["new", "inprogress", "completed", "failure", "retry", "cancelled"]


def answer(value: Json, status: HTTPStatus = HTTPStatus.OK, **headers: str) -> Response[str]:
    """Return a JSON answer. It is text already, so that Powertools does not walk it again."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    all_headers: dict[str, str | list[str]] = {**headers}
    return Response(status.value, "application/json", text, all_headers)


class Output(BaseModel):
    """The base of everything that goes out."""

    model_config = ConfigDict(extra="forbid")


class Fault(Output):
    """One fault: where in the input, and what is wrong there."""

    path: str = Field(examples=["steps[0].jobs[1].type"])
    message: str


class ProblemAnswer(Output):
    """RFC 9457, with every fault named and what to do next."""

    type: str = Field(examples=["https://shiftwork.dev/problems/invalid"])
    title: str
    status: int
    detail: str
    errors: list[Fault]
    next: str


class Counts(Output):
    """How many attempts stand in each status."""

    new: int
    inprogress: int
    completed: int
    failure: int
    retry: int
    cancelled: int


class RequestSummary(Output):
    """A request as lists show it."""

    request_id: str
    type: str
    type_version: int
    status: RequestStatusName
    current_step: int
    correlation_id: str | None
    priority: int
    created_at: Timestamp
    started_at: Timestamp | None
    completed_at: Timestamp | None


class StepAnswer(Output):
    """A step of a request; one that is not planned yet has no attempts."""

    index: int
    name: str
    status: Literal["pending", "running", "completed", "failed", "cancelled"]
    job_count: int
    jobs: Counts
    started_at: Timestamp | None
    completed_at: Timestamp | None


class RequestErrorAnswer(Output):
    """Why a request failed."""

    type: str
    message: str
    step: int | None
    job: str | None
    attempt_id: str | None


class RequestAnswer(RequestSummary):
    """A request in full."""

    params: dict[str, Any]
    extras: dict[str, Any]
    start_at: Timestamp | None
    steps: list[StepAnswer]
    error: RequestErrorAnswer | None


class JobErrorAnswer(Output):
    """Why an attempt did not complete."""

    type: str
    message: str


class LateUpdateAnswer(Output):
    """What a worker reported of a try that it held no more. It changed nothing."""

    at: Timestamp
    status: str
    worker_id: str | None
    reason: str


class AttemptAnswer(Output):
    """One try at a job."""

    attempt_id: str
    job: str
    type: str
    step: int
    attempt: int
    status: AttemptStatusName
    params: Any
    item: Any
    output: Any
    error: JobErrorAnswer | None
    created_at: Timestamp
    started_at: Timestamp | None
    completed_at: Timestamp | None
    wake_at: Timestamp | None
    worker_id: str | None
    fence: int
    late_updates: list[LateUpdateAnswer]


class Blocker(Output):
    """What a request waits for."""

    attempt_id: str
    job: str
    status: AttemptStatusName
    reason: str
    wakes_at: Timestamp | None


class ExplainedStep(Output):
    """The step at which a request stands."""

    index: int
    name: str
    jobs: Counts


class Explanation(Output):
    """Why a request stands where it stands."""

    request_id: str
    status: RequestStatusName
    summary: str
    step: ExplainedStep | None
    blocked_by: list[Blocker]
    wakes_at: Timestamp | None
    next: str


class LogLineAnswer(Output):
    """A line that a job logged."""

    timestamp: Timestamp
    message: str


class DefinitionAnswer(BaseModel):
    """A definition: what its author wrote, with its name and version."""

    model_config = ConfigDict(extra="allow")

    kind: Literal["request-type", "job-type"]
    name: Name
    version: int
    created_at: Timestamp


class DefinitionPage(Output):
    """Some definitions, each in its latest version."""

    items: list[DefinitionAnswer]
    next_token: str | None


class RequestPage(Output):
    """Some requests, newest first."""

    items: list[RequestSummary]
    next_token: str | None


class AttemptPage(Output):
    """Some attempts, by step, job and attempt."""

    items: list[AttemptAnswer]
    next_token: str | None


class LogPage(Output):
    """Some lines, oldest first. A page may be empty and not be the last."""

    items: list[LogLineAnswer]
    next_token: str | None


class Heartbeat(Output):
    """That the API answers."""

    status: Literal["ok"]
