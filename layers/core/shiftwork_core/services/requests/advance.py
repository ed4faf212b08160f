"""Advance a request: settle its step from the table, plan the next one, say what to do next.

Every method may be called again at any time, by several executions at once and after any crash,
with the same result: each write is conditional, and each decision is taken from what the tables
hold.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from shiftwork_core.domain.requests import outages
from shiftwork_core.domain.requests.definitions import OnFailure
from shiftwork_core.domain.requests.outcomes import JobError
from shiftwork_core.domain.requests.planning import PlanFault
from shiftwork_core.domain.requests.records import (
    Attempt,
    Request,
    RequestError,
    Step,
    StepStatus,
)
from shiftwork_core.domain.requests.stalls import FIRST_ROUND, LastRound, error_of, is_of_aws
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.domain.requests.step_state import StepState, classify_step
from shiftwork_core.ports.world import Runtime
from shiftwork_core.services.requests.barrier import StepBarrier
from shiftwork_core.services.requests.cleanup import RequestCleaner
from shiftwork_core.services.requests.dispatch import Action, Decision, Dispatcher, Round
from shiftwork_core.services.requests.lasting import LastingWork
from shiftwork_core.services.requests.payloads import ResultsTooLarge
from shiftwork_core.services.requests.plan import StepPlanner
from shiftwork_core.services.requests.records import RequestRecords
from shiftwork_core.services.requests.results import ExtrasTooLarge, attempts_of, extras_after

#: An invocation that has no time to call batches: it hands them to the machine.
NO_TIME = timedelta(0)


class RequestAdvancer:
    """Moves requests on."""

    def __init__(
        self,
        *,
        records: RequestRecords,
        planner: StepPlanner,
        cleaner: RequestCleaner,
        barrier: StepBarrier,
        dispatcher: Dispatcher,
        runtime: Runtime,
    ) -> None:
        self._records = records
        self._planner = planner
        self._cleaner = cleaner
        self._barrier = barrier
        self._dispatcher = dispatcher
        self._runtime = runtime

    def advance(
        self,
        request_id: str,
        execution: int,
        last: LastRound = FIRST_ROUND,
        remaining: timedelta = NO_TIME,
    ) -> Decision:
        """Settle, plan and call as far as the table and the time allow; answer what to do next.

        `last` is what the execution brings back from its last round; `remaining` is the time that
        this invocation has. Afterwards the request's due time lies ahead, so that the sweep leaves
        it alone for a lease.
        """
        this = Round(execution, self._runtime.clock() + remaining, last)
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
        if self._dispatcher.hands_over(request, last):
            return Decision(request_id, execution, Action.DONE)
        if not self._records.keep(request, self._runtime.clock()):
            return self._dispatcher.come_round(request, this)
        return self._go_through_steps(request, this)

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

    def _go_through_steps(self, request: Request, this: Round) -> Decision:
        """Go through the steps from the current one until there is something to wait for."""
        store, request_id = self._records.requests, request.request_id
        while True:
            found = self._find_or_plan(request, this)
            if isinstance(found, Decision):
                return found
            step, attempts = found
            state = self._classify(request, attempts)
            if (too_many := self._excess(request, state)) is not None:
                return self._fail(request, this.execution, too_many)
            if not state.is_settled:
                then = self._go_on(request, step, state, this)
                if isinstance(then, Decision):
                    return then
                request = then
                continue
            request = self._complete_step(request, step, attempts, state)
            if request.execution > this.execution:
                # A newer execution may wait at the step that this one has just completed.
                behind = store.get_step(request_id, step.index)
                if behind is not None:
                    self._barrier.wake_waiter(behind)
                return self._end(request, this.execution)
            if request.has_ended:
                return self._end(request, this.execution)

    def _find_or_plan(self, request: Request, this: Round) -> tuple[Step, list[Attempt]] | Decision:
        """Return the current step and its attempts; plan it if it is not; or say how that ended."""
        store, request_id = self._records.requests, request.request_id
        step = store.get_step(request_id, request.current_step)
        if step is None and request.first_completed_at is not None:
            return self._fail(request, this.execution, _expired(request))
        if step is None:
            try:
                step, attempts = self._planner.plan(request)
            except PlanFault as fault:
                error = RequestError("PlanFault", str(fault), step=request.current_step)
                return self._fail(request, this.execution, error)
            # The request may have been cancelled: that cannot have seen rows inserted later.
            again = store.get(request_id)
            if again is None or again.has_ended:
                return self._end(again or request, this.execution)
            return step, attempts
        if this.is_first:
            # An older execution may wait there; woken it finds itself superseded.
            self._barrier.wake_waiter(step)
        attempts = attempts_of(self._records, request_id, step.index)
        if _jobs_of(attempts) < step.job_count:  # A user's retry may come through an old step.
            return self._fail(request, this.execution, _expired(request))
        return step, attempts

    def _go_on(
        self, request: Request, step: Step, state: StepState, this: Round
    ) -> Decision | Request:
        """Return what to do next at a step that is not settled.

        A request: the step has changed. Look at it again, with the request as it is now.
        """
        if state.fails_request:
            # A step that stops comes here only if somebody has changed a table by hand: there a
            # failure and its request's end are one transaction.
            return self._fail(request, this.execution, _error_of(self._records, state.failed))
        if state.lapsed or state.redo:
            request = self._planner.replace_attempts(request, step, state)
            return self._end(request, this.execution) if request.has_ended else request
        decision = self._dispatcher.dispatch(request, step, state, this)
        if isinstance(decision, RequestError):
            return self._fail(request, this.execution, decision)
        if decision is not None:
            return decision
        # While the batches were waited for, the request may have ended, or changed hands.
        request = self._records.requests.get(request.request_id) or request
        is_ours = request.is_advanced_by(this.execution)
        return request if is_ours else self._end(request, this.execution)

    def _classify(self, request: Request, attempts: list[Attempt]) -> StepState:
        now, lease = self._runtime.clock(), self._runtime.lease
        return classify_step(attempts, request.generation, now, lease)

    def _excess(self, request: Request, state: StepState) -> RequestError | None:
        """Return the error of a request of whose jobs more have failed than is tolerated."""
        if not state.tolerant:
            return None
        # Few requests tolerate failures, and each module makes each cold start longer.
        from shiftwork_core.domain.requests.tolerance import excess
        from shiftwork_core.services.requests.block_failures import failed_job

        spec = self._records.type_of(request).steps[request.current_step - 1]
        if state.is_open and spec.on_failure is OnFailure.FINISH:
            return None
        find = partial(failed_job, self._records)
        return excess(spec, state.tolerant, request.generation, request.current_step, find)

    def _complete_step(
        self, request: Request, step: Step, attempts: list[Attempt], state: StepState
    ) -> Request:
        """Record that the step is settled; merge its results; enter the next, or complete."""
        store, payloads = self._records.requests, self._records.payloads
        request_id, index = request.request_id, request.current_step
        specs = self._records.type_of(request).steps
        try:
            work = LastingWork(store, self._runtime, request)
            extras = extras_after(self._records, request, specs[index - 1], attempts, work)
        except (ExtrasTooLarge, ResultsTooLarge) as error:
            fault = RequestError(type(error).__name__, str(error), step=index)
            return self._finish_failed(request, fault)
        now = self._runtime.clock()
        packed = payloads.pack_apart(request_id, extras)
        store.close_step(
            step, StepStatus.COMPLETED, state.counts, now, state.tolerated_jobs, request.extras
        )
        if index == len(specs):
            ended = store.finish(
                request_id, RequestStatus.COMPLETED, now, extras=packed, seen=request
            )
            return ended.row
        due_at = self._dispatcher.next_due(request)
        return store.enter_step(request, packed, due_at).row


def _error_of(records: RequestRecords, failed: list[Attempt]) -> RequestError:
    """Return the error of the job that failed first, and how many more did."""
    job = first = min(
        failed, key=lambda attempt: (attempt.completed_at or attempt.created_at, attempt.key)
    )
    if first.block is not None:
        # Few requests have blocks, and each module makes each cold start longer.
        from shiftwork_core.services.requests.block_failures import failed_job

        job = failed_job(records, first)
    error = job.error or JobError(job.status.value, "no error is recorded")
    if (more := sum(attempt.failed_jobs for attempt in failed) - 1) > 0:
        error = error.with_note(f"(and {more:,} more {'job' if more == 1 else 'jobs'} failed)")
    return RequestError(error.type, error.message, first.key.step, job.name, job.attempt_id)


def _jobs_of(attempts: list[Attempt]) -> int:
    """Return of how many jobs these are attempts."""
    sizes = {a.key.job: 1 if a.block is None else a.block.size for a in attempts}
    return sum(sizes.values())


def _expired(request: Request) -> RequestError:
    """Return the error of a request that was retried too late."""
    message = (
        f"rows of step {request.current_step} have expired since it completed, so it cannot be gone"
        " through again: submit a new request"
    )
    return RequestError("JobsExpired", message, step=request.current_step)
