"""The client of Shiftwork's HTTP API for asyncio, with the methods of the one that blocks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import wraps
from types import TracebackType
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Self, TypeVar

from shiftwork.api.base_client import BaseClient
from shiftwork.api.call import Call, Pages
from shiftwork.api.calls import definitions as definition_calls
from shiftwork.api.calls import requests as request_calls
from shiftwork.api.calls import service as service_calls
from shiftwork.api.calls import tasks as task_calls
from shiftwork.api.calls import workers as worker_calls
from shiftwork.api.calls import workspaces as workspace_calls
from shiftwork.api.errors import ApiError, ShiftworkError
from shiftwork.api.messages import NoAnswer
from shiftwork.api.retries import wait_before_repeat_s

if TYPE_CHECKING:
    import httpx2

P = ParamSpec("P")
T = TypeVar("T")


# -- a method for each call ----------------------------------------------------------------------


def _async(
    build: Callable[P, Call[T]],
) -> Callable[Concatenate[AsyncShiftworkClient, P], Awaitable[T]]:
    @wraps(build)
    async def method(self: AsyncShiftworkClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.send(build(*args, **kwargs))

    return method


def _async_pages(
    build: Callable[P, Pages[T]],
) -> Callable[Concatenate[AsyncShiftworkClient, P], AsyncIterator[T]]:
    @wraps(build)
    def method(
        self: AsyncShiftworkClient, /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncIterator[T]:
        return self.items(build(*args, **kwargs))

    return method


# -- the client ----------------------------------------------------------------------------------


class AsyncShiftworkClient(BaseClient):
    """ShiftworkClient for asyncio: the same methods, awaited or iterated over."""

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout_s: float = 30.0,
        transport: httpx2.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        from shiftwork.api.httpx_transport import HttpxTransport

        super().__init__(url, token, timeout_s)
        self._sleep = sleep
        self._transport = HttpxTransport(self.config.url, transport)

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        """Return the client."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connections."""
        await self.close()

    async def send(self, call: Call[T]) -> T:
        """Return the answer, after some attempts if needed, which share the time of one call."""
        ends_at = time.monotonic() + self._limit_s(call)
        failures = 0
        while True:
            try:
                left_s = ends_at - time.monotonic()
                return self._read(call, await self._transport.send(self._outgoing(call, left_s)))
            except NoAnswer as error:
                failure: ShiftworkError = self._unreachable(error)
            except ApiError as error:
                failure = error
            failures += 1
            left_s = ends_at - time.monotonic()
            await self._sleep(wait_before_repeat_s(call, failures, failure, left_s))

    async def items(self, pages: Pages[T]) -> AsyncIterator[T]:
        """Yield the items of all pages."""
        token = None
        while True:
            page = await self.send(pages.page(token))
            for item in page["items"]:
                yield item
            token = page.get("next_token")
            if not token:
                return

    heartbeat = _async(service_calls.heartbeat)
    metrics = _async(service_calls.metrics)
    rebuild_counters = _async(service_calls.rebuild_counters)
    rebuild_progress = _async(service_calls.rebuild_progress)
    new_token = _async(service_calls.new_token)

    definitions = _async_pages(definition_calls.definitions)
    definition = _async(definition_calls.definition)
    put_definition = _async(definition_calls.put_definition)
    delete_definition = _async(definition_calls.delete_definition)
    plan_request = _async(definition_calls.plan_request)

    submit = _async(request_calls.submit)
    get = _async(request_calls.get)
    list = _async(request_calls.list_page)
    list_all = _async_pages(request_calls.list_all)
    jobs = _async_pages(request_calls.jobs)
    jobs_page = _async(request_calls.jobs_page)
    failures = _async_pages(request_calls.failures)
    failures_page = _async(request_calls.failures_page)
    cancel = _async(request_calls.cancel)
    retry = _async(request_calls.retry)
    explain = _async(request_calls.explain)
    job_logs = _async_pages(request_calls.job_logs)
    job_logs_page = _async(request_calls.job_logs_page)
    follow_logs = _async(request_calls.follow_logs)

    exchange = _async(task_calls.exchange)
    get_task = _async(task_calls.get_task)
    update_task = _async(task_calls.update_task)
    update_task_by_ref_name = _async(task_calls.update_task_by_ref_name)
    add_task_log = _async(task_calls.add_task_log)
    task_logs = _async(task_calls.task_logs)

    new_registration = _async(worker_calls.new_registration)
    register_worker = _async(worker_calls.register_worker)
    refresh_worker = _async(worker_calls.refresh_worker)
    put_worker = _async(worker_calls.put_worker)
    worker = _async(worker_calls.worker)
    workers = _async_pages(worker_calls.workers)
    drain = _async(worker_calls.drain)
    resume = _async(worker_calls.resume)
    revoke_worker = _async(worker_calls.revoke_worker)
    explain_worker = _async(worker_calls.explain_worker)
    delete_worker = _async(worker_calls.delete_worker)

    workspaces = _async_pages(workspace_calls.workspaces)
    workspace = _async(workspace_calls.workspace)
    put_workspace = _async(workspace_calls.put_workspace)
    delete_workspace = _async(workspace_calls.delete_workspace)
    start_workspace = _async(workspace_calls.start_workspace)
    stop_workspace = _async(workspace_calls.stop_workspace)
    dry_run_workspace = _async(workspace_calls.dry_run_workspace)
    override_workspace = _async(workspace_calls.override_workspace)
    clear_override = _async(workspace_calls.clear_override)
    report_activity = _async(workspace_calls.report_activity)
    set_workspace_deadline = _async(workspace_calls.set_workspace_deadline)
    workspace_plan = _async(workspace_calls.workspace_plan)
    explain_workspace = _async(workspace_calls.explain_workspace)
    lifecycle_jobs = _async_pages(workspace_calls.lifecycle_jobs)
    lifecycle_job = _async(workspace_calls.lifecycle_job)
    cancel_lifecycle_job = _async(workspace_calls.cancel_lifecycle_job)
    lifecycle_job_logs = _async_pages(workspace_calls.lifecycle_job_logs)
