"""The sweeps: whatever was left behind is found by its due time, and set going again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import timedelta
from enum import StrEnum
from typing import TypeVar

from shiftwork_core.domain.requests.records import AttemptKey
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.errors import Transient
from shiftwork_core.ports.jobs import JobStore
from shiftwork_core.ports.stores import DueRequest, Lane, RequestStore
from shiftwork_core.ports.world import MAX_DELAY, Clock, Machine, Queue
from shiftwork_core.services.requests.advance import RequestAdvancer
from shiftwork_core.services.requests.barrier import StepBarrier
from shiftwork_core.services.workers.reaper import WorkerReaper

logger = logging.getLogger("shiftwork.sweeping")

Found = TypeVar("Found")

#: What one sweep takes on; the rest is found by the next.
MAX_PER_SWEEP = 500
#: Of workers more: each that lives comes up every other sweep, and the dead must not wait for them.
MAX_WORKERS_PER_SWEEP = 5000


class Sweep(StrEnum):
    """The sweeps by name; the template's schedules send these."""

    NEW_REQUESTS = "new-requests"
    INPROGRESS_REQUESTS = "inprogress-requests"
    JOBS = "jobs"
    WORKERS = "workers"


class Sweeper:
    """Looks for what is due. Each find is acted on by conditional writes, so sweeps may overlap."""

    def __init__(
        self,
        *,
        store: RequestStore,
        jobs: JobStore,
        advancer: RequestAdvancer,
        barrier: StepBarrier,
        machine: Machine,
        queue: Queue,
        reaper: WorkerReaper,
        clock: Clock,
        lease: timedelta,
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._advancer = advancer
        self._barrier = barrier
        self._machine = machine
        self._queue = queue
        self._reaper = reaper
        self._clock = clock
        self._lease = lease

    def sweep(self, sweep: Sweep) -> int:
        """Run one sweep; return how many finds were acted on. One bad find stops no other."""
        now = self._clock()
        match sweep:
            case Sweep.NEW_REQUESTS:
                # The look-ahead is for requests with a `start_at`: a message wakes them in time.
                due = self._store.due(Lane.NEW, now + MAX_DELAY, MAX_PER_SWEEP)
                return self._each(due, self._start_new)
            case Sweep.INPROGRESS_REQUESTS:
                due = self._store.due(Lane.INPROGRESS, now, MAX_PER_SWEEP)
                return self._each(due, self._take_over)
            case Sweep.JOBS:
                retries = self._jobs.attempts_to_wake(now + MAX_DELAY, MAX_PER_SWEEP)
                return self._each(retries, self._wake_attempt)
            case Sweep.WORKERS:
                silent = self._reaper.due(MAX_WORKERS_PER_SWEEP)
                return self._each(silent, self._reaper.check)

    def start_now(self, request_id: str) -> None:
        """Start the execution of a request whose start time has come, unless it has started."""
        request = self._store.get(request_id)
        if request is not None and request.status is RequestStatus.QUEUING:
            self._machine.start(request_id, request.execution)

    def _each(self, finds: Iterable[Found], act: Callable[[Found], bool]) -> int:
        acted = 0
        for find in finds:
            try:
                acted += act(find)
            except Transient:
                logger.warning("left for the next sweep", extra={"find": str(find)})
            except Exception:
                logger.exception("cannot be swept", extra={"find": str(find)})
        return acted

    def _start_new(self, due: DueRequest) -> bool:
        request = self._store.get(due.request_id)
        if request is None or request.status is not RequestStatus.QUEUING:
            return False
        wait = (request.start_at or request.created_at) - self._clock()
        if wait > timedelta(0):  # Less than `MAX_DELAY`: it is due a lease after its start.
            self._queue.send({"request_id": due.request_id}, wait.total_seconds())
            return True
        return self._take_over(due)

    def _take_over(self, due: DueRequest) -> bool:
        """Start a fresh execution; only one sweep wins the number, and the old one steps back."""
        request = self._store.get(due.request_id)
        if request is None or request.due_at is None or request.due_at > self._clock():
            return False
        if request.has_ended:
            self._advancer.tidy(request)
            return True
        if self._barrier.keeps_waiting(request):
            return True
        taken = self._store.take_over(due, self._clock() + self._lease)
        if taken.won:
            self._machine.start(due.request_id, taken.row.execution)
        return taken.won

    def _wake_attempt(self, find: tuple[str, AttemptKey]) -> bool:
        request_id, key = find
        attempt = self._jobs.get(request_id, key)
        if attempt is not None and attempt.wake_at:  # Who claims or cancels it takes that out.
            wait = max(attempt.wake_at - self._clock(), timedelta(0))
            self._queue.send({"request_id": request_id, "jobs": [str(key)]}, wait.total_seconds())
        # After the sending: a crash between the two sends it twice, which is harmless.
        self._jobs.forget_wake_up(request_id, key)
        return True
