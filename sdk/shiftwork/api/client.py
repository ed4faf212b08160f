"""The client of Shiftwork's HTTP API, which blocks; `async_client` has the one for asyncio."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import wraps
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

from shiftwork.api.base_client import BaseClient
from shiftwork.api.call import Call, Pages
from shiftwork.api.calls import definitions as definition_calls
from shiftwork.api.calls import requests as request_calls
from shiftwork.api.calls import service as service_calls
from shiftwork.api.calls import tasks as task_calls
from shiftwork.api.calls import workers as worker_calls
from shiftwork.api.calls import workspaces as workspace_calls
from shiftwork.api.errors import ApiError, ShiftworkError
from shiftwork.api.messages import NoAnswer, Transport
from shiftwork.api.retries import wait_before_repeat_s

P = ParamSpec("P")
T = TypeVar("T")


# -- a method for each call ----------------------------------------------------------------------


def _sync(build: Callable[P, Call[T]]) -> Callable[Concatenate[ShiftworkClient, P], T]:
    @wraps(build)
    def method(self: ShiftworkClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.send(build(*args, **kwargs))

    return method


def _sync_pages(
    build: Callable[P, Pages[T]],
) -> Callable[Concatenate[ShiftworkClient, P], Iterator[T]]:
    @wraps(build)
    def method(self: ShiftworkClient, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        return self.items(build(*args, **kwargs))

    return method


# -- the client ----------------------------------------------------------------------------------


class ShiftworkClient(BaseClient):
    """Calls the API, and repeats failed calls where that is safe.

    It has a method for every function of `shiftwork.api.calls`, with the same parameters.

    Parameters
    ----------
    url, token
        Of the API; by default SHIFTWORK_URL and SHIFTWORK_TOKEN, else those that the local stack
        wrote to `.shiftwork/local.env` in the current folder or above.
    timeout_s
        How long one call may take with its repeats, in seconds.

    Raises
    ------
    NotConfigured
        If nothing names a URL.
    Unreachable, ApiError
        By every method, if no answer comes, or the answer is an error.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout_s: float = 30.0,
        transport: Transport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(url, token, timeout_s)
        self._sleep = sleep
        if transport is None:
            from shiftwork.api.http_transport import HttpTransport

            transport = HttpTransport()
        self._transport = transport

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connections."""
        self.close()

    def send(self, call: Call[T]) -> T:
        """Return the answer, after some attempts if needed, which share the time of one call."""
        ends_at = time.monotonic() + self._limit_s(call)
        failures = 0
        while True:
            try:
                left_s = ends_at - time.monotonic()
                return self._read(call, self._transport.send(self._outgoing(call, left_s)))
            except NoAnswer as error:
                failure: ShiftworkError = self._unreachable(error)
            except ApiError as error:
                failure = error
            failures += 1
            left_s = ends_at - time.monotonic()
            self._sleep(wait_before_repeat_s(call, failures, failure, left_s))

    def items(self, pages: Pages[T]) -> Iterator[T]:
        """Yield the items of all pages."""
        token = None
        while True:
            page = self.send(pages.page(token))
            yield from page["items"]
            token = page.get("next_token")
            if not token:
                return

    heartbeat = _sync(service_calls.heartbeat)
    metrics = _sync(service_calls.metrics)
    rebuild_counters = _sync(service_calls.rebuild_counters)
    rebuild_progress = _sync(service_calls.rebuild_progress)
    new_token = _sync(service_calls.new_token)

    definitions = _sync_pages(definition_calls.definitions)
    definition = _sync(definition_calls.definition)
    put_definition = _sync(definition_calls.put_definition)
    delete_definition = _sync(definition_calls.delete_definition)
    plan_request = _sync(definition_calls.plan_request)

    submit = _sync(request_calls.submit)
    get = _sync(request_calls.get)
    list = _sync(request_calls.list_page)
    list_all = _sync_pages(request_calls.list_all)
    jobs = _sync_pages(request_calls.jobs)
    jobs_page = _sync(request_calls.jobs_page)
    failures = _sync_pages(request_calls.failures)
    failures_page = _sync(request_calls.failures_page)
    cancel = _sync(request_calls.cancel)
    retry = _sync(request_calls.retry)
    explain = _sync(request_calls.explain)
    job_logs = _sync_pages(request_calls.job_logs)
    job_logs_page = _sync(request_calls.job_logs_page)
    follow_logs = _sync(request_calls.follow_logs)

    exchange = _sync(task_calls.exchange)
    get_task = _sync(task_calls.get_task)
    update_task = _sync(task_calls.update_task)
    update_task_by_ref_name = _sync(task_calls.update_task_by_ref_name)
    add_task_log = _sync(task_calls.add_task_log)
    task_logs = _sync(task_calls.task_logs)

    new_registration = _sync(worker_calls.new_registration)
    register_worker = _sync(worker_calls.register_worker)
    refresh_worker = _sync(worker_calls.refresh_worker)
    put_worker = _sync(worker_calls.put_worker)
    worker = _sync(worker_calls.worker)
    workers = _sync_pages(worker_calls.workers)
    drain = _sync(worker_calls.drain)
    resume = _sync(worker_calls.resume)
    revoke_worker = _sync(worker_calls.revoke_worker)
    explain_worker = _sync(worker_calls.explain_worker)
    delete_worker = _sync(worker_calls.delete_worker)

    workspaces = _sync_pages(workspace_calls.workspaces)
    workspace = _sync(workspace_calls.workspace)
    put_workspace = _sync(workspace_calls.put_workspace)
    delete_workspace = _sync(workspace_calls.delete_workspace)
    start_workspace = _sync(workspace_calls.start_workspace)
    stop_workspace = _sync(workspace_calls.stop_workspace)
    dry_run_workspace = _sync(workspace_calls.dry_run_workspace)
    override_workspace = _sync(workspace_calls.override_workspace)
    clear_override = _sync(workspace_calls.clear_override)
    report_activity = _sync(workspace_calls.report_activity)
    set_workspace_deadline = _sync(workspace_calls.set_workspace_deadline)
    workspace_plan = _sync(workspace_calls.workspace_plan)
    explain_workspace = _sync(workspace_calls.explain_workspace)
    lifecycle_jobs = _sync_pages(workspace_calls.lifecycle_jobs)
    lifecycle_job = _sync(workspace_calls.lifecycle_job)
    cancel_lifecycle_job = _sync(workspace_calls.cancel_lifecycle_job)
    lifecycle_job_logs = _sync_pages(workspace_calls.lifecycle_job_logs)
