"""Start the state machine's executions: at a request's start time, or to replace an older one."""

from __future__ import annotations

from shiftwork_core.domain.requests.records import Request
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.ports.stores import DueRequest, RequestStore
from shiftwork_core.ports.world import Machine, Runtime


class Executions:
    """Starts executions. A request numbers them; only the newest drives it."""

    def __init__(self, store: RequestStore, machine: Machine, runtime: Runtime) -> None:
        self._store = store
        self._machine = machine
        self._runtime = runtime

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
        """Let a fresh execution, with an empty history, go on in place of the request's newest."""
        if request.due_at is not None:
            self.start_next(DueRequest(request.request_id, request.execution, request.due_at))
