"""The scheduler of workspaces: sees to it that each has the lifecycle jobs that it should have.

It looks at a workspace when that is due: after a change by people, after a job of its ended, at the
ends of its windows, and each minute if it hosts workers. So a tick costs what is due, however many
workspaces there are.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from shiftwork_core.domain.workspaces import lifecycle
from shiftwork_core.domain.workspaces.lifecycle import Hosted, WorkspaceSpec
from shiftwork_core.domain.workspaces.records import (
    Cause,
    LifecycleJob,
    Operation,
    Pending,
    Transition,
    Workspace,
)
from shiftwork_core.domain.workspaces.schedules import Almanac, Schedule, ScheduleFault
from shiftwork_core.errors import Throttled, Transient
from shiftwork_core.optimistic import Lost, write_until_won_from
from shiftwork_core.ports.workspaces import (
    Both,
    DriverError,
    DriverFor,
    LifecycleJobStore,
    WorkspaceStore,
)
from shiftwork_core.ports.world import Clock, NewId, SideBySide
from shiftwork_core.services.workspaces.hosted_workers import HostedWorkers
from shiftwork_core.services.workspaces.logs import LifecycleLogs
from shiftwork_core.services.workspaces.wake import LifecycleWakeUps

logger = logging.getLogger("shiftwork.workspaces")

#: What one tick takes on; the rest is found by the next.
MAX_PER_TICK = 1000
_AT_ONCE = 16

#: Returns what a workspace's schedule is reckoned with.
AlmanacFor = Callable[[Schedule], Almanac]


@dataclass(frozen=True, slots=True)
class Change:
    """A job to plan, to move, or to cancel because there is nothing any more that it is for."""

    operation: Operation
    transition: Transition | None
    pending: Pending | None


class WorkspaceScheduler:
    """Plans, moves and cancels lifecycle jobs. Any number may run at once."""

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
        side_by_side: SideBySide,
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
        self._side_by_side = side_by_side
        self._clock = clock
        self._new_id = new_id

    def tick(self) -> int:
        """Look at every workspace that is due; return how many. One bad one stops no other."""
        due = self._workspaces.due(self._clock(), MAX_PER_TICK)
        for start in range(0, len(due), _AT_ONCE):
            calls = {key: self._looking(key) for key in due[start : start + _AT_ONCE]}
            for _ in self._side_by_side(calls, lambda: 1.0):
                pass
        return len(due)

    def _looking(self, workspace_id: str) -> Callable[[], None]:
        def look() -> None:
            try:
                self.look_at(workspace_id)
            except Transient as error:
                logger.warning(
                    "left for the next tick",
                    extra={"workspace_id": workspace_id, "reason": str(error)},
                )
            except Exception:
                logger.exception("cannot be planned", extra={"workspace_id": workspace_id})

        return look

    def look_at(self, workspace_id: str, seen: Workspace | None = None) -> Workspace | None:
        """Give a workspace the jobs that it should have; return it, None if there is none.

        Safe to repeat, and to do twice at once: each write is under the revision of the row that
        it was reckoned from.

        Parameters
        ----------
        seen
            Its row, written just now with what its driver sees: neither is looked at again.

        Raises
        ------
        Transient
            If the tables cannot be reached, or others wrote the row every time.
        """

        def attempt(seen: Workspace | None) -> Workspace | Lost[Workspace | None] | None:
            found = seen or self._workspaces.get(workspace_id)
            if found is None:
                return None
            settled = self._settle(found, self._clock(), is_seen=seen is not None)
            return Lost(None) if settled is None else settled

        busy = Throttled(f"workspace {workspace_id} is being changed by many at once")
        return write_until_won_from(seen, attempt, busy=busy)

    def _settle(self, found: Workspace, now: datetime, *, is_seen: bool) -> Workspace | None:
        """Make every change that is needed; None if somebody else wrote a row meanwhile."""
        try:
            spec = WorkspaceSpec.from_body(found.workspace_id, found.body)
        except ScheduleFault as fault:  # The API refuses such; only another version wrote it.
            return self._saved(found, replace(found, error=str(fault), due_at=None))
        almanac = self._almanac_for(spec.schedule)
        row = found if is_seen else self._seen(found, spec, almanac, now)
        hosted = self._hosted_workers.of(spec.hosts)
        self._resume_left(hosted)
        changes = self._changes(row, spec, almanac, hosted, now)
        next_look = lifecycle.look_next(row, spec, almanac, now)
        for number, change in enumerate(changes, 1):
            # Until the last of them is made the workspace is due, should this process die.
            row = replace(row, due_at=next_look if number == len(changes) else now)
            both = self._make(change, row, now)
            if both is None:
                continue
            if not both.won or both.workspace is None:
                return None
            row = both.workspace
        if row.revision != found.revision:
            found = row
        return self._saved(found, replace(row, due_at=next_look))

    def _resume_left(self, hosted: Hosted) -> None:
        """Resume workers that are drained for a stop that drains them no more.

        Whoever drained them was held up as it did so, and has died since, or does not know yet.
        """
        stops = {stop_id: self._jobs.get(stop_id) for stop_id, _ in hosted.drains}
        for stop_id, worker_id in hosted.drains:
            if not lifecycle.drains(stops[stop_id], worker_id):
                self._hosted_workers.resume([worker_id], stop_id)

    def _saved(self, found: Workspace, row: Workspace) -> Workspace | None:
        """Write the row if it says anything new."""
        if replace(row, looked_at=found.looked_at) == found:
            return found
        write = self._workspaces.save(row)
        return write.row if write.won else None

    def _seen(
        self, row: Workspace, spec: WorkspaceSpec, almanac: Almanac, now: datetime
    ) -> Workspace:
        """Return the row with what its driver sees, unless an executor has it in hand."""
        if any(pending.at <= now for pending in row.pending.values()):
            return row
        try:
            driver = self._driver_for(str(spec.driver["type"]))
            sighting = driver.look(spec.driver, row.memory)
        except DriverError as error:
            logger.warning(
                "cannot be seen", extra={"workspace_id": row.workspace_id, "reason": str(error)}
            )
            return replace(row, error=f"its driver cannot see it: {error}", looked_at=now)
        return lifecycle.seen(row, sighting, spec, almanac, now)

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
            transition = lifecycle.wanted(row, operation, spec, almanac, hosted, now)
            if pending is None:
                if transition is not None:
                    changes.append(Change(operation, transition, None))
            elif pending.cause is Cause.MANUAL or pending.at <= now:
                continue  # It is with the executor.
            elif transition is not None:
                if (transition.at, transition.cause) != (pending.at, pending.cause):
                    changes.append(Change(operation, transition, pending))
            elif lifecycle.by_schedule(row, operation, spec, almanac, now) is None:
                changes.append(Change(operation, None, pending))
        return changes

    def _make(self, change: Change, row: Workspace, now: datetime) -> Both | None:
        """Make one change; None if there was nothing to change after all."""
        if change.pending is None:
            assert change.transition is not None
            planned = lifecycle.planned(row, change.transition, self._new_id(), now)
            return self._jobs.insert_workspace_lifecycle_job(*planned)
        job = self._jobs.get(change.pending.job_id)
        if job is None:
            gone = lifecycle.missing(row, change.operation, change.pending, now)
            return self._jobs.insert_workspace_lifecycle_job(*gone)
        if job.has_ended:  # The row was read before that.
            return Both(False, job, None)
        if job.started_at is not None:
            return None
        if change.transition is None:
            return self._cancel(job, row, now)
        both = self._jobs.update_workspace_lifecycle_job_by_id(
            *lifecycle.moved(job, row, change.transition, now)
        )
        if both.won and both.job is not None:
            self._wake_ups.wake_lifecycle_job(both.job)
        return both

    def _cancel(self, job: LifecycleJob, row: Workspace, now: datetime) -> Both:
        self._hosted_workers.resume(job.drained, job.id)  # If a try of it has failed.
        both = self._jobs.update_workspace_lifecycle_job_with_cancel_by_id(
            lifecycle.cancelled(job, now), lifecycle.without_pending(row, job)
        )
        if both.won:
            self._logs.write(job, f"cancelled: nothing {job.operation}s the workspace any more")
        return both
