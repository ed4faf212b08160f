"""The rows of requests, their steps and attempts, and the ids of attempts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from shiftwork_core.domain.payloads import Payload
from shiftwork_core.domain.requests.definitions import OnFailure
from shiftwork_core.domain.requests.outcomes import JobError
from shiftwork_core.domain.requests.queue_names import queue_name, shard_name
from shiftwork_core.domain.requests.retries import Retried, with_retry
from shiftwork_core.domain.requests.states import REQUEST_ENDED, AttemptStatus, RequestStatus

if TYPE_CHECKING:  # Few requests have blocks, and each module makes each cold start longer.
    from shiftwork_core.domain.requests.blocks import Block


@dataclass(frozen=True, slots=True)
class RequestError:
    """Why a request failed, and by which job where there is one.

    Its texts can be stored, as those of a `JobError`.
    """

    type: str
    message: str
    step: int | None = None
    job: str | None = None
    attempt_id: str | None = None

    def __post_init__(self) -> None:
        """Cut what is too long, and write out what UTF-8 cannot write."""
        kept = JobError(self.type, self.message)
        object.__setattr__(self, "type", kept.type)
        object.__setattr__(self, "message", kept.message)


@dataclass(frozen=True, slots=True)
class Outage:
    """Executions that were started one after the other, and none of which advanced the request.

    Attributes
    ----------
    executions:
        How many a sweep has started since.
    since:
        When the first was missed.
    error:
        What the last one that could tell ended by.
    """

    executions: int
    since: datetime
    error: JobError | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One submission of a request type.

    `extras` holds what every settled step's jobs returned. `execution` numbers the state machine's
    executions: only the newest may advance it. `generation` counts a user's retries; an attempt
    remembers in which one it was made, and `retries` are the ends before them. `first_completed_at`
    is when it completed for the first time, if that was before one. `due_at` is when a sweep should
    check it, None once there is nothing left to do. `domains` names, by job type, the workers that
    may claim its polled jobs. `outage` is set while no execution can advance it.
    """

    request_id: str
    type: str
    type_version: int
    job_types: dict[str, int]
    params: Payload
    extras: Payload
    created_at: datetime
    status: RequestStatus = RequestStatus.QUEUING
    current_step: int = 0
    execution: int = 1
    generation: int = 0
    due_at: datetime | None = None
    start_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    first_completed_at: datetime | None = None
    retries: tuple[Retried, ...] = ()
    error: RequestError | None = None
    correlation_id: str | None = None
    priority: int = 0
    domains: dict[str, str] = field(default_factory=dict)
    outage: Outage | None = None

    def domain_of(self, job_type: str) -> str | None:
        """Return the domain in which the jobs of a type wait for workers, None for the common one.

        `*` means every type that is not named.
        """
        return self.domains.get(job_type, self.domains.get("*"))

    def retried(self, now: datetime) -> dict[str, Any]:
        """Return what it remembers of its end once it is retried."""
        ended = Retried(self.status, self.completed_at, now)
        completed_at = self.completed_at if self.status is RequestStatus.COMPLETED else None
        first_completed_at = self.first_completed_at or completed_at
        retries = with_retry(self.retries, ended)
        return {"retries": retries, "first_completed_at": first_completed_at}

    @property
    def has_ended(self) -> bool:
        """Whether it is over, so that nothing of it starts."""
        return self.status in REQUEST_ENDED

    def is_advanced_by(self, execution: int) -> bool:
        """Whether it has not ended, and this execution is its newest."""
        return not self.has_ended and execution >= self.execution


class StepStatus(StrEnum):
    """A step's status. `pending` is a step with no row yet."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Stall:
    """Rounds in which batches of a step were handed out and none of their jobs began.

    Attributes
    ----------
    rounds:
        How many, one after the other; 0 for a round that has not come back yet.
    progress:
        What had begun by then; with any other the stall is over.
    next_at:
        When the next batch is tried; before that no execution counts a round.
    error:
        What the last batch died of, if that is known.
    """

    rounds: int
    progress: str
    next_at: datetime
    error: JobError | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """The blocks of an entry: the numbers of their first row and job, their size, how many jobs."""

    first_row: int
    first_job: int
    block: int
    jobs: int

    @property
    def rows(self) -> range:
        """The numbers of the blocks' rows."""
        return range(self.first_row, self.first_row - (-self.jobs // self.block))

    def row_of(self, job: int) -> int | None:
        """Return the number of the row that has a job; None if it is none of these blocks'."""
        place = job - self.first_job
        return self.first_row + place // self.block if 0 <= place < self.jobs else None


@dataclass(frozen=True, slots=True)
class Step:
    """A planned step. Its row exists only once every job of it has its first attempt.

    `arrivals` counts the jobs that have arrived and that no Map joins, a block as one; `token` is
    the task token of the execution that waits, to be woken when `arrivals` has reached `target`.
    `type` is its request's, empty in rows from before it was kept. `stall` is set while its batches
    die before they claim a job. `spans` say which rows are blocks, and of which jobs. `tolerated`:
    so many of its jobs had failed when it completed. `extras`: those with which it began last.
    """

    request_id: str
    index: int
    name: str
    job_count: int
    started_at: datetime
    status: StepStatus = StepStatus.RUNNING
    counts: dict[str, int] = field(default_factory=dict)
    completed_at: datetime | None = None
    arrivals: int = 0
    token: str | None = None
    target: int | None = None
    type: str = ""
    stall: Stall | None = None
    spans: tuple[Span, ...] = ()
    tolerated: int = 0
    extras: Payload | None = None

    @property
    def has_no_pending_jobs(self) -> bool:
        """Whether an execution waits for completions that have all happened."""
        return self.token is not None and self.target is not None and self.arrivals >= self.target


@dataclass(frozen=True, slots=True, order=True)
class AttemptKey:
    """The place of an attempt in its request: step (from 1), job (from 0), attempt (from 1)."""

    step: int
    job: int
    attempt: int

    def __str__(self) -> str:
        """Return the sort key: text order is step, job, attempt order."""
        return f"{self.step:04d}#{self.job:06d}#{self.attempt:04d}"

    @classmethod
    def parse(cls, text: str) -> AttemptKey:
        """Read a sort key.

        Raises
        ------
        ValueError
            If it is not one.
        """
        step, job, attempt = text.split("#")
        return cls(int(step), int(job), int(attempt))


#: What the name of an attempt at a block ends with, in a batch.
_IN_BATCH = "#block"


def batch_name(attempt: Attempt) -> str:
    """Return the name of an attempt in a batch for RunJobs: its key, and whether it is a block."""
    return f"{attempt.key}{_IN_BATCH}" if attempt.block is not None else str(attempt.key)


def parse_batch_name(name: str) -> tuple[AttemptKey, bool]:
    """Return the key of an attempt in a batch, and whether it is a block.

    Raises
    ------
    ValueError
        If it is not one.
    """
    key = AttemptKey.parse(name.removesuffix(_IN_BATCH))
    return key, name.endswith(_IN_BATCH)


@dataclass(frozen=True, slots=True)
class LateUpdate:
    """A report that came after the outcome, or from another than the holder: kept, and no more."""

    at: datetime
    status: str
    worker_id: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class LogLine:
    """What a worker wrote about an attempt."""

    at: datetime
    message: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a job.

    `tries` is its number within the policy's budget, which starts over when a user retries the
    request, while `key.attempt` only rises. `fence` rises with each claim of its job; an outcome
    counts only under the fence it was claimed with. `wake_at` is when a retry's back-off is over,
    or a job that was put back may be claimed again. `on_failure` is its step's, or TOLERATE if its
    entry tolerates failures; `is_wide` says that the step is tallied
    (`domain.requests.step_state`).

    The rest is for polled attempts. `poll_until` is when one that no worker has claimed times out;
    `poll_count` says how often it was claimed; `slot` is the place it holds of a limited type's.
    `shard` is that of its queue, and its job's for good: its type may have more or fewer by now.
    `output` is, while it is open, what its workers have reported so far.

    `block` is set if it is an attempt at a block of jobs: then `name` is that of its entry, `item`
    is the list of the block's items, and `output` holds the `blocks.Results` of its jobs so far.
    """

    request_id: str
    key: AttemptKey
    name: str
    type: str
    type_version: int
    created_at: datetime
    status: AttemptStatus = AttemptStatus.NEW
    tries: int = 1
    generation: int = 0
    on_failure: OnFailure = OnFailure.STOP
    is_wide: bool = False
    is_polled: bool = False
    fence: int = 0
    item: Payload | None = None
    params: Payload | None = None
    output: Payload | None = None
    error: JobError | None = None
    wake_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    lease_until: datetime | None = None
    worker_id: str | None = None
    claim_id: str | None = None
    priority: int = 0
    domain: str | None = None
    shard: int = 0
    poll_until: datetime | None = None
    poll_count: int = 0
    slot: int | None = None
    late_updates: tuple[LateUpdate, ...] = ()
    block: Block | None = None

    @property
    def attempt_id(self) -> str:
        """Return the public id, from which the row can be found without an index."""
        return attempt_id_of(self.request_id, self.key)

    @property
    def entry(self) -> str:
        """Return the name of the entry of its step that it stems from."""
        return self.name.partition("[")[0]

    @property
    def queue(self) -> str:
        """Return the name of the queue's shard in which it waits for a worker."""
        return shard_name(queue_name(self.type, self.domain), self.shard)

    @property
    def log_keys(self) -> dict[str, str | int]:
        """Return what a log line about it says of it."""
        return {
            "request_id": self.request_id,
            "attempt_id": self.attempt_id,
            "job": self.name,
            "attempt": self.key.attempt,
        }

    @property
    def is_joined(self) -> bool:
        """Whether a Map's join waits for it, if a Map runs its batch: a first attempt of RunJobs.

        The arrivals of all others are counted in the step's row; and its own if AdvanceRequest has
        called its batch.
        """
        return self.key.attempt == 1 and not self.is_polled

    @property
    def has_arrived(self) -> bool:
        """Whether its job has come to its step's barrier, to wait there for the others."""
        if self.status is AttemptStatus.FAILURE:
            return self.on_failure is not OnFailure.STOP
        return self.status is AttemptStatus.COMPLETED

    @property
    def failed_jobs(self) -> int:
        """How many jobs have failed for good by it, the latest: itself, or those of its block."""
        if self.block is None:
            return int(self.status is AttemptStatus.FAILURE)
        return sum(map(len, self.block.failed))

    @property
    def is_waiting(self) -> bool:
        """Whether nobody holds it yet."""
        return self.status is AttemptStatus.NEW

    def is_overdue(self, now: datetime) -> bool:
        """Whether no worker has claimed it within its poll timeout."""
        return self.is_waiting and self.poll_until is not None and self.poll_until <= now

    def has_lapsed(self, now: datetime) -> bool:
        """Whether it is held under a lease that has run out."""
        if self.status is not AttemptStatus.INPROGRESS or self.lease_until is None:
            return False
        return self.lease_until <= now


def attempt_id_of(request_id: str, key: AttemptKey) -> str:
    """Return the public id of an attempt."""
    return f"{request_id}.{key.step}.{key.job}.{key.attempt}"


def parse_attempt_id(attempt_id: str) -> tuple[str, AttemptKey]:
    """Return the request's id and the key within it.

    Raises
    ------
    ValueError
        If it is not an attempt id.
    """
    request_id, step, job, attempt = attempt_id.rsplit(".", 3)
    return request_id, AttemptKey(int(step), int(job), int(attempt))
