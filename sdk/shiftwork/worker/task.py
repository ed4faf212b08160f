"""A task as its function sees it, and what the function can make of it."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from shiftwork.api.shapes import Json, JsonObject
from shiftwork.api.task_shapes import ClaimedTask, TaskLogLine
from shiftwork.worker.clock import Signal

LOGGER = logging.getLogger("shiftwork.worker.tasks")


#: What one report may carry; of more lines between two signs of life the last ones are kept.
MAX_LINES = 1000


def _no_lines() -> deque[TaskLogLine]:
    return deque(maxlen=MAX_LINES)


class Retry(Exception):
    """Recoverable: the task is tried again by the back-off of its job type."""


class Failure(Exception):
    """Unrecoverable: the job fails at once, and its request with it."""


class TaskStatus(StrEnum):
    """What became of a task."""

    COMPLETED = "COMPLETED"
    #: Tried again by the job type's policy, until its attempts run out.
    FAILED = "FAILED"
    FAILED_WITH_TERMINAL_ERROR = "FAILED_WITH_TERMINAL_ERROR"
    #: Not done yet: the same task is handed out again, and no attempt is used up.
    IN_PROGRESS = "IN_PROGRESS"


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What a function returns that says more than an output.

    Attributes
    ----------
    output
        What a function may return by itself. With IN_PROGRESS it is kept, and comes back as
        `task.output`.
    reason
        Why it did not complete.
    callback_after_s
        With IN_PROGRESS, when the task is handed out again.
    logs
        Lines for the task's log, beside those of `task.log`.
    """

    status: TaskStatus = TaskStatus.COMPLETED
    output: Any = None
    reason: str = ""
    callback_after_s: float = 0.0
    logs: Sequence[str] = ()

    @classmethod
    def in_progress(
        cls, callback_after_s: float, output: Any = None, logs: Sequence[str] = ()
    ) -> TaskResult:
        """Return the result of a task that goes on later, here or in another worker."""
        return cls(TaskStatus.IN_PROGRESS, output, "", callback_after_s, logs)


@dataclass(eq=False)
class Task:
    """One try at a polled job.

    Attributes
    ----------
    task_id
        Of this try; `job_key` is the same for every try at the job.
    params, extras, item
        The job's input.
    output
        What earlier rounds have put down with IN_PROGRESS.
    attempt, poll_count
        1 for the first try; how often this try was handed out.
    fence
        Rises with every hand-out: a store that remembers the highest it has seen can refuse a
        worker that was taken for dead and is not.
    response_timeout_s
        After so long without a sign the task is given to another worker. The runner gives a sign
        in time, as long as its process lives.
    logger
        For the process's log; `log` is for the task's own.
    """

    task_id: str
    type: str
    job: str
    request_id: str
    request_type: str
    params: Json
    extras: JsonObject
    item: Json
    output: JsonObject
    attempt: int
    poll_count: int
    fence: int
    response_timeout_s: float
    timeout_s: float
    created_at: str
    correlation_id: str | None
    priority: int
    stop: Signal = field(default_factory=Signal, repr=False)
    _lines: deque[TaskLogLine] = field(default_factory=_no_lines, repr=False)

    @classmethod
    def of(cls, handed: ClaimedTask) -> Task:
        """Return what an exchange has handed out."""
        return cls(
            task_id=handed["task_id"],
            type=handed["type"],
            job=handed["job"],
            request_id=handed["request_id"],
            request_type=handed["request_type"],
            params=handed["params"],
            extras=handed["extras"],
            item=handed["item"],
            output=handed["output"],
            attempt=handed["attempt"],
            poll_count=handed["poll_count"],
            fence=handed["fence"],
            response_timeout_s=handed["response_timeout_s"],
            timeout_s=handed["timeout_s"],
            created_at=handed["created_at"],
            correlation_id=handed["correlation_id"],
            priority=handed["priority"],
        )

    @property
    def job_key(self) -> str:
        """Return the id that all attempts at this job share."""
        return self.task_id.rsplit(".", 1)[0]

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """Return what puts the task's ids on every record."""
        return _TaskLogger(LOGGER, {"taskId": self.task_id, "taskType": self.type})

    def log(self, message: str) -> None:
        """Add a line to the task's log; it is sent with the next sign of life or the result."""
        self._lines.append({"at": datetime.now(UTC).isoformat(), "message": message})

    @property
    def should_stop(self) -> bool:
        """Whether to give up, since the result will not count any more.

        The request was cancelled or has failed, the lease is lost, or the worker had to hand the
        task back.
        """
        return self.stop.is_set

    def wait(self, timeout_s: float) -> bool:
        """Block until the task should stop, or time is up; return whether it should stop."""
        return self.stop.wait(timeout_s)

    def add_lines(self, lines: Sequence[TaskLogLine]) -> None:
        """Add lines that were logged elsewhere."""
        self._lines.extend(lines)

    def take_lines(self) -> list[TaskLogLine]:
        """Return what was logged since the last call."""
        return [self._lines.popleft() for _ in range(len(self._lines))]

    def __getstate__(self) -> dict[str, Any]:
        """Return what goes to another process: the signal and the lines stay here."""
        return {name: value for name, value in vars(self).items() if name not in _LOCAL}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, stop=Signal(), _lines=_no_lines())


_LOCAL = ("stop", "_lines")


class _TaskLogger(logging.LoggerAdapter[logging.Logger]):
    def process(
        self, msg: object, kwargs: MutableMapping[str, Any]
    ) -> tuple[object, MutableMapping[str, Any]]:
        return msg, {**kwargs, "extra": {**(kwargs.get("extra") or {}), **(self.extra or {})}}
