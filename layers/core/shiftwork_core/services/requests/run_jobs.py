"""Run a batch of jobs side by side: claim each, do it, and record its outcome."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from itertools import count
from threading import Event
from typing import TypeVar

from shiftwork_core.domain.backoff import doubled
from shiftwork_core.domain.requests.definitions import OnFailure, Target
from shiftwork_core.domain.requests.outcomes import Failed, JobError, Outcome, Retryable
from shiftwork_core.domain.requests.records import Attempt, AttemptKey, Request
from shiftwork_core.domain.requests.states import ATTEMPT_OPEN, RequestStatus
from shiftwork_core.domain.texts import text_of
from shiftwork_core.errors import Transient
from shiftwork_core.ports.stores import Write
from shiftwork_core.ports.world import JobInput, JobTarget, Runtime, SideBySide, StopSignal
from shiftwork_core.services.requests.barrier import StepBarrier
from shiftwork_core.services.requests.held import Batch, Held
from shiftwork_core.services.requests.outcomes import OutcomeRecorder, Result
from shiftwork_core.services.requests.records import RequestRecords

logger = logging.getLogger("shiftwork.batches")

#: So much of an invocation's time is kept for recording outcomes.
MARGIN = timedelta(seconds=10)
#: Of that, what an outcome may take that is written again and again.
_RECORDING = MARGIN / 2
#: How often a batch that holds nothing checks for claims of its threads.
_CLAIMING = timedelta(seconds=1)
#: The waits between two attempts at a call that a store does not answer.
_FIRST_WAIT_S = 0.2
_LONGEST_WAIT_S = 5.0

Answer = TypeVar("Answer")


class Left(StrEnum):
    """Why this batch did not do a job."""

    #: Another process holds it, or it waits for a later time.
    HELD = "held"
    #: It has an outcome.
    SETTLED = "settled"
    #: There was no time for it, or its request has ended; it is as it was.
    UNTOUCHED = "untouched"


@dataclass(frozen=True, slots=True)
class BatchReport:
    """How a batch ended. `is_waiting`: some of its jobs are still out, elsewhere or later."""

    is_waiting: bool = False
    counts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BatchHost:
    """The process in which batches run: its targets, its threads, and a name to claim under.

    `sleep` lets a thread of it wait so many seconds.
    """

    target_for: Callable[[Target], JobTarget | None]
    side_by_side: SideBySide
    worker_id: str
    sleep: Callable[[float], None]


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
        self._worker_id = host.worker_id
        self._sleep = host.sleep
        self._runtime = runtime

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
        wanted = [AttemptKey.parse(key) for key in keys]
        lefts, error = self._run_side_by_side(batch, wanted)
        self._end(batch, wanted)
        if error is not None:
            raise error
        return BatchReport(
            is_waiting=Left.HELD in lefts or Result.RETRY in lefts,
            counts=dict(Counter(left.value for left in lefts)),
        )

    def _with_input(self, request: Request) -> Request:
        """Return the request with its params and extras fetched, once for all jobs of the batch."""
        params = self._records.payloads.fetch(request.params)
        return replace(request, params=params, extras=self._records.payloads.fetch(request.extras))

    def _end(self, batch: Batch, keys: list[AttemptKey]) -> None:
        """Report what has arrived at the step's barrier, all at once, and tally it."""
        arrivals = sum(recording.arrivals for recording in batch.recorded)
        joins = sum(recording.joins for recording in batch.recorded) if batch.is_called else 0
        is_joined = not batch.is_called and any(key.attempt == 1 for key in keys)
        self._insist(
            lambda: self._barrier.end_batch(
                batch.request.request_id,
                keys[0].step,
                arrivals,
                joins=joins,
                is_joined=is_joined,
            ),
            lambda moment: moment < batch.ends_at + _RECORDING,
        )
        if batch.is_wide:
            left = [recording.result for recording in batch.recorded]
            now = self._runtime.clock()
            self._records.add_tally(batch.request.request_id, keys[0], left, now)

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
            self._renew(batch)
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
        attempt = self.claim(batch.request, key)
        if isinstance(attempt, Left):
            return attempt
        timeout = timedelta(seconds=self._records.job_type_of(attempt).timeout_s)
        batch.is_wide = attempt.is_wide
        held = Held(attempt, min(now + timeout, batch.ends_at), Event())
        batch.held[key] = held

        def may_wait_until(moment: datetime) -> bool:
            # An outcome in hand is worth the wait: without it the job is done again, and its
            # attempt counts as lost.
            return not held.is_lost and moment < batch.ends_at + _RECORDING

        outcome = self._insist(lambda: self.do(batch.request, attempt, held.stop), may_wait_until)
        held.is_done = True
        recording = self._insist(lambda: self._recorder.record(attempt, outcome), may_wait_until)
        batch.recorded.append(recording)
        batch.held.pop(key, None)
        if (result := recording.result) is Result.FAILURE and attempt.on_failure is OnFailure.STOP:
            batch.has_ended.set()
        return result

    def _insist(
        self, call: Callable[[], Answer], may_wait_until: Callable[[datetime], bool]
    ) -> Answer:
        """Make a call until a store answers it; between two attempts wait ever longer.

        Raises
        ------
        Transient
            If it may not wait until the next attempt.
        """
        for attempt in count(1):
            try:
                return call()
            except Transient:
                wait_s = min(doubled(_FIRST_WAIT_S, attempt), _LONGEST_WAIT_S)
                wait_s *= 0.5 + self._runtime.draw() / 2
                if not may_wait_until(self._runtime.clock() + timedelta(seconds=wait_s)):
                    raise
                self._sleep(wait_s)
        raise AssertionError("it counts without end")

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

    def _renew(self, batch: Batch) -> None:
        """Every third of a lease, renew what is held, and tell the sweep that the batch lives.

        A batch that has lost all it held does not: others do its jobs. When a
        store does not answer, the rest is renewed soon: two thirds of the lease are left for that.
        """
        now = self._runtime.clock()
        if now < batch.renew_at:
            return
        try:
            self._renew_all(batch, now + self._runtime.lease)
        except Transient:
            logger.warning("leases are renewed late", extra={"held": len(batch.held)})
            batch.renew_at = now + self._runtime.lease / 12
        else:
            batch.renew_at = now + self._runtime.lease / 3

    def _renew_all(self, batch: Batch, until: datetime) -> None:
        helds = list(batch.held.values())
        for held in helds:
            if not held.is_lost and not self._records.jobs.renew(held.attempt, until):
                held.is_lost = True
                held.stop.set()
        if all(held.is_lost for held in helds):
            return
        request_id = batch.request.request_id
        self._records.requests.note_alive(request_id, until)
        request = self._records.requests.get(request_id)
        if request is None or request.status is not RequestStatus.INPROGRESS:
            batch.has_ended.set()
            for held in helds:
                held.stop.set()

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
            held.deadline = self._runtime.clock() + timedelta(seconds=_FIRST_WAIT_S)
            if held.deadline >= batch.ends_at + _RECORDING:
                raise
            return None
        batch.recorded.append(recording)
        # Only now: what it returns when it is told to stop would be recorded as its result.
        held.stop.set()
        return recording.result

    # -- one job -------------------------------------------------------------------------------

    def claim(self, request: Request, key: AttemptKey) -> Attempt | Left:
        """Claim the attempt, or say why not.

        A claim whose answer is lost is made again under the same id, which is harmless. It may have
        been written long before it is answered, so its lease is renewed if half of it is over; once
        all of it may be over, somebody else may have the job.
        """
        claim_id, begun_at = self._runtime.new_id(), self._runtime.clock()
        lease = self._runtime.lease

        def claim_it() -> Write[Attempt | None]:
            now = self._runtime.clock()
            write = self._records.jobs.claim(
                request.request_id,
                key,
                claim_id=claim_id,
                worker_id=self._worker_id,
                now=now,
                lease_until=now + lease,
            )
            if not write.won or write.row is None or now < begun_at + lease / 2:
                return write
            return Write(self._records.jobs.renew(write.row, now + lease), write.row)

        claim = self._insist(claim_it, lambda moment: moment < begun_at + lease)
        if claim.row is None:
            return Left.SETTLED
        if claim.won:
            return claim.row
        return Left.HELD if claim.row.status in ATTEMPT_OPEN else Left.SETTLED

    def do(self, request: Request, attempt: Attempt, stop: StopSignal) -> Outcome:
        """Hand the attempt to its target. Whatever goes wrong is an outcome.

        Raises
        ------
        Transient
            If its input cannot be read now. Nothing has been done then.
        """
        job_type = self._records.job_type_of(attempt)
        target = self._target_for(job_type.target)
        if target is None:
            message = f"RunJobs does no jobs of target {job_type.target.value!r}"
            return Failed(JobError("UnknownTarget", message))
        try:
            job = self._input(request, attempt, stop)
        except Transient:
            raise  # It can be read later.
        except Exception as error:  # Such as an object of the blob store that is gone.
            return _mistake("the job's input cannot be read", attempt, error)
        try:
            return target.run(job_type, job)
        except Exception as error:
            return _mistake("the target failed", attempt, error)

    def _input(self, request: Request, attempt: Attempt, stop: StopSignal) -> JobInput:
        own = self._records.payloads.unpack(attempt.params)
        return JobInput(
            attempt=attempt,
            params=self._records.payloads.unpack(request.params) if own is None else own,
            extras=self._records.payloads.unpack_object(request.extras),
            item=self._records.payloads.unpack(attempt.item),
            stop=stop,
        )


def _mistake(what: str, attempt: Attempt, error: Exception) -> Outcome:
    """Log what is no fault of the job's; return its outcome, which need not wait for a lease."""
    logger.exception(what, extra={"attempt_id": attempt.attempt_id})
    return Retryable(JobError(type(error).__name__, text_of(error)))
