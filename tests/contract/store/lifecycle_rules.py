"""Rules of the state machine test for the stores of workspaces and lifecycle jobs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

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
from tests.contract.store.drawing import Machine, limits, moments, optional_moments, sampled
from tests.contract.store.lifecycle_rows import MILLISECOND, a_job, a_workspace
from tests.contract.store.pair import FAR
from tests.contract.store.rows import LEASE, NOW, RETENTION

workspace_ids = sampled("w1", "w1", "w2")
job_ids = sampled("j1", "j1", "j2", "j3")
claim_ids = sampled("c1", "c2")
bodies = sampled({}, {"schedule": {"ttl_s": 60}, "title": "Übersicht"})
operations = st.sampled_from(Operation)
causes = st.sampled_from(Cause)
errors = sampled(None, None, "", "kein Zugang: ü")
#: What becomes of a job, by the method that writes it.
ends: dict[str, dict[str, Any]] = {
    "update_workspace_lifecycle_job_by_id": {},
    "update_workspace_lifecycle_job_with_cancel_by_id": {"cancelled_at": NOW, "due_at": None},
    "update_workspace_lifecycle_job_with_complete_by_id": {"completed_at": NOW, "due_at": None},
}

_WRITES = ("insert_workspace_lifecycle_job", *ends)
LIFECYCLE_TO_MEET = [
    *(("workspaces.save", answer) for answer in ("won", "lost")),
    *(("workspaces.delete", answer) for answer in ("True", "False")),
    *((f"workspaces.{m}", a) for m in ("find", "due") for a in ("some", "none")),
    *((f"lifecycle_jobs.{m}", a) for m in _WRITES for a in ("won", "lost")),
    *(("lifecycle_jobs.acquire_workspace_lifecycle_job", answer) for answer in ("row", "none")),
    *((f"lifecycle_jobs.{m}", a) for m in ("find", "upcoming", "logs") for a in ("some", "none")),
    ("lifecycle_jobs.find", "Invalid"),
]


class LifecycleRules(Machine):
    """Calls of the ports for workspaces and their jobs."""

    def _draw_workspace(self, data: st.DataObject) -> Workspace:
        """Draw a workspace as it is, or has been; or one that nobody has written."""
        created_at = data.draw(sampled(NOW, NOW, NOW + MILLISECOND), "created at")
        new = a_workspace(data.draw(workspace_ids, "workspace id"), created_at=created_at)
        now, seen = self.pair.current(Workspace), self.pair.seen[Workspace]
        workspace: Workspace = self.draw_of(data, Workspace, new, [new], now, now, now, seen)
        return workspace

    def _draw_job(self, data: st.DataObject) -> LifecycleJob:
        """Draw a job as it is, or has been; or one that nobody has written."""
        new = a_job(data.draw(job_ids, "job id"), data.draw(workspace_ids, "workspace id"))
        now, seen = self.pair.current(LifecycleJob), self.pair.seen[LifecycleJob]
        job: LifecycleJob = self.draw_of(data, LifecycleJob, new, [new], now, now, now, seen)
        return job

    # -- something to begin with -----------------------------------------------------------------

    @initialize(data=st.data(), planned=sampled((), ("j1",), ("j1", "j2")), is_held=st.booleans())
    def plan_some_jobs(self, data: st.DataObject, planned: tuple[str, ...], is_held: bool) -> None:
        """Begin mostly with a job or two, of which one may be held."""
        for job_id in planned:
            row = self.pair.tables.workspaces.get("w1") or a_workspace()
            method = "insert_workspace_lifecycle_job"
            self.write(data, "lifecycle_jobs", method, a_job(job_id), row)
        if is_held:
            self.pair.acquire(now=NOW, claim_id="c1", lease_until=NOW + LEASE)

    # -- workspaces ------------------------------------------------------------------------------

    @rule(
        data=st.data(),
        body=bodies,
        state=st.sampled_from(WorkspaceState),
        detail=sampled("", "läuft"),
        changed_at=optional_moments,
        started_by=st.none() | causes,
        deadline=optional_moments,
        override=st.none()
        | st.builds(Override, st.sampled_from(Desired), moments, moments, sampled("", "Ferien")),
        pending=st.dictionaries(operations, st.builds(Pending, job_ids, moments, causes)),
        failures=sampled(0, 3),
        skipped=st.dictionaries(operations, moments),
        error=errors,
        memory=bodies,
        due_at=optional_moments,
    )
    def save_workspace(self, data: st.DataObject, **values: Any) -> None:
        workspace = self._draw_workspace(data)
        if data.draw(sampled(True, True, False), "is changed"):
            workspace = replace(workspace, **values)
        self.write(data, "workspaces", "save", workspace)
        self.pair.ask("workspaces", "get", workspace.workspace_id)

    @rule(data=st.data())
    def delete_workspace(self, data: st.DataObject) -> None:
        workspace = self._draw_workspace(data)
        self.write(data, "workspaces", "delete", workspace)
        self.pair.ask("workspaces", "get", workspace.workspace_id)

    @rule(
        data=st.data(), limit=limits, token=sampled(None, "", "a", "w1", "w2"),
        before=moments | st.just(FAR),
    )  # fmt: skip
    def list_workspaces(self, data: st.DataObject, limit: int, token: Any, before: Any) -> None:
        self.pair.ask("workspaces", "find", limit, token)
        self.pair.list_due_workspaces(before, limit)

    # -- jobs ------------------------------------------------------------------------------------

    @rule(
        data=st.data(),
        operation=operations,
        deadline=moments,
        created_at=moments,
        cause=causes,
        reason=sampled("", "es ist neun: ü"),
        due_at=moments | moments | st.none(),
        is_named=st.booleans(),
    )
    def plan_lifecycle_job(self, data: st.DataObject, is_named: bool, **values: Any) -> None:
        workspace = self._draw_workspace(data)
        job = a_job(data.draw(job_ids, "job id"), workspace.workspace_id, **values)
        if is_named:
            pending = Pending(job.id, job.deadline, job.cause)
            workspace = replace(workspace, pending={job.operation: pending})
        self.write(data, "lifecycle_jobs", "insert_workspace_lifecycle_job", job, workspace)
        self.pair.ask("lifecycle_jobs", "get", job.id)

    @rule(
        data=st.data(),
        method=st.sampled_from(list(ends)),
        started_at=optional_moments,
        updated_at=moments,
        error=errors,
        attempt=sampled(0, 2),
        due_at=optional_moments,
        claim_id=st.none() | claim_ids,
        asked_at=optional_moments,
        drain_until=optional_moments,
        drained=sampled((), ("host-1", "host-2")),
    )
    def write_lifecycle_job(self, data: st.DataObject, method: str, **values: Any) -> None:
        job = replace(self._draw_job(data), **(values | ends[method]))
        rows: list[Any] = [job]
        if data.draw(st.booleans(), "with its workspace"):
            rows.append(replace(self._draw_workspace(data), pending={}, error=values["error"]))
        self.write(data, "lifecycle_jobs", method, *rows)
        self.pair.ask("lifecycle_jobs", "get", job.id)

    @rule(data=st.data(), now=moments, claim_id=claim_ids, lease_until=moments)
    def claim_lifecycle_jobs(self, data: st.DataObject, **values: Any) -> None:
        if data.draw(st.booleans(), "any"):
            self.pair.acquire(**values)
        else:
            job_id = data.draw(job_ids, "job id")
            self.write(
                data, "lifecycle_jobs", "acquire_workspace_lifecycle_job", job_id=job_id, **values
            )

    @rule(
        data=st.data(), workspace_id=st.none() | workspace_ids,
        state=st.none() | st.sampled_from(JobState), limit=limits,
        after=moments | st.just(NOW - RETENTION), before=moments | st.just(FAR),
    )  # fmt: skip
    def list_lifecycle_jobs(
        self, data: st.DataObject, limit: int, after: Any, before: Any, **values: Any
    ) -> None:
        tokens: Any = st.sampled_from([*self.pair.tokens, "nonsense"])
        token = data.draw(st.none() | st.none() | tokens, "next_token")
        self.pair.ask("lifecycle_jobs", "find", limit=limit, next_token=token, **values)
        self.pair.list_upcoming(after, before, limit)

    @rule(
        data=st.data(), job_id=job_ids, ids=st.lists(sampled("l1", "l2", "l3"), max_size=3),
        at=moments, level=st.sampled_from(LogLevel), output=sampled("", "gestartet: ü"),
    )  # fmt: skip
    def log_lifecycle_job(
        self, data: st.DataObject, job_id: str, ids: list[str], at: Any, level: Any, output: str
    ) -> None:
        lines = [LifecycleLog(line_id, job_id, at, level, output) for line_id in ids]
        self.pair.ask("lifecycle_jobs", "logs", job_id)
        self.write(data, "lifecycle_jobs", "insert_workspace_lifecycle_job_logs", lines)
        self.pair.ask("lifecycle_jobs", "logs", job_id)
