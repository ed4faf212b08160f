"""Deliberate bugs in the lifecycle of workspaces, each with the invariant that must notice it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from shiftwork_core.adapters.memory import MemoryLifecycleJobStore
from shiftwork_core.adapters.memory import workspaces as stores
from shiftwork_core.domain.workspaces import lifecycle_jobs, wanted_switches
from shiftwork_core.domain.workspaces import records as workspaces
from shiftwork_core.domain.workspaces.records import LifecycleJob, Workspace
from shiftwork_core.ports.workspaces import LifecycleWrite
from shiftwork_core.services.workspaces.execute import LifecycleExecutor
from shiftwork_core.services.workspaces.hosted_workers import HostedWorkers
from shiftwork_core.services.workspaces.switch import WorkspaceSwitcher
from shiftwork_platform.guarantees.invariants import Invariant
from tests.unit.simulation.bugs import Patch, breaks

_TRANSACTION = "update_workspace_lifecycle_job_with_complete_by_id"


@breaks(Invariant.ONE_JOB)
def a_job_is_planned_without_its_workspace(patch: Patch) -> None:
    def insert(self: Any, job: LifecycleJob, workspace: Workspace) -> LifecycleWrite:
        both: LifecycleWrite = self._write(job, None, is_new=True)
        return replace(both, workspace=workspace)

    patch.setattr(MemoryLifecycleJobStore, "insert_workspace_lifecycle_job", insert)


@breaks(Invariant.ONE_OUTCOME)
def an_outcome_asks_for_no_revision(patch: Patch) -> None:
    def complete(
        self: Any, job: LifecycleJob, workspace: Workspace | None = None
    ) -> LifecycleWrite:
        row = self._tables.lifecycle_jobs[job.id]
        # Nor is the workspace's revision checked: that would protect the job as well.
        place = workspace and self._tables.workspaces.get(workspace.workspace_id)
        if workspace and place:
            workspace = replace(workspace, revision=place.revision, created_at=place.created_at)
        both: LifecycleWrite = self._write(replace(job, revision=row.revision), workspace)
        return both

    patch.setattr(MemoryLifecycleJobStore, _TRANSACTION, complete)


@breaks(Invariant.JOB_MOVES)
def a_look_counts_as_an_attempt(patch: Patch) -> None:
    released = lifecycle_jobs.released

    def costly(job: LifecycleJob, *rest: Any) -> LifecycleJob:
        return replace(released(job, *rest), attempt=job.attempt + 1)

    patch.setattr(lifecycle_jobs, "released", costly)


@breaks(Invariant.NEVER_EARLY)
def a_tick_claims_what_is_due_soon(patch: Patch) -> None:
    tick = WorkspaceSwitcher.tick

    def early(self: Any) -> int:
        clock = self._clock
        self._clock = lambda: clock() + timedelta(seconds=90)
        try:
            return tick(self)
        finally:
            self._clock = clock

    patch.setattr(WorkspaceSwitcher, "tick", early)


@breaks(Invariant.ONE_ASKING)
def a_driver_is_asked_before_that_is_written(patch: Patch) -> None:
    patch.setattr(lifecycle_jobs, "marked_asked", lambda job, now: job)


@breaks(Invariant.ONE_ASKING, near=3400)
def attempts_are_not_counted(patch: Patch) -> None:
    claimed = workspaces.claimed

    def uncounted(*args: Any) -> LifecycleJob:
        return replace(claimed(*args), attempt=1)

    patch.setattr(stores, "claimed", uncounted)


@breaks(Invariant.ONE_ASKING)
def a_claim_does_not_ask_who_holds_the_job(patch: Patch) -> None:
    def is_due(self: Any, now: Any) -> bool:
        return self.due_at is not None and self.deadline <= now

    patch.setattr(LifecycleJob, "is_due", is_due)


@breaks(Invariant.SEEN_DONE)
def what_was_asked_for_counts_as_done(patch: Patch) -> None:
    patch.setattr(
        LifecycleExecutor, "_wait_for_goal", lambda self, claim, seen: self._succeed(claim, seen)
    )


@breaks(Invariant.DEFINITION_KEPT)
def a_write_asks_for_no_revision_of_the_workspace(patch: Patch) -> None:
    patch.setattr(stores, "_is_as_seen", lambda row, seen: True)


@breaks(Invariant.DUE_AGAIN)
def a_workspace_is_looked_at_once(patch: Patch) -> None:
    patch.setattr(wanted_switches, "next_look_at", lambda *_: None)


@breaks(Invariant.SWITCHED)
def nobody_looks_for_jobs_that_are_due(patch: Patch) -> None:
    patch.setattr(WorkspaceSwitcher, "tick", lambda self: 0)


@breaks(Invariant.SWITCHED)
def windows_do_not_end(patch: Patch) -> None:
    patch.setattr(wanted_switches, "next_stop", lambda *_: None)


@breaks(Invariant.UNDRAINED)
def workers_are_not_resumed(patch: Patch) -> None:
    patch.setattr(HostedWorkers, "resume", lambda self, worker_ids, stop_id: None)
