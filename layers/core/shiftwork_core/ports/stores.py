"""What the services need of the world. The adapters provide it; the tests and simulations too.

Writes
------
Every conditional write is safe to send twice: the second sending meets its own result, recognises
it and reports `won` as the first would have. A writer that lost is given the row as the winner left
it. A row that must exist and does not is NotFound; what cannot be done now is Transient. No method
sleeps or retries on its own account, but for what the client library does and a bounded time while
transactions conflict.

Stores keep times to the millisecond.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from shiftwork_core.domain.payloads import Json, JsonObject, Payload
from shiftwork_core.domain.requests.definitions import Definition, JobType, Kind
from shiftwork_core.domain.requests.outcomes import JobError, Outcome
from shiftwork_core.domain.requests.queue_order import Queued
from shiftwork_core.domain.requests.records import (
    Attempt,
    AttemptKey,
    LateUpdate,
    LogLine,
    Request,
    RequestError,
    Step,
    StepStatus,
)
from shiftwork_core.domain.requests.states import AttemptStatus, RequestEvent, RequestStatus

if TYPE_CHECKING:  # Most functions never see a worker's record.
    from shiftwork_core.domain.workers.workers import Worker

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Write(Generic[Row]):
    """What a conditional write came to, and the row as it stands after it."""

    won: bool
    row: Row


class Recorded(StrEnum):
    """What became of an outcome that was sent to be recorded."""

    WON = "won"
    #: The fence has moved on, or the outcome is recorded: this one came too late.
    STALE = "stale"
    #: The request is no longer in progress, so neither a retry nor its failure applies.
    ENDED = "ended"


class Lane(StrEnum):
    """Which sweep looks for a request when it is due."""

    NEW = "new-requests"
    INPROGRESS = "inprogress-requests"


def lane_of(status: RequestStatus) -> Lane:
    """Return the lane in which a due request of this status waits."""
    return Lane.NEW if status is RequestStatus.QUEUING else Lane.INPROGRESS


#: What ends a request in each status: its table of transitions says from where that is admitted.
ENDING_EVENT = {
    RequestStatus.COMPLETED: RequestEvent.COMPLETE,
    RequestStatus.FAILED: RequestEvent.FAIL,
    RequestStatus.CANCELLED: RequestEvent.CANCEL,
}


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some rows, and the opaque token of the next page, None on the last."""

    items: list[Row]
    next_token: str | None = None


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A caller's key, and a digest of what was submitted under it."""

    key: str
    digest: str


@dataclass(frozen=True, slots=True)
class Created:
    """The request under the key: this call's, or an earlier call's with its digest."""

    request: Request
    is_new: bool
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class DueRequest:
    """What the due index knows of a request; it may be stale, so act on it conditionally only."""

    request_id: str
    execution: int
    due_at: datetime


#: The longest delay of an SQS message (limits-and-prices.md).
MAX_DELAY = timedelta(seconds=900)


#: So many late updates of an attempt are kept.
MAX_LATE_UPDATES = 20


def waits_in_table(attempt: Attempt) -> bool:
    """Whether the attempt's back-off is too long for a message, so that `waking` lists it."""
    if attempt.wake_at is None or attempt.is_polled:
        return False
    return attempt.wake_at - attempt.created_at > MAX_DELAY


@dataclass(frozen=True, slots=True)
class Slot:
    """A place of a limited job type's: who holds it, and under which claim."""

    type: str
    number: int
    holder: str
    claim_id: str


@dataclass(frozen=True, slots=True)
class FreeSlot:
    """A place to take: nobody has it, or `seen` has it and is known to need it no more."""

    type: str
    number: int
    seen: Slot | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """What taking a job from its queue came to. `is_slot_lost`: another took the slot first."""

    attempt: Attempt | None
    is_slot_lost: bool = False


def is_untaken(attempt: Attempt, *, lapsed: bool) -> bool:
    """Whether what has lapsed is not a lease but the time in which a worker should have come."""
    return lapsed and attempt.lease_until is None


class RequestStore(Protocol):
    """Requests and their steps."""

    def create(self, request: Request, key: IdempotencyKey | None) -> Created:
        """Write the request, and in the same transaction the key if there is one.

        Of several calls with one key one writes; the others are given its request. A key is kept
        for the retention period from the request's creation or `start_at`, to the next full second,
        then it is free again.
        """

    def get(self, request_id: str) -> Request | None:
        """Read a request, strongly consistent."""

    def find(
        self, status: RequestStatus | None, type: str | None, limit: int, next_token: str | None
    ) -> Page[Request]:
        """List requests, newest first, from an index (eventually consistent).

        Rows of a list carry what a summary shows and nothing else: no params, extras or error.

        Raises
        ------
        Invalid
            If `next_token` is not one that this method returned.
        """

    def due(self, lane: Lane, before: datetime, limit: int) -> list[DueRequest]:
        """List requests due before a time, the longest due first (eventually consistent)."""

    def start(self, request_id: str, now: datetime, due_at: datetime) -> Write[Request]:
        """Queuing -> Inprogress, at step 1. Lost: it was not Queuing."""

    def enter_step(
        self, request_id: str, index: int, extras: Payload, due_at: datetime
    ) -> Write[Request]:
        """Set `current_step` to `index` and the extras, if it is Inprogress at the step before.

        Won also if the request is already at `index`, Inprogress: then the extras are the same.
        """

    def finish(
        self,
        request_id: str,
        status: RequestStatus,
        now: datetime,
        *,
        error: RequestError | None = None,
        extras: Payload | None = None,
        due_at: datetime | None = None,
        seen: Request | None = None,
    ) -> Write[Request]:
        """End it as Completed, Failed or Cancelled, from any status whose table admits that.

        With `seen` only if generation and execution are still `seen`'s, so that a driver that was
        held up does not end what has been retried, or taken over, since. Won also if it already has
        that status. `due_at` keeps it in sight of the sweep for the
        tidying that follows; None takes it out.
        """

    def reopen(self, request_id: str, seen: Request, due_at: datetime) -> Write[Request]:
        """Failed -> Inprogress, with generation and execution one up and no error.

        Conditional on the generation seen; won also if it is Inprogress one generation later.
        """

    def take_over(self, due: DueRequest, due_at: datetime) -> Write[Request]:
        """Give the request a new execution number and due time, if both are as seen.

        Won also if the number is one up and the due time is this call's.
        """

    def set_due(self, seen: Request, due_at: datetime | None) -> None:
        """Set or remove the due time, if it, status, generation and execution are still `seen`'s.

        So a driver that was held up cannot take a request out of the sweep's sight that has been
        retried, taken over, or brought forward since.
        """

    def postpone_due(self, request_id: str, due_at: datetime) -> bool:
        """Move the due time up to `due_at` if it is earlier and the request is Inprogress.

        Return whether the request is Inprogress.
        """

    def hasten_due(self, request_id: str, due_at: datetime) -> None:
        """Move the due time forward to `due_at` if it is later and the request is Inprogress."""

    def add_step(self, step: Step) -> Write[Step]:
        """Write the step's row unless it exists. Lost: somebody else planned it, in the same way.

        Won also if the row has this name, number of jobs and start.
        """

    def get_step(self, request_id: str, index: int) -> Step | None:
        """Read a step, strongly consistent."""

    def steps(self, request_id: str) -> list[Step]:
        """Read all steps of a request in order, strongly consistent."""

    def close_step(
        self, seen: Step, status: StepStatus, counts: dict[str, int], now: datetime | None
    ) -> bool:
        """Record the step's status and counts; `now` is None for one that runs again.

        Only if its end and counts are still `seen`'s, so that who was held up overwrites nothing
        newer; but it becomes `completed` whatever was seen, and one that is `completed`, or has no
        row, stays as it is. Return whether the step is as this call would have it.
        """

    def register_waiter(self, seen: Step, token: str, target: int) -> Write[Step]:
        """Set the step's task token and target, if its token is still the one `seen`.

        Won also if the token is this one. Lost: somebody else waits since.
        """

    def count_settles(self, request_id: str, index: int, count: int) -> Step | None:
        """Add completions that were recorded to the step's count; return its row, if it has one.

        Not safe to send twice: a completion may be counted more than once, or, if its writer dies,
        never. The first wakes who waits too early, which is harmless; the second is found by who
        looks at the request when it is due.
        """


class JobStore(Protocol):
    """Attempts."""

    def insert(self, attempts: Sequence[Attempt]) -> int:
        """Write each attempt unless its row exists. Return how many existed."""

    def get(self, request_id: str, key: AttemptKey) -> Attempt | None:
        """Read an attempt, strongly consistent."""

    def of_step(
        self, request_id: str, step: int, status: AttemptStatus | None = None
    ) -> Iterator[Attempt]:
        """Read a step's attempts in key order, strongly consistent."""

    def find(
        self,
        request_id: str,
        step: int | None,
        status: AttemptStatus | None,
        limit: int,
        next_token: str | None,
    ) -> Page[Attempt]:
        """List a request's attempts in key order.

        Raises
        ------
        Invalid
            If `next_token` is not one that this method returned.
        """

    def claim(
        self,
        request_id: str,
        key: AttemptKey,
        *,
        claim_id: str,
        worker_id: str,
        now: datetime,
        lease_until: datetime,
    ) -> Write[Attempt | None]:
        """Turn new -> inprogress: fence one up, lease, start time; the wake-up is removed.

        Won also if the row is inprogress under this very `claim_id`. Lost with None: no such row.
        """

    def queued(self, queue: str, now: datetime, limit: int) -> list[Queued]:
        """List the head of a queue in its order: what can be taken now (eventually consistent).

        At most `limit` of those that wait, and as many of those whose delay is over.
        """

    def queue_size(self, queue: str) -> int:
        """Count what waits in a queue, delayed jobs too (eventually consistent)."""

    def take(
        self,
        queued: Sequence[Queued],
        *,
        claim_id: str,
        worker_id: str,
        now: datetime,
        leases: Sequence[datetime],
    ) -> list[Attempt | None]:
        """Turn new -> inprogress, as `claim` does, each that nobody has claimed since then.

        It leaves its queue; `started_at` stays that of the first time. Won also if it is inprogress
        under this very `claim_id`. Lost: None.
        """

    def take_limited(
        self,
        queued: Queued,
        slot: FreeSlot,
        *,
        claim_id: str,
        worker_id: str,
        now: datetime,
        lease_until: datetime,
    ) -> Taken:
        """Take a job, and in the same transaction the slot."""

    def put_back(
        self,
        attempt: Attempt,
        output: Payload | None,
        wake_at: datetime,
        poll_until: datetime | None,
    ) -> Recorded:
        """Turn inprogress -> new under the fence: to be taken again from `wake_at` on.

        ENDED if the request is not Inprogress. Sent again it writes nothing; where the attempt was
        taken meanwhile it may say STALE or that it has WON, as it had.
        """

    def get_many(self, ids: Sequence[tuple[str, AttemptKey]]) -> list[Attempt]:
        """Read those that exist of some attempts, strongly consistent, in any order."""

    def add_late_update(self, attempt: Attempt, late: LateUpdate) -> None:
        """Add to the late updates of an attempt as it was read; a full list stays as it is."""

    def add_logs(
        self, request_id: str, key: AttemptKey, lines: Sequence[LogLine], now: datetime
    ) -> None:
        """Keep lines that were logged for an attempt; one that is sent twice is kept once."""

    def logs(self, request_id: str, key: AttemptKey) -> list[LogLine]:
        """Read what was logged for an attempt, in order of time."""

    def renew(self, attempt: Attempt, lease_until: datetime) -> bool:
        """Move the lease of an attempt still held under `attempt.fence`. False: it is not."""

    def complete(
        self, attempt: Attempt, output: Payload, now: datetime, *, is_counted: bool = True
    ) -> Recorded:
        """Turn inprogress -> completed under the fence.

        Without `is_counted` that is all, in one plain write: the caller counts it afterwards.

        An attempt that no Map joins is counted in its step's row in the same transaction; and if
        it is the last that an execution waits for, its request, if in progress, is due from `now`:
        so a sweep finds it should the wake-up be lost, or the execution be dead. Before the step's
        row exists nobody can wait for the attempt, and there is nothing to count it in.
        """

    def retry(
        self,
        attempt: Attempt,
        error: JobError,
        successor: Attempt,
        now: datetime,
        *,
        lapsed: bool = False,
    ) -> Recorded:
        """Turn inprogress -> retry under the fence, and insert the successor, in one transaction.

        ENDED if the request is not Inprogress. With `lapsed` also conditional on the lease being
        the one seen, so that a holder who renews in time keeps the attempt; one with no lease,
        which nobody took in time, turns new -> retry.
        """

    def fail(
        self,
        attempt: Attempt,
        error: JobError,
        now: datetime,
        *,
        request: RequestError | None,
        due_at: datetime | None = None,
        lapsed: bool = False,
    ) -> Recorded:
        """Turn inprogress -> failure under the fence; `lapsed` as in `retry`, new -> failure.

        With `request`, also its request -> Failed with that error and due time, in one
        transaction: ENDED, and nothing written, if the request is not Inprogress.
        """

    def cancel(self, attempt: Attempt, now: datetime, *, failed: Request | None = None) -> bool:
        """Turn new -> cancelled. False if it is not new any more (True if it is cancelled).

        With `failed` only while that request is still Failed in that generation: a user may retry
        it at any time, and then its attempts may run.
        """

    def waking(self, before: datetime, limit: int) -> list[tuple[str, AttemptKey]]:
        """List retries whose back-off was too long for a message and is over before a time."""

    def forget_wake(self, request_id: str, key: AttemptKey) -> None:
        """Take an attempt out of what `waking` lists: its message has been sent."""


class LimitStore(Protocol):
    """How much of a job type is under way, where that is limited."""

    def slots(self, type: str) -> list[Slot]:
        """Read the slots that are taken, strongly consistent."""

    def free(self, slot: Slot) -> None:
        """Give a slot back, if it is still held by that claim."""

    def reserve(
        self, type: str, window: datetime, count: int, limit: int, expires_at: datetime
    ) -> tuple[int, int]:
        """Reserve up to `count` claims in a window of time of which `limit` are granted.

        Return how many were granted, and how many are used by then.
        """

    def used(self, type: str, window: datetime) -> int:
        """Return how many claims of a window are used or reserved, strongly consistent."""

    def give_back(self, type: str, window: datetime, count: int, used: int) -> None:
        """Return what was reserved and not used, if nobody has reserved any since."""


class DefinitionStore(Protocol):
    """Versions of request types and job types. A stored version never changes."""

    def put(self, definition: Definition) -> bool:
        """Write the version unless it exists. False: it exists."""

    def get(self, kind: Kind, name: str, version: int | None = None) -> Definition | None:
        """Read a version, or the latest (which may be a deletion)."""

    def latest(self, kind: Kind) -> Iterator[Definition]:
        """Read the latest version of every definition of a kind, by name, deletions too."""


class WorkerStore(Protocol):
    """Records of workers."""

    def get(self, worker_id: str) -> Worker | None:
        """Read a record, strongly consistent."""

    def save(self, worker: Worker) -> Write[Worker | None]:
        """Write the record, its revision one up, if the row's revision is still `worker`'s.

        Revision 0: if there is no row. Won also if the row is the very one that this writes. Lost
        with None: it was deleted.
        """

    def delete(self, worker: Worker) -> bool:
        """Delete the record if its revision is still `worker`'s. True also if there is none."""

    def all(self) -> Iterator[Worker]:
        """Read every record, by worker id, strongly consistent."""

    def watched(self, before: datetime, limit: int) -> list[str]:
        """List workers that a sweep is to look at before a time, the longest due first.

        From an index (eventually consistent).
        """


class TokenStore(Protocol):
    """Tokens that are good for one use, once they are used."""

    def use(self, token_id: str, user: str, expires_at: datetime) -> bool:
        """Record that `user` has used the token. False: somebody else has.

        The row may be forgotten once the token has expired anyway.
        """


class WorkerWatch(Protocol):
    """What the task API tells the worker record, and asks it."""

    def polling(self, worker_id: str, wants: Mapping[str, int], now: datetime) -> bool:
        """Hear that a worker polls these queues, for at most so many jobs each.

        A queue is a job type's name, or `type#domain`. Return whether the worker may be given work;
        it may not while it is drained. Makes the record of a worker that is not known; writes at
        most once in 30 s while nothing changes. A worker without a name has no record.
        """

    def changed(
        self,
        worker_id: str,
        started: Sequence[str],
        finished: Sequence[str],
        now: datetime,
        *,
        error: str | None = None,
    ) -> None:
        """Hear which attempts the worker holds since now, and which no more: at most one write.

        `error` is what the worker says is wrong with it; empty: nothing is; None: it does not say.
        Hearing the same again changes nothing.
        """

    def running(self, worker_id: str) -> Sequence[str]:
        """Return the attempts that the worker holds, as far as its record knows."""


class NoWatch(WorkerWatch):
    """Keeps no record, and gives work to everybody."""

    def polling(self, worker_id: str, wants: Mapping[str, int], now: datetime) -> bool:
        """Let it have work."""
        return True

    def changed(
        self,
        worker_id: str,
        started: Sequence[str],
        finished: Sequence[str],
        now: datetime,
        *,
        error: str | None = None,
    ) -> None:
        """Forget it."""

    def running(self, worker_id: str) -> Sequence[str]:
        """Know of none."""
        return ()


class BlobStore(Protocol):
    """JSON too large for a row."""

    def put(self, request_id: str, text: str) -> str:
        """Keep the text under a reference derived from its content. Safe to send twice."""

    def get(self, ref: str) -> str:
        """Read it back."""

    def locate(self, ref: str) -> dict[str, str]:
        """Return `{"bucket", "key"}`, for a state machine that reads it by itself."""


class Machine(Protocol):
    """The state machine's executions."""

    def start(self, request_id: str, execution: int) -> None:
        """Start an execution under a name made of both. One that exists counts as success."""

    def wake(self, token: str) -> bool:
        """Let the execution that waits with this token go on. Return whether one waited.

        A token that is spent is ignored.
        """


class Queue(Protocol):
    """Delayed messages to RetryJobs; at least once, or lost."""

    def send(self, message: JsonObject, delay_s: float) -> None:
        """Send, to arrive after about `delay_s`, at most `MAX_DELAY`."""


class BatchInvoker(Protocol):
    """Runs attempts that no state machine waits for."""

    def invoke(self, request_id: str, jobs: list[str]) -> None:
        """Hand the batch to RunJobs, without waiting for it."""


@dataclass(frozen=True, slots=True)
class JobInput:
    """What a target is given: the job's input, and who asks."""

    attempt: Attempt
    params: Json
    extras: JsonObject
    item: Json
    stop: StopSignal


class StopSignal(Protocol):
    """Tells a running job that its outcome is no longer wanted."""

    def is_set(self) -> bool:
        """Whether the job should stop: cancelled, timed out, or its lease is lost."""


class JobTarget(Protocol):
    """Does a job."""

    def run(self, job_type: JobType, job: JobInput) -> Outcome:
        """Do it. Whatever goes wrong is an outcome, never an exception."""


Key = TypeVar("Key")
Result = TypeVar("Result")


class SideBySide(Protocol):
    """Runs calls concurrently."""

    def __call__(
        self, calls: Mapping[Key, Callable[[], Result]], tick_s: Callable[[], float]
    ) -> Iterator[Mapping[Key, Future[Result]]]:
        """Start every call; yield those that ended since the last yield, until all have.

        At the latest after `tick_s()` seconds it yields, be it nothing. A caller that stops
        iterating leaves behind the calls that have not ended.
        """


class Clock(Protocol):
    """Tells the time."""

    def __call__(self) -> datetime:
        """Return the time now, aware, UTC."""


class NewId(Protocol):
    """Makes ids."""

    def __call__(self) -> str:
        """Return an id nobody else has."""
