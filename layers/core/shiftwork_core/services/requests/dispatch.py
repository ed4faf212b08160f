"""Decide how a step's open jobs go on: called here, scheduled in a Map, tried alone, or awaited."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from math import ceil

from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.requests.outcomes import JobError
from shiftwork_core.domain.requests.planning import (
    MAX_INLINE_BATCHES,
    MAX_WIDE_BATCHES,
    concurrency_of,
    cut_batches,
)
from shiftwork_core.domain.requests.records import Request, RequestError, Stall, Step, batch_name
from shiftwork_core.domain.requests.stalls import LastRound, failure_of, progress_of, stall_of
from shiftwork_core.domain.requests.step_state import StepState
from shiftwork_core.ports.world import Runtime
from shiftwork_core.services.requests.call import BatchCalls
from shiftwork_core.services.requests.executions import Executions
from shiftwork_core.services.requests.records import RequestRecords

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
    `is_waiting` is read by executions that began before narrow steps were called.
    """

    request_id: str
    execution: int
    action: Action
    events: int = 0
    progress: str = ""
    slow_types: list[str] = field(default_factory=list)
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
            "slow_types": self.slow_types,
            "is_waiting": self.is_waiting,
            "batches": self.batches,
            "max_concurrency": min(self.max_concurrency or most, most),
            "manifest": self.manifest,
            "trial": self.trial,
            "wait_s": self.wait_s,
            "error": self.error,
            "cause": self.cause,
        }


@dataclass(slots=True)
class Round:
    """One call of AdvanceRequest: for which execution, until when, and what came of the last.

    It may call batches for several steps; then `last` is what came of those that it called last.
    To the execution's history all of that is one round.
    """

    execution: int
    ends_at: datetime
    last: LastRound

    @property
    def is_first(self) -> bool:
        """Whether nothing was decided yet for this execution, in this round or before."""
        return self.last.events == 0

    def note_calls(self, progress: str, error: JobError | None, slow_types: set[str]) -> None:
        """Go on as if the machine had run the batches that were called, and come back."""
        self.last = LastRound(
            # However many steps are gone through, it is one round; but not the first any more.
            events=max(self.last.events, 1),
            progress=progress,
            error=error,
            slow_types=self.last.slow_types | slow_types,
        )


class Dispatcher:
    """Sets the open jobs of a planned step going, or has the execution wait for them."""

    def __init__(
        self, records: RequestRecords, calls: BatchCalls, executions: Executions, runtime: Runtime
    ) -> None:
        self._records = records
        self._calls = calls
        self._executions = executions
        self._runtime = runtime

    def hands_over(self, request: Request, last: LastRound) -> bool:
        """Have a fresh execution go on if the history of this one is full; return whether it is."""
        is_full = last.events > MAX_EVENTS
        if is_full:
            self._executions.hand_over(request)
        return is_full

    def come_round(self, request: Request, this: Round) -> Decision:
        """Return the decision to call again at once: a part of the work is done, by its bound.

        Nothing else is done before the rest, for that may end the request. To the next call it is
        as if this one had not been; the few events of such rounds are not counted.
        """
        self._postpone_due(request, self._runtime.clock())
        return Decision(
            request.request_id,
            this.execution,
            Action.RUN,
            events=this.last.events,
            progress=this.last.progress,
            slow_types=sorted(this.last.slow_types),
        )

    def dispatch(
        self, request: Request, step: Step, state: StepState, this: Round
    ) -> Decision | RequestError | None:
        """Return what the machine does next, or the error that the request fails with now.

        None: the step's batches were called here. Read the request and the step again.
        """
        types = {a.type: self._records.job_type_of(a) for a in state.runnable}
        batches = cut_batches(state.runnable, types)
        decision = Decision(
            request_id=request.request_id,
            execution=this.execution,
            action=Action.RUN if batches else Action.AWAIT,
            events=this.last.events + EVENTS_PER_ROUND,
            progress=progress_of(request, state),
            slow_types=sorted(this.last.slow_types),
            is_waiting=bool(state.out),
            batches=[{"jobs": batch} for batch in batches],
            max_concurrency=concurrency_of(types.values()),
        )
        if batches and (stall := self._stall_of(request, step, decision.progress, this)):
            return self._try_one(request, step, stall, decision)
        self._postpone_due(request, self._runtime.clock())
        is_known_to_be_slow = not this.last.slow_types.isdisjoint(types)
        is_limited = 0 < decision.max_concurrency < len(batches)
        is_to_schedule = is_known_to_be_slow or is_limited
        if not is_to_schedule and self._calls.fit(batches, types.values(), this.ends_at):
            called = self._calls.call(request.request_id, this.execution, batches)
            type_of = {batch_name(attempt): attempt.type for attempt in state.runnable}
            slow_types = {type_of[batch[0]] for batch in called.unanswered}
            this.note_calls(decision.progress, called.error, slow_types)
            return None
        if len(batches) <= MAX_INLINE_BATCHES:
            return replace(decision, events=decision.events + EVENTS_PER_BATCH * len(batches))
        manifest = self._records.payloads.store_manifest(request.request_id, decision.batches)
        is_slow = any(job_type.timeout_s > EXPRESS_TIMEOUT_S for job_type in types.values())
        action = Action.RUN_WIDE_SLOW if is_slow else Action.RUN_WIDE
        return replace(decision, action=action, batches=[], manifest=manifest)

    def _stall_of(self, request: Request, step: Step, progress: str, this: Round) -> Stall | None:
        """Return the stall that the step has come to, and write it into its row; None if none.

        The row is only for `explain` and for the next execution, so the last writer may win. An
        execution that replaces another writes what had begun, in case it is replaced as well: but
        for a lease that is none of its batches' fault.
        """
        now = self._runtime.clock()
        stall = stall_of(step.stall, this.last, progress, now)
        if stall is None and request.execution > 1 and this.is_first:
            stall = Stall(0, progress, now + self._runtime.lease)
        if stall != step.stall:
            self._records.requests.note_stall(request.request_id, step.index, stall)
        return stall if stall is not None and stall.rounds else None

    def _try_one(
        self, request: Request, step: Step, stall: Stall, decision: Decision
    ) -> Decision | RequestError:
        """Return the decision to try one batch alone after a while, or that the request fails."""
        failure = failure_of(stall, step.index)
        if failure is not None:
            return failure
        self._postpone_due(request, stall.next_at)
        return replace(
            decision,
            action=Action.TRY_ONE,
            batches=[],
            # Another each time: perhaps only this one kills its process.
            trial=decision.batches[stall.rounds % len(decision.batches)],
            wait_s=ceil((stall.next_at - self._runtime.clock()).total_seconds()),
        )

    def next_due(self, request: Request) -> datetime | None:
        """Return when the request is due now that it has advanced; None: as it was."""
        now = self._runtime.clock()
        return self._runtime.lease_end() if self._is_due_soon(request, now) else None

    def _postpone_due(self, request: Request, moment: datetime) -> None:
        """Let no sweep look at the request until a lease after the moment: it has advanced."""
        if request.outage is not None:
            self._records.requests.note_outage(request, None)
        if self._is_due_soon(request, moment):
            self._records.requests.postpone_due(request.request_id, moment + self._runtime.lease)

    def _is_due_soon(self, request: Request, moment: datetime) -> bool:
        """Whether the due time would pass within half a lease: each move costs four units."""
        return request.due_at is None or request.due_at < moment + self._runtime.lease / 2
