"""DynamoDB's tables: every write is observed, and reads may see what DynamoDB's may.

A query of several pages is no snapshot. While a transaction commits, plain reads may see some of
its rows as they were; its writer is answered only when all can be seen, and a write to such a row
waits for that (Idziorek et al., Distributed transactions at scale in Amazon DynamoDB, 2023).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

from shiftwork_core.adapters.memory import (
    MemoryJobStore,
    MemoryLifecycleJobStore,
    MemoryRequestStore,
    MemoryTables,
    MemoryWorkspaceStore,
)
from shiftwork_core.domain.requests.records import Attempt, AttemptKey, Request, Step
from shiftwork_core.domain.requests.states import ATTEMPT_OPEN, AttemptStatus
from shiftwork_core.domain.workspaces.records import LifecycleJob, Workspace
from shiftwork_platform.cloud.faults import Fault, Faults
from shiftwork_platform.cloud.hub import Hub, Signal

#: A row's place: its request, and within it a step's number, an attempt's key, or neither; or the
#: id of a workspace or a lifecycle job, and which of them it is.
Place = tuple[str, int | AttemptKey | str | None]
AnyRow = Request | Step | Attempt | Workspace | LifecycleJob
Row = TypeVar("Row", Request, Step, Attempt, Workspace, LifecycleJob)

#: How many earlier states of the tables an index may still show.
_SNAPSHOTS = 3


class Observer(Protocol):
    """Who is told of every write of a row, once it is made."""

    def changed(self, old: AnyRow | None, new: AnyRow) -> None:
        """Learn what a row was, and what it is."""

    def deleted(self, old: Workspace) -> None:
        """Learn that a workspace is deleted."""


class Tables(MemoryTables):
    """The rows. While a transaction commits, `hidden` holds what plain reads still see of it."""

    def __init__(self, observer: Observer) -> None:
        super().__init__()
        self._observer = observer
        self.hidden: dict[Place, AnyRow | None] = {}
        #: Every row of that transaction: a write to one of them waits until it can be seen.
        self.committing: dict[Place, AnyRow | None] = {}
        self.written: dict[Place, AnyRow | None] | None = None
        #: The signals of users who wait for a request's end.
        self.ends: dict[str, Signal] = {}
        #: The attempts that workers may claim, or hold.
        self.polled: dict[tuple[str, AttemptKey], Attempt] = {}

    def put_request(self, request: Request) -> Request:
        old = self.requests.get(request.request_id)
        self._before((request.request_id, None), old)
        super().put_request(request)
        self._observer.changed(old, request)
        if request.has_ended and request.request_id in self.ends:
            self.ends.pop(request.request_id).set()
        return request

    def put_step(self, step: Step) -> Step:
        old = self.step(step.request_id, step.index)
        self._before((step.request_id, step.index), old)
        super().put_step(step)
        self._observer.changed(old, step)
        return step

    def put_attempt(self, attempt: Attempt) -> Attempt:
        old = self.attempt(attempt.request_id, attempt.key)
        self._before((attempt.request_id, attempt.key), old)
        super().put_attempt(attempt)
        if attempt.is_polled:
            self.polled.pop((attempt.request_id, attempt.key), None)
            if attempt.status in ATTEMPT_OPEN:
                self.polled[attempt.request_id, attempt.key] = attempt
        self._observer.changed(old, attempt)
        return attempt

    def put_workspace(self, workspace: Workspace) -> Workspace:
        old = self.workspaces.get(workspace.workspace_id)
        self._before((workspace.workspace_id, "workspace"), old)
        super().put_workspace(workspace)
        self._observer.changed(old, workspace)
        return workspace

    def drop_workspace(self, workspace_id: str) -> None:
        old = self.workspaces.get(workspace_id)
        self._before((workspace_id, "workspace"), old)
        super().drop_workspace(workspace_id)
        if old is not None:
            self._observer.deleted(old)

    def put_lifecycle_job(self, job: LifecycleJob) -> LifecycleJob:
        old = self.lifecycle_jobs.get(job.id)
        self._before((job.id, "lifecycle job"), old)
        super().put_lifecycle_job(job)
        self._observer.changed(old, job)
        return job

    def queueing(self) -> Iterator[Attempt]:
        return iter(self.polled.values())

    def _before(self, place: Place, old: AnyRow | None) -> None:
        if place in self.committing:
            self.show()
        if self.written is not None:
            self.written.setdefault(place, old)

    def show(self) -> None:
        """Let everybody see the transaction's rows."""
        self.hidden, self.committing = {}, {}

    def seen(self, place: Place, row: Row | None) -> Row | None:
        """Return the row as a plain read sees it."""
        return self.hidden.get(place, row)  # type: ignore[return-value]


class RequestStore(MemoryRequestStore):
    """Requests, as plain reads see them."""

    _tables: Tables

    def get(self, request_id: str) -> Request | None:
        return self._tables.seen((request_id, None), super().get(request_id))

    def get_step(self, request_id: str, index: int) -> Step | None:
        return self._tables.seen((request_id, index), super().get_step(request_id, index))


class JobStore(MemoryJobStore):
    """Attempts, as plain reads see them, page by page."""

    _tables: Tables

    def __init__(
        self, tables: Tables, index: Callable[[], MemoryTables], hub: Hub, faults: Faults
    ) -> None:
        super().__init__(tables, index)
        self._hub = hub
        self._faults = faults

    def get(self, request_id: str, key: AttemptKey) -> Attempt | None:
        return self._tables.seen((request_id, key), super().get(request_id, key))

    def of_step(
        self, request_id: str, step: int, status: AttemptStatus | None = None
    ) -> Iterator[Attempt]:
        read: AttemptKey | None = None
        while True:
            rows = self._read(request_id, step, read)
            is_paged = len(rows) > 1 and self._faults.strikes(Fault.PAGED)
            page = rows[: max(1, int(len(rows) * self._faults.seconds(1)))] if is_paged else rows
            # The filter applies to what was read; the next page is read later.
            yield from (a for a in page if status is None or a.status is status)
            if not is_paged:
                return
            read = page[-1].key
            self._hub.pause()

    def _read(self, request_id: str, step: int, after: AttemptKey | None) -> list[Attempt]:
        rows = [
            row
            for key, row in self._tables.attempts.get(request_id, {}).items()
            if key.step == step and (after is None or key > after)
        ]
        if self._tables.hidden:
            seen = (self._tables.seen((request_id, row.key), row) for row in rows)
            rows = [row for row in seen if row is not None]
        rows.sort(key=lambda row: (row.key.job, row.key.attempt))
        return rows


class WorkspaceStore(MemoryWorkspaceStore):
    """Workspaces, as plain reads see them."""

    _tables: Tables

    def get(self, workspace_id: str) -> Workspace | None:
        return self._tables.seen((workspace_id, "workspace"), super().get(workspace_id))


class LifecycleJobStore(MemoryLifecycleJobStore):
    """Lifecycle jobs, as plain reads see them."""

    _tables: Tables

    def get(self, job_id: str) -> LifecycleJob | None:
        return self._tables.seen((job_id, "lifecycle job"), super().get(job_id))


class Index:
    """The tables as indexes show them: as they are, or with a fault as they were a moment ago."""

    def __init__(self, tables: Tables, faults: Faults) -> None:
        self._tables = tables
        self._faults = faults
        self._snapshots: list[MemoryTables] = []

    def __call__(self) -> MemoryTables:
        """Return the tables that a list is read from."""
        if Fault.STALE_INDEX not in self._faults.rates or self._faults.is_over:
            return self._tables
        stale = self._snapshots[0] if self._snapshots else None
        self._snapshots.append(self._tables.copy())
        if len(self._snapshots) > _SNAPSHOTS:
            self._snapshots.pop(0)
        return stale if stale and self._faults.strikes(Fault.STALE_INDEX) else self._tables
