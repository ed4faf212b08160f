"""Run one worker of a pool: start it when due, restart it while it fails, keep its report."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Protocol, cast

from shiftwork.worker.clock import Signal
from shiftwork.worker.context import ExecutionLogger, WorkerContext, current, log_fields
from shiftwork.worker.execution import ExecutionEvent, ExecutionStatus, WorkerExecution
from shiftwork.worker.pool_services import PoolServices

Run = Callable[[WorkerContext], object]
#: Takes a worker's `run` and returns another of the same kind: async for async.
Middleware = Callable[[Run], Run]


class Worker(Protocol):
    """What a pool runs. `run` may be `async def`; its return value is ignored."""

    @property
    def name(self) -> str:
        """The worker's name, unique in its pool."""

    def run(self, ctx: WorkerContext) -> object:
        """Work until there is nothing left to do or the context is cancelled."""


class Supervisor:
    """Runs one worker, restarts it while it fails, and keeps its report.

    Only the loop's thread replaces `report`, always as a whole, so any thread may read it.
    """

    def __init__(
        self,
        worker: Worker,
        services: PoolServices,
        *,
        deferred_start_threshold: float,
        max_executions_attempts: int,
        middlewares: Sequence[Middleware],
    ) -> None:
        self.cancellation = Signal()
        self.report = WorkerExecution(
            id=services.new_id(),
            name=worker.name,
            max_executions_attempts=max_executions_attempts,
            deferred_start_threshold=deferred_start_threshold,
        )
        self._is_async = inspect.iscoroutinefunction(worker.run)
        self._run: Run = worker.run
        for wrap in reversed(middlewares):
            self._run = wrap(self._run)
        self._services = services
        self._coroutine: asyncio.Task[BaseException | None] | None = None

    async def supervise(self) -> None:
        """Run the worker until it succeeds, is cancelled, or has used up its attempts."""
        try:
            if await self._may_start():
                attempt = 1
                while await self._run_attempt(attempt):
                    attempt += 1
                    self.report = replace(self.report, id=self._services.new_id())
        except asyncio.CancelledError:
            self.cancellation.set()  # The loop is closing: the worker's thread must end too.
            raise
        except Exception as error:  # Such as one of new_id: report it.
            self._note(f"given up: {describe(error)}", ExecutionStatus.ERROR, error)

    def interrupt(self) -> None:
        """Raise `CancelledError` in the worker, if it is a coroutine; call it on the loop."""
        if self._coroutine is not None:
            self._coroutine.cancel()

    async def _may_start(self) -> bool:
        """Wait for the deferred start; return whether the worker may start then."""
        if (seconds := self.report.deferred_start_threshold) > 0:
            self._note(f"deferring the start for {seconds:g} s", ExecutionStatus.DEFERRED)
            await self._services.clock.wait_async(self.cancellation, seconds)
        if self.cancellation.is_set:
            self._note("cancelled before the start")
        return not self.cancellation.is_set

    async def _run_attempt(self, attempt: int) -> bool:
        """Run the worker once; return whether it is to be restarted."""
        limit, count = self.report.max_executions_attempts, self._services.metrics.count
        name, position = self.report.name, f"attempt {attempt} of {limit}"
        self.report = replace(self.report, current_execution_attempt=attempt)
        self._note(f"starting {position}", ExecutionStatus.RUNNING)
        count(name, "started")
        error = await self._execute(attempt)
        is_cancelled = self.cancellation.is_set
        if error is None or (is_cancelled and isinstance(error, asyncio.CancelledError)):
            self._note(f"stopping {position} with success", ExecutionStatus.SUCCESS)
            count(name, "success")
            return False
        # SystemExit and the like, which are no Exception, are meant for the process: a panic.
        is_panic = not isinstance(error, Exception)
        how = f"recovered panic in {position}" if is_panic else f"stopping {position} with error"
        self._note(f"{how}: {describe(error)}", ExecutionStatus.ERROR, error)
        count(name, "error")
        if is_cancelled:
            self._note("not restarting: cancelled")
            return False
        if attempt >= limit:
            self._note("max attempts reached")
            return False
        self._note(f"restarting after {'panic' if is_panic else 'error'}")
        count(name, "restarted")
        return True

    async def _execute(self, attempt: int) -> BaseException | None:
        """Run the worker in a thread or as a coroutine; return what it raised, of any kind."""
        ctx = WorkerContext(
            name=self.report.name,
            execution_id=self.report.id,
            attempt=attempt,
            cancellation=self.cancellation,
            services=self._services,
        )
        context = contextvars.copy_context()
        context.run(current.set, ctx)
        if not self._is_async:
            return await in_thread(lambda: context.run(self._call, ctx), f"worker {ctx.name}")
        self._coroutine = asyncio.get_running_loop().create_task(
            self._await(ctx), name=f"worker {ctx.name}", context=context
        )
        return await self._coroutine

    def _call(self, ctx: WorkerContext) -> BaseException | None:
        try:
            result = self._run(ctx)
            if inspect.isawaitable(result):
                if inspect.iscoroutine(result):
                    result.close()
                raise TypeError("the worker's run is sync but returned an awaitable: use async def")
        except BaseException as error:
            return error
        return None

    async def _await(self, ctx: WorkerContext) -> BaseException | None:
        # Caught within the task: asyncio lets SystemExit out of the loop otherwise.
        try:
            await cast(Awaitable[object], self._run(ctx))
        except BaseException as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # Interrupted, or the loop is closing.
                self.cancellation.set()
            return error
        return None

    def _note(
        self,
        message: str,
        status: ExecutionStatus | None = None,
        error: BaseException | None = None,
    ) -> None:
        """Record an event, and log it."""
        report, now = self.report, self._services.clock.now()
        self.report = replace(
            report,
            status=status or report.status,
            events=(*report.events, ExecutionEvent(report.id, message, now)),
        )
        fields = log_fields(report.name, report.id)
        level = logging.ERROR if error else logging.INFO
        ExecutionLogger(self._services.logger, fields).log(level, message, exc_info=error)


def describe(error: BaseException) -> str:
    """Return the error's class, and its message if it has one."""
    return f"{type(error).__name__}: {error}".rstrip(": ")


async def in_thread(
    call: Callable[[], BaseException | None], thread_name: str
) -> BaseException | None:
    """Run the call in a daemon thread of its own; return its result."""
    loop = asyncio.get_running_loop()
    returned: asyncio.Future[BaseException | None] = loop.create_future()

    def give(result: BaseException | None) -> None:
        if not returned.done():
            returned.set_result(result)

    def run() -> None:
        result = call()
        with suppress(RuntimeError):  # The loop was closed: nobody waits for the result.
            loop.call_soon_threadsafe(give, result)

    threading.Thread(target=run, name=thread_name, daemon=True).start()
    return await returned
