"""Attempts."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from shiftwork_core.adapters.dynamodb import conditions as c
from shiftwork_core.adapters.dynamodb import items
from shiftwork_core.adapters.dynamodb.database import Database, Outcome
from shiftwork_core.adapters.dynamodb.expressions import (
    Action,
    Changes,
    Item,
    Value,
    Values,
    check,
    put,
    to_wire,
    update,
)
from shiftwork_core.adapters.dynamodb.requests import ending_values
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
    attempt_id_of,
)
from shiftwork_core.domain.requests.states import AttemptEvent, AttemptStatus, RequestStatus
from shiftwork_core.errors import Unavailable
from shiftwork_core.ports.jobs import MAX_LATE_UPDATES, Claimed, FreeSlot, JobStore, is_unclaimed
from shiftwork_core.ports.stores import Page, Recorded, Write

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_KEY = ("request_id", "key")
#: Conditional writes have no batch, so a step's rows are put side by side. More threads than this
#: gain little in a function of one processor.
_MAX_WRITERS = 16
#: A completion is counted in one of four ways. Two may turn out wrong before the third is right;
#: the rest is for rows that change in between.
_MAX_WAYS = 6


class DynamoJobStore(JobStore):
    """The jobs table, and of the requests table what outcomes change in it.

    An attempt that a Map joins takes three plain writes (insert, claim, complete), which touch no
    index. Rows expire by DynamoDB's time to live twice the retention after they were claimed or
    cancelled, which costs no write of its own: a step needs its attempts until it has settled, and
    a user may retry a request until the retention after its end.
    """

    def __init__(
        self,
        client: DynamoDBClient,
        table: str,
        *,
        requests_table: str,
        limits_table: str,
        retention: timedelta,
        sleep: Callable[[float], None] = time.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._database = Database(client, sleep, draw)
        self._table = table
        self._requests_table = requests_table
        self._limits_table = limits_table
        self._retention = retention

    def insert(self, attempts: Sequence[Attempt]) -> int:
        """Write each attempt unless its row exists."""
        outcomes = self._write_side_by_side([self._put(attempt) for attempt in attempts])
        return sum(not outcome.held for outcome in outcomes)

    def _write_side_by_side(self, actions: list[Action]) -> list[Outcome]:
        with ThreadPoolExecutor(max(1, min(len(actions), _MAX_WRITERS))) as pool:
            return list(pool.map(self._database.write, actions))

    def _put(self, attempt: Attempt) -> Action:
        item = items.attempt_item(attempt)
        if attempt.completed_at is not None:  # Inserted as cancelled: nobody will claim it.
            item |= to_wire({"expires_at": self._expiry(attempt.completed_at)})
        return put(self._table, item, _KEY, c.IS_ABSENT)

    # -- reading -------------------------------------------------------------------------------

    def get(self, request_id: str, key: AttemptKey) -> Attempt | None:
        """Read an attempt, strongly consistent."""
        item = self._read(request_id, key)
        return None if item is None else items.attempt_from(item)

    def _read(self, request_id: str, key: AttemptKey) -> Item | None:
        return self._database.read(self._table, items.attempt_key(request_id, key))

    def get_many(self, ids: Sequence[tuple[str, AttemptKey]]) -> list[Attempt]:
        """Read those that exist of some attempts, strongly consistent."""
        keys = [items.attempt_key(request_id, key) for request_id, key in dict.fromkeys(ids)]
        return list(map(items.attempt_from, self._database.read_many(self._table, keys)))

    def of_step(
        self, request_id: str, step: int, status: AttemptStatus | None = None
    ) -> Iterator[Attempt]:
        """Read a step's attempts in key order, strongly consistent."""
        return self._select(request_id, step, status)

    def find(
        self,
        request_id: str,
        step: int | None,
        status: AttemptStatus | None,
        limit: int,
        next_token: str | None,
    ) -> Page[Attempt]:
        """List a request's attempts in key order."""
        after = None if next_token is None else read_attempt_token(next_token)
        # Only without a filter is it known how many rows make a page.
        page_size = limit + 1 if status is None else None
        rows = self._select(request_id, step, status, after, page_size)
        found = list(islice(rows, limit + 1))
        page = found[:limit]
        return Page(page, attempt_token(page[-1].key) if len(found) > limit else None)

    def _select(
        self,
        request_id: str,
        step: int | None,
        status: AttemptStatus | None,
        after: AttemptKey | None = None,
        page_size: int | None = None,
    ) -> Iterator[Attempt]:
        # Keys are digits and `#`, which `$` follows in text order, as `:` does the digits.
        low, high = ("0", ":") if step is None else (f"{step:04d}#", f"{step:04d}$")
        if after is not None:
            low = max(low, f"{after}$")
        values: dict[str, Value] = {"request_id": request_id, "low": low, "high": high}
        where = None
        if status is not None:
            where = "#status = :status"
            values["status"] = status
        if low > high:
            return
        rows = self._database.query(
            self._table,
            "#request_id = :request_id AND #key BETWEEN :low AND :high",
            values,
            where=where,
            page_size=page_size,
        )
        yield from map(items.attempt_from, rows)

    # -- holding -------------------------------------------------------------------------------

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
                    **items.OUT_OF_QUEUE,
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
        """Move the lease of an attempt still held."""
        changes: Changes = {"lease_until": lease_until}
        return self._database.write(self._of_holder(attempt, AttemptEvent.RENEW, changes)).held

    def cancel(self, attempt: Attempt, now: datetime, *, failed: Request | None = None) -> bool:
        """Turn new -> cancelled."""
        cancel = update(
            self._table,
            items.attempt_key(attempt.request_id, attempt.key),
            c.ATTEMPT_ADMITS[AttemptEvent.CANCEL],
            {
                "status": AttemptStatus.CANCELLED,
                "completed_at": now,
                "wake_at": None,
                "wake_lane": None,
                "poll_until": None,
                **items.OUT_OF_QUEUE,
                "expires_at": self._expiry(now),
            },
        )
        if failed is None:
            outcome = self._database.write(cancel)
        else:
            is_still_failed = check(
                self._requests_table,
                items.request_key(failed.request_id),
                c.IS_STILL_FAILED,
                {"seen_generation": failed.generation},
            )
            outcome, checked = self._database.transact([cancel, is_still_failed])
            if outcome.held:
                return checked.held
        return (
            outcome.item is not None
            and items.attempt_from(outcome.item).status is AttemptStatus.CANCELLED
        )

    # -- queues --------------------------------------------------------------------------------

    def queued(self, queue: str, now: datetime, limit: int) -> list[Queued]:
        """List the head of a queue in its order."""
        ready = self._queue("#queue = :queue", {"queue": items.READY + queue}, limit)
        later = self._queue(
            "#queue = :queue AND #queue_at <= :until",
            {"queue": items.LATER + queue, "until": items.until_in_later(now)},
            limit,
        )
        return sorted(ready + later, key=lambda queued: queued.order)

    def _queue(self, condition: str, values: Values, limit: int) -> list[Queued]:
        rows = self._database.query(
            self._table, condition, values, index="by_queue", page_size=limit
        )
        return [items.queued_from(row) for row in islice(rows, limit)]

    def queue_size(self, queue: str) -> int:
        """Count what waits in a queue."""
        return sum(
            self._database.count(
                self._table, "#queue = :queue", {"queue": partition + queue}, "by_queue"
            )
            for partition in (items.READY, items.LATER)
        )

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
        takes = [
            self._take(one, claim_id, worker_id, now, lease)
            for one, lease in zip(queued, leases, strict=True)
        ]
        outcomes = self._write_side_by_side(takes)
        return [_taken(outcome.item, claim_id) for outcome in outcomes]

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
        """Take a job, and in the same transaction the slot."""
        take = self._take(queued, claim_id, worker_id, now, lease_until, slot.number)
        attempt_id = attempt_id_of(queued.request_id, queued.key)
        taken, slotted = self._database.transact([take, self._slot(slot, attempt_id, claim_id)])
        if not taken.held:
            return Claimed(_taken(taken.item, claim_id))
        if not slotted.held:
            return Claimed(None, is_slot_lost=True)
        # A repeated transaction is answered as the first was, whatever has happened since.
        return Claimed(_taken(self._read(queued.request_id, queued.key), claim_id))

    def _take(
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
            c.both(c.ATTEMPT_ADMITS[AttemptEvent.CLAIM], _is_fence_seen(queued.fence)),
            {
                "status": AttemptStatus.INPROGRESS,
                "claim_id": claim_id,
                "worker_id": worker_id,
                "started_at": queued.started_at or now,
                "lease_until": lease_until,
                "slot": slot,
                "wake_at": None,
                "poll_until": None,
                **items.OUT_OF_QUEUE,
                "expires_at": self._expiry(now),
            },
            {"seen_fence": queued.fence},
            adds={"fence": 1, "poll_count": 1},
        )

    def _slot(self, slot: FreeSlot, attempt_id: str, claim_id: str) -> Action:
        seen = slot.seen
        return put(
            self._limits_table,
            items.slot_item(slot.type, slot.number, attempt_id, claim_id),
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
        """Turn inprogress -> new, to be taken again."""
        changes: Changes = {
            "status": AttemptStatus.NEW,
            **items.payload_values("output", output),
            "wake_at": wake_at,
            "poll_until": poll_until,
            "lease_until": None,
            "slot": None,
            **items.queue_values(replace(attempt, wake_at=wake_at)),
        }
        put_back, request = self._database.transact(
            [
                self._of_holder(attempt, AttemptEvent.PUT_BACK, changes),
                check(self._requests_table, items.request_key(attempt.request_id), c.IS_INPROGRESS),
            ]
        )
        if put_back.held:
            return Recorded.WON if request.held else Recorded.ENDED
        row = None if put_back.item is None else items.attempt_from(put_back.item)
        ours = (AttemptStatus.NEW, attempt.fence, items.kept(wake_at))
        is_ours = row is not None and (row.status, row.fence, row.wake_at) == ours
        return Recorded.WON if is_ours else Recorded.STALE

    # -- what is told beside the outcome -------------------------------------------------------

    def add_late_update(self, attempt: Attempt, late: LateUpdate) -> None:
        """Add to the late updates of an attempt as it was read."""
        if len(attempt.late_updates) >= MAX_LATE_UPDATES:
            return
        seen = items.late_updates_text(attempt.late_updates)
        self._database.write(
            update(
                self._table,
                items.attempt_key(attempt.request_id, attempt.key),
                c.IS_NEVER_LATE if seen is None else c.IS_LATE_UPDATES_AS_SEEN,
                {"late_updates": items.late_updates_text((*attempt.late_updates, late))},
                {"seen_late_updates": seen or ""},
            )
        )

    def add_logs(
        self, request_id: str, key: AttemptKey, lines: Sequence[LogLine], now: datetime
    ) -> None:
        """Keep lines that were logged for an attempt."""
        self._write_side_by_side(
            [
                put(
                    self._table,
                    items.log_item(request_id, key, line, self._expiry(now)),
                    _KEY,
                    c.IS_ABSENT,
                )
                for line in dict.fromkeys(lines)
            ]
        )

    def logs(self, request_id: str, key: AttemptKey) -> list[LogLine]:
        """Read what was logged for an attempt."""
        rows = self._database.query(
            self._table,
            "#request_id = :request_id AND begins_with(#key, :prefix)",
            {"request_id": request_id, "prefix": items.log_prefix(key)},
        )
        return sorted(map(items.log_from, rows), key=lambda line: (line.at, line.message))

    # -- outcomes ------------------------------------------------------------------------------

    def complete(
        self, attempt: Attempt, output: Payload, now: datetime, *, is_counted: bool = True
    ) -> Recorded:
        """Turn inprogress -> completed; count it in its step unless a Map joins it."""
        status = AttemptStatus.COMPLETED
        settle = self._settle(
            attempt,
            AttemptEvent.COMPLETE,
            status,
            now,
            items.payload_values("output", output),
        )
        if attempt.is_joined or not is_counted:
            settled = self._database.write(settle)
            return _recorded(settled, attempt, status, output=output)
        # Which of these can be written depends on rows that this writer has not read, so that it
        # holds is checked with the outcome. The last completion that an execution waits for makes
        # the request due, if it is in progress. And a worker may be done before the planner has
        # written the step's row: were that checked earlier, it might be waited for in vain.
        more_awaited = [self._count(attempt, c.IS_MORE_AWAITED)]
        last_awaited = [self._count(attempt, c.EXISTS), self._make_due(attempt, now)]
        ended = [self._count(attempt, c.EXISTS)]
        unplanned = [self._is_unplanned(attempt)]
        way = more_awaited
        for _ in range(_MAX_WAYS):
            settled, counted, *others = self._database.transact([settle, *way])
            if not settled.held:
                return _recorded(settled, attempt, status, output=output)
            if counted.held and all(other.held for other in others):
                return Recorded.WON
            if way is more_awaited:
                way = unplanned if counted.item is None else last_awaited
            elif counted.held:  # But the request is not in progress.
                way = ended
            else:
                way = more_awaited
        raise Unavailable(f"the row of attempt {attempt.attempt_id}'s step comes and goes")

    def _count(self, attempt: Attempt, condition: str) -> Action:
        key = items.step_key(attempt.request_id, attempt.key.step)
        return update(self._requests_table, key, condition, {}, adds={"arrivals": 1})

    def _make_due(self, attempt: Attempt, now: datetime) -> Action:
        key = items.request_key(attempt.request_id)
        due = items.due_values(RequestStatus.INPROGRESS, now)
        return update(self._requests_table, key, c.IS_INPROGRESS, due)

    def _is_unplanned(self, attempt: Attempt) -> Action:
        key = items.step_key(attempt.request_id, attempt.key.step)
        return check(self._requests_table, key, c.IS_ABSENT)

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
        status = AttemptStatus.RETRY
        event = AttemptEvent.OVERDUE if is_unclaimed(attempt, lapsed=lapsed) else AttemptEvent.RETRY
        changes: Changes = {"error": items.job_error_text(error)}
        settled, inserted, request = self._database.transact(
            [
                self._settle(attempt, event, status, now, changes, lapsed=lapsed),
                self._put(successor),
                check(self._requests_table, items.request_key(attempt.request_id), c.IS_INPROGRESS),
            ]
        )
        if not settled.held:
            return _recorded(settled, attempt, status, error=error)
        if not request.held:
            return Recorded.ENDED
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
        """Turn inprogress -> failure, and with it the request."""
        status = AttemptStatus.FAILURE
        changes: Changes = {"error": items.job_error_text(error)}
        event = AttemptEvent.ABANDON if is_unclaimed(attempt, lapsed=lapsed) else AttemptEvent.FAIL
        settle = self._settle(attempt, event, status, now, changes, lapsed=lapsed)
        if request is None:
            return _recorded(self._database.write(settle), attempt, status, error=error)
        fail_request = update(
            self._requests_table,
            items.request_key(attempt.request_id),
            c.IS_INPROGRESS,
            {
                **ending_values(RequestStatus.FAILED, now, due_at, self._retention),
                "error": items.request_error_text(request),
            },
        )
        settled, failed = self._database.transact([settle, fail_request])
        if settled.held and not failed.held:
            return Recorded.ENDED
        return _recorded(settled, attempt, status, error=error)

    def _settle(
        self,
        attempt: Attempt,
        event: AttemptEvent,
        status: AttemptStatus,
        now: datetime,
        changes: Changes,
        *,
        lapsed: bool = False,
    ) -> Action:
        settled: Changes = {
            "status": status,
            "completed_at": now,
            "lease_until": None,
            "wake_at": None,
            "poll_until": None,
            **items.OUT_OF_QUEUE,
        }
        return self._of_holder(attempt, event, {**settled, **changes}, lapsed=lapsed)

    def _of_holder(
        self,
        attempt: Attempt,
        event: AttemptEvent,
        changes: Changes,
        *,
        lapsed: bool = False,
    ) -> Action:
        """Return a change that only the holder of the attempt's fence may make.

        Of one that was not taken in time, only who has seen its last claim.
        """
        condition = c.both(c.ATTEMPT_ADMITS[event], _is_fence_seen(attempt.fence))
        values: dict[str, Value] = {"seen_fence": attempt.fence}
        if lapsed and not is_unclaimed(attempt, lapsed=lapsed):
            condition = c.both(condition, c.IS_LEASE_AS_SEEN)
            values["seen_lease_until"] = attempt.lease_until or ""
        key = items.attempt_key(attempt.request_id, attempt.key)
        return update(self._table, key, condition, changes, values)

    def _expiry(self, now: datetime) -> int:
        return items.epoch_s(now + 2 * self._retention)

    # -- indexes -------------------------------------------------------------------------------

    def attempts_to_wake(self, before: datetime, limit: int) -> list[tuple[str, AttemptKey]]:
        """List retries whose long back-off is over before a time."""
        rows = self._database.query(
            self._table,
            "#wake_lane = :lane AND #wake_at < :before",
            {"lane": items.WAKE_LANE, "before": before},
            index="by_wake",
            page_size=limit,
        )
        return [
            (row["request_id"]["S"], AttemptKey.parse(row["key"]["S"]))
            for row in islice(rows, limit)
        ]

    def forget_wake_up(self, request_id: str, key: AttemptKey) -> None:
        """Take an attempt out of the wake index."""
        attempt_key = items.attempt_key(request_id, key)
        self._database.write(update(self._table, attempt_key, c.EXISTS, {"wake_lane": None}))


def _recorded(
    settled: Outcome,
    attempt: Attempt,
    status: AttemptStatus,
    *,
    output: Payload | None = None,
    error: JobError | None = None,
) -> Recorded:
    """Say what became of an outcome; one that meets itself, of an earlier sending, has won."""
    if settled.held:
        return Recorded.WON
    row = None if settled.item is None else items.attempt_from(settled.item)
    if row is None or (row.status, row.fence, row.error) != (status, attempt.fence, error):
        return Recorded.STALE
    return Recorded.WON if output is None or row.output == output else Recorded.STALE


def _is_fence_seen(fence: int) -> str:
    return c.IS_FENCE_HELD if fence else c.IS_NEVER_HELD


def _taken(item: Item | None, claim_id: str) -> Attempt | None:
    """Return what was claimed; a claim that meets itself, of an earlier sending, has won."""
    if item is None:
        return None
    row = items.attempt_from(item)
    is_ours = row.status is AttemptStatus.INPROGRESS and row.claim_id == claim_id
    return row if is_ours else None
