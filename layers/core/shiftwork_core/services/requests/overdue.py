"""Set overdue requests and long back-offs going again; the sweeps call this."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from shiftwork_core.domain.put_offs import PutOff
from shiftwork_core.domain.requests import outages
from shiftwork_core.domain.requests.records import AttemptKey, Request
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.domain.requests.wake_ups import wake_up
from shiftwork_core.ports.stores import DueRequest, Lane
from shiftwork_core.ports.world import MAX_DELAY, Clock, Queue, Runtime
from shiftwork_core.services.requests.advance import RequestAdvancer
from shiftwork_core.services.requests.executions import Executions
from shiftwork_core.services.requests.records import RequestRecords


class DueRequests:
    """The requests of a lane that are due; see `services.sweep.Finds`."""

    def __init__(
        self,
        lane: Lane,
        records: RequestRecords,
        advancer: RequestAdvancer,
        executions: Executions,
        runtime: Runtime,
    ) -> None:
        self._lane = lane
        self._records = records
        self._advancer = advancer
        self._executions = executions
        self._runtime = runtime

    def due_in(self, shard: str) -> Iterable[DueRequest]:
        """List the requests of a shard that are due."""
        return self._records.requests.due(self._lane, self._runtime.clock(), shard)

    def check(self, find: DueRequest) -> bool:
        """Do what the request needs, if it is still as it was found; return whether that was much.

        Afterwards it is due later, or never: an execution has a lease to advance it.
        """
        request = self._records.requests.get(find.request_id)
        if request is None or request.due_at is None or request.due_at > self._runtime.clock():
            return False
        if request.status is RequestStatus.QUEUING and self._starts_later(request):
            return True
        if self._advancer.needs_no_execution(request):
            return True
        outage = outages.after_restart(request.outage, self._runtime.clock())
        self._records.requests.note_outage(request, outage)
        return self._executions.start_next(find)

    def put_off(self, find: DueRequest) -> PutOff | None:
        """Make the request due later."""
        return self._records.requests.put_off(find.request_id, self._runtime.clock())

    def _starts_later(self, request: Request) -> bool:
        """Send a request whose start time comes within a message's reach the message for it."""
        if request.start_at is None or request.start_at <= self._runtime.clock():
            return False
        self._executions.send_start(request)
        # After sending: a crash between the two sends it twice, which is harmless. From now on the
        # message is given a lease to arrive.
        self._records.requests.set_due(request, request.start_at + self._runtime.lease)
        return True


class DueWakeUps:
    """The attempts whose long back-off ends soon; see `services.sweep.Finds`."""

    def __init__(self, records: RequestRecords, queue: Queue, clock: Clock) -> None:
        self._records = records
        self._jobs = records.jobs
        self._queue = queue
        self._clock = clock

    def due_in(self, shard: str) -> Iterable[tuple[str, AttemptKey]]:
        """List the attempts of a shard whose wake-up is within a message's reach."""
        return self._jobs.attempts_to_wake(self._clock() + MAX_DELAY, shard)

    def check(self, find: tuple[str, AttemptKey]) -> bool:
        """Send the attempt's message. Afterwards it is listed no more."""
        request_id, key = find
        attempt = self._jobs.get(request_id, key)
        if attempt is not None and attempt.wake_at:  # A claim or a cancel removes it.
            wait = max(attempt.wake_at - self._clock(), timedelta(0))
            message = wake_up(attempt, self._records.job_type_of(attempt).batch_size)
            self._queue.send(message, wait.total_seconds())
        # After sending: a crash between the two sends it twice, which is harmless.
        self._jobs.forget_wake_up(request_id, key)
        return True

    def put_off(self, find: tuple[str, AttemptKey]) -> PutOff | None:
        """Let the back-off last longer."""
        return self._jobs.put_off_wake_up(*find, self._clock() + MAX_DELAY)
