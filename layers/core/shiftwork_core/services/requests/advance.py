"""Driving a request: settle its step from the table, plan the next, say what the machine does.

Every method may be called again at any time, by several executions at once and after any crash,
with the same result: each write is conditional, and each decision is taken from what the tables
hold.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from shiftwork_core.domain.payloads import JsonObject, Payload, merge_extras, to_json
from shiftwork_core.domain.requests.definitions import JobType, RequestType
from shiftwork_core.domain.requests.leases import poll_until
from shiftwork_core.domain.requests.outcomes import MAX_RESULT_BYTES, JobError
from shiftwork_core.domain.requests.planning import (
    MAX_INLINE_BATCHES,
    PlanFault,
    cut_batches,
    plan_jobs,
)
from shiftwork_core.domain.requests.records import (
    Attempt,
    AttemptKey,
    Request,
    RequestError,
    Step,
    StepStatus,
)
from shiftwork_core.domain.requests.states import AttemptStatus, RequestStatus
from shiftwork_core.domain.requests.step_state import StepState, classify_step
from shiftwork_core.domain.requests.templates import Search
from shiftwork_core.ports.jobs import JobStore
from shiftwork_core.ports.stores import DueRequest, RequestStore
from shiftwork_core.ports.world import BlobStore, Clock, Machine
from shiftwork_core.services.requests.cancel import Canceller
from shiftwork_core.services.requests.definitions import Definitions
from shiftwork_core.services.requests.outcomes import OutcomeRecorder, next_attempt
from shiftwork_core.services.requests.payloads import Payloads

logger = logging.getLogger("shiftwork.driving")

#: A Standard execution may have 25,000 events (Step Functions' quotas). One round writes about
#: EVENTS_PER_ROUND and each of its batches EVENTS_PER_BATCH, so the next round still fits.
MAX_EVENTS = 20_000
EVENTS_PER_ROUND = 20
EVENTS_PER_BATCH = 7

#: A batch whose jobs may take longer does not fit an Express execution, which ends after 5 minutes
#: (Step Functions' quotas); the difference is for starting, claiming and recording.
EXPRESS_TIMEOUT_S = 240

#: The planner tells the sweep that it is alive after this many inserted jobs.
_INSERT_CHUNK = 500


class Action(StrEnum):
    """What the machine does next; the names are the contract with run_request.asl.yaml."""

    RUN = "run"
    RUN_WIDE = "run_wide"
    RUN_WIDE_SLOW = "run_wide_slow"
    AWAIT = "await"
    DONE = "done"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to the state machine: its whole state until the next answer."""

    request_id: str
    execution: int
    action: Action
    events: int = 0
    is_waiting: bool = False
    batches: list[JsonObject] = field(default_factory=list)
    manifest: dict[str, str] = field(default_factory=dict)
    error: str = ""
    cause: str = ""

    def to_json(self) -> JsonObject:
        """Return it as the function answers it."""
        return {
            "request_id": self.request_id,
            "execution": self.execution,
            "action": self.action.value,
            "events": self.events,
            "is_waiting": self.is_waiting,
            "batches": self.batches,
            "manifest": self.manifest,
            "error": self.error,
            "cause": self.cause,
        }


class RequestAdvancer:
    """Moves requests on."""

    def __init__(
        self,
        *,
        store: RequestStore,
        jobs: JobStore,
        blobs: BlobStore,
        definitions: Definitions,
        payloads: Payloads,
        machine: Machine,
        recorder: OutcomeRecorder,
        canceller: Canceller,
        search: Search,
        clock: Clock,
        lease: timedelta,
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._blobs = blobs
        self._definitions = definitions
        self._payloads = payloads
        self._machine = machine
        self._recorder = recorder
        self._canceller = canceller
        self._search = search
        self._clock = clock
        self._lease = lease

    # -- what the state machine asks -----------------------------------------------------------

    def advance(self, request_id: str, execution: int, events: int = 0) -> Decision:
        """Settle and plan as far as the table allows, and answer what to do next.

        Afterwards the request's due time lies ahead, so that the sweep leaves it alone for a lease.
        """
        request = self._store.get(request_id)
        if request is None:
            cause = f"there is no request {request_id}"
            return Decision(request_id, execution, Action.FAIL, error="NotFound", cause=cause)
        if request.status is RequestStatus.QUEUING:
            request = self._store.start(request_id, self._clock(), self._due()).row
        if execution < request.execution and not request.has_ended:
            return Decision(request_id, execution, Action.DONE)  # A newer execution drives.
        if request.has_ended:
            return self._end(request, execution)
        if events > MAX_EVENTS:
            return self._hand_over(request, execution)
        return self._settle(request, execution, events)

    def record_failure(self, request_id: str, execution: int, error: str, cause: str) -> Decision:
        """End the request as Failed because its execution cannot go on."""
        failure = RequestError(type=error or "ExecutionFailed", message=cause or error)
        request = self._store.get(request_id)
        if request is None or not request.is_driven_by(execution):
            return Decision(request_id, execution, Action.FAIL, error=error, cause=cause)
        return self._fail(request, execution, failure)

    def tidy(self, request: Request) -> None:
        """Leave nothing open of a request that has ended.

        Its step's jobs are all planned, none is `new`, and what has lost its holder is a failure.
        While some still run the request stays in the sweep's sight, after that it leaves it.
        """
        step = self._store.get_step(request.request_id, request.current_step)
        due_at = None
        if request.status is not RequestStatus.COMPLETED and request.current_step > 0:
            due_at = self._tidy_step(request, step)
        self._store.set_due(request, due_at)

    # -- ends ----------------------------------------------------------------------------------

    def _tidy_step(self, request: Request, step: Step | None) -> datetime | None:
        # A planner that was held up may still insert rows. With all of them written as cancelled
        # its inserts find them and change nothing.
        if step is None:
            with suppress(PlanFault):  # Then it can insert none.
                step, _ = self._plan(request, AttemptStatus.CANCELLED)
        self._canceller.cancel_new(request)
        state = self._read_step(request)
        if state.lapsed:
            for attempt in state.lapsed:
                self._recorder.expire(attempt)
            # What failed by that, and was made before the user's retry, wants a tombstone too.
            state = self._read_step(request)
        if state.redo:
            self._redo(request, state, AttemptStatus.CANCELLED)
            state = self._read_step(request)
        failed = request.status is RequestStatus.FAILED
        status = StepStatus.FAILED if failed else StepStatus.CANCELLED
        is_closed = step is None or step.status is StepStatus.COMPLETED
        if step is not None and not is_closed:
            is_closed = self._store.close_step(step, status, state.counts, self._clock())
        # Also what was to be retried, and whose next attempt is not to be seen yet.
        still_open = [*state.runnable, *state.lapsed, *state.redo, *state.out]
        if is_closed and not still_open:
            return None
        return min((a.lease_until for a in still_open if a.lease_until), default=self._due())

    def _read_step(self, request: Request) -> StepState:
        return self._state_of(request, self._jobs.of_step(request.request_id, request.current_step))

    def _end(self, request: Request, execution: int) -> Decision:
        """End the execution: its request has ended, or another execution drives it."""
        if request.has_ended and request.due_at is not None:
            self.tidy(request)
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
        ended = self._store.finish(
            request.request_id,
            RequestStatus.FAILED,
            self._clock(),
            error=error,
            due_at=self._due(),
            seen=request,
        )
        return self._end(ended.row, execution)

    def _hand_over(self, request: Request, execution: int) -> Decision:
        """Let a fresh execution, with an empty history, go on."""
        if request.due_at is not None:
            seen = DueRequest(request.request_id, request.execution, request.due_at)
            taken = self._store.take_over(seen, self._due())
            if taken.won:
                self._machine.start(request.request_id, taken.row.execution)
        return Decision(request.request_id, execution, Action.DONE)

    # -- a step --------------------------------------------------------------------------------

    def _settle(self, request: Request, execution: int, events: int) -> Decision:
        """Go through the steps from the current one until there is something to wait for."""
        request_type = self._definitions.request_type(request.type, request.type_version)
        while True:
            step = self._store.get_step(request.request_id, request.current_step)
            if step is not None and step.token is not None and events == 0:
                self._machine.wake_execution(
                    step.token
                )  # An older execution; it finds itself superseded.
            if step is None:
                try:
                    step, attempts = self._plan(request)
                except PlanFault as fault:
                    error = RequestError("PlanFault", str(fault), step=request.current_step)
                    return self._fail(request, execution, error)
                # A cancel may have come between: it cannot have seen rows inserted after it.
                again = self._store.get(request.request_id)
                if again is None or again.has_ended:
                    return self._end(again or request, execution)
            else:
                attempts = list(self._jobs.of_step(request.request_id, step.index))
            state = self._state_of(request, attempts)
            if state.failed:
                # Unreachable while a failure and its request's end are one transaction; should a
                # table be mended by hand, the request ends as it would have.
                return self._fail(request, execution, _error_of(state.failed[0]))
            if state.lapsed or state.redo:
                if (request := self._mend(request, step, state)).has_ended:
                    return self._end(request, execution)
                continue
            if not state.is_settled:
                return self._hand_out(request, execution, events, state)
            moved = self._complete_step(request, request_type, step, state)
            if moved.execution > execution:
                # A newer execution may wait for the step that this one has just left behind.
                behind = self._store.get_step(request.request_id, step.index)
                if behind is not None and behind.token is not None:
                    self._machine.wake_execution(behind.token)
                return self._end(moved, execution)
            if moved.has_ended:
                return self._end(moved, execution)
            request = moved

    def _plan(
        self, request: Request, status: AttemptStatus = AttemptStatus.NEW
    ) -> tuple[Step, list[Attempt]]:
        """Insert the current step's jobs, then its row; return it, and the attempts as they stand.

        The row comes last, so a step that has one has all its jobs.
        """
        request_type = self._definitions.request_type(request.type, request.type_version)
        index = request.current_step
        spec = request_type.steps[index - 1]
        now = self._clock()
        planned = plan_jobs(
            spec,
            self._payloads.unpack_object(request.params),
            self._payloads.unpack_object(request.extras),
            self._search,
        )
        attempts = []
        for number, job in enumerate(planned):
            job_type = self._job_type(request, job.type)
            attempts.append(
                Attempt(
                    request_id=request.request_id,
                    key=AttemptKey(index, number, 1),
                    name=job.name,
                    type=job.type,
                    type_version=job_type.version,
                    created_at=now,
                    status=status,
                    generation=request.generation,
                    is_polled=job_type.is_polled,
                    priority=request.priority if job_type.is_polled else 0,
                    domain=request.domain_of(job.type) if job_type.is_polled else None,
                    poll_until=poll_until(job_type, now) if job_type.is_polled else None,
                    item=None if job.item is None else self._pack(request, job.item),
                    params=None if job.params is None else self._pack(request, job.params),
                    completed_at=None if status is AttemptStatus.NEW else now,
                )
            )
        existed = 0
        for chunk in _chunks(attempts, _INSERT_CHUNK):
            existed += self._jobs.insert(chunk)
            if len(attempts) > _INSERT_CHUNK:
                self._store.postpone_due(request.request_id, self._due())
        added = self._store.add_step(
            Step(request.request_id, index, spec.name, len(attempts), started_at=now)
        )
        if existed or not added.won:
            attempts = list(self._jobs.of_step(request.request_id, index))
        return added.row, attempts

    def _mend(self, request: Request, step: Step, state: StepState) -> Request:
        """Take lapsed attempts from their holders, and add the tries a user's retry asks for."""
        for attempt in state.lapsed:
            self._recorder.expire(attempt)
        if state.redo:
            self._redo(request, state, AttemptStatus.NEW)
            if step.completed_at is not None:
                self._store.close_step(step, StepStatus.RUNNING, {}, None)
        # By now an attempt that ran out has failed the request, or a user has cancelled it.
        return self._store.get(request.request_id) or request

    def _redo(self, request: Request, state: StepState, status: AttemptStatus) -> None:
        """Add one try, `new` or as a tombstone, to each job that a user's retry grants one."""
        now = self._clock()
        successors = [
            replace(
                next_attempt(a, self._type_of(a), now, tries=1, generation=request.generation),
                status=status,
            )
            for a in state.redo
        ]
        self._jobs.insert(successors)

    def _hand_out(
        self, request: Request, execution: int, events: int, state: StepState
    ) -> Decision:
        if request.due_at is None or request.due_at < self._clock() + self._lease / 2:
            self._store.postpone_due(request.request_id, self._due())
        types = {a.type: self._job_type(request, a.type) for a in state.runnable}
        batches: list[JsonObject] = [{"jobs": b} for b in cut_batches(state.runnable, types)]
        decision = Decision(
            request_id=request.request_id,
            execution=execution,
            action=Action.RUN if batches else Action.AWAIT,
            events=events + EVENTS_PER_ROUND,
            is_waiting=bool(state.out),
            batches=batches,
        )
        if len(batches) <= MAX_INLINE_BATCHES:
            return replace(decision, events=decision.events + EVENTS_PER_BATCH * len(batches))
        manifest = self._blobs.locate(self._blobs.put(request.request_id, to_json(batches)))
        is_slow = any(job_type.timeout_s > EXPRESS_TIMEOUT_S for job_type in types.values())
        action = Action.RUN_WIDE_SLOW if is_slow else Action.RUN_WIDE
        return replace(decision, action=action, batches=[], manifest=manifest)

    def _complete_step(
        self, request: Request, request_type: RequestType, step: Step, state: StepState
    ) -> Request:
        """Record that the step is settled; merge its results; enter the next, or complete."""
        extras = merge_extras(
            self._payloads.unpack_object(request.extras),
            [self._payloads.unpack_object(a.output) for a in state.completed],
        )
        text_bytes = len(to_json(extras).encode())
        now = self._clock()
        request_id, index = request.request_id, request.current_step
        if text_bytes > MAX_RESULT_BYTES:
            message = (
                f"the extras would have {text_bytes:,} bytes of at most {MAX_RESULT_BYTES:,}; "
                "let jobs store what is large and return where it lies"
            )
            error = RequestError("ExtrasTooLarge", message, step=index)
            failed = RequestStatus.FAILED
            return self._store.finish(
                request_id, failed, now, error=error, due_at=self._due(), seen=request
            ).row
        packed = self._payloads.pack(request_id, extras)
        self._store.close_step(step, StepStatus.COMPLETED, state.counts, now)
        if index == len(request_type.steps):
            return self._store.finish(request_id, RequestStatus.COMPLETED, now, extras=packed).row
        return self._store.enter_step(request_id, index + 1, packed, self._due()).row

    # -- small things --------------------------------------------------------------------------

    def _state_of(self, request: Request, attempts: Iterable[Attempt]) -> StepState:
        return classify_step(attempts, request.generation, self._clock(), self._lease)

    def _due(self) -> datetime:
        return self._clock() + self._lease

    def _type_of(self, attempt: Attempt) -> JobType:
        return self._definitions.job_type(attempt.type, attempt.type_version)

    def _job_type(self, request: Request, name: str) -> JobType:
        return self._definitions.job_type(name, request.job_types[name])

    def _pack(self, request: Request, value: object) -> Payload:
        return self._payloads.pack(request.request_id, value)


def _error_of(attempt: Attempt) -> RequestError:
    error = attempt.error or JobError(attempt.status.value, "no error is recorded")
    return RequestError(
        error.type, error.message, attempt.key.step, attempt.name, attempt.attempt_id
    )


def _chunks(attempts: list[Attempt], size: int) -> Iterator[list[Attempt]]:
    for start in range(0, len(attempts), size):
        yield attempts[start : start + size]
