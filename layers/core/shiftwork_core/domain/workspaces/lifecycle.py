"""The rules of the lifecycle: which jobs a workspace should have, and what becomes of them.

Every function takes rows as they were read and returns rows as they are to be written. What is
written to a job and to its workspace together is one transaction under both revisions, so these
rules need not think of anybody who writes meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from shiftwork_core.domain.backoff import doubled
from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.requests.backoff import Backoff, Draw, Jitter, RetryPolicy
from shiftwork_core.domain.times import to_iso
from shiftwork_core.domain.workspaces.records import (
    Cause,
    Desired,
    LifecycleJob,
    Operation,
    Pending,
    Sighting,
    Transition,
    Workspace,
    WorkspaceState,
)
from shiftwork_core.domain.workspaces.schedules import (
    Almanac,
    Schedule,
    deadlines,
    next_edge,
    next_start,
    next_stop,
)

#: A job is tried so often; between tries it waits, longer each time.
DEFAULT_RETRY = RetryPolicy(5, Backoff.EXPONENTIAL, 10.0, 600.0, Jitter.FULL)
#: After a job that failed for good none is planned for so long, doubled with each that follows.
FIRST_BLOCK = timedelta(minutes=5)
LONGEST_BLOCK = timedelta(hours=6)
#: How soon a workspace that hosts workers, or that is on its way, is looked at again.
LOOK_EVERY = timedelta(minutes=1)
#: How soon one of which nothing could be seen is.
LOOK_AGAIN_AFTER_ERROR = timedelta(minutes=15)

_MOVING = (WorkspaceState.STARTING, WorkspaceState.STOPPING)
#: In which states an operation has something to do. A group of which some run can go both ways.
_WANTS = {
    Operation.START: (WorkspaceState.STOPPED, WorkspaceState.MIXED),
    Operation.STOP: (WorkspaceState.RUNNING, WorkspaceState.MIXED),
}


@dataclass(frozen=True, slots=True)
class Hosts:
    """Which workers a workspace hosts: the job types that they do, and the names they go by."""

    job_types: tuple[str, ...]
    workers: tuple[str, ...]
    idle_timeout_s: float | None = None
    drain_timeout_s: float = 600.0

    def is_host_of(self, worker_id: str) -> bool:
        """Whether a worker of this name runs in the workspace."""
        return any(fnmatchcase(worker_id, pattern) for pattern in self.workers)


@dataclass(frozen=True, slots=True)
class WorkspaceSpec:
    """What the body of a workspace says."""

    driver: JsonObject
    schedule: Schedule = field(default_factory=Schedule)
    hosts: Hosts | None = None
    retry: RetryPolicy = DEFAULT_RETRY
    verify_timeout_s: float = 600.0

    @classmethod
    def from_body(cls, workspace_id: str, body: JsonObject) -> WorkspaceSpec:
        """Read a body that the API has checked; what it leaves out has its default.

        Raises
        ------
        ScheduleFault
            If the schedule cannot be.
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


def _hosts(workspace_id: str, part: JsonObject | None) -> Hosts | None:
    if part is None:
        return None
    return Hosts(
        job_types=tuple(part["job_types"]),
        workers=tuple(part.get("workers") or (workspace_id, f"{workspace_id}-*")),
        idle_timeout_s=part.get("idle_timeout_s"),
        drain_timeout_s=part.get("drain_timeout_s", 600.0),
    )


@dataclass(frozen=True, slots=True)
class Hosted:
    """What goes on in the workers that a workspace hosts.

    `waiting` is a job type of which a job waits for them. `running` are the builds of those that
    live. `finished_at` is when the last of them finished one. `drains` are pairs of a stop's id
    and that of a worker that is drained for it, also of workers that do not live.
    """

    waiting: str | None = None
    running: tuple[str, ...] = ()
    finished_at: datetime | None = None
    drains: tuple[tuple[str, str], ...] = ()

    @property
    def is_busy(self) -> bool:
        """Whether they have something to do."""
        return self.waiting is not None or bool(self.running)


#: Nothing is hosted.
NOTHING_HOSTED = Hosted()


def seen(
    workspace: Workspace,
    sighting: Sighting,
    spec: WorkspaceSpec,
    almanac: Almanac,
    now: datetime,
) -> Workspace:
    """Return the row after its driver has looked.

    One that somebody else has started gets the time to live of a manual start.
    """
    # Why its jobs fail is not answered by its being seen.
    error = workspace.error if workspace.failures else None
    row = replace(workspace, looked_at=now, detail=sighting.detail, error=error)
    if sighting.state is workspace.state:
        return row
    # It has changed at some time since it was last seen. Were that taken to be now, a window's end
    # that has just come, and is why it is looked at, would count as met.
    known = [at for at in (workspace.changed_at, workspace.looked_at) if at is not None]
    changed_at = workspace.changed_at
    if workspace.state is not WorkspaceState.UNKNOWN:
        changed_at = max(known, default=now)
    row = replace(row, state=sighting.state, changed_at=changed_at, started_by=None)
    if sighting.state is WorkspaceState.RUNNING and workspace.state is not WorkspaceState.MIXED:
        latest = deadlines(spec.schedule, almanac, Cause.MANUAL, now)
        return replace(row, deadline=latest[0], max_deadline=latest[1])
    return replace(row, deadline=None, max_deadline=None) if _is_off(sighting.state) else row


def _is_off(state: WorkspaceState) -> bool:
    return state in (WorkspaceState.STOPPED, WorkspaceState.STOPPING)


def wanted(
    workspace: Workspace,
    operation: Operation,
    spec: WorkspaceSpec,
    almanac: Almanac,
    hosted: Hosted,
    now: datetime,
) -> Transition | None:
    """Return when and why the workspace is to be switched so next.

    None: its schedule, its override and its workers know of no such time, or its state is not
    one that the operation would change.
    """
    if workspace.state not in _WANTS[operation]:
        return None
    planned = by_schedule(workspace, operation, spec, almanac, now)
    hosting = _by_hosting(workspace, operation, spec, hosted, now)
    found = [t for t in (planned, hosting) if t is not None]
    if not found:
        return None
    first = min(found, key=lambda transition: transition.at)
    if workspace.blocked_until is not None and workspace.blocked_until > first.at:
        return replace(first, at=workspace.blocked_until)
    return first


def by_schedule(
    workspace: Workspace,
    operation: Operation,
    spec: WorkspaceSpec,
    almanac: Almanac,
    now: datetime,
) -> Transition | None:
    """Return when the schedule or the override switches it so next, whatever its state is."""
    row = _beyond_skipped(workspace, operation)
    reckon = next_start if operation is Operation.START else next_stop
    return reckon(spec.schedule, almanac, row, now)


def _beyond_skipped(workspace: Workspace, operation: Operation) -> Workspace:
    """Return the row as if it had last changed when what somebody cancelled was due."""
    until = workspace.skipped.get(operation)
    if until is None:
        return workspace
    row = workspace
    if row.changed_at is None or row.changed_at < until:
        row = replace(row, changed_at=until)
    if row.deadline is not None and row.deadline <= until:
        row = replace(row, deadline=None)
    if row.max_deadline is not None and row.max_deadline <= until:
        row = replace(row, max_deadline=None)
    return row


def _by_hosting(
    workspace: Workspace,
    operation: Operation,
    spec: WorkspaceSpec,
    hosted: Hosted,
    now: datetime,
) -> Transition | None:
    """Return the transition for the workers' sake: due now, or none.

    One in the future would move with every build; so it is made when its time has come.
    """
    if spec.hosts is None:
        return None
    override = (
        workspace.override if workspace.override and workspace.override.is_active(now) else None
    )
    if operation is Operation.START:
        if hosted.waiting is None or (override and override.desired is Desired.OFF):
            return None
        return Transition(operation, now, Cause.WORK, f"jobs of type {hosted.waiting} wait")
    idle_at = idle_until(workspace, spec.hosts, hosted)
    if idle_at is None or idle_at > now or (override and override.desired is Desired.ON):
        return None
    reason = f"its workers have had nothing to do for {spec.hosts.idle_timeout_s:g} s"
    return Transition(operation, idle_at, Cause.IDLE, reason)


def idle_until(workspace: Workspace, hosts: Hosts, hosted: Hosted) -> datetime | None:
    """Return when the workspace has been idle for its time, None if it is busy or has no such."""
    if hosts.idle_timeout_s is None or hosted.is_busy or workspace.changed_at is None:
        return None
    since = [workspace.changed_at, hosted.finished_at, workspace.skipped.get(Operation.STOP)]
    return max(at for at in since if at is not None) + timedelta(seconds=hosts.idle_timeout_s)


def look_next(
    workspace: Workspace, spec: WorkspaceSpec, almanac: Almanac, now: datetime
) -> datetime | None:
    """Return when the scheduler looks at the workspace again, if nothing else brings it there.

    A job that ends, and a change by people, make it due at once.
    """
    times = [next_edge(spec.schedule, almanac, workspace, now)]
    if spec.hosts is not None or workspace.state in _MOVING:
        times.append(now + LOOK_EVERY)
    if workspace.state is WorkspaceState.UNKNOWN or workspace.error is not None:
        times.append(now + LOOK_AGAIN_AFTER_ERROR)
    return min((at for at in times if at is not None), default=None)


# -- jobs ----------------------------------------------------------------------------------------


def planned(
    workspace: Workspace, transition: Transition, job_id: str, now: datetime
) -> tuple[LifecycleJob, Workspace]:
    """Return the pending job of a transition, and the workspace that names it."""
    job = LifecycleJob(
        id=job_id,
        workspace_id=workspace.workspace_id,
        operation=transition.operation,
        deadline=transition.at,
        created_at=now,
        updated_at=now,
        cause=transition.cause,
        reason=transition.reason,
        due_at=transition.at,
    )
    pending = Pending(job_id, transition.at, transition.cause)
    return job, with_pending(workspace, transition.operation, pending)


def moved(
    job: LifecycleJob, workspace: Workspace, transition: Transition, now: datetime
) -> tuple[LifecycleJob, Workspace]:
    """Return a pending job at another deadline, and the workspace that names it.

    If tries of it have failed, they are forgotten; if it has drained workers, it drains none now.
    """
    job = replace(
        job,
        attempt=0,
        error=None,
        drained=(),
        drain_until=None,
        deadline=transition.at,
        due_at=transition.at,
        cause=transition.cause,
        reason=transition.reason,
        updated_at=now,
    )
    pending = Pending(job.id, transition.at, transition.cause)
    return job, with_pending(workspace, job.operation, pending)


def overtaken(
    job: LifecycleJob, workspace: Workspace, transition: Transition, now: datetime
) -> tuple[LifecycleJob, Workspace]:
    """Return a claimed job that comes too late put off, and its workspace, to be looked at.

    A try that was cut off may have switched it, and what is due since then is for its real state.
    """
    row = replace(workspace, due_at=_due_by(workspace, now))
    return moved(begun_anew(job, now), row, transition, now)


def cancelled(job: LifecycleJob, now: datetime) -> LifecycleJob:
    """Return the job as it is when it has been cancelled."""
    return replace(job, cancelled_at=now, updated_at=now, due_at=None, claim_id=None)


def with_pending(workspace: Workspace, operation: Operation, pending: Pending) -> Workspace:
    """Return the workspace that names a job of the operation as pending."""
    return replace(workspace, pending={**workspace.pending, operation: pending})


def without_pending(workspace: Workspace, job: LifecycleJob) -> Workspace:
    """Return the workspace that does not name the job any more."""
    kept = {op: pending for op, pending in workspace.pending.items() if pending.job_id != job.id}
    return replace(workspace, pending=kept)


def names(workspace: Workspace, job: LifecycleJob) -> bool:
    """Whether the workspace names the job as pending."""
    pending = workspace.pending.get(job.operation)
    return pending is not None and pending.job_id == job.id


def goes_first(workspace: Workspace, job: LifecycleJob) -> bool:
    """Whether this job goes before the one of the opposite operation, if there is one.

    Two at once would undo each other's work. The one that is due earlier goes first.
    """
    other = workspace.pending.get(job.operation.opposite)
    return other is None or (job.deadline, job.operation) < (other.at, job.operation.opposite)


def missing(
    workspace: Workspace, operation: Operation, pending: Pending, now: datetime
) -> tuple[LifecycleJob, Workspace]:
    """Return a job that is named and cannot be found, cancelled, and its workspace without it.

    To be inserted: if the job is being written just now that fails, and it is there by then.
    """
    job = LifecycleJob(
        id=pending.job_id,
        workspace_id=workspace.workspace_id,
        operation=operation,
        deadline=pending.at,
        created_at=now,
        updated_at=now,
        cause=pending.cause,
        reason="its row was lost",
        cancelled_at=now,
    )
    return job, without_pending(workspace, job)


def asked(job: LifecycleJob, now: datetime) -> LifecycleJob:
    """Return the job of which the driver is about to be asked to switch."""
    return replace(job, asked_at=now, updated_at=now)


def put_back(job: LifecycleJob, due_at: datetime, now: datetime) -> LifecycleJob:
    """Return the job that is looked at again at a time; that uses up no try."""
    tries = job.attempt if job.asked_at is not None else job.attempt - 1
    return replace(job, due_at=due_at, claim_id=None, attempt=tries, updated_at=now)


def drains(stop: LifecycleJob | None, worker_id: str) -> bool:
    """Whether a stop, as it stands, has drained a worker: it says so before it does it."""
    return stop is not None and not stop.has_ended and worker_id in stop.drained


def begun_anew(job: LifecycleJob, now: datetime) -> LifecycleJob:
    """Return the job, due now, as if nothing had been done: its workspace has another target."""
    return replace(
        job,
        started_at=None,
        claim_id=None,
        asked_at=None,
        attempt=0,
        error=None,
        drain_until=None,
        due_at=now,
        updated_at=now,
    )


def patience(job: LifecycleJob, now: datetime) -> timedelta:
    """Return how long to wait until the next look at a workspace that was asked to switch.

    Most are there within seconds; those that are not take minutes.
    """
    since = timedelta(0) if job.asked_at is None else now - job.asked_at
    return min(max(since / 2, timedelta(seconds=2)), timedelta(seconds=30))


def tried_again(
    job: LifecycleJob, error: str, retry: RetryPolicy, now: datetime, draw: Draw
) -> LifecycleJob:
    """Return the job after a try that failed, pending again until the next."""
    delay_s = retry.delay_after(max(job.attempt, 1), draw)
    return replace(
        job,
        started_at=None,
        claim_id=None,
        asked_at=None,
        error=error,
        due_at=now + timedelta(seconds=delay_s),
        updated_at=now,
    )


def succeeded(
    job: LifecycleJob,
    workspace: Workspace,
    spec: WorkspaceSpec,
    almanac: Almanac,
    sighting: Sighting,
    now: datetime,
) -> tuple[LifecycleJob, Workspace]:
    """Return both rows once the workspace is in the state that the job is for.

    The workspace is due at once: its next job is to be planned.
    """
    done = _ended(job, now, None)
    goal = job.operation.goal
    row = replace(
        without_pending(workspace, job),
        failures=0,
        blocked_until=None,
        error=None,
        looked_at=now,
        detail=sighting.detail,
        due_at=_due_by(workspace, now),
    )
    if workspace.state is goal:
        return done, row
    cause, deadline, latest = None, None, None
    # A stop counts from when it was due: what begins while it waits for builds is not missed.
    changed_at = min(now, max(job.deadline, workspace.changed_at or job.deadline))
    if job.operation is Operation.START:
        cause, changed_at = job.cause, now
        deadline, latest = deadlines(spec.schedule, almanac, cause, now, job.deadline)
    return done, replace(
        row,
        state=goal,
        changed_at=changed_at,
        started_by=cause,
        deadline=deadline,
        max_deadline=latest,
    )


def failed(
    job: LifecycleJob, workspace: Workspace, error: str, now: datetime
) -> tuple[LifecycleJob, Workspace]:
    """Return both rows once the job is given up. Nothing is planned for a while, ever longer."""
    failures = workspace.failures + 1
    block_s = min(doubled(FIRST_BLOCK.total_seconds(), failures), LONGEST_BLOCK.total_seconds())
    row = replace(
        without_pending(workspace, job),
        failures=failures,
        blocked_until=now + timedelta(seconds=block_s),
        error=f"{job.operation} failed at {to_iso(now)}: {error}",
        due_at=_due_by(workspace, now),
    )
    return _ended(job, now, error), row


def _due_by(workspace: Workspace, now: datetime) -> datetime:
    """Return a due time that has come: the one that it has, as another writes an index anew."""
    return now if workspace.due_at is None else min(workspace.due_at, now)


def _ended(job: LifecycleJob, now: datetime, error: str | None) -> LifecycleJob:
    return replace(job, completed_at=now, updated_at=now, error=error, due_at=None, claim_id=None)
