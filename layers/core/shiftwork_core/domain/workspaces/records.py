"""The rows of workspaces and their lifecycle jobs, and the states in them.

A lifecycle job is pending until it is claimed, running until its outcome is recorded, and ends as
completed, failed or cancelled. Its state follows from `started_at`, `cancelled_at`, `completed_at`
and `error`, as in the source document.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from shiftwork_core.domain.payloads import JsonObject

#: The longest line of a lifecycle job's log, in characters (the source document's column).
MAX_LOG_CHARACTERS = 1024


class Operation(StrEnum):
    """What a lifecycle job does to its workspace."""

    START = "start"
    STOP = "stop"

    @property
    def goal(self) -> WorkspaceState:
        """Return the state in which it leaves the workspace."""
        return WorkspaceState.RUNNING if self is Operation.START else WorkspaceState.STOPPED

    @property
    def opposite(self) -> Operation:
        """Return the other operation."""
        return Operation.STOP if self is Operation.START else Operation.START


class WorkspaceState(StrEnum):
    """The state of a workspace as its driver sees it."""

    RUNNING = "running"
    STOPPED = "stopped"
    #: On its way to running.
    STARTING = "starting"
    #: On its way to stopped.
    STOPPING = "stopping"
    #: Some of its members run, and others do not.
    MIXED = "mixed"
    #: It does not exist, or nobody has looked yet.
    UNKNOWN = "unknown"


class Cause(StrEnum):
    """Why a workspace is switched."""

    #: A window of its schedule begins or ends.
    SCHEDULE = "schedule"
    #: It has run for its time to live, or up to a deadline that somebody set.
    DEADLINE = "deadline"
    #: Somebody keeps it on, or off, until a time.
    OVERRIDE = "override"
    #: Somebody asked for it now.
    MANUAL = "manual"
    #: Jobs wait for the workers that it hosts.
    WORK = "work"
    #: The workers that it hosts have had nothing to do for long enough.
    IDLE = "idle"


class Desired(StrEnum):
    """How an override keeps a workspace."""

    ON = "on"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Override:
    """From `since` until `until` (not included) the workspace is kept on, or off."""

    desired: Desired
    since: datetime
    until: datetime
    reason: str = ""

    def is_active(self, at: datetime) -> bool:
        """Whether it holds at a time."""
        return self.since <= at < self.until


@dataclass(frozen=True, slots=True)
class Transition:
    """A switch that a workspace should make: when, why, and the reason in words for people."""

    operation: Operation
    at: datetime
    cause: Cause
    reason: str


@dataclass(frozen=True, slots=True)
class Pending:
    """The unfinished job of an operation, as its workspace's row refers to it."""

    job_id: str
    at: datetime
    cause: Cause


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace's row.

    `body` is what its user wrote, checked at the API's edge. `state` is what the driver saw last,
    or what the last job left, `changed_at` since when, `looked_at` when the driver looked last, and
    `detail` what it said. `deadline` is when a running workspace stops for its time to live,
    `max_deadline` how far that may move. `pending` has at most one job for each operation.
    `failures` counts jobs that failed one after the other; none is planned until `blocked_until`.
    `skipped` says until when the schedule skips an operation, because somebody cancelled its job.
    `memory` is what its driver has to remember. `due_at` is when the scheduler checks the
    workspace next, None if never by itself. `revision` rises with every write.
    """

    workspace_id: str
    body: JsonObject
    created_at: datetime
    updated_at: datetime
    state: WorkspaceState = WorkspaceState.UNKNOWN
    changed_at: datetime | None = None
    looked_at: datetime | None = None
    detail: str = ""
    started_by: Cause | None = None
    deadline: datetime | None = None
    max_deadline: datetime | None = None
    override: Override | None = None
    pending: Mapping[Operation, Pending] = field(default_factory=dict)
    failures: int = 0
    blocked_until: datetime | None = None
    skipped: Mapping[Operation, datetime] = field(default_factory=dict)
    error: str | None = None
    memory: JsonObject = field(default_factory=dict)
    due_at: datetime | None = None
    revision: int = 0


class JobState(StrEnum):
    """The state of a lifecycle job; it follows from its times."""

    PENDING = "pending"
    #: Claimed: being executed, or waiting for the workspace to reach the goal.
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class LifecycleJob:
    """A planned start or stop: the source document's row, and what its execution needs.

    `deadline` is when it should be executed. `attempt` counts its attempts. `due_at` is when it may
    be claimed: at its deadline, when its claimant's lease ends, or at the next check or attempt;
    None once it has ended. `claim_id` names the claim, until the claimant writes again. `asked_at`
    is since when this attempt waits for the workspace, which was asked to switch or was on its way
    already. `drain_until` is how long a stop waits for the builds of the workers that it has
    `drained`. `revision` rises with every write: it is the claimant's fence.
    """

    id: str
    workspace_id: str
    operation: Operation
    deadline: datetime
    created_at: datetime
    updated_at: datetime
    cause: Cause
    reason: str = ""
    started_at: datetime | None = None
    cancelled_at: datetime | None = None
    completed_at: datetime | None = None
    error: str | None = None
    attempt: int = 0
    due_at: datetime | None = None
    claim_id: str | None = None
    asked_at: datetime | None = None
    drain_until: datetime | None = None
    drained: tuple[str, ...] = ()
    revision: int = 0

    @property
    def has_ended(self) -> bool:
        """Whether it has completed, failed or been cancelled."""
        return self.completed_at is not None or self.cancelled_at is not None

    @property
    def state(self) -> JobState:
        """Return its state."""
        if self.cancelled_at is not None:
            return JobState.CANCELLED
        if self.completed_at is not None:
            return JobState.COMPLETED if self.error is None else JobState.FAILED
        return JobState.PENDING if self.started_at is None else JobState.RUNNING

    @property
    def next_at(self) -> datetime | None:
        """Return when it may be claimed; None once it has ended, whatever `due_at` says."""
        return None if self.has_ended else self.due_at

    def is_due(self, now: datetime) -> bool:
        """Whether it may be claimed."""
        return self.next_at is not None and self.next_at <= now

    def is_held(self, claim_id: str, now: datetime) -> bool:
        """Whether it is under this claim, whose lease has not run out."""
        return not self.has_ended and self.claim_id == claim_id and not self.is_due(now)


def claimed(job: LifecycleJob, claim_id: str, now: datetime, lease_until: datetime) -> LifecycleJob:
    """Return the job under a claim.

    An attempt counts when it begins: when somebody claims a job that waits for nothing, or one
    whose claim has lapsed, as that attempt is lost. A further look is no new attempt.
    """
    is_new = job.asked_at is None or job.claim_id is not None
    return replace(
        job,
        started_at=now if job.started_at is None else job.started_at,
        updated_at=now,
        claim_id=claim_id,
        due_at=lease_until,
        attempt=job.attempt + is_new,
        asked_at=None if is_new else job.asked_at,
    )


class LogLevel(StrEnum):
    """The level of a line in a job's log; the source's `log_level`."""

    TRACE = "trace"
    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class LifecycleLog:
    """A line of a lifecycle job's log; `output` has at most `MAX_LOG_CHARACTERS`."""

    id: str
    job_id: str
    created_at: datetime
    level: LogLevel
    output: str


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a driver saw: the state of the workspace, and its detail in words.

    `members` are the things that are switched together, by id, each with its own state.
    `fault` says why members stopped that nobody has stopped, as a start that failed; else empty.
    """

    state: WorkspaceState
    detail: str = ""
    members: Mapping[str, WorkspaceState] = field(default_factory=dict)
    fault: str = ""
