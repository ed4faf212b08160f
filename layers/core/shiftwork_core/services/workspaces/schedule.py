"""Plan, move and cancel the lifecycle jobs of each workspace that is due.

A workspace is due after a change by people, after one of its jobs has ended, at the ends of its
windows, and each minute if it hosts workers. So the cost of a tick grows with what is due, not with
how many workspaces there are.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from shiftwork_core.domain.workspaces import lifecycle_jobs, wanted_switches
from shiftwork_core.domain.workspaces.records import (
    Cause,
    LifecycleJob,
    Operation,
    Pending,
    Transition,
    Workspace,
)
from shiftwork_core.domain.workspaces.schedules import Almanac, ScheduleFault
from shiftwork_core.domain.workspaces.specs import WorkspaceSpec
from shiftwork_core.domain.workspaces.wanted_switches import Hosted
from shiftwork_core.errors import Throttled
from shiftwork_core.optimistic import Lost, write_until_won_from
from shiftwork_core.ports.workspaces import DriverError, LifecycleWrite
from shiftwork_core.ports.world import Clock, NewId, SideBySide
from shiftwork_core.services.workspaces.hosted_workers import HostedWorkers
from shiftwork_core.services.workspaces.records import LifecycleRecords, SpecLookup
from shiftwork_core.services.workspaces.ticks import MAX_PER_TICK, TickCalls

logger = logging.getLogger("shiftwork.workspaces")


@dataclass(frozen=True, slots=True)
class Change:
    """A job to plan (`pending` is None), to move, or to cancel (`transition` is None)."""

    operation: Operation
    transition: Transition | None
    pending: Pending | None


class WorkspaceScheduler:
    """Plans, moves and cancels lifecycle jobs. Any number may run at once."""

    def __init__(
        self,
        *,
        records: LifecycleRecords,
        specs: SpecLookup,
        hosted_workers: HostedWorkers,
        side_by_side: SideBySide,
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
        self._calls = TickCalls(
            side_by_side, clock, "workspace_id", "left for the next tick", "cannot be planned"
        )

    def tick(self) -> int:
        """Check every workspace that is due; return how many there were."""
        due = self._workspaces.due(self._clock(), MAX_PER_TICK)
        self._calls.make({key: partial(self._look_at, key) for key in due})
        return len(due)

    def _look_at(self, workspace_id: str) -> None:
        self.look_at(workspace_id)

    def look_at(self, workspace_id: str, seen: Workspace | None = None) -> Workspace | None:
        """Give a workspace the jobs that it should have; return it, None if there is none.

        Safe to repeat, and to do twice at once: each write is under the revision of the row that
        it was computed from.

        Parameters
        ----------
        seen
            Its row, written just now with what its driver sees: neither is read again.

        Raises
        ------
        Transient
            If the tables cannot be reached, or others wrote the row every time.
        """

        def attempt(seen: Workspace | None) -> Workspace | Lost[Workspace | None] | None:
            found = seen or self._workspaces.get(workspace_id)
            if found is None:
                return None
            row = self._reconcile(found, self._clock(), is_seen=seen is not None)
            return Lost(None) if row is None else row

        busy = Throttled(f"workspace {workspace_id} is being changed by many at once")
        return write_until_won_from(seen, attempt, busy=busy)

    def _reconcile(self, found: Workspace, now: datetime, *, is_seen: bool) -> Workspace | None:
        """Make every change that is needed; None if somebody else wrote a row meanwhile."""
        try:
            spec = WorkspaceSpec.from_body(found.workspace_id, found.body)
        except ScheduleFault as fault:  # The API refuses such; only another version wrote it.
            return self._save_if_changed(found, replace(found, error=str(fault), due_at=None))
        almanac = self._specs.almanac_of(spec)
        row = found if is_seen else self._with_sighting(found, spec, almanac, now)
        hosted = self._hosted_workers.of(spec.hosts)
        self._resume_stranded(hosted)
        changes = self._changes(row, spec, almanac, hosted, now)
        next_look = wanted_switches.next_look_at(row, spec, almanac, now)
        for number, change in enumerate(changes, 1):
            # The workspace stays due until the last change is made, in case this process dies.
            row = replace(row, due_at=next_look if number == len(changes) else now)
            write = self._make(change, row, now)
            if write is None:
                continue
            if not write.won or write.workspace is None:
                return None
            row = write.workspace
        if row.revision != found.revision:
            found = row
        return self._save_if_changed(found, replace(row, due_at=next_look))

    def _resume_stranded(self, hosted: Hosted) -> None:
        """Resume workers that are drained for a stop that no longer drains them.

        The process that drained them was held up, and has died since or does not know yet.
        """
        stops = {stop_id: self._jobs.get(stop_id) for stop_id, _ in hosted.drains}
        for stop_id, worker_id in hosted.drains:
            if not lifecycle_jobs.drains(stops[stop_id], worker_id):
                self._hosted_workers.resume([worker_id], stop_id)

    def _save_if_changed(self, found: Workspace, row: Workspace) -> Workspace | None:
        if replace(row, looked_at=found.looked_at) == found:
            return found
        write = self._workspaces.save(row)
        return write.row if write.won else None

    def _with_sighting(
        self, row: Workspace, spec: WorkspaceSpec, almanac: Almanac, now: datetime
    ) -> Workspace:
        """Return the row with what its driver sees, unless one of its jobs is being executed."""
        if any(pending.at <= now for pending in row.pending.values()):
            return row
        try:
            sighting = self._specs.driver_of(spec).look(spec.driver, row.memory)
        except DriverError as error:
            logger.warning(
                "cannot be seen", extra={"workspace_id": row.workspace_id, "reason": str(error)}
            )
            return replace(row, error=f"its driver cannot see it: {error}", looked_at=now)
        return wanted_switches.with_sighting(row, sighting, spec, almanac, now)

    def _changes(
        self,
        row: Workspace,
        spec: WorkspaceSpec,
        almanac: Almanac,
        hosted: Hosted,
        now: datetime,
    ) -> list[Change]:
        changes = []
        for operation in Operation:
            pending = row.pending.get(operation)
            transition = wanted_switches.wanted_switch(row, operation, spec, almanac, hosted, now)
            if pending is None:
                if transition is not None:
                    changes.append(Change(operation, transition, None))
            elif pending.cause is Cause.MANUAL or pending.at <= now:
                continue  # The switcher has it by now.
            elif transition is not None:
                if (transition.at, transition.cause) != (pending.at, pending.cause):
                    changes.append(Change(operation, transition, pending))
            elif wanted_switches.scheduled_switch(row, operation, spec, almanac, now) is None:
                changes.append(Change(operation, None, pending))
        return changes

    def _make(self, change: Change, row: Workspace, now: datetime) -> LifecycleWrite | None:
        """Make one change; None if there was nothing to change after all."""
        if change.pending is None:
            assert change.transition is not None
            planned = lifecycle_jobs.planned(row, change.transition, self._new_id(), now)
            return self._jobs.insert_workspace_lifecycle_job(*planned)
        job = self._jobs.get(change.pending.job_id)
        if job is None:
            lost = lifecycle_jobs.lost_job(row, change.operation, change.pending, now)
            return self._jobs.insert_workspace_lifecycle_job(*lost)
        if job.has_ended:  # The row was read before that.
            return LifecycleWrite(False, job, None)
        if job.started_at is not None:
            return None
        if change.transition is None:
            return self._cancel(job, row, now)
        write = self._jobs.update_workspace_lifecycle_job_by_id(
            *lifecycle_jobs.moved(job, row, change.transition, now)
        )
        if write.won and write.job is not None:
            self._wake_ups.wake_lifecycle_job(write.job)
        return write

    def _cancel(self, job: LifecycleJob, row: Workspace, now: datetime) -> LifecycleWrite:
        self._hosted_workers.resume(job.drained, job.id)  # If one of its attempts has failed.
        write = self._jobs.update_workspace_lifecycle_job_with_cancel_by_id(
            lifecycle_jobs.cancelled(job, now), lifecycle_jobs.without_pending(row, job)
        )
        if write.won:
            self._logs.write(job, f"cancelled: nothing {job.operation}s the workspace any more")
        return write
