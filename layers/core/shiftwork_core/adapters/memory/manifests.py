"""Manifests in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from shiftwork_core.domain.requests.manifests.places import ManifestFault, Place
from shiftwork_core.ports.manifests import Found, ManifestSource

_PIECE_BYTES = 1024 * 1024


class MemoryManifestSource(ManifestSource):
    """Objects that `put` has stored. The etag is made of the content alone, as S3's mostly is."""

    def __init__(self) -> None:
        self._objects: dict[Place, bytes] = {}
        self._found: dict[Place, Found] = {}

    def put(self, place: Place, content: bytes) -> None:
        """Store an object, in place of one that is there."""
        self._objects[place] = content
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
        self._found[place] = Found(len(content), f'"{digest}"')

    def look(self, place: Place) -> Found:
        if place not in self._found:
            raise ManifestFault(f"{place}: there is no such object")
        return self._found[place]

    def stream(self, place: Place, etag: str, start: int) -> Iterator[bytes]:
        content = self._pinned(place, etag)
        for begin in range(start, len(content), _PIECE_BYTES):
            yield content[begin : begin + _PIECE_BYTES]

    def read(self, place: Place, etag: str, start: int, end: int) -> bytes:
        if start >= end:
            return b""
        content = self._pinned(place, etag)
        if end > len(content):
            raise ManifestFault(f"{place}: it ends before byte {end:,}")
        return content[start:end]

    def _pinned(self, place: Place, etag: str) -> bytes:
        if self.look(place).etag != etag:
            raise ManifestFault(f"{place}: it was written again: submit a new request")
        return self._objects[place]
