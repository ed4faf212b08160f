"""The ports that are not stores: state machine, queues, blobs, targets, a process's runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from shiftwork_core.domain.payloads import Json, JsonObject
from shiftwork_core.domain.requests.backoff import Draw
from shiftwork_core.domain.requests.definitions import JobType
from shiftwork_core.domain.requests.outcomes import JobError, Outcome
from shiftwork_core.domain.requests.records import Attempt

#: The longest delay of an SQS message (DelaySeconds of SendMessage).
MAX_DELAY = timedelta(seconds=900)
#: How long RunJobs is waited for when it is called. A second of waiting in AdvanceRequest's 512 MB
#: costs about a quarter of a transition; with a wait of this length a step costs no more than one
#: that is scheduled.
CALL_WAIT = timedelta(seconds=15)


class BlobStore(Protocol):
    """JSON that is kept apart from the row that names it: most of it is too large for one."""

    def put(self, request_id: str, text: str, days: int) -> str:
        """Keep the text for one of `LIFETIMES_DAYS`, under a reference derived from its content.

        Safe to send twice.
        """

    def publish(self, request_id: str, text: str, days: int) -> dict[str, str]:
        """Keep it where a state machine reads it by itself; return `{"bucket", "key"}`."""

    def get(self, ref: str) -> str:
        """Read it back."""

    def get_many(self, refs: Iterable[str]) -> Iterator[str]:
        """Read texts back in their order, several at once; a few are held at a time."""

    def put_bytes(self, request_id: str, data: bytes, days: int) -> str:
        """Keep bytes of the request as `put` keeps a text. They are as large as an object may be.

        Safe to send twice.
        """

    def get_bytes(self, request_id: str, ref: str, start: int, end: int) -> bytes:
        """Read bytes of the request back, from `start` to before `end` or their end.

        Raises
        ------
        NotFound
            If the request has kept none under this reference.
        """

    def renew(self, request_id: str, until: datetime, days: int) -> bool:
        """Store again, for so many days, what of the request would expire before `until`.

        References stay as they are. Return whether nothing is left to renew: a call has a bound,
        and the next goes on where it ended. Safe to send twice.
        """


class Machine(Protocol):
    """The state machine's executions."""

    def start(self, request_id: str, execution: int) -> None:
        """Start an execution under a name made of both. One that exists counts as success."""

    def wake_execution(self, token: str) -> bool:
        """Wake the execution that waits with this token. Return whether one waited.

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


class BatchCaller(Protocol):
    """Runs attempts, and waits for that."""

    def call(self, request_id: str, execution: int, jobs: list[str]) -> JobError | None:
        """Have RunJobs run the batch; return what it died of, None if it did not die.

        It waits for `CALL_WAIT` at most, and calls once. The batch may run on after that.

        Raises
        ------
        Transient
            If RunJobs is busy, or does not answer. The batch may run, or may have run.
        """


@dataclass(frozen=True, slots=True)
class JobInput:
    """What a target is given: the attempt, its input, and the signal to stop."""

    attempt: Attempt
    params: Json
    extras: JsonObject
    item: Json
    stop: StopSignal


class StopSignal(Protocol):
    """Tells a running job to stop: its outcome will not count."""

    def is_set(self) -> bool:
        """Whether the job should stop: cancelled, timed out, or its lease is lost."""


#: Does jobs by one call, and returns the outcome of each; see `JobTarget.run`.
DoAtOnce = Callable[[Sequence[JobInput]], list[Outcome]]


class JobTarget(Protocol):
    """Does a job."""

    def run(self, job_type: JobType, job: JobInput) -> Outcome:
        """Do it. Whatever goes wrong is an outcome, never an exception."""

    def at_once(self, job_type: JobType) -> DoAtOnce | None:
        """Return how it does many jobs of a type by one call; None: it does them one by one."""
        return None


Key = TypeVar("Key")


Result = TypeVar("Result")


class SideBySide(Protocol):
    """Runs calls concurrently."""

    def __call__(
        self, calls: Mapping[Key, Callable[[], Result]], tick_s: Callable[[], float]
    ) -> Iterator[Mapping[Key, Future[Result]]]:
        """Start every call; yield those that ended since the last yield, until all have.

        It yields at the latest after `tick_s()` seconds, even if none has ended. When the caller
        stops iterating, calls that have not ended are left running.
        """


class Clock(Protocol):
    """Tells the time."""

    def __call__(self) -> datetime:
        """Return the time now, aware, UTC."""


class NewId(Protocol):
    """Makes ids."""

    def __call__(self) -> str:
        """Return an id nobody else has."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a process gives its services: the time, ids, chance, and how long leases last.

    `new_id` makes ids of the kind that the service gives out: claims' ids, or requests'.
    """

    clock: Clock
    new_id: NewId
    draw: Draw
    lease: timedelta

    def lease_end(self) -> datetime:
        """Return when a lease that begins now ends."""
        return self.clock() + self.lease
