"""Store requests, their steps and idempotency keys in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from shiftwork_core.adapters.memory.tables import Index, KeyRow, MemoryTables
from shiftwork_core.adapters.pages import page_of
from shiftwork_core.domain.payloads import Payload
from shiftwork_core.domain.put_offs import PutOff
from shiftwork_core.domain.requests.records import (
    AttemptKey,
    Outage,
    Request,
    RequestError,
    Stall,
    Step,
    StepStatus,
)
from shiftwork_core.domain.requests.states import RequestEvent, RequestStatus, request_sources
from shiftwork_core.errors import NotFound
from shiftwork_core.page_tokens import read_request_token, request_position, request_token
from shiftwork_core.ports.shards import shard_of
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


class MemoryRequestStore(RequestStore):
    """Requests, steps and idempotency keys, in tables that other stores share."""

    def __init__(
        self,
        tables: MemoryTables,
        retention: timedelta = timedelta(days=90),
        index: Index | None = None,
    ) -> None:
        self._tables = tables
        self._retention = retention
        self._index: Index = index or (lambda: tables)

    def create(self, request: Request, key: IdempotencyKey | None) -> Created:
        with self._tables.lock:
            digest = None if key is None else key.digest
            used = None if key is None else self._tables.keys.get(key.key)
            if used and used.expires_at > request.created_at:
                found = self._tables.request(used.request_id)
                return Created(found, found.request_id == request.request_id, used.digest)
            known = self._tables.requests.get(request.request_id)
            if known is not None:
                return Created(known, True, digest)
            self._tables.put_request(request)
            if key is not None:
                expires_at = max(request.created_at, request.start_at or request.created_at)
                expires_at = _full_second(expires_at + self._retention)
                self._tables.keys[key.key] = KeyRow(key.digest, request.request_id, expires_at)
            return Created(request, True, digest)

    def get(self, request_id: str) -> Request | None:
        with self._tables.lock:
            return self._tables.requests.get(request_id)

    def find(
        self, status: RequestStatus | None, type: str | None, limit: int, next_token: str | None
    ) -> Page[Request]:
        rows = [r for r in self._index().by_status() if status in (None, r.status)]
        if next_token is not None:
            position = read_request_token(next_token)
            rows = [r for r in rows if request_position(r) < position]
        is_wanted = None if type is None else lambda row: row.type == type
        return page_of(rows, limit, request_token, is_wanted)

    def due(self, lane: Lane, before: datetime, shard: str | None = None) -> list[DueRequest]:
        return [
            due
            for due in self._index().by_due(lane)
            if due.due_at < before and shard in (None, shard_of(due.request_id))
        ]

    def put_off(self, request_id: str, before: datetime) -> PutOff | None:
        with self._tables.lock:
            row = self._tables.requests.get(request_id)
            if row is None:
                return None
            put_off = self._tables.put_off(("request", request_id), row.due_at, before)
            if put_off is not None:
                self._won(replace(row, due_at=put_off.until))
            return put_off

    def start(self, request_id: str, now: datetime, due_at: datetime) -> Write[Request]:
        with self._tables.lock:
            row = self._tables.request(request_id)
            if row.status not in request_sources(RequestEvent.START):
                return Write(row.status is _INPROGRESS and row.started_at == now, row)
            return self._won(
                replace(row, status=_INPROGRESS, current_step=1, started_at=now, due_at=due_at)
            )

    def enter_step(self, seen: Request, extras: Payload, due_at: datetime | None) -> Write[Request]:
        behind = seen.current_step + 1
        with self._tables.lock:
            row = self._tables.request(seen.request_id)
            is_open = row.status is _INPROGRESS and row.generation == seen.generation
            if not is_open or row.current_step != seen.current_step:
                return Write(is_open and row.current_step == behind, row)
            due_at = due_at or row.due_at
            return self._won(replace(row, current_step=behind, extras=extras, due_at=due_at))

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
        with self._tables.lock:
            row = self._tables.request(request_id)
            is_seen = seen is None or _numbers_of(row) == _numbers_of(seen)
            if seen is not None and status is RequestStatus.COMPLETED:
                is_seen = row.generation == seen.generation
            if row.status not in request_sources(ENDING_EVENT[status]) or not is_seen:
                return Write(row.status is status, row)
            return self._won(
                replace(
                    row,
                    status=status,
                    completed_at=now,
                    error=error,
                    extras=extras or row.extras,
                    due_at=due_at,
                )
            )

    def reopen(
        self, seen: Request, step: int, extras: Payload, now: datetime, due_at: datetime
    ) -> Write[Request]:
        with self._tables.lock:
            row = self._tables.request(seen.request_id)
            is_seen = row.generation == seen.generation
            if row.status not in request_sources(RequestEvent.RETRY) or not is_seen:
                is_ours = row.status is _INPROGRESS and row.generation == seen.generation + 1
                return Write(is_ours, row)
            return self._won(
                replace(
                    row,
                    status=_INPROGRESS,
                    generation=row.generation + 1,
                    execution=row.execution + 1,
                    current_step=step,
                    extras=extras,
                    started_at=seen.started_at or now,
                    completed_at=None,
                    **seen.retried(now),
                    error=None,
                    outage=None,
                    due_at=due_at,
                )
            )

    def take_over(self, due: DueRequest, due_at: datetime) -> Write[Request]:
        with self._tables.lock:
            row = self._tables.request(due.request_id)
            if (row.execution, row.due_at) != (due.execution, due.due_at):
                return Write((row.execution, row.due_at) == (due.execution + 1, due_at), row)
            return self._won(replace(row, execution=row.execution + 1, due_at=due_at))

    def set_due(self, seen: Request, due_at: datetime | None) -> None:
        with self._tables.lock:
            row = self._tables.requests.get(seen.request_id)
            if row is not None and _progress_of(row) == _progress_of(seen):
                self._won(replace(row, due_at=due_at))

    def postpone_due(self, request_id: str, due_at: datetime) -> bool:
        with self._tables.lock:
            row = self._tables.requests.get(request_id)
            if row is None or row.status is not _INPROGRESS:
                return False
            if row.due_at is not None and row.due_at < due_at:
                self._won(replace(row, due_at=due_at))
            return True

    def add_tally(
        self, request_id: str, key: AttemptKey, left: Mapping[str, int], now: datetime
    ) -> None:
        with self._tables.lock:
            tally = Counter(self._tables.tallies.get((request_id, key.step), {}))
            tally.update(left)
            self._tables.tallies[request_id, key.step] = tally

    def tally(self, request_id: str, index: int) -> dict[str, int]:
        with self._tables.lock:
            return dict(self._tables.tallies.get((request_id, index), {}))

    def note_alive(self, request_id: str, until: datetime) -> None:
        with self._tables.lock:
            before = self._tables.alive.get(request_id, until)
            self._tables.alive[request_id] = max(before, until)

    def alive_until(self, request_id: str) -> datetime | None:
        with self._tables.lock:
            return self._tables.alive.get(request_id)

    def bring_due_forward(self, request_id: str, due_at: datetime) -> None:
        with self._tables.lock:
            row = self._tables.requests.get(request_id)
            if row is None or row.status is not _INPROGRESS:
                return
            if row.due_at is not None and row.due_at > due_at:
                self._won(replace(row, due_at=due_at))

    def note_outage(self, seen: Request, outage: Outage | None) -> None:
        with self._tables.lock:
            row = self._tables.requests.get(seen.request_id)
            if row is not None and _progress_of(row)[:2] == _progress_of(seen)[:2]:
                self._won(replace(row, outage=outage))

    def add_step(self, step: Step) -> Write[Step]:
        with self._tables.lock:
            row = self._tables.step(step.request_id, step.index)
            if row is not None:
                return Write(_plan_of(row) == _plan_of(step), row)
            return Write(True, self._tables.put_step(step))

    def get_step(self, request_id: str, index: int) -> Step | None:
        with self._tables.lock:
            return self._tables.step(request_id, index)

    def steps(self, request_id: str) -> list[Step]:
        with self._tables.lock:
            rows = self._tables.steps.get(request_id, {})
            return [rows[index] for index in sorted(rows)]

    def close_step(
        self,
        seen: Step,
        status: StepStatus,
        counts: dict[str, int],
        now: datetime | None,
        tolerated: int = 0,
        extras: Payload | None = None,
    ) -> bool:
        completed_at = seen.completed_at if seen.status is StepStatus.COMPLETED else now
        with self._tables.lock:
            row = self._tables.step(seen.request_id, seen.index)
            if row is None:
                return False
            is_as_seen = _end_of(row) == _end_of(seen)
            if row.status is StepStatus.COMPLETED:
                may_write = (
                    status is row.status
                    and is_as_seen
                    and row.completed_at is not None
                    and row.extras in (seen.extras, None)
                )
            else:
                may_write = status is StepStatus.COMPLETED or is_as_seen
            if not may_write:
                return (row.status, row.counts, row.completed_at) == (status, counts, completed_at)
            self._tables.put_step(
                replace(
                    row,
                    status=status,
                    counts=dict(counts),
                    completed_at=completed_at,
                    tolerated=tolerated,
                    extras=extras or row.extras,
                )
            )
            return True

    def register_waiter(self, seen: Step, token: str, target: int) -> Write[Step]:
        with self._tables.lock:
            row = self._tables.step(seen.request_id, seen.index)
            if row is None:
                raise NotFound(f"there is no step {seen.index} of request {seen.request_id!r}")
            if row.token != seen.token:
                return Write(row.token == token, row)
            return Write(True, self._tables.put_step(replace(row, token=token, target=target)))

    def note_stall(self, request_id: str, index: int, stall: Stall | None) -> None:
        with self._tables.lock:
            row = self._tables.step(request_id, index)
            if row is not None:
                self._tables.put_step(replace(row, stall=stall))

    def count_arrivals(self, request_id: str, index: int, count: int) -> Step | None:
        with self._tables.lock:
            row = self._tables.step(request_id, index)
            if row is None:
                return None
            return self._tables.put_step(replace(row, arrivals=row.arrivals + count))

    def _won(self, request: Request) -> Write[Request]:
        return Write(True, self._tables.put_request(request))


def _full_second(moment: datetime) -> datetime:
    """Round up to a full second, as DynamoDB's time to live does."""
    return (moment + timedelta(microseconds=999_999)).replace(microsecond=0)


def _numbers_of(request: Request) -> tuple[int, int]:
    return request.generation, request.execution


def _progress_of(request: Request) -> tuple[RequestStatus, tuple[int, int], datetime | None]:
    return request.status, _numbers_of(request), request.due_at


def _end_of(step: Step) -> tuple[datetime | None, dict[str, int]]:
    return step.completed_at, step.counts


def _plan_of(step: Step) -> tuple[str, int, datetime]:
    return step.name, step.job_count, step.started_at
