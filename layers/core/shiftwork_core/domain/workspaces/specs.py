"""Read a workspace's body: its driver, its schedule, the workers it hosts, how often to retry."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.requests.backoff import Backoff, Jitter, RetryPolicy
from shiftwork_core.domain.workspaces.schedules import Schedule

#: A lifecycle job has so many attempts; between them it waits, longer each time.
DEFAULT_RETRY = RetryPolicy(5, Backoff.EXPONENTIAL, 10.0, 600.0, Jitter.FULL)


@dataclass(frozen=True, slots=True)
class Hosts:
    """The workers that a workspace hosts: their job types, and patterns of their names."""

    job_types: tuple[str, ...]
    workers: tuple[str, ...]
    idle_timeout_s: float | None = None
    drain_timeout_s: float = 600.0

    def is_host_of(self, worker_id: str) -> bool:
        """Whether a worker of this name runs in the workspace."""
        return any(fnmatchcase(worker_id, pattern) for pattern in self.workers)


@dataclass(frozen=True, slots=True)
class WorkspaceSpec:
    """The body of a workspace, with its defaults filled in."""

    driver: JsonObject
    schedule: Schedule = field(default_factory=Schedule)
    hosts: Hosts | None = None
    retry: RetryPolicy = DEFAULT_RETRY
    verify_timeout_s: float = 600.0

    @classmethod
    def from_body(cls, workspace_id: str, body: JsonObject) -> WorkspaceSpec:
        """Read a body that the API has checked.

        Raises
        ------
        ScheduleFault
            If the schedule is impossible.
        """
        retry = dict(body.get("retry") or {})
        if "backoff" in retry:
            retry["backoff"] = Backoff(retry["backoff"])
        if "jitter" in retry:
            retry["jitter"] = Jitter(retry["jitter"])
        return cls(
            driver=body["driver"],
            schedule=Schedule.from_body(body.get("schedule") or {}),
            hosts=_hosts(workspace_id, body.get("hosts")),
            retry=replace(DEFAULT_RETRY, **retry),
            verify_timeout_s=body.get("verify_timeout_s", 600.0),
        )


def is_host_of(workspace_id: str, spec: WorkspaceSpec, worker_id: str) -> bool:
    """Whether a worker of this name runs in the workspace, also if it is not started for jobs."""
    hosts = spec.hosts or Hosts((), _usual_workers(workspace_id))
    return hosts.is_host_of(worker_id)


def _usual_workers(workspace_id: str) -> tuple[str, ...]:
    return (workspace_id, f"{workspace_id}-*", f"{workspace_id}~*")


def _hosts(workspace_id: str, part: JsonObject | None) -> Hosts | None:
    if part is None:
        return None
    return Hosts(
        job_types=tuple(part["job_types"]),
        workers=tuple(part.get("workers") or _usual_workers(workspace_id)),
        idle_timeout_s=part.get("idle_timeout_s"),
        drain_timeout_s=part.get("drain_timeout_s", 600.0),
    )
