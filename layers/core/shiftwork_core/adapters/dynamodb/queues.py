"""Store the queues of polled jobs in DynamoDB: list the head, claim, requeue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice

from shiftwork_core.adapters.dynamodb import conditions as c
from shiftwork_core.adapters.dynamodb import items, limit_items, queue_items
from shiftwork_core.adapters.dynamodb.attempt_rows import AttemptRows, is_fence_seen
from shiftwork_core.adapters.dynamodb.expressions import (
    Action,
    Changes,
    Item,
    Values,
    put,
    update,
)
from shiftwork_core.domain.payloads import Payload
from shiftwork_core.domain.requests.queue_order import MAX_LAPSED, Queued, QueueView
from shiftwork_core.domain.requests.records import Attempt, attempt_id_of
from shiftwork_core.domain.requests.states import AttemptEvent, AttemptStatus
from shiftwork_core.ports.jobs import MOST_PRIORITIES, Claimed, FreeSlot, QueueHead
from shiftwork_core.ports.stores import Recorded

#: A partition of a queue, a range of it, and what is behind a place in it.
_WHOLE = "#queue = :queue"
_RANGE = "#queue = :queue AND #queue_at BETWEEN :first AND :last"
_BEHIND = "#queue = :queue AND #queue_at > :place"


class DynamoJobQueues(AttemptRows):
    """The part of the job store behind polling: the index by_queue and the limits table."""

    def queued(self, queue: str, now: datetime, limit: int) -> QueueView:
        """Query both partitions of the queue: what is ready, and what of the rest is due.

        While no lease is over, the second query reads nothing that is held. If so many are over
        that its page may have no room for what is delayed, there is a third.
        """
        ready = self._queue(_WHOLE, {"queue": queue_items.READY + queue}, limit)
        due: Values = {
            "queue": queue_items.LATER + queue,
            "first": queue_items.lapsed_in_later(now),
            "last": queue_items.until_in_later(now),
        }
        later = self._rows(_RANGE, due, limit + MAX_LAPSED)
        held = [queue_items.queued_from(row) for row in later if queue_items.is_held(row)]
        delayed = [queue_items.queued_from(row) for row in later if not queue_items.is_held(row)]
        if len(held) > MAX_LAPSED:
            delayed = self._queue(_RANGE, {**due, "first": queue_items.BEHIND_HELD}, limit)
        waiting = sorted(ready + delayed[:limit], key=lambda queued: queued.order)
        return QueueView(waiting, held[:MAX_LAPSED])

    def _queue(self, condition: str, values: Values, limit: int) -> list[Queued]:
        return [queue_items.queued_from(row) for row in self._rows(condition, values, limit)]

    def _rows(self, condition: str, values: Values, limit: int) -> list[Item]:
        rows = self._database.query(
            self._table, condition, values, index="by_queue", page_size=limit
        )
        return list(islice(rows, limit))

    def queue_size(self, queue: str) -> int:
        """Read all that waits in the index: the cost grows with it."""
        delayed = {"queue": queue_items.LATER + queue, "place": queue_items.BEHIND_HELD}
        ready = {"queue": queue_items.READY + queue}
        return self._database.count(self._table, _WHOLE, ready, "by_queue") + self._database.count(
            self._table, _BEHIND, delayed, "by_queue"
        )

    def queue_head(self, queue: str, now: datetime, limit: int) -> QueueHead:
        """Send a query for each priority that waits, and one that finds no further one.

        Then there are two for delayed jobs, and one each to count where there are any: two queries
        for an empty queue, and four if jobs of one priority wait.
        """
        ready = {"queue": queue_items.READY + queue}
        later: Values = {
            "queue": queue_items.LATER + queue,
            "first": queue_items.BEHIND_HELD,
            "last": queue_items.until_in_later(now),
        }
        oldest = [*self._oldest_of_priorities(ready)]
        jobs = self._count_waiting(_WHOLE, ready, limit) if oldest else 0
        due = self._queue(_RANGE, later, 1)
        if due:
            oldest.append(due[0].at)
            jobs += self._count_waiting(_RANGE, later, limit - jobs)
        return QueueHead(jobs, min(oldest, default=None))

    def _oldest_of_priorities(self, ready: Values) -> Iterator[datetime]:
        """Yield since when the first job of each priority has waited, the highest first."""
        condition, values = _WHOLE, ready
        for _ in range(MOST_PRIORITIES):
            first = self._queue(condition, values, 1)
            if not first:
                return
            yield first[0].at
            condition = _BEHIND
            values = {**ready, "place": queue_items.past_priority(first[0].priority)}

    def _count_waiting(self, condition: str, values: Values, limit: int) -> int:
        return self._database.count(self._table, condition, values, "by_queue", limit)

    def claim_queued(
        self,
        queued: Sequence[Queued],
        *,
        claim_id: str,
        worker_id: str,
        now: datetime,
        leases: Sequence[datetime],
    ) -> list[Attempt | None]:
        """Send one conditional write for each, side by side."""
        claims = [
            self._claim_of(one, claim_id, worker_id, now, lease)
            for one, lease in zip(queued, leases, strict=True)
        ]
        outcomes = self._write_side_by_side(claims)
        return [_claimed(outcome.item, claim_id) for outcome in outcomes]

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
        claim = self._claim_of(queued, claim_id, worker_id, now, lease_until, slot.number)
        attempt_id = attempt_id_of(queued.request_id, queued.key)
        claimed, slotted = self._database.transact(
            [claim, self._claim_slot(slot, attempt_id, claim_id)]
        )
        if not claimed.held:
            return Claimed(_claimed(claimed.item, claim_id))
        if not slotted.held:
            return Claimed(None, is_slot_lost=True)
        # A repeated transaction is answered as the first was: the row may have changed since.
        return Claimed(_claimed(self._read(queued.request_id, queued.key), claim_id))

    def _claim_of(
        self,
        queued: Queued,
        claim_id: str,
        worker_id: str,
        now: datetime,
        lease_until: datetime,
        slot: int | None = None,
    ) -> Action:
        return update(
            self._table,
            items.attempt_key(queued.request_id, queued.key),
            c.both(c.ATTEMPT_ADMITS[AttemptEvent.CLAIM], is_fence_seen(queued.fence)),
            {
                "status": AttemptStatus.INPROGRESS,
                "claim_id": claim_id,
                "worker_id": worker_id,
                "started_at": queued.started_at or now,
                "lease_until": lease_until,
                "slot": slot,
                "wake_at": None,
                "poll_until": None,
                **queue_items.held_values(queued.queue, lease_until),
                "expires_at": self._expiry(now),
            },
            {"seen_fence": queued.fence},
            adds={"fence": 1, "poll_count": 1},
        )

    def _claim_slot(self, slot: FreeSlot, attempt_id: str, claim_id: str) -> Action:
        seen = slot.seen
        return put(
            self._limits_table,
            limit_items.slot_item(slot.type, slot.number, attempt_id, claim_id),
            ("name", "slot"),
            c.IS_SLOT_FREE if seen is None else c.IS_SLOT_AS_SEEN,
            {} if seen is None else {"seen_holder": seen.holder, "seen_claim_id": seen.claim_id},
        )

    def put_back(
        self,
        attempt: Attempt,
        output: Payload | None,
        wake_at: datetime,
        poll_until: datetime | None,
    ) -> Recorded:
        waiting = replace(attempt, status=AttemptStatus.NEW, wake_at=wake_at, lease_until=None)
        changes: Changes = {
            "status": AttemptStatus.NEW,
            **items.payload_values("output", output),
            "wake_at": wake_at,
            "poll_until": poll_until,
            "lease_until": None,
            "slot": None,
            **queue_items.queue_values(waiting),
        }
        item = self._database.write(self._of_holder(attempt, AttemptEvent.PUT_BACK, changes)).item
        row = None if item is None else items.attempt_from(item)
        ours = (AttemptStatus.NEW, attempt.fence, items.kept(wake_at))
        is_ours = row is not None and (row.status, row.fence, row.wake_at) == ours
        return Recorded.WON if is_ours else Recorded.STALE


def _claimed(item: Item | None, claim_id: str) -> Attempt | None:
    """Return the attempt if it was claimed; a claim that finds itself, sent before, has won."""
    if item is None:
        return None
    row = items.attempt_from(item)
    is_ours = row.status is AttemptStatus.INPROGRESS and row.claim_id == claim_id
    return row if is_ours else None
