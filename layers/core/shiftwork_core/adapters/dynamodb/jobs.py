"""Store attempts in DynamoDB: insert, read, claim, record outcomes, list overdue wake-ups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import groupby, islice

from shiftwork_core.adapters.dynamodb import conditions as c
from shiftwork_core.adapters.dynamodb import items, queue_items
from shiftwork_core.adapters.dynamodb.database import Outcome
from shiftwork_core.adapters.dynamodb.expressions import (
    Action,
    Changes,
    Item,
    check,
    put,
    to_wire,
    update,
)
from shiftwork_core.adapters.dynamodb.job_reports import DynamoJobReports
from shiftwork_core.adapters.dynamodb.lots import KEY, is_last_of_lot, lot_of, request_of
from shiftwork_core.adapters.dynamodb.queues import DynamoJobQueues
from shiftwork_core.adapters.pages import page_of, rows_to_look_at
from shiftwork_core.domain.payloads import Payload
from shiftwork_core.domain.put_offs import PutOff
from shiftwork_core.domain.requests.outcomes import JobError
from shiftwork_core.domain.requests.records import Attempt, AttemptKey, Request, RequestError
from shiftwork_core.domain.requests.states import AttemptEvent, AttemptStatus, RequestStatus
from shiftwork_core.ports.jobs import JobStore, Rows, is_same_outcome, is_unclaimed
from shiftwork_core.ports.stores import Recorded, Write

#: So many rows are held at once when they are prolonged.
_MAX_PROLONGED = 1000


class DynamoJobStore(DynamoJobQueues, DynamoJobReports, JobStore):
    """The jobs table, and what an outcome changes in the requests table.

    An attempt that a Map joins takes three plain writes (insert, claim, complete), which touch no
    index.
    """

    def insert(self, attempts: Sequence[Attempt]) -> int:
        existed = 0
        # Lot by lot: a reader of the step goes on to the next lot where one is full.
        for _, lot in groupby(attempts, lambda attempt: lot_of(attempt.request_id, attempt.key)):
            outcomes = self._write_side_by_side([self._put(attempt) for attempt in lot])
            existed += sum(not outcome.held for outcome in outcomes)
        return existed

    def _put(self, attempt: Attempt) -> Action:
        item = items.attempt_item(attempt)
        if attempt.completed_at is not None:  # Inserted as cancelled: nobody will claim it.
            item |= to_wire({"expires_at": self._expiry(attempt.completed_at)})
        return put(self._table, item, KEY, c.IS_ABSENT)

    # -- reading -------------------------------------------------------------------------------

    def get(self, request_id: str, key: AttemptKey) -> Attempt | None:
        item = self._read(request_id, key)
        return None if item is None else items.attempt_from(item)

    def get_many(self, ids: Sequence[tuple[str, AttemptKey]]) -> list[Attempt]:
        keys = [items.attempt_key(request_id, key) for request_id, key in dict.fromkeys(ids)]
        return list(map(items.attempt_from, self._database.read_many(self._table, keys)))

    def of_step(
        self, request_id: str, step: int, status: AttemptStatus | None = None
    ) -> Iterator[Attempt]:
        for row in self._of_step(request_id, step):
            if status is None or row["status"]["S"] == status:
                yield items.attempt_from(row)

    def find(
        self,
        request_id: str,
        steps: range,
        status: AttemptStatus | None,
        limit: int,
        after: AttemptKey | None,
    ) -> Rows:
        """Read the table itself, strongly consistent; with a status also rows that do not match."""
        page_size = rows_to_look_at(limit, is_filtered=status is not None) + 1
        rows = (
            row
            for step in steps
            if after is None or step >= after.step
            for row in self._of_step(request_id, step, after, page_size)
        )
        page = page_of(
            rows,
            limit,
            lambda row: row["key"]["S"],
            # What a block's jobs are is not known by its own status.
            None if status is None else lambda row: row["status"]["S"] == status or "block" in row,
        )
        return Rows(
            list(map(items.attempt_from, page.items)),
            None if page.next_token is None else AttemptKey.parse(page.next_token),
        )

    def _of_step(
        self,
        request_id: str,
        step: int,
        after: AttemptKey | None = None,
        page_size: int | None = None,
    ) -> Iterator[Item]:
        """Read a step's rows in key order, lot by lot; those after a key, if one is given."""
        first, seen = AttemptKey(step, 0, 0), None
        if after is not None and after.step == step:
            first, seen = replace(after, attempt=after.attempt + 1), after.job
        while True:
            last = None
            for last in self._of_lot(request_id, first, page_size):
                yield last
            if last is not None:
                seen = AttemptKey.parse(last["key"]["S"]).job
            if seen is None or not is_last_of_lot(seen):
                return
            first, seen = AttemptKey(step, seen + 1, 0), None

    def _of_lot(
        self, request_id: str, first: AttemptKey, page_size: int | None = None
    ) -> Iterator[Item]:
        """Read a lot's rows from a key on."""
        # Keys are digits and `#`, which `:` follows in text order; log lines have other keys.
        return self._database.query(
            self._table,
            "#lot = :lot AND #key BETWEEN :first AND :behind",
            {"lot": lot_of(request_id, first), "first": str(first), "behind": ":"},
            page_size=page_size,
        )

    # -- claims, leases, cancelling ------------------------------------------------------------

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
        outcome = self._database.write(
            update(
                self._table,
                items.attempt_key(request_id, key),
                c.ATTEMPT_ADMITS[AttemptEvent.CLAIM],
                {
                    "status": AttemptStatus.INPROGRESS,
                    "claim_id": claim_id,
                    "worker_id": worker_id,
                    "started_at": now,
                    "lease_until": lease_until,
                    "wake_at": None,
                    "wake_lane": None,
                    "poll_until": None,
                    **queue_items.OUT_OF_QUEUE,
                    "expires_at": self._expiry(now),
                },
                adds={"fence": 1},
            )
        )
        if outcome.item is None:
            return Write(False, None)
        row = items.attempt_from(outcome.item)
        is_ours = row.status is AttemptStatus.INPROGRESS and row.claim_id == claim_id
        return Write(is_ours, row)

    def renew(self, attempt: Attempt, lease_until: datetime) -> bool:
        """Move the lease, and in its queue the time at which a poll finds a polled attempt."""
        place = queue_items.held_values(attempt.queue, lease_until) if attempt.is_polled else {}
        changes: Changes = {"lease_until": lease_until, **place, **items.block_values(attempt)}
        return self._database.write(self._of_holder(attempt, AttemptEvent.RENEW, changes)).held

    def cancel(
        self, attempts: Sequence[Attempt], now: datetime, *, failed: Request | None = None
    ) -> int:
        """Cancel them side by side; those of a failed request one after the other.

        Each of those is a transaction with the one row of their request.
        """
        cancels = [self._cancel(attempt, now) for attempt in attempts]
        if failed is None:
            return sum(map(_is_cancelled, self._write_side_by_side(cancels)))
        is_still_failed = check(
            self._requests_table,
            items.request_key(failed.request_id),
            c.IS_STILL_FAILED,
            {"seen_generation": failed.generation},
        )
        cancelled = 0
        for cancel in cancels:
            outcome, checked = self._database.transact([cancel, is_still_failed])
            cancelled += checked.held if outcome.held else _is_cancelled(outcome)
        return cancelled

    def _cancel(self, attempt: Attempt, now: datetime) -> Action:
        return update(
            self._table,
            items.attempt_key(attempt.request_id, attempt.key),
            c.ATTEMPT_ADMITS[AttemptEvent.CANCEL],
            {
                "status": AttemptStatus.CANCELLED,
                "completed_at": now,
                "wake_at": None,
                "wake_lane": None,
                "poll_until": None,
                **queue_items.OUT_OF_QUEUE,
                "expires_at": self._expiry(now),
            },
        )

    # -- outcomes ------------------------------------------------------------------------------

    def complete(
        self, attempt: Attempt, output: Payload, now: datetime, *, lapsed: bool = False
    ) -> Recorded:
        status = AttemptStatus.COMPLETED
        changes = items.payload_values("output", output)
        record = self._record(attempt, AttemptEvent.COMPLETE, status, now, changes, lapsed=lapsed)
        return _recorded(self._database.write(record), attempt, status, output=output)

    def retry(
        self,
        attempt: Attempt,
        error: JobError,
        successor: Attempt,
        now: datetime,
        *,
        lapsed: bool = False,
    ) -> Recorded:
        status = AttemptStatus.RETRY
        event = AttemptEvent.OVERDUE if is_unclaimed(attempt, lapsed=lapsed) else AttemptEvent.RETRY
        changes: Changes = {"error": items.job_error_text(error)}
        record = self._record(attempt, event, status, now, changes, lapsed=lapsed)
        written, inserted = self._database.transact([record, self._put(successor)])
        if not written.held:
            return _recorded(written, attempt, status, error=error)
        return Recorded.WON if inserted.held else Recorded.STALE

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
        status = AttemptStatus.FAILURE
        changes: Changes = {"error": items.job_error_text(error)}
        event = AttemptEvent.ABANDON if is_unclaimed(attempt, lapsed=lapsed) else AttemptEvent.FAIL
        record = self._record(attempt, event, status, now, changes, lapsed=lapsed)
        if request is None:
            return _recorded(self._database.write(record), attempt, status, error=error)
        fail_request = update(
            self._requests_table,
            items.request_key(attempt.request_id),
            c.IS_INPROGRESS,
            {
                **items.ending_values(
                    attempt.request_id, RequestStatus.FAILED, now, due_at, self._retention
                ),
                "error": items.request_error_text(request),
            },
        )
        written, failed = self._database.transact([record, fail_request])
        if written.held and not failed.held:
            return Recorded.ENDED
        return _recorded(written, attempt, status, error=error)

    def _record(
        self,
        attempt: Attempt,
        event: AttemptEvent,
        status: AttemptStatus,
        now: datetime,
        changes: Changes,
        *,
        lapsed: bool = False,
    ) -> Action:
        outcome: Changes = {
            "status": status,
            "completed_at": now,
            "lease_until": None,
            "wake_at": None,
            "poll_until": None,
            **queue_items.OUT_OF_QUEUE,
        }
        changes = {**outcome, **items.block_values(attempt), **changes}
        return self._of_holder(attempt, event, changes, lapsed=lapsed)

    def prolong(self, request_id: str, step: int, now: datetime) -> None:
        soon = items.epoch_s(now + 1.5 * self._retention)
        changes: Changes = {"expires_at": self._expiry(now)}
        keys = (
            {name: row[name] for name in KEY}
            for row in self._of_step(request_id, step)
            if "expires_at" in row and int(row["expires_at"]["N"]) < soon
        )
        while chunk := list(islice(keys, _MAX_PROLONGED)):
            self._write_side_by_side(
                # A row that has expired since must not come back without its values.
                [update(self._table, key, c.EXPIRES_SOON, changes, {"soon": soon}) for key in chunk]
            )

    # -- wake-ups ------------------------------------------------------------------------------

    def attempts_to_wake(
        self, before: datetime, shard: str | None = None
    ) -> Iterator[tuple[str, AttemptKey]]:
        """Read the index by_wake, eventually consistent."""
        for row in self._by_wake.due(before, shard):
            yield request_of(row), AttemptKey.parse(row["key"]["S"])

    def put_off_wake_up(self, request_id: str, key: AttemptKey, before: datetime) -> PutOff | None:
        return self._by_wake.put_off(items.attempt_key(request_id, key), before)

    def forget_wake_up(self, request_id: str, key: AttemptKey) -> None:
        attempt_key = items.attempt_key(request_id, key)
        self._database.write(update(self._table, attempt_key, c.EXISTS, {"wake_lane": None}))


def _is_cancelled(outcome: Outcome) -> bool:
    """Whether an attempt is cancelled, as a write has left or found it."""
    return outcome.item is not None and outcome.item["status"]["S"] == AttemptStatus.CANCELLED


def _recorded(
    written: Outcome,
    attempt: Attempt,
    status: AttemptStatus,
    *,
    output: Payload | None = None,
    error: JobError | None = None,
) -> Recorded:
    """Return how an outcome was recorded; one that finds itself, sent before, has won."""
    if written.held:
        return Recorded.WON
    row = None if written.item is None else items.attempt_from(written.item)
    if row is None or (row.status, row.fence, row.error) != (status, attempt.fence, error):
        return Recorded.STALE
    return Recorded.WON if is_same_outcome(attempt, row, output) else Recorded.STALE
