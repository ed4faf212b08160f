"""Polled jobs, as their workers see them: poll, report, put back, exchange."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from math import ceil

from shiftwork_core.domain.payloads import Json, JsonObject, merge_extras
from shiftwork_core.domain.requests.definitions import JobType, Kind, Target
from shiftwork_core.domain.requests.leases import is_alert_due, is_renewal_due, lease_until
from shiftwork_core.domain.requests.outcomes import Failed, JobError, Outcome, Retryable, completed
from shiftwork_core.domain.requests.queue_order import queue_name
from shiftwork_core.domain.requests.records import (
    Attempt,
    AttemptKey,
    LateUpdate,
    LogLine,
    Request,
    parse_attempt_id,
)
from shiftwork_core.domain.requests.states import AttemptStatus
from shiftwork_core.errors import Conflict, NotFound, Transient
from shiftwork_core.ports.jobs import JobStore
from shiftwork_core.ports.stores import RequestStore
from shiftwork_core.ports.workers import WorkerWatch
from shiftwork_core.ports.world import Clock, NewId
from shiftwork_core.services.polling.claim import QueueClaimer
from shiftwork_core.services.requests.barrier import StepBarrier
from shiftwork_core.services.requests.definitions import Definitions
from shiftwork_core.services.requests.outcomes import OutcomeRecorder, Result
from shiftwork_core.services.requests.payloads import Payloads

logger = logging.getLogger("shiftwork.tasks")

#: Who holds what a person reports on.
BY_HAND = "by hand"

#: What is kept of the reason of a report that came too late.
_MAX_REASON = 200
#: A line of a log is cut into pieces so long; of one call so many pieces are kept.
_MAX_LINE = 1000
_MAX_LINES = 1000


@dataclass(frozen=True, slots=True)
class Poller:
    """Who polls, and for the jobs of which domain (None: those of none)."""

    worker_id: str
    domain: str | None = None


@dataclass(frozen=True, slots=True)
class HeldTask:
    """An attempt with all that a view of it needs; its input data is {params, extras, item}."""

    request: Request
    attempt: Attempt
    job_type: JobType
    params: Json
    extras: JsonObject
    item: Json
    #: What its workers have reported so far.
    output: JsonObject


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
    """What became of a report."""

    RECORDED = "recorded"
    #: The attempt was settled, or held by another: the report is kept with it, and no more.
    LATE = "late"
    RENEWED = "renewed"
    PUT_BACK = "put-back"
    #: Its request has ended: the worker should stop.
    STOP = "stop"
    #: There is no such attempt. Only `exchange` answers so; `report` raises NotFound.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Want:
    """How many jobs of a type a worker has room for."""

    type: str
    count: int
    domain: str | None = None


@dataclass(frozen=True, slots=True)
class Exchanged:
    """The answer to an exchange: outcomes in the order of the reports."""

    outcomes: list[Reported]
    tasks: list[HeldTask]
    #: Attempts that the worker holds no more, or whose request has ended.
    stop: list[str]
    is_drained: bool = False


class Tasks:
    """The service behind /api/tasks and /v1/tasks."""

    def __init__(
        self,
        *,
        store: RequestStore,
        jobs: JobStore,
        definitions: Definitions,
        payloads: Payloads,
        recorder: OutcomeRecorder,
        claimer: QueueClaimer,
        barrier: StepBarrier,
        watch: WorkerWatch,
        clock: Clock,
        new_id: NewId,
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._definitions = definitions
        self._payloads = payloads
        self._recorder = recorder
        self._claimer = claimer
        self._barrier = barrier
        self._watch = watch
        self._clock = clock
        self._new_id = new_id

    # -- giving --------------------------------------------------------------------------------

    def poll(self, type: str, poller: Poller, count: int) -> list[HeldTask]:
        """Claim up to `count` jobs; none if the worker is drained, at a limit, or nothing waits."""
        want = Want(type, count, poller.domain)
        if not self._may_have_work(poller.worker_id, [want]):
            return []
        tasks = self._take(want, poller.worker_id, self._new_id())
        self._changed(poller.worker_id, [task.attempt.attempt_id for task in tasks], [])
        return tasks

    def exchange(
        self,
        worker_id: str,
        reports: Sequence[Report],
        wants: Sequence[Want],
        running: Sequence[str] | None,
        *,
        exchange_id: str,
        error: str | None = None,
    ) -> Exchanged:
        """Take results and give jobs. The same exchange sent again has the same answer.

        `running` is all that the worker says it holds: their leases are renewed when a third is
        over. None: it does not say. `error` is what it says is wrong with it, see `WorkerWatch`.
        """
        outcomes, gone = self._report_all(worker_id, reports)
        reported = {report.attempt_id for report in reports}
        held = [attempt_id for attempt_id in running or () if attempt_id not in reported]
        stop = self._renew_all(worker_id, held)
        may_have_work = self._may_have_work(worker_id, wants)
        tasks: list[HeldTask] = []
        if wants:
            tasks = self._given_before(worker_id, exchange_id, {*reported, *held})
        for want in wants if may_have_work else ():
            given = sum(_is_wanted(want, task.attempt) for task in tasks)
            if want.count > given:
                more = Want(want.type, want.count - given, want.domain)
                tasks += self._take(more, worker_id, exchange_id)
        started = [task.attempt.attempt_id for task in tasks]
        # What it has put back it may have been given again.
        finished = [i for i in (*gone, *stop.lost) if i not in started]
        self._changed(worker_id, started, finished, error=error)
        return Exchanged(outcomes, tasks, stop.ids, is_drained=not may_have_work)

    def _may_have_work(self, worker_id: str, wants: Sequence[Want]) -> bool:
        queues = {queue_name(w.type, w.domain): w.count for w in wants if w.count > 0}
        return self._watch.polling(worker_id, queues, self._clock())

    def _take(self, want: Want, worker_id: str, claim_id: str) -> list[HeldTask]:
        if want.count <= 0:
            return []
        taken = self._claimer.claim(
            want.type, want.domain, want.count, worker_id=worker_id, claim_id=claim_id
        )
        return [self._task(request, attempt) for request, attempt in taken]

    def _given_before(
        self, worker_id: str, exchange_id: str, known: Collection[str]
    ) -> list[HeldTask]:
        """Return what this exchange was given when it was sent before, its answer lost."""
        ids = [i for i in self._watch.running(worker_id) if i not in known]
        if not ids:
            return []
        return [
            self._task(self._request_of(attempt), attempt)
            for attempt in self._jobs.get_many([parse_attempt_id(i) for i in ids])
            if attempt.status is AttemptStatus.INPROGRESS and attempt.claim_id == exchange_id
        ]

    def _changed(
        self,
        worker_id: str | None,
        started: Sequence[str],
        finished: Sequence[str],
        *,
        error: str | None = None,
    ) -> None:
        """Tell the worker's record. That it cannot be told is no reason to lose what was done."""
        if worker_id is None or not (started or finished or error is not None):
            return
        try:
            self._watch.changed(worker_id, started, finished, self._clock(), error=error)
        except Transient:
            logger.warning("worker's record not written", extra={"worker_id": worker_id})

    # -- reports -------------------------------------------------------------------------------

    def report(self, report: Report) -> Reported:
        """Record what a worker says of an attempt.

        Raises
        ------
        NotFound
            If there is no such attempt.
        Conflict
            If it is not one that workers do.
        """
        attempt = self._find(report.attempt_id)
        reported = self._report(attempt, report)
        if reported.arrivals:
            self._barrier.arrive(attempt.request_id, attempt.key.step, reported.arrivals)
        if reported.is_gone:
            self._changed(report.worker_id or attempt.worker_id, (), (attempt.attempt_id,))
        return reported.answer

    def report_by_name(self, request_id: str, job_name: str, report: Report) -> str:
        """Report on the latest attempt of a request's job; return its id. Claims a `new` one first.

        Raises
        ------
        NotFound
            If the request has no such job.
        Conflict
            If it is not one that workers do.
        """
        request = self._request(request_id)
        for step in range(request.current_step, 0, -1):
            named = [a for a in self._jobs.of_step(request_id, step) if a.name == job_name]
            if named:
                attempt_id = named[-1].attempt_id
                self.report(replace(report, attempt_id=attempt_id))
                return attempt_id
        raise NotFound(
            f"request {request_id!r} has no job {job_name!r}",
            f"list its jobs: GET /v1/requests/{request_id}/jobs",
        )

    def _report_all(
        self, worker_id: str, reports: Sequence[Report]
    ) -> tuple[list[Reported], list[str]]:
        """Record what a worker reports; return the outcomes, and what it holds no more."""
        outcomes: list[Reported] = []
        gone: list[str] = []
        arrivals: Counter[tuple[str, int]] = Counter()
        try:
            for report in reports:
                try:
                    attempt = self._find(report.attempt_id)
                except NotFound:
                    outcomes.append(Reported.UNKNOWN)
                    continue
                reported = self._report(attempt, replace(report, worker_id=worker_id))
                outcomes.append(reported.answer)
                if reported.is_gone:
                    gone.append(attempt.attempt_id)
                if reported.arrivals:
                    arrivals[attempt.request_id, attempt.key.step] += reported.arrivals
        finally:
            # One write a step, however many of its jobs were completed.
            for (request_id, step), count in arrivals.items():
                self._barrier.arrive(request_id, step, count)
        return outcomes, gone

    def _report(self, attempt: Attempt, report: Report) -> _Reported:
        if not attempt.is_polled:
            raise Conflict(
                f"{attempt.attempt_id} is not done by workers; its type is {attempt.type!r}",
                f"look at it: GET /v1/requests/{attempt.request_id}/jobs",
            )
        if report.logs:
            self.add_logs(attempt.attempt_id, report.logs)
        if attempt.is_waiting and report.worker_id is None:
            attempt = self._claim_by_hand(attempt)
        if not _is_holder(attempt, report):
            return self._repeated(attempt, report) or self._late(attempt, report)
        match report.status:
            case ReportStatus.IN_PROGRESS if report.extend_lease:
                return _Reported(self._renew(attempt), is_gone=False)
            case ReportStatus.IN_PROGRESS:
                result, arrivals = self._put_back(attempt, report), 0
            case _:
                recording = self._recorder.record(attempt, self._outcome(attempt, report))
                result, arrivals = recording.result, recording.arrivals
        if result is Result.DISCARDED:
            attempt = self._find(attempt.attempt_id)
            return self._repeated(attempt, report) or self._late(attempt, report)
        if report.status is not ReportStatus.IN_PROGRESS:
            return _Reported(Reported.RECORDED, arrivals=arrivals)
        return _Reported(Reported.PUT_BACK if result is Result.PUT_BACK else Reported.STOP)

    def _claim_by_hand(self, attempt: Attempt) -> Attempt:
        request = self._request_of(attempt)
        if request.has_ended:
            return attempt
        claimed = self._claimer.claim_one(
            request, attempt, worker_id=BY_HAND, claim_id=self._new_id()
        )
        return claimed or self._find(attempt.attempt_id)

    def _put_back(self, attempt: Attempt, report: Report) -> Result:
        output = attempt.output
        if report.output:
            merged = self._merged(attempt, report)
            output = self._payloads.pack(attempt.request_id, merged)
        wake_at = self._clock() + timedelta(seconds=max(0.0, report.callback_after_s))
        self._alert(attempt)
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
        """Return what is reported laid over what was reported before."""
        return merge_extras(self._payloads.unpack_object(attempt.output), [report.output])

    def _repeated(self, attempt: Attempt, report: Report) -> _Reported | None:
        """Answer a report that was recorded before as it was answered then."""
        if report.fence not in (None, attempt.fence):
            return None
        if report.worker_id not in (None, attempt.worker_id):
            return None
        match report.status, attempt.status:
            case ReportStatus.COMPLETED, AttemptStatus.COMPLETED:
                output = self._payloads.unpack_object(attempt.output)
                if {**output, **report.output} == output:
                    # The process that recorded it may have died before it reported the arrival.
                    self._recorder.release(attempt)
                    return _Reported(Reported.RECORDED, arrivals=1)
            case ReportStatus.IN_PROGRESS, AttemptStatus.NEW:
                if attempt.poll_count and not report.extend_lease:
                    return _Reported(Reported.PUT_BACK)
            case ReportStatus.FAILED, AttemptStatus.RETRY | AttemptStatus.FAILURE:
                if _is_error_of(report, attempt.error):
                    return _Reported(Reported.RECORDED)
            case ReportStatus.TERMINAL | ReportStatus.CANCELED, AttemptStatus.FAILURE:
                if _is_error_of(report, attempt.error):
                    return _Reported(Reported.RECORDED)
        return None

    def _late(self, attempt: Attempt, report: Report) -> _Reported:
        """Keep what came too late with the attempt, once."""
        if report.status is ReportStatus.IN_PROGRESS and report.extend_lease:
            return _Reported(Reported.STOP)  # It says nothing but that it goes on, for nothing.
        late = LateUpdate(
            self._clock(), report.status.value, report.worker_id, report.reason[:_MAX_REASON]
        )
        same = (late.status, late.worker_id, late.reason)
        if same not in [(u.status, u.worker_id, u.reason) for u in attempt.late_updates]:
            self._jobs.add_late_update(attempt, late)
            logger.warning(
                "report came too late",
                extra={"attempt_id": attempt.attempt_id, "status": late.status},
            )
        return _Reported(Reported.LATE)

    # -- leases --------------------------------------------------------------------------------

    def _renew(self, attempt: Attempt) -> Reported:
        """Renew the lease; say whether to go on."""
        if not self._extend(attempt):
            return Reported.STOP
        return Reported.STOP if self._request_of(attempt).has_ended else Reported.RENEWED

    def _extend(self, attempt: Attempt) -> bool:
        job_type = self._job_type(attempt)
        lease = lease_until(job_type, self._clock(), attempt.started_at)
        if attempt.lease_until is not None and lease <= attempt.lease_until:
            return True  # Its time is over with this lease.
        self._alert(attempt)
        return self._jobs.renew(attempt, lease)

    def _renew_all(self, worker_id: str, ids: Sequence[str]) -> _Stop:
        """Renew the leases that are a third over; say what to stop."""
        stop = _Stop([], [])
        if not ids:
            return stop
        keys = [key for attempt_id in ids if (key := _key_of(attempt_id)) is not None]
        rows = {attempt.attempt_id: attempt for attempt in self._jobs.get_many(keys)}
        requests: dict[str, bool] = {}
        now = self._clock()
        for attempt_id in ids:
            attempt = rows.get(attempt_id)
            if attempt is None or not _is_held_by(attempt, worker_id):
                stop.ids.append(attempt_id)
                stop.lost.append(attempt_id)
                continue
            lease = attempt.lease_until or now
            if is_renewal_due(self._job_type(attempt), now, lease) and not self._extend(attempt):
                stop.ids.append(attempt_id)
                stop.lost.append(attempt_id)
                continue
            if attempt.request_id not in requests:
                requests[attempt.request_id] = self._request_of(attempt).has_ended
            if requests[attempt.request_id]:
                stop.ids.append(attempt_id)
        return stop

    def _alert(self, attempt: Attempt) -> None:
        job_type = self._job_type(attempt)
        if is_alert_due(job_type, attempt, self._clock()):
            logger.warning(
                "job runs longer than its type's timeout",
                extra={"attempt_id": attempt.attempt_id, "timeout_s": job_type.timeout_s},
            )

    # -- looking -------------------------------------------------------------------------------

    def get(self, attempt_id: str) -> HeldTask:
        """Return an attempt, held or not.

        Raises
        ------
        NotFound
            If there is none.
        """
        attempt = self._find(attempt_id)
        return self._task(self._request_of(attempt), attempt)

    def of_request(self, request_id: str) -> list[HeldTask]:
        """Return every attempt of a request, in key order.

        Raises
        ------
        NotFound
            If there is no such request.
        """
        request = self._request(request_id)
        return [
            self._task(request, attempt)
            for step in range(1, request.current_step + 1)
            for attempt in self._jobs.of_step(request_id, step)
        ]

    def add_logs(self, attempt_id: str, lines: Sequence[LogLine]) -> None:
        """Keep lines logged for an attempt; long ones are cut into pieces of 1,000 characters.

        Raises
        ------
        NotFound
            If there is no such attempt.
        """
        attempt = self._find(attempt_id)
        pieces = [
            # They are kept in the order of their times, to the millisecond.
            LogLine(
                line.at + timedelta(milliseconds=number),
                line.message[number * _MAX_LINE : (number + 1) * _MAX_LINE],
            )
            for line in lines
            for number in range(max(1, ceil(len(line.message) / _MAX_LINE)))
        ]
        self._jobs.add_logs(attempt.request_id, attempt.key, pieces[:_MAX_LINES], self._clock())

    def logs(self, attempt_id: str) -> list[LogLine]:
        """Return what was logged for an attempt.

        Raises
        ------
        NotFound
            If there is no such attempt.
        """
        attempt = self._find(attempt_id)
        return self._jobs.logs(attempt.request_id, attempt.key)

    def queue_sizes(self, types: Sequence[str] | None = None) -> dict[str, int]:
        """Return how many jobs wait, by queue (`type` or `type#domain`); None: of every type."""
        if types is None:
            types = [
                definition.name
                for definition in self._definitions.list(Kind.JOB_TYPE)
                if definition.body["target"] == Target.WORKER
            ]
        return {queue: self._jobs.queue_size(queue) for queue in types}

    # -- small things --------------------------------------------------------------------------

    def _find(self, attempt_id: str) -> Attempt:
        key = _key_of(attempt_id)
        found = None if key is None else self._jobs.get(*key)
        if found is None:
            raise NotFound(f"there is no task {attempt_id!r}", "poll for one")
        return found

    def _request(self, request_id: str) -> Request:
        request = self._store.get(request_id)
        if request is None:
            raise NotFound(f"there is no request {request_id!r}", "list them: GET /v1/requests")
        return request

    def _request_of(self, attempt: Attempt) -> Request:
        return self._request(attempt.request_id)

    def _job_type(self, attempt: Attempt) -> JobType:
        return self._definitions.job_type(attempt.type, attempt.type_version)

    def _task(self, request: Request, attempt: Attempt) -> HeldTask:
        own = self._payloads.unpack(attempt.params)
        return HeldTask(
            request=request,
            attempt=attempt,
            job_type=self._job_type(attempt),
            params=self._payloads.unpack(request.params) if own is None else own,
            extras=self._payloads.unpack_object(request.extras),
            item=self._payloads.unpack(attempt.item),
            output=self._payloads.unpack_object(attempt.output),
        )


@dataclass(frozen=True, slots=True)
class _Reported:
    """An answer, whether the worker has let go of the attempt, and what arrived at its step."""

    answer: Reported
    is_gone: bool = True
    arrivals: int = 0


@dataclass(frozen=True, slots=True)
class _Stop:
    """What a worker should stop, and of that what it holds no more."""

    ids: list[str]
    lost: list[str]


def _key_of(attempt_id: str) -> tuple[str, AttemptKey] | None:
    try:
        return parse_attempt_id(attempt_id)
    except ValueError:
        return None


def _is_wanted(want: Want, attempt: Attempt) -> bool:
    return (want.type, want.domain) == (attempt.type, attempt.domain)


def _is_held_by(attempt: Attempt, worker_id: str) -> bool:
    return attempt.status is AttemptStatus.INPROGRESS and attempt.worker_id == worker_id


def _is_holder(attempt: Attempt, report: Report) -> bool:
    """Whether the report is that of the attempt's holder, or of a person."""
    if attempt.status is not AttemptStatus.INPROGRESS:
        return False
    # Who polled without a name may give one later.
    if attempt.worker_id and report.worker_id not in (None, attempt.worker_id):
        return False
    return report.fence in (None, attempt.fence)


def _error_of(report: Report) -> JobError:
    kind = "Cancelled" if report.status is ReportStatus.CANCELED else "TaskFailed"
    return JobError(kind, report.reason or f"the worker reported {report.status.value}")


def _is_error_of(report: Report, error: JobError | None) -> bool:
    """Whether the error is the one that was recorded of the report, perhaps as its last try."""
    ours = _error_of(report)
    return error is not None and error.type == ours.type and error.message.startswith(ours.message)
