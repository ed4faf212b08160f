"""Run the sweeps: find what is due because a process died, and set it going again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import timedelta
from enum import StrEnum
from typing import TypeVar

from shiftwork_core.domain.requests import outages
from shiftwork_core.domain.requests.records import AttemptKey
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.errors import Transient
from shiftwork_core.ports.stores import DueRequest, Lane
from shiftwork_core.ports.world import MAX_DELAY, Queue, Runtime
from shiftwork_core.services.requests.advance import RequestAdvancer
from shiftwork_core.services.requests.executions import Executions
from shiftwork_core.services.requests.records import RequestRecords
from shiftwork_core.services.workers.reaper import WorkerReaper

logger = logging.getLogger("shiftwork.sweep")

Found = TypeVar("Found")

#: One sweep acts on so many; the next finds the rest.
MAX_PER_SWEEP = 500
#: More of workers: each live one is due every other sweep, and must not keep dead ones waiting.
MAX_WORKERS_PER_SWEEP = 5000


class Sweep(StrEnum):
    """The sweeps by name; the template's schedules send these."""

    NEW_REQUESTS = "new-requests"
    INPROGRESS_REQUESTS = "inprogress-requests"
    JOBS = "jobs"
    WORKERS = "workers"


class Sweeper:
    """Acts on whatever is due, by conditional writes alone, so sweeps may overlap."""

    def __init__(
        self,
        *,
        records: RequestRecords,
        advancer: RequestAdvancer,
        executions: Executions,
        queue: Queue,
        reaper: WorkerReaper,
        runtime: Runtime,
    ) -> None:
        self._records = records
        self._advancer = advancer
        self._executions = executions
        self._queue = queue
        self._reaper = reaper
        self._runtime = runtime

    def sweep(self, sweep: Sweep) -> int:
        """Run one sweep; return how many finds it acted on. A find that fails stops no other."""
        now = self._runtime.clock()
        match sweep:
            case Sweep.NEW_REQUESTS:
                # The look-ahead is for requests with a `start_at`: a message wakes them in time.
                due = self._records.requests.due(Lane.NEW, now + MAX_DELAY, MAX_PER_SWEEP)
                return self._each(due, self._start_new)
            case Sweep.INPROGRESS_REQUESTS:
                due = self._records.requests.due(Lane.INPROGRESS, now, MAX_PER_SWEEP)
                return self._each(due, self._take_over)
            case Sweep.JOBS:
                retries = self._records.jobs.attempts_to_wake(now + MAX_DELAY, MAX_PER_SWEEP)
                return self._each(retries, self._wake_attempt)
            case Sweep.WORKERS:
                silent = self._reaper.due(MAX_WORKERS_PER_SWEEP)
                return self._each(silent, self._reaper.check)

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
        request = self._records.requests.get(due.request_id)
        if request is None or request.status is not RequestStatus.QUEUING:
            return False
        wait = (request.start_at or request.created_at) - self._runtime.clock()
        if wait > timedelta(0):  # Less than `MAX_DELAY`: it is due a lease after its start.
            self._queue.send({"request_id": due.request_id}, wait.total_seconds())
            return True
        return self._take_over(due)

    def _take_over(self, due: DueRequest) -> bool:
        """Start a fresh execution, if the request needs one and is still as it was found."""
        request = self._records.requests.get(due.request_id)
        if request is None or request.due_at is None or request.due_at > self._runtime.clock():
            return False
        if self._advancer.needs_no_execution(request):
            return True
        outage = outages.after_restart(request.outage, self._runtime.clock())
        self._records.requests.note_outage(request, outage)
        return self._executions.start_next(due)

    def _wake_attempt(self, find: tuple[str, AttemptKey]) -> bool:
        request_id, key = find
        attempt = self._records.jobs.get(request_id, key)
        if attempt is not None and attempt.wake_at:  # A claim or a cancel removes it.
            wait = max(attempt.wake_at - self._runtime.clock(), timedelta(0))
            self._queue.send({"request_id": request_id, "jobs": [str(key)]}, wait.total_seconds())
        # After sending: a crash between the two sends it twice, which is harmless.
        self._records.jobs.forget_wake_up(request_id, key)
        return True
