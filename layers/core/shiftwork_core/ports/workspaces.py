"""What the lifecycle of workspaces needs of the world, beyond `shiftwork_core.ports.stores`.

Every write names the revisions it has seen, and is safe to send twice: the second sending meets
its own rows, and reports `won` as the first would have.
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

#: A list of jobs in one state looks at so many jobs for a page, whatever state they are in.
MOST_LOOKED_AT = 100


class WorkspaceStore(Protocol):
    """Workspaces."""

    def get(self, workspace_id: str) -> Workspace | None:
        """Read a workspace, strongly consistent."""

    def save(self, workspace: Workspace) -> Write[Workspace | None]:
        """Write it, its revision one up, if the row's revision is still `workspace`'s.

        And its time of creation, for one that was deleted and made anew begins with revision 1.
        Revision 0: if there is no row. Won also if the row is the very one that this writes. Lost
        with None: it was deleted.
        """

    def delete(self, workspace: Workspace) -> bool:
        """Delete it if it is still as `workspace` was seen. True also if there is none."""

    def find(self, limit: int, next_token: str | None) -> Page[Workspace]:
        """List workspaces by id; a page's token is the last id of the page before."""

    def due(self, before: datetime, limit: int) -> list[str]:
        """List workspaces that are due at or before a time, from a sharded index.

        At most `limit`, the longest due first (eventually consistent). Reads grow with what is
        listed, not with what exists.
        """


@dataclass(frozen=True, slots=True)
class LifecycleWrite:
    """What a write of a job and its workspace came to, and the rows as they stand after it."""

    won: bool
    job: LifecycleJob | None
    workspace: Workspace | None


class LifecycleJobStore(Protocol):
    """Lifecycle jobs and their logs. The methods that write have the source document's names.

    Where a method takes a `workspace`, that row is written in the same transaction under its own
    revision; None leaves it alone. Won also if both rows are the very ones that this writes. Lost:
    one of the rows is not as it was seen, or is gone; the caller looks again.
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

        A page may hold fewer than `limit`, even none, and have a next one, when jobs are asked
        for by their state: that no index knows, so it looks at `MOST_LOOKED_AT` jobs and no more.

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

        So with `seen`, as a list had it: it is not read again unless it has been written since.
        Executors begin at different shards, so that they do not all run for the same job.

        It is neither ended nor held: its `due_at` is at or before `now` (the deadline of a
        pending one, the end of its lease for one whose claimant died). It becomes what
        `domain.workspaces.claimed` says. Skips what others hold or take first. None: there is
        none. A claim whose reply was lost lapses, unless it is asked for again with `job_id`.
        """

    def insert_workspace_lifecycle_job(
        self, job: LifecycleJob, workspace: Workspace
    ) -> LifecycleWrite:
        """Write a new job (revision 0), and the workspace that names it as pending."""

    def update_workspace_lifecycle_job_by_id(
        self, job: LifecycleJob, workspace: Workspace | None = None
    ) -> LifecycleWrite:
        """Write the row if its revision is still the job's: moved, put back, held for longer."""

    def update_workspace_lifecycle_job_with_cancel_by_id(
        self, job: LifecycleJob, workspace: Workspace | None = None
    ) -> LifecycleWrite:
        """Write the row, which has `cancelled_at`, if its revision is still the job's."""

    def update_workspace_lifecycle_job_with_complete_by_id(
        self, job: LifecycleJob, workspace: Workspace | None = None
    ) -> LifecycleWrite:
        """Write the row, which has `completed_at`, if its revision is still the job's."""

    def insert_workspace_lifecycle_job_logs(self, logs: Sequence[LifecycleLog]) -> None:
        """Keep lines of jobs' logs; one that is sent twice is kept once.

        Those of one time are read in the order of the call that brought them.
        """

    def logs(self, job_id: str) -> list[LifecycleLog]:
        """Read a job's log, in order of time."""


class DriverError(ShiftworkError):
    """A driver could not look, or not switch; says what was refused and by whom.

    `is_final`: trying again changes nothing until somebody mends the definition or the target.
    """

    def __init__(self, message: str, *, is_final: bool = False) -> None:
        super().__init__(message)
        self.is_final = is_final


class Driver(Protocol):
    """Switches workspaces of one kind. `spec` is the `driver` part of a workspace's body.

    Every method reads the real state anew; none caches. A call may come twice, and late.
    """

    def look(self, spec: JsonObject, memory: JsonObject) -> Sighting:
        """Return what is there now.

        Raises
        ------
        DriverError
            If it cannot be told: nobody answers, or what the spec names does not exist (final).
        """

    def remember(self, spec: JsonObject, memory: JsonObject, operation: Operation) -> JsonObject:
        """Return what must be known later to undo the operation, before it is done.

        E.g. the desired count of a service that is about to be stopped. Calling it again after
        the operation was done loses nothing: what is remembered is kept.
        """

    def plan(self, spec: JsonObject, memory: JsonObject, operation: Operation) -> list[str]:
        """Return in words which calls `switch` would make now; empty: none."""

    def switch(
        self, spec: JsonObject, memory: JsonObject, operation: Operation, key: str
    ) -> JsonObject:
        """Ask for the operation; return the memory as it is afterwards.

        Does nothing where the goal is reached or under way. Returns without waiting for the goal.
        `key` is the same for every try at one job, so that a target can recognise a repetition.

        Raises
        ------
        DriverError
            If it was refused, or nobody answered (then it may have been done).
        """


class RequestPort(Protocol):
    """What a workspace that is switched by requests needs of the engine."""

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
        """Return the request; None if there is none, or it is not kept any more."""


#: Returns the driver of a kind, by the `type` of its spec.
DriverFor = Callable[[str], Driver]
