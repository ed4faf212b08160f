"""What the API answers of workspaces and lifecycle jobs. Times are ISO 8601 UTC texts."""

from __future__ import annotations

from typing import Literal, TypedDict

from shiftwork.api.task_shapes import JsonObject

Operation = Literal["start", "stop"]
Desired = Literal["on", "off"]


class Override(TypedDict):
    """From `since` until `until` the workspace is kept on, or off, whatever its schedule says."""

    desired: Desired
    since: str
    until: str
    reason: str


class PendingJob(TypedDict):
    """The lifecycle job that switches a workspace next, and when; `cause` is why, in a word."""

    job_id: str
    at: str
    cause: str


class Workspace(TypedDict):
    """A workspace as it was last seen.

    `state` is `running`, `stopped`, `starting`, `stopping`, `mixed` or `unknown`. `deadline` is
    when a running one stops for its time to live, `max_deadline` how far that may be moved.
    `pending` has at most one job an operation. After `failures` in a row nothing is planned
    before `blocked_until`. `detail` is what its driver said, `definition` what its user wrote.
    """

    workspace_id: str
    state: str
    changed_at: str | None
    started_by: str | None
    deadline: str | None
    max_deadline: str | None
    override: Override | None
    pending: dict[Operation, PendingJob]
    failures: int
    blocked_until: str | None
    error: str | None
    detail: str
    looked_at: str | None
    created_at: str
    updated_at: str
    definition: JsonObject


class DryRun(TypedDict):
    """What a switch would do now: the state that the driver sees, and its calls as text."""

    state: str
    detail: str
    calls: list[str]


class LifecycleJob(TypedDict):
    """A planned start or stop, due at `deadline`; `due_at` is when it is looked at next.

    `state` is `pending`, `running`, `completed`, `failed` or `cancelled`.
    """

    id: str
    workspace_id: str
    operation: Operation
    state: str
    deadline: str
    cause: str
    reason: str
    attempt: int
    created_at: str
    updated_at: str
    started_at: str | None
    cancelled_at: str | None
    completed_at: str | None
    error: str | None
    due_at: str | None


class LifecycleLog(TypedDict):
    """A line of a lifecycle job's log; `level` is `trace`, `debug`, `info`, `warn` or `error`."""

    id: str
    job_id: str
    created_at: str
    level: str
    output: str


class PlannedTransition(TypedDict):
    """That a workspace is switched at a time, or that it is not, and why."""

    at: str
    operation: Operation | None
    cause: str | None
    reason: str
    is_left_out: bool


class Plan(TypedDict):
    """What will happen to a workspace by itself, in order of time."""

    items: list[PlannedTransition]


class NextTransition(TypedDict):
    """When a workspace is switched next, and why."""

    operation: Operation
    at: str
    cause: str
    reason: str


class LeftOut(TypedDict):
    """A transition that the schedule names and that does not happen, and why."""

    at: str
    reason: str


class PastJob(TypedDict):
    """One of the latest lifecycle jobs of a workspace."""

    id: str
    operation: Operation
    state: str
    deadline: str
    reason: str
    error: str | None


class WorkspaceExplanation(TypedDict):
    """Why a workspace is as it is, what is next, what is in the way, and what was done."""

    workspace_id: str
    state: str
    summary: str
    next: list[NextTransition]
    blocked_by: list[str]
    left_out: list[LeftOut]
    latest_jobs: list[PastJob]
