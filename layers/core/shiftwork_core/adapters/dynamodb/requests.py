"""Store requests and idempotency keys in DynamoDB, next to their steps."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import groupby

from shiftwork_core.adapters.dynamodb import conditions as c
from shiftwork_core.adapters.dynamodb import items
from shiftwork_core.adapters.dynamodb.database import Outcome
from shiftwork_core.adapters.dynamodb.expressions import (
    Action,
    Changes,
    Values,
    put,
    to_wire,
    update,
)
from shiftwork_core.adapters.dynamodb.steps import KEY, DynamoSteps, item_of
from shiftwork_core.adapters.pages import page_of, rows_to_look_at
from shiftwork_core.domain.payloads import Payload
from shiftwork_core.domain.put_offs import PutOff
from shiftwork_core.domain.requests.outages import outage_to_text
from shiftwork_core.domain.requests.records import (
    Outage,
    Request,
    RequestError,
)
from shiftwork_core.domain.requests.retries import retries_to_text
from shiftwork_core.domain.requests.states import RequestEvent, RequestStatus
from shiftwork_core.domain.times import from_iso
from shiftwork_core.errors import Unavailable
from shiftwork_core.page_tokens import read_request_token, request_position, request_token
from shiftwork_core.ports.shards import SHARDS
from shiftwork_core.ports.stores import (
    ENDING_EVENT,
    Created,
    DueRequest,
    IdempotencyKey,
    Lane,
    Page,
    RequestStore,
    Write,
)

_INPROGRESS = RequestStatus.INPROGRESS


class DynamoRequestStore(DynamoSteps, RequestStore):
    """The requests table.

    Rows expire by DynamoDB's time to live: a request its retention after its end (a retry takes
    that back), a key its retention after creation, a step twice the retention after its end, since
    a user may retry the request as long as it exists.
    """

    def create(self, request: Request, key: IdempotencyKey | None) -> Created:
        row = put(self._table, items.request_item(request), KEY, c.IS_ABSENT)
        if key is None:
            return Created(_found(self._database.write(row)), True)
        use, written = self._database.transact([self._use_of(key, request), row])
        if not use.held:
            return self._created_by(use, request)
        if not written.held:
            return Created(_found(written), True, key.digest)
        return Created(request, True, key.digest)

    def _use_of(self, key: IdempotencyKey, request: Request) -> Action:
        from_then = max(request.created_at, request.start_at or request.created_at)
        item = to_wire(
            {
                "request_id": f"key#{hashlib.sha256(key.key.encode()).hexdigest()}",
                "part": "key",
                "for_request": request.request_id,
                "digest": key.digest,
                "expires_at": items.epoch_s(from_then + self._retention),
            }
        )
        # Rounded down, where the expiry is rounded up: no key is free too early.
        now = int(request.created_at.timestamp())
        return put(self._table, item, KEY, c.KEY_IS_FREE, {"now": now})

    def _created_by(self, use: Outcome, request: Request) -> Created:
        """Return the request of the key; an earlier sending of this call may have made it."""
        used = item_of(use)
        request_id: str = used["for_request"]["S"]
        found = self.get(request_id)
        if found is None:
            raise Unavailable(f"request {request_id} of this key is being deleted")
        return Created(found, request_id == request.request_id, used["digest"]["S"])

    def get(self, request_id: str) -> Request | None:
        item = self._database.read(self._table, items.request_key(request_id))
        return None if item is None else items.request_from(item)

    def find(
        self, status: RequestStatus | None, type: str | None, limit: int, next_token: str | None
    ) -> Page[Request]:
        """Merge what the index by_status has of each status; a type is only a filter on it."""
        after = None if next_token is None else read_request_token(next_token)
        statuses = [status] if status else list(RequestStatus)
        most = rows_to_look_at(limit, is_filtered=type is not None)
        page_size = max(limit, most // len(SHARDS)) + 1
        rows = heapq.merge(
            *(self._of_status(s, None if after is None else after[0], page_size) for s in statuses),
            key=lambda r: r.created_at,
            reverse=True,
        )
        ordered = (
            row
            for _, same_time in groupby(rows, key=lambda r: r.created_at)
            for row in _newest_first(same_time)
        )
        older = (row for row in ordered if after is None or request_position(row) < after)
        is_wanted = None if type is None else lambda row: row.type == type
        return page_of(older, limit, request_token, is_wanted)

    def _of_status(
        self, status: RequestStatus, until: str | None, page_size: int
    ) -> Iterator[Request]:
        condition, values = "", dict[str, str]()
        if until is not None:
            condition, values = "#created_at <= :until", {"until": until}
        rows = self._by_status.of_all(condition, values, page_size, of=status, is_descending=True)
        yield from map(items.request_from, rows)

    def due(self, lane: Lane, before: datetime, shard: str | None = None) -> Iterator[DueRequest]:
        for row in self._by_due.due(before, shard, of=lane):
            yield DueRequest(
                row["request_id"]["S"], int(row["execution"]["N"]), from_iso(row["due_at"]["S"])
            )

    def put_off(self, request_id: str, before: datetime) -> PutOff | None:
        return self._by_due.put_off(items.request_key(request_id), before)

    def start(self, request_id: str, now: datetime, due_at: datetime) -> Write[Request]:
        outcome = self._update(
            request_id,
            c.REQUEST_ADMITS[RequestEvent.START],
            {
                **items.status_values(request_id, _INPROGRESS),
                "current_step": 1,
                "started_at": now,
                **items.due_values(request_id, _INPROGRESS, due_at),
            },
        )
        row = _found(outcome)
        is_ours = row.status is _INPROGRESS and row.started_at == items.kept(now)
        return Write(is_ours, row)

    def enter_step(self, seen: Request, extras: Payload, due_at: datetime | None) -> Write[Request]:
        request_id, behind = seen.request_id, seen.current_step + 1
        due = {} if due_at is None else items.due_values(request_id, _INPROGRESS, due_at)
        outcome = self._update(
            request_id,
            c.IS_AT_STEP_SEEN,
            {
                "current_step": behind,
                **items.payload_values("extras", extras),
                **due,
            },
            {"seen_step": seen.current_step, "seen_generation": seen.generation},
        )
        row = _found(outcome)
        is_there = (row.current_step, row.generation) == (behind, seen.generation)
        return Write(row.status is _INPROGRESS and is_there, row)

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
        condition = c.REQUEST_ADMITS[ENDING_EVENT[status]]
        is_completed = status is RequestStatus.COMPLETED
        is_seen = c.IS_GENERATION_SEEN if is_completed else c.IS_DRIVER_SEEN
        outcome = self._update(
            request_id,
            condition if seen is None else c.both(condition, is_seen),
            {
                **items.ending_values(request_id, status, now, due_at, self._retention),
                "error": None if error is None else items.request_error_text(error),
                **({} if extras is None else items.payload_values("extras", extras)),
            },
            _seen_values(seen),
        )
        row = _found(outcome)
        return Write(row.status is status, row)

    def reopen(
        self, seen: Request, step: int, extras: Payload, now: datetime, due_at: datetime
    ) -> Write[Request]:
        request_id = seen.request_id
        kept = seen.retried(now)
        kept["retries"] = retries_to_text(kept["retries"])
        outcome = self._update(
            request_id,
            c.both(c.REQUEST_ADMITS[RequestEvent.RETRY], c.IS_GENERATION_SEEN),
            {
                **items.status_values(request_id, _INPROGRESS),
                "current_step": step,
                **items.payload_values("extras", extras),
                "started_at": seen.started_at or now,
                "completed_at": None,
                **kept,
                "error": None,
                "outage": None,
                "expires_at": None,
                **items.due_values(request_id, _INPROGRESS, due_at),
            },
            {"seen_generation": seen.generation},
            {"generation": 1, "execution": 1},
        )
        row = _found(outcome)
        is_ours = row.status is _INPROGRESS and row.generation == seen.generation + 1
        return Write(is_ours, row)

    def take_over(self, due: DueRequest, due_at: datetime) -> Write[Request]:
        outcome = self._update(
            due.request_id,
            c.IS_DUE_AS_SEEN,
            {"due_at": due_at},
            {"seen_execution": due.execution, "seen_due_at": due.due_at},
            {"execution": 1},
        )
        row = _found(outcome)
        is_ours = (row.execution, row.due_at) == (due.execution + 1, items.kept(due_at))
        return Write(is_ours, row)

    def set_due(self, seen: Request, due_at: datetime | None) -> None:
        is_due = c.IS_NEVER_DUE if seen.due_at is None else c.IS_DUE_THEN
        self._update(
            seen.request_id,
            c.both(c.IS_DRIVEN_AS_SEEN, is_due),
            items.due_values(seen.request_id, seen.status, due_at),
            {
                **_seen_values(seen),
                "seen_status": seen.status,
                "seen_due_at": seen.due_at or "",
            },
        )

    def postpone_due(self, request_id: str, due_at: datetime) -> bool:
        outcome = self._update(request_id, c.IS_DUE_EARLIER, {"due_at": due_at})
        return outcome.item is not None and items.request_from(outcome.item).status is _INPROGRESS

    def note_alive(self, request_id: str, until: datetime) -> None:
        """Write a row of its own for the time; batches that note the same one share it."""
        row = to_wire(
            {"request_id": request_id, "until": until, "expires_at": items.epoch_s(until)}
        )
        self._database.write(put(self._batches_table, row, ("request_id", "until"), None))

    def alive_until(self, request_id: str) -> datetime | None:
        latest = self._database.query(
            self._batches_table,
            "#request_id = :request_id",
            {"request_id": request_id},
            is_descending=True,
            page_size=1,
        )
        return next((from_iso(row["until"]["S"]) for row in latest), None)

    def bring_due_forward(self, request_id: str, due_at: datetime) -> None:
        self._update(request_id, c.IS_DUE_LATER, {"due_at": due_at})

    def note_outage(self, seen: Request, outage: Outage | None) -> None:
        self._update(
            seen.request_id,
            c.IS_DRIVEN_AS_SEEN,
            {"outage": outage_to_text(outage)},
            {**_seen_values(seen), "seen_status": seen.status},
        )

    def _update(
        self,
        request_id: str,
        condition: str,
        changes: Changes,
        values: Values | None = None,
        adds: dict[str, int] | None = None,
    ) -> Outcome:
        key = items.request_key(request_id)
        return self._database.write(update(self._table, key, condition, changes, values, adds))


def _seen_values(seen: Request | None) -> Values:
    if seen is None:
        return {}
    return {"seen_generation": seen.generation, "seen_execution": seen.execution}


def _newest_first(same_time: Iterable[Request]) -> list[Request]:
    """Order requests of one millisecond, whose order the index leaves open, each once.

    A request whose status is changing may be listed under both.
    """
    rows = {row.request_id: row for row in same_time}.values()
    return sorted(rows, key=request_position, reverse=True)


def _found(outcome: Outcome) -> Request:
    return items.request_from(item_of(outcome))
