"""What counts as JSON everywhere: in what clients send, and in what jobs return."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from shiftwork_core.domain.payloads import Json

MAX_DEPTH = 32
#: JSON has no bound on integers; every store and client we know agrees on 64 bits.
INT_BOUND = 2**63

TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep"
NOT_A_NUMBER = "JSON has no NaN and no Infinity"
_BROKEN = "the text is not Unicode: half a surrogate pair"
_OUT_OF_RANGE = "the number is out of range"
_CONTAINERS = (dict, list, tuple)


@dataclass(frozen=True, slots=True)
class JsonFault:
    """Where a value is not JSON as we take it, and why."""

    path: str
    message: str


class _Place(NamedTuple):
    """Where a list or an object is: it shares its path, since there may be millions of them."""

    depth: int = 0
    key: Any = None
    parent: _Place | None = None

    def path(self, *key: Any) -> list[Any]:
        """Return the path from the root, or that of what is there under the key."""
        parts, place = list(key), self
        while place.parent is not None:
            parts.append(place.key)
            place = place.parent
        return parts[::-1]


def faults_in(root: Json) -> Iterator[JsonFault]:
    """Yield the faults of a value: what is not JSON, nested too deep, or out of bounds.

    It walks without recursion, and ends at what is nested too deep.
    """
    if not isinstance(root, _CONTAINERS):
        if fault := _fault_of(root):
            yield JsonFault("", fault)
        return
    open_: list[tuple[Any, _Place]] = [(root, _Place(1))]
    while open_:
        container, place = open_.pop()
        below: Iterable[tuple[Any, Any]] = enumerate(container)
        if isinstance(container, dict):
            yield from _faults_of_keys(container, place)
            below = container.items()
        for key, value in below:
            has_parts = isinstance(value, _CONTAINERS)
            if fault := None if has_parts else _fault_of(value):
                # Only for a fault a path is made up.
                yield JsonFault(path_to(place.path(key)), fault)
            elif has_parts and place.depth == MAX_DEPTH:
                yield JsonFault(path_to(place.path(key)[:3]), TOO_DEEP)
                return
            elif has_parts and value:
                open_.append((value, _Place(place.depth + 1, key, place)))


def _faults_of_keys(container: Iterable[object], place: _Place) -> Iterator[JsonFault]:
    for key in container:
        if fault := _fault_of_key(key):
            yield JsonFault(path_to(place.path()), fault)


def _fault_of_key(key: object) -> str | None:
    if not isinstance(key, str):
        return f"a key is {type(key).__name__}, and not text"
    return _BROKEN if is_broken(key) else None


def _fault_of(value: object) -> str | None:
    """Return why a value without parts is not JSON as we take it, None if it is."""
    match value:
        case None | bool():
            return None
        case str():
            return _BROKEN if is_broken(value) else None
        case int():
            return None if -INT_BOUND <= value < INT_BOUND else _OUT_OF_RANGE
        case float():
            if math.isnan(value):
                return NOT_A_NUMBER
            return _OUT_OF_RANGE if math.isinf(value) else None
        case _:
            return f"JSON has no {type(value).__name__}"


def is_broken(text: str) -> bool:
    """Whether the text has half a surrogate pair, which JSON can escape and UTF-8 cannot write."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def path_to(place: Iterable[Any]) -> str:
    """Return a place in a value as `steps[0].jobs[1].type`."""
    path = ""
    for part in place:
        path += f"[{part}]" if isinstance(part, int) else f".{str(part)[:100]}"
    return path.removeprefix(".")
