"""Advance a request: settle its step from the table, plan the next one, say what to do next.

Every method may be called again at any time, by several executions at once and after any crash,
with the same result: each write is conditional, and each decision is taken from what the tables
hold.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from math import ceil

from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.requests import outages
from shiftwork_core.domain.requests.outcomes import JobError
from shiftwork_core.domain.requests.planning import (
    MAX_INLINE_BATCHES,
    MAX_WIDE_BATCHES,
    PlanFault,
    concurrency_of,
    cut_batches,
)
from shiftwork_core.domain.requests.records import (
    Attempt,
    Request,
    RequestError,
    Stall,
    Step,
    StepStatus,
)
from shiftwork_core.domain.requests.stalls import (
    FIRST_ROUND,
    LastRound,
    error_of,
    failure_of,
    is_of_aws,
    progress_of,
    stall_of,
)
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.domain.requests.step_state import StepState, classify_step
from shiftwork_core.ports.world import Runtime
from shiftwork_core.services.requests.barrier import StepBarrier
from shiftwork_core.services.requests.cleanup import RequestCleaner
from shiftwork_core.services.requests.executions import Executions
from shiftwork_core.services.requests.plan import StepPlanner
from shiftwork_core.services.requests.records import RequestRecords
from shiftwork_core.services.requests.results import ExtrasTooLarge, attempts_of, extras_after

#: A Standard execution may have 25,000 events (Step Functions' quotas). One round writes about
#: EVENTS_PER_ROUND and each of its batches EVENTS_PER_BATCH, so the next round still fits.
MAX_EVENTS = 20_000
EVENTS_PER_ROUND = 20
EVENTS_PER_BATCH = 7

#: A batch whose jobs may take longer does not fit an Express execution, which ends after 5 minutes
#: (Step Functions' quotas); the difference is for starting, claiming and recording.
EXPRESS_TIMEOUT_S = 240


class Action(StrEnum):
    """What the machine does next; the names are the contract with run_request.asl.yaml."""

    RUN = "run"
    RUN_WIDE = "run_wide"
    RUN_WIDE_SLOW = "run_wide_slow"
    AWAIT = "await"
    TRY_ONE = "try_one"
    DONE = "done"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to the state machine: its whole state until the next answer.

    With TRY_ONE the machine waits for `wait_s`, and then runs the jobs of `trial` alone. Of the
    batches it runs at most `max_concurrency` at once, if that is not 0.
    """

    request_id: str
    execution: int
    action: Action
    events: int = 0
    progress: str = ""
    is_waiting: bool = False
    batches: list[JsonObject] = field(default_factory=list)
    max_concurrency: int = 0
    manifest: dict[str, str] = field(default_factory=dict)
    trial: JsonObject = field(default_factory=dict)
    wait_s: int = 0
    error: str = ""
    cause: str = ""

    def to_json(self, most: int = MAX_WIDE_BATCHES) -> JsonObject:
        """Return it as the function answers it; no Map runs more than `most` batches at once."""
        if self.action not in (Action.RUN_WIDE, Action.RUN_WIDE_SLOW):
            most = min(most, MAX_INLINE_BATCHES)
        return {
            "request_id": self.request_id,
            "execution": self.execution,
            "action": self.action.value,
            "events": self.events,
            "progress": self.progress,
            "is_waiting": self.is_waiting,
            "batches": self.batches,
            "max_concurrency": min(self.max_concurrency or most, most),
            "manifest": self.manifest,
            "trial": self.trial,
            "wait_s": self.wait_s,
            "error": self.error,
            "cause": self.cause,
        }


class RequestAdvancer:
    """Moves requests on."""

    def __init__(
        self,
        *,
        records: RequestRecords,
        planner: StepPlanner,
        cleaner: RequestCleaner,
        barrier: StepBarrier,
        executions: Executions,
        runtime: Runtime,
    ) -> None:
        self._records = records
        self._planner = planner
        self._cleaner = cleaner
        self._barrier = barrier
        self._executions = executions
        self._runtime = runtime

    def advance(self, request_id: str, execution: int, last: LastRound = FIRST_ROUND) -> Decision:
        """Settle and plan as far as the table allows, and answer what to do next.

        `last` is what the execution brings back from its last round.
        Afterwards the request's due time lies ahead, so that the sweep leaves it alone for a lease.
        """
        store = self._records.requests
        request = store.get(request_id)
        if request is None:
            cause = f"there is no request {request_id}"
            return Decision(request_id, execution, Action.FAIL, error="NotFound", cause=cause)
        if request.status is RequestStatus.QUEUING:
            now = self._runtime.clock()
            request = store.start(request_id, now, self._runtime.lease_end()).row
        if execution < request.execution and not request.has_ended:
            return Decision(request_id, execution, Action.DONE)  # A newer one advances it.
        if request.has_ended:
            return self._end(request, execution)
        if last.events > MAX_EVENTS:
            self._executions.hand_over(request)
            return Decision(request_id, execution, Action.DONE)
        if not self._records.keep(request, self._runtime.clock()):
            return self._come_round(request, execution, last)
        return self._go_through_steps(request, execution, last)

    def record_failure(self, request_id: str, execution: int, error: str, cause: str) -> Decision:
        """End the request as Failed because its execution cannot continue.

        While AWS is busy or down, which is no fault of the request's, only the execution ends: a
        sweep starts the next one.
        """
        request = self._records.requests.get(request_id)
        ended = Decision(request_id, execution, Action.FAIL, error=error, cause=cause)
        if request is None or not request.is_advanced_by(execution):
            return ended
        failure = error_of(error, cause)
        if is_of_aws(error):
            outage = outages.after_failure(request.outage, failure, self._runtime.clock())
            self._records.requests.note_outage(request, outage)
            return ended
        return self._fail(request, execution, RequestError(failure.type, failure.message))

    def needs_no_execution(self, request: Request) -> bool:
        """Do what a request that is due needs, if that takes no execution; return whether it did.

        A request that has ended is cleaned up; one of which a batch lives, or that only waits for
        workers, is left alone for a while; one that could not be advanced for too long fails.
        """
        if request.has_ended:
            self._cleaner.clean_up(request)
            return True
        now = self._runtime.clock()
        alive_until = self._records.requests.alive_until(request.request_id)
        if alive_until is not None and alive_until > now:
            self._records.requests.postpone_due(request.request_id, alive_until)
            return True
        if self._barrier.keeps_waiting(request):
            # An execution that waits comes round once a day, but it may be dead. This is due each
            # hour, and it costs a few LISTs to look what expires: once a day will do.
            if now.hour == request.created_at.hour:
                self._records.keep(request, now)
            return True
        failure = outages.failure_of(request.outage, now)
        if failure is None:
            return False
        self._fail(request, request.execution, failure)
        return True

    # -- ends ----------------------------------------------------------------------------------

    def _end(self, request: Request, execution: int) -> Decision:
        """End the execution: its request has ended, or another execution advances it."""
        if request.has_ended and request.due_at is not None:
            self._cleaner.clean_up(request)
        if request.status is not RequestStatus.FAILED:
            return Decision(request.request_id, execution, Action.DONE)
        error = request.error or RequestError("Failed", "no error is recorded")
        return Decision(
            request.request_id,
            execution,
            Action.FAIL,
            error=error.type,
            cause=error.message,
        )

    def _fail(self, request: Request, execution: int, error: RequestError) -> Decision:
        return self._end(self._finish_failed(request, error), execution)

    def _finish_failed(self, request: Request, error: RequestError) -> Request:
        return self._records.requests.finish(
            request.request_id,
            RequestStatus.FAILED,
            self._runtime.clock(),
            error=error,
            due_at=self._runtime.lease_end(),
            seen=request,
        ).row

    # -- a step --------------------------------------------------------------------------------

    def _come_round(self, request: Request, execution: int, last: LastRound) -> Decision:
        """Return the decision to call again at once: a part of the work is done, by its bound.

        Nothing else is done before the rest, for that may end the request. To the next call it is
        as if this one had not been; the few events of such rounds are not counted.
        """
        self._postpone_due(request, self._runtime.clock())
        return Decision(
            request.request_id, execution, Action.RUN, events=last.events, progress=last.progress
        )

    def _go_through_steps(self, request: Request, execution: int, last: LastRound) -> Decision:
        """Go through the steps from the current one until there is something to wait for."""
        store, request_id = self._records.requests, request.request_id
        step_count = len(self._records.type_of(request).steps)
        while True:
            step = store.get_step(request_id, request.current_step)
            if step is not None and last.events == 0:
                # An older execution may wait there; woken it finds itself superseded.
                self._barrier.wake_waiter(step)
            if step is None:
                try:
                    step, attempts = self._planner.plan(request)
                except PlanFault as fault:
                    error = RequestError("PlanFault", str(fault), step=request.current_step)
                    return self._fail(request, execution, error)
                # The request may have been cancelled: that cannot have seen rows inserted later.
                again = store.get(request_id)
                if again is None or again.has_ended:
                    return self._end(again or request, execution)
            else:
                attempts = attempts_of(self._records, request_id, step.index)
            state = self._classify(request, attempts)
            if state.fails_request:
                # A step that stops comes here only if somebody has changed a table by hand: there a
                # failure and its request's end are one transaction.
                return self._fail(request, execution, _error_of(state.failed))
            if state.lapsed or state.redo:
                if (request := self._planner.replace_attempts(request, step, state)).has_ended:
                    return self._end(request, execution)
                continue
            if not state.is_settled:
                return self._run_or_await(request, execution, last, step, state)
            request = self._complete_step(request, step, state, is_last=step.index == step_count)
            if request.execution > execution:
                # A newer execution may wait at the step that this one has just completed.
                behind = store.get_step(request_id, step.index)
                if behind is not None:
                    self._barrier.wake_waiter(behind)
                return self._end(request, execution)
            if request.has_ended:
                return self._end(request, execution)

    def _classify(self, request: Request, attempts: list[Attempt]) -> StepState:
        now, lease = self._runtime.clock(), self._runtime.lease
        return classify_step(attempts, request.generation, now, lease)

    def _run_or_await(
        self, request: Request, execution: int, last: LastRound, step: Step, state: StepState
    ) -> Decision:
        """Return the decision to run batches now, or to wait for the jobs that are out."""
        types = {a.type: self._records.job_type_of(a) for a in state.runnable}
        batches: list[JsonObject] = [{"jobs": b} for b in cut_batches(state.runnable, types)]
        decision = Decision(
            request_id=request.request_id,
            execution=execution,
            action=Action.RUN if batches else Action.AWAIT,
            events=last.events + EVENTS_PER_ROUND,
            progress=progress_of(request, state),
            is_waiting=bool(state.out),
            batches=batches,
            max_concurrency=concurrency_of(types.values()),
        )
        if batches and (stall := self._stall_of(request, last, step, decision.progress)):
            return self._try_one(request, step, stall, decision)
        self._postpone_due(request, self._runtime.clock())
        if len(batches) <= MAX_INLINE_BATCHES:
            return replace(decision, events=decision.events + EVENTS_PER_BATCH * len(batches))
        manifest = self._records.payloads.store_manifest(request.request_id, batches)
        is_slow = any(job_type.timeout_s > EXPRESS_TIMEOUT_S for job_type in types.values())
        action = Action.RUN_WIDE_SLOW if is_slow else Action.RUN_WIDE
        return replace(decision, action=action, batches=[], manifest=manifest)

    def _stall_of(
        self, request: Request, last: LastRound, step: Step, progress: str
    ) -> Stall | None:
        """Return the stall that the step has come to, and write it into its row; None if none.

        The row is only for `explain` and for the next execution, so the last writer may win. An
        execution that replaces another writes what had begun, in case it is replaced as well: but
        for a lease that is none of its batches' fault.
        """
        now = self._runtime.clock()
        stall = stall_of(step.stall, last, progress, now)
        if stall is None and request.execution > 1 and last.events == 0:
            stall = Stall(0, progress, now + self._runtime.lease)
        if stall != step.stall:
            self._records.requests.note_stall(request.request_id, step.index, stall)
        return stall if stall is not None and stall.rounds else None

    def _try_one(self, request: Request, step: Step, stall: Stall, decision: Decision) -> Decision:
        """Return the decision to try one batch alone after a while, or that the request fails."""
        failure = failure_of(stall, step.index)
        if failure is not None:
            return self._fail(request, decision.execution, failure)
        self._postpone_due(request, stall.next_at)
        return replace(
            decision,
            action=Action.TRY_ONE,
            batches=[],
            # Another each time: perhaps only this one kills its process.
            trial=decision.batches[stall.rounds % len(decision.batches)],
            wait_s=ceil((stall.next_at - self._runtime.clock()).total_seconds()),
        )

    def _postpone_due(self, request: Request, moment: datetime) -> None:
        """Let no sweep look at the request until a lease after the moment: it has advanced."""
        if request.outage is not None:
            self._records.requests.note_outage(request, None)
        if self._is_due_soon(request, moment):
            self._records.requests.postpone_due(request.request_id, moment + self._runtime.lease)

    def _is_due_soon(self, request: Request, moment: datetime) -> bool:
        """Whether the due time would pass within half a lease: each move costs four units."""
        return request.due_at is None or request.due_at < moment + self._runtime.lease / 2

    def _complete_step(
        self, request: Request, step: Step, state: StepState, *, is_last: bool
    ) -> Request:
        """Record that the step is settled; merge its results; enter the next, or complete."""
        store, payloads = self._records.requests, self._records.payloads
        request_id, index = request.request_id, request.current_step
        try:
            extras = extras_after(self._records, request, index, state.completed)
        except ExtrasTooLarge as error:
            fault = RequestError("ExtrasTooLarge", str(error), step=index)
            return self._finish_failed(request, fault)
        now = self._runtime.clock()
        packed = payloads.pack_apart(request_id, extras)
        store.close_step(step, StepStatus.COMPLETED, state.counts, now)
        if is_last:
            return store.finish(request_id, RequestStatus.COMPLETED, now, extras=packed).row
        due_at = self._runtime.lease_end() if self._is_due_soon(request, now) else None
        return store.enter_step(request_id, index + 1, packed, due_at).row


def _error_of(failed: list[Attempt]) -> RequestError:
    """Return the error of the job that failed first, and how many more did."""
    first = min(
        failed, key=lambda attempt: (attempt.completed_at or attempt.created_at, attempt.key)
    )
    error = first.error or JobError(first.status.value, "no error is recorded")
    if more := len(failed) - 1:
        error = error.with_note(f"(and {more:,} more {'job' if more == 1 else 'jobs'} failed)")
    return RequestError(error.type, error.message, first.key.step, first.name, first.attempt_id)
