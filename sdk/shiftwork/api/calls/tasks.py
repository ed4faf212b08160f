"""The calls of tasks, as polling workers make them: exchange, report, log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import uuid4

from shiftwork.api.call import Call, given, nothing, quoted
from shiftwork.api.messages import Answer

if TYPE_CHECKING:
    from shiftwork.api.shapes import ExchangeAnswer, JsonObject
    from shiftwork.api.task_shapes import TaskLog, TaskReport, TaskView, Want


def exchange(
    worker_id: str,
    *,
    results: Sequence[TaskReport] = (),
    wants: Sequence[Want] = (),
    running: Sequence[str] | None = None,
    wait_s: float = 0.0,
    status: str = "ok",
    error: str = "",
    exchange_id: str | None = None,
    is_patient: bool = True,
) -> Call[ExchangeAnswer]:
    """Report results and claim tasks, in one call; repeat it under the same `exchange_id`.

    Parameters
    ----------
    running
        The ids of all tasks that the worker holds: the server renews their leases, and answers
        which of them should stop.
    wait_s
        How long to wait for a task while there is none, at most 20 seconds.
    """
    body = {
        "exchange_id": exchange_id or str(uuid4()),
        "worker_id": worker_id,
        "results": list(results),
        "wants": list(wants),
        "running": None if running is None else list(running),
        "wait_s": wait_s,
        "status": status,
        "error": error,
    }
    path = "/v1/tasks/exchange"
    return Call("POST", path, json=body, extra_s=wait_s, is_patient=is_patient)


def get_task(task_id: str) -> Call[TaskView]:
    """Return a task in Conductor's format; its id is the attempt's."""
    return Call("GET", f"/api/tasks/{quoted(task_id)}")


def update_task(
    task_id: str,
    status: str,
    output: JsonObject | None = None,
    *,
    reason: str = "",
    callback_after_s: float = 0.0,
    extend_lease: bool = False,
    worker_id: str | None = None,
) -> Call[str]:
    """Record a task's result without an exchange, and return the task's id.

    Parameters
    ----------
    status
        COMPLETED, FAILED (retried by the job type's policy), FAILED_WITH_TERMINAL_ERROR, or
        IN_PROGRESS: the task is requeued after `callback_after_s`, or with `extend_lease` its
        lease is renewed.
    """
    body = {
        "taskId": task_id,
        "workflowInstanceId": task_id.rsplit(".", 3)[0],
        "status": status,
        "outputData": output or {},
        "reasonForIncompletion": reason,
        "callbackAfterSeconds": callback_after_s,
        "extendLease": extend_lease,
        "workerId": worker_id,
    }
    return Call("POST", "/api/tasks", json=given(body), read=_text)


def update_task_by_ref_name(
    request_id: str,
    job: str,
    status: str,
    output: JsonObject | None = None,
    *,
    worker_id: str | None = None,
) -> Call[str]:
    """Record a result for the latest attempt at a job of a request, and return the task's id."""
    path = f"/api/tasks/{quoted(request_id)}/{quoted(job)}/{quoted(status)}"
    return Call("POST", path, given({"workerid": worker_id}), json=output or {}, read=_text)


def add_task_log(task_id: str, message: str) -> Call[None]:
    """Add a line to the task's log."""
    path = f"/api/tasks/{quoted(task_id)}/log"
    headers = {"Content-Type": "text/plain; charset=utf-8"}
    return Call("POST", path, text=message, headers=headers, read=nothing)


def task_logs(task_id: str) -> Call[list[TaskLog]]:
    """Return the lines of the task's log."""
    return Call("GET", f"/api/tasks/{quoted(task_id)}/log")


def _text(answer: Answer) -> str:
    return answer.text
