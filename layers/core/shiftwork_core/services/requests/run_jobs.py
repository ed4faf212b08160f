"""Run a batch of jobs side by side: claim each, do it, and record its outcome."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property, partial
from threading import Event
from typing import TYPE_CHECKING

from shiftwork_core.domain.requests.definitions import OnFailure
from shiftwork_core.domain.requests.outcomes import JobError, Outcome, Retryable
from shiftwork_core.domain.requests.records import (
    Attempt,
    AttemptKey,
    Request,
    parse_batch_name,
)
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.errors import Transient
from shiftwork_core.ports.world import JobInput, Runtime, StopSignal
from shiftwork_core.services.requests.barrier import StepBarrier
from shiftwork_core.services.requests.do_job import do_job
from shiftwork_core.services.requests.held import Batch, BatchHost, Held
from shiftwork_core.services.requests.holding import (
    FIRST_WAIT_S,
    MARGIN,
    RECORDING,
    Holder,
    Left,
)
from shiftwork_core.services.requests.outcome_writer import Result
from shiftwork_core.services.requests.outcomes import OutcomeRecorder
from shiftwork_core.services.requests.records import RequestRecords

if TYPE_CHECKING:
    from shiftwork_core.services.requests.run_blocks import BlockRunner
    from shiftwork_core.services.requests.tolerance import ToleranceGuard

logger = logging.getLogger("shiftwork.batches")

#: How often a batch that holds nothing checks for claims of its threads.
_CLAIMING = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class BatchReport:
    """How a batch ended. `is_waiting`: some of its jobs are still out, elsewhere or later."""

    is_waiting: bool = False
    counts: dict[str, int] = field(default_factory=dict)


class BatchRunner:
    """Runs batches of jobs, as the function RunJobs does."""

    def __init__(
        self,
        *,
        records: RequestRecords,
        recorder: OutcomeRecorder,
        barrier: StepBarrier,
        host: BatchHost,
        runtime: Runtime,
    ) -> None:
        self._records = records
        self._recorder = recorder
        self._barrier = barrier
        self._target_for = host.target_for
        self._side_by_side = host.side_by_side
        self._runtime = runtime
        self.holder = Holder(records, host, runtime)
        self._host = host

    def run(
        self, request_id: str, keys: list[str], remaining: timedelta, *, is_called: bool = False
    ) -> BatchReport:
        """Do the attempts side by side; afterwards each has an outcome or is left as it was.

        The request is read, strongly consistent, before anything is claimed: nothing of an ended
        request starts. `remaining` is the time this invocation has. `is_called`: AdvanceRequest
        has called the batch, and may have given up waiting for it.

        A callback that outlives its time cannot be killed: it is told to stop, its outcome is
        recorded for it, and its thread is left behind. What hosts this ends the thread's process.

        Raises
        ------
        Exception
            If a store failed. The other jobs of the batch are done by then; calling again is safe.
        """
        request = self._records.requests.get(request_id)
        if request is None or request.status is not RequestStatus.INPROGRESS or not keys:
            return BatchReport()
        for name, version in request.job_types.items():
            # Once, and before anything is held: in a new process every job would ask by itself.
            self._records.definitions.job_type(name, version)
        now = self._runtime.clock()
        ends_at = now + remaining - MARGIN
        batch = Batch(
            self._with_input(request),
            ends_at,
            renew_at=now + self._runtime.lease / 3,
            is_called=is_called,
        )
        named = [parse_batch_name(key) for key in keys]
        jobs = [key for key, is_block in named if not is_block]
        lefts, error = self._run_side_by_side(batch, jobs) if jobs else ([], None)
        # One after the other: whatever is not begun by the end is as it was.
        for key in (key for key, is_block in named if is_block):
            try:
                lefts.append(self._blocks.run(batch, key))
            except Exception as failed:  # The others are done, and what has ended is reported.
                error = failed
        self._end(batch, [key for key, _ in named])
        if error is not None:
            raise error
        return BatchReport(
            is_waiting=Left.HELD in lefts or Result.RETRY in lefts,
            counts=dict(Counter(left.value for left in lefts)),
        )

    @cached_property
    def _blocks(self) -> BlockRunner:
        # Few requests have blocks, and each module makes each cold start longer.
        from shiftwork_core.services.requests.run_blocks import BlockRunner

        return BlockRunner(
            records=self._records,
            recorder=self._recorder,
            holder=self.holder,
            host=self._host,
            runtime=self._runtime,
        )

    @cached_property
    def _tolerance(self) -> ToleranceGuard:
        from shiftwork_core.services.requests.tolerance import ToleranceGuard

        return ToleranceGuard(self._records, self._barrier, self._runtime)

    def _with_input(self, request: Request) -> Request:
        """Return the request with its params and extras fetched, once for all jobs of the batch."""
        params = self._records.payloads.fetch(request.params)
        return replace(request, params=params, extras=self._records.payloads.fetch(request.extras))

    def _end(self, batch: Batch, keys: list[AttemptKey]) -> None:
        """Report what has arrived at the step's barrier, all at once, and tally it."""
        arrivals = sum(recording.arrivals for recording in batch.recorded)
        joins = sum(recording.joins for recording in batch.recorded) if batch.is_called else 0
        is_joined = not batch.is_called and any(key.attempt == 1 for key in keys)
        self.holder.insist(
            lambda: self._barrier.end_batch(
                batch.request.request_id,
                keys[0].step,
                arrivals,
                joins=joins,
                is_joined=is_joined,
            ),
            lambda moment: moment < batch.ends_at + RECORDING,
        )
        if batch.is_wide:
            left = [recording.counts for recording in batch.recorded]
            now = self._runtime.clock()
            self._records.add_tally(batch.request.request_id, keys[0], left, now)
        if batch.has_tolerated:
            self._tolerance.look(batch.request.request_id, keys[0].step)

    # -- side by side --------------------------------------------------------------------------

    def _run_side_by_side(
        self, batch: Batch, keys: list[AttemptKey]
    ) -> tuple[list[Result | Left], BaseException | None]:
        """Return how the jobs were left, and the last error by which one of them ended."""
        calls = {key: partial(self._run_one, batch, key) for key in keys}
        pending = set(keys)
        lefts: list[Result | Left] = []
        error: BaseException | None = None
        for ended in self._side_by_side(calls, partial(self._tick_s, batch)):
            for key, future in ended.items():
                if key not in pending:
                    continue  # It was given up before it ended.
                pending.remove(key)
                if failed := future.exception():
                    error = failed
                else:
                    lefts.append(future.result())
            self.holder.renew(batch)
            for key, held in self._overdue(batch, pending):
                if (result := self._give_up(batch, held)) is not None:
                    pending.remove(key)
                    batch.held.pop(key, None)
                    lefts.append(result)
            if not pending:
                break
        return lefts, error

    def _run_one(self, batch: Batch, key: AttemptKey) -> Result | Left:
        """Claim, do and record one job."""
        now = self._runtime.clock()
        if batch.has_ended.is_set() or now >= batch.ends_at:
            return Left.UNTOUCHED
        attempt = self.holder.claim(batch.request, key)
        if isinstance(attempt, Left):
            return attempt
        timeout = timedelta(seconds=self._records.job_type_of(attempt).timeout_s)
        batch.is_wide = attempt.is_wide
        held = Held(attempt, min(now + timeout, batch.ends_at), Event())
        batch.held[key] = held

        def may_wait_until(moment: datetime) -> bool:
            # An outcome in hand is worth the wait: without it the job is done again, and its
            # attempt counts as lost.
            return not held.is_lost and moment < batch.ends_at + RECORDING

        outcome = self.holder.insist(
            lambda: self.do(batch.request, attempt, held.stop), may_wait_until
        )
        held.is_done = True
        recording = self.holder.insist(
            lambda: self._recorder.record(attempt, outcome), may_wait_until
        )
        batch.record(attempt, recording)
        batch.held.pop(key, None)
        if (result := recording.result) is Result.FAILURE and attempt.on_failure is OnFailure.STOP:
            batch.has_ended.set()
        return result

    def _tick_s(self, batch: Batch) -> float:
        """Return the seconds until the next deadline or renewal of a lease.

        While nothing is held, jobs are being claimed: their deadlines are not known yet.
        """
        held_now = list(batch.held.values())
        deadlines = [held.deadline for held in held_now if not held.is_done]
        if not held_now:
            deadlines.append(self._runtime.clock() + _CLAIMING)
        next_at = min([*deadlines, batch.renew_at])
        return max((next_at - self._runtime.clock()).total_seconds(), 0.01)

    def _overdue(self, batch: Batch, pending: set[AttemptKey]) -> list[tuple[AttemptKey, Held]]:
        now = self._runtime.clock()
        helds = [(key, held) for key, held in list(batch.held.items()) if key in pending]
        return [(key, held) for key, held in helds if held.deadline <= now and not held.is_done]

    def _give_up(self, batch: Batch, held: Held) -> Result | None:
        """Record that a job's time is over; None if the store does not answer: try again soon."""
        timeout_s = self._records.job_type_of(held.attempt).timeout_s
        message = f"it did not end within its {timeout_s:g} s"
        try:
            timeout = Retryable(JobError("Timeout", message))
            recording = self._recorder.record(held.attempt, timeout)
        except Transient:
            held.deadline = self._runtime.clock() + timedelta(seconds=FIRST_WAIT_S)
            if held.deadline >= batch.ends_at + RECORDING:
                raise
            return None
        batch.record(held.attempt, recording)
        # Only now: what it returns when it is told to stop would be recorded as its result.
        held.stop.set()
        return recording.result

    # -- one job -------------------------------------------------------------------------------

    def do(self, request: Request, attempt: Attempt, stop: StopSignal) -> Outcome:
        """Hand the attempt to its target. Whatever goes wrong is an outcome.

        Raises
        ------
        Transient
            If its input cannot be read now. Nothing has been done then.
        """
        job_type = self._records.job_type_of(attempt)
        read = partial(self._input, request, attempt, stop)
        return do_job(self._target_for(job_type.target), job_type, attempt, read)

    def _input(self, request: Request, attempt: Attempt, stop: StopSignal) -> JobInput:
        own = self._records.payloads.unpack(attempt.params)
        return JobInput(
            attempt=attempt,
            params=self._records.payloads.unpack(request.params) if own is None else own,
            extras=self._records.payloads.unpack_object(request.extras),
            item=self._records.payloads.unpack(attempt.item),
            stop=stop,
        )
