"""Store versions of definitions, and JSON too large for a row, in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from shiftwork_core.adapters.blob_keys import (
    MAX_ROW_BYTES,
    blob_key,
    is_key_of,
    places_of,
    row_ref,
)
from shiftwork_core.adapters.memory.tables import MemoryTables
from shiftwork_core.adapters.pages import newest_of, page_of
from shiftwork_core.domain.requests.definitions import Definition, Kind
from shiftwork_core.errors import NotFound
from shiftwork_core.ports.stores import DefinitionStore, Page
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

    def find(self, kind: Kind, limit: int, next_token: str | None) -> Page[Definition]:
        places = [row for row in self._places(kind) if row.name > (next_token or "")]
        is_wanted = newest_of(_name_of, lambda row: not row.is_deleted)
        return page_of(places, limit, _name_of, is_wanted)

    def latest(self, kind: Kind) -> Iterator[Definition]:
        yield from filter(newest_of(_name_of), self._places(kind))

    def _places(self, kind: Kind) -> list[Definition]:
        """Return all versions by name, the newest first."""
        with self._tables.lock:
            return [
                versions[version]
                for (of, _), versions in sorted(self._tables.definitions.items())
                if of is kind
                for version in sorted(versions, reverse=True)
            ]


def _name_of(row: Definition) -> str:
    return row.name


class MemoryBlobStore(BlobStore):
    """Texts under the references that DynamoDB and S3 have. None expires."""

    def __init__(self, tables: MemoryTables) -> None:
        self._tables = tables

    def put(self, request_id: str, text: str, days: int) -> str:
        body = text.encode()
        is_small = len(body) <= MAX_ROW_BYTES
        ref = row_ref(request_id, body) if is_small else blob_key(request_id, body, days)
        with self._tables.lock:
            self._tables.blobs[ref] = body
        return ref

    def publish(self, request_id: str, text: str, days: int) -> dict[str, str]:
        return {"bucket": "memory", "key": self.put(request_id, text, days)}

    def get(self, ref: str) -> str:
        with self._tables.lock:
            for key in places_of(ref):
                if key in self._tables.blobs:
                    return self._tables.blobs[key].decode()
        raise NotFound(f"there is no {ref!r}")

    def get_many(self, refs: Iterable[str]) -> Iterator[str]:
        return map(self.get, refs)

    def put_bytes(self, request_id: str, data: bytes, days: int) -> str:
        ref = blob_key(request_id, data, days, "part")
        with self._tables.lock:
            self._tables.blobs[ref] = data
        return ref

    def get_bytes(self, request_id: str, ref: str, start: int, end: int) -> bytes:
        with self._tables.lock:
            if not is_key_of(request_id, ref) or ref not in self._tables.blobs:
                raise NotFound(f"there is no {ref!r}")
            return self._tables.blobs[ref][start:end]

    def renew(self, request_id: str, until: datetime, days: int) -> bool:
        return True
