"""Workspaces as their users see them: define, switch, override, look ahead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.times import to_iso
from shiftwork_core.domain.workspaces import lifecycle
from shiftwork_core.domain.workspaces.lifecycle import WorkspaceSpec
from shiftwork_core.domain.workspaces.records import (
    Cause,
    Desired,
    JobState,
    LifecycleJob,
    LifecycleLog,
    Operation,
    Override,
    Transition,
    Workspace,
    WorkspaceState,
)
from shiftwork_core.domain.workspaces.schedules import Skipped, bumped, plan
from shiftwork_core.errors import Conflict, FaultAt, Invalid, NotFound, Throttled, Unavailable
from shiftwork_core.optimistic import LOST, Lost, write_until_won
from shiftwork_core.ports.stores import Page
from shiftwork_core.ports.workspaces import (
    DriverError,
    DriverFor,
    LifecycleJobStore,
    WorkspaceStore,
)
from shiftwork_core.ports.world import Clock, NewId
from shiftwork_core.services.workspaces.hosted_workers import HostedWorkers
from shiftwork_core.services.workspaces.logs import LifecycleLogs
from shiftwork_core.services.workspaces.schedule import AlmanacFor
from shiftwork_core.services.workspaces.wake import LifecycleWakeUps

#: A deadline that somebody sets is at least so far ahead (the original's rule).
MIN_DEADLINE_AHEAD = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a switch would do now."""

    state: WorkspaceState
    detail: str
    calls: list[str]


class Workspaces:
    """The service behind `/v1/workspaces` and `/v1/lifecycle-jobs`."""

    def __init__(
        self,
        *,
        workspaces: WorkspaceStore,
        jobs: LifecycleJobStore,
        logs: LifecycleLogs,
        hosted_workers: HostedWorkers,
        driver_for: DriverFor,
        almanac_for: AlmanacFor,
        wake_ups: LifecycleWakeUps,
        clock: Clock,
        new_id: NewId,
    ) -> None:
        self._workspaces = workspaces
        self._jobs = jobs
        self._logs = logs
        self._hosted_workers = hosted_workers
        self._driver_for = driver_for
        self._almanac_for = almanac_for
        self._wake_ups = wake_ups
        self._clock = clock
        self._new_id = new_id

    # -- definitions ---------------------------------------------------------------------------

    def put(self, workspace_id: str, body: JsonObject) -> tuple[Workspace, bool]:
        """Define a workspace, or define it anew; return it, and whether it is new.

        The same body again changes nothing. Another one forgets failures and what was cancelled;
        pending jobs are moved, or cancelled, when the scheduler looks, which is at once.
        """

        def attempt() -> tuple[Workspace, bool] | Lost[None]:
            now = self._clock()
            found = self._workspaces.get(workspace_id)
            if found is not None and found.body == body:
                return found, False
            row = _redefined(found, body, now) if found else _new(workspace_id, body, now)
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
            raise NotFound(
                f"there is no workspace {workspace_id!r}", "list what there is: GET /v1/workspaces"
            )
        return row

    def find(self, limit: int, next_token: str | None) -> Page[Workspace]:
        """List workspaces by id."""
        return self._workspaces.find(limit, next_token)

    def delete(self, workspace_id: str) -> None:
        """Forget a workspace; what it stands for stays as it is. Its jobs are cancelled.

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
            # One that is at work is left to its executor, which finds the workspace gone.
            if job is not None and job.state is JobState.PENDING:
                self._hosted_workers.resume(job.drained, job.id)
                cancelled = lifecycle.cancelled(job, self._clock())
                if self._jobs.update_workspace_lifecycle_job_with_cancel_by_id(cancelled).won:
                    self._logs.write(job, "cancelled: the workspace was deleted")

    # -- switching -----------------------------------------------------------------------------

    def switch(self, workspace_id: str, operation: Operation) -> LifecycleJob:
        """Have the workspace switched now; return the job that does it.

        What contradicts it gives way: an override that keeps it the other way ends, and an
        unfinished job of the opposite operation is cancelled. Asked for twice it is one job.

        Raises
        ------
        NotFound
            If there is no such workspace.
        """

        def attempt() -> LifecycleJob | Lost[None]:
            now = self._clock()
            row = self._without_rival(self.get(workspace_id), operation, now)
            if row is None:
                return LOST
            pending = row.pending.get(operation)
            job = None if pending is None else self._jobs.get(pending.job_id)
            if pending is not None and job is None:
                gone = lifecycle.missing(row, operation, pending, now)
                self._jobs.insert_workspace_lifecycle_job(*gone)
                return LOST
            if job is not None and not job.has_ended:
                if job.started_at is not None or job.cause is Cause.MANUAL:
                    return job
                both = self._jobs.update_workspace_lifecycle_job_by_id(
                    *lifecycle.moved(job, row, _by_hand(operation, now), now)
                )
            else:
                planned = lifecycle.planned(row, _by_hand(operation, now), self._new_id(), now)
                both = self._jobs.insert_workspace_lifecycle_job(*planned)
            if both.won and both.job is not None:
                self._wake_ups.wake_lifecycle_job(both.job)
                return both.job
            return LOST

        return write_until_won(attempt, busy=_busy(workspace_id))

    def _without_rival(
        self, row: Workspace, operation: Operation, now: datetime
    ) -> Workspace | None:
        """Return the row without what contradicts the operation; None: it has changed meanwhile.

        An override is left out of the row only: that is written with the operation's job.
        """
        kept_off = Desired.OFF if operation is Operation.START else Desired.ON
        if row.override and row.override.is_active(now) and row.override.desired is kept_off:
            row = replace(row, override=None)
        pending = row.pending.get(operation.opposite)
        job = None if pending is None else self._jobs.get(pending.job_id)
        if pending is not None and job is None:
            gone = lifecycle.missing(row, operation.opposite, pending, now)
            both = self._jobs.insert_workspace_lifecycle_job(*gone)
            return both.workspace if both.won else None
        if job is None or job.has_ended or (job.started_at is None and job.deadline > now):
            return row
        self._hosted_workers.resume(job.drained, job.id)
        both = self._jobs.update_workspace_lifecycle_job_with_cancel_by_id(
            lifecycle.cancelled(job, now), lifecycle.without_pending(row, job)
        )
        if not both.won:
            return None
        self._logs.write(job, f"cancelled: somebody asked for a {operation} meanwhile")
        return both.workspace

    def dry_run(self, workspace_id: str, operation: Operation) -> DryRun:
        """Return what a switch would do now, by the state that the driver sees. Nothing is done.

        If it can see the workspace and could not switch it now, `detail` says why.

        Raises
        ------
        NotFound
            If there is no such workspace.
        Conflict
            If its driver cannot see it until somebody mends something.
        Unavailable
            If its driver cannot see it now.
        """
        row = self.get(workspace_id)
        spec = _spec_of(row)
        driver = self._driver_for(str(spec.driver["type"]))
        try:
            sighting = driver.look(spec.driver, row.memory)
        except DriverError as error:
            message = f"the driver of {workspace_id!r} cannot see it: {error}"
            if error.is_final:
                raise Conflict(message, "mend its definition, or what that names") from error
            raise Unavailable(message) from error
        try:
            calls = driver.plan(spec.driver, row.memory, operation)
        except DriverError as error:
            return DryRun(sighting.state, f"{sighting.detail}; {error}", [])
        return DryRun(sighting.state, sighting.detail, calls)

    # -- overrides and deadlines ---------------------------------------------------------------

    def override(self, workspace_id: str, override: Override) -> Workspace:
        """Keep the workspace on or off for a while; an earlier override is replaced.

        Said again while it holds, it stays the one that it is: when it began is past.

        Raises
        ------
        NotFound
            If there is no such workspace.
        Invalid
            If its end is not after its beginning, or is past.
        """
        now = self._clock()
        if override.until <= max(now, override.since):
            fault = FaultAt("until", f"lies before {to_iso(max(now, override.since))}")
            raise Invalid("the override would never hold", [fault], "give a later `until`")

        def keep(row: Workspace) -> Workspace:
            held = row.override
            if held is None or not (held.is_active(now) and override.is_active(now)):
                return replace(row, override=override)
            is_same = replace(held, since=override.since) == override
            return row if is_same else replace(row, override=override)

        return self._change(workspace_id, keep)

    def override_of(self, row: Workspace) -> Override | None:
        """Return the override that holds or will; one that is over is kept in the row, unseen."""
        is_over = row.override is None or row.override.until <= self._clock()
        return None if is_over else row.override

    def clear_override(self, workspace_id: str) -> Workspace:
        """End the override, if there is one: the schedule decides again.

        Raises
        ------
        NotFound
            If there is no such workspace.
        """

        def end(row: Workspace) -> Workspace:
            now, override = self._clock(), row.override
            if override is None or not override.is_active(now):
                # One that is over stays: what its end sets going may not have been done yet.
                is_ahead = override is not None and override.since > now
                return replace(row, override=None) if is_ahead else row
            return replace(row, override=replace(override, until=now))

        return self._change(workspace_id, end)

    def active(self, workspace_id: str) -> Workspace:
        """Hear that the workspace is being used: its deadline moves up, never back.

        Raises
        ------
        NotFound
            If there is no such workspace.
        """

        def bump(row: Workspace) -> Workspace:
            if row.state is not WorkspaceState.RUNNING:
                return row
            return replace(row, deadline=bumped(_spec_of(row).schedule, row, self._clock()))

        return self._change(workspace_id, bump)

    def set_deadline(self, workspace_id: str, deadline: datetime) -> Workspace:
        """Have a running workspace stop at a time; the schedule may stop it sooner.

        Raises
        ------
        NotFound
            If there is no such workspace.
        Conflict
            If it does not run.
        Invalid
            If the time is too near, or beyond the workspace's maximum.
        """

        def move(row: Workspace) -> Workspace:
            if row.state is not WorkspaceState.RUNNING:
                raise Conflict(
                    f"workspace {workspace_id} is {row.state}, so there is no stop to move",
                    f"start it first: POST /v1/workspaces/{workspace_id}/start",
                )
            earliest = self._clock() + MIN_DEADLINE_AHEAD
            if deadline < earliest:
                fault = FaultAt("deadline", f"must be at {to_iso(earliest)} or later")
                raise Invalid(
                    "the deadline is less than 30 minutes ahead",
                    [fault],
                    f"to stop it now: POST /v1/workspaces/{workspace_id}/stop",
                )
            if row.max_deadline is not None and deadline > row.max_deadline:
                fault = FaultAt("deadline", f"must be at {to_iso(row.max_deadline)} or sooner")
                raise Invalid("the workspace may not run so long", [fault], "see max_lifetime_s")
            return replace(row, deadline=deadline)

        return self._change(workspace_id, move)

    def _change(self, workspace_id: str, change: Callable[[Workspace], Workspace]) -> Workspace:
        """Write what people change, and have the scheduler look."""

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

    # -- looking ahead, and back ---------------------------------------------------------------

    def plan(self, workspace_id: str, until: datetime) -> list[Transition | Skipped]:
        """Return what will happen by itself until a time, in order, and what is left out.

        Raises
        ------
        NotFound
            If there is no such workspace.
        """
        row, now = self.get(workspace_id), self._clock()
        spec = _spec_of(row)
        return plan(spec.schedule, self._almanac_for(spec.schedule), row, now, until)

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
        """Cancel a lifecycle job that has not ended: this transition is left out.

        One that is at work is told; what its driver was asked for already happens all the same.
        Cancelling it again changes nothing.

        Raises
        ------
        NotFound
            If there is no such job.
        Conflict
            If it has completed or failed, or an override is what it is for.
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
            left_out = None if row is None else _leaving_out(row, job, now)
            # Before the cancel: if it is won nobody has drained them since the job was read.
            self._hosted_workers.resume(job.drained, job.id)
            both = self._jobs.update_workspace_lifecycle_job_with_cancel_by_id(
                lifecycle.cancelled(job, now), left_out
            )
            if both.won and both.job is not None:
                self._logs.write(job, "cancelled by a user")
                self._wake_ups.wake_scheduler(job.workspace_id)
                return both.job
            return LOST

        busy = Throttled(f"lifecycle job {job_id} is being changed by many at once")
        return write_until_won(attempt, busy=busy)


def _leaving_out(row: Workspace, job: LifecycleJob, now: datetime) -> Workspace:
    if not lifecycle.names(row, job):
        # Written as it is: one that is about to name the job has another revision by then.
        return row
    skipped = {**row.skipped, job.operation: max(job.deadline, now)}
    return replace(lifecycle.without_pending(row, job), skipped=skipped, due_at=now)


def _new(workspace_id: str, body: JsonObject, now: datetime) -> Workspace:
    return Workspace(workspace_id, body, created_at=now, updated_at=now, due_at=now)


def _redefined(row: Workspace, body: JsonObject, now: datetime) -> Workspace:
    """Return the row with another body; what was known of another target is forgotten."""
    if body["driver"] != row.body["driver"]:
        row = replace(row, state=WorkspaceState.UNKNOWN, changed_at=None, memory={}, detail="")
    return replace(
        row,
        body=body,
        updated_at=now,
        due_at=now,
        failures=0,
        blocked_until=None,
        error=None,
        skipped={},
    )


def _by_hand(operation: Operation, now: datetime) -> Transition:
    return Transition(operation, now, Cause.MANUAL, "somebody asked for it")


def _spec_of(row: Workspace) -> WorkspaceSpec:
    return WorkspaceSpec.from_body(row.workspace_id, row.body)


def _busy(workspace_id: str) -> Throttled:
    return Throttled(f"workspace {workspace_id} is being changed by many at once")
