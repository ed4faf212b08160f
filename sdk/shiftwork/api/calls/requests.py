"""Every call of the API, described once: what is sent, and how the answer is read.

ShiftworkClient and AsyncShiftworkClient have a method for each, and differ only in how they wait.
Those of workspaces are in `shiftwork.api.calls.workspaces`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar
from urllib.parse import quote
from uuid import uuid4

import httpx

from shiftwork.api.task_shapes import (
    Attempt,
    AttemptPage,
    Exchanged,
    Explanation,
    Invitation,
    JsonObject,
    Kind,
    LogLine,
    Request,
    RequestPage,
    RequestSummary,
    TaskLog,
    TaskReport,
    TaskView,
    Want,
    WorkerExplanation,
    WorkerToken,
    WorkerView,
)

T = TypeVar("T")

PAGE = 100


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A call whose answer is a `T`.

    Attributes
    ----------
    is_repeatable
        Whether the call may arrive twice; if not, it is repeated only while it cannot have arrived.
    is_patient
        Whether it is repeated at all. Who repeats by a plan of their own sets it to False.
    extra_s
        How much longer than usual the answer may take, in seconds.
    """

    method: str
    path: str
    query: Mapping[str, Any] = field(default_factory=dict)
    json: Any = None
    text: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    is_repeatable: bool = True
    is_patient: bool = True
    extra_s: float = 0.0
    token: str | None = None
    read: Callable[[httpx.Response], T] = httpx.Response.json


@dataclass(frozen=True, slots=True)
class Pages(Generic[T]):
    """A list that is read page after page."""

    path: str
    query: JsonObject = field(default_factory=dict)

    def page(self, token: str | None) -> Call[Any]:
        """Return the call for one page."""
        return Call("GET", self.path, self.query | {"limit": PAGE} | given({"next_token": token}))


def given(values: JsonObject) -> JsonObject:
    """Return what is not None."""
    return {name: value for name, value in values.items() if value is not None}


def quoted(name: str) -> str:
    """Return the name as one segment of a path."""
    return quote(name, safe="")


def time_text(moment: datetime | str | None) -> str | None:
    """Return a time as it is sent; a text is sent as it is."""
    return moment.astimezone(UTC).isoformat() if isinstance(moment, datetime) else moment


def nothing(response: httpx.Response) -> None:
    """Read nothing: that it succeeded says everything."""


def _text(response: httpx.Response) -> str:
    return response.text


def _object(response: httpx.Response) -> JsonObject:
    """Return the answer if it is an object, else an empty one."""
    try:
        return dict(response.json())
    except (TypeError, ValueError):
        return {}


# -- the service ---------------------------------------------------------------------------------


def heartbeat() -> Call[JsonObject]:
    """Return what the API says of itself; it answers without a token too."""
    return Call("GET", "/heartbeat", read=_object)


def new_token(key_id: str, key_secret: str) -> Call[JsonObject]:
    """Return `{token, userId}`: a token for an hour, of the scope that the deployment's token has.

    Parameters
    ----------
    key_id
        A name of your own for whoever will use it.
    key_secret
        One of the deployment's tokens.
    """
    return Call("POST", "/api/token", json={"keyId": key_id, "keySecret": key_secret})


# -- definitions ---------------------------------------------------------------------------------


def definitions(kind: Kind) -> Pages[JsonObject]:
    """Yield the latest version of every definition of a kind."""
    return Pages(f"/v1/{kind}s")


def definition(kind: Kind, name: str) -> Call[JsonObject]:
    """Return the latest version."""
    return Call("GET", f"/v1/{kind}s/{quoted(name)}")


def put_definition(kind: Kind, name: str, body: JsonObject) -> Call[JsonObject]:
    """Make `body` the latest version, and return it. An equal body keeps its version."""
    return Call("PUT", f"/v1/{kind}s/{quoted(name)}", json=body)


def delete_definition(kind: Kind, name: str) -> Call[None]:
    """Delete it. Requests that were submitted before go on with theirs."""
    return Call("DELETE", f"/v1/{kind}s/{quoted(name)}", read=nothing)


# -- requests ------------------------------------------------------------------------------------


def submit(
    type: str,
    params: JsonObject | None = None,
    *,
    extras: JsonObject | None = None,
    version: int | None = None,
    correlation_id: str | None = None,
    priority: int | None = None,
    start_at: datetime | str | None = None,
    idempotency_key: str | None = None,
) -> Call[Request]:
    """Submit a request and return it.

    A call that got lost is repeated under the same key, so that there is one request. Give a
    key of your own to say the same across processes: the same submission returns the request
    that it made before.
    """
    optional = {
        "extras": extras,
        "version": version,
        "correlation_id": correlation_id,
        "priority": priority,
        "start_at": time_text(start_at),
    }
    body = {"type": type, "params": params or {}} | given(optional)
    headers = {"Idempotency-Key": idempotency_key or str(uuid4())}
    return Call("POST", "/v1/requests", json=body, headers=headers)


def get(request_id: str) -> Call[Request]:
    """Return the request, its steps with their counts."""
    return Call("GET", f"/v1/requests/{quoted(request_id)}")


def list_page(
    *,
    status: str | None = None,
    type: str | None = None,
    limit: int = PAGE,
    next_token: str | None = None,
) -> Call[RequestPage]:
    """Return a page of requests, newest first."""
    query = given({"status": status, "type": type, "limit": limit, "next_token": next_token})
    return Call("GET", "/v1/requests", query)


def list_all(*, status: str | None = None, type: str | None = None) -> Pages[RequestSummary]:
    """Yield requests, newest first, page after page."""
    return Pages("/v1/requests", given({"status": status, "type": type}))


def jobs(request_id: str, *, step: int | None = None, status: str | None = None) -> Pages[Attempt]:
    """Yield the request's attempts in order of step, job and attempt, page after page."""
    query = given({"step": step, "status": status})
    return Pages(f"/v1/requests/{quoted(request_id)}/jobs", query)


def jobs_page(
    request_id: str,
    *,
    step: int | None = None,
    status: str | None = None,
    limit: int = PAGE,
    next_token: str | None = None,
) -> Call[AttemptPage]:
    """Return a page of the request's attempts."""
    query = given({"step": step, "status": status, "limit": limit, "next_token": next_token})
    return Call("GET", f"/v1/requests/{quoted(request_id)}/jobs", query)


def cancel(request_id: str) -> Call[Request]:
    """Cancel the request; once this has returned, none of its jobs starts any more."""
    return Call("POST", f"/v1/requests/{quoted(request_id)}/cancel")


def retry(request_id: str) -> Call[Request]:
    """Run again what failed, then go on. Not repeated once it may have arrived."""
    return Call("POST", f"/v1/requests/{quoted(request_id)}/retry", is_repeatable=False)


def explain(request_id: str) -> Call[Explanation]:
    """Return why the request stands where it stands."""
    return Call("GET", f"/v1/requests/{quoted(request_id)}/explain")


def job_logs(attempt_id: str) -> Pages[LogLine]:
    """Yield what the attempt logged."""
    return Pages(f"/v1/jobs/{quoted(attempt_id)}/logs")


# -- tasks: attempts at polled jobs --------------------------------------------------------------


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
) -> Call[Exchanged]:
    """Hand in results and take tasks, in one call. It may be repeated with the same `exchange_id`.

    Parameters
    ----------
    running
        All that the worker holds: their leases are renewed, and those to be stopped are named.
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
    """Return a task in Conductor's words; its id is the attempt's."""
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
    """Record a result from outside a worker, and return the task's id.

    Parameters
    ----------
    status
        COMPLETED, FAILED (tried again by the policy), FAILED_WITH_TERMINAL_ERROR, or IN_PROGRESS:
        the task is handed out again in `callback_after_s`, or with `extend_lease` kept for longer.
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
    """Add a line to what the task has logged."""
    path = f"/api/tasks/{quoted(task_id)}/log"
    headers = {"Content-Type": "text/plain; charset=utf-8"}
    return Call("POST", path, text=message, headers=headers, read=nothing)


def task_logs(task_id: str) -> Call[list[TaskLog]]:
    """Return what the task's worker has logged of it."""
    return Call("GET", f"/api/tasks/{quoted(task_id)}/log")


# -- workers -------------------------------------------------------------------------------------


def new_registration(hostname: str) -> Call[Invitation]:
    """Return a token, with which a worker of this name can register, once, within a minute."""
    return Call("POST", "/v1/worker-registrations", json={"hostname": hostname})


def register_worker(
    registration: str,
    hostname: str,
    *,
    address: str,
    routes: Sequence[str],
    build_limit: int,
    running_build_ids: Sequence[str] | None = None,
) -> Call[WorkerToken]:
    """Create a worker's record and return it with the worker's token.

    `running_build_ids` is what the worker holds, `[]` if it has just started: what its record has
    beyond that is handed out again at once. Not repeated once it may have arrived: a registration
    counts once.
    """
    body = {
        "hostname": hostname,
        "address": address,
        "routes": list(routes),
        "build_limit": build_limit,
        **given({"running_build_ids": running_build_ids}),
    }
    return Call("POST", "/v1/workers", json=body, is_repeatable=False, token=registration)


def refresh_worker(worker_id: str, body: JsonObject | None = None) -> Call[WorkerToken]:
    """Check in, and return the record with a fresh token of the worker's.

    `body` is what the worker says of itself: status, error, running_build_ids, build_limit.
    """
    return Call("POST", f"/v1/workers/{quoted(worker_id)}/refresh", json=body)


def put_worker(worker_id: str, body: JsonObject) -> Call[WorkerView]:
    """Change the fields of a worker's record that `body` names, and return it."""
    return Call("PUT", f"/v1/workers/{quoted(worker_id)}", json=body)


def worker(worker_id: str) -> Call[WorkerView]:
    """Return a worker's record."""
    return Call("GET", f"/v1/workers/{quoted(worker_id)}")


def workers(
    *,
    active: bool | None = None,
    status: str | None = None,
    checked_in_before: int | None = None,
    checked_in_after: int | None = None,
) -> Pages[WorkerView]:
    """Yield workers by id, page after page; the times are seconds since 1970, strict."""
    query = {
        "active": None if active is None else str(active).lower(),
        "status": status,
        "checked_in_before": checked_in_before,
        "checked_in_after": checked_in_after,
    }
    return Pages("/v1/workers", given(query))


def drain(worker_id: str) -> Call[WorkerView]:
    """Give the worker nothing more, and return its record; what it runs may finish."""
    return Call("POST", f"/v1/workers/{quoted(worker_id)}/drain")


def resume(worker_id: str) -> Call[WorkerView]:
    """Give a drained worker jobs again, and return its record."""
    return Call("POST", f"/v1/workers/{quoted(worker_id)}/resume")


def explain_worker(worker_id: str) -> Call[WorkerExplanation]:
    """Return why the worker is given work or none."""
    return Call("GET", f"/v1/workers/{quoted(worker_id)}/explain")


def delete_worker(worker_id: str) -> Call[None]:
    """Forget the worker. One that still polls has a new record at once."""
    return Call("DELETE", f"/v1/workers/{quoted(worker_id)}", read=nothing)
