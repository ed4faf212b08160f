"""Store counters in memory, and read the rows of which something is counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from threading import RLock

from shiftwork_core.adapters.memory.tables import MemoryTables
from shiftwork_core.domain.metrics.counters import Additions, Tally, merge
from shiftwork_core.domain.metrics.happened import Row
from shiftwork_core.domain.requests.records import Attempt, Request, Step
from shiftwork_core.domain.workspaces.records import LifecycleJob
from shiftwork_core.ports.metrics import (
    MAX_ROWS,
    CountedTables,
    CounterState,
    CounterStore,
    Progress,
    Scanned,
    Table,
)


class MemoryCounterStore(CounterStore):
    """Counters, and how far the streams are counted."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._state: CounterState | None = None
        self._counted_with: dict[tuple[Table, str], Sequence[str]] = {}
        self._progress: dict[Table, Progress] = {}
        self._counted = Additions()
        self._types: set[str] = set()

    def state(self) -> CounterState | None:
        return self._state

    def save_state(self, state: CounterState) -> bool:
        with self._lock:
            saved = replace(state, revision=state.revision + 1)
            if saved == self._state:
                return True
            if state.revision != (0 if self._state is None else self._state.revision):
                return False
            self._state = saved
            return True

    def counted_with(self, table: Table, first: str) -> Sequence[str] | None:
        return self._counted_with.get((table, first))

    def count(
        self,
        table: Table,
        records: Sequence[str],
        additions: Additions,
        now: datetime,
    ) -> bool:
        assert additions.size <= MAX_ROWS
        with self._lock:
            if (table, records[0]) in self._counted_with:
                return False
            self._counted_with[table, records[0]] = tuple(records)
            self._add(additions)
            return True

    def keep_counted(self, table: Table, records: Sequence[str], now: datetime) -> None:
        self._counted_with.setdefault((table, records[0]), tuple(records))

    def save_progress(self, progress: Progress) -> None:
        with self._lock:
            saved = self._progress.get(progress.table, progress)
            self._progress[progress.table] = max(saved, progress, key=lambda p: p.counted_to)

    def progress(self) -> list[Progress]:
        return list(self._progress.values())

    def add(self, additions: Additions, now: datetime) -> None:
        with self._lock:
            self._add(additions)

    def _add(self, additions: Additions) -> None:
        for epoch, tally in additions.totals.items():
            merge(self._counted.totals.setdefault(epoch, {}), tally)
        for minute, tally in additions.minutes.items():
            merge(self._counted.minutes.setdefault(minute, {}), tally)

    def totals(self, epoch: int) -> Tally:
        totals: Tally = {}
        merge(totals, self._counted.totals.get(epoch, {}))
        return totals

    def minutes(self, since: datetime, until: datetime) -> dict[datetime, Tally]:
        series = self._counted.minutes.items()
        return {minute: tally for minute, tally in series if since <= minute < until}

    def named_types(self, wanted: str, most: int) -> frozenset[str]:
        with self._lock:
            if len(self._types) < most:
                self._types.add(wanted)
            return frozenset(self._types)

    def count_rows(self, state: CounterState, additions: Additions, now: datetime) -> bool:
        assert additions.size <= MAX_ROWS
        with self._lock:
            before = self._state
            if not self.save_state(state):
                return False
            if self._state != before:  # Else this is the second sending.
                self._add(additions)
            return True

    def drop(self, epoch: int, most: int) -> bool:
        with self._lock:
            totals = self._counted.totals.get(epoch, {})
            for key in list(totals)[:most]:
                del totals[key]
            return not totals


class MemoryCountedTables(CountedTables):
    """The tables of requests, jobs and lifecycle jobs. They have no streams, so nothing beats."""

    def __init__(self, tables: MemoryTables) -> None:
        self._tables = tables

    def send_beats(self, now: datetime) -> None:
        pass

    def scan(self, table: Table, after: Mapping[str, str] | None) -> Iterator[Scanned]:
        rows = sorted(self._rows(table), key=lambda scanned: tuple(scanned.key.values()))
        for scanned in rows:
            if after is None or tuple(scanned.key.values()) > tuple(after.values()):
                yield scanned

    def _rows(self, table: Table) -> list[Scanned]:
        tables = self._tables
        with tables.lock:
            match table:
                case Table.REQUESTS:
                    steps = (step for rows in tables.steps.values() for step in rows.values())
                    return [*map(_scanned, tables.requests.values()), *map(_scanned, steps)]
                case Table.JOBS:
                    return [_scanned(a) for rows in tables.attempts.values() for a in rows.values()]
                case Table.LIFECYCLE_JOBS:
                    return [*map(_scanned, tables.lifecycle_jobs.values())]


def _scanned(row: Row) -> Scanned:
    match row:
        case Request():
            return Scanned({"request_id": row.request_id, "part": "request"}, row)
        case Step():
            return Scanned({"request_id": row.request_id, "part": f"step#{row.index:04d}"}, row)
        case Attempt():
            return Scanned({"request_id": row.request_id, "key": str(row.key)}, row)
        case LifecycleJob():
            return Scanned({"id": row.id}, row)
