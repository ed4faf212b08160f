"""Serve workers: poll for jobs, report on them, exchange both in one call, and look them up."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from shiftwork_core.caller import ANYBODY, Caller
from shiftwork_core.domain.requests.queue_names import queue_name, type_and_domain
from shiftwork_core.domain.requests.records import Attempt, LogLine, parse_attempt_id
from shiftwork_core.domain.requests.states import AttemptStatus
from shiftwork_core.errors import NotFound, Transient
from shiftwork_core.ports.workers import Standing, WorkerWatch
from shiftwork_core.ports.world import Runtime
from shiftwork_core.services.polling.claim import Claimant, QueueClaimer
from shiftwork_core.services.polling.leases import LeaseKeeper
from shiftwork_core.services.polling.logs import TaskLogs
from shiftwork_core.services.polling.lookup import HeldTask, TaskLookup
from shiftwork_core.services.polling.queues import queue_size
from shiftwork_core.services.polling.reports import Report, Reported, ReportRecorder
from shiftwork_core.services.requests.barrier import StepBarrier
from shiftwork_core.services.requests.outcome_writer import Recording
from shiftwork_core.services.requests.outcomes import OutcomeRecorder
from shiftwork_core.services.requests.records import RequestRecords

logger = logging.getLogger("shiftwork.tasks")


@dataclass(frozen=True, slots=True)
class Poller:
    """A worker that polls, and the domain whose jobs it does (None: those of no domain).

    `called_at` is when its call arrived; None: now.
    """

    worker_id: str
    domain: str | None = None
    called_at: datetime | None = None


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
    #: Attempts that the worker no longer holds, or whose request has ended.
    stop: list[str]
    is_drained: bool = False


class Tasks:
    """The service behind /api/tasks and /v1/tasks."""

    def __init__(
        self,
        *,
        records: RequestRecords,
        recorder: OutcomeRecorder,
        claimer: QueueClaimer,
        barrier: StepBarrier,
        watch: WorkerWatch,
        runtime: Runtime,
    ) -> None:
        self._records = records
        self._claimer = claimer
        self._barrier = barrier
        self._watch = watch
        self._runtime = runtime
        self._reports = ReportRecorder(records, recorder, claimer, runtime)
        self._lookup = TaskLookup(records)
        self._leases = LeaseKeeper(records, self._lookup, runtime)
        self._logs = TaskLogs(records.jobs, self._lookup, runtime.clock)

    # -- claiming ------------------------------------------------------------------------------

    def poll(self, type: str, poller: Poller, count: int) -> list[HeldTask]:
        """Claim up to `count` jobs; none if the worker is drained, at a limit, or nothing waits."""
        want = Want(type, count, poller.domain)
        standing = self._standing(poller.worker_id, [want], poller.called_at)
        if standing is not Standing.MAY_WORK:
            return []
        tasks = self._claim(want, poller.worker_id, self._runtime.new_id())
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
        called_at: datetime | None = None,
        error: str | None = None,
        caller: Caller = ANYBODY,
    ) -> Exchanged:
        """Record results and claim jobs. The same exchange sent again has the same answer.

        `running` names all that the worker says it holds: their leases are renewed when a third is
        over. None: it does not say. `called_at` is when the worker's call arrived, None for now,
        and `error` what it says is wrong with itself: see `WorkerWatch`.
        """
        outcomes, gone = self._report_all(worker_id, reports, caller)
        reported = {report.attempt_id for report in reports}
        held = [attempt_id for attempt_id in running or () if attempt_id not in reported]
        stop = self._leases.renew_all(worker_id, held)
        standing = self._standing(worker_id, wants, called_at)
        tasks: list[HeldTask] = []
        if wants:
            tasks = self._given_before(worker_id, exchange_id, {*reported, *held}, caller)
        for want in wants if standing is Standing.MAY_WORK else ():
            given = sum(_is_wanted(want, task.attempt) for task in tasks)
            more = Want(want.type, want.count - given, want.domain)
            tasks += self._claim(more, worker_id, exchange_id)
        started = [task.attempt.attempt_id for task in tasks]
        # It may have been given again what it has put back.
        finished = [i for i in (*gone, *stop.lost) if i not in started]
        self._changed(worker_id, started, finished, error=error)
        return Exchanged(outcomes, tasks, stop.ids, is_drained=standing is Standing.DRAINED)

    def _standing(
        self, worker_id: str, wants: Sequence[Want], called_at: datetime | None
    ) -> Standing:
        queues = {queue_name(w.type, w.domain): w.count for w in wants if w.count > 0}
        return self._watch.polling(worker_id, queues, self._runtime.clock(), called_at=called_at)

    def _claim(self, want: Want, worker_id: str, claim_id: str) -> list[HeldTask]:
        if want.count <= 0:
            return []
        claimant = Claimant(worker_id, claim_id)
        claimed = self._claimer.claim(want.type, want.domain, want.count, claimant)
        return [self._lookup.task(request, attempt) for request, attempt in claimed]

    def _given_before(
        self, worker_id: str, exchange_id: str, known: Collection[str], caller: Caller
    ) -> list[HeldTask]:
        """Return the jobs that this exchange claimed when it was sent before, its answer lost.

        The caller may have another token than then, which is for other types.
        """
        ids = [i for i in self._watch.running(worker_id) if i not in known]
        return [
            self._task_of(attempt)
            for attempt in self._records.jobs.get_many([parse_attempt_id(i) for i in ids])
            if attempt.status is AttemptStatus.INPROGRESS
            and (attempt.worker_id, attempt.claim_id) == (worker_id, exchange_id)
            and caller.may_do(attempt.type)
        ]

    def _changed(
        self,
        worker_id: str | None,
        started: Sequence[str],
        finished: Sequence[str],
        *,
        error: str | None = None,
    ) -> None:
        """Update the worker's record. If that fails, what was done is done all the same."""
        if worker_id is None or not (started or finished or error is not None):
            return
        try:
            self._watch.changed(worker_id, started, finished, self._runtime.clock(), error=error)
        except Transient:
            logger.warning("worker's record not written", extra={"worker_id": worker_id})

    # -- reports -------------------------------------------------------------------------------

    def report(self, report: Report, caller: Caller = ANYBODY) -> Reported:
        """Record what a worker says of an attempt; if a worker calls, an absent name is its own.

        Raises
        ------
        NotFound
            If there is no such attempt that the caller may see.
        Conflict
            If it is not one that workers do.
        """
        attempt = self._lookup.attempt(report.attempt_id, caller)
        if caller.is_worker and report.worker_id is None:
            report = replace(report, worker_id=attempt.worker_id)
        answer = self._reports.record(attempt, report)
        self._barrier.report(attempt, answer.recording)
        if answer.is_gone:
            self._changed(report.worker_id or attempt.worker_id, (), (attempt.attempt_id,))
        return answer.reported

    def report_by_name(
        self, request_id: str, job_name: str, report: Report, caller: Caller = ANYBODY
    ) -> str:
        """Report on the latest attempt of a request's job; return its id.

        For a person it claims a `new` one first.

        Raises
        ------
        NotFound
            If the request has no such job that the caller may see.
        Conflict
            If it is not one that workers do.
        """
        request = self._records.requests.get(request_id)
        for step in range(request.current_step if request else 0, 0, -1):
            named = [a for a in self._records.jobs.of_step(request_id, step) if a.name == job_name]
            if named and caller.may_see(named[-1].worker_id, named[-1].type):
                attempt_id = named[-1].attempt_id
                self.report(replace(report, attempt_id=attempt_id), caller)
                return attempt_id
        # The same whatever is missing: a worker must not learn which requests there are.
        raise NotFound(
            f"there is no request {request_id!r} with such a job",
            f"list its jobs: GET /v1/requests/{request_id}/jobs",
        )

    def _report_all(
        self, worker_id: str, reports: Sequence[Report], caller: Caller
    ) -> tuple[list[Reported], list[str]]:
        """Record a worker's reports; return the outcomes, and the ids that it let go of."""
        outcomes: list[Reported] = []
        gone: list[str] = []
        recorded: list[tuple[Attempt, Recording]] = []
        try:
            for report in reports:
                try:
                    attempt = self._lookup.attempt(report.attempt_id, caller)
                except NotFound:
                    outcomes.append(Reported.UNKNOWN)
                    continue
                answer = self._reports.record(attempt, replace(report, worker_id=worker_id))
                outcomes.append(answer.reported)
                if answer.is_gone:
                    gone.append(attempt.attempt_id)
                recorded.append((attempt, answer.recording))
        finally:
            self._barrier.report_all(recorded)
        return outcomes, gone

    # -- looking -------------------------------------------------------------------------------

    def get(self, attempt_id: str, caller: Caller = ANYBODY) -> HeldTask:
        """Return an attempt, held or not.

        Raises
        ------
        NotFound
            If there is none that the caller may see.
        """
        return self._task_of(self._lookup.attempt(attempt_id, caller))

    def of_request(self, request_id: str, most: int) -> list[HeldTask] | None:
        """Return every attempt of a request, in key order; None if they are more than `most`.

        Raises
        ------
        NotFound
            If there is no such request.
        """
        from shiftwork_core.services.requests.job_list import list_attempts

        request = self._lookup.request(request_id)
        steps = range(1, request.current_step + 1)
        found: list[Attempt] = []
        token = None
        while True:
            left = most - len(found)
            page = list_attempts(self._records, request_id, steps, None, max(left, 1), token)
            found += page.items
            if (token := page.next_token) is None:
                break
            if len(found) >= most:
                return None
        return [self._lookup.task(request, attempt) for attempt in found]

    def add_logs(self, attempt_id: str, lines: Sequence[LogLine], caller: Caller = ANYBODY) -> None:
        """Keep lines logged for an attempt; long ones are cut into pieces of 1,000 characters.

        Raises
        ------
        NotFound
            If there is no such attempt that the caller may see.
        """
        self._logs.add(attempt_id, lines, caller)

    def logs(self, attempt_id: str, caller: Caller = ANYBODY) -> list[LogLine]:
        """Return the lines that were logged for an attempt.

        Raises
        ------
        NotFound
            If there is no such attempt that the caller may see.
        """
        return self._logs.of(attempt_id, caller)

    def queue_sizes(self, types: Sequence[str] | None = None) -> dict[str, int]:
        """Return how many jobs wait, by queue (`type` or `type#domain`); None: of every type."""
        if types is None:
            polled = self._records.definitions.polled()
            shards = {definition.name: definition.queue_shards for definition in polled}
        else:
            shards = {queue: self._shards_of(queue) for queue in types}
        return {queue: queue_size(self._records.jobs, queue, n) for queue, n in shards.items()}

    def _shards_of(self, queue: str) -> int:
        name, _ = type_and_domain(queue)
        return self._records.definitions.queue_shards(name)

    def _task_of(self, attempt: Attempt) -> HeldTask:
        return self._lookup.task(self._lookup.request(attempt.request_id), attempt)


def _is_wanted(want: Want, attempt: Attempt) -> bool:
    return (want.type, want.domain) == (attempt.type, attempt.domain)
