"""Clean up after an ended request: cancel what has not started, and close its step."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from shiftwork_core.domain.requests.planning import PlanFault
from shiftwork_core.domain.requests.records import Request, Step, StepStatus
from shiftwork_core.domain.requests.states import AttemptStatus, RequestStatus
from shiftwork_core.domain.requests.step_state import StepState
from shiftwork_core.ports.world import Runtime
from shiftwork_core.services.requests.cancel import Canceller
from shiftwork_core.services.requests.outcomes import OutcomeRecorder
from shiftwork_core.services.requests.plan import StepPlanner
from shiftwork_core.services.requests.records import RequestRecords


class RequestCleaner:
    """Closes the step in which a request ended."""

    def __init__(
        self,
        records: RequestRecords,
        planner: StepPlanner,
        recorder: OutcomeRecorder,
        canceller: Canceller,
        runtime: Runtime,
    ) -> None:
        self._records = records
        self._planner = planner
        self._recorder = recorder
        self._canceller = canceller
        self._runtime = runtime

    def clean_up(self, request: Request) -> None:
        """Leave nothing open of a request that has ended.

        Afterwards its step's jobs are all planned, none is `new`, and each whose lease ran out is a
        failure, and its blobs outlive it. While some still run the request stays due, so that a
        sweep comes back to it; then it is due no more.
        """
        step = self._records.requests.get_step(request.request_id, request.current_step)
        due_at = None
        if request.status is not RequestStatus.COMPLETED and request.current_step > 0:
            due_at = self._close_step(request, step)
        if not self._records.keep(request, self._runtime.clock()):
            due_at = self._runtime.clock()
        self._records.requests.set_due(request, due_at)

    def _close_step(self, request: Request, step: Step | None) -> datetime | None:
        """Close the current step; return when to check it again, None for never."""
        # A planner that was held up may still insert rows. With all of them written as cancelled
        # its inserts find them and change nothing.
        if step is None and request.first_completed_at is not None:
            return None  # It was planned, and its rows have expired.
        if step is None:
            with suppress(PlanFault):  # Then it can insert none.
                step, _ = self._planner.plan(request, AttemptStatus.CANCELLED)
        self._canceller.cancel_new(request)
        state = self._records.read_step(request, self._runtime)
        if state.lapsed:
            for attempt in state.lapsed:
                self._recorder.expire(attempt)
            # An attempt that failed by that, and is older than the user's retry, gets a tombstone.
            state = self._records.read_step(request, self._runtime)
        if state.redo:
            self._planner.redo(request, state, AttemptStatus.CANCELLED)
            state = self._records.read_step(request, self._runtime)
        is_closed = step is None or self._close(request, step, state)
        # Also a job that is retried, whose next attempt the query has not seen yet.
        still_open = [*state.runnable, *state.lapsed, *state.redo, *state.out]
        if is_closed and not still_open:
            return None
        leases = (attempt.lease_until for attempt in still_open if attempt.lease_until)
        return min(leases, default=self._runtime.lease_end())

    def _close(self, request: Request, step: Step, state: StepState) -> bool:
        """Record how the step has ended; one that a retry came through again stays completed."""
        failed = request.status is RequestStatus.FAILED
        status = StepStatus.FAILED if failed else StepStatus.CANCELLED
        if step.status is StepStatus.COMPLETED:
            if step.counts == state.counts:
                return True
            status = step.status
        now = self._runtime.clock()
        return self._records.requests.close_step(
            step, status, state.counts, now, state.tolerated_jobs
        )
