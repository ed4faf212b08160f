"""Write the rows of a claimed lifecycle job and of its workspace, as long as the claim holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.workspaces import lifecycle_jobs
from shiftwork_core.domain.workspaces.records import LifecycleJob, Workspace
from shiftwork_core.domain.workspaces.specs import WorkspaceSpec
from shiftwork_core.errors import Throttled
from shiftwork_core.optimistic import LOST, Lost, attempt_writes, write_until_won_from
from shiftwork_core.ports.workspaces import Driver, LifecycleWrite
from shiftwork_core.ports.world import Clock
from shiftwork_core.services.workspaces.hosted_workers import HostedWorkers
from shiftwork_core.services.workspaces.records import LifecycleRecords

#: Computes from the workspace's row which rows to write; no workspace: only the job.
Change = Callable[[Workspace], tuple[LifecycleJob, Workspace | None]]


class ClaimLost(Exception):
    """The job is no longer this claimant's: it was cancelled, or the lease ran out."""


@dataclass(slots=True)
class Claim:
    """A job under this process's claim: the rows as they are, and whether its driver was asked.

    Others may write the workspace's row at any time, the job's only once the lease has run out, or
    to cancel it.
    """

    job: LifecycleJob
    workspace: Workspace
    spec: WorkspaceSpec
    driver: Driver
    has_asked: bool = False


class ClaimWriter:
    """Writes rows under a claim; raises `ClaimLost` where that no longer holds."""

    def __init__(
        self, records: LifecycleRecords, hosted_workers: HostedWorkers, clock: Clock
    ) -> None:
        self._workspaces = records.workspaces
        self._jobs = records.jobs
        self._logs = records.logs
        self._wake_ups = records.wake_ups
        self._hosted_workers = hosted_workers
        self._clock = clock

    def release(self, claim: Claim, wait: timedelta, memory: JsonObject | None = None) -> None:
        """Give the claim up; the job is due again after `wait`."""
        now = self._clock()
        self.write(claim, lifecycle_jobs.released(claim.job, now + wait, now), memory)
        self._wake_ups.wake_lifecycle_job(claim.job)

    def write(self, claim: Claim, job: LifecycleJob, memory: JsonObject | None = None) -> None:
        """Write the job, and with it its driver's memory if that has changed."""

        def change(row: Workspace) -> tuple[LifecycleJob, Workspace | None]:
            if memory is None or row.memory == memory:
                return job, None
            return job, replace(row, memory=memory)

        self.update(claim, change)

    def update(self, claim: Claim, change: Change) -> None:
        """Write both rows of a job that has not ended."""
        self._apply(claim, change, self._jobs.update_workspace_lifecycle_job_by_id)

    def complete(self, claim: Claim, change: Change) -> None:
        """Write both rows of a job that has completed or failed."""
        self._apply(claim, change, self._jobs.update_workspace_lifecycle_job_with_complete_by_id)

    def _apply(
        self,
        claim: Claim,
        change: Change,
        write: Callable[[LifecycleJob, Workspace | None], LifecycleWrite],
    ) -> None:
        """Apply the change to the workspace's row as it is by then, and write the result."""

        def attempt(seen: Workspace) -> Lost[Workspace] | None:
            claim.workspace = seen
            outcome = write(*change(seen))
            if outcome.won and outcome.job is not None:
                claim.job = outcome.job
                claim.workspace = outcome.workspace or seen
                return None
            if outcome.job is None or outcome.job.revision != claim.job.revision:
                raise ClaimLost
            # A write of the job alone loses only to another of the job: this one was of both rows.
            row = outcome.workspace
            if row is None or not lifecycle_jobs.refers_to(row, claim.job):
                self.cancel_orphan(claim.job)
                raise ClaimLost
            if row.body["driver"] != claim.spec.driver:
                self._start_over(claim)
            return Lost(row)

        busy = Throttled(f"workspace {claim.job.workspace_id} is being changed by many at once")
        write_until_won_from(claim.workspace, attempt, busy=busy)

    def _start_over(self, claim: Claim) -> None:
        """Give the job up: what this claimant saw and has to remember belongs to another target."""
        again = lifecycle_jobs.started_over(claim.job, self._clock())
        if self._jobs.update_workspace_lifecycle_job_by_id(again).won:
            self._logs.write(claim.job, "starts over: the workspace has another target")
        raise ClaimLost

    def cancel_orphan(self, job: LifecycleJob) -> None:
        """Cancel a job whose workspace was deleted, or was defined again since.

        If the workspace refers to the job after all, the job was being planned when the workspace
        was read: leave it until its lease runs out.
        """
        self.cancel(job, "the workspace is gone", is_orphan=True)

    def cancel(self, job: LifecycleJob, why: str, *, is_orphan: bool = False) -> None:
        """Cancel a job that has nothing left to do, unless somebody else has written it since."""
        self._hosted_workers.resume(job.drained, job.id)
        cancelled = lifecycle_jobs.cancelled(job, self._clock())

        def attempt(_: None) -> Lost[None] | None:
            row = self._workspaces.get(job.workspace_id)
            if row is not None:
                if is_orphan and lifecycle_jobs.refers_to(row, job):
                    return None
                # Write a row that does not refer to the job, too: it must be as it was seen.
                row = replace(lifecycle_jobs.without_pending(row, job), due_at=self._clock())
            write = self._jobs.update_workspace_lifecycle_job_with_cancel_by_id(cancelled, row)
            if write.won:
                self._logs.write(job, f"cancelled: {why}")
            # The revision has moved if this write has won, and if somebody else's has.
            return LOST if write.job is not None and write.job.revision == job.revision else None

        attempt_writes(None, attempt)
