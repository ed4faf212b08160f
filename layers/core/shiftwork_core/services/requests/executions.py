"""Start the state machine's executions: at a request's start time, or to replace an older one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from shiftwork_core.domain.requests.records import Request
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.errors import Throttled, Transient
from shiftwork_core.ports.stores import DueRequest, RequestStore
from shiftwork_core.ports.world import MAX_DELAY, Machine, Queue, Runtime

#: The message of a request with a start time comes so much earlier, and its receiver waits for the
#: time: a queue counts whole seconds, and its pollers are few until it has been busy for a while.
EARLY = timedelta(seconds=2)
#: Nobody waits longer; a message that comes still earlier is sent again.
_LONGEST_WAIT = timedelta(seconds=5)


def first_due_at(now: datetime, start_at: datetime | None, lease: timedelta) -> datetime:
    """Return when a sweep is to check a new request.

    A lease after its start; but where that is beyond a message's reach, as soon as it is within:
    then the sweep sends the message.
    """
    if start_at is None or start_at <= now + MAX_DELAY:
        return max(now, start_at or now) + lease
    return start_at - MAX_DELAY


class Executions:
    """Starts executions. A request numbers them; only the newest may advance it.

    `wait` lets some seconds pass.
    """

    def __init__(
        self,
        store: RequestStore,
        machine: Machine,
        queue: Queue,
        runtime: Runtime,
        wait: Callable[[float], None],
    ) -> None:
        self._store = store
        self._machine = machine
        self._queue = queue
        self._runtime = runtime
        self._wait = wait

    def launch(self, request: Request) -> None:
        """Start the newest execution, at the request's start time; if that fails, a sweep does.

        A start time beyond a message's reach is left to the sweep as well.
        """
        wait = self._time_to(request)
        with suppress(Transient):
            if wait <= timedelta(0):
                self._machine.start(request.request_id, request.execution)
            elif wait <= MAX_DELAY:
                self.send_start(request)

    def send_start(self, request: Request) -> None:
        """Send the message that starts a request at its start time."""
        delay = max(self._time_to(request) - EARLY, timedelta(0))
        self._queue.send({"request_id": request.request_id}, delay.total_seconds())

    def start_in_time(self, request_id: str) -> None:
        """Start the execution of a request at its start time, unless it has started.

        While too many start at once its message goes back to the queue, which would deliver one
        that failed only minutes later. A lease after the start time a sweep starts it instead.
        """
        request = self._store.get(request_id)
        if request is None or request.status is not RequestStatus.QUEUING:
            return
        early = self._time_to(request)
        if early > _LONGEST_WAIT:
            self.send_start(request)
            return
        if early > timedelta(0):
            self._wait(early.total_seconds())
        try:
            self._machine.start(request_id, request.execution)
        except Throttled:
            if self._time_to(request) <= -self._runtime.lease:
                raise
            self.send_start(request)

    def _time_to(self, request: Request) -> timedelta:
        return (request.start_at or request.created_at) - self._runtime.clock()

    def start_next(self, due: DueRequest) -> bool:
        """Start a fresh execution of a request as it was seen; return whether this call did.

        Only one caller wins the number, and the older execution finds itself superseded.
        """
        taken = self._store.take_over(due, self._runtime.lease_end())
        if taken.won:
            self._machine.start(due.request_id, taken.row.execution)
        return taken.won

    def hand_over(self, request: Request) -> None:
        """Replace the request's newest execution by a fresh one, with an empty history."""
        if request.due_at is not None:
            self.start_next(DueRequest(request.request_id, request.execution, request.due_at))
