"""The clients of Shiftwork's HTTP API: one that blocks, and one for asyncio."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import httpx

from shiftwork.api.calls import requests as request_calls
from shiftwork.api.calls import workspaces as workspace_calls
from shiftwork.api.calls.requests import Call, Pages
from shiftwork.api.config import Config
from shiftwork.api.errors import ApiError, ShiftworkError, Unreachable

P = ParamSpec("P")
T = TypeVar("T")

#: Waits of at most these, in seconds, between tries: a stack that is down is reported soon.
_BACKOFF_S = (0.2, 0.4, 0.8)
#: The longest wait that a Retry-After is granted.
_MAX_RETRY_AFTER_S = 20.0


# -- what both clients do ------------------------------------------------------------------------


class _Client:
    """Where the API is, and with which token it is called.

    `token` can be set: the next call carries the new one.
    """

    def __init__(self, url: str | None, token: str | None, timeout_s: float) -> None:
        self.config = Config.load(url, token)
        self.token = self.config.token
        self._timeout_s = timeout_s

    def _settings(self) -> dict[str, Any]:
        """Return what an httpx client is made with."""
        address = httpx.URL(self.config.url)
        return {
            "base_url": address,
            "headers": {"Accept": "application/json"},
            # A proxy of the environment cannot reach this machine's own addresses.
            "trust_env": address.host not in ("127.0.0.1", "localhost", "::1"),
        }

    def _arguments(self, call: Call[Any]) -> dict[str, Any]:
        """Return what httpx is called with."""
        token = call.token or self.token
        return {
            "method": call.method,
            "url": call.path,
            "params": call.query or None,
            "json": call.json,
            "content": call.text,
            "headers": {**call.headers, **({"Authorization": f"Bearer {token}"} if token else {})},
            "timeout": self._timeout_s + call.extra_s,
        }

    def _read(self, call: Call[T], response: httpx.Response) -> T:
        """Return what the answer says.

        Raises
        ------
        ApiError
            If it is a refusal or a fault.
        """
        if not response.is_success:
            raise ApiError.of(response)
        try:
            return call.read(response)
        except ValueError as error:
            raise ShiftworkError(
                f"{self.config.url} answers, but not as Shiftwork does",
                "See whether SHIFTWORK_URL is the API's with: shiftwork status",
            ) from error

    def _unreachable(self, error: httpx.TransportError) -> Unreachable:
        is_sent = not isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout))
        reason = str(error) or type(error).__name__
        unreachable = Unreachable(self.config.url, reason, is_sent=is_sent)
        unreachable.__cause__ = error
        return unreachable


def _wait_s(call: Call[Any], tries: int, error: ShiftworkError) -> float:
    """Return how long to wait before the call is tried again, having failed so many times.

    Raises
    ------
    ShiftworkError
        The error, if it is not tried again.
    """
    if not call.is_patient or tries > len(_BACKOFF_S) or not may_repeat(call, error):
        raise error
    asked_s = getattr(error, "retry_after_s", None) or 0.0
    return random.uniform(0, _BACKOFF_S[tries - 1]) + min(asked_s, _MAX_RETRY_AFTER_S)


def may_repeat(call: Call[Any], error: ShiftworkError) -> bool:
    """Whether the same call may be sent again: it did not arrive, or arriving twice is harmless."""
    match error:
        case Unreachable():
            return call.is_repeatable or not error.is_sent
        case ApiError(status=429):
            return True
        case ApiError(status=status):
            return call.is_repeatable and status in (500, 502, 503, 504)
        case _:
            return False


# -- from a call to a method ---------------------------------------------------------------------


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


# -- the clients ---------------------------------------------------------------------------------


class ShiftworkClient(_Client):
    """Calls the API; repeats what a repetition cannot harm. `shiftwork.api.calls` has each call.

    Parameters
    ----------
    url, token
        Of the API; by default SHIFTWORK_URL and SHIFTWORK_TOKEN, else what the local stack wrote
        into `.shiftwork/local.env`, looked for in the current folder and above.
    timeout_s
        For one call.

    Raises
    ------
    NotConfigured
        If nothing names a URL.
    Unreachable, ApiError
        By every method, if no answer comes, or one that is an error.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout_s: float = 30.0,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(url, token, timeout_s)
        self._sleep = sleep
        self._http = httpx.Client(**self._settings(), transport=transport)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

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
        """Return the answer, after some tries if it takes them."""
        tries = 0
        while True:
            try:
                return self._read(call, self._http.request(**self._arguments(call)))
            except httpx.TransportError as error:
                failure: ShiftworkError = self._unreachable(error)
            except ApiError as error:
                failure = error
            tries += 1
            self._sleep(_wait_s(call, tries, failure))

    def items(self, pages: Pages[T]) -> Iterator[T]:
        """Yield what all pages list."""
        token = None
        while True:
            page = self.send(pages.page(token))
            yield from page["items"]
            token = page.get("next_token")
            if not token:
                return

    heartbeat = _sync(request_calls.heartbeat)
    new_token = _sync(request_calls.new_token)

    definitions = _sync_pages(request_calls.definitions)
    definition = _sync(request_calls.definition)
    put_definition = _sync(request_calls.put_definition)
    delete_definition = _sync(request_calls.delete_definition)

    submit = _sync(request_calls.submit)
    get = _sync(request_calls.get)
    list = _sync(request_calls.list_page)
    list_all = _sync_pages(request_calls.list_all)
    jobs = _sync_pages(request_calls.jobs)
    jobs_page = _sync(request_calls.jobs_page)
    cancel = _sync(request_calls.cancel)
    retry = _sync(request_calls.retry)
    explain = _sync(request_calls.explain)
    job_logs = _sync_pages(request_calls.job_logs)

    exchange = _sync(request_calls.exchange)
    get_task = _sync(request_calls.get_task)
    update_task = _sync(request_calls.update_task)
    update_task_by_ref_name = _sync(request_calls.update_task_by_ref_name)
    add_task_log = _sync(request_calls.add_task_log)
    task_logs = _sync(request_calls.task_logs)

    new_registration = _sync(request_calls.new_registration)
    register_worker = _sync(request_calls.register_worker)
    refresh_worker = _sync(request_calls.refresh_worker)
    put_worker = _sync(request_calls.put_worker)
    worker = _sync(request_calls.worker)
    workers = _sync_pages(request_calls.workers)
    drain = _sync(request_calls.drain)
    resume = _sync(request_calls.resume)
    explain_worker = _sync(request_calls.explain_worker)
    delete_worker = _sync(request_calls.delete_worker)

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


class AsyncShiftworkClient(_Client):
    """ShiftworkClient for asyncio: the same methods, to be awaited or iterated over."""

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout_s: float = 30.0,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(url, token, timeout_s)
        self._sleep = sleep
        self._http = httpx.AsyncClient(**self._settings(), transport=transport)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

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
        """Return the answer, after some tries if it takes them."""
        tries = 0
        while True:
            try:
                return self._read(call, await self._http.request(**self._arguments(call)))
            except httpx.TransportError as error:
                failure: ShiftworkError = self._unreachable(error)
            except ApiError as error:
                failure = error
            tries += 1
            await self._sleep(_wait_s(call, tries, failure))

    async def items(self, pages: Pages[T]) -> AsyncIterator[T]:
        """Yield what all pages list."""
        token = None
        while True:
            page = await self.send(pages.page(token))
            for item in page["items"]:
                yield item
            token = page.get("next_token")
            if not token:
                return

    heartbeat = _async(request_calls.heartbeat)
    new_token = _async(request_calls.new_token)

    definitions = _async_pages(request_calls.definitions)
    definition = _async(request_calls.definition)
    put_definition = _async(request_calls.put_definition)
    delete_definition = _async(request_calls.delete_definition)

    submit = _async(request_calls.submit)
    get = _async(request_calls.get)
    list = _async(request_calls.list_page)
    list_all = _async_pages(request_calls.list_all)
    jobs = _async_pages(request_calls.jobs)
    jobs_page = _async(request_calls.jobs_page)
    cancel = _async(request_calls.cancel)
    retry = _async(request_calls.retry)
    explain = _async(request_calls.explain)
    job_logs = _async_pages(request_calls.job_logs)

    exchange = _async(request_calls.exchange)
    get_task = _async(request_calls.get_task)
    update_task = _async(request_calls.update_task)
    update_task_by_ref_name = _async(request_calls.update_task_by_ref_name)
    add_task_log = _async(request_calls.add_task_log)
    task_logs = _async(request_calls.task_logs)

    new_registration = _async(request_calls.new_registration)
    register_worker = _async(request_calls.register_worker)
    refresh_worker = _async(request_calls.refresh_worker)
    put_worker = _async(request_calls.put_worker)
    worker = _async(request_calls.worker)
    workers = _async_pages(request_calls.workers)
    drain = _async(request_calls.drain)
    resume = _async(request_calls.resume)
    explain_worker = _async(request_calls.explain_worker)
    delete_worker = _async(request_calls.delete_worker)

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
