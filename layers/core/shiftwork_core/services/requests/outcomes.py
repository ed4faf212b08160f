"""Record the outcome of an attempt, and the retry, failure or cancellations that follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from shiftwork_core.domain.payloads import Payload
from shiftwork_core.domain.requests.definitions import OnFailure
from shiftwork_core.domain.requests.leases import expired, has_timed_out, poll_until
from shiftwork_core.domain.requests.outcomes import (
    Completed,
    Failed,
    JobError,
    Outcome,
    RetryIn,
    judge,
)
from shiftwork_core.domain.requests.records import Attempt
from shiftwork_core.errors import Transient
from shiftwork_core.ports.jobs import LimitStore
from shiftwork_core.ports.workers import WorkerWatch
from shiftwork_core.ports.world import Queue, Runtime
from shiftwork_core.services.requests.cancel import Canceller
from shiftwork_core.services.requests.outcome_writer import (
    OutcomeWriter,
    Recording,
    Result,
    unstored,
)
from shiftwork_core.services.requests.records import RequestRecords

if TYPE_CHECKING:
    from shiftwork_core.services.requests.block_outcomes import BlockRecorder


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
        self._watch = watch
        self._runtime = runtime
        self._writer = OutcomeWriter(
            records=records, limits=limits, queue=queue, canceller=canceller, runtime=runtime
        )

    def record(self, attempt: Attempt, outcome: Outcome) -> Recording:
        """Record the outcome of an attempt held under `attempt.fence`.

        The caller reports the recording to the barrier, which tallies it too.
        """
        return self._record(attempt, outcome, lapsed=False)

    def record_block(self, attempt: Attempt, outcomes: Mapping[int, Outcome]) -> Recording:
        """Record the outcomes of a block's jobs, by place, held under `attempt.fence`.

        Those that have none were not begun. The next attempt at the block does these, and what
        wants a retry, unless the request ends.
        """
        return self._blocks.record(attempt, outcomes, lapsed=False)

    @cached_property
    def _blocks(self) -> BlockRecorder:
        # Few requests have blocks, and each module makes each cold start longer.
        from shiftwork_core.services.requests.block_outcomes import BlockRecorder

        return BlockRecorder(self._records, self._writer, self._runtime)

    def expire(self, attempt: Attempt) -> Recording:
        """Declare the attempt lost, unless its holder renews its lease first.

        An attempt that no worker claimed in time is expired as well, unless one claims it first.
        The caller reports the recording, unless it settles the step from the table itself.
        """
        job_type = self._records.job_type_of(attempt)
        outcome = expired(job_type, attempt)
        if attempt.block is not None:
            return self._blocks.expire(attempt, outcome)
        recording = self._record(attempt, outcome, lapsed=True)
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
        if not self._writer.goes_on(attempt):
            error = JobError("RequestEnded", "its request ended while it was under way")
            return self._writer.fail_alone(attempt, error, lapsed=False).result
        recorded = self._records.jobs.put_back(attempt, output, wake_at, until)
        return self._writer.judge_write(attempt, recorded, Result.PUT_BACK)

    def _record(self, attempt: Attempt, outcome: Outcome, *, lapsed: bool) -> Recording:
        verdict = judge(
            outcome,
            attempt.tries,
            self._records.job_type_of(attempt).retry,
            self._runtime.draw,
            is_retried=attempt.generation > 0,
        )
        match verdict:
            case Completed(output):
                return self._complete(attempt, output)
            case RetryIn(error, delay_s):
                return self._retry(attempt, error, delay_s, lapsed=lapsed)
            case Failed(error) if attempt.on_failure is not OnFailure.STOP:
                return self._writer.fail_alone(attempt, error, lapsed=lapsed)
            case Failed(error):
                return self._writer.fail(attempt, error, lapsed=lapsed)

    def _complete(self, attempt: Attempt, output: dict[str, object]) -> Recording:
        try:
            packed = self._records.payloads.pack(attempt.request_id, output)
        except Transient:
            raise
        except Exception as error:  # Unrecorded, it would become a lease that ran out.
            return self._record(attempt, unstored(attempt, error), lapsed=False)
        return self._writer.complete(attempt, packed)

    def _retry(
        self, attempt: Attempt, error: JobError, delay_s: float, *, lapsed: bool
    ) -> Recording:
        if not self._writer.goes_on(attempt):
            # Nothing of an ended request is retried; the error is recorded as it is.
            return self._writer.fail_alone(attempt, error, lapsed=lapsed)
        return self._writer.follow(attempt, error, delay_s, None, lapsed=lapsed)

    def release(self, attempt: Attempt) -> None:
        """Give back the slot that the attempt held. If that fails, the limiter finds it unused."""
        self._writer.release(attempt)
