"""Record the outcome of an attempt, and the retry, failure or cancellations that follow from it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from shiftwork_core.domain.payloads import Payload
from shiftwork_core.domain.requests.definitions import JobType, OnFailure
from shiftwork_core.domain.requests.leases import expired, has_timed_out, poll_until
from shiftwork_core.domain.requests.outcomes import (
    Completed,
    Failed,
    JobError,
    Outcome,
    Retryable,
    RetryIn,
    judge,
)
from shiftwork_core.domain.requests.records import Attempt, AttemptKey, RequestError
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.domain.requests.wake_ups import wake_up
from shiftwork_core.domain.texts import text_of
from shiftwork_core.errors import Transient
from shiftwork_core.ports.jobs import LimitStore, Slot
from shiftwork_core.ports.stores import Recorded
from shiftwork_core.ports.workers import WorkerWatch
from shiftwork_core.ports.world import MAX_DELAY, Queue, Runtime
from shiftwork_core.services.requests.cancel import Canceller
from shiftwork_core.services.requests.records import RequestRecords

logger = logging.getLogger("shiftwork.requests")

_LOOK_EVERY = timedelta(seconds=1)
_NO_LOOK = ("", datetime.min.replace(tzinfo=UTC))


class Result(StrEnum):
    """How an attempt was left."""

    COMPLETED = "completed"
    RETRY = "retry"
    FAILURE = "failure"
    #: The outcome came too late: the attempt has another holder, or an outcome.
    DISCARDED = "discarded"
    PUT_BACK = "put-back"


@dataclass(frozen=True, slots=True)
class Recording:
    """How an attempt was left, and how many jobs have arrived at its step's barrier with that.

    No Map's join waits for the `arrivals`: `StepBarrier.report` counts them. It waits for those
    that are `joins`, unless a Map runs none of them.
    """

    result: Result
    arrivals: int = 0
    joins: int = 0


class OutcomeRecorder:
    """Writes outcomes under the fence, then retries the job, or fails its request."""

    def __init__(
        self,
        *,
        records: RequestRecords,
        limits: LimitStore,
        watch: WorkerWatch,
        queue: Queue,
        canceller: Canceller,
        runtime: Runtime,
    ) -> None:
        self._records = records
        self._limits = limits
        self._watch = watch
        self._queue = queue
        self._canceller = canceller
        self._runtime = runtime
        #: The request that was looked at last, if it was in progress, and when to look again.
        self._next_look = _NO_LOOK

    def record(self, attempt: Attempt, outcome: Outcome) -> Recording:
        """Record the outcome of an attempt held under `attempt.fence`.

        The caller reports the recording to the barrier, which tallies it too.
        """
        return self._record(attempt, outcome, lapsed=False)

    def expire(self, attempt: Attempt) -> Recording:
        """Declare the attempt lost, unless its holder renews its lease first.

        An attempt that no worker claimed in time is expired as well, unless one claims it first.
        The caller reports the recording, unless it settles the step from the table itself.
        """
        job_type = self._records.job_type_of(attempt)
        recording = self._record(attempt, expired(job_type, attempt), lapsed=True)
        is_recorded = recording.result is not Result.DISCARDED
        if attempt.is_polled and attempt.worker_id is not None and is_recorded:
            now = self._runtime.clock()
            if attempt.is_waiting or has_timed_out(job_type, attempt):
                self._watch.changed(attempt.worker_id, (), (attempt.attempt_id,), now)
            else:
                self._watch.lapsed(attempt.worker_id, attempt.attempt_id, now)
        return recording

    def put_back(self, attempt: Attempt, output: Payload | None, wake_at: datetime) -> Result:
        """Put the attempt back, to be claimed from `wake_at` on; `output` is its output so far."""
        until = poll_until(self._records.job_type_of(attempt), wake_at, attempt.started_at)
        if not self._goes_on(attempt):
            error = JobError("RequestEnded", "its request ended while it was under way")
            return self._fail_alone(attempt, error, lapsed=False).result
        recorded = self._records.jobs.put_back(attempt, output, wake_at, until)
        return self._result(attempt, recorded, Result.PUT_BACK)

    def _record(self, attempt: Attempt, outcome: Outcome, *, lapsed: bool) -> Recording:
        verdict = judge(
            outcome, attempt.tries, self._records.job_type_of(attempt).retry, self._runtime.draw
        )
        match verdict:
            case Completed(output):
                return self._complete(attempt, output)
            case RetryIn(error, delay_s):
                return self._retry(attempt, error, delay_s, lapsed=lapsed)
            case Failed(error) if attempt.on_failure is OnFailure.FINISH:
                return self._fail_alone(attempt, error, lapsed=lapsed)
            case Failed(error):
                return self._fail(attempt, error, lapsed=lapsed)

    def _complete(self, attempt: Attempt, output: dict[str, object]) -> Recording:
        try:
            packed = self._records.payloads.pack(attempt.request_id, output)
        except Transient:
            raise
        except Exception as error:  # Unrecorded, it would become a lease that ran out.
            logger.exception("result not stored", extra={"attempt_id": attempt.attempt_id})
            message = f"its result cannot be stored: {text_of(error)}"
            unstored = Retryable(JobError(type(error).__name__, message))
            return self._record(attempt, unstored, lapsed=False)
        recorded = self._records.jobs.complete(attempt, packed, self._runtime.clock())
        return _arrival(attempt, self._result(attempt, recorded, Result.COMPLETED))

    def _retry(
        self, attempt: Attempt, error: JobError, delay_s: float, *, lapsed: bool
    ) -> Recording:
        now = self._runtime.clock()
        job_type = self._records.job_type_of(attempt)
        successor = next_attempt(
            attempt,
            job_type,
            now,
            tries=attempt.tries + 1,
            wake_at=now + timedelta(seconds=delay_s),
        )
        if not self._goes_on(attempt):
            # Nothing of an ended request is retried; the error is recorded as it is.
            return self._fail_alone(attempt, error, lapsed=lapsed)
        recorded = self._records.jobs.retry(attempt, error, successor, now, lapsed=lapsed)
        if recorded is Recorded.WON and not attempt.is_polled:
            self._wake_attempt(successor, delay_s, job_type.batch_size)
        return Recording(self._result(attempt, recorded, Result.RETRY))

    def _goes_on(self, attempt: Attempt) -> bool:
        """Whether the attempt's request is in progress, so that a further claim makes sense.

        It may end right after this. Whoever claims reads it again, after it has seen the attempt;
        and the request stays due until a sweep has cancelled what is left. So of the many jobs of a
        step that fail together, one looks in each process and `_LOOK_EVERY`.
        """
        now = self._runtime.clock()
        request_id, next_look_at = self._next_look
        if request_id == attempt.request_id and now < next_look_at:
            return True
        self._next_look = attempt.request_id, now + _LOOK_EVERY
        goes_on = False
        try:
            request = self._records.requests.get(attempt.request_id)
            goes_on = request is not None and request.status is RequestStatus.INPROGRESS
        finally:
            if not goes_on:  # Or it is not known.
                self._next_look = _NO_LOOK
        return goes_on

    def _wake_attempt(self, successor: Attempt, delay_s: float, batch_size: int) -> None:
        """Send the wake-up. If that fails, a sweep finds the attempt overdue in the table."""
        if delay_s > MAX_DELAY.total_seconds():
            return
        message = wake_up(successor, batch_size)
        try:
            self._queue.send(message, delay_s)
        except Transient:
            logger.warning("wake-up not sent", extra={"attempt_id": successor.attempt_id})

    def _fail(self, attempt: Attempt, error: JobError, *, lapsed: bool) -> Recording:
        """Record the failure, and fail the request with it, in one transaction."""
        now = self._runtime.clock()
        recorded = self._records.jobs.fail(
            attempt,
            error,
            now,
            request=RequestError(
                type=error.type,
                message=error.message,
                step=attempt.key.step,
                job=attempt.name,
                attempt_id=attempt.attempt_id,
            ),
            due_at=now + self._runtime.lease,
            lapsed=lapsed,
        )
        if recorded is Recorded.ENDED:
            return self._fail_alone(attempt, error, lapsed=lapsed)
        if recorded is Recorded.WON:
            request = self._records.requests.get(attempt.request_id)
            if request is not None and request.has_ended:  # A user may have retried it already.
                # It cancels what has not started. No claim succeeds by now, whoever reads the row.
                self._canceller.wake(request)
        return Recording(self._result(attempt, recorded, Result.FAILURE))

    def _fail_alone(self, attempt: Attempt, error: JobError, *, lapsed: bool) -> Recording:
        """Record the failure. The request has ended, or fails when its step has finished."""
        recorded = self._records.jobs.fail(
            attempt, error, self._runtime.clock(), request=None, lapsed=lapsed
        )
        result = self._result(attempt, recorded, Result.FAILURE)
        if attempt.on_failure is OnFailure.STOP:
            return Recording(result)
        return _arrival(attempt, result)

    def _result(self, attempt: Attempt, recorded: Recorded, result: Result) -> Result:
        if recorded is Recorded.WON:
            self.release(attempt)
            return result
        logger.warning(
            "outcome came too late and is discarded",
            extra={"attempt_id": attempt.attempt_id, "fence": attempt.fence, "outcome": result},
        )
        return Result.DISCARDED

    def release(self, attempt: Attempt) -> None:
        """Give back the slot that the attempt held. If that fails, the limiter finds it unused."""
        if attempt.slot is None or attempt.claim_id is None:
            return
        slot = Slot(attempt.type, attempt.slot, attempt.attempt_id, attempt.claim_id)
        try:
            self._limits.free(slot)
        except Transient:
            logger.warning("slot not freed", extra={"attempt_id": attempt.attempt_id})


def _arrival(attempt: Attempt, result: Result) -> Recording:
    """Return the recording of an attempt whose job arrives at its step's barrier with it."""
    if result is Result.DISCARDED:
        return Recording(result)
    return Recording(result, joins=1) if attempt.is_joined else Recording(result, arrivals=1)


def next_attempt(
    attempt: Attempt,
    job_type: JobType,
    now: datetime,
    *,
    tries: int,
    generation: int | None = None,
    wake_at: datetime | None = None,
) -> Attempt:
    """Return the row of the job's next attempt: the same values, one attempt later, created now.

    Its claim gets a higher fence than every earlier claim of the job.
    """
    key = AttemptKey(attempt.key.step, attempt.key.job, attempt.key.attempt + 1)
    return Attempt(
        request_id=attempt.request_id,
        key=key,
        name=attempt.name,
        type=attempt.type,
        type_version=attempt.type_version,
        created_at=now,
        tries=tries,
        generation=attempt.generation if generation is None else generation,
        on_failure=attempt.on_failure,
        is_wide=attempt.is_wide,
        is_polled=attempt.is_polled,
        fence=attempt.fence,
        item=attempt.item,
        params=attempt.params,
        wake_at=wake_at,
        priority=attempt.priority,
        domain=attempt.domain,
        shard=attempt.shard,
        poll_until=poll_until(job_type, wake_at or now) if attempt.is_polled else None,
    )
