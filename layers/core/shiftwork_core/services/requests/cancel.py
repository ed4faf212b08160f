"""Cancel the attempts of an ended request that have not started."""

from __future__ import annotations

from datetime import datetime
from itertools import islice

from shiftwork_core.domain.requests.records import Request
from shiftwork_core.domain.requests.states import AttemptStatus, RequestStatus
from shiftwork_core.ports.jobs import JobStore
from shiftwork_core.ports.stores import RequestStore
from shiftwork_core.ports.world import Clock, Machine

#: So many are cancelled side by side, between two looks at the clock.
_CHUNK = 200


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

    def cancel_new(self, ended: Request, until: datetime | None = None) -> bool:
        """Cancel the `new` attempts of the request's step, then wake the execution that waits.

        If a user retries a failed request meanwhile, the rest of its attempts stay as they are.
        Return whether there is none left: `until` is when to stop. The request stays due, so a
        sweep cancels the rest.
        """
        failed = ended if ended.status is RequestStatus.FAILED else None
        found = self._jobs.of_step(ended.request_id, ended.current_step, AttemptStatus.NEW)
        is_done = False
        while until is None or self._clock() < until:
            chunk = list(islice(found, _CHUNK))
            if is_done := not chunk:
                break
            self._jobs.cancel(chunk, self._clock(), failed=failed)
        self.wake(ended)
        return is_done

    def wake(self, ended: Request) -> None:
        """Wake the execution that waits at the request's step: it finds that the request ended."""
        step = self._store.get_step(ended.request_id, ended.current_step)
        if step is not None and step.token is not None:
            self._machine.wake_execution(step.token)
