"""A pool of workers: start them, restart those that fail, stop them, report on each."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
import threading
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, Self

from shiftwork.worker.clock import Clock, Signal
from shiftwork.worker.context import LOGGER, current
from shiftwork.worker.errors import DuplicateWorker, StopTimedOut, UnknownWorker, WrongState
from shiftwork.worker.execution import WorkerExecution
from shiftwork.worker.metrics import WorkerMetrics
from shiftwork.worker.pool_services import PoolServices
from shiftwork.worker.supervisor import Middleware, Supervisor, Worker

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

#: How long coroutines may take to end once they have been interrupted.
_INTERRUPTED_S = 1.0


class WorkerPool:
    """Runs workers: sync ones in a thread each, async ones on one event loop.

    In a script `start()` and `stop()`, or `with pool:`; the loop then lives in a thread of the
    pool. In an asyncio program `async with pool:`, or `await pool.start_async()` and
    `await pool.stop_async()`; the loop is then the caller's.

    Parameters
    ----------
    deferred_start_threshold
        Seconds before a worker's first attempt; fractions count.
    max_executions_attempts
        How often the pool runs a worker altogether while it fails; 1: no restart.
    middlewares
        Wrapped around every worker, the first one outermost.
    metrics_namespace, metrics_subsystem
        Prefixes of the metrics' names.
    new_id
        Returns a new id for an execution.
    logger
        The logger of the pool and of `ctx.logger`.
    tracer_provider
        The source of `ctx.tracer`; None: OpenTelemetry's global one.
    clock
        Tells the time and waits; for tests.
    """

    def __init__(  # long: public keyword arguments, which programs and docs spell out
        self,
        *,
        deferred_start_threshold: float = 0.0,
        max_executions_attempts: int = 1,
        middlewares: Sequence[Middleware] = (),
        metrics_namespace: str = "",
        metrics_subsystem: str = "",
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
        logger: logging.Logger = LOGGER,
        tracer_provider: TracerProvider | None = None,
        clock: Clock | None = None,
    ) -> None:
        check_options(deferred_start_threshold, max_executions_attempts)
        self.metrics = WorkerMetrics(metrics_namespace, metrics_subsystem)
        self._deferred_start_threshold = deferred_start_threshold
        self._max_executions_attempts = max_executions_attempts
        self._middlewares = tuple(middlewares)
        self._services = PoolServices(
            clock or Clock(), new_id, logger, tracer_provider, self.metrics
        )
        # Reentrant: a signal handler may call cancel() while its thread is in here.
        self._lock = threading.RLock()
        self._state: Literal["new", "running", "stopping"] = "new"
        self._supervisors: dict[str, Supervisor] = {}
        #: Supervisors of workers that have not ended, each with its task once it has one.
        self._active: dict[Supervisor, asyncio.Task[None] | None] = {}
        self._is_cancelled = Signal()
        self._is_idle = Signal()
        self._is_idle.set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def register(
        self,
        worker: Worker,
        *,
        deferred_start_threshold: float | None = None,
        max_executions_attempts: int | None = None,
        middlewares: Sequence[Middleware] = (),
    ) -> None:
        """Add a worker; if the pool is running, start the worker too.

        Parameters
        ----------
        deferred_start_threshold, max_executions_attempts
            None: the pool's.
        middlewares
            Wrapped around the worker within the pool's, the first one outermost.

        Raises
        ------
        DuplicateWorker
            If the pool has a worker of that name.
        WrongState
            If the pool has been stopped.
        """
        seconds, attempts = deferred_start_threshold, max_executions_attempts
        seconds = self._deferred_start_threshold if seconds is None else seconds
        attempts = self._max_executions_attempts if attempts is None else attempts
        check_options(seconds, attempts)
        with self._lock:
            if self._state == "stopping" or (self._loop and self._loop.is_closed()):
                raise WrongState("The pool has been stopped.", "Make a new one")
            if worker.name in self._supervisors:
                raise DuplicateWorker(worker.name)
            supervisor = Supervisor(
                worker,
                self._services,
                deferred_start_threshold=seconds,
                max_executions_attempts=attempts,
                middlewares=(*self._middlewares, *middlewares),
            )
            self._supervisors[worker.name] = supervisor
            if self._loop is not None:
                self._activate(supervisor)
                self._loop.call_soon_threadsafe(self._launch, supervisor)

    def start(self) -> None:
        """Start all workers; those that are not deferred run when this returns.

        Raises
        ------
        WrongState
            If the pool has been started before.
        """
        self._open()
        has_started = threading.Event()
        # The caller's context variables reach the workers, as they do on the caller's own loop.
        context = contextvars.copy_context()
        self._thread = threading.Thread(
            target=context.run,
            args=(asyncio.run, self._serve(has_started)),
            name="worker pool",
            daemon=True,
        )
        self._thread.start()
        has_started.wait()

    async def start_async(self) -> None:
        """Do the same as `start`, with async workers on the running loop."""
        self._open()
        await self._launch_all()

    def cancel(self) -> None:
        """Ask all workers to stop, and return at once. Signal handlers and workers may call it."""
        with self._lock:
            if self._state == "stopping":
                return
            self._state = "stopping"
            supervisors = list(self._supervisors.values())
        for supervisor in supervisors:
            supervisor.cancellation.set()
        self._is_cancelled.set()

    def stop(self, timeout_s: float | None = None) -> None:
        """Ask all workers to stop, and return once all have ended.

        Parameters
        ----------
        timeout_s
            Then coroutines are interrupted with `CancelledError`. None: wait without limit.

        Raises
        ------
        StopTimedOut
            If workers still run: threads cannot be interrupted.
        WrongState
            If called by a worker of the pool, or on the loop that its async workers need: either
            would wait for itself.
        """
        self._refuse_to_block("stop")
        self.cancel()
        if not self.wait(timeout_s):
            self._interrupt()
            if not self.wait(_INTERRUPTED_S):
                raise StopTimedOut([active.report.name for active in list(self._active)])
        if self._thread is not None:
            self._thread.join(timeout_s)

    async def stop_async(self, timeout_s: float | None = None) -> None:
        """Do the same as `stop`."""
        self._refuse_own_workers()
        self.cancel()
        if not await self.wait_async(timeout_s):
            self._interrupt()
            if not await self.wait_async(_INTERRUPTED_S):
                raise StopTimedOut([active.report.name for active in list(self._active)])

    def wait(self, timeout_s: float | None = None) -> bool:
        """Block until every worker has ended, or time is up; return whether all have."""
        self._refuse_to_block("wait")
        return self._services.clock.wait(self._is_idle, timeout_s)

    async def wait_async(self, timeout_s: float | None = None) -> bool:
        """Do the same as `wait`."""
        self._refuse_own_workers()
        return await self._services.clock.wait_async(self._is_idle, timeout_s)

    def executions(self) -> dict[str, WorkerExecution]:
        """Return the report on every worker, by name, as of now."""
        with self._lock:
            return {name: found.report for name, found in self._supervisors.items()}

    def execution(self, name: str) -> WorkerExecution:
        """Return the report on one worker as of now.

        Raises
        ------
        UnknownWorker
            If the pool has no such worker.
        """
        if (supervisor := self._supervisors.get(name)) is None:
            raise UnknownWorker(name)
        return supervisor.report

    def is_responsive(self, timeout_s: float) -> bool:
        """Whether the event loop answers in time; True if the pool is not running.

        Do not call this on that loop.
        """
        answered = threading.Event()
        try:
            if self._loop is None:
                return True
            self._loop.call_soon_threadsafe(answered.set)
        except RuntimeError:  # It has been closed.
            return True
        return answered.wait(timeout_s)

    def __enter__(self) -> Self:
        """Start the pool; leaving the block stops it."""
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Stop it."""
        self.stop()

    async def __aenter__(self) -> Self:
        """Start the pool with async workers on the running loop; leaving stops it."""
        await self.start_async()
        return self

    async def __aexit__(self, *error: object) -> None:
        """Stop it."""
        await self.stop_async()

    def _open(self) -> None:
        with self._lock:
            if self._state != "new":
                raise WrongState("A pool starts only once.", "Make a new one")
            self._state = "running"

    async def _serve(self, has_started: threading.Event) -> None:
        """Run all workers, as the main coroutine of the pool's own loop."""
        try:
            await self._launch_all()
        finally:
            has_started.set()
        await self._is_cancelled.wait_async()
        while self._has_active():
            await self._is_idle.wait_async()

    def _has_active(self) -> bool:
        with self._lock:  # Held by a register() that a handler's cancel() interrupted.
            return bool(self._active)

    async def _launch_all(self) -> None:
        with self._lock:
            self._loop = asyncio.get_running_loop()
            for supervisor in self._supervisors.values():
                self._activate(supervisor)
                self._launch(supervisor)
        await asyncio.sleep(0)  # After this every task has run its first step.

    def _activate(self, supervisor: Supervisor) -> None:
        self._active[supervisor] = None
        self._is_idle.clear()

    def _launch(self, supervisor: Supervisor) -> None:
        if self._state == "stopping":  # A signal handler called cancel() in between.
            supervisor.cancellation.set()
        task = asyncio.get_running_loop().create_task(supervisor.supervise())
        self._active[supervisor] = task
        task.add_done_callback(lambda _: self._deactivate(supervisor))

    def _deactivate(self, supervisor: Supervisor) -> None:
        with self._lock:
            del self._active[supervisor]
            if not self._active:
                self._is_idle.set()

    def _interrupt(self) -> None:
        """Interrupt the coroutines that still run."""
        for supervisor in list(self._active):
            if self._loop is not None:
                self._loop.call_soon_threadsafe(supervisor.interrupt)

    def _refuse_own_workers(self) -> None:
        ctx = current.get()
        supervisor = self._supervisors.get(ctx.name) if ctx else None
        if ctx and supervisor and ctx.cancellation is supervisor.cancellation:
            raise WrongState(
                "A worker cannot wait for its pool: it would wait for itself.", "Call pool.cancel()"
            )

    def _refuse_to_block(self, method: str) -> None:
        self._refuse_own_workers()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        if loop is self._loop:
            raise WrongState(
                f"{method}() would block the loop that the pool's workers need.",
                f"Await pool.{method}_async()",
            )


def check_options(deferred_start_threshold: float, max_executions_attempts: int) -> None:
    """Raise ValueError if one of them is out of its range."""
    if not (deferred_start_threshold >= 0 and math.isfinite(deferred_start_threshold)):
        raise ValueError("deferred_start_threshold must be a number of seconds, 0 or more")
    if max_executions_attempts < 1:
        raise ValueError("max_executions_attempts must be 1 or more")
