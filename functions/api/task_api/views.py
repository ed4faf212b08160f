"""The shapes of what the routes of tasks answer, as functions/serve_tasks makes them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from answers import Output, Timestamp

JsonObject = dict[str, Any]
EpochMs = Annotated[int, Field(description="milliseconds since 1970; 0: not yet")]


# -- the exchange --------------------------------------------------------------------------------


class ClaimedTask(Output):
    """A task as it is given to a worker; `output` is the progress that it has reported so far."""

    task_id: str
    fence: int
    type: str
    job: str
    request_id: str
    request_type: str
    attempt: int
    tries: int
    params: Any
    extras: JsonObject
    item: Any
    output: JsonObject
    created_at: Timestamp
    lease_until: Timestamp
    response_timeout_s: float
    timeout_s: float
    poll_count: int
    correlation_id: str | None
    priority: int


class ExchangeAnswer(Output):
    """The answer to an exchange; `outcomes` has one entry for each result, in order."""

    outcomes: list[Literal["recorded", "late", "renewed", "put-back", "stop", "unknown"]]
    tasks: list[ClaimedTask]
    stop: Annotated[list[str], Field(description="ids of tasks that the worker is to stop")]
    drained: Annotated[bool, Field(description="whether the worker gets no more tasks")]


# -- Conductor's ---------------------------------------------------------------------------------


class ConductorTask(Output):
    """Conductor's Task."""

    taskId: str
    taskType: str
    taskDefName: str
    status: Literal[
        "SCHEDULED", "IN_PROGRESS", "COMPLETED", "FAILED", "FAILED_WITH_TERMINAL_ERROR", "CANCELED"
    ]
    inputData: JsonObject
    outputData: JsonObject
    referenceTaskName: str
    workflowInstanceId: str
    workflowType: str
    workflowPriority: int
    correlationId: str | None
    seq: int
    retryCount: int
    retriedTaskId: str | None
    retried: bool
    executed: bool
    pollCount: int
    iteration: int
    callbackFromWorker: bool
    workerId: str | None
    domain: str | None
    scheduledTime: EpochMs
    startTime: EpochMs
    firstStartTime: EpochMs
    endTime: EpochMs
    updateTime: EpochMs
    queueWaitTime: int
    startDelayInSeconds: int
    callbackAfterSeconds: int
    responseTimeoutSeconds: int
    rateLimitPerFrequency: int
    rateLimitFrequencyInSeconds: int
    reasonForIncompletion: str | None


class ConductorLog(Output):
    """Conductor's TaskExecLog."""

    log: str
    taskId: str
    createdTime: EpochMs


class ConductorPollData(Output):
    """Conductor's PollData: when a worker last polled a queue."""

    queueName: str
    domain: str | None
    workerId: str
    lastPollTime: EpochMs


class ConductorTaskDef(Output):
    """Conductor's TaskDef: a job type of target `worker`, and what else its client once sent."""

    model_config = ConfigDict(extra="allow")

    name: str
    description: str
    retryCount: int
    retryLogic: Literal["FIXED", "LINEAR_BACKOFF", "EXPONENTIAL_BACKOFF"]
    retryDelaySeconds: float
    maxRetryDelaySeconds: Annotated[float, Field(description="0: no cap")]
    backoffScaleFactor: float
    timeoutSeconds: Annotated[float, Field(description="0: none")]
    timeoutPolicy: Literal["RETRY", "TIME_OUT_WF", "ALERT_ONLY"]
    responseTimeoutSeconds: float
    pollTimeoutSeconds: float
    concurrentExecLimit: int
    rateLimitPerFrequency: int
    rateLimitFrequencyInSeconds: float
    createTime: EpochMs
    updateTime: EpochMs


_WorkflowStatusName = Literal["RUNNING", "COMPLETED", "FAILED", "TERMINATED"]


class ConductorDefinitionName(Output):
    """The name and version of a workflow's definition, which Conductor's clients read here."""

    name: str
    version: int
    tasks: list[Any]


class ConductorWorkflow(Output):
    """Conductor's Workflow: a request."""

    workflowId: str
    workflowName: str
    workflowType: str
    workflowVersion: int
    version: int
    workflowDefinition: ConductorDefinitionName
    status: _WorkflowStatusName
    input: JsonObject
    output: JsonObject
    variables: JsonObject
    correlationId: str | None
    priority: int
    taskToDomain: dict[str, str]
    createTime: EpochMs
    startTime: EpochMs
    endTime: EpochMs
    updateTime: EpochMs
    reasonForIncompletion: str | None
    failedReferenceTaskNames: list[str]
    failedTaskNames: list[str]
    tasks: Annotated[list[ConductorTask], Field(description="absent for includeTasks=false")] = (
        Field(default_factory=list)
    )


class ConductorWorkflowStatus(Output):
    """Conductor's WorkflowStatus; `output` and `variables` are there if the call asks for them."""

    workflowId: str
    correlationId: str | None
    status: _WorkflowStatusName
    output: JsonObject = Field(default_factory=dict)
    variables: JsonObject = Field(default_factory=dict)


class ConductorToken(Output):
    """A signed token for Conductor's SDKs."""

    token: str
    userId: str | None


class ConductorFault(Output):
    """One fault: where in the input, and what is wrong there."""

    path: str
    message: str
    invalidValue: None


class ConductorError(Output):
    """Conductor's ErrorResponse."""

    status: int
    code: str
    message: str
    instance: Annotated[str, Field(description="the call's id in the log of serve-tasks")]
    retryable: bool
    validationErrors: list[ConductorFault] | None
    metadata: None


class ConductorUnauthorized(Output):
    """Why a signed token is not valid, in words that Conductor's SDKs know."""

    error: Literal["EXPIRED_TOKEN", "INVALID_TOKEN"]
    message: str
