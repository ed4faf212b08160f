"""The ports of workspaces: stores of workspaces and lifecycle jobs, and drivers that switch.

Every write names the revisions it has seen, and is safe to send twice: the second one finds its own
rows, and reports `won` as the first would have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.requests.records import Request
from shiftwork_core.domain.workspaces.records import (
    JobState,
    LifecycleJob,
    LifecycleLog,
    Operation,
    Sighting,
    Workspace,
)
from shiftwork_core.errors import ShiftworkError
from shiftwork_core.ports.stores import Page, Write

#: A list of jobs in one state reads so many jobs of any state for a page.
MOST_LOOKED_AT = 100


class WorkspaceStore(Protocol):
    """Workspaces."""

    def get(self, workspace_id: str) -> Workspace | None:
        """Read a workspace, strongly consistent."""

    def save(self, workspace: Workspace) -> Write[Workspace | None]:
        """Write it, its revision one up, if the row's revision is still `workspace`'s.

        Its time of creation must match too, as a workspace that was deleted and defined again
        begins at revision 1. With revision 0 there must be no row. Won also if the row is the very
        one that this writes. Lost with None: it was deleted.
        """

    def delete(self, workspace: Workspace) -> bool:
        """Delete it if it is still as `workspace` was seen. True also if there is none."""

    def find(self, limit: int, next_token: str | None) -> Page[Workspace]:
        """List workspaces by id; a page's token is the last id of the page before."""

    def due(self, before: datetime, limit: int) -> list[str]:
        """List workspaces that are due at or before a time, from a sharded index.

        At most `limit`, the longest due first (eventually consistent). The cost grows with what is
        listed, not with what exists.
        """


@dataclass(frozen=True, slots=True)
class LifecycleWrite:
    """The result of writing a job and its workspace, and the rows as they are after it."""

    won: bool
    job: LifecycleJob | None
    workspace: Workspace | None


class LifecycleJobStore(Protocol):
    """Lifecycle jobs and their logs. The methods that write have the source document's names.

    Where a method takes a `workspace`, that row is written in the same transaction under its own
    revision; None leaves it alone. Won also if both rows are the very ones that this writes. Lost:
    one of the rows is not as it was seen, or is gone; the caller reads again.
    """

    def get(self, job_id: str) -> LifecycleJob | None:
        """Read a job, strongly consistent."""

    def find(
        self,
        workspace_id: str | None,
        state: JobState | None,
        limit: int,
        next_token: str | None,
    ) -> Page[LifecycleJob]:
        """List jobs, newest first (eventually consistent); of one workspace, or of all.

        With `state`, a page may hold fewer than `limit` jobs, even none, and still have a next
        page: no index knows states, so it reads `MOST_LOOKED_AT` jobs and no more.

        Raises
        ------
        Invalid
            If `next_token` is not one that this method returned.
        """

    def upcoming(self, after: datetime, before: datetime, limit: int) -> list[LifecycleJob]:
        """List jobs that fall due after one time and at or before another, the soonest first.

        From a sharded index (eventually consistent).
        """

    def acquire_workspace_lifecycle_job(
        self,
        now: datetime,
        claim_id: str,
        lease_until: datetime,
        *,
        job_id: str | None = None,
        seen: LifecycleJob | None = None,
    ) -> LifecycleJob | None:
        """Claim one job that is due, the longest due of a shard first; with `job_id` only that one.

        With `seen`, a row from a list, only that one: it is read again only if it was written
        since. Claimants begin at different shards, so that they do not race for the same job.

        A job that is due has not ended, and its `due_at` is at or before `now`: the deadline of a
        pending job, the end of the lease if a claimant died. It becomes what `records.claimed`
        says. Jobs that others hold or claim first are skipped; None if no other is due. A claim
        whose reply was lost lapses, unless it is repeated with `job_id`.
        """

    def insert_workspace_lifecycle_job(
        self, job: LifecycleJob, workspace: Workspace
    ) -> LifecycleWrite:
        """Write a new job (revision 0), and the workspace that refers to it."""

    def update_workspace_lifecycle_job_by_id(
        self, job: LifecycleJob, workspace: Workspace | None = None
    ) -> LifecycleWrite:
        """Write a job that has not ended, if its row's revision is still the job's."""

    def update_workspace_lifecycle_job_with_cancel_by_id(
        self, job: LifecycleJob, workspace: Workspace | None = None
    ) -> LifecycleWrite:
        """Write a job with `cancelled_at`, if its row's revision is still the job's."""

    def update_workspace_lifecycle_job_with_complete_by_id(
        self, job: LifecycleJob, workspace: Workspace | None = None
    ) -> LifecycleWrite:
        """Write a job with `completed_at`, if its row's revision is still the job's."""

    def insert_workspace_lifecycle_job_logs(self, logs: Sequence[LifecycleLog]) -> None:
        """Store lines of jobs' logs; a line sent twice is stored once.

        Lines of one time are read in the order of the call that wrote them.
        """

    def logs(self, job_id: str) -> list[LifecycleLog]:
        """Read a job's log, in order of time."""


class DriverError(ShiftworkError):
    """A driver could not look or could not switch; says what was refused and by whom.

    `is_final`: repeating changes nothing until somebody fixes the definition or the target.
    """

    def __init__(self, message: str, *, is_final: bool = False) -> None:
        super().__init__(message)
        self.is_final = is_final


class Driver(Protocol):
    """Switches workspaces of one kind. `spec` is the `driver` part of a workspace's body.

    Every method reads the real state; none caches it. A call may come twice, and late.
    """

    def look(self, spec: JsonObject, memory: JsonObject) -> Sighting:
        """Return the present state.

        Raises
        ------
        DriverError
            If the state cannot be seen: nobody answers, or the target does not exist (final).
        """

    def remember(self, spec: JsonObject, memory: JsonObject, operation: Operation) -> JsonObject:
        """Return, before an operation, the memory that undoing it will need.

        For example the desired count of a service that is about to stop. Calling it again after the
        operation keeps what it has remembered.
        """

    def plan(self, spec: JsonObject, memory: JsonObject, operation: Operation) -> list[str]:
        """Return the calls that `switch` would make now, in words."""

    def switch(
        self, spec: JsonObject, memory: JsonObject, operation: Operation, key: str
    ) -> JsonObject:
        """Ask for the operation; return the memory as it is afterwards.

        Does nothing if the goal is reached or under way, and does not wait for the goal. `key` is
        the same for every attempt at one job, so that a target can recognise a repetition.

        Raises
        ------
        DriverError
            If it was refused, or if nobody answered: then it may have been done.
        """


class RequestPort(Protocol):
    """Submits requests for workspaces that requests switch."""

    def submit(self, type: str, params: JsonObject, idempotency_key: str) -> str:
        """Submit a request; return its id. Under a key it is the request of the first call.

        Raises
        ------
        Refusal
            If its type does not exist, or the params do not fit it.
        Transient
            If nobody answered; it may have been submitted.
        """

    def get(self, request_id: str) -> Request | None:
        """Return the request; None if there is none, or if it has expired."""


#: Returns the driver of a kind, by the `type` of its spec.
DriverFor = Callable[[str], Driver]
