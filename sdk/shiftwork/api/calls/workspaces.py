"""The calls of workspaces and of their lifecycle jobs."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from shiftwork.api.call import Call, Pages, given, nothing, quoted, time_text

if TYPE_CHECKING:
    from shiftwork.api.shapes import (
        Desired,
        DryRun,
        JsonObject,
        LifecycleJob,
        LifecycleLog,
        Operation,
        Plan,
        Workspace,
        WorkspaceExplanation,
    )


def _path(workspace_id: str, *rest: str) -> str:
    return "/".join(["/v1/workspaces", quoted(workspace_id), *rest])


def workspaces() -> Pages[Workspace]:
    """Yield workspaces by id."""
    return Pages("/v1/workspaces")


def workspace(workspace_id: str) -> Call[Workspace]:
    """Return a workspace, with its state as last seen."""
    return Call("GET", _path(workspace_id))


def put_workspace(workspace_id: str, body: JsonObject) -> Call[Workspace]:
    """Create or replace a workspace, and return it. An equal body changes nothing."""
    return Call("PUT", _path(workspace_id), json=body)


def delete_workspace(workspace_id: str) -> Call[None]:
    """Delete a workspace. Its machines are left as they are; its pending jobs are cancelled."""
    return Call("DELETE", _path(workspace_id), read=nothing)


def start_workspace(workspace_id: str) -> Call[LifecycleJob]:
    """Start the workspace now, and return the job that does it; asking twice makes one job."""
    return _switch(workspace_id, "start")


def stop_workspace(workspace_id: str) -> Call[LifecycleJob]:
    """Stop the workspace now, and return the job that does it; asking twice makes one job."""
    return _switch(workspace_id, "stop")


def _switch(workspace_id: str, operation: Operation) -> Call[LifecycleJob]:
    return Call("POST", _path(workspace_id, operation))


def dry_run_workspace(workspace_id: str, operation: Operation) -> Call[DryRun]:
    """Return what a start or a stop would do now, without doing it."""
    return Call("POST", _path(workspace_id, operation), {"dry_run": "true"})


def override_workspace(
    workspace_id: str,
    desired: Desired,
    until: datetime | str,
    *,
    since: datetime | str | None = None,
    reason: str | None = None,
) -> Call[Workspace]:
    """Keep the workspace on, or off, until a time, and return it.

    Parameters
    ----------
    since
        When the override begins; by default now.
    reason
        Why, for people who look at the workspace.
    """
    optional = {"since": time_text(since), "reason": reason}
    body = {"desired": desired, "until": time_text(until)} | given(optional)
    return Call("PUT", _path(workspace_id, "override"), json=body)


def clear_override(workspace_id: str) -> Call[Workspace]:
    """End the override, if there is one, and return the workspace."""
    return Call("DELETE", _path(workspace_id, "override"))


def report_activity(workspace_id: str) -> Call[Workspace]:
    """Report that the workspace is in use, which extends its deadline. Return it."""
    return Call("POST", _path(workspace_id, "activity"))


def set_workspace_deadline(workspace_id: str, deadline: datetime | str) -> Call[Workspace]:
    """Set when a running workspace stops, and return it; its schedule may stop it sooner."""
    body = {"deadline": time_text(deadline)}
    return Call("PUT", _path(workspace_id, "deadline"), json=body)


def workspace_plan(workspace_id: str, *, days: int = 30) -> Call[Plan]:
    """Return the switches planned for the next 1 to 90 days, and those left out."""
    return Call("GET", _path(workspace_id, "plan"), {"days": days})


def explain_workspace(workspace_id: str) -> Call[WorkspaceExplanation]:
    """Return why the workspace has its state, and when that changes."""
    return Call("GET", _path(workspace_id, "explain"))


def lifecycle_jobs(
    *, workspace: str | None = None, state: str | None = None
) -> Pages[LifecycleJob]:
    """Yield lifecycle jobs, newest first."""
    return Pages("/v1/lifecycle-jobs", given({"workspace": workspace, "state": state}))


def lifecycle_job(job_id: str) -> Call[LifecycleJob]:
    """Return a lifecycle job."""
    return Call("GET", f"/v1/lifecycle-jobs/{quoted(job_id)}")


def cancel_lifecycle_job(job_id: str) -> Call[LifecycleJob]:
    """Cancel a job that has not ended, and return it. Its switch does not happen."""
    return Call("POST", f"/v1/lifecycle-jobs/{quoted(job_id)}/cancel")


def lifecycle_job_logs(job_id: str) -> Pages[LifecycleLog]:
    """Yield the log of a lifecycle job, oldest line first."""
    return Pages(f"/v1/lifecycle-jobs/{quoted(job_id)}/logs")
