"""Cancel the attempts of an ended request that have not started."""

from __future__ import annotations

from shiftwork_core.domain.requests.records import Request
from shiftwork_core.domain.requests.states import AttemptStatus, RequestStatus
from shiftwork_core.ports.jobs import JobStore
from shiftwork_core.ports.stores import RequestStore
from shiftwork_core.ports.world import Clock, Machine


class Canceller:
    """Turns the `new` attempts of an ended request's step into `cancelled`.

    Claims lose against a cancelled row, and a batch that reads the request afterwards claims
    nothing, so once `cancel_new` has returned nothing of the request starts.
    """

    def __init__(self, store: RequestStore, jobs: JobStore, machine: Machine, clock: Clock) -> None:
        self._store = store
        self._jobs = jobs
        self._machine = machine
        self._clock = clock

    def cancel_new(self, ended: Request) -> None:
        """Cancel the `new` attempts of the request's step, then wake the execution that waits.

        If a user retries a failed request meanwhile, the rest of its attempts stay as they are.
        """
        request_id, index = ended.request_id, ended.current_step
        failed = ended if ended.status is RequestStatus.FAILED else None
        for attempt in self._jobs.of_step(request_id, index, AttemptStatus.NEW):
            self._jobs.cancel(attempt, self._clock(), failed=failed)
        step = self._store.get_step(request_id, index)
        if step is not None and step.token is not None:
            self._machine.wake_execution(step.token)
