"""The shapes of tasks, as polling workers exchange them; openapi.json does not describe these."""

from __future__ import annotations

from typing import TypedDict

from shiftwork.api.shapes import Json, JsonObject


class Want(TypedDict):
    """How many tasks of a type a worker has room for; with a domain, only tasks of that domain."""

    type: str
    count: int
    domain: str | None


class TaskLogLine(TypedDict):
    """A line that a task's worker logged."""

    at: str
    message: str


class TaskReport(TypedDict):
    """The result of a task, or its progress, as a worker reports it in an exchange."""

    task_id: str
    fence: int
    status: str
    output: JsonObject
    reason: str
    callback_after_s: float
    extend_lease: bool
    logs: list[TaskLogLine]


class ClaimedTask(TypedDict):
    """A task as the server hands it out; `output` is the progress that it has reported so far."""

    task_id: str
    fence: int
    type: str
    job: str
    request_id: str
    request_type: str
    attempt: int
    tries: int
    params: Json
    extras: JsonObject
    item: Json
    output: JsonObject
    created_at: str
    lease_until: str
    response_timeout_s: float
    timeout_s: float
    poll_count: int
    correlation_id: str | None
    priority: int


class ExchangeAnswer(TypedDict):
    """The answer to an exchange; `outcomes` has one entry for each result, in order."""

    outcomes: list[str]
    tasks: list[ClaimedTask]
    stop: list[str]
    drained: bool


class TaskLog(TypedDict):
    """A line of a task's log in Conductor's format; the time is in epoch milliseconds."""

    log: str
    taskId: str
    createdTime: int


#: A task in Conductor's format; docs/reference/conductor-api.md lists its fields.
TaskView = dict[str, Json]
