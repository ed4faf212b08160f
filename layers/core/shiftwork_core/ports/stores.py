"""The ports of requests: stores of requests, steps and definitions; conditional writes.

Writes
------
Every conditional write is safe to send twice: the second sending meets its own result, recognises
it and reports `won` as the first would have. A writer that lost is given the row as the winner left
it. A row that must exist and does not is NotFound; what cannot be done now is Transient. No method
sleeps or retries by itself, except as the client library does, and for a bounded time while
transactions conflict.

Stores keep times to the millisecond.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from shiftwork_core.domain.payloads import Payload
from shiftwork_core.domain.put_offs import PutOff
from shiftwork_core.domain.requests.definitions import Definition, Kind
from shiftwork_core.domain.requests.records import (
    AttemptKey,
    Outage,
    Request,
    RequestError,
    Stall,
    Step,
    StepStatus,
)
from shiftwork_core.domain.requests.states import RequestEvent, RequestStatus

Row = TypeVar("Row")

#: A list that filters looks at so many rows for a page, at most.
MOST_LOOKED_AT = 500


@dataclass(frozen=True, slots=True)
class Write(Generic[Row]):
    """Whether a conditional write won, and the row as it is after it."""

    won: bool
    row: Row


class Recorded(StrEnum):
    """Whether an outcome was recorded."""

    WON = "won"
    #: The fence has moved on, or the outcome is recorded: this one came too late.
    STALE = "stale"
    #: The request is no longer in progress, so its failure does not apply.
    ENDED = "ended"


class Lane(StrEnum):
    """Which sweep finds a request when it is due."""

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
    """Some rows, and the opaque token of the next page, None on the last.

    Of a list that filters a page may have fewer rows than asked for, even none, and a token: it
    looks at `MOST_LOOKED_AT` rows.
    """

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
    """A request as the due index lists it; it may be stale, so act on it conditionally only."""

    request_id: str
    execution: int
    due_at: datetime


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

    def due(self, lane: Lane, before: datetime, shard: str | None = None) -> Iterable[DueRequest]:
        """List requests due before a time, the longest due first: of one shard, or of all.

        From an index (eventually consistent), read page by page as far as the caller goes.
        """

    def put_off(self, request_id: str, before: datetime) -> PutOff | None:
        """Make a request that is due before a time due later, as a sweep cannot handle it.

        None: it is no longer due before that time. See `domain.put_offs`.
        """

    def start(self, request_id: str, now: datetime, due_at: datetime) -> Write[Request]:
        """Queuing -> Inprogress, at step 1. Lost: it was not Queuing."""

    def enter_step(self, seen: Request, extras: Payload, due_at: datetime | None) -> Write[Request]:
        """Enter the step behind `seen`'s, with these extras, if it is Inprogress there.

        Only in the generation seen: a user's retry may have gone back meanwhile. The due time stays
        as it is, unless one is given. Won also if the request is already at the step behind,
        Inprogress in that generation: then the extras are the same.
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

        With `seen` only if generation and execution are still `seen`'s, so that an
        execution that was held up does not end what has been retried, or taken over, since. It may
        complete what has been taken over: for that only the generation counts. Won also if it
        already has that status. `due_at` is when a sweep cleans up after it; None
        if there is nothing to clean up.
        """

    def reopen(
        self, seen: Request, step: int, extras: Payload, now: datetime, due_at: datetime
    ) -> Write[Request]:
        """Failed or Completed -> Inprogress at a step, generation and execution one up.

        `extras` are those with which that step begins. It has no error and no outage then. A
        request that failed before it began is started by this. The row keeps how and when it had
        ended, by `seen`, and that it was retried `now`. Conditional on the generation seen; won
        also if it is Inprogress one generation later.
        """

    def take_over(self, due: DueRequest, due_at: datetime) -> Write[Request]:
        """Give the request a new execution number and due time, if both are as seen.

        Won also if the number is one up and the due time is this call's.
        """

    def set_due(self, seen: Request, due_at: datetime | None) -> None:
        """Set or remove the due time, if it, status, generation and execution are still `seen`'s.

        So an execution that was held up cannot hide a request from the sweep that has been retried,
        taken over, or brought forward since.
        """

    def postpone_due(self, request_id: str, due_at: datetime) -> bool:
        """Move the due time up to `due_at` if it is earlier and the request is Inprogress.

        Return whether the request is Inprogress.
        """

    def add_tally(
        self, request_id: str, key: AttemptKey, left: Mapping[str, int], now: datetime
    ) -> None:
        """Add to how many attempts of a step were left in each status; `key` is one of them.

        It is kept for two retentions from `now`. Not safe to send twice: it is for showing only,
        see `domain.requests.step_state`.
        """

    def tally(self, request_id: str, index: int) -> dict[str, int]:
        """Return all that was added for a step, strongly consistent, in a bounded time."""

    def note_alive(self, request_id: str, until: datetime) -> None:
        """Note that a batch of the request lives, and renews its leases by then.

        Batches do not write the request's row for that: a wide step has a thousand of them.
        """

    def alive_until(self, request_id: str) -> datetime | None:
        """Return the latest time that was noted, strongly consistent; None if none was lately."""

    def bring_due_forward(self, request_id: str, due_at: datetime) -> None:
        """Move the due time forward to `due_at` if it is later and the request is Inprogress."""

    def note_outage(self, seen: Request, outage: Outage | None) -> None:
        """Set or remove the outage, if status, generation and execution are still `seen`'s.

        The last writer wins.
        """

    def add_step(self, step: Step) -> Write[Step]:
        """Write the step's row unless it exists. Lost: another process planned it, in the same way.

        Won also if the row has this name, number of jobs and start.
        """

    def get_step(self, request_id: str, index: int) -> Step | None:
        """Read a step, strongly consistent."""

    def steps(self, request_id: str) -> list[Step]:
        """Read all steps of a request in order, strongly consistent."""

    def close_step(
        self,
        seen: Step,
        status: StepStatus,
        counts: dict[str, int],
        now: datetime | None,
        tolerated: int = 0,
        extras: Payload | None = None,
    ) -> bool:
        """Record the step's status and counts; `now` is None for one that runs again.

        `extras` are those with which it has begun this time; None: as they are.

        Only if its end and counts are still `seen`'s, and its extras if it is completed again: so a
        process that was held up overwrites nothing newer. But one that is not `completed` becomes
        that whatever was seen. One that is
        `completed` stays so, since when it is; its counts change only with it. Without a row it has
        none afterwards. Return whether the step is now as this call asks.
        """

    def register_waiter(self, seen: Step, token: str, target: int) -> Write[Step]:
        """Set the step's task token and target, if its token is still the one `seen`.

        Won also if the token is this one. Lost: another execution waits by now.
        """

    def note_stall(self, request_id: str, index: int, stall: Stall | None) -> None:
        """Set or remove the stall of a step that has a row. The last writer wins."""

    def count_arrivals(self, request_id: str, index: int, count: int) -> Step | None:
        """Add arrivals whose outcomes are recorded to the step's count; return its row, if any.

        Before the step has a row, nobody can wait for them. Not safe to send twice: an arrival may
        be counted more than once, or, if its writer dies, never. The first wakes the waiting
        execution too early, which is harmless; the second is found when the request is due.
        """


class DefinitionStore(Protocol):
    """Versions of request types and job types. A stored version never changes."""

    def put(self, definition: Definition) -> bool:
        """Write the version unless it exists. False: it exists."""

    def get(self, kind: Kind, name: str, version: int | None = None) -> Definition | None:
        """Read a version, or the latest (which may be a deletion)."""

    def find(self, kind: Kind, limit: int, next_token: str | None) -> Page[Definition]:
        """List the latest versions of a kind by name, without those that are deletions.

        Names come from an index (eventually consistent); older versions and deletions are looked at
        too. The token is the last name that the page before looked at.
        """

    def latest(self, kind: Kind) -> Iterator[Definition]:
        """Read the latest version of every definition of a kind, by name, deletions too.

        Names come from an index (eventually consistent), read page by page as far as the caller
        goes.
        """
