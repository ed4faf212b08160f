"""Change the rows of a lifecycle job and of its workspace: plan, move, postpone, retry, end.

Every function takes rows as they were read and returns rows as they should be written. One
transaction writes a job and its workspace under both revisions, so no rule here has to consider a
concurrent writer.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from shiftwork_core.domain.backoff import doubled
from shiftwork_core.domain.requests.backoff import Draw, RetryPolicy
from shiftwork_core.domain.times import to_iso
from shiftwork_core.domain.workspaces.records import (
    LifecycleJob,
    Operation,
    Pending,
    Sighting,
    Transition,
    Workspace,
)
from shiftwork_core.domain.workspaces.schedules import Almanac, deadlines
from shiftwork_core.domain.workspaces.specs import WorkspaceSpec

#: After a failed job no other is planned for so long, doubled with each failure that follows.
FIRST_BLOCK = timedelta(minutes=5)
LONGEST_BLOCK = timedelta(hours=6)


def planned(
    workspace: Workspace, transition: Transition, job_id: str, now: datetime
) -> tuple[LifecycleJob, Workspace]:
    """Return the pending job of a transition, and the workspace that refers to it."""
    job = LifecycleJob(
        id=job_id,
        workspace_id=workspace.workspace_id,
        operation=transition.operation,
        deadline=transition.at,
        created_at=now,
        updated_at=now,
        cause=transition.cause,
        reason=transition.reason,
        due_at=transition.at,
    )
    pending = Pending(job_id, transition.at, transition.cause)
    return job, with_pending(workspace, transition.operation, pending)


def moved(
    job: LifecycleJob, workspace: Workspace, transition: Transition, now: datetime
) -> tuple[LifecycleJob, Workspace]:
    """Return a pending job at another deadline, and the workspace that refers to it.

    It forgets failed attempts, and the workers it has drained: the caller resumes those.
    """
    job = replace(
        job,
        attempt=0,
        error=None,
        drained=(),
        drain_until=None,
        deadline=transition.at,
        due_at=transition.at,
        cause=transition.cause,
        reason=transition.reason,
        updated_at=now,
    )
    pending = Pending(job.id, transition.at, transition.cause)
    return job, with_pending(workspace, job.operation, pending)


def postponed(
    job: LifecycleJob, workspace: Workspace, transition: Transition, now: datetime
) -> tuple[LifecycleJob, Workspace]:
    """Return a claimed job, moved to another deadline, and its workspace, due for a look.

    An attempt that was cut off may have switched the workspace; the look finds its real state.
    """
    row = replace(workspace, due_at=_due_by(workspace, now))
    return moved(started_over(job, now), row, transition, now)


def cancelled(job: LifecycleJob, now: datetime) -> LifecycleJob:
    """Return the job, cancelled."""
    return replace(job, cancelled_at=now, updated_at=now, due_at=None, claim_id=None)


def with_pending(workspace: Workspace, operation: Operation, pending: Pending) -> Workspace:
    """Return the workspace with this pending job of the operation."""
    return replace(workspace, pending={**workspace.pending, operation: pending})


def without_pending(workspace: Workspace, job: LifecycleJob) -> Workspace:
    """Return the workspace without the job."""
    kept = {op: pending for op, pending in workspace.pending.items() if pending.job_id != job.id}
    return replace(workspace, pending=kept)


def refers_to(workspace: Workspace, job: LifecycleJob) -> bool:
    """Whether the workspace has the job as its pending job of that operation."""
    pending = workspace.pending.get(job.operation)
    return pending is not None and pending.job_id == job.id


def precedes_opposite(workspace: Workspace, job: LifecycleJob) -> bool:
    """Whether this job runs before the pending one of the opposite operation, if there is one.

    Two at once would undo each other's work. The one with the earlier deadline runs first.
    """
    other = workspace.pending.get(job.operation.opposite)
    return other is None or (job.deadline, job.operation) < (other.at, job.operation.opposite)


def lost_job(
    workspace: Workspace, operation: Operation, pending: Pending, now: datetime
) -> tuple[LifecycleJob, Workspace]:
    """Return a cancelled stand-in for a pending job without a row, and its workspace without it.

    Insert both. If somebody is writing the job just now, the insert fails, and the job exists.
    """
    job = LifecycleJob(
        id=pending.job_id,
        workspace_id=workspace.workspace_id,
        operation=operation,
        deadline=pending.at,
        created_at=now,
        updated_at=now,
        cause=pending.cause,
        reason="its row was lost",
        cancelled_at=now,
    )
    return job, without_pending(workspace, job)


def marked_asked(job: LifecycleJob, now: datetime) -> LifecycleJob:
    """Return the job as it must be written before its driver is asked to switch."""
    return replace(job, asked_at=now, updated_at=now)


def released(job: LifecycleJob, due_at: datetime, now: datetime) -> LifecycleJob:
    """Return the job without its claim, due again at a time; no attempt is used up."""
    attempt = job.attempt if job.asked_at is not None else job.attempt - 1
    return replace(job, due_at=due_at, claim_id=None, attempt=attempt, updated_at=now)


def drains(stop: LifecycleJob | None, worker_id: str) -> bool:
    """Whether a stop still drains a worker. It says so in its row before it drains any."""
    return stop is not None and not stop.has_ended and worker_id in stop.drained


def started_over(job: LifecycleJob, now: datetime) -> LifecycleJob:
    """Return the job, due now, as if nothing had been done for it yet."""
    return replace(
        job,
        started_at=None,
        claim_id=None,
        asked_at=None,
        attempt=0,
        error=None,
        drain_until=None,
        due_at=now,
        updated_at=now,
    )


def look_delay(job: LifecycleJob, now: datetime) -> timedelta:
    """Return how long to wait before checking again a workspace that was asked to switch.

    Most switch within seconds; the others take minutes.
    """
    since = timedelta(0) if job.asked_at is None else now - job.asked_at
    return min(max(since / 2, timedelta(seconds=2)), timedelta(seconds=30))


def retried(
    job: LifecycleJob, error: str, retry: RetryPolicy, now: datetime, draw: Draw
) -> LifecycleJob:
    """Return the job after a failed attempt, pending until the next."""
    delay_s = retry.delay_after(max(job.attempt, 1), draw)
    return replace(
        job,
        started_at=None,
        claim_id=None,
        asked_at=None,
        error=error,
        due_at=now + timedelta(seconds=delay_s),
        updated_at=now,
    )


def succeeded(
    job: LifecycleJob,
    workspace: Workspace,
    spec: WorkspaceSpec,
    almanac: Almanac,
    sighting: Sighting,
    now: datetime,
) -> tuple[LifecycleJob, Workspace]:
    """Return both rows once the workspace is in the job's goal state.

    The workspace is due at once, so that its next job is planned.
    """
    done = _ended(job, now, None)
    goal = job.operation.goal
    row = replace(
        without_pending(workspace, job),
        failures=0,
        blocked_until=None,
        error=None,
        looked_at=now,
        detail=sighting.detail,
        due_at=_due_by(workspace, now),
    )
    if workspace.state is goal:
        return done, row
    cause, deadline, latest = None, None, None
    # A stop counts from its deadline: a window that opens while it waits for builds still counts.
    changed_at = min(now, max(job.deadline, workspace.changed_at or job.deadline))
    if job.operation is Operation.START:
        cause, changed_at = job.cause, now
        deadline, latest = deadlines(spec.schedule, almanac, cause, now, job.deadline)
    return done, replace(
        row,
        state=goal,
        changed_at=changed_at,
        started_by=cause,
        deadline=deadline,
        max_deadline=latest,
    )


def failed(
    job: LifecycleJob, workspace: Workspace, error: str, now: datetime
) -> tuple[LifecycleJob, Workspace]:
    """Return both rows of a job that has failed. Nothing is planned for a while, ever longer."""
    failures = workspace.failures + 1
    block_s = min(doubled(FIRST_BLOCK.total_seconds(), failures), LONGEST_BLOCK.total_seconds())
    row = replace(
        without_pending(workspace, job),
        failures=failures,
        blocked_until=now + timedelta(seconds=block_s),
        error=f"{job.operation} failed at {to_iso(now)}: {error}",
        due_at=_due_by(workspace, now),
    )
    return _ended(job, now, error), row


def _due_by(workspace: Workspace, now: datetime) -> datetime:
    """Return a due time that has come: the present one if it has, to spare a write of the index."""
    return now if workspace.due_at is None else min(workspace.due_at, now)


def _ended(job: LifecycleJob, now: datetime, error: str | None) -> LifecycleJob:
    return replace(job, completed_at=now, updated_at=now, error=error, due_at=None, claim_id=None)
