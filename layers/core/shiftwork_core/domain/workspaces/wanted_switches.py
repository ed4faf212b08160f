"""Decide which switch a workspace should have next and why, and when to check it again.

Every function takes rows as they were read and returns rows as they should be written.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shiftwork_core.domain.workspaces.records import (
    Cause,
    Desired,
    Operation,
    Sighting,
    Transition,
    Workspace,
    WorkspaceState,
)
from shiftwork_core.domain.workspaces.schedules import (
    Almanac,
    deadlines,
    next_edge,
    next_start,
    next_stop,
)
from shiftwork_core.domain.workspaces.specs import Hosts, WorkspaceSpec

#: How soon to check again a workspace that hosts workers, or that is starting or stopping.
LOOK_EVERY = timedelta(minutes=1)
#: How soon to check again a workspace that its driver could not see.
LOOK_AGAIN_AFTER_ERROR = timedelta(minutes=15)

_MOVING = (WorkspaceState.STARTING, WorkspaceState.STOPPING)
#: The states that an operation changes. A group that runs in part can go both ways.
_CHANGES = {
    Operation.START: (WorkspaceState.STOPPED, WorkspaceState.MIXED),
    Operation.STOP: (WorkspaceState.RUNNING, WorkspaceState.MIXED),
}


@dataclass(frozen=True, slots=True)
class Hosted:
    """The state of the workers that a workspace hosts.

    `waiting` is a job type that has a job waiting for them. `running` holds the builds of the live
    ones, `finished_at` is when the last build ended. `drains` pairs the id of a stop with the id of
    a worker that is drained for it, live or not.
    """

    waiting: str | None = None
    running: tuple[str, ...] = ()
    finished_at: datetime | None = None
    drains: tuple[tuple[str, str], ...] = ()

    @property
    def is_busy(self) -> bool:
        """Whether they build, or have a job to claim."""
        return self.waiting is not None or bool(self.running)


#: The hosted workers of a workspace that hosts none.
NOTHING_HOSTED = Hosted()


def with_sighting(
    workspace: Workspace,
    sighting: Sighting,
    spec: WorkspaceSpec,
    almanac: Almanac,
    now: datetime,
) -> Workspace:
    """Return the row with what its driver has just seen.

    A workspace that somebody else has started gets the time to live of a manual start.
    """
    # A sighting does not clear the error of failed jobs.
    error = workspace.error if workspace.failures else None
    row = replace(workspace, looked_at=now, detail=sighting.detail, error=error)
    if sighting.state is workspace.state:
        return row
    # It has changed since it was last seen. Do not take that to be now: the end of a window is
    # often what makes the scheduler look, and would then count as dealt with.
    known = [at for at in (workspace.changed_at, workspace.looked_at) if at is not None]
    changed_at = workspace.changed_at
    if workspace.state is not WorkspaceState.UNKNOWN:
        changed_at = max(known, default=now)
    row = replace(row, state=sighting.state, changed_at=changed_at, started_by=None)
    if sighting.state is WorkspaceState.RUNNING and workspace.state is not WorkspaceState.MIXED:
        latest = deadlines(spec.schedule, almanac, Cause.MANUAL, now)
        return replace(row, deadline=latest[0], max_deadline=latest[1])
    return replace(row, deadline=None, max_deadline=None) if _is_off(sighting.state) else row


def _is_off(state: WorkspaceState) -> bool:
    return state in (WorkspaceState.STOPPED, WorkspaceState.STOPPING)


def wanted_switch(
    workspace: Workspace,
    operation: Operation,
    spec: WorkspaceSpec,
    almanac: Almanac,
    hosted: Hosted,
    now: datetime,
) -> Transition | None:
    """Return when and why the workspace should be switched this way next.

    None if neither its schedule, its override nor its workers ask for it, or if the operation
    would change nothing.
    """
    if workspace.state not in _CHANGES[operation]:
        return None
    planned = scheduled_switch(workspace, operation, spec, almanac, now)
    hosting = _switch_for_workers(workspace, operation, spec, hosted, now)
    found = [t for t in (planned, hosting) if t is not None]
    if not found:
        return None
    first = min(found, key=lambda transition: transition.at)
    if workspace.blocked_until is not None and workspace.blocked_until > first.at:
        return replace(first, at=workspace.blocked_until)
    return first


def scheduled_switch(
    workspace: Workspace,
    operation: Operation,
    spec: WorkspaceSpec,
    almanac: Almanac,
    now: datetime,
) -> Transition | None:
    """Return when the schedule or an override switches it this way next, whatever its state."""
    row = _past_skipped(workspace, operation)
    find = next_start if operation is Operation.START else next_stop
    return find(spec.schedule, almanac, row, now)


def _past_skipped(workspace: Workspace, operation: Operation) -> Workspace:
    """Return the row as if it had last changed when the switch that somebody cancelled was due."""
    until = workspace.skipped.get(operation)
    if until is None:
        return workspace
    row = workspace
    if row.changed_at is None or row.changed_at < until:
        row = replace(row, changed_at=until)
    if row.deadline is not None and row.deadline <= until:
        row = replace(row, deadline=None)
    if row.max_deadline is not None and row.max_deadline <= until:
        row = replace(row, max_deadline=None)
    return row


def _switch_for_workers(
    workspace: Workspace,
    operation: Operation,
    spec: WorkspaceSpec,
    hosted: Hosted,
    now: datetime,
) -> Transition | None:
    """Return the switch that the hosted workers call for: one that is due now, or none.

    An idle stop in the future would move with every build, so it is planned when its time comes.
    """
    if spec.hosts is None:
        return None
    override = (
        workspace.override if workspace.override and workspace.override.is_active(now) else None
    )
    if operation is Operation.START:
        if hosted.waiting is None or (override and override.desired is Desired.OFF):
            return None
        return Transition(operation, now, Cause.WORK, f"jobs of type {hosted.waiting} wait")
    idle_at = idle_until(workspace, spec.hosts, hosted)
    if idle_at is None or idle_at > now or (override and override.desired is Desired.ON):
        return None
    reason = f"its workers have had nothing to do for {spec.hosts.idle_timeout_s:g} s"
    return Transition(operation, idle_at, Cause.IDLE, reason)


def idle_until(workspace: Workspace, hosts: Hosts, hosted: Hosted) -> datetime | None:
    """Return when the idle timeout ends; None if the workspace is busy or has no such timeout."""
    if hosts.idle_timeout_s is None or hosted.is_busy or workspace.changed_at is None:
        return None
    since = [workspace.changed_at, hosted.finished_at, workspace.skipped.get(Operation.STOP)]
    return max(at for at in since if at is not None) + timedelta(seconds=hosts.idle_timeout_s)


def next_look_at(
    workspace: Workspace, spec: WorkspaceSpec, almanac: Almanac, now: datetime
) -> datetime | None:
    """Return when the scheduler should check the workspace again, if nothing happens before.

    The end of a job and a change by people make it due at once.
    """
    times = [next_edge(spec.schedule, almanac, workspace, now)]
    if spec.hosts is not None or workspace.state in _MOVING:
        times.append(now + LOOK_EVERY)
    if workspace.state is WorkspaceState.UNKNOWN or workspace.error is not None:
        times.append(now + LOOK_AGAIN_AFTER_ERROR)
    return min((at for at in times if at is not None), default=None)
