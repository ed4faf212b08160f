"""Record what workers report about their attempts: done, failed, still running, or put back."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from shiftwork_core.domain.payloads import JsonObject, merge_extras
from shiftwork_core.domain.requests.outcomes import (
    MAX_CUT_BYTES,
    Failed,
    JobError,
    Outcome,
    Retryable,
    completed,
)
from shiftwork_core.domain.requests.records import Attempt, LateUpdate, LogLine
from shiftwork_core.domain.requests.states import AttemptStatus
from shiftwork_core.domain.texts import storable
from shiftwork_core.errors import Conflict
from shiftwork_core.ports.world import Runtime
from shiftwork_core.services.polling.claim import Claimant, QueueClaimer
from shiftwork_core.services.polling.leases import LeaseKeeper
from shiftwork_core.services.polling.logs import TaskLogs
from shiftwork_core.services.polling.lookup import TaskLookup
from shiftwork_core.services.requests.outcome_writer import Recording, Result
from shiftwork_core.services.requests.outcomes import OutcomeRecorder
from shiftwork_core.services.requests.records import RequestRecords

logger = logging.getLogger("shiftwork.tasks")

#: The worker of an attempt that a person reports on.
BY_HAND = "by hand"

_NOTHING_RECORDED = Recording(Result.DISCARDED)

#: What is kept of the reason of a report that came too late.
_MAX_REASON = 200


class ReportStatus(StrEnum):
    """What a worker says of an attempt; the names are Conductor's."""

    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    TERMINAL = "FAILED_WITH_TERMINAL_ERROR"
    IN_PROGRESS = "IN_PROGRESS"
    CANCELED = "CANCELED"


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker, or without `worker_id` a person, says of an attempt.

    IN_PROGRESS puts it back for `callback_after_s`, with `extend_lease` it only renews the lease.
    `fence` is that of the claim, if the worker knows it.
    """

    attempt_id: str
    status: ReportStatus
    output: JsonObject
    reason: str = ""
    worker_id: str | None = None
    callback_after_s: float = 0.0
    extend_lease: bool = False
    logs: Sequence[LogLine] = ()
    fence: int | None = None


class Reported(StrEnum):
    """How a report was dealt with."""

    RECORDED = "recorded"
    #: The attempt had an outcome, or another holder: the report is kept with it, and no more.
    LATE = "late"
    RENEWED = "renewed"
    PUT_BACK = "put-back"
    #: Its request has ended: the worker should stop.
    STOP = "stop"
    #: There is no such attempt. Only `exchange` answers so; `report` raises NotFound.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, whether the worker has let go of the attempt, and what `StepBarrier` must know.

    The caller that gets it reports the recording to the barrier.
    """

    reported: Reported
    is_gone: bool = True
    recording: Recording = _NOTHING_RECORDED


class ReportRecorder:
    """Records reports under the fence, and answers a repeated one as it did the first time."""

    def __init__(
        self,
        records: RequestRecords,
        recorder: OutcomeRecorder,
        claimer: QueueClaimer,
        runtime: Runtime,
    ) -> None:
        lookup = TaskLookup(records)
        self._records = records
        self._recorder = recorder
        self._claimer = claimer
        self._runtime = runtime
        self._lookup = lookup
        self._leases = LeaseKeeper(records, lookup, runtime)
        self._logs = TaskLogs(records.jobs, lookup, runtime.clock)

    def record(self, attempt: Attempt, report: Report) -> Answer:
        """Record a report on the attempt, which has just been read.

        Raises
        ------
        Conflict
            If it is not one that workers do.
        """
        if not attempt.is_polled:
            raise Conflict(
                f"{attempt.attempt_id} is not done by workers; its type is {attempt.type!r}",
                f"look at it: GET /v1/requests/{attempt.request_id}/jobs",
            )
        if report.logs:
            self._logs.add(attempt.attempt_id, report.logs)
        if attempt.is_waiting and report.worker_id is None:
            attempt = self._claim_by_hand(attempt)
        if not _is_holder(attempt, report):
            return self._repeated(attempt, report) or self._late(attempt, report)
        if report.status is ReportStatus.IN_PROGRESS and report.extend_lease:
            goes_on = self._leases.renew(attempt)
            return Answer(Reported.RENEWED if goes_on else Reported.STOP, is_gone=False)
        if report.status is ReportStatus.IN_PROGRESS:
            recording = Recording(self._put_back(attempt, report))
        else:
            recording = self._recorder.record(attempt, self._outcome(attempt, report))
        if recording.result is Result.DISCARDED:
            attempt = self._lookup.attempt(attempt.attempt_id)
            return self._repeated(attempt, report) or self._late(attempt, report)
        if report.status is not ReportStatus.IN_PROGRESS:
            return Answer(Reported.RECORDED, recording=recording)
        is_put_back = recording.result is Result.PUT_BACK
        return Answer(Reported.PUT_BACK if is_put_back else Reported.STOP)

    def _claim_by_hand(self, attempt: Attempt) -> Attempt:
        request = self._lookup.request(attempt.request_id)
        self._claimer.claim_one(request, attempt, Claimant(BY_HAND, self._runtime.new_id()))
        return self._lookup.attempt(attempt.attempt_id)

    def _put_back(self, attempt: Attempt, report: Report) -> Result:
        output = attempt.output
        if report.output:
            merged = self._merged(attempt, report)
            output = self._records.payloads.pack(attempt.request_id, merged)
        wake_at = self._runtime.clock() + timedelta(seconds=max(0.0, report.callback_after_s))
        self._leases.alert(attempt)
        return self._recorder.put_back(attempt, output, wake_at)

    def _outcome(self, attempt: Attempt, report: Report) -> Outcome:
        match report.status:
            case ReportStatus.COMPLETED:
                return completed(self._merged(attempt, report))
            case ReportStatus.FAILED:
                return Retryable(_error_of(report))
            case _:
                return Failed(_error_of(report))

    def _merged(self, attempt: Attempt, report: Report) -> JsonObject:
        """Return the report's output merged over what was reported before."""
        before = self._records.payloads.unpack_object(attempt.output)
        return merge_extras(before, [report.output])

    # -- reports that change nothing -----------------------------------------------------------

    def _repeated(self, attempt: Attempt, report: Report) -> Answer | None:
        """Answer a report that was recorded before as it was answered then."""
        if report.fence not in (None, attempt.fence):
            return None
        if report.worker_id not in (None, attempt.worker_id):
            return None
        match report.status, attempt.status:
            case ReportStatus.COMPLETED, AttemptStatus.COMPLETED:
                output = self._records.payloads.unpack_object(attempt.output)
                if {**output, **report.output} == output:
                    self._recorder.release(attempt)
                    return _recorded_before(attempt)
            case ReportStatus.COMPLETED, AttemptStatus.FAILURE:
                # Its output was refused.
                outcome = completed(self._merged(attempt, report))
                if isinstance(outcome, Failed) and outcome.error == attempt.error:
                    return _recorded_before(attempt)
            case ReportStatus.IN_PROGRESS, AttemptStatus.NEW:
                if attempt.poll_count and not report.extend_lease:
                    return Answer(Reported.PUT_BACK)
            case ReportStatus.FAILED, AttemptStatus.RETRY | AttemptStatus.FAILURE:
                if _is_error_of(report, attempt.error):
                    return _recorded_before(attempt)
            case ReportStatus.TERMINAL | ReportStatus.CANCELED, AttemptStatus.FAILURE:
                if _is_error_of(report, attempt.error):
                    return _recorded_before(attempt)
        return None

    def _late(self, attempt: Attempt, report: Report) -> Answer:
        """Keep a report that came too late with the attempt, once."""
        if report.status is ReportStatus.IN_PROGRESS and report.extend_lease:
            return Answer(Reported.STOP)  # It only asks to go on; there is nothing to keep.
        late = LateUpdate(
            self._runtime.clock(),
            report.status.value,
            report.worker_id,
            report.reason[:_MAX_REASON],
        )
        same = (late.status, late.worker_id, late.reason)
        if same not in [(u.status, u.worker_id, u.reason) for u in attempt.late_updates]:
            self._records.jobs.add_late_update(attempt, late)
            logger.warning(
                "report came too late",
                extra={"attempt_id": attempt.attempt_id, "status": late.status},
            )
        return Answer(Reported.LATE)


def _recorded_before(attempt: Attempt) -> Answer:
    """Answer as then; the process that recorded it may have died before it reported the arrival."""
    again = Recording(Result.DISCARDED, arrivals=int(attempt.has_arrived))
    return Answer(Reported.RECORDED, recording=again)


def _is_holder(attempt: Attempt, report: Report) -> bool:
    """Whether the report is that of the attempt's holder, or of a person."""
    if attempt.status is not AttemptStatus.INPROGRESS:
        return False
    # A worker that polled without a name may give one later.
    if attempt.worker_id and report.worker_id not in (None, attempt.worker_id):
        return False
    return report.fence in (None, attempt.fence)


def _error_of(report: Report) -> JobError:
    kind = "Cancelled" if report.status is ReportStatus.CANCELED else "TaskFailed"
    reason = report.reason or f"the worker reported {report.status.value}"
    return JobError(kind, storable(reason, MAX_CUT_BYTES))


def _is_error_of(report: Report, error: JobError | None) -> bool:
    """Whether the error is the one recorded of the report, perhaps as the last attempt's."""
    ours = _error_of(report)
    return error is not None and error.type == ours.type and error.message.startswith(ours.message)
