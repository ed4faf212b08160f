"""Run functions as workers for polled job types: start them, wait for signals, stop."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any

from shiftwork.api.async_client import AsyncShiftworkClient
from shiftwork.api.client import ShiftworkClient
from shiftwork.api.errors import ShiftworkError
from shiftwork.worker.context import LOGGER
from shiftwork.worker.execution import ExecutionStatus
from shiftwork.worker.poller import Poller, PollerOptions
from shiftwork.worker.pool import WorkerPool
from shiftwork.worker.record import CheckIn, WorkerRecord
from shiftwork.worker.task_metrics import TaskMetrics
from shiftwork.worker.task_workers import TaskWorker, declared_in

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

#: The pool runs the poller and the check-in so many times altogether while they fail.
_MAX_ATTEMPTS = 5


class TaskRunner:
    """Claims the tasks of a process in one loop, and runs each with the function of its type.

        runner = TaskRunner(ShiftworkClient())
        runner.start_worker("simple_task", pack, batch_size=4)
        runner.wait_workers()

    Parameters
    ----------
    client
        The client whose address and token are used; None: those that ShiftworkClient() finds.
    worker_id
        The worker's name, unique in this Shiftwork. None: SHIFTWORK_WORKER_ID, or the host's name
        and the process's number.
    long_poll
        Whether to wait at the server for tasks: a first task starts within half a second, and an
        idle process keeps a Lambda function busy, which is paid for. If not, the runner asks after
        pauses that grow from the workers' `poll_interval_s` to 4 s while the server has none.
    grace_s
        How long tasks may take to end, once the runner stops, before it gives them back.
    keep_record
        Whether to register the worker and check in, so that `shiftwork workers` shows it.
    registration
        A registration token; None: SHIFTWORK_REGISTRATION, or one that the client's token gets.
    pool
        The pool to run in; None: one of its own.
    metrics
        The counters; None: new ones.
    """

    def __init__(  # long: public keyword arguments, which programs and docs spell out
        self,
        client: ShiftworkClient | AsyncShiftworkClient | None = None,
        *,
        worker_id: str | None = None,
        long_poll: bool = False,
        grace_s: float = 25.0,
        keep_record: bool = True,
        registration: str | None = None,
        pool: WorkerPool | None = None,
        metrics: TaskMetrics | None = None,
    ) -> None:
        if not isinstance(client, AsyncShiftworkClient):
            url, token = (client.config.url, client.token) if client else (None, None)
            client = AsyncShiftworkClient(url, token)
        self.worker_id = worker_id or os.environ.get("SHIFTWORK_WORKER_ID") or _own_name()
        self.metrics = metrics or TaskMetrics()
        self.pool = pool or WorkerPool()
        self._owns_pool = pool is None
        self._record = WorkerRecord(
            client,
            self.worker_id,
            registration=registration or os.environ.get("SHIFTWORK_REGISTRATION"),
            is_kept=keep_record,
        )
        self._poller = Poller(
            client,
            self._record,
            self.metrics,
            PollerOptions(is_waiting=long_poll, grace_s=grace_s, max_attempts=_MAX_ATTEMPTS),
            on_give_up=self.pool.cancel if self._owns_pool else lambda: None,
        )
        self._check_in = CheckIn(self._record, self._poller.tasks)
        self._is_started = False

    def start_worker(
        self,
        type: str,
        function: Callable[..., Any],
        batch_size: int | None = None,
        poll_interval_s: float = 1.0,
        *,
        domain: str | None = None,
        processes: int = 0,
    ) -> None:
        """Run the tasks of a type with a function from now on. TaskWorker has the parameters.

        Raises
        ------
        DuplicateWorker
            If this type already has a function.
        """
        self.start(TaskWorker(type, function, batch_size, poll_interval_s, domain, processes))

    def start_decorated(self, *modules: ModuleType) -> None:
        """Start the workers that these modules declare with `worker_task`."""
        self.start(*(worker for module in modules for worker in declared_in(module)))

    def start(self, *workers: TaskWorker) -> None:
        """Start workers."""
        for worker in workers:
            self._poller.tasks.add(worker)
        if self._is_started:
            self._poller.wake()
            return
        self._is_started = True
        self.pool.register(self._poller, max_executions_attempts=_MAX_ATTEMPTS)
        self.pool.register(self._check_in, max_executions_attempts=_MAX_ATTEMPTS)
        if self._owns_pool:
            self.pool.start()

    def show_metrics(self, registry: CollectorRegistry) -> None:
        """Add the metrics of the runner and its pool to a registry."""
        self.metrics.register(registry)
        self.pool.metrics.register(registry)

    def wait_workers(self) -> None:
        """Block until the runner has stopped: by `stop`, SIGTERM or SIGINT.

        At such a signal it claims no more tasks, and gives back those that do not end within the
        grace period. A second signal gives them back at once, a third one ends the process.

        Raises
        ------
        ShiftworkError
            If the runner gave up.
        """
        with _signals_call(self._stop_at_signal, self._poller.give_back_now):
            self.pool.wait()
        self._raise_failure()

    def stop(self) -> None:
        """Stop, and return once stopped; leave a pool that was passed in to its owner."""
        if self._owns_pool and self._is_started:
            self.pool.stop()

    def _stop_at_signal(self) -> None:
        if count := len(self._poller.tasks.held):
            tasks = "1 task" if count == 1 else f"{count} tasks"
            gives = "gives it" if count == 1 else "gives them"
            LOGGER.info("Finishing %s; Ctrl-C again %s back.", tasks, gives)
        self.pool.cancel()

    def _raise_failure(self) -> None:
        for worker in (self._poller, self._check_in):
            if self.pool.execution(worker.name).status is ExecutionStatus.ERROR:
                raise ShiftworkError(
                    f"The {worker.name} gave up: {self._record.trouble or 'see its log'}",
                    "Fix the cause, then start it again",
                )


def _own_name() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


@contextmanager
def _signals_call(*acts: Callable[[], None]) -> Iterator[None]:
    """Call an act at each SIGTERM or SIGINT, in turn; the next one ends the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    left = list(acts)

    def handle(number: int, frame: FrameType | None) -> None:
        act = left.pop(0)
        if not left:
            for each in before:
                signal.signal(each, signal.SIG_DFL)
        act()

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
