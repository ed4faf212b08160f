"""Task functions that the tests' worker processes import."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

from shiftwork.worker import Task, TaskResult, worker_task


@worker_task("pack", batch_size=3, processes=2)
def pack(width: int, task: Task) -> dict[str, Any]:
    task.log(f"width {width}")
    return {"area": width * width, "pid": os.getpid()}


@worker_task("send", domain="eu", poll_interval_s=0.5)
async def send(task: Task) -> TaskResult:
    return TaskResult.in_progress(60, {"pid": os.getpid()})


async def cancel_itself() -> None:
    raise asyncio.CancelledError


def undeclared(task: Task) -> int:
    return 1


def die_of_zero(width: int) -> int:
    if width == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return width


def until_told(task: Task) -> bool:
    task.log("waiting")
    return task.wait(60)


def no_json() -> Any:
    return {"a": object()}
