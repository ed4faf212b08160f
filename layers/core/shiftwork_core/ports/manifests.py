"""The port through which a step's items are read from a manifest, as bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from shiftwork_core.domain.requests.manifests.places import Place


@dataclass(frozen=True, slots=True)
class Found:
    """An object as it is now."""

    size_bytes: int
    #: Another one once the object is written again.
    etag: str


class ManifestSource(Protocol):
    """Objects that users have stored, which nobody may change while a request uses them.

    Every method raises

    - ManifestFault, where asking again changes nothing: there is no such object, it may not be
      read, or it is not the one that had the `etag`;
    - Transient, where asking again may help.
    """

    def look(self, place: Place) -> Found:
        """Return what is there now."""

    def stream(self, place: Place, etag: str, start: int) -> Iterator[bytes]:
        """Yield the object's bytes from `start` to its end, in pieces of at most 1 MB.

        A connection that is lost is replaced: each byte comes once, and in its order. Nothing is
        raised before the first piece is asked for. From the object's end on there is no piece.
        """

    def read(self, place: Place, etag: str, start: int, end: int) -> bytes:
        """Return all bytes from `start` to before `end`.

        Raises
        ------
        ManifestFault
            Also if the object ends before that.
        """
