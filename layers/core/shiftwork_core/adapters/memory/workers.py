"""Store workers' records and used tokens in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from shiftwork_core.adapters.memory.tables import Index, MemoryTables
from shiftwork_core.domain.workers.workers import Worker
from shiftwork_core.ports.stores import Write
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
            return Write(True, written)

    def delete(self, worker: Worker) -> bool:
        with self._tables.lock:
            row = self._tables.workers.get(worker.worker_id)
            if row is not None and row.revision != worker.revision:
                return False
            self._tables.workers.pop(worker.worker_id, None)
            return True

    def all(self) -> Iterator[Worker]:
        with self._tables.lock:
            rows = sorted(self._tables.workers.items())
        yield from (row for _, row in rows)

    def watched(self, before: datetime, limit: int) -> list[str]:
        return [worker_id for at, worker_id in self._index().by_liveness() if at < before][:limit]


class MemoryTokenStore(TokenStore):
    """Used tokens."""

    def __init__(self, tables: MemoryTables) -> None:
        self._tables = tables

    def use(self, token_id: str, user: str, expires_at: datetime) -> bool:
        with self._tables.lock:
            return self._tables.used_tokens.setdefault(token_id, user) == user
