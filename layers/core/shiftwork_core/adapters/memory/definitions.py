"""Store versions of definitions, and JSON too large for a row, in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from shiftwork_core.adapters.memory.tables import MemoryTables
from shiftwork_core.domain.requests.definitions import Definition, Kind
from shiftwork_core.errors import NotFound
from shiftwork_core.ports.stores import DefinitionStore
from shiftwork_core.ports.world import BlobStore


class MemoryDefinitionStore(DefinitionStore):
    """Versions of request types and job types."""

    def __init__(self, tables: MemoryTables) -> None:
        self._tables = tables

    def put(self, definition: Definition) -> bool:
        with self._tables.lock:
            versions = self._tables.definitions.setdefault((definition.kind, definition.name), {})
            return versions.setdefault(definition.version, definition) == definition

    def get(self, kind: Kind, name: str, version: int | None = None) -> Definition | None:
        with self._tables.lock:
            versions = self._tables.definitions.get((kind, name), {})
            return versions.get(max(versions, default=0) if version is None else version)

    def latest(self, kind: Kind) -> Iterator[Definition]:
        with self._tables.lock:
            rows = sorted(self._tables.definitions.items())
        yield from (versions[max(versions)] for (of, _), versions in rows if of is kind)


class MemoryBlobStore(BlobStore):
    """Texts by the hash of their content."""

    def __init__(self, tables: MemoryTables) -> None:
        self._tables = tables

    def put(self, request_id: str, text: str) -> str:
        ref = f"requests/{request_id}/{hashlib.sha256(text.encode()).hexdigest()}.json"
        with self._tables.lock:
            self._tables.blobs[ref] = text
        return ref

    def get(self, ref: str) -> str:
        with self._tables.lock:
            if ref not in self._tables.blobs:
                raise NotFound(f"there is no {ref!r}")
            return self._tables.blobs[ref]

    def locate(self, ref: str) -> dict[str, str]:
        return {"bucket": "memory", "key": ref}
