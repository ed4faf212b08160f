"""Insert the attempts of a step: plan its jobs, and replace those that lapsed or are retried."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from shiftwork_core.domain.payloads import Json, Payload
from shiftwork_core.domain.requests.definitions import JobType, OnFailure, StepSpec
from shiftwork_core.domain.requests.leases import poll_until
from shiftwork_core.domain.requests.planning import (
    PlanFault,
    PlannedJob,
    job_count_of,
    plan_jobs,
    spans_of,
)
from shiftwork_core.domain.requests.queue_names import shard_of
from shiftwork_core.domain.requests.records import (
    Attempt,
    AttemptKey,
    Request,
    Step,
    StepStatus,
    attempt_id_of,
)
from shiftwork_core.domain.requests.states import AttemptStatus
from shiftwork_core.domain.requests.step_state import StepState, is_wide
from shiftwork_core.domain.requests.templates import Search
from shiftwork_core.ports.world import Runtime
from shiftwork_core.services.requests.lasting import LastingWork
from shiftwork_core.services.requests.outcome_writer import next_attempt
from shiftwork_core.services.requests.outcomes import OutcomeRecorder
from shiftwork_core.services.requests.records import RequestRecords
from shiftwork_core.services.requests.results import attempts_of

#: So many rows are inserted by one call.
_INSERT_CHUNK = 500


class StepPlanner:
    """Inserts attempts into a request's current step.

    Every insert leaves a row that exists as it is, so planning again changes nothing.
    """

    def __init__(
        self,
        records: RequestRecords,
        recorder: OutcomeRecorder,
        search: Search,
        runtime: Runtime,
    ) -> None:
        self._records = records
        self._recorder = recorder
        self._search = search
        self._runtime = runtime

    def plan(
        self, request: Request, status: AttemptStatus = AttemptStatus.NEW
    ) -> tuple[Step, list[Attempt]]:
        """Insert the current step's jobs, then its row; return it, and the attempts as they are.

        The row comes last, so a step that has one has all its jobs.

        Raises
        ------
        PlanFault
            If the request's values do not fit what its type says of the step's jobs.
        """
        store, jobs = self._records.requests, self._records.jobs
        index = request.current_step
        spec = self._records.type_of(request).steps[index - 1]
        now = self._runtime.clock()
        work = LastingWork(store, self._runtime, request)
        planned = plan_jobs(
            spec,
            self._records.payloads.unpack_object(request.params),
            self._records.payloads.unpack_object(request.extras),
            self._search,
            partial(self._cut_manifest, request, work),
        )
        job_count = job_count_of(planned)
        blank = self._blank(request, spec, job_count, status)
        attempts = [
            self._first_attempt(request, blank, number, job) for number, job in enumerate(planned)
        ]
        existed = 0
        for chunk in _chunks(attempts, _INSERT_CHUNK):
            existed += jobs.insert(chunk)
            if existed:
                self._check_plan(attempts)
            work.go_on()
        added = store.add_step(
            Step(
                request.request_id,
                index,
                spec.name,
                job_count,
                now,
                type=request.type,
                spans=spans_of(spec, planned),
                extras=request.extras,
            )
        )
        if existed or not added.won:
            attempts = attempts_of(self._records, request.request_id, index)
        return added.row, attempts

    def _cut_manifest(
        self, request: Request, work: LastingWork, value: Json, block: int
    ) -> Iterator[tuple[Json, int]]:
        # Few requests use manifests, and each module makes each cold start longer.
        from shiftwork_core.domain.requests.manifests.places import ManifestFault

        try:
            slices = self._records.manifests().slices(request.request_id, value, block)
            for piece in work.through(slices):
                yield piece.item, piece.count
        except ManifestFault as fault:
            raise PlanFault(f"for_each_in: {fault}") from fault

    def _check_plan(self, attempts: list[Attempt]) -> None:
        """Refuse to go on with the plan of a process before, if a manifest has changed since.

        Raises
        ------
        PlanFault
            If the first block of an entry was planned with other items.
        """
        first: dict[str, Attempt] = {}
        for attempt in attempts:
            if attempt.block is not None:
                first.setdefault(attempt.name, attempt)
        for attempt in first.values():
            row = self._records.jobs.get(attempt.request_id, attempt.key)
            if row is None or row.item == attempt.item:
                continue
            raise PlanFault(
                "its manifest changed while the step was being planned: leave a manifest unchanged "
                "while a request uses it, and submit a new request"
            )

    def _blank(
        self, request: Request, spec: StepSpec, job_count: int, status: AttemptStatus
    ) -> Attempt:
        """Return what the first attempts at the step's jobs have in common."""
        now = self._runtime.clock()
        return Attempt(
            request_id=request.request_id,
            key=AttemptKey(request.current_step, 0, 1),
            name="",
            type="",
            type_version=0,
            created_at=now,
            status=status,
            generation=request.generation,
            on_failure=spec.on_failure,
            is_wide=is_wide(job_count),
            completed_at=None if status is AttemptStatus.NEW else now,
        )

    def replace_attempts(self, request: Request, step: Step, state: StepState) -> Request:
        """Expire lapsed attempts, and add those that a user's retry asks for.

        Return the request as it is then: it may have failed, because a lapsed attempt was the last
        one allowed, or a user may have cancelled it.
        """
        left = [self._recorder.expire(attempt).counts for attempt in state.lapsed]
        if left and is_wide(step.job_count):
            now, key = self._runtime.clock(), state.lapsed[0].key
            self._records.add_tally(request.request_id, key, left, now)
        if state.redo:
            self.redo(request, state, AttemptStatus.NEW)
            if step.status is not StepStatus.COMPLETED:
                self._reopen(step, state)
        return self._records.requests.get(request.request_id) or request

    def _reopen(self, step: Step, state: StepState) -> None:
        if is_wide(step.job_count):
            # What is tallied from now on is shown on top of these.
            self._records.requests.close_step(step, StepStatus.RUNNING, state.counts, None)
        elif step.completed_at is not None:
            self._records.requests.close_step(step, StepStatus.RUNNING, {}, None)

    def redo(self, request: Request, state: StepState, status: AttemptStatus) -> None:
        """Add one attempt, `new` or as a tombstone, to each job that a user's retry gives one."""
        now = self._runtime.clock()
        successors = [
            replace(
                next_attempt(
                    attempt,
                    self._records.job_type_of(attempt),
                    now,
                    tries=1,
                    generation=request.generation,
                ),
                status=status,
            )
            for attempt in self._records.with_values(state.redo)
        ]
        self._records.jobs.insert(successors)

    def _first_attempt(
        self, request: Request, blank: Attempt, number: int, job: PlannedJob
    ) -> Attempt:
        job_type = self._job_type(request, job.type)
        key = replace(blank.key, job=number)
        on_failure = OnFailure.TOLERATE if job.is_tolerant else blank.on_failure
        shard = shard_of(attempt_id_of(request.request_id, key), job_type.worker.shards)
        return replace(
            blank,
            key=key,
            name=job.name,
            type=job.type,
            type_version=job_type.version,
            is_polled=job_type.is_polled,
            on_failure=on_failure,
            priority=request.priority if job_type.is_polled else 0,
            domain=request.domain_of(job.type) if job_type.is_polled else None,
            shard=shard,
            poll_until=poll_until(job_type, blank.created_at) if job_type.is_polled else None,
            item=None if job.item is None else self._pack(request, job.item),
            params=None if job.params is None else self._pack(request, job.params),
            block=job.block,
        )

    def _job_type(self, request: Request, name: str) -> JobType:
        return self._records.definitions.job_type(name, request.job_types[name])

    def _pack(self, request: Request, value: object) -> Payload:
        return self._records.payloads.pack(request.request_id, value)


def _chunks(attempts: list[Attempt], size: int) -> Iterator[list[Attempt]]:
    for start in range(0, len(attempts), size):
        yield attempts[start : start + size]
