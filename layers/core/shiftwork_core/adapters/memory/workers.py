"""Store workers' records and used tokens in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime

from shiftwork_core.adapters.memory.tables import Index, MemoryTables
from shiftwork_core.adapters.pages import page_of
from shiftwork_core.domain.put_offs import PutOff
from shiftwork_core.domain.workers.workers import Worker
from shiftwork_core.ports.shards import shard_of
from shiftwork_core.ports.stores import Page, Write
from shiftwork_core.ports.workers import TokenStore, WorkerStore


class MemoryWorkerStore(WorkerStore):
    """Workers' records."""

    def __init__(self, tables: MemoryTables, index: Index | None = None) -> None:
        self._tables = tables
        self._index: Index = index or (lambda: tables)

    def get(self, worker_id: str) -> Worker | None:
        with self._tables.lock:
            return self._tables.workers.get(worker_id)

    def save(self, worker: Worker) -> Write[Worker | None]:
        written = replace(worker, revision=worker.revision + 1)
        with self._tables.lock:
            row = self._tables.workers.get(worker.worker_id)
            if (0 if row is None else row.revision) != worker.revision:
                return Write(row == written, row)
            self._tables.workers[worker.worker_id] = written
            self._tables.put_offs.pop(("worker", worker.worker_id), None)
            return Write(True, written)

    def delete(self, worker: Worker) -> bool:
        with self._tables.lock:
            row = self._tables.workers.get(worker.worker_id)
            if row is not None and row.revision != worker.revision:
                return False
            self._tables.workers.pop(worker.worker_id, None)
            return True

    def find(
        self, is_wanted: Callable[[Worker], bool], limit: int, next_token: str | None
    ) -> Page[Worker]:
        ids = sorted(i for i in self._index().workers if i > (next_token or ""))
        with self._tables.lock:
            rows = [self._tables.workers[i] for i in ids if i in self._tables.workers]
        return page_of(rows, limit, lambda row: row.worker_id, is_wanted)

    def all(self) -> Iterator[Worker]:
        with self._tables.lock:
            rows = sorted(self._tables.workers.items())
        yield from (row for _, row in rows)

    def watched(self, before: datetime, shard: str | None = None) -> list[str]:
        return [
            worker_id
            for at, worker_id in self._index().by_liveness()
            if at < before and shard in (None, shard_of(worker_id))
        ]

    def put_off(self, worker_id: str, before: datetime) -> PutOff | None:
        with self._tables.lock:
            row = self._tables.workers.get(worker_id)
            if row is None:
                return None
            put_off = self._tables.put_off(("worker", worker_id), row.watch_at, before)
            if put_off is not None:
                self._tables.workers[worker_id] = replace(row, watch_at=put_off.until)
            return put_off


class MemoryTokenStore(TokenStore):
    """Used tokens."""

    def __init__(self, tables: MemoryTables) -> None:
        self._tables = tables

    def use(self, token_id: str, user: str, expires_at: datetime) -> bool:
        with self._tables.lock:
            return self._tables.used_tokens.setdefault(token_id, user) == user
