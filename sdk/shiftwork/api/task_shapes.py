"""The shapes of what polling workers send, and of Conductor's tasks; see also `shapes`."""

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


class TaskLog(TypedDict):
    """A line of a task's log in Conductor's format; the time is in epoch milliseconds."""

    log: str
    taskId: str
    createdTime: int


#: A task in Conductor's format; docs/reference/conductor-api.md lists its fields.
TaskView = dict[str, Json]
