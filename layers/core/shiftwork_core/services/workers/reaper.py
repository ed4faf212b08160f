"""Declare silent workers lost and requeue their builds."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime

from shiftwork_core.domain.put_offs import PutOff
from shiftwork_core.domain.requests.outcomes import JobError, Retryable
from shiftwork_core.domain.requests.records import Attempt, parse_attempt_id
from shiftwork_core.domain.requests.states import AttemptStatus
from shiftwork_core.domain.workers import workers as domain
from shiftwork_core.domain.workers.workers import Liveness, Worker, worker_key
from shiftwork_core.optimistic import Lost, attempt_writes
from shiftwork_core.ports.jobs import JobStore
from shiftwork_core.ports.workers import WorkerStore
from shiftwork_core.ports.world import Clock
from shiftwork_core.services.requests.barrier import StepBarrier
from shiftwork_core.services.requests.outcomes import OutcomeRecorder

logger = logging.getLogger("shiftwork.workers")

#: The ends of its builds may change a worker's record while it is being closed.
_MAX_ATTEMPTS = 20


class WorkerReaper:
    """Checks the workers that are due, declares the silent ones lost, and requeues their builds.

    A worker that checks in is lost once it has been silent for the offline interval: its builds are
    requeued at once. One that does not check in counts as alive while one of its builds has a
    lease, since it is silent while it has no room for more.
    """

    def __init__(
        self,
        *,
        workers: WorkerStore,
        jobs: JobStore,
        recorder: OutcomeRecorder,
        barrier: StepBarrier,
        clock: Clock,
        rules: Liveness,
    ) -> None:
        self._workers = workers
        self._jobs = jobs
        self._recorder = recorder
        self._barrier = barrier
        self._clock = clock
        self._rules = rules

    def due_in(self, shard: str) -> Iterable[str]:
        """List the workers of a shard that are to be checked."""
        return self._workers.watched(self._clock(), shard)

    def put_off(self, worker_id: str) -> PutOff | None:
        """Let a worker be checked later, as it cannot be now."""
        return self._workers.put_off(worker_id, self._clock())

    def check(self, worker_id: str) -> bool:
        """Check one worker; return whether it was declared lost.

        If two sweeps check it at once, or it comes back meanwhile, one write is lost and the next
        sweep checks the worker again.
        """
        now = self._clock()
        row = self._workers.get(worker_id)
        if row is None or row.watch_at is None or row.watch_at > now:
            return False
        held = self._held(row, row.running_build_ids)
        checked = domain.only_running(row, [a.attempt_id for a in held], now)
        if not self._is_silent(row, now):
            self._workers.save(domain.watched(checked, row.alive_until(self._rules)))
            return False
        leases = [a.lease_until for a in held if a.lease_until and a.lease_until > now]
        if leases and not row.is_registered:
            self._workers.save(domain.watched(checked, min(leases)))
            return False
        # Requeue before closing the record: should this process die, the next sweep finds the rest.
        if row.is_registered:
            silent_s = round((now - row.last_seen_at).total_seconds())
            self._requeue(row, held, f"has been silent for {silent_s} s")
        else:
            for attempt in held:
                self._barrier.report(attempt, self._recorder.expire(attempt))
        return self._declare_lost(row, now)

    def requeue(self, row: Worker, attempt_ids: Sequence[str], reason: str) -> None:
        """Requeue these builds of a worker that has lost them for `reason`."""
        self._requeue(row, self._held(row, attempt_ids), reason)

    def _is_silent(self, row: Worker, now: datetime) -> bool:
        return now > row.alive_until(self._rules)

    def _declare_lost(self, row: Worker, now: datetime) -> bool:
        """Close the record unless the worker shows up meanwhile; return whether it is closed."""

        def attempt(seen: Worker) -> bool | Lost[Worker]:
            write = self._workers.save(domain.declared_lost(seen, now))
            if write.won or write.row is None or not self._is_silent(write.row, now):
                return write.won
            return Lost(write.row)

        return attempt_writes(row, attempt, max_attempts=_MAX_ATTEMPTS) is True

    def _held(self, row: Worker, attempt_ids: Sequence[str]) -> Sequence[Attempt]:
        """Return those of the attempts that the worker holds, as the jobs table says."""
        ids = [parse_attempt_id(attempt_id) for attempt_id in attempt_ids]
        return [
            attempt
            for attempt in self._jobs.get_many(ids)
            if attempt.status is AttemptStatus.INPROGRESS
            and worker_key(attempt.worker_id or "") == row.worker_id
        ]

    def _requeue(self, row: Worker, held: Sequence[Attempt], reason: str) -> None:
        error = JobError("WorkerLost", f"worker {row.hostname} {reason}")
        for attempt in held:
            recording = self._recorder.record(attempt, Retryable(error, delay_s=0.0))
            self._barrier.report(attempt, recording)
        if held:
            logger.warning(
                "requeued a lost worker's builds",
                extra={
                    "worker_id": row.worker_id,
                    "reason": reason,
                    "builds": [attempt.attempt_id for attempt in held],
                },
            )
