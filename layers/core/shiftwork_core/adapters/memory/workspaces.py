"""Store workspaces, their lifecycle jobs and the jobs' logs in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice

from shiftwork_core.adapters.lifecycle_pages import page_of_jobs
from shiftwork_core.adapters.memory.tables import Index, MemoryTables
from shiftwork_core.domain.workspaces.records import (
    JobState,
    LifecycleJob,
    LifecycleLog,
    Workspace,
    claimed,
)
from shiftwork_core.page_tokens import lifecycle_position, read_lifecycle_token
from shiftwork_core.ports.stores import Page, Write
from shiftwork_core.ports.workspaces import LifecycleJobStore, LifecycleWrite, WorkspaceStore


class MemoryWorkspaceStore(WorkspaceStore):
    """The workspaces table."""

    def __init__(self, tables: MemoryTables, index: Index | None = None) -> None:
        self._tables = tables
        self._index: Index = index or (lambda: tables)

    def get(self, workspace_id: str) -> Workspace | None:
        with self._tables.lock:
            return self._tables.workspaces.get(workspace_id)

    def save(self, workspace: Workspace) -> Write[Workspace | None]:
        written = replace(workspace, revision=workspace.revision + 1)
        with self._tables.lock:
            row = self._tables.workspaces.get(workspace.workspace_id)
            if not _is_as_seen(row, workspace):
                return Write(row == written, row)
            return Write(True, self._tables.put_workspace(written))

    def delete(self, workspace: Workspace) -> bool:
        with self._tables.lock:
            row = self._tables.workspaces.get(workspace.workspace_id)
            if row is not None and not _is_as_seen(row, workspace):
                return False
            self._tables.drop_workspace(workspace.workspace_id)
            return True

    def find(self, limit: int, next_token: str | None) -> Page[Workspace]:
        """Read ids from the index, rows from the table."""
        with self._tables.lock:
            ids = sorted(i for i in self._index().workspaces if i > (next_token or ""))
            listed = ids[:limit]
            rows = [self._tables.workspaces.get(workspace_id) for workspace_id in listed]
        page = [row for row in rows if row is not None]
        return Page(page, listed[-1] if len(ids) > limit else None)

    def due(self, before: datetime, limit: int) -> list[str]:
        due = (i for at, i in self._index().due_workspaces() if at <= before)
        return list(islice(due, limit))


class MemoryLifecycleJobStore(LifecycleJobStore):
    """The tables of lifecycle jobs and of their logs. It claims the longest due of all jobs."""

    def __init__(self, tables: MemoryTables, index: Index | None = None) -> None:
        self._tables = tables
        self._index: Index = index or (lambda: tables)

    # -- reading -------------------------------------------------------------------------------

    def get(self, job_id: str) -> LifecycleJob | None:
        with self._tables.lock:
            return self._tables.lifecycle_jobs.get(job_id)

    def find(
        self,
        workspace_id: str | None,
        state: JobState | None,
        limit: int,
        next_token: str | None,
    ) -> Page[LifecycleJob]:
        """Read places from the index, rows from the table."""
        before = None if next_token is None else read_lifecycle_token(next_token)
        with self._tables.lock:
            positions = [
                lifecycle_position(job)
                for job in self._index().lifecycle_jobs.values()
                if workspace_id in (None, job.workspace_id)
            ]
            rest = (at for at in sorted(positions, reverse=True) if before is None or at < before)
            return page_of_jobs(rest, lambda _: self._tables.lifecycle_jobs, state, limit)

    def upcoming(self, after: datetime, before: datetime, limit: int) -> list[LifecycleJob]:
        jobs = (job for at, job in self._index().due_lifecycle_jobs() if after < at <= before)
        return list(islice(jobs, limit))

    # -- claiming ------------------------------------------------------------------------------

    def acquire_workspace_lifecycle_job(
        self,
        now: datetime,
        claim_id: str,
        lease_until: datetime,
        *,
        job_id: str | None = None,
        seen: LifecycleJob | None = None,
    ) -> LifecycleJob | None:
        if seen is not None:
            job_id = seen.id
        if job_id is not None:
            return self._claim(job_id, now, claim_id, lease_until)
        for at, candidate in self._index().due_lifecycle_jobs():
            if at > now:
                break
            job = self._claim(candidate.id, now, claim_id, lease_until)
            if job is not None:
                return job
        return None

    def _claim(
        self, job_id: str, now: datetime, claim_id: str, lease_until: datetime
    ) -> LifecycleJob | None:
        with self._tables.lock:
            row = self._tables.lifecycle_jobs.get(job_id)
            if row is None or row.is_held(claim_id, now):
                return row
            if not row.is_due(now):
                return None
            held = claimed(row, claim_id, now, lease_until)
            return self.update_workspace_lifecycle_job_by_id(held).job

    # -- writing -------------------------------------------------------------------------------

    def insert_workspace_lifecycle_job(
        self, job: LifecycleJob, workspace: Workspace
    ) -> LifecycleWrite:
        return self._write(job, workspace, is_new=True)

    def update_workspace_lifecycle_job_by_id(
        self, job: LifecycleJob, workspace: Workspace | None = None
    ) -> LifecycleWrite:
        return self._write(job, workspace)

    def update_workspace_lifecycle_job_with_cancel_by_id(
        self, job: LifecycleJob, workspace: Workspace | None = None
    ) -> LifecycleWrite:
        return self._write(job, workspace)

    def update_workspace_lifecycle_job_with_complete_by_id(
        self, job: LifecycleJob, workspace: Workspace | None = None
    ) -> LifecycleWrite:
        return self._write(job, workspace)

    def _write(
        self, job: LifecycleJob, workspace: Workspace | None, *, is_new: bool = False
    ) -> LifecycleWrite:
        written = replace(job, revision=job.revision + 1)
        left = None if workspace is None else replace(workspace, revision=workspace.revision + 1)
        with self._tables.lock:
            row = self._tables.lifecycle_jobs.get(job.id)
            place = None
            if workspace is not None:
                place = self._tables.workspaces.get(workspace.workspace_id)
            is_job_as_seen = (
                row is None if is_new else row is not None and row.revision == job.revision
            )
            if not is_job_as_seen or (workspace and not _is_as_seen(place, workspace)):
                return LifecycleWrite((row, place) == (written, left), row, place)
            self._tables.put_lifecycle_job(written)
            if left is not None:
                self._tables.put_workspace(left)
            return LifecycleWrite(True, written, left)

    # -- logs ----------------------------------------------------------------------------------

    def insert_workspace_lifecycle_job_logs(self, logs: Sequence[LifecycleLog]) -> None:
        with self._tables.lock:
            for number, line in enumerate(logs):
                lines = self._tables.lifecycle_logs.setdefault(line.job_id, {})
                lines.setdefault((line.created_at, line.id), (number, line))

    def logs(self, job_id: str) -> list[LifecycleLog]:
        with self._tables.lock:
            lines = self._tables.lifecycle_logs.get(job_id, {})
            rows = sorted((line.created_at, n, line.id, line) for n, line in lines.values())
            return [row[-1] for row in rows]


def _is_as_seen(row: Workspace | None, seen: Workspace) -> bool:
    if row is None:
        return seen.revision == 0
    return (row.revision, row.created_at) == (seen.revision, seen.created_at)
