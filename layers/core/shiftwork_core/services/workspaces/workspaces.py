"""Define, switch, override and delete workspaces, look ahead, list and cancel lifecycle jobs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.times import to_iso
from shiftwork_core.domain.workspaces import lifecycle_jobs
from shiftwork_core.domain.workspaces.records import (
    Cause,
    JobState,
    LifecycleJob,
    LifecycleLog,
    Operation,
    Override,
    Transition,
    Workspace,
)
from shiftwork_core.domain.workspaces.schedules import Skipped, plan
from shiftwork_core.domain.workspaces.specs import WorkspaceSpec, is_host_of
from shiftwork_core.domain.workspaces.user_changes import (
    by_hand,
    defined,
    redefined,
    with_activity,
    with_cancelled,
    with_deadline,
    with_override,
    without_opposing_override,
    without_override,
)
from shiftwork_core.errors import Conflict, FaultAt, Invalid, NotFound, Throttled
from shiftwork_core.optimistic import LOST, Lost, write_until_won
from shiftwork_core.ports.stores import Page
from shiftwork_core.ports.world import Clock, NewId
from shiftwork_core.services.workspaces.dry_run import DryRun, dry_run
from shiftwork_core.services.workspaces.hosted_workers import HostedWorkers
from shiftwork_core.services.workspaces.records import LifecycleRecords, SpecLookup


class Workspaces:
    """The service behind `/v1/workspaces` and `/v1/lifecycle-jobs`."""

    def __init__(
        self,
        *,
        records: LifecycleRecords,
        specs: SpecLookup,
        hosted_workers: HostedWorkers,
        clock: Clock,
        new_id: NewId,
    ) -> None:
        self._workspaces = records.workspaces
        self._jobs = records.jobs
        self._logs = records.logs
        self._wake_ups = records.wake_ups
        self._specs = specs
        self._hosted_workers = hosted_workers
        self._clock = clock
        self._new_id = new_id

    # -- definitions ---------------------------------------------------------------------------

    def put(self, workspace_id: str, body: JsonObject) -> tuple[Workspace, bool]:
        """Create or replace a workspace; return it, and whether it is new.

        The same body again changes nothing. Another one clears failures and cancelled switches;
        the scheduler, woken at once, moves or cancels pending jobs.
        """

        def attempt() -> tuple[Workspace, bool] | Lost[None]:
            now = self._clock()
            found = self._workspaces.get(workspace_id)
            if found is not None and found.body == body:
                return found, False
            row = redefined(found, body, now) if found else defined(workspace_id, body, now)
            write = self._workspaces.save(row)
            if write.won and write.row is not None:
                self._wake_ups.wake_scheduler(workspace_id)
                return write.row, found is None
            return LOST

        return write_until_won(attempt, busy=_busy(workspace_id))

    def get(self, workspace_id: str) -> Workspace:
        """Return a workspace.

        Raises
        ------
        NotFound
            If there is none.
        """
        row = self._workspaces.get(workspace_id)
        if row is None:
            raise _unknown(workspace_id)
        return row

    def find(self, limit: int, next_token: str | None) -> Page[Workspace]:
        """List workspaces by id."""
        return self._workspaces.find(limit, next_token)

    def delete(self, workspace_id: str) -> None:
        """Delete a workspace and cancel its jobs. What it switches stays as it is.

        Raises
        ------
        NotFound
            If there is none.
        """

        def attempt() -> Workspace | Lost[None]:
            row = self.get(workspace_id)
            return row if self._workspaces.delete(row) else LOST

        row = write_until_won(attempt, busy=_busy(workspace_id))
        for pending in row.pending.values():
            job = self._jobs.get(pending.job_id)
            # A running job is left to its holder, which finds the workspace gone.
            if job is not None and job.state is JobState.PENDING:
                self._hosted_workers.resume(job.drained, job.id)
                cancelled = lifecycle_jobs.cancelled(job, self._clock())
                if self._jobs.update_workspace_lifecycle_job_with_cancel_by_id(cancelled).won:
                    self._logs.write(job, "cancelled: the workspace was deleted")

    # -- switching -----------------------------------------------------------------------------

    def switch(self, workspace_id: str, operation: Operation) -> LifecycleJob:
        """Have the workspace switched now; return the job that does it.

        This ends an override that keeps the workspace the other way, and cancels an unfinished job
        of the opposite operation. Asking twice makes one job.

        Raises
        ------
        NotFound
            If there is no such workspace.
        """

        def attempt() -> LifecycleJob | Lost[None]:
            now = self._clock()
            row = self._without_opposite(self.get(workspace_id), operation, now)
            if row is None:
                return LOST
            pending = row.pending.get(operation)
            job = None if pending is None else self._jobs.get(pending.job_id)
            if pending is not None and job is None:
                lost = lifecycle_jobs.lost_job(row, operation, pending, now)
                self._jobs.insert_workspace_lifecycle_job(*lost)
                return LOST
            if job is not None and not job.has_ended:
                if job.started_at is not None or job.cause is Cause.MANUAL:
                    return job
                write = self._jobs.update_workspace_lifecycle_job_by_id(
                    *lifecycle_jobs.moved(job, row, by_hand(operation, now), now)
                )
            else:
                planned = lifecycle_jobs.planned(row, by_hand(operation, now), self._new_id(), now)
                write = self._jobs.insert_workspace_lifecycle_job(*planned)
            if write.won and write.job is not None:
                self._wake_ups.wake_lifecycle_job(write.job)
                return write.job
            return LOST

        return write_until_won(attempt, busy=_busy(workspace_id))

    def _without_opposite(
        self, row: Workspace, operation: Operation, now: datetime
    ) -> Workspace | None:
        """Cancel the opposite job; return the row without it, None if it has to be read again.

        The row that is returned also lacks an opposing override; the caller writes that.
        """
        row = without_opposing_override(row, operation, now)
        pending = row.pending.get(operation.opposite)
        job = None if pending is None else self._jobs.get(pending.job_id)
        if pending is not None and job is None:
            lost = lifecycle_jobs.lost_job(row, operation.opposite, pending, now)
            self._jobs.insert_workspace_lifecycle_job(*lost)
            return None
        if job is None or job.has_ended or (job.started_at is None and job.deadline > now):
            return row
        self._hosted_workers.resume(job.drained, job.id)
        write = self._jobs.update_workspace_lifecycle_job_with_cancel_by_id(
            lifecycle_jobs.cancelled(job, now), lifecycle_jobs.without_pending(row, job)
        )
        if not write.won:
            return None
        self._logs.write(job, f"cancelled: somebody asked for a {operation} meanwhile")
        return write.workspace

    def dry_run(self, workspace_id: str, operation: Operation) -> DryRun:
        """Return the calls that a switch would make now, and change nothing.

        If the driver sees the workspace but could not switch it now, `detail` says why.

        Raises
        ------
        NotFound
            If there is no such workspace.
        Conflict
            If its driver cannot see it until somebody fixes the definition or the target.
        Unavailable
            If its driver cannot see it now.
        """
        return dry_run(self.get(workspace_id), operation, self._specs)

    # -- overrides and deadlines ---------------------------------------------------------------

    def override(self, workspace_id: str, override: Override) -> Workspace:
        """Keep the workspace on or off for a while; this replaces an earlier override.

        The same override again, while it holds, keeps its beginning.

        Raises
        ------
        NotFound
            If there is no such workspace.
        Invalid
            If it ends before it begins, or in the past.
        """
        now = self._clock()
        if override.until <= max(now, override.since):
            fault = FaultAt("until", f"lies before {to_iso(max(now, override.since))}")
            raise Invalid("the override would never hold", [fault], "give a later `until`")
        return self._change(workspace_id, lambda row: with_override(row, override, now))

    def override_of(self, row: Workspace) -> Override | None:
        """Return the override that holds or is ahead; the row also keeps one that is over."""
        is_over = row.override is None or row.override.until <= self._clock()
        return None if is_over else row.override

    def clear_override(self, workspace_id: str) -> Workspace:
        """End the override, if there is one: the schedule decides again.

        Raises
        ------
        NotFound
            If there is no such workspace.
        """
        return self._change(workspace_id, lambda row: without_override(row, self._clock()))

    def active(self, workspace_id: str, worker_id: str | None = None) -> Workspace:
        """Record that the workspace is being used: its deadline moves up, never back.

        `worker_id` is the worker that says so; None: a person does.

        Raises
        ------
        NotFound
            If there is no such workspace, or if the worker does not run in it.
        """

        def bump(row: Workspace) -> Workspace:
            spec = _spec_of(row)
            if worker_id is not None and not is_host_of(workspace_id, spec, worker_id):
                raise _unknown(workspace_id)
            return with_activity(row, spec.schedule, self._clock())

        return self._change(workspace_id, bump)

    def set_deadline(self, workspace_id: str, deadline: datetime) -> Workspace:
        """Have a running workspace stop at a time; the schedule may stop it earlier.

        Raises
        ------
        NotFound
            If there is no such workspace.
        Conflict
            If it does not run.
        Invalid
            If the time is too near, or beyond the workspace's maximum.
        """
        return self._change(workspace_id, lambda row: with_deadline(row, deadline, self._clock()))

    def _change(self, workspace_id: str, change: Callable[[Workspace], Workspace]) -> Workspace:
        """Write a change that people make, and wake the scheduler."""

        def attempt() -> Workspace | Lost[None]:
            row, now = self.get(workspace_id), self._clock()
            after = change(row)
            if after == row:
                return row
            write = self._workspaces.save(replace(after, updated_at=now, due_at=now))
            if write.won and write.row is not None:
                self._wake_ups.wake_scheduler(workspace_id)
                return write.row
            return LOST

        return write_until_won(attempt, busy=_busy(workspace_id))

    # -- plans and jobs ------------------------------------------------------------------------

    def plan(self, workspace_id: str, until: datetime) -> list[Transition | Skipped]:
        """Return the switches that will happen by themselves until a time, and the skipped ones.

        Raises
        ------
        NotFound
            If there is no such workspace.
        """
        row, now = self.get(workspace_id), self._clock()
        spec = _spec_of(row)
        return plan(spec.schedule, self._specs.almanac_of(spec), row, now, until)

    def jobs(
        self,
        workspace_id: str | None,
        state: JobState | None,
        limit: int,
        next_token: str | None,
    ) -> Page[LifecycleJob]:
        """List lifecycle jobs, newest first."""
        return self._jobs.find(workspace_id, state, limit, next_token)

    def job(self, job_id: str) -> LifecycleJob:
        """Return a lifecycle job.

        Raises
        ------
        NotFound
            If there is none.
        """
        job = self._jobs.get(job_id)
        if job is None:
            raise NotFound(
                f"there is no lifecycle job {job_id!r}",
                "list what there is: GET /v1/lifecycle-jobs",
            )
        return job

    def job_logs(self, job_id: str) -> list[LifecycleLog]:
        """Return the log of a lifecycle job, in order of time.

        Raises
        ------
        NotFound
            If there is no such job.
        """
        self.job(job_id)
        return self._jobs.logs(job_id)

    def cancel_job(self, job_id: str) -> LifecycleJob:
        """Cancel a lifecycle job that has not ended: the schedule skips this switch.

        A running job stops at its next write; what its driver was asked for already still happens.
        Cancelling it again changes nothing.

        Raises
        ------
        NotFound
            If there is no such job.
        Conflict
            If it has completed or failed, or if an override would plan it again.
        """

        def attempt() -> LifecycleJob | Lost[None]:
            job, now = self.job(job_id), self._clock()
            if job.cancelled_at is not None:
                return job
            if job.has_ended:
                raise Conflict(f"lifecycle job {job_id} has {job.state} already")
            row = self._workspaces.get(job.workspace_id)
            if job.cause is Cause.OVERRIDE and row is not None and row.override is not None:
                raise Conflict(
                    f"lifecycle job {job_id} is there for an override, which would plan it again",
                    f"end the override: DELETE /v1/workspaces/{job.workspace_id}/override",
                )
            changed = None if row is None else with_cancelled(row, job, now)
            # Resume first: if the cancel wins, nobody has drained more since the job was read.
            self._hosted_workers.resume(job.drained, job.id)
            write = self._jobs.update_workspace_lifecycle_job_with_cancel_by_id(
                lifecycle_jobs.cancelled(job, now), changed
            )
            if write.won and write.job is not None:
                self._logs.write(job, "cancelled by a user")
                self._wake_ups.wake_scheduler(job.workspace_id)
                return write.job
            return LOST

        busy = Throttled(f"lifecycle job {job_id} is being changed by many at once")
        return write_until_won(attempt, busy=busy)


def _spec_of(row: Workspace) -> WorkspaceSpec:
    return WorkspaceSpec.from_body(row.workspace_id, row.body)


def _unknown(workspace_id: str) -> NotFound:
    return NotFound(
        f"there is no workspace {workspace_id!r}", "list what there is: GET /v1/workspaces"
    )


def _busy(workspace_id: str) -> Throttled:
    return Throttled(f"workspace {workspace_id} is being changed by many at once")
