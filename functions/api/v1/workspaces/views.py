"""What the routes of workspaces return: the shapes, and the views of workspaces and jobs."""

from __future__ import annotations

from typing import Any, Literal

from answers import Output, Timestamp
from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.times import iso_or_none, to_iso
from shiftwork_core.domain.workspaces.records import (
    LifecycleJob,
    LifecycleLog,
    Override,
    Transition,
    Workspace,
)
from shiftwork_core.domain.workspaces.schedules import Skipped
from shiftwork_core.services.workspaces import explain
from shiftwork_core.services.workspaces.dry_run import DryRun

OperationName = Literal["start", "stop"]
CauseName = Literal["schedule", "deadline", "override", "manual", "work", "idle"]
StateName = Literal["running", "stopped", "starting", "stopping", "mixed", "unknown"]
JobStateName = Literal["pending", "running", "completed", "failed", "cancelled"]


class OverrideAnswer(Output):
    """Whether a workspace is kept on or off for a while, and why."""

    desired: Literal["on", "off"]
    since: Timestamp
    until: Timestamp
    reason: str


class PendingAnswer(Output):
    """The lifecycle job that switches a workspace next."""

    job_id: str
    at: Timestamp
    cause: CauseName


class PendingAnswers(Output):
    """The jobs that have not ended, one for each operation."""

    start: PendingAnswer | None = None
    stop: PendingAnswer | None = None


class WorkspaceAnswer(Output):
    """A workspace: what was last seen of it, what is planned, and its definition."""

    workspace_id: str
    state: StateName
    changed_at: Timestamp | None
    started_by: CauseName | None
    deadline: Timestamp | None
    max_deadline: Timestamp | None
    override: OverrideAnswer | None
    pending: PendingAnswers
    failures: int
    blocked_until: Timestamp | None
    error: str | None
    detail: str
    looked_at: Timestamp | None
    created_at: Timestamp
    updated_at: Timestamp
    definition: dict[str, Any]


class WorkspacePage(Output):
    """Some workspaces, by id."""

    items: list[WorkspaceAnswer]
    next_token: str | None


class LifecycleJobAnswer(Output):
    """One planned start or stop."""

    id: str
    workspace_id: str
    operation: OperationName
    state: JobStateName
    deadline: Timestamp
    cause: CauseName
    reason: str
    attempt: int
    created_at: Timestamp
    updated_at: Timestamp
    started_at: Timestamp | None
    cancelled_at: Timestamp | None
    completed_at: Timestamp | None
    error: str | None
    due_at: Timestamp | None


class LifecycleJobPage(Output):
    """Some lifecycle jobs, newest first. A page may be empty and not be the last."""

    items: list[LifecycleJobAnswer]
    next_token: str | None


class LifecycleLogAnswer(Output):
    """A line of a lifecycle job's log."""

    id: str
    job_id: str
    created_at: Timestamp
    level: Literal["trace", "debug", "info", "warn", "error"]
    output: str


class LifecycleLogPage(Output):
    """All lines, oldest first."""

    items: list[LifecycleLogAnswer]
    next_token: None


class DryRunAnswer(Output):
    """What a switch would do now."""

    state: StateName
    detail: str
    calls: list[str]


class PlanEntry(Output):
    """A switch to come, or one that is left out, and why."""

    at: Timestamp
    operation: OperationName | None
    cause: CauseName | None
    reason: str
    is_left_out: bool


class PlanAnswer(Output):
    """The switches to come and those left out, in order of time."""

    items: list[PlanEntry]


class NextSwitch(Output):
    """What switches a workspace next, and why."""

    operation: OperationName
    at: Timestamp
    cause: CauseName
    reason: str


class LeftOut(Output):
    """A switch of the schedule that does not happen."""

    at: Timestamp
    reason: str


class LatestJob(Output):
    """A lifecycle job in short."""

    id: str
    operation: OperationName
    state: JobStateName
    deadline: Timestamp
    reason: str
    error: str | None


class WorkspaceExplanation(Output):
    """Why a workspace is on or off, and when that changes."""

    workspace_id: str
    state: StateName
    summary: str
    next: list[NextSwitch]
    blocked_by: list[str]
    left_out: list[LeftOut]
    latest_jobs: list[LatestJob]


def view(row: Workspace, override: Override | None) -> JsonObject:
    """Return a workspace as callers see it, with the override that is not over."""
    return {
        "workspace_id": row.workspace_id,
        "state": row.state.value,
        "changed_at": iso_or_none(row.changed_at),
        "started_by": None if row.started_by is None else row.started_by.value,
        "deadline": iso_or_none(row.deadline),
        "max_deadline": iso_or_none(row.max_deadline),
        "override": None if override is None else _override_view(override),
        "pending": {
            operation.value: {
                "job_id": pending.job_id,
                "at": to_iso(pending.at),
                "cause": pending.cause.value,
            }
            for operation, pending in sorted(row.pending.items())
        },
        "failures": row.failures,
        "blocked_until": iso_or_none(row.blocked_until),
        "error": row.error,
        "detail": row.detail,
        "looked_at": iso_or_none(row.looked_at),
        "created_at": to_iso(row.created_at),
        "updated_at": to_iso(row.updated_at),
        "definition": row.body,
    }


def _override_view(override: Override) -> JsonObject:
    return {
        "desired": override.desired.value,
        "since": to_iso(override.since),
        "until": to_iso(override.until),
        "reason": override.reason,
    }


def job_view(job: LifecycleJob) -> JsonObject:
    """Return a lifecycle job as callers see it, without how it is executed."""
    return {
        "id": job.id,
        "workspace_id": job.workspace_id,
        "operation": job.operation.value,
        "state": job.state.value,
        "deadline": to_iso(job.deadline),
        "cause": job.cause.value,
        "reason": job.reason,
        "attempt": job.attempt,
        "created_at": to_iso(job.created_at),
        "updated_at": to_iso(job.updated_at),
        "started_at": iso_or_none(job.started_at),
        "cancelled_at": iso_or_none(job.cancelled_at),
        "completed_at": iso_or_none(job.completed_at),
        "error": job.error,
        "due_at": iso_or_none(job.due_at),
    }


def log_view(line: LifecycleLog) -> JsonObject:
    """Return a line of a lifecycle job's log."""
    return {
        "id": line.id,
        "job_id": line.job_id,
        "created_at": to_iso(line.created_at),
        "level": line.level.value,
        "output": line.output,
    }


def dry_run_view(would: DryRun) -> JsonObject:
    """Return what a switch would do now."""
    return {"state": would.state.value, "detail": would.detail, "calls": would.calls}


def plan_view(entry: Transition | Skipped) -> JsonObject:
    """Return a switch to come, or one that is left out."""
    if isinstance(entry, Skipped):
        switch: JsonObject = {"operation": None, "cause": None}
    else:
        switch = {"operation": entry.operation.value, "cause": entry.cause.value}
    return {
        "at": to_iso(entry.at),
        **switch,
        "reason": entry.reason,
        "is_left_out": isinstance(entry, Skipped),
    }


def explanation_view(found: explain.WorkspaceExplanation) -> JsonObject:
    """Return why a workspace is on or off, and when that changes."""
    return {
        "workspace_id": found.workspace.workspace_id,
        "state": found.workspace.state.value,
        "summary": found.summary,
        "next": [
            {
                "operation": transition.operation.value,
                "at": to_iso(transition.at),
                "cause": transition.cause.value,
                "reason": transition.reason,
            }
            for transition in found.next
        ],
        "blocked_by": found.blocked_by,
        "left_out": [{"at": to_iso(entry.at), "reason": entry.reason} for entry in found.left_out],
        "latest_jobs": [
            {
                "id": job.id,
                "operation": job.operation.value,
                "state": job.state.value,
                "deadline": to_iso(job.deadline),
                "reason": job.reason,
                "error": job.error,
            }
            for job in found.latest_jobs
        ],
    }
