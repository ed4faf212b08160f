"""Unpack gzip as a stream, of which never more than a few megabytes are held."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from shiftwork_core.domain.requests.manifests.places import ManifestFault

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

#: The most that is unpacked of one manifest. Gzip packs a thousand to one, so the size of the
#: object says little; and nobody can begin in its middle.
MAX_UNPACKED_BYTES = 50_000_000_000
_PIECE_BYTES = 1024 * 1024


def gunzipped(pieces: Iterable[bytes], most_bytes: int = MAX_UNPACKED_BYTES) -> Iterator[bytes]:
    """Yield what gzip has packed, in pieces of at most 1 MB; several members follow each other.

    Raises
    ------
    ManifestFault
        If it is not gzip, is damaged or broken off, or unpacks to more than `most_bytes`.
    """
    unpacked = gzip.GzipFile(fileobj=io.BufferedReader(_PieceReader(pieces)))
    size = 0
    while piece := _read(unpacked):
        size += len(piece)
        if size > most_bytes:
            raise ManifestFault(
                f"the manifest unpacks to more than {most_bytes:,} bytes: split it into several"
            )
        yield piece


def _read(unpacked: gzip.GzipFile) -> bytes:
    try:
        return unpacked.read(_PIECE_BYTES)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ManifestFault(
            f"the manifest is not gzip, or is damaged ({error}): pack it and store it again"
        ) from error


class _PieceReader(io.RawIOBase):
    """A file of pieces, read once from the beginning to the end."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        super().__init__()
        self._pieces = iter(pieces)
        self._left = memoryview(b"")

    def readable(self) -> bool:
        """Return true."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill the buffer, or some of it; return how much, 0 at the end."""
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = memoryview(piece)
        target = memoryview(buffer)
        size = min(len(target), len(self._left))
        target[:size] = self._left[:size]
        self._left = self._left[size:]
        return size
