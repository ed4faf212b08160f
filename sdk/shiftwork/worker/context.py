"""The context passed to a worker's `run`: its name and ids, logger, tracer, and when to stop."""

from __future__ import annotations

import functools
import logging
from collections.abc import MutableMapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from shiftwork.worker.clock import Signal
from shiftwork.worker.pool_services import PoolServices
from shiftwork.worker.tracing import execution_tracer

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

LOGGER = logging.getLogger("shiftwork.worker")

current: ContextVar[WorkerContext | None] = ContextVar("shiftwork_worker", default=None)


class WorkerContext:
    """One execution of a worker, as the worker sees it.

    Attributes
    ----------
    name
        The worker's name.
    execution_id
        Each restart has another one.
    attempt
        1 for the first execution, one more for each restart.
    logger
        Adds `worker` and `workerExecutionID` to every record.
    cancellation
        Set once the worker is to stop.
    """

    def __init__(
        self,
        *,
        name: str,
        execution_id: str,
        attempt: int,
        cancellation: Signal,
        services: PoolServices,
    ) -> None:
        self.name = name
        self.execution_id = execution_id
        self.attempt = attempt
        self.cancellation = cancellation
        self.logger = ExecutionLogger(services.logger, log_fields(name, execution_id))
        self._clock = services.clock
        self._tracer_provider = services.tracer_provider

    @functools.cached_property
    def tracer(self) -> Tracer:
        """Adds `Worker` and `WorkerExecutionID` to every span; does nothing without OpenTelemetry.

        OpenTelemetry is imported on first use, since that takes a while.
        """
        return execution_tracer(self._tracer_provider, self.name, self.execution_id)

    @property
    def is_cancelled(self) -> bool:
        """Whether the worker is to stop."""
        return self.cancellation.is_set

    def wait(self, timeout_s: float | None = None) -> bool:
        """Block until the worker is to stop, or time is up; return whether it is to stop.

        `while not ctx.wait(5): ...` does something every five seconds, and stops promptly.
        """
        return self._clock.wait(self.cancellation, timeout_s)

    async def wait_async(self, timeout_s: float | None = None) -> bool:
        """Do the same as `wait`, and let other coroutines run meanwhile."""
        return await self._clock.wait_async(self.cancellation, timeout_s)


def current_worker() -> WorkerContext | None:
    """Return the context of the worker that is running, or None outside of any worker.

    A thread that a worker starts sees it only if it runs in the worker's `contextvars` context, as
    the threads of `asyncio.to_thread` do.
    """
    return current.get()


def log_fields(name: str, execution_id: str) -> dict[str, str]:
    """Return the fields that every log record of an execution has."""
    return {"worker": name, "workerExecutionID": execution_id}


class ExecutionLogger(logging.LoggerAdapter[logging.Logger]):
    """Adds an execution's fields to each record, besides the call's own."""

    def process(
        self, msg: object, kwargs: MutableMapping[str, Any]
    ) -> tuple[object, MutableMapping[str, Any]]:
        """Merge both; where both have a field, the execution's wins."""
        return msg, {**kwargs, "extra": {**(kwargs.get("extra") or {}), **(self.extra or {})}}


class WorkerLogFilter(logging.Filter):
    """Adds the current execution's fields to records of any logger; put it on a handler.

    Records made outside of any worker stay as they are: a format that names the fields needs
    `logging.Formatter(..., defaults={"worker": "-", "workerExecutionID": "-"})`.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields; keep every record."""
        if (ctx := current.get()) is not None:
            for field, value in log_fields(ctx.name, ctx.execution_id).items():
                record.__dict__.setdefault(field, value)
        return True
