"""Store the queues of polled jobs in memory: list the head, claim, requeue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from shiftwork_core.adapters.memory.tables import Index, MemoryTables
from shiftwork_core.domain.payloads import Payload
from shiftwork_core.domain.requests.queue_order import MAX_LAPSED, Queued, QueueView
from shiftwork_core.domain.requests.records import Attempt, Request
from shiftwork_core.domain.requests.states import (
    AttemptEvent,
    AttemptStatus,
    RequestStatus,
    attempt_sources,
)
from shiftwork_core.ports.jobs import MOST_PRIORITIES, Claimed, FreeSlot, QueueHead, Slot
from shiftwork_core.ports.stores import Recorded


class MemoryJobQueues:
    """The part of the job store behind polling, and what it shares with the rest."""

    def __init__(self, tables: MemoryTables, index: Index | None = None) -> None:
        self._tables = tables
        self._index: Index = index or (lambda: tables)

    def queued(self, queue: str, now: datetime, limit: int) -> QueueView:
        index = self._index().by_queue(queue)
        lapsed = [queued for queued in index.held if queued.at <= now]
        due = [queued for queued in index.delayed if queued.at <= now]
        waiting = sorted(index.ready[:limit] + due[:limit], key=lambda queued: queued.order)
        return QueueView(waiting, lapsed[:MAX_LAPSED])

    def queue_size(self, queue: str) -> int:
        index = self._index().by_queue(queue)
        return len(index.ready) + len(index.delayed)

    def queue_head(self, queue: str, now: datetime, limit: int) -> QueueHead:
        index = self._index().by_queue(queue)
        due = [queued for queued in index.delayed if queued.at <= now]
        priorities = {queued.priority for queued in index.ready}
        highest = sorted(priorities, reverse=True)[:MOST_PRIORITIES]
        looked_at = due + [queued for queued in index.ready if queued.priority in highest]
        oldest_at = min((queued.at for queued in looked_at), default=None)
        return QueueHead(min(len(index.ready) + len(due), limit), oldest_at)

    def claim_queued(
        self,
        queued: Sequence[Queued],
        *,
        claim_id: str,
        worker_id: str,
        now: datetime,
        leases: Sequence[datetime],
    ) -> list[Attempt | None]:
        return [
            self._claim_one(one, None, claim_id, worker_id, now, lease).attempt
            for one, lease in zip(queued, leases, strict=True)
        ]

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
        return self._claim_one(queued, slot, claim_id, worker_id, now, lease_until)

    def _claim_one(
        self,
        queued: Queued,
        slot: FreeSlot | None,
        claim_id: str,
        worker_id: str,
        now: datetime,
        lease_until: datetime,
    ) -> Claimed:
        with self._tables.lock:
            row = self._tables.attempt(queued.request_id, queued.key)
            if row is None:
                return Claimed(None)
            if row.status not in attempt_sources(AttemptEvent.CLAIM) or row.fence != queued.fence:
                is_ours = row.status is AttemptStatus.INPROGRESS and row.claim_id == claim_id
                return Claimed(row if is_ours else None)
            if slot is not None:
                slots = self._tables.slots.setdefault(slot.type, {})
                if slots.get(slot.number) != slot.seen:
                    return Claimed(None, is_slot_lost=True)
                slots[slot.number] = Slot(slot.type, slot.number, row.attempt_id, claim_id)
            claimed = replace(
                row,
                status=AttemptStatus.INPROGRESS,
                fence=row.fence + 1,
                poll_count=row.poll_count + 1,
                claim_id=claim_id,
                worker_id=worker_id,
                started_at=row.started_at or now,
                lease_until=lease_until,
                wake_at=None,
                poll_until=None,
                slot=None if slot is None else slot.number,
            )
            return Claimed(self._tables.put_attempt(claimed))

    def put_back(
        self,
        attempt: Attempt,
        output: Payload | None,
        wake_at: datetime,
        poll_until: datetime | None,
    ) -> Recorded:
        with self._tables.lock:
            row = self._held(attempt, AttemptEvent.PUT_BACK)
            if row is None:
                row = self._tables.attempt(attempt.request_id, attempt.key)
                ours = (AttemptStatus.NEW, attempt.fence, wake_at)
                is_ours = row is not None and (row.status, row.fence, row.wake_at) == ours
                return Recorded.WON if is_ours else Recorded.STALE
            self._tables.put_attempt(
                replace(
                    row,
                    status=AttemptStatus.NEW,
                    output=output,
                    wake_at=wake_at,
                    poll_until=poll_until,
                    lease_until=None,
                    slot=None,
                )
            )
            return Recorded.WON

    def _held(
        self, attempt: Attempt, event: AttemptEvent, *, lapsed: bool = False
    ) -> Attempt | None:
        """Return the row if its status admits the event and its fence, or lease, is as seen."""
        row = self._tables.attempt(attempt.request_id, attempt.key)
        if row is None or row.status not in attempt_sources(event) or row.fence != attempt.fence:
            return None
        if lapsed and row.lease_until != attempt.lease_until:
            return None
        return row

    def _inprogress_request(self, attempt: Attempt) -> Request | None:
        row = self._tables.requests.get(attempt.request_id)
        return row if row is not None and row.status is RequestStatus.INPROGRESS else None
