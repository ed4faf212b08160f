"""Check the invariants of workspaces and lifecycle jobs at every write and every driver call.

Where workspaces should be once the faults are over is said in `expectations.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from shiftwork_core.domain.workspaces.records import (
    JobState,
    LifecycleJob,
    Operation,
    Workspace,
    WorkspaceState,
)
from shiftwork_platform.guarantees.invariants import Invariant, Violation

if TYPE_CHECKING:
    from tests.simulation.workspace_workload import WorkspacePlan

_S = JobState
#: All legal moves, written down here independently of the engine.
_MOVES = {
    _S.PENDING: {_S.PENDING, _S.RUNNING, _S.CANCELLED},
    _S.RUNNING: {_S.RUNNING, _S.PENDING, _S.COMPLETED, _S.FAILED, _S.CANCELLED},
}
#: The fields of a job that never change.
_FIXED = ("id", "workspace_id", "operation", "created_at")
#: States that last until somebody switches the workspace.
_AT_REST = (WorkspaceState.RUNNING, WorkspaceState.STOPPED)


class LifecycleInvariants:
    """Observes every write, and raises each violation where it happens."""

    def __init__(
        self,
        actor: Callable[[], Hashable],
        plans: Mapping[str, WorkspacePlan],
        on_row: Callable[[Workspace], None],
    ) -> None:
        self._actor = actor
        self._plans = plans
        self._on_row = on_row
        self.rows: dict[str, Workspace] = {}
        self.jobs: dict[str, LifecycleJob] = {}
        #: The open jobs of each workspace, but for those of deleted ones.
        self._open: dict[str, dict[str, LifecycleJob]] = {}
        self.orphans: dict[str, LifecycleJob] = {}
        self._touched: dict[str, None] = {}
        #: What each actor has written that it will ask for next: a job, and under which revision.
        self._asking: dict[Hashable, LifecycleJob] = {}
        #: How often the driver was asked for each job since its attempts last began over.
        self._asked: Counter[str] = Counter()
        #: What each actor saw last.
        self._seen: dict[Hashable, tuple[str, WorkspaceState]] = {}

    # -- rows ----------------------------------------------------------------------------------

    def on_workspace(self, old: Workspace | None, new: Workspace) -> None:
        """Check the write of a workspace's row."""
        self._definition_is_kept(old, new)
        self._is_due_again(new)
        self._on_row(new)
        self.rows[new.workspace_id] = new
        self._touched[new.workspace_id] = None

    def on_workspace_deleted(self, workspace_id: str) -> None:
        """Note that the open jobs of a deleted workspace are to be cancelled."""
        self.rows.pop(workspace_id, None)
        self.orphans.update(self._open.pop(workspace_id, {}))

    def on_job(self, old: LifecycleJob | None, new: LifecycleJob) -> None:
        """Check the write of a lifecycle job's row."""
        if old is not None:
            self._moves_legally(old, new)
            self._claimed_when_due(old, new)
            self._is_seen_to_be_done(new)
            self._remember_asking(old, new)
        if not new.has_ended and new.due_at is None:
            raise Violation(Invariant.DUE_AGAIN, f"{_told(new)} is never due")
        self.jobs[new.id] = new
        if new.id in self.orphans:
            self.orphans[new.id] = new
            if new.has_ended:
                del self.orphans[new.id]
            return
        open_jobs = self._open.setdefault(new.workspace_id, {})
        open_jobs[new.id] = new
        if new.has_ended:
            del open_jobs[new.id]
        self._touched[new.workspace_id] = None

    def after_event(self) -> None:
        """Check what must hold between events: a job and the row that names it are one write."""
        for workspace_id in self._touched:
            self._row_names_the_open_jobs(workspace_id)
        self._touched.clear()

    # -- told by drivers -----------------------------------------------------------------------

    def has_seen(self, target: str, state: WorkspaceState) -> None:
        """Remember what an actor saw."""
        self._seen[self._actor()] = target, state

    def is_asked(self, job_id: str, target: str, operation: Operation, clock: datetime) -> None:
        """A driver is asked once an attempt, after that was written, within the attempts allowed.

        Never before the job's deadline, by the caller's clock. A caller that was stalled beyond its
        lease, or whose job was cancelled since, may ask late: what counts is that it held the job
        when it wrote that it would ask.
        """
        asking = self._asking.pop(self._actor(), None)
        what = f"{target} is asked to {operation} for job {job_id}"
        if asking is None or (asking.id, asking.operation) != (job_id, operation):
            raise Violation(Invariant.ONE_ASKING, f"{what}, for which nothing was written")
        self._asked[job_id] += 1
        tries = max(asking.attempt, self._asked[job_id])
        if tries > self._plans[asking.workspace_id].max_attempts:
            raise Violation(Invariant.ONE_ASKING, f"{what} in attempt {tries}")
        if clock < asking.deadline:
            raise Violation(Invariant.NEVER_EARLY, f"{what} before {asking.deadline:%H:%M:%S.%f}")

    def is_remembered(self, target: str, remembered_of: str | None) -> None:
        """A driver is given back its memory for the same target only."""
        if remembered_of not in (None, target):
            what = f"{target} is switched by what was remembered of {remembered_of}"
            raise Violation(Invariant.DEFINITION_KEPT, what)

    def open_jobs(self, workspace_id: str) -> list[LifecycleJob]:
        """Return the jobs of a workspace that have not ended."""
        return list(self._open.get(workspace_id, {}).values())

    def has_ended(self, job_id: str) -> bool:
        """Return whether a job has ended, so that asking its driver is too late."""
        return self.jobs[job_id].has_ended

    # -- the invariants ------------------------------------------------------------------------

    def _definition_is_kept(self, old: Workspace | None, new: Workspace) -> None:
        """No write restores a deleted workspace, or an older revision of one."""
        revision = 0 if old is None else old.revision
        what = f"{new.workspace_id}, revision {revision} -> {new.revision}"
        if new.revision != revision + 1:
            raise Violation(Invariant.DEFINITION_KEPT, what)
        if old is not None and new.created_at != old.created_at:
            raise Violation(Invariant.DEFINITION_KEPT, f"{what}: it is one that was deleted")

    def _is_due_again(self, row: Workspace) -> None:
        """A workspace that still has something to do has a due time, or an open job."""
        if row.due_at is not None or row.pending:
            return
        schedule = row.body["schedule"]
        if schedule["windows"] or "hosts" in row.body or row.state not in _AT_REST or row.error:
            what = f"{row.workspace_id}, {row.state}, is never due and has no job"
            raise Violation(Invariant.DUE_AGAIN, what)

    def _moves_legally(self, old: LifecycleJob, new: LifecycleJob) -> None:
        """Only legal moves; an end is final, and each write raises the revision by one."""
        what = f"{_told(old)} -> {_told(new)}"
        if old.has_ended:
            raise Violation(Invariant.ONE_OUTCOME, what)
        is_legal = (
            new.state in _MOVES[old.state]
            and new.revision == old.revision + 1
            and all(getattr(old, name) == getattr(new, name) for name in _FIXED)
            and new.attempt - old.attempt <= (new.claim_id not in (None, old.claim_id))
        )
        if not is_legal:
            raise Violation(Invariant.JOB_MOVES, what)

    def _claimed_when_due(self, old: LifecycleJob, new: LifecycleJob) -> None:
        """A job is claimed when it is due, and not while another holds it.

        `updated_at` is the time by the claimant's clock.
        """
        if new.claim_id in (None, old.claim_id):
            return
        assert old.due_at is not None
        if new.updated_at < old.due_at:
            raise Violation(Invariant.ONE_ASKING, f"{_told(old)} is held, and claimed")

    def _is_seen_to_be_done(self, new: LifecycleJob) -> None:
        """An actor that completes a job has just seen its target in the wanted state."""
        if new.state is not _S.COMPLETED:
            return
        seen = self._seen.get(self._actor())
        if seen is None or seen[1] is not new.operation.goal:
            raise Violation(Invariant.SEEN_DONE, f"{_told(new)}, but what was seen is {seen}")

    def _remember_asking(self, old: LifecycleJob, new: LifecycleJob) -> None:
        """Remember who is about to ask; a job that is moved begins its attempts over."""
        if new.state is _S.PENDING and new.attempt == 0:
            self._asked[new.id] = 0
        if old.asked_at is None and new.asked_at is not None and new.claim_id is not None:
            self._asking[self._actor()] = new

    def _row_names_the_open_jobs(self, workspace_id: str) -> None:
        """A row names the open job of each operation, and there are no others."""
        row = self.rows.get(workspace_id)
        named = {} if row is None else row.pending
        found = self._open.get(workspace_id, {})
        told = {op: (pending.job_id, pending.at, pending.cause) for op, pending in named.items()}
        held = {job.operation: (job.id, job.deadline, job.cause) for job in found.values()}
        if told != held or len(held) != len(found):
            jobs = ", ".join(map(_told, found.values())) or "nothing"
            what = f"{workspace_id} names {[job_id for job_id, *_ in told.values()]}, open: {jobs}"
            raise Violation(Invariant.ONE_JOB, what)


def _told(job: LifecycleJob) -> str:
    claim = f" by {job.claim_id}" if job.claim_id else ""
    return (
        f"{job.operation} {job.id} of {job.workspace_id}, {job.state}{claim}, try {job.attempt},"
        f" r{job.revision}"
    )
