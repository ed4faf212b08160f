"""The calls of worker records: register, check in, list, drain, explain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shiftwork.api.call import Call, Pages, given, nothing, quoted

if TYPE_CHECKING:
    from shiftwork.api.shapes import (
        Invitation,
        JsonObject,
        WorkerExplanation,
        WorkerToken,
        WorkerView,
    )


def new_registration(hostname: str, job_types: Sequence[str] = ()) -> Call[Invitation]:
    """Return a token that registers a worker of this name once, within a minute.

    The worker may then do jobs of `job_types`; of all if there are none.
    """
    body: JsonObject = {"hostname": hostname}
    if job_types:
        body["job_types"] = list(job_types)
    return Call("POST", "/v1/worker-registrations", json=body)


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

    `running_build_ids` are the attempts that the worker holds, `[]` if it has just started. The
    server requeues at once any others that its record names. Not repeated once the call may have
    arrived: a registration token works once.
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
    """Check in, and return the record with a fresh token for the worker.

    `body` may report its status, error, running_build_ids and build_limit.
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
    """Yield workers by id. The times are seconds since 1970; neither bound is included."""
    query = {
        "active": None if active is None else str(active).lower(),
        "status": status,
        "checked_in_before": checked_in_before,
        "checked_in_after": checked_in_after,
    }
    return Pages("/v1/workers", given(query))


def drain(worker_id: str) -> Call[WorkerView]:
    """Drain the worker: it gets no more jobs and may finish what it runs. Return its record."""
    return Call("POST", f"/v1/workers/{quoted(worker_id)}/drain")


def resume(worker_id: str) -> Call[WorkerView]:
    """Resume a drained worker: it gets jobs again. Return its record."""
    return Call("POST", f"/v1/workers/{quoted(worker_id)}/resume")


def revoke_worker(worker_id: str) -> Call[WorkerView]:
    """End all tokens of the worker within a minute: it must register again. Return its record."""
    return Call("POST", f"/v1/workers/{quoted(worker_id)}/revoke")


def explain_worker(worker_id: str) -> Call[WorkerExplanation]:
    """Return why the worker gets jobs, or why it gets none."""
    return Call("GET", f"/v1/workers/{quoted(worker_id)}/explain")


def delete_worker(worker_id: str) -> Call[None]:
    """Delete the worker's record. Its tokens end within a minute."""
    return Call("DELETE", f"/v1/workers/{quoted(worker_id)}", read=nothing)
