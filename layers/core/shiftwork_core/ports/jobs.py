"""The ports of jobs: stores of attempts, their queues, outcomes and logs, and of limits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shiftwork_core.domain.payloads import Payload
from shiftwork_core.domain.put_offs import PutOff
from shiftwork_core.domain.requests.outcomes import JobError
from shiftwork_core.domain.requests.queue_order import Queued, QueueView
from shiftwork_core.domain.requests.records import (
    Attempt,
    AttemptKey,
    LateUpdate,
    LogLine,
    Request,
    RequestError,
)
from shiftwork_core.domain.requests.states import AttemptStatus
from shiftwork_core.ports.stores import Recorded, Write
from shiftwork_core.ports.world import MAX_DELAY

#: So many late updates of an attempt are kept.
MAX_LATE_UPDATES = 20


#: Of a queue's oldest job so many priorities are looked at, the highest of those that wait.
MOST_PRIORITIES = 10


def waits_in_table(attempt: Attempt) -> bool:
    """Whether the back-off is too long for a message: then `attempts_to_wake` lists it."""
    if attempt.wake_at is None or attempt.is_polled:
        return False
    return attempt.wake_at - attempt.created_at > MAX_DELAY


@dataclass(frozen=True, slots=True)
class Slot:
    """A taken place of a limited job type: the attempt that holds it, and its claim."""

    type: str
    number: int
    holder: str
    claim_id: str


@dataclass(frozen=True, slots=True)
class FreeSlot:
    """A place to take: nobody holds it, or `seen` does and is known to be done with it."""

    type: str
    number: int
    seen: Slot | None = None


@dataclass(frozen=True, slots=True)
class Claimed:
    """The attempt, if it was claimed. `is_slot_lost`: another claim took the slot first."""

    attempt: Attempt | None
    is_slot_lost: bool = False


@dataclass(frozen=True, slots=True)
class QueueHead:
    """How many jobs of a queue can be claimed now, and since when the oldest of them can be."""

    jobs: int = 0
    oldest_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """Some attempts, and the key behind which the list goes on, None at its end.

    With a status they may be fewer than asked for, even none, and not the last: see `Page`.
    """

    items: list[Attempt]
    behind: AttemptKey | None = None


def is_unclaimed(attempt: Attempt, *, lapsed: bool) -> bool:
    """Whether the poll timeout has lapsed, rather than a lease: no worker has claimed it."""
    return lapsed and attempt.lease_until is None


def is_same_outcome(attempt: Attempt, row: Attempt, output: Payload | None) -> bool:
    """Whether a row of the same fence, status and error has the very outcome that comes again."""
    if attempt.block is not None:
        return (row.block, row.output) == (attempt.block, attempt.output)
    return output is None or row.output == output


class JobStore(Protocol):
    """Attempts.

    What renews an attempt at a block, or records its outcome, writes its `block` and its `output`
    as well, as they are in the attempt that is given.
    """

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
        steps: range,
        status: AttemptStatus | None,
        limit: int,
        after: AttemptKey | None,
    ) -> Rows:
        """List the attempts of some steps of a request in key order; with a status all blocks too.

        They begin behind a key, whether there is an attempt of that key or not.
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
        Attempts that workers do are claimed with `claim_queued`: this write takes one out of its
        queue, which then does not show when its lease is over.
        """

    def queued(self, queue: str, now: datetime, limit: int) -> QueueView:
        """List the head of a queue in its order (eventually consistent).

        Of what can be claimed now at most `limit` of those that wait, and as many of those whose
        delay is over. Of what is held under a lease that is over at most `MAX_LAPSED`, the latest
        first.
        """

    def queue_size(self, queue: str) -> int:
        """Count what waits in a queue, delayed jobs too (eventually consistent)."""

    def queue_head(self, queue: str, now: datetime, limit: int) -> QueueHead:
        """Count the jobs that can be claimed now, up to `limit`, and find the oldest of them.

        A queue is in order of priority, so the oldest is found by reading the first job of each
        priority. Where more than `MOST_PRIORITIES` wait at once, jobs of lower ones than these are
        counted, but may be older than what is said to be the oldest (eventually consistent).
        """

    def claim_queued(
        self,
        queued: Sequence[Queued],
        *,
        claim_id: str,
        worker_id: str,
        now: datetime,
        leases: Sequence[datetime],
    ) -> list[Attempt | None]:
        """Turn new -> inprogress, as `claim` does, each that nobody has claimed since then.

        Its queue hides it until its lease is over; `started_at` stays that of the first time. Won
        also if it is inprogress under this very `claim_id`. Lost: None.
        """

    def claim_limited(
        self,
        queued: Queued,
        slot: FreeSlot,
        *,
        claim_id: str,
        worker_id: str,
        now: datetime,
        lease_until: datetime,
    ) -> Claimed:
        """Claim a job, and in the same transaction take the slot."""

    def put_back(
        self,
        attempt: Attempt,
        output: Payload | None,
        wake_at: datetime,
        poll_until: datetime | None,
    ) -> Recorded:
        """Turn inprogress -> new under the fence: to be claimed again from `wake_at` on.

        Sent again it writes nothing; where the attempt was
        claimed meanwhile it answers STALE, or WON as the first did.
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
        self, attempt: Attempt, output: Payload, now: datetime, *, lapsed: bool = False
    ) -> Recorded:
        """Turn inprogress -> completed under the fence, in one plain write; `lapsed` as in `retry`.

        Its job arrives at the step's barrier with that; what no Map joins, the caller counts with
        `RequestStore.count_arrivals`.
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

        It does not look at the request, which all of a wide step would do at once. So the successor
        of one that has just ended may be `new`: who claims must read the request after the attempt.
        With `lapsed` also conditional on the lease being
        the one seen, so that a holder who renews in time keeps the attempt; one with no lease,
        which no worker claimed in time, turns new -> retry.
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
        transaction: ENDED, and nothing written, if the request is not Inprogress. Without, the job
        arrives, unless `on_failure` of its step is `stop`, as in `complete`.
        """

    def cancel(
        self, attempts: Sequence[Attempt], now: datetime, *, failed: Request | None = None
    ) -> int:
        """Turn each that is new to cancelled. Return how many are cancelled now.

        With `failed` only while that request is still Failed in that generation: a user may retry
        it at any time, and then its attempts may run.
        """

    def prolong(self, request_id: str, step: int, now: datetime) -> None:
        """Let rows of the step's attempts that have lived for half a retention live for two more.

        A row is kept for two retentions after its claim or its end as cancelled. That is too little
        where its step goes on for longer. Safe to send twice.
        """

    def attempts_to_wake(
        self, before: datetime, shard: str | None = None
    ) -> Iterable[tuple[str, AttemptKey]]:
        """List retries whose back-off was too long for a message and is over before a time.

        The earliest first, of one shard, or of all; from an index (eventually consistent), read
        page by page as far as the caller goes.
        """

    def put_off_wake_up(self, request_id: str, key: AttemptKey, before: datetime) -> PutOff | None:
        """Let the back-off of an attempt that is listed last longer, as a sweep cannot handle it.

        None: it is no longer listed before that time. See `domain.put_offs`.
        """

    def forget_wake_up(self, request_id: str, key: AttemptKey) -> None:
        """Take an attempt out of what `attempts_to_wake` lists: its message has been sent."""


class LimitStore(Protocol):
    """The slots and rates of limited job types."""

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
        """Give back what was reserved and not used, if no other process has reserved since."""
