"""Explain why a workspace is on or off, when that changes, and what keeps it from switching."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from shiftwork_core.domain.times import to_iso
from shiftwork_core.domain.workspaces import wanted_switches
from shiftwork_core.domain.workspaces.records import (
    JobState,
    LifecycleJob,
    Operation,
    Transition,
    Workspace,
    WorkspaceState,
)
from shiftwork_core.domain.workspaces.schedules import Skipped, plan
from shiftwork_core.domain.workspaces.specs import WorkspaceSpec
from shiftwork_core.domain.workspaces.wanted_switches import Hosted
from shiftwork_core.ports.workspaces import LifecycleJobStore
from shiftwork_core.ports.world import Clock
from shiftwork_core.services.workspaces.hosted_workers import HostedWorkers
from shiftwork_core.services.workspaces.records import AlmanacFor

#: How many of the latest jobs to show.
_LATEST_JOBS = 5
#: How far ahead to show skipped switches.
_AHEAD = timedelta(days=7)
#: How many skipped switches to show.
_MAX_LEFT_OUT = 10


@dataclass(frozen=True, slots=True)
class WorkspaceExplanation:
    """Why a workspace is as it is.

    Attributes
    ----------
    next
        The next start and the next stop, as far as there are any.
    blocked_by
        What keeps it from switching, in sentences.
    left_out
        Switches of the next days that will not happen, and why.
    latest_jobs
        Its newest lifecycle jobs, the newest first.
    """

    workspace: Workspace
    summary: str
    next: list[Transition]
    blocked_by: list[str]
    left_out: list[Skipped]
    latest_jobs: list[LifecycleJob]


class WorkspaceExplainer:
    """Explains one workspace at a time."""

    def __init__(
        self,
        jobs: LifecycleJobStore,
        hosted_workers: HostedWorkers,
        almanac_for: AlmanacFor,
        clock: Clock,
    ) -> None:
        self._jobs = jobs
        self._hosted_workers = hosted_workers
        self._almanac_for = almanac_for
        self._clock = clock

    def explain(self, row: Workspace) -> WorkspaceExplanation:
        """Return a summary, the next switches and their reasons, obstacles, and the latest jobs."""
        now = self._clock()
        spec = WorkspaceSpec.from_body(row.workspace_id, row.body)
        almanac = self._almanac_for(spec.schedule)
        hosted = self._hosted_workers.of(spec.hosts)
        upcoming = [
            wanted_switches.wanted_switch(row, operation, spec, almanac, hosted, now)
            for operation in Operation
        ]
        latest = self._jobs.find(row.workspace_id, None, _LATEST_JOBS, None).items
        left_out = [
            entry
            for entry in plan(spec.schedule, almanac, row, now, now + _AHEAD)
            if isinstance(entry, Skipped)
        ]
        at_work = [job for job in latest if job.state is JobState.RUNNING]
        return WorkspaceExplanation(
            workspace=row,
            summary=_summary(row, at_work),
            next=[transition for transition in upcoming if transition is not None],
            blocked_by=list(_obstacles(row, spec, hosted, now)),
            left_out=left_out[:_MAX_LEFT_OUT],
            latest_jobs=latest,
        )


def _summary(row: Workspace, at_work: list[LifecycleJob]) -> str:
    if row.looked_at is None:
        return "Nobody has looked at it yet; the scheduler does within a minute."
    since = "" if row.changed_at is None else f" since {to_iso(row.changed_at)}"
    by = f", started by {row.started_by}" if row.started_by else ""
    text = f"It is {row.state}{since}{by}."
    if at_work:
        job = at_work[0]
        text += f" A {job.operation} is under way, attempt {job.attempt}."
    if row.detail:
        text += f" Its driver says: {row.detail}."
    return text


def _obstacles(row: Workspace, spec: WorkspaceSpec, hosted: Hosted, now: datetime) -> Iterator[str]:
    """Yield whatever keeps the workspace from switching, and what to do about it."""
    if row.error:
        yield row.error
    if row.blocked_until is not None and row.blocked_until > now:
        yield (
            f"after {row.failures} jobs that failed one after the other nothing is planned before"
            f" {to_iso(row.blocked_until)}; fix what its error says, then"
            f" POST /v1/workspaces/{row.workspace_id}/start, or put its definition again"
        )
    if row.override is not None and row.override.until > now:
        held = f"from {to_iso(row.override.since)} until {to_iso(row.override.until)}"
        yield f"an override keeps it {row.override.desired} {held} ({row.override.reason or '-'})"
    for operation, until in row.skipped.items():
        yield f"somebody cancelled a {operation}: those due up to {to_iso(until)} are left out"
    if hosted.running and row.state is WorkspaceState.RUNNING:
        yield f"its workers run {len(hosted.running)} builds: a stop drains them first"
    if not spec.schedule.windows and spec.schedule.ttl_s is None and spec.hosts is None:
        yield "its definition names no window, time to live or workers: only people switch it"
