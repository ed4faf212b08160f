"""What clients may send to the routes of tasks. Fields that mean nothing there are ignored.

ServeTasks has no models and checks by itself; the tests hold it to these.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, RootModel

_MAX_TIME_S = 7 * 24 * 3600

#: Text that can be a key or part of one.
ShortText = Annotated[str, Field(max_length=200)]
RequiredText = Annotated[str, Field(min_length=1, max_length=200)]
TaskName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9._-]{0,127}$")]
ReportStatus = Literal[
    "COMPLETED", "FAILED", "FAILED_WITH_TERMINAL_ERROR", "IN_PROGRESS", "CANCELED"
]
JsonObject = dict[str, Any]
_Digits = Annotated[str, Field(pattern=r"^-?[0-9]{1,15}(\.[0-9]{1,9})?$")]
_Seconds = Annotated[float, Field(ge=0, le=_MAX_TIME_S)]
#: Conductor's clients may send a number as text.
_SecondsOrText = _Seconds | _Digits | None
_CountOrText = Annotated[int, Field(ge=0)] | _Digits | None


# -- the exchange --------------------------------------------------------------------------------


class TaskLogLineInput(BaseModel):
    """A line that a task's worker logged."""

    message: str | None = None
    at: Annotated[
        Any, Field(description="ISO 8601, or seconds or milliseconds since 1970; else: now")
    ] = None


class TaskReportInput(BaseModel):
    """The result of a task, or its progress."""

    task_id: RequiredText
    fence: Annotated[int | None, Field(description="that of the task, as it was claimed")] = None
    status: ReportStatus
    output: JsonObject | None = None
    reason: str | None = None
    callback_after_s: _Seconds | None = None
    extend_lease: bool | None = None
    logs: list[TaskLogLineInput | None] | None = None


class WantInput(BaseModel):
    """How many tasks of a type a worker has room for; with a domain, only tasks of that domain."""

    type: RequiredText
    count: Annotated[float | None, Field(ge=1, le=1000)] = None
    domain: ShortText | None = None


class ExchangeInput(BaseModel):
    """A worker's news, and the tasks that it wants."""

    exchange_id: Annotated[
        ShortText | None, Field(description="the same id again gets the same answer")
    ] = None
    worker_id: Annotated[
        ShortText | None, Field(description="absent: the one that the token is for")
    ] = None
    wait_s: Annotated[float | None, Field(ge=0, le=20)] = None
    status: Literal["ok", "error"] | None = None
    error: Annotated[str | None, Field(description="what is wrong with the worker")] = None
    results: Annotated[list[TaskReportInput] | None, Field(max_length=200)] = None
    wants: Annotated[list[WantInput] | None, Field(max_length=100)] = None
    running: Annotated[
        list[RequiredText] | None,
        Field(max_length=1000, description="ids of all tasks that the worker holds"),
    ] = None


# -- Conductor's ---------------------------------------------------------------------------------


class ConductorTokenInput(BaseModel):
    """A name, and a token of the deployment."""

    keyId: ShortText | None = None
    keySecret: str | None = None


class ConductorLogInput(BaseModel):
    """A line that a task's worker logged."""

    log: str | None = None
    createdTime: Annotated[Any, Field(description="since 1970")] = None


class ConductorTaskResultInput(BaseModel):
    """Conductor's TaskResult."""

    taskId: RequiredText
    status: ReportStatus
    workerId: ShortText | None = None
    outputData: JsonObject | None = None
    reasonForIncompletion: str | None = None
    callbackAfterSeconds: _SecondsOrText = None
    extendLease: bool | None = None
    logs: list[ConductorLogInput | None] | None = None


class ConductorTaskDefInput(BaseModel):
    """Conductor's TaskDef. Fields that are not named here are kept and returned unchanged."""

    name: TaskName
    description: Annotated[str | None, Field(max_length=2000)] = None
    retryCount: Annotated[int, Field(ge=0, le=999)] | _Digits | None = None
    retryLogic: Literal["FIXED", "LINEAR_BACKOFF", "EXPONENTIAL_BACKOFF"] | None = None
    retryDelaySeconds: _SecondsOrText = None
    maxRetryDelaySeconds: _SecondsOrText = None
    backoffScaleFactor: Annotated[float, Field(ge=1, le=1000)] | _Digits | None = None
    timeoutSeconds: _SecondsOrText = None
    timeoutPolicy: Literal["RETRY", "TIME_OUT_WF", "ALERT_ONLY"] | None = None
    responseTimeoutSeconds: Annotated[float, Field(ge=1, le=_MAX_TIME_S)] | _Digits | None = None
    pollTimeoutSeconds: _SecondsOrText = None
    concurrentExecLimit: Annotated[int, Field(ge=0, le=1000)] | _Digits | None = None
    rateLimitPerFrequency: Annotated[int, Field(ge=0, le=1_000_000)] | _Digits | None = None
    rateLimitFrequencyInSeconds: Annotated[int, Field(ge=1, le=24 * 3600)] | _Digits | None = None


class ConductorTaskDefsInput(RootModel[list[ConductorTaskDefInput]]):
    """Task definitions."""

    root: Annotated[list[ConductorTaskDefInput], Field(max_length=100)]


class ConductorStartInput(BaseModel):
    """Conductor's StartWorkflowRequest."""

    name: RequiredText
    version: Annotated[int, Field(ge=0, lt=10**9)] | _Digits | None = None
    input: JsonObject | None = None
    correlationId: ShortText | None = None
    priority: Annotated[int, Field(ge=0, le=99)] | _Digits | None = None
    taskToDomain: Annotated[dict[str, ShortText] | None, Field(max_length=100)] = None
    idempotencyKey: ShortText | None = None
    idempotencyStrategy: Literal["FAIL", "RETURN_EXISTING"] | None = None
