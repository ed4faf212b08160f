"""Attempts."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from shiftwork_core.adapters.dynamodb import conditions as c
from shiftwork_core.adapters.dynamodb import items
from shiftwork_core.adapters.dynamodb.database import Database, Outcome
from shiftwork_core.adapters.dynamodb.expressions import (
    Action,
    Changes,
    Value,
    check,
    put,
    to_wire,
    update,
)
from shiftwork_core.adapters.dynamodb.requests import ending_values
from shiftwork_core.adapters.tokens import attempt_token, read_attempt_token
from shiftwork_core.domain.outcomes import JobError
from shiftwork_core.domain.payloads import Payload
from shiftwork_core.domain.records import Attempt, AttemptKey, Request, RequestError
from shiftwork_core.domain.states import AttemptEvent, AttemptStatus, RequestStatus
from shiftwork_core.errors import Unavailable
from shiftwork_core.ports import JobStore, Page, Recorded, Write

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
        retention: timedelta,
        sleep: Callable[[float], None] = time.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._database = Database(client, sleep, draw)
        self._table = table
        self._requests_table = requests_table
        self._retention = retention

    def insert(self, attempts: Sequence[Attempt]) -> int:
        """Write each attempt unless its row exists."""
        if not attempts:
            return 0
        actions = [self._put(attempt) for attempt in attempts]
        with ThreadPoolExecutor(min(len(actions), _MAX_WRITERS)) as pool:
            outcomes = list(pool.map(self._database.write, actions))
        return sum(not outcome.held for outcome in outcomes)

    def _put(self, attempt: Attempt) -> Action:
        item = items.attempt_item(attempt)
        if attempt.completed_at is not None:  # Inserted as cancelled: nobody will claim it.
            item |= to_wire({"expires_at": self._expiry(attempt.completed_at)})
        return put(self._table, item, _KEY, c.IS_ABSENT)

    # -- reading -------------------------------------------------------------------------------

    def get(self, request_id: str, key: AttemptKey) -> Attempt | None:
        """Read an attempt, strongly consistent."""
        item = self._database.read(self._table, items.attempt_key(request_id, key))
        return None if item is None else items.attempt_from(item)

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
                    "expires_at": self._expiry(now),
                },
                adds={"fence": 1},
            )
        )
        if outcome.item is None:
            return Write(False, None)
        row = items.attempt_from(outcome.item)
        is_ours = row.status is AttemptStatus.INPROGRESS and row.claim_id == claim_id
        return Write(outcome.held or is_ours, row)

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
                "lease_lane": None,
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

    # -- outcomes ------------------------------------------------------------------------------

    def complete(self, attempt: Attempt, output: Payload, now: datetime) -> Recorded:
        """Turn inprogress -> completed; count it in its step unless a Map joins it."""
        status = AttemptStatus.COMPLETED
        settle = self._settle(
            attempt,
            AttemptEvent.COMPLETE,
            status,
            now,
            items.payload_values("output", output),
        )
        if attempt.is_joined:
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
            elif way is last_awaited and counted.held:
                way = ended
            else:
                way = more_awaited
        raise Unavailable(f"the row of attempt {attempt.attempt_id}'s step comes and goes")

    def _count(self, attempt: Attempt, condition: str) -> Action:
        key = items.step_key(attempt.request_id, attempt.key.step)
        return update(self._requests_table, key, condition, {}, adds={"settles": 1})

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
        changes: Changes = {"error": items.job_error_text(error)}
        settled, inserted, request = self._database.transact(
            [
                self._settle(attempt, AttemptEvent.RETRY, status, now, changes, lapsed=lapsed),
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
        settle = self._settle(attempt, AttemptEvent.FAIL, status, now, changes, lapsed=lapsed)
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
            "lease_lane": None,
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
        """Return a change that only the holder of the attempt's fence may make."""
        condition = c.both(c.ATTEMPT_ADMITS[event], c.IS_FENCE_HELD)
        values: dict[str, Value] = {"seen_fence": attempt.fence}
        if lapsed:
            condition = c.both(condition, c.IS_LEASE_AS_SEEN)
            values["seen_lease_until"] = attempt.lease_until or ""
        key = items.attempt_key(attempt.request_id, attempt.key)
        return update(self._table, key, condition, changes, values)

    def _expiry(self, now: datetime) -> int:
        return items.epoch_s(now + 2 * self._retention)

    # -- indexes -------------------------------------------------------------------------------

    def waking(self, before: datetime, limit: int) -> list[tuple[str, AttemptKey]]:
        """List retries whose long back-off is over before a time."""
        condition = "#wake_lane = :lane AND #wake_at < :before"
        return self._due("by_wake", condition, items.WAKE_LANE, before, limit)

    def lapsed(self, before: datetime, limit: int) -> list[tuple[str, AttemptKey]]:
        """List polled attempts whose lease ran out before a time."""
        condition = "#lease_lane = :lane AND #lease_until < :before"
        return self._due("by_lease", condition, items.LEASE_LANE, before, limit)

    def _due(
        self, index: str, condition: str, lane: str, before: datetime, limit: int
    ) -> list[tuple[str, AttemptKey]]:
        rows = self._database.query(
            self._table, condition, {"lane": lane, "before": before}, index=index, page_size=limit
        )
        return [
            (row["request_id"]["S"], AttemptKey.parse(row["key"]["S"]))
            for row in islice(rows, limit)
        ]

    def forget_wake(self, request_id: str, key: AttemptKey) -> None:
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
    ours = (status, attempt.fence, output, error)
    is_ours = row is not None and (row.status, row.fence, row.output, row.error) == ours
    return Recorded.WON if is_ours else Recorded.STALE
