"""Manifests in parts: JSON lines that a request keeps itself, as results of a step before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shiftwork_core.domain.payloads import Json, JsonObject
from shiftwork_core.domain.requests.manifests.places import ManifestFault

#: A part is written once it has so many bytes.
PART_BYTES = 8 * 1024 * 1024
#: So many parts are one manifest at most: a planner reads all of them.
MAX_PARTS = 256


@dataclass(frozen=True, slots=True)
class Part:
    """Some bytes that are kept with a request, and how many they are."""

    ref: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of a part, from `start` to before `end`."""

    ref: str
    start: int
    end: int


def parts_to_json(parts: Sequence[Part], count: int) -> JsonObject:
    """Return what a step's results lie in, as extras hold it; they have so many lines."""
    return {"parts": [[part.ref, part.size_bytes] for part in parts], "count": count}


def parts_of(value: Json) -> tuple[Part, ...] | None:
    """Return the parts that a value names; None if it names no parts at all.

    Raises
    ------
    ManifestFault
        If they are none, or too many.
    """
    match value:
        case {"parts": list(named)}:
            pass
        case _:
            return None
    if len(named) > MAX_PARTS:
        raise ManifestFault(f"it names {len(named):,} parts: {MAX_PARTS} are the most")
    return tuple(map(_part_of, named))


def _part_of(named: Json) -> Part:
    match named:
        case [str(ref), int(size)] if 0 < size <= 2 * PART_BYTES:
            return Part(ref, size)
    raise ManifestFault(
        f"{repr(named)[:200]} is no part of a manifest: name what a step before has collected, as"
        " it stands in the extras"
    )


def pieces_between(parts: Sequence[Part], start: int, end: int) -> Iterator[Piece]:
    """Yield where the bytes lie from `start` to before `end` of all parts together."""
    first = 0
    for part in parts:
        begin, stop = max(start - first, 0), min(end - first, part.size_bytes)
        if begin < stop:
            yield Piece(part.ref, begin, stop)
        first += part.size_bytes
