"""Task functions run in threads, on the task loop, or in processes."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from shiftwork.worker.executors import (
    Executor,
    LoopExecutor,
    ProcessExecutor,
    TaskLoop,
    ThreadExecutor,
    executor_for,
)
from shiftwork.worker.task import Task, TaskResult, TaskStatus
from shiftwork.worker.task_function import TaskFunction
from tests.unit.sdk.worker import task_functions
from tests.unit.sdk.worker.test_task_function import task

MARK: contextvars.ContextVar[str] = contextvars.ContextVar("mark", default="none")


def test_each_kind_of_function_gets_its_executor() -> None:
    loop = TaskLoop()
    kinds: list[tuple[Callable[..., Any], int, type]] = [
        (task_functions.undeclared, 0, ThreadExecutor),
        (task_functions.send, 0, LoopExecutor),
        (task_functions.pack, 2, ProcessExecutor),
    ]
    for function, processes, kind in kinds:
        assert type(executor_for(TaskFunction(function), processes, loop)) is kind


def together(executor: Executor, *tasks: Task) -> list[TaskResult]:
    async def run() -> list[TaskResult]:
        return await asyncio.gather(*(executor.run(each) for each in tasks))

    try:
        return asyncio.run(run())
    finally:
        executor.close()


def test_sync_functions_run_side_by_side_in_the_callers_context() -> None:
    barrier = threading.Barrier(3, timeout=10)

    def work() -> str:
        barrier.wait()
        return MARK.get()

    MARK.set("here")
    results = together(ThreadExecutor(TaskFunction(work)), task(), task(), task())
    assert [result.output for result in results] == ["here"] * 3


def test_async_functions_share_a_loop_that_is_not_the_pollers() -> None:
    seen: list[asyncio.AbstractEventLoop] = []
    met = asyncio.Event()

    async def work() -> str:
        seen.append(asyncio.get_running_loop())
        if len(seen) == 2:
            met.set()
        await met.wait()
        return MARK.get()

    MARK.set("here")
    loop = TaskLoop()
    results = together(LoopExecutor(TaskFunction(work), loop), task(), task())
    assert [result.output for result in results] == ["here"] * 2
    assert seen[0] is seen[1] is loop.get()
    loop.stop()


def test_a_cancelled_async_function_fails_its_task() -> None:
    begun = threading.Event()

    async def work() -> None:
        begun.set()
        await asyncio.get_running_loop().create_future()

    async def main() -> TaskResult:
        loop = TaskLoop()
        running = asyncio.create_task(LoopExecutor(TaskFunction(work), loop).run(task()))
        await asyncio.to_thread(begun.wait, 10)
        loop.stop()
        return await running

    assert asyncio.run(main()).status is TaskStatus.FAILED


@pytest.fixture
def processes() -> Callable[..., ProcessExecutor]:
    return lambda function: ProcessExecutor(TaskFunction(function), 2)


def test_a_function_that_cancels_itself_in_a_process_fails_its_task(
    processes: Callable[..., ProcessExecutor],
) -> None:
    (result,) = together(processes(task_functions.cancel_itself), task())
    assert result.status is TaskStatus.FAILED


def test_processes_do_tasks_and_keep_going(processes: Callable[..., ProcessExecutor]) -> None:
    tasks = [task({"width": n}) for n in range(6)]
    results = together(processes(task_functions.pack), *tasks)
    assert [result.output["area"] for result in results] == [n * n for n in range(6)]
    pids = {result.output["pid"] for result in results}
    assert len(pids) <= 2 and os.getpid() not in pids
    assert [line["message"] for line in tasks[5].take_lines()] == ["width 5"]


def test_an_async_function_can_have_processes(processes: Callable[..., ProcessExecutor]) -> None:
    (result,) = together(processes(task_functions.send), task())
    assert result.status is TaskStatus.IN_PROGRESS
    assert result.output["pid"] != os.getpid()


def test_a_process_that_dies_fails_its_task_alone_and_is_replaced(
    processes: Callable[..., ProcessExecutor],
) -> None:
    executor = processes(task_functions.die_of_zero)

    async def main() -> list[TaskResult]:
        both = await asyncio.gather(*(executor.run(task({"width": n})) for n in (0, 3)))
        return [*both, *await asyncio.gather(*(executor.run(task({"width": n})) for n in (4, 5)))]

    dead, *others = asyncio.run(main())
    executor.close()
    assert (dead.status, "died" in dead.reason) == (TaskStatus.FAILED, True)
    assert [result.output["result"] for result in others] == [3, 4, 5]


def test_a_process_that_died_while_idle_fails_no_task(
    processes: Callable[..., ProcessExecutor],
) -> None:
    executor = processes(task_functions.pack)

    async def main() -> TaskResult:
        first = await executor.run(task({"width": 1}))
        os.kill(first.output["pid"], signal.SIGKILL)
        (child,) = (c for c in executor._children if c._pool._processes)
        # The thread that watches the process ends once it has seen that it is dead.
        watcher: Any = child._pool._executor_manager_thread
        await asyncio.to_thread(watcher.join, 10)
        return await executor.run(task({"width": 2}))

    result = asyncio.run(main())
    executor.close()
    assert result.output["area"] == 4


def test_a_process_learns_that_its_task_should_stop(
    processes: Callable[..., ProcessExecutor],
) -> None:
    executor = processes(task_functions.until_told)

    async def main() -> TaskResult:
        one = task()
        running = asyncio.create_task(executor.run(one))
        await asyncio.sleep(0)
        one.stop.set()
        return await asyncio.wait_for(running, 30)

    result = asyncio.run(main())
    executor.close()
    assert result.output == {"result": True}


def test_a_process_must_return_json(processes: Callable[..., ProcessExecutor]) -> None:
    (result,) = together(processes(task_functions.no_json), task())
    assert (result.status, "not JSON" in result.reason) == (TaskStatus.FAILED, True)


def test_closing_ends_busy_processes(
    processes: Callable[..., ProcessExecutor],
) -> None:
    executor = processes(task_functions.until_told)

    async def main() -> TaskResult:
        running = asyncio.create_task(executor.run(task()))
        await asyncio.sleep(0)
        executor.close()
        return await asyncio.wait_for(running, 30)

    assert asyncio.run(main()).status is TaskStatus.FAILED
