"""The task runner: functions that do the tasks of polled job types."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any

from shiftwork.api.client import AsyncShiftworkClient, ShiftworkClient
from shiftwork.api.errors import ShiftworkError
from shiftwork.worker.execution import ExecutionStatus
from shiftwork.worker.poller import Poller, PollerOptions
from shiftwork.worker.pool import WorkerPool
from shiftwork.worker.record import CheckIn, WorkerRecord
from shiftwork.worker.task_metrics import TaskMetrics
from shiftwork.worker.task_workers import TaskWorker, declared_in

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

#: How often the poller, and who checks in, are run altogether while they fail.
_MAX_ATTEMPTS = 5


class TaskRunner:
    """Does the tasks of a process: one loop gets them, each is done by the function of its type.

        runner = TaskRunner(ShiftworkClient())
        runner.start_worker("simple_task", pack, batch_size=4)
        runner.wait_workers()

    Parameters
    ----------
    client
        Whose address and token are used; None: those that ShiftworkClient() would find.
    worker_id
        What the worker is called, in this Shiftwork only by itself. None: SHIFTWORK_WORKER_ID, or
        the host's name and the process's number.
    long_poll
        Wait at the server for tasks. If not, look after pauses that grow from the workers'
        `poll_interval_s` while there is nothing.
    grace_s
        When it stops: how long tasks have to end before they are handed back.
    keep_record
        Register the worker, so that `shiftwork workers` shows it, and check in.
    registration
        A registration token; None: SHIFTWORK_REGISTRATION, or one that the client's token gets.
    pool
        Where to run; None: a pool of its own.
    metrics
        Where to count.
    """

    def __init__(  # long: public keyword arguments, which programs and docs spell out
        self,
        client: ShiftworkClient | AsyncShiftworkClient | None = None,
        *,
        worker_id: str | None = None,
        long_poll: bool = True,
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
        self._check_in = CheckIn(self._record, self._poller.workload)
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
        """Do the tasks of a type with a function, from now on; see TaskWorker for the parameters.

        Raises
        ------
        DuplicateWorker
            If a function does the tasks of this type already.
        """
        self.start(TaskWorker(type, function, batch_size, poll_interval_s, domain, processes))

    def start_decorated(self, *modules: ModuleType) -> None:
        """Start the workers that `worker_task` declares in these modules."""
        self.start(*(worker for module in modules for worker in declared_in(module)))

    def start(self, *workers: TaskWorker) -> None:
        """Start workers."""
        for worker in workers:
            self._poller.workload.add(worker)
        if self._is_started:
            self._poller.wake()
            return
        self._is_started = True
        self.pool.register(self._poller, max_executions_attempts=_MAX_ATTEMPTS)
        self.pool.register(self._check_in, max_executions_attempts=_MAX_ATTEMPTS)
        if self._owns_pool:
            self.pool.start()

    def show_metrics(self, registry: CollectorRegistry) -> None:
        """Show the runner's and its pool's metrics in a registry."""
        self.metrics.register(registry)
        self.pool.metrics.register(registry)

    def wait_workers(self) -> None:
        """Block until the runner has stopped: by `stop`, or by SIGTERM or SIGINT.

        At such a signal it takes no more tasks; those that do not end within the time of grace are
        handed back. A second signal ends the process at once.

        Raises
        ------
        ShiftworkError
            If the runner gave up.
        """
        with _told_by_signals(self.pool.cancel):
            self.pool.wait()
        self._raise_failure()

    def stop(self) -> None:
        """Stop, and return once it has; a pool that was given goes on until its owner stops it."""
        if self._owns_pool and self._is_started:
            self.pool.stop()

    def _raise_failure(self) -> None:
        for worker in (self._poller, self._check_in):
            if self.pool.execution(worker.name).status is ExecutionStatus.ERROR:
                raise ShiftworkError(
                    f"The {worker.name} gave up: {self._record.trouble or 'see its log'}",
                    "Mend the cause, and start it again",
                )


def _own_name() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


@contextmanager
def _told_by_signals(tell: Callable[[], None]) -> Iterator[None]:
    """Call `tell` at the first signal that ends a process; the second one ends it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        for each in before:
            signal.signal(each, signal.SIG_DFL)
        tell()

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
