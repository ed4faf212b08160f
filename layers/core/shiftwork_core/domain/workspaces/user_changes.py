"""Apply people's changes to a workspace: definition, override, deadline, requested switch.

Every function takes the row as it was read and returns the row as it should be written.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.times import to_iso
from shiftwork_core.domain.workspaces.lifecycle_jobs import refers_to, without_pending
from shiftwork_core.domain.workspaces.lifetimes import bumped
from shiftwork_core.domain.workspaces.records import (
    Cause,
    Desired,
    LifecycleJob,
    Operation,
    Override,
    Transition,
    Workspace,
    WorkspaceState,
)
from shiftwork_core.domain.workspaces.schedule_bodies import Schedule
from shiftwork_core.errors import Conflict, FaultAt, Invalid

#: A deadline that somebody sets is at least so far ahead (the original's rule).
MIN_DEADLINE_AHEAD = timedelta(minutes=30)


def defined(workspace_id: str, body: JsonObject, now: datetime) -> Workspace:
    """Return a new workspace."""
    return Workspace(workspace_id, body, created_at=now, updated_at=now, due_at=now)


def redefined(row: Workspace, body: JsonObject, now: datetime) -> Workspace:
    """Return the row with another body, without failures or cancelled switches.

    If it switches another target now, what was known of the old one is forgotten.
    """
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


def by_hand(operation: Operation, now: datetime) -> Transition:
    """Return the switch that somebody asks for now."""
    return Transition(operation, now, Cause.MANUAL, "somebody asked for it")


def without_opposing_override(row: Workspace, operation: Operation, now: datetime) -> Workspace:
    """Return the row without an override that keeps the workspace from the operation."""
    override = row.override
    kept_off = Desired.OFF if operation is Operation.START else Desired.ON
    is_opposed = override is not None and override.is_active(now) and override.desired is kept_off
    return replace(row, override=None) if is_opposed else row


def with_cancelled(row: Workspace, job: LifecycleJob, now: datetime) -> Workspace:
    """Return the row after somebody has cancelled a job: the schedule skips that switch."""
    if not refers_to(row, job):
        # Write it as it is: somebody who adds the job to it meanwhile must lose.
        return row
    skipped = {**row.skipped, job.operation: max(job.deadline, now)}
    return replace(without_pending(row, job), skipped=skipped, due_at=now)


def with_override(row: Workspace, override: Override, now: datetime) -> Workspace:
    """Return the row with an override; one that holds and says the same keeps its beginning."""
    held = row.override
    if held is None or not (held.is_active(now) and override.is_active(now)):
        return replace(row, override=override)
    is_same = replace(held, since=override.since) == override
    return row if is_same else replace(row, override=override)


def without_override(row: Workspace, now: datetime) -> Workspace:
    """Return the row whose override, if it has one, has ended or will not begin."""
    override = row.override
    if override is None or not override.is_active(now):
        # One that is over stays: the scheduler may not have acted on its end yet.
        is_ahead = override is not None and override.since > now
        return replace(row, override=None) if is_ahead else row
    return replace(row, override=replace(override, until=now))


def with_activity(row: Workspace, schedule: Schedule, now: datetime) -> Workspace:
    """Return the row with its deadline moved up, if the workspace runs."""
    if row.state is not WorkspaceState.RUNNING:
        return row
    return replace(row, deadline=bumped(schedule, row, now))


def with_deadline(row: Workspace, deadline: datetime, now: datetime) -> Workspace:
    """Return the row with another deadline.

    Raises
    ------
    Conflict
        If the workspace does not run.
    Invalid
        If the time is too near, or beyond the workspace's maximum.
    """
    if row.state is not WorkspaceState.RUNNING:
        raise Conflict(
            f"workspace {row.workspace_id} is {row.state}, so there is no stop to move",
            f"start it first: POST /v1/workspaces/{row.workspace_id}/start",
        )
    earliest = now + MIN_DEADLINE_AHEAD
    if deadline < earliest:
        fault = FaultAt("deadline", f"must be at {to_iso(earliest)} or later")
        raise Invalid(
            "the deadline is less than 30 minutes ahead",
            [fault],
            f"to stop it now: POST /v1/workspaces/{row.workspace_id}/stop",
        )
    if row.max_deadline is not None and deadline > row.max_deadline:
        fault = FaultAt("deadline", f"must be at {to_iso(row.max_deadline)} or sooner")
        raise Invalid("the workspace may not run so long", [fault], "see max_lifetime_s")
    return replace(row, deadline=deadline)
