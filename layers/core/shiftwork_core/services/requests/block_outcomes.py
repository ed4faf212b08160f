"""Record the outcome of an attempt at a block: which of its jobs are done, and which follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from shiftwork_core.domain.payloads import Payload
from shiftwork_core.domain.requests.block_jobs import block_of, job_of, jobs_ended
from shiftwork_core.domain.requests.blocks import (
    Judged,
    Results,
    begun_of_dead,
    judge_block,
    lanes_of,
)
from shiftwork_core.domain.requests.definitions import OnFailure
from shiftwork_core.domain.requests.outcomes import Outcome
from shiftwork_core.domain.requests.records import Attempt
from shiftwork_core.errors import Transient
from shiftwork_core.ports.world import Runtime
from shiftwork_core.services.requests.outcome_writer import (
    OutcomeWriter,
    Recording,
    Result,
    unstored,
)
from shiftwork_core.services.requests.records import RequestRecords


class BlockRecorder:
    """Records outcomes of blocks, as `OutcomeRecorder` does those of jobs."""

    def __init__(self, records: RequestRecords, writer: OutcomeWriter, runtime: Runtime) -> None:
        self._records = records
        self._writer = writer
        self._runtime = runtime

    def expire(self, attempt: Attempt, lost: Outcome) -> Recording:
        """Record what is known of jobs whose process has died; `lost` became of what it was at."""
        [row] = self._records.with_values([attempt])
        if (row.fence, row.lease_until) != (attempt.fence, attempt.lease_until):
            return Recording(Result.DISCARDED, jobs={})  # Its holder has renewed its lease.
        return self.record(row, self._known(row, lost), lapsed=True)

    def record(
        self, attempt: Attempt, outcomes: Mapping[int, Outcome], *, lapsed: bool
    ) -> Recording:
        """Record what became of the jobs, by place; those that have no outcome were not begun.

        `lapsed`: unless the holder renews its lease first.
        """
        policy, draw = self._records.job_type_of(attempt).retry, self._runtime.draw
        block = block_of(attempt)
        is_retried = attempt.generation > 0
        judge_of = partial(judge_block, block, outcomes, policy, draw, is_retried=is_retried)
        judged = judge_of(has_died=lapsed)
        ends_request = bool(judged.results.failed) and attempt.on_failure is OnFailure.STOP
        if ends_request or (judged.next is not None and not self._writer.goes_on(attempt)):
            judged = judge_of(is_last=True)
        try:
            packed = self._records.payloads.pack(attempt.request_id, judged.results.to_json())
        except Transient:
            raise
        except Exception as error:
            instead = dict.fromkeys(outcomes, unstored(attempt, error))
            if outcomes == instead:  # These are stored in the row itself.
                raise
            return self.record(attempt, instead, lapsed=lapsed)
        attempt = replace(attempt, block=judged.block, output=packed)
        recording = self._record_judged(attempt, judged, ends_request=ends_request, lapsed=lapsed)
        is_recorded = recording.result is not Result.DISCARDED
        return replace(recording, jobs=jobs_ended(judged.block) if is_recorded else {})

    def _record_judged(
        self, attempt: Attempt, judged: Judged, *, ends_request: bool, lapsed: bool
    ) -> Recording:
        error = judged.error
        if judged.next is not None:
            return self._writer.follow(attempt, error, judged.delay_s, judged.next, lapsed=lapsed)
        if ends_request:
            job = attempt if judged.cause is None else job_of(attempt, judged.cause)
            return self._writer.fail(attempt, error, lapsed=lapsed, job=job)
        is_failed = bool(judged.block.failed) and attempt.on_failure is not OnFailure.TOLERATE
        if is_failed or judged.block.left:
            return self._writer.fail_alone(attempt, error, lapsed=lapsed)
        return self._writer.complete(attempt, attempt.output or Payload(text="{}"), lapsed=lapsed)

    def _known(self, attempt: Attempt, lost: Outcome) -> dict[int, Outcome]:
        """Return what is known of the jobs of a block whose process has died."""
        lanes = lanes_of(self._records.job_type_of(attempt).batch_size)
        written = Results.from_json(self._records.payloads.unpack_object(attempt.output))
        begun = begun_of_dead(block_of(attempt), lanes)
        return dict.fromkeys(begun, lost) | written.outcomes()
