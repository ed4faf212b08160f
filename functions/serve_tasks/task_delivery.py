"""Put claimed tasks into an answer as far as they fit, and give back those that do not."""

from __future__ import annotations

import json
from collections.abc import Callable

from shiftwork_core import bootstrap
from shiftwork_core.domain.metrics.cloudwatch import Metric
from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.services.polling.lookup import HeldTask
from shiftwork_core.services.polling.reports import Report, ReportStatus
from shiftwork_core.telemetry import count, logger

#: How many tasks one call may ask for, and how many it is given at the most: each is claimed by a
#: write, and a client does not wait forever.
MAX_COUNT = 1000
MAX_GIVEN = 100
#: Lambda passes on 6 MB of JSON, in which the answer is one escaped text.
MAX_ANSWER_BYTES = 5_900_000


def escaped_bytes(text: str) -> int:
    """Return how many bytes a text takes as a JSON string; an upper bound for a short one."""
    # A character takes six bytes at most.
    if len(text) * 6 <= MAX_ANSWER_BYTES // 100:
        return len(text) * 6
    return len(json.dumps(text, ensure_ascii=False).encode())


def deliver(
    held: list[HeldTask], worker_id: str, view: Callable[[HeldTask], JsonObject]
) -> list[str]:
    """Return the JSON of the tasks that fit into one answer.

    The others are put back for the next poll. A task that is too large for an answer of its own
    fails: no worker could ever get it.
    """
    delivered: list[str] = []
    room = MAX_ANSWER_BYTES
    for task in held:
        text = json.dumps(view(task), ensure_ascii=False, separators=(",", ":"))
        size_bytes = escaped_bytes(text) + 1
        if size_bytes <= room:
            delivered.append(text)
            room -= size_bytes
        elif size_bytes > MAX_ANSWER_BYTES:
            _fail(task, worker_id, size_bytes)
        else:
            room = 0  # No later task may overtake it.
            _put_back(task, worker_id)
    if delivered:
        count(Metric.TASKS_HANDED_OUT, len(delivered))
    return delivered


def _fail(task: HeldTask, worker_id: str, size_bytes: int) -> None:
    logger.error("a task is too large", extra={"attempt_id": task.attempt.attempt_id})
    reason = f"the task's input has {size_bytes:,} bytes as JSON; {MAX_ANSWER_BYTES:,} are the most"
    _report(task, worker_id, ReportStatus.TERMINAL, reason)


def _put_back(task: HeldTask, worker_id: str) -> None:
    logger.info("a task did not fit", extra={"attempt_id": task.attempt.attempt_id})
    _report(task, worker_id, ReportStatus.IN_PROGRESS, "")


def _report(task: HeldTask, worker_id: str, status: ReportStatus, reason: str) -> None:
    report = Report(
        attempt_id=task.attempt.attempt_id,
        status=status,
        output={},
        reason=reason,
        worker_id=worker_id,
        fence=task.attempt.fence,
    )
    bootstrap.polling.tasks().report(report)
