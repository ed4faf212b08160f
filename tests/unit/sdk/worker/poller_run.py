"""A poller that runs against a fake server in virtual time; its functions run on its own loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from shiftwork.worker import Signal, WorkerContext, WorkerMetrics
from shiftwork.worker.poller import Poller, PollerOptions
from shiftwork.worker.pool_services import PoolServices
from shiftwork.worker.record import WorkerRecord
from shiftwork.worker.task import Task, TaskResult
from shiftwork.worker.task_function import TaskFunction
from shiftwork.worker.task_metrics import TaskMetrics
from shiftwork.worker.task_workers import TaskWorker
from tests.unit.sdk.worker.fake_exchange import FakeExchange
from tests.unit.sdk.worker.virtual_time import VirtualClock


class Inline:
    """Runs an async function on the loop whose time is virtual."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = TaskFunction(function)

    async def run(self, task: Task) -> TaskResult:
        return await self._function.call_async(task)

    def close(self) -> None:
        pass


def context(attempt: int = 1, cancellation: Signal | None = None) -> WorkerContext:
    return WorkerContext(
        name="task poller",
        execution_id="id-1",
        attempt=attempt,
        cancellation=cancellation or Signal(),
        services=PoolServices(
            VirtualClock(), lambda: "id-2", logging.getLogger("tests"), None, WorkerMetrics()
        ),
    )


@dataclass
class PollerRun:
    """A running poller; `task` ends once it has stopped."""

    poller: Poller
    ctx: WorkerContext
    task: asyncio.Task[None]
    metrics: TaskMetrics

    def stop(self) -> None:
        self.ctx.cancellation.set()


@asynccontextmanager
async def polling(
    server: FakeExchange,
    *workers: TaskWorker,
    keep_record: bool = False,
    on_give_up: Callable[[], None] = lambda: None,
    **options: Any,
) -> AsyncIterator[PollerRun]:
    """Run a poller in the block; stop it at the end."""
    client = server.client()
    record = WorkerRecord(client, "me", is_kept=keep_record)
    metrics = TaskMetrics()
    poller = Poller(client, record, metrics, PollerOptions(**options), on_give_up=on_give_up)
    for worker in workers:
        poller.tasks.add(worker, Inline(worker.function))
    ctx = context()
    run = PollerRun(poller, ctx, asyncio.create_task(poller.run(ctx)), metrics)
    try:
        yield run
    finally:
        run.stop()
        await run.task
