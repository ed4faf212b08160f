"""Recording what a try at a job came to, and everything that follows from it."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from enum import StrEnum

from shiftwork_core.domain.backoff import Draw
from shiftwork_core.domain.outcomes import (
    Completed,
    Failed,
    JobError,
    Outcome,
    Retryable,
    RetryIn,
    judge,
)
from shiftwork_core.domain.records import Attempt, AttemptKey, RequestError
from shiftwork_core.errors import Transient
from shiftwork_core.ports import MAX_DELAY, Clock, JobStore, Machine, Queue, Recorded, RequestStore
from shiftwork_core.services.cancelling import Canceller
from shiftwork_core.services.definitions import Definitions
from shiftwork_core.services.payloads import Payloads

logger = logging.getLogger("shiftwork.recording")


class Result(StrEnum):
    """How an attempt was left."""

    COMPLETED = "completed"
    RETRY = "retry"
    FAILURE = "failure"
    #: The outcome came too late: the attempt belongs to somebody else by now.
    DISCARDED = "discarded"


class Recorder:
    """Writes outcomes under the fence; wakes, retries, fails and cancels what follows."""

    def __init__(
        self,
        *,
        store: RequestStore,
        jobs: JobStore,
        definitions: Definitions,
        payloads: Payloads,
        machine: Machine,
        queue: Queue,
        canceller: Canceller,
        clock: Clock,
        draw: Draw,
        lease: timedelta,
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._definitions = definitions
        self._payloads = payloads
        self._machine = machine
        self._queue = queue
        self._canceller = canceller
        self._clock = clock
        self._draw = draw
        self._lease = lease

    def record(self, attempt: Attempt, outcome: Outcome) -> Result:
        """Record the outcome of an attempt held under `attempt.fence`."""
        return self._record(attempt, outcome, lapsed=False)

    def expire(self, attempt: Attempt) -> Result:
        """Record that the attempt's holder is taken for dead, unless it renews its lease first."""
        message = "its lease ran out: the process that held it died, or lost touch for too long"
        return self._record(attempt, Retryable(JobError("LeaseExpired", message)), lapsed=True)

    def _record(self, attempt: Attempt, outcome: Outcome, *, lapsed: bool) -> Result:
        job_type = self._definitions.job_type(attempt.type, attempt.type_version)
        verdict = judge(outcome, attempt.tries, job_type.retry, self._draw)
        match verdict:
            case Completed(output):
                return self._complete(attempt, output)
            case RetryIn(error, delay_s):
                return self._retry(attempt, error, delay_s, lapsed=lapsed)
            case Failed(error):
                return self._fail(attempt, error, lapsed=lapsed)

    def _complete(self, attempt: Attempt, output: dict[str, object]) -> Result:
        packed = self._payloads.pack(attempt.request_id, output)
        recorded = self._jobs.complete(attempt, packed, self._clock())
        if not attempt.is_joined:
            # Also when this came late: whoever recorded it may have died before the wake-up.
            self._wake_if_last(attempt)
        return self._result(attempt, recorded, Result.COMPLETED)

    def _wake_if_last(self, attempt: Attempt) -> None:
        step = self._store.get_step(attempt.request_id, attempt.key.step)
        if step is not None and step.token is not None and step.is_awaited_in_vain:
            self._machine.wake(step.token)

    def _retry(self, attempt: Attempt, error: JobError, delay_s: float, *, lapsed: bool) -> Result:
        now = self._clock()
        successor = next_attempt(
            attempt, now, tries=attempt.tries + 1, wake_at=now + timedelta(seconds=delay_s)
        )
        recorded = self._jobs.retry(attempt, error, successor, now, lapsed=lapsed)
        if recorded is Recorded.ENDED:
            # Nothing of an ended request is tried again; the error stands as it is.
            return self._fail_alone(attempt, error, lapsed=lapsed)
        if recorded is Recorded.WON and not attempt.is_polled:
            self._send_wake(successor, delay_s)
        return self._result(attempt, recorded, Result.RETRY)

    def _send_wake(self, successor: Attempt, delay_s: float) -> None:
        """Send the wake-up. If that fails, the table has it: a sweep finds it overdue."""
        if delay_s > MAX_DELAY.total_seconds():
            return
        message = {"request_id": successor.request_id, "jobs": [str(successor.key)]}
        try:
            self._queue.send(message, delay_s)
        except Transient:
            logger.warning("wake-up not sent", extra={"attempt_id": successor.attempt_id})

    def _fail(self, attempt: Attempt, error: JobError, *, lapsed: bool) -> Result:
        now = self._clock()
        recorded = self._jobs.fail(
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
            due_at=now + self._lease,
            lapsed=lapsed,
        )
        if recorded is Recorded.ENDED:
            return self._fail_alone(attempt, error, lapsed=lapsed)
        if recorded is Recorded.WON:
            request = self._store.get(attempt.request_id)
            if request is not None and request.has_ended:  # A user may have retried it already.
                self._canceller.cancel_new(request)
        return self._result(attempt, recorded, Result.FAILURE)

    def _fail_alone(self, attempt: Attempt, error: JobError, *, lapsed: bool) -> Result:
        recorded = self._jobs.fail(attempt, error, self._clock(), request=None, lapsed=lapsed)
        return self._result(attempt, recorded, Result.FAILURE)

    def _result(self, attempt: Attempt, recorded: Recorded, result: Result) -> Result:
        if recorded is Recorded.WON:
            return result
        logger.warning(
            "outcome came too late and is discarded",
            extra={"attempt_id": attempt.attempt_id, "fence": attempt.fence, "outcome": result},
        )
        return Result.DISCARDED


def next_attempt(
    attempt: Attempt,
    now: datetime,
    *,
    tries: int,
    generation: int | None = None,
    wake_at: datetime | None = None,
) -> Attempt:
    """Return the row of the job's next attempt: the same values, attempt and creation time anew.

    Its claim gets a higher fence than every claim of the job before it.
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
        is_polled=attempt.is_polled,
        fence=attempt.fence,
        item=attempt.item,
        params=attempt.params,
        wake_at=wake_at,
    )
