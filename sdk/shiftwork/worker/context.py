"""What a worker's `run` is given: who it is, where to log and trace, and when to stop."""

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
    """One execution of a worker, from its own point of view.

    Attributes
    ----------
    name
        The worker's name.
    execution_id
        This execution's; a restart has another.
    attempt
        1 for the first execution, one more for each restart.
    logger
        Puts `worker` and `workerExecutionID` on every record.
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
        """Puts `Worker` and `WorkerExecutionID` on every span; does nothing without OpenTelemetry.

        OpenTelemetry is imported by those who ask for it, since that takes a while.
        """
        return execution_tracer(self._tracer_provider, self.name, self.execution_id)

    @property
    def is_cancelled(self) -> bool:
        """Whether the worker is to stop."""
        return self.cancellation.is_set

    def wait(self, timeout_s: float | None = None) -> bool:
        """Block until the worker is to stop, or time is up; return whether it is to stop.

        `while not ctx.wait(5): ...` does something every five seconds, and stops at once.
        """
        return self._clock.wait(self.cancellation, timeout_s)

    async def wait_async(self, timeout_s: float | None = None) -> bool:
        """Do as `wait`, and let other coroutines run meanwhile."""
        return await self._clock.wait_async(self.cancellation, timeout_s)


def current_worker() -> WorkerContext | None:
    """Return the context of the worker whose code runs, or None outside of every worker.

    Threads that a worker starts itself know it only if they run in its `contextvars` context, as
    those of `asyncio.to_thread` do.
    """
    return current.get()


def log_fields(name: str, execution_id: str) -> dict[str, str]:
    """Return what every log record of an execution carries."""
    return {"worker": name, "workerExecutionID": execution_id}


class ExecutionLogger(logging.LoggerAdapter[logging.Logger]):
    """Adds an execution's fields to each record, beside those of the call."""

    def process(
        self, msg: object, kwargs: MutableMapping[str, Any]
    ) -> tuple[object, MutableMapping[str, Any]]:
        """Join both; the execution's fields win."""
        return msg, {**kwargs, "extra": {**(kwargs.get("extra") or {}), **(self.extra or {})}}


class WorkerLogFilter(logging.Filter):
    """Adds the current execution's fields to records of any logger; put it on a handler.

    Records made outside of every worker stay as they are: a format that names the fields needs
    `logging.Formatter(..., defaults={"worker": "-", "workerExecutionID": "-"})`.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields, and let every record through."""
        if (ctx := current.get()) is not None:
            for field, value in log_fields(ctx.name, ctx.execution_id).items():
                record.__dict__.setdefault(field, value)
        return True
