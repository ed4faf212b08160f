"""Run task functions in threads, on an event loop of their own, or in processes.

They never run on the loop that talks to the server, so a function that blocks cannot stop it from
renewing leases.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Protocol

from shiftwork.api.task_shapes import TaskLogLine
from shiftwork.worker.clock import Signal
from shiftwork.worker.task import Task, TaskResult, TaskStatus
from shiftwork.worker.task_function import TaskFunction, as_object, failed


class Executor(Protocol):
    """Runs one function, for each of its tasks."""

    async def run(self, task: Task) -> TaskResult:
        """Do the task and return its result; a function that raises is a result too."""

    def close(self) -> None:
        """Release the threads or processes; no more tasks follow."""


class ThreadExecutor:
    """Runs a function in a thread for each task.

    The threads are daemons: a function that never ends cannot keep the process alive.
    """

    def __init__(self, function: TaskFunction) -> None:
        self._function = function

    async def run(self, task: Task) -> TaskResult:
        """Do the task in a thread that has the caller's context variables: span and worker."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[TaskResult] = loop.create_future()
        context = contextvars.copy_context()

        def deliver(result: TaskResult) -> None:
            if not done.done():
                done.set_result(result)

        def work() -> None:
            result = context.run(self._function.call, task)
            with suppress(RuntimeError):  # The loop was closed: nobody waits for the result.
                loop.call_soon_threadsafe(deliver, result)

        threading.Thread(target=work, name=f"task {task.type}", daemon=True).start()
        return await done

    def close(self) -> None:
        """Do nothing: threads end by themselves."""


class TaskLoop:
    """The event loop that all async functions of a process share, in a thread of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def get(self) -> asyncio.AbstractEventLoop:
        """Return the loop; the first call starts it."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(
                    target=self._loop.run_forever, name="task loop", daemon=True
                ).start()
            return self._loop

    def stop(self) -> None:
        """Cancel everything that runs on the loop, and stop it."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None:
            loop.call_soon_threadsafe(functools.partial(loop.create_task, _end(loop)))


async def _end(loop: asyncio.AbstractEventLoop) -> None:
    others = asyncio.all_tasks(loop) - {asyncio.current_task()}
    for other in others:
        other.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    loop.stop()


class LoopExecutor:
    """Runs an async function on the task loop."""

    def __init__(self, function: TaskFunction, loop: TaskLoop) -> None:
        self._function = function
        self._loop = loop

    async def run(self, task: Task) -> TaskResult:
        """Do the task on that loop, with the caller's context variables."""
        future = asyncio.run_coroutine_threadsafe(self._work(task), self._loop.get())
        return await asyncio.wrap_future(future)

    async def _work(self, task: Task) -> TaskResult:
        try:
            return await self._function.call_async(task)
        except asyncio.CancelledError:
            return TaskResult(TaskStatus.FAILED, reason="The function was cancelled")

    def close(self) -> None:
        """Do nothing: other executors share the loop."""


# -- processes -----------------------------------------------------------------------------------


class ProcessExecutor:
    """Runs a function in a number of processes, one task at a time in each.

    A process that dies fails its own task only, and is replaced.
    """

    def __init__(self, function: TaskFunction, processes: int) -> None:
        self._function = function
        self._idle = [_Child() for _ in range(processes)]
        self._children = set(self._idle)
        self._free = asyncio.Semaphore(processes)

    async def run(self, task: Task) -> TaskResult:
        """Do the task in a free process; wait for one."""
        async with self._free:
            child = self._idle.pop()
            try:
                try:
                    future = child.begin(self._function.function, task)
                except BrokenProcessPool:  # It died while idle: nothing is lost.
                    child = self._replace(child)
                    future = child.begin(self._function.function, task)
                return await child.finish(future, task)
            except BrokenProcessPool:
                child = self._replace(child)
                return TaskResult(TaskStatus.FAILED, reason="The process that ran it died")
            finally:
                self._idle.append(child)

    def _replace(self, dead: _Child) -> _Child:
        dead.close()
        self._children.remove(dead)
        child = _Child()
        self._children.add(child)
        return child

    def close(self) -> None:
        """End the processes, busy ones too."""
        for child in self._children:
            child.close()


Answer = tuple[TaskResult, list[TaskLogLine]]


class _Child:
    """One process. It starts with its first task and never outlives its parent."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._far, self._near = context.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(1, context, _begin, (self._far,))

    def begin(self, function: Callable[..., object], task: Task) -> Future[Answer]:
        """Hand the process a task.

        Raises
        ------
        BrokenProcessPool
            If it is dead.
        """
        return self._pool.submit(_perform, function, task)

    async def finish(self, future: Future[Answer], task: Task) -> TaskResult:
        """Return the result of the task.

        Raises
        ------
        BrokenProcessPool
            If the process dies first.
        """
        telling = asyncio.create_task(self._tell(task))
        try:
            result, lines = await asyncio.wrap_future(future)
        finally:
            telling.cancel()
        task.add_lines(lines)
        return result

    async def _tell(self, task: Task) -> None:
        """Tell the process when the task should stop."""
        await task.stop.wait_async()
        with suppress(OSError):
            self._near.send((task.task_id, task.fence))

    def close(self) -> None:
        """End the process, even if it is busy."""
        self._near.close()
        self._far.close()
        self._pool.shutdown(wait=False, cancel_futures=True)


#: In a child process: the stop signals of tasks, by id and fence. One may arrive before its task.
_stops: dict[tuple[str, int], Signal] = {}


def _begin(far: Connection) -> None:
    """Prepare a child process: its parent alone handles signals and ends it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # Not SIG_IGN: programs that the function starts would inherit it.
        signal.signal(number, lambda number, frame: None)
    threading.Thread(target=_listen, args=(far,), name="parent", daemon=True).start()


def _listen(far: Connection) -> None:
    with suppress(EOFError, OSError):
        while True:
            _stops.setdefault(far.recv(), Signal()).set()
    os._exit(1)  # The parent has ended, or has closed this process.


def _perform(function: Callable[..., object], task: Task) -> Answer:
    """Do the task, in a child process."""
    key = task.task_id, task.fence
    task.stop = _stops.setdefault(key, task.stop)
    try:
        wanted = TaskFunction(function)
        result = asyncio.run(wanted.call_async(task)) if wanted.is_async else wanted.call(task)
        output, _ = as_object(result.output)
        return replace(result, output=output), task.take_lines()
    except BaseException as error:  # The output is not JSON, or the function cancelled itself.
        return failed(error, task), task.take_lines()
    finally:
        del _stops[key]


def executor_for(function: TaskFunction, processes: int, loop: TaskLoop) -> Executor:
    """Return the executor that suits the function."""
    if processes:
        return ProcessExecutor(function, processes)
    return LoopExecutor(function, loop) if function.is_async else ThreadExecutor(function)
