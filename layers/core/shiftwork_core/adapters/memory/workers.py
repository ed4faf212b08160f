"""Records of workers, and tokens that are used up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from shiftwork_core.adapters.memory.tables import Index, MemoryTables
from shiftwork_core.domain.workers.workers import Worker
from shiftwork_core.ports.stores import Write
from shiftwork_core.ports.workers import TokenStore, WorkerStore


class MemoryWorkerStore(WorkerStore):
    """Records of workers."""

    def __init__(self, tables: MemoryTables, index: Index | None = None) -> None:
        self._tables = tables
        self._index: Index = index or (lambda: tables)

    def get(self, worker_id: str) -> Worker | None:
        """Read a record."""
        with self._tables.lock:
            return self._tables.workers.get(worker_id)

    def save(self, worker: Worker) -> Write[Worker | None]:
        """Write the record if its row's revision is still the one seen."""
        written = replace(worker, revision=worker.revision + 1)
        with self._tables.lock:
            row = self._tables.workers.get(worker.worker_id)
            if (0 if row is None else row.revision) != worker.revision:
                return Write(row == written, row)
            self._tables.workers[worker.worker_id] = written
            return Write(True, written)

    def delete(self, worker: Worker) -> bool:
        """Delete the record if its row's revision is still the one seen."""
        with self._tables.lock:
            row = self._tables.workers.get(worker.worker_id)
            if row is not None and row.revision != worker.revision:
                return False
            self._tables.workers.pop(worker.worker_id, None)
            return True

    def all(self) -> Iterator[Worker]:
        """Read every record, by worker id."""
        with self._tables.lock:
            rows = sorted(self._tables.workers.items())
        yield from (row for _, row in rows)

    def watched(self, before: datetime, limit: int) -> list[str]:
        """List workers that a sweep is to look at before a time."""
        return [worker_id for at, worker_id in self._index().by_liveness() if at < before][:limit]


class MemoryTokenStore(TokenStore):
    """Tokens that are used up."""

    def __init__(self, tables: MemoryTables) -> None:
        self._tables = tables

    def use(self, token_id: str, user: str, expires_at: datetime) -> bool:
        """Record the use unless somebody else has."""
        with self._tables.lock:
            return self._tables.used_tokens.setdefault(token_id, user) == user
