"""Workspaces and lifecycle jobs for contract tests, and helpers that write them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from shiftwork_core.domain.workspaces.records import (
    Cause,
    Desired,
    JobState,
    LifecycleJob,
    LifecycleLog,
    LogLevel,
    Operation,
    Override,
    Pending,
    Workspace,
    WorkspaceState,
)
from tests.contract.store.rows import LEASE, NOW, SECOND, Stores

MILLISECOND = timedelta(milliseconds=1)

FULL = Workspace(
    workspace_id="w1",
    body={"driver": {"type": "ecs", "services": ["api", "Übersicht"]}, "ttl_s": 3600.5},
    created_at=NOW,
    updated_at=NOW + MILLISECOND,
    state=WorkspaceState.MIXED,
    changed_at=NOW + 2 * SECOND,
    looked_at=NOW + 3 * SECOND,
    detail="api läuft, worker nicht",
    started_by=Cause.MANUAL,
    deadline=NOW + 4 * SECOND,
    max_deadline=NOW + 5 * SECOND,
    override=Override(Desired.OFF, NOW + 6 * SECOND, NOW + 7 * SECOND, "Ferien"),
    pending={
        Operation.START: Pending("j1", NOW + 8 * SECOND, Cause.WORK),
        Operation.STOP: Pending("j2", NOW + 9 * SECOND, Cause.IDLE),
    },
    failures=3,
    blocked_until=NOW + 10 * SECOND,
    skipped={Operation.STOP: NOW + 12 * SECOND},
    error="access denied",
    memory={"desired_count": {"api": 2}},
    due_at=NOW + 11 * SECOND,
)
BARE = Workspace("w1", {}, NOW, NOW)

FULL_JOB = LifecycleJob(
    id="j1",
    workspace_id="w1",
    operation=Operation.STOP,
    deadline=NOW + SECOND,
    created_at=NOW,
    updated_at=NOW + MILLISECOND,
    cause=Cause.DEADLINE,
    reason="läuft seit 8 h",
    started_at=NOW + 2 * SECOND,
    cancelled_at=NOW + 3 * SECOND,
    completed_at=NOW + 4 * SECOND,
    error="nobody answers",
    attempt=2,
    due_at=NOW + 5 * SECOND,
    claim_id="c1",
    asked_at=NOW + 6 * SECOND,
    drain_until=NOW + 7 * SECOND,
    drained=("host-1", "host-2"),
)


#: What a job in each state has besides its plan.
ENDS: dict[JobState, dict[str, Any]] = {
    JobState.PENDING: {},
    JobState.RUNNING: {"started_at": NOW},
    JobState.COMPLETED: {"started_at": NOW, "completed_at": NOW},
    JobState.FAILED: {"started_at": NOW, "completed_at": NOW, "error": "broken"},
    JobState.CANCELLED: {"cancelled_at": NOW},
}


def a_workspace(workspace_id: str = "w1", **values: Any) -> Workspace:
    """Return a workspace that nobody has looked at."""
    return replace(BARE, workspace_id=workspace_id, **values)


def a_job(job_id: str = "j1", workspace_id: str = "w1", **values: Any) -> LifecycleJob:
    """Return a job that is due now, unless `values` say otherwise."""
    given: dict[str, Any] = {
        "operation": Operation.START,
        "deadline": NOW,
        "created_at": NOW,
        "updated_at": NOW,
        "cause": Cause.SCHEDULE,
        "due_at": NOW,
    }
    return LifecycleJob(job_id, workspace_id, **(given | values))


def a_line(number: int = 1, job_id: str = "j1", **values: Any) -> LifecycleLog:
    """Return a line of a job's log."""
    given: dict[str, Any] = {"created_at": NOW, "level": LogLevel.INFO, "output": "started"}
    return LifecycleLog(f"l{number}", job_id, **(given | values))


def naming(workspace: Workspace, job: LifecycleJob) -> Workspace:
    """Return the workspace with a pending job."""
    pending = Pending(job.id, job.deadline, job.cause)
    return replace(workspace, pending={**workspace.pending, job.operation: pending})


def saved(stores: Stores, workspace: Workspace) -> Workspace:
    """Write a workspace; return it as it is read."""
    write = stores.workspaces.save(workspace)
    assert write.won and write.row is not None
    return write.row


def inserted(stores: Stores, job: LifecycleJob | None = None, **values: Any) -> LifecycleJob:
    """Write a job as it is given, and its workspace; return it as it is read."""
    job = a_job(**values) if job is None else job
    workspace = stores.workspaces.get(job.workspace_id) or a_workspace(job.workspace_id)
    both = stores.lifecycle_jobs.insert_workspace_lifecycle_job(job, naming(workspace, job))
    assert both.won and both.job is not None
    return both.job


def updated(stores: Stores, job: LifecycleJob, **values: Any) -> LifecycleJob:
    """Change a job; return it as it is read."""
    changed = replace(job, **values)
    both = stores.lifecycle_jobs.update_workspace_lifecycle_job_by_id(changed)
    assert both.won and both.job is not None
    return both.job


def acquire(
    stores: Stores, claim_id: str = "c1", job_id: str | None = None, **values: Any
) -> LifecycleJob | None:
    """Claim a job that is due now."""
    given: dict[str, Any] = {"now": NOW, "lease_until": NOW + LEASE}
    return stores.lifecycle_jobs.acquire_workspace_lifecycle_job(
        claim_id=claim_id, job_id=job_id, **(given | values)
    )
