"""Attempts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from shiftwork_core.adapters.memory.tables import Index, MemoryTables
from shiftwork_core.adapters.page_tokens import attempt_token, read_attempt_token
from shiftwork_core.domain.payloads import Payload
from shiftwork_core.domain.requests.outcomes import JobError
from shiftwork_core.domain.requests.queue_order import Queued
from shiftwork_core.domain.requests.records import (
    Attempt,
    AttemptKey,
    LateUpdate,
    LogLine,
    Request,
    RequestError,
)
from shiftwork_core.domain.requests.states import (
    AttemptEvent,
    AttemptStatus,
    RequestStatus,
    attempt_sources,
)
from shiftwork_core.ports.jobs import (
    MAX_LATE_UPDATES,
    Claimed,
    FreeSlot,
    JobStore,
    Slot,
    is_unclaimed,
)
from shiftwork_core.ports.stores import Page, Recorded, Write


class MemoryJobStore(JobStore):
    """Attempts."""

    def __init__(self, tables: MemoryTables, index: Index | None = None) -> None:
        self._tables = tables
        self._index: Index = index or (lambda: tables)

    def insert(self, attempts: Sequence[Attempt]) -> int:
        """Write each attempt unless its row exists; atomic for each, as in the real store."""
        existed = 0
        for attempt in attempts:
            with self._tables.lock:
                if self._tables.attempt(attempt.request_id, attempt.key) is None:
                    self._tables.put_attempt(attempt)
                else:
                    existed += 1
        return existed

    def get(self, request_id: str, key: AttemptKey) -> Attempt | None:
        """Read an attempt."""
        with self._tables.lock:
            return self._tables.attempt(request_id, key)

    def of_step(
        self, request_id: str, step: int, status: AttemptStatus | None = None
    ) -> Iterator[Attempt]:
        """Read a step's attempts in key order."""
        yield from self._select(request_id, step, status)

    def find(
        self,
        request_id: str,
        step: int | None,
        status: AttemptStatus | None,
        limit: int,
        next_token: str | None,
    ) -> Page[Attempt]:
        """List a request's attempts in key order."""
        rows = self._select(request_id, step, status)
        if next_token is not None:
            after = read_attempt_token(next_token)
            rows = [a for a in rows if a.key > after]
        page = rows[:limit]
        return Page(page, attempt_token(page[-1].key) if len(rows) > limit else None)

    def _select(
        self, request_id: str, step: int | None, status: AttemptStatus | None
    ) -> list[Attempt]:
        with self._tables.lock:
            rows = sorted(self._tables.attempts.get(request_id, {}).items())
        return [
            a
            for key, a in rows
            if (step is None or key.step == step) and (status is None or a.status is status)
        ]

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
        """Turn new -> inprogress."""
        with self._tables.lock:
            row = self._tables.attempt(request_id, key)
            if row is None:
                return Write(False, None)
            if row.status not in attempt_sources(AttemptEvent.CLAIM):
                is_held = row.status is AttemptStatus.INPROGRESS
                return Write(is_held and row.claim_id == claim_id, row)
            return Write(
                True,
                self._tables.put_attempt(
                    replace(
                        row,
                        status=AttemptStatus.INPROGRESS,
                        fence=row.fence + 1,
                        claim_id=claim_id,
                        worker_id=worker_id,
                        started_at=now,
                        lease_until=lease_until,
                        wake_at=None,
                        poll_until=None,
                    )
                ),
            )

    def get_many(self, ids: Sequence[tuple[str, AttemptKey]]) -> list[Attempt]:
        """Read those that exist of some attempts."""
        found = (self.get(request_id, key) for request_id, key in dict.fromkeys(ids))
        return [attempt for attempt in found if attempt is not None]

    # -- queues --------------------------------------------------------------------------------

    def queued(self, queue: str, now: datetime, limit: int) -> list[Queued]:
        """List the head of a queue in its order."""
        ready, later = self._index().by_queue(queue)
        due = [queued for queued in later if queued.at <= now]
        return sorted(ready[:limit] + due[:limit], key=lambda queued: queued.order)

    def queue_size(self, queue: str) -> int:
        """Count what waits in a queue."""
        ready, later = self._index().by_queue(queue)
        return len(ready) + len(later)

    def claim_queued(
        self,
        queued: Sequence[Queued],
        *,
        claim_id: str,
        worker_id: str,
        now: datetime,
        leases: Sequence[datetime],
    ) -> list[Attempt | None]:
        """Turn new -> inprogress, each that nobody has claimed since it was queued."""
        return [
            self._take(one, None, claim_id, worker_id, now, lease).attempt
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
        """Take a job and a slot."""
        return self._take(queued, slot, claim_id, worker_id, now, lease_until)

    def _take(
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
            taken = replace(
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
            return Claimed(self._tables.put_attempt(taken))

    def put_back(
        self,
        attempt: Attempt,
        output: Payload | None,
        wake_at: datetime,
        poll_until: datetime | None,
    ) -> Recorded:
        """Turn inprogress -> new, to be taken again."""
        with self._tables.lock:
            row = self._held(attempt, AttemptEvent.PUT_BACK)
            if row is None:
                row = self._tables.attempt(attempt.request_id, attempt.key)
                ours = (AttemptStatus.NEW, attempt.fence, wake_at)
                is_ours = row is not None and (row.status, row.fence, row.wake_at) == ours
                return Recorded.WON if is_ours else Recorded.STALE
            if self._inprogress_request(attempt) is None:
                return Recorded.ENDED
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

    # -- what is told beside the outcome -------------------------------------------------------

    def add_late_update(self, attempt: Attempt, late: LateUpdate) -> None:
        """Add to the late updates of an attempt as it was read."""
        with self._tables.lock:
            row = self._tables.attempt(attempt.request_id, attempt.key)
            if row is None or row.late_updates != attempt.late_updates:
                return
            if len(row.late_updates) < MAX_LATE_UPDATES:
                self._tables.put_attempt(replace(row, late_updates=(*row.late_updates, late)))

    def add_logs(
        self, request_id: str, key: AttemptKey, lines: Sequence[LogLine], now: datetime
    ) -> None:
        """Keep lines that were logged for an attempt."""
        with self._tables.lock:
            self._tables.logs.setdefault((request_id, key), set()).update(lines)

    def logs(self, request_id: str, key: AttemptKey) -> list[LogLine]:
        """Read what was logged for an attempt."""
        with self._tables.lock:
            lines = self._tables.logs.get((request_id, key), set())
            return sorted(lines, key=lambda line: (line.at, line.message))

    # -- holding and outcomes ------------------------------------------------------------------

    def renew(self, attempt: Attempt, lease_until: datetime) -> bool:
        """Move the lease of an attempt still held."""
        with self._tables.lock:
            row = self._held(attempt, AttemptEvent.RENEW)
            if row is None:
                return False
            self._tables.put_attempt(replace(row, lease_until=lease_until))
            return True

    def complete(
        self, attempt: Attempt, output: Payload, now: datetime, *, is_counted: bool = True
    ) -> Recorded:
        """Turn inprogress -> completed; count it in its step unless a Map joins it."""
        with self._tables.lock:
            row = self._held(attempt, AttemptEvent.COMPLETE)
            if row is None:
                return self._late(attempt, AttemptStatus.COMPLETED, output=output)
            self._settle(row, AttemptStatus.COMPLETED, now, output=output)
            step = self._tables.step(attempt.request_id, attempt.key.step)
            if step is not None and is_counted and not attempt.is_joined:
                step = self._tables.put_step(replace(step, arrivals=step.arrivals + 1))
                request = self._inprogress_request(attempt)
                if step.has_no_pending_jobs and request is not None:
                    self._tables.put_request(replace(request, due_at=now))
            return Recorded.WON

    def retry(
        self,
        attempt: Attempt,
        error: JobError,
        successor: Attempt,
        now: datetime,
        *,
        lapsed: bool = False,
    ) -> Recorded:
        """Turn inprogress -> retry and insert the successor."""
        with self._tables.lock:
            event = (
                AttemptEvent.OVERDUE if is_unclaimed(attempt, lapsed=lapsed) else AttemptEvent.RETRY
            )
            row = self._held(attempt, event, lapsed=lapsed)
            if row is None:
                return self._late(attempt, AttemptStatus.RETRY, error=error)
            if self._inprogress_request(attempt) is None:
                return Recorded.ENDED
            if self._tables.attempt(successor.request_id, successor.key) is not None:
                return Recorded.STALE
            self._settle(row, AttemptStatus.RETRY, now, error=error)
            self._tables.put_attempt(successor)
            return Recorded.WON

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
        """Turn inprogress -> failure, and with it the request."""
        with self._tables.lock:
            event = (
                AttemptEvent.ABANDON if is_unclaimed(attempt, lapsed=lapsed) else AttemptEvent.FAIL
            )
            row = self._held(attempt, event, lapsed=lapsed)
            if row is None:
                return self._late(attempt, AttemptStatus.FAILURE, error=error)
            if request is not None:
                found = self._inprogress_request(attempt)
                if found is None:
                    return Recorded.ENDED
                self._tables.put_request(
                    replace(
                        found,
                        status=RequestStatus.FAILED,
                        error=request,
                        completed_at=now,
                        due_at=due_at,
                    )
                )
            self._settle(row, AttemptStatus.FAILURE, now, error=error)
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

    def _late(
        self,
        attempt: Attempt,
        status: AttemptStatus,
        *,
        output: Payload | None = None,
        error: JobError | None = None,
    ) -> Recorded:
        """Say whether an outcome that cannot be recorded is the very one that is recorded."""
        row = self._tables.attempt(attempt.request_id, attempt.key)
        if row is None or (row.status, row.fence, row.error) != (status, attempt.fence, error):
            return Recorded.STALE
        is_ours = output is None or row.output == output
        return Recorded.WON if is_ours else Recorded.STALE

    def _settle(
        self,
        row: Attempt,
        status: AttemptStatus,
        now: datetime,
        *,
        output: Payload | None = None,
        error: JobError | None = None,
    ) -> None:
        self._tables.put_attempt(
            replace(
                row,
                status=status,
                output=output or row.output,
                error=error,
                completed_at=now,
                lease_until=None,
                wake_at=None,
                poll_until=None,
            )
        )

    def _inprogress_request(self, attempt: Attempt) -> Request | None:
        row = self._tables.requests.get(attempt.request_id)
        return row if row is not None and row.status is RequestStatus.INPROGRESS else None

    def cancel(self, attempt: Attempt, now: datetime, *, failed: Request | None = None) -> bool:
        """Turn new -> cancelled."""
        with self._tables.lock:
            row = self._tables.attempt(attempt.request_id, attempt.key)
            if row is None:
                return False
            if row.status not in attempt_sources(AttemptEvent.CANCEL):
                return row.status is AttemptStatus.CANCELLED
            if failed is not None and not self._is_still_failed(failed):
                return False
            cancelled = AttemptStatus.CANCELLED
            self._tables.put_attempt(
                replace(row, status=cancelled, completed_at=now, wake_at=None, poll_until=None)
            )
            return True

    def _is_still_failed(self, failed: Request) -> bool:
        row = self._tables.requests.get(failed.request_id)
        if row is None or row.status is not RequestStatus.FAILED:
            return False
        return row.generation == failed.generation

    def attempts_to_wake(self, before: datetime, limit: int) -> list[tuple[str, AttemptKey]]:
        """List retries whose long back-off is over before a time."""
        return [(i, key) for at, i, key in self._index().by_wake() if at < before][:limit]

    def forget_wake_up(self, request_id: str, key: AttemptKey) -> None:
        """Take an attempt out of the wake index."""
        with self._tables.lock:
            if self._tables.attempt(request_id, key) is not None:
                self._tables.woken.add((request_id, key))
