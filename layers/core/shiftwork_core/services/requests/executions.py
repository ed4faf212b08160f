"""Start the state machine's executions: at a request's start time, or to replace an older one."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from shiftwork_core.domain.requests.records import Request
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.errors import Transient
from shiftwork_core.ports.stores import DueRequest, RequestStore
from shiftwork_core.ports.world import MAX_DELAY, Machine, Queue, Runtime


class Executions:
    """Starts executions. A request numbers them; only the newest may advance it."""

    def __init__(
        self, store: RequestStore, machine: Machine, queue: Queue, runtime: Runtime
    ) -> None:
        self._store = store
        self._machine = machine
        self._queue = queue
        self._runtime = runtime

    def launch(self, request: Request) -> None:
        """Start the newest execution, at the request's start time; if that fails, a sweep does.

        A start time beyond a message's reach is left to the sweep as well.
        """
        wait = (request.start_at or request.created_at) - self._runtime.clock()
        with suppress(Transient):
            if wait <= timedelta(0):
                self._machine.start(request.request_id, request.execution)
            elif wait <= MAX_DELAY:
                self._queue.send({"request_id": request.request_id}, wait.total_seconds())

    def start_now(self, request_id: str) -> None:
        """Start the execution of a request whose start time has come, unless it has started."""
        request = self._store.get(request_id)
        if request is not None and request.status is RequestStatus.QUEUING:
            self._machine.start(request_id, request.execution)

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
