"""Store attempts in memory: insert, read, claim, record outcomes, list overdue wake-ups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from shiftwork_core.adapters.memory.queues import MemoryJobQueues
from shiftwork_core.adapters.pages import page_of
from shiftwork_core.domain.payloads import Payload
from shiftwork_core.domain.put_offs import PutOff
from shiftwork_core.domain.requests.outcomes import JobError
from shiftwork_core.domain.requests.records import (
    Attempt,
    AttemptKey,
    LateUpdate,
    LogLine,
    Request,
    RequestError,
    attempt_id_of,
)
from shiftwork_core.domain.requests.states import (
    AttemptEvent,
    AttemptStatus,
    RequestStatus,
    attempt_sources,
)
from shiftwork_core.ports.jobs import (
    MAX_LATE_UPDATES,
    JobStore,
    Rows,
    is_same_outcome,
    is_unclaimed,
    waits_in_table,
)
from shiftwork_core.ports.shards import shard_of
from shiftwork_core.ports.stores import Recorded, Write


class MemoryJobStore(MemoryJobQueues, JobStore):
    """Attempts, in tables that other stores share."""

    def insert(self, attempts: Sequence[Attempt]) -> int:
        """Write each attempt atomically, but not all together: as DynamoDB does."""
        existed = 0
        for attempt in attempts:
            with self._tables.lock:
                if self._tables.attempt(attempt.request_id, attempt.key) is None:
                    self._tables.put_attempt(attempt)
                else:
                    existed += 1
        return existed

    def get(self, request_id: str, key: AttemptKey) -> Attempt | None:
        with self._tables.lock:
            return self._tables.attempt(request_id, key)

    def of_step(
        self, request_id: str, step: int, status: AttemptStatus | None = None
    ) -> Iterator[Attempt]:
        yield from self._select(request_id, range(step, step + 1), status)

    def find(
        self,
        request_id: str,
        steps: range,
        status: AttemptStatus | None,
        limit: int,
        after: AttemptKey | None,
    ) -> Rows:
        rows = [a for a in self._select(request_id, steps) if after is None or a.key > after]
        is_wanted = (
            None if status is None else lambda row: row.status is status or row.block is not None
        )
        page = page_of(rows, limit, lambda row: str(row.key), is_wanted)
        return Rows(page.items, AttemptKey.parse(page.next_token) if page.next_token else None)

    def _select(
        self, request_id: str, steps: range, status: AttemptStatus | None = None
    ) -> list[Attempt]:
        with self._tables.lock:
            rows = sorted(self._tables.attempts.get(request_id, {}).items())
        return [
            a for key, a in rows if key.step in steps and (status is None or a.status is status)
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
        found = (self.get(request_id, key) for request_id, key in dict.fromkeys(ids))
        return [attempt for attempt in found if attempt is not None]

    # -- reports besides outcomes --------------------------------------------------------------

    def add_late_update(self, attempt: Attempt, late: LateUpdate) -> None:
        with self._tables.lock:
            row = self._tables.attempt(attempt.request_id, attempt.key)
            if row is None or row.late_updates != attempt.late_updates:
                return
            if len(row.late_updates) < MAX_LATE_UPDATES:
                self._tables.put_attempt(replace(row, late_updates=(*row.late_updates, late)))

    def add_logs(
        self, request_id: str, key: AttemptKey, lines: Sequence[LogLine], now: datetime
    ) -> None:
        with self._tables.lock:
            before = self._tables.logs.get((request_id, key), frozenset())
            self._tables.logs[request_id, key] = before.union(lines)

    def logs(self, request_id: str, key: AttemptKey) -> list[LogLine]:
        with self._tables.lock:
            lines = self._tables.logs.get((request_id, key), frozenset())
            return sorted(lines, key=lambda line: (line.at, line.message))

    # -- leases and outcomes -------------------------------------------------------------------

    def renew(self, attempt: Attempt, lease_until: datetime) -> bool:
        with self._tables.lock:
            row = self._held(attempt, AttemptEvent.RENEW)
            if row is None:
                return False
            row = replace(row, **_of_block(attempt))
            self._tables.put_attempt(replace(row, lease_until=lease_until))
            return True

    def complete(
        self, attempt: Attempt, output: Payload, now: datetime, *, lapsed: bool = False
    ) -> Recorded:
        with self._tables.lock:
            row = self._held(attempt, AttemptEvent.COMPLETE, lapsed=lapsed)
            if row is None:
                return self._late(attempt, AttemptStatus.COMPLETED, output=output)
            self._record(attempt, row, AttemptStatus.COMPLETED, now, output=output)
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
        with self._tables.lock:
            event = (
                AttemptEvent.OVERDUE if is_unclaimed(attempt, lapsed=lapsed) else AttemptEvent.RETRY
            )
            row = self._held(attempt, event, lapsed=lapsed)
            if row is None:
                return self._late(attempt, AttemptStatus.RETRY, error=error)
            if self._tables.attempt(successor.request_id, successor.key) is not None:
                return Recorded.STALE
            self._record(attempt, row, AttemptStatus.RETRY, now, error=error)
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
            self._record(attempt, row, AttemptStatus.FAILURE, now, error=error)
            return Recorded.WON

    def _late(
        self,
        attempt: Attempt,
        status: AttemptStatus,
        *,
        output: Payload | None = None,
        error: JobError | None = None,
    ) -> Recorded:
        """Return WON if the outcome that comes too late is the very one that is recorded."""
        row = self._tables.attempt(attempt.request_id, attempt.key)
        if row is None or (row.status, row.fence, row.error) != (status, attempt.fence, error):
            return Recorded.STALE
        return Recorded.WON if is_same_outcome(attempt, row, output) else Recorded.STALE

    def _record(
        self,
        attempt: Attempt,
        row: Attempt,
        status: AttemptStatus,
        now: datetime,
        *,
        output: Payload | None = None,
        error: JobError | None = None,
    ) -> None:
        row = replace(row, **_of_block(attempt))
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

    def cancel(
        self, attempts: Sequence[Attempt], now: datetime, *, failed: Request | None = None
    ) -> int:
        return sum(self._cancel(attempt, now, failed) for attempt in attempts)

    def _cancel(self, attempt: Attempt, now: datetime, failed: Request | None) -> bool:
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

    def attempts_to_wake(
        self, before: datetime, shard: str | None = None
    ) -> list[tuple[str, AttemptKey]]:
        return [
            (request_id, key)
            for at, request_id, key in self._index().by_wake()
            if at < before and shard in (None, shard_of(attempt_id_of(request_id, key)))
        ]

    def put_off_wake_up(self, request_id: str, key: AttemptKey, before: datetime) -> PutOff | None:
        with self._tables.lock:
            row = self._tables.attempt(request_id, key)
            if row is None or not waits_in_table(row) or (request_id, key) in self._tables.woken:
                return None
            put_off = self._tables.put_off(("attempt", request_id, key), row.wake_at, before)
            if put_off is not None:
                self._tables.put_attempt(replace(row, wake_at=put_off.until))
            return put_off

    def prolong(self, request_id: str, step: int, now: datetime) -> None:
        """Do nothing: no row expires."""

    def forget_wake_up(self, request_id: str, key: AttemptKey) -> None:
        with self._tables.lock:
            if self._tables.attempt(request_id, key) is not None:
                self._tables.woken.add((request_id, key))


def _of_block(attempt: Attempt) -> dict[str, Any]:
    """Return what is written of a block together with its lease or its outcome."""
    if attempt.block is None:
        return {}
    return {"block": attempt.block, "output": attempt.output}
