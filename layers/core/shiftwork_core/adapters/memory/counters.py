"""Store counters in memory, and read the rows of which something is counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from threading import RLock

from shiftwork_core.adapters.memory.tables import MemoryTables
from shiftwork_core.domain.metrics.counters import Additions, Tally, merge
from shiftwork_core.domain.metrics.happened import Row
from shiftwork_core.ports.metrics import (
    MAX_ROWS,
    Batch,
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
        self._through: dict[Batch, str] = {}
        self._progress: dict[Table, Progress] = {}
        self._counted: dict[int, Additions] = {}

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

    def counted_through(self, batch: Batch) -> str | None:
        return self._through.get(batch)

    def count_batch(
        self,
        batch: Batch,
        seen: str | None,
        through: str,
        additions: Mapping[int, Additions],
        progress: Progress,
    ) -> bool:
        assert sum(len(added.rows()) for added in additions.values()) <= MAX_ROWS
        with self._lock:
            if self._through.get(batch) != seen:
                return False
            self._through[batch] = through
            self._progress[progress.table] = progress
            for epoch, added in additions.items():
                self._add(epoch, added)
            return True

    def save_progress(self, progress: Progress) -> None:
        self._progress[progress.table] = progress

    def progress(self) -> list[Progress]:
        return list(self._progress.values())

    def add(self, epoch: int, additions: Additions, now: datetime) -> None:
        with self._lock:
            self._add(epoch, additions)

    def _add(self, epoch: int, additions: Additions) -> None:
        counted = self._counted.setdefault(epoch, Additions())
        merge(counted.totals, additions.totals)
        for minute, tally in additions.minutes.items():
            merge(counted.minutes.setdefault(minute, {}), tally)

    def totals(self, epoch: int) -> Tally:
        totals: Tally = {}
        merge(totals, self._counted.get(epoch, Additions()).totals)
        return totals

    def minutes(self, epoch: int, since: datetime, until: datetime) -> dict[datetime, Tally]:
        counted = self._counted.get(epoch, Additions()).minutes
        return {minute: tally for minute, tally in counted.items() if since <= minute < until}

    def count_rows(self, state: CounterState, additions: Additions, now: datetime) -> bool:
        assert state.rebuild is not None
        assert len(additions.rows()) <= MAX_ROWS
        with self._lock:
            before = self._state
            if not self.save_state(state):
                return False
            if self._state != before:  # Else this is the second sending.
                self._add(state.rebuild.epoch, additions)
            return True

    def drop(self, epoch: int) -> None:
        with self._lock:
            self._counted.pop(epoch, None)


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

    def _rows(self, table: Table) -> Iterator[Scanned]:
        def scanned(row: Row, **key: str) -> Scanned:
            return Scanned(key, row)

        tables = self._tables
        with tables.lock:
            match table:
                case Table.REQUESTS:
                    for request_id, request in tables.requests.items():
                        yield scanned(request, request_id=request_id, part="request")
                    for request_id, steps in tables.steps.items():
                        for step in steps.values():
                            part = f"step#{step.index:04d}"
                            yield scanned(step, request_id=request_id, part=part)
                case Table.JOBS:
                    for request_id, attempts in tables.attempts.items():
                        for key, attempt in attempts.items():
                            yield scanned(attempt, request_id=request_id, key=str(key))
                case Table.LIFECYCLE_JOBS:
                    for job_id, job in tables.lifecycle_jobs.items():
                        yield scanned(job, id=job_id)
