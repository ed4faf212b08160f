"""Write outcomes: that an attempt completed, that another follows, or that its job has failed."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from shiftwork_core.domain.payloads import Payload
from shiftwork_core.domain.requests.definitions import JobType, OnFailure
from shiftwork_core.domain.requests.leases import poll_until
from shiftwork_core.domain.requests.outcomes import JobError, Retryable
from shiftwork_core.domain.requests.records import Attempt, AttemptKey, RequestError
from shiftwork_core.domain.requests.states import AttemptStatus, RequestStatus
from shiftwork_core.domain.requests.wake_ups import wake_up
from shiftwork_core.domain.texts import text_of
from shiftwork_core.errors import Transient
from shiftwork_core.ports.jobs import LimitStore, Slot
from shiftwork_core.ports.stores import Recorded
from shiftwork_core.ports.world import MAX_DELAY, Queue, Runtime
from shiftwork_core.services.requests.cancel import Canceller
from shiftwork_core.services.requests.records import RequestRecords

if TYPE_CHECKING:
    from shiftwork_core.domain.requests.blocks import Block

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
    #: How many jobs of a block have ended, and how; None: it is a job, and `result` says it.
    jobs: Mapping[str, int] | None = None

    @property
    def counts(self) -> Mapping[str, int]:
        """How many jobs were left, and how."""
        return {self.result.value: 1} if self.jobs is None else self.jobs


class OutcomeWriter:
    """Writes outcomes under the fence, and what follows from each."""

    def __init__(
        self,
        *,
        records: RequestRecords,
        limits: LimitStore,
        queue: Queue,
        canceller: Canceller,
        runtime: Runtime,
    ) -> None:
        self._records = records
        self._limits = limits
        self._queue = queue
        self._canceller = canceller
        self._runtime = runtime
        #: The request that was looked at last, if it was in progress, and when to look again.
        self._next_look = _NO_LOOK

    def complete(self, attempt: Attempt, output: Payload, *, lapsed: bool = False) -> Recording:
        """Record that the attempt has completed."""
        now = self._runtime.clock()
        recorded = self._records.jobs.complete(attempt, output, now, lapsed=lapsed)
        return _arrival(attempt, self.judge_write(attempt, recorded, Result.COMPLETED))

    def follow(
        self,
        attempt: Attempt,
        error: JobError,
        delay_s: float,
        block: Block | None,
        *,
        lapsed: bool,
    ) -> Recording:
        """Record the error, and have another attempt follow; `block` is what it does of a block."""
        now = self._runtime.clock()
        job_type = self._records.job_type_of(attempt)
        successor = replace(
            next_attempt(
                attempt,
                job_type,
                now,
                tries=attempt.tries + 1,
                wake_at=now + timedelta(seconds=delay_s),
            ),
            block=block,
        )
        recorded = self._records.jobs.retry(attempt, error, successor, now, lapsed=lapsed)
        if recorded is Recorded.WON and not attempt.is_polled:
            self._wake_attempt(successor, delay_s, job_type.batch_size)
        return Recording(self.judge_write(attempt, recorded, Result.RETRY))

    # -- whether and how it goes on ------------------------------------------------------------

    def goes_on(self, attempt: Attempt) -> bool:
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

    def fail(
        self, attempt: Attempt, error: JobError, *, lapsed: bool, job: Attempt | None = None
    ) -> Recording:
        """Record the failure, and fail the request with it, in one transaction.

        `job` is what the request's error names; None: the attempt itself.
        """
        now = self._runtime.clock()
        culprit = attempt if job is None else job
        recorded = self._records.jobs.fail(
            attempt,
            error,
            now,
            request=RequestError(
                type=error.type,
                message=error.message,
                step=attempt.key.step,
                job=culprit.name,
                attempt_id=culprit.attempt_id,
            ),
            due_at=now + self._runtime.lease,
            lapsed=lapsed,
        )
        if recorded is Recorded.ENDED:
            return self.fail_alone(attempt, error, lapsed=lapsed)
        if recorded is Recorded.WON:
            request = self._records.requests.get(attempt.request_id)
            if request is not None and request.has_ended:  # A user may have retried it already.
                # It cancels what has not started. No claim succeeds by now, whoever reads the row.
                self._canceller.wake(request)
        return Recording(self.judge_write(attempt, recorded, Result.FAILURE))

    def fail_alone(self, attempt: Attempt, error: JobError, *, lapsed: bool) -> Recording:
        """Record the failure. The request has ended, or fails when its step has finished."""
        recorded = self._records.jobs.fail(
            attempt, error, self._runtime.clock(), request=None, lapsed=lapsed
        )
        result = self.judge_write(attempt, recorded, Result.FAILURE)
        if attempt.on_failure is OnFailure.STOP:
            return Recording(result)
        return _arrival(attempt, result)

    def judge_write(self, attempt: Attempt, recorded: Recorded, result: Result) -> Result:
        """Return how the attempt was left by a write of that result; it may have come too late."""
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

    Of a block it does what a user's retry has done. Its claim gets a higher fence than every
    earlier claim of the job.
    """
    key = AttemptKey(attempt.key.step, attempt.key.job, attempt.key.attempt + 1)
    block = attempt.block
    if block is not None:
        block = block.again(is_cancelled=attempt.status is AttemptStatus.CANCELLED)
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
        block=block,
    )


def unstored(attempt: Attempt, error: Exception) -> Retryable:
    """Return the outcome of a job whose result cannot be stored; log why."""
    logger.error("result not stored", extra={"attempt_id": attempt.attempt_id}, exc_info=error)
    message = f"its result cannot be stored: {text_of(error)}"
    return Retryable(JobError(type(error).__name__, message))
