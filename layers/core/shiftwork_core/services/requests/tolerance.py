"""Fail a request early of whose jobs more have failed than is tolerated."""

from __future__ import annotations

import logging
from functools import partial

from shiftwork_core.domain.requests.definitions import OnFailure, StepSpec
from shiftwork_core.domain.requests.records import Request
from shiftwork_core.domain.requests.states import AttemptStatus, RequestStatus
from shiftwork_core.domain.requests.step_state import is_wide
from shiftwork_core.domain.requests.tolerance import excess, most_tolerated
from shiftwork_core.errors import Transient
from shiftwork_core.ports.world import Runtime
from shiftwork_core.services.requests.barrier import StepBarrier
from shiftwork_core.services.requests.block_failures import failed_job
from shiftwork_core.services.requests.records import RequestRecords

logger = logging.getLogger("shiftwork.requests")


class ToleranceGuard:
    """Looks at a step after failures that its entries tolerate, while others of its jobs run.

    Whoever settles the step looks again, so a look that fails loses nothing but time.
    """

    def __init__(self, records: RequestRecords, barrier: StepBarrier, runtime: Runtime) -> None:
        self._records = records
        self._barrier = barrier
        self._runtime = runtime

    def look(self, request_id: str, index: int) -> None:
        """Fail the request if more of the step's jobs have failed than it tolerates.

        The rows of a wide step are read only if its tally says so; then they alone decide.
        """
        try:
            self._look(request_id, index)
        except Transient:
            logger.warning("failures not counted", extra={"request_id": request_id})

    def _look(self, request_id: str, index: int) -> None:
        request = self._records.requests.get(request_id)
        if request is None or request.status is not RequestStatus.INPROGRESS:
            return
        spec = self._records.type_of(request).steps[index - 1]
        if request.current_step != index or spec.on_failure is OnFailure.FINISH:
            return
        if not self._may_exceed(request, spec):
            return
        state = self._records.read_step(request, self._runtime)
        find = partial(failed_job, self._records)
        error = excess(spec, state.tolerant, request.generation, index, find)
        if error is None:
            return
        ended = self._records.requests.finish(
            request_id,
            RequestStatus.FAILED,
            self._runtime.clock(),
            error=error,
            due_at=self._runtime.lease_end(),
            seen=request,
        )
        step = self._records.requests.get_step(request_id, index)
        if ended.row.has_ended and step is not None:
            self._barrier.wake_waiter(step)  # It cancels what has not started.

    def _may_exceed(self, request: Request, spec: StepSpec) -> bool:
        step = self._records.requests.get_step(request.request_id, request.current_step)
        if step is None:
            return False
        if not is_wide(step.job_count):
            return True
        tally = self._records.requests.tally(request.request_id, step.index)
        failed = tally.get(AttemptStatus.FAILURE, 0) - step.counts.get(AttemptStatus.FAILURE, 0)
        return failed > most_tolerated(spec, step.job_count)
