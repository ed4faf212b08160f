"""A task as its function sees it, and the results that the function can return or raise."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from shiftwork.api.shapes import ClaimedTask, Json, JsonObject
from shiftwork.api.task_shapes import TaskLogLine
from shiftwork.worker.clock import Signal
from shiftwork.worker.texts import printable

LOGGER = logging.getLogger("shiftwork.worker.tasks")


#: A report carries at most so many lines; of more between two reports, the last ones are kept.
MAX_LINES = 1000


def _no_lines() -> deque[TaskLogLine]:
    return deque(maxlen=MAX_LINES)


class Retry(Exception):
    """Recoverable: the job is retried after the back-off of its job type."""


class Failure(Exception):
    """Unrecoverable: the job fails at once, and its request by the step's `on_failure`."""


class TaskStatus(StrEnum):
    """The outcome of a task."""

    COMPLETED = "COMPLETED"
    #: Retried by the job type's policy until its attempts run out.
    FAILED = "FAILED"
    FAILED_WITH_TERMINAL_ERROR = "FAILED_WITH_TERMINAL_ERROR"
    #: Not done yet: the same task is requeued, and uses up no attempt.
    IN_PROGRESS = "IN_PROGRESS"


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What a function returns when an output alone is not enough.

    Attributes
    ----------
    output
        The same value that a function may return on its own. With IN_PROGRESS the server keeps it
        and hands it back as `task.output`.
    reason
        Why the task did not complete.
    callback_after_s
        With IN_PROGRESS, how long until the task is requeued.
    logs
        Lines for the task's log, in addition to those of `task.log`.
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
        """Return the result of a task that continues later, here or in another worker."""
        return cls(TaskStatus.IN_PROGRESS, output, "", callback_after_s, logs)


@dataclass(eq=False)
class Task:
    """One attempt at a polled job.

    Attributes
    ----------
    task_id
        The attempt's id; `job_key` is the same for every attempt at the job.
    params, extras, item
        The job's input.
    output
        What this task has reported so far with IN_PROGRESS.
    attempt, poll_count
        The attempt's number, from 1; how often it has been claimed.
    fence
        Rises with every claim: a store that remembers the highest fence can refuse the writes of a
        worker that was declared lost but still runs.
    response_timeout_s
        After so long without a report another worker gets the task. The runner reports in time for
        as long as its process lives.
    logger
        Writes to the process's log; `log` writes to the task's own.
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
    def of(cls, claimed: ClaimedTask) -> Task:
        """Return the task that an exchange has claimed."""
        return cls(
            task_id=claimed["task_id"],
            type=claimed["type"],
            job=claimed["job"],
            request_id=claimed["request_id"],
            request_type=claimed["request_type"],
            params=claimed["params"],
            extras=claimed["extras"],
            item=claimed["item"],
            output=claimed["output"],
            attempt=claimed["attempt"],
            poll_count=claimed["poll_count"],
            fence=claimed["fence"],
            response_timeout_s=claimed["response_timeout_s"],
            timeout_s=claimed["timeout_s"],
            created_at=claimed["created_at"],
            correlation_id=claimed["correlation_id"],
            priority=claimed["priority"],
        )

    @property
    def job_key(self) -> str:
        """Return the id that all attempts at this job share."""
        return self.task_id.rsplit(".", 1)[0]

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """Return a logger that adds the task's id and type to every record."""
        return _TaskLogger(LOGGER, {"taskId": self.task_id, "taskType": self.type})

    def log(self, message: str) -> None:
        """Add a line to the task's log; it is sent with the next report."""
        self._lines.append({"at": datetime.now(UTC).isoformat(), "message": printable(message)})

    @property
    def should_stop(self) -> bool:
        """Whether to stop, because the result will not count.

        The request was cancelled or has failed, the lease ran out, or the worker had to give the
        task back.
        """
        return self.stop.is_set

    def wait(self, timeout_s: float) -> bool:
        """Block until the task should stop, or time is up; return whether it should stop."""
        return self.stop.wait(timeout_s)

    def add_lines(self, lines: Sequence[TaskLogLine]) -> None:
        """Add lines that were logged in another process."""
        self._lines.extend(lines)

    @property
    def has_lines(self) -> bool:
        """Whether log lines wait to be sent."""
        return bool(self._lines)

    def take_lines(self) -> list[TaskLogLine]:
        """Return the lines logged since the last call."""
        return [self._lines.popleft() for _ in range(len(self._lines))]

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields that go to another process: not the signal, not the lines."""
        return {name: value for name, value in vars(self).items() if name not in _LOCAL}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, stop=Signal(), _lines=_no_lines())


_LOCAL = ("stop", "_lines")


class _TaskLogger(logging.LoggerAdapter[logging.Logger]):
    def process(
        self, msg: object, kwargs: MutableMapping[str, Any]
    ) -> tuple[object, MutableMapping[str, Any]]:
        return msg, {**kwargs, "extra": {**(kwargs.get("extra") or {}), **(self.extra or {})}}
