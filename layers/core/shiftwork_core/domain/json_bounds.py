"""What counts as JSON everywhere: in what clients send, and in what jobs return."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from shiftwork_core.domain.payloads import Json

MAX_DEPTH = 32
#: JSON has no bound on integers; every store and client we know agrees on 64 bits.
INT_BOUND = 2**63

TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep"
NOT_A_NUMBER = "JSON has no NaN and no Infinity"
_BROKEN = "the text is not Unicode: half a surrogate pair"
_OUT_OF_RANGE = "the number is out of range"

_Place = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class JsonFault:
    """Where a value is not JSON as we take it, and why."""

    path: str
    message: str


def faults_in(root: Json) -> Iterator[JsonFault]:
    """Yield the faults of a value: what is not JSON, nested too deep, or out of bounds.

    It walks without recursion, and ends at what is nested too deep.
    """
    open_: list[tuple[Any, _Place]] = [([root], ())]
    while open_:
        container, place = open_.pop()
        if isinstance(container, dict):
            yield from (fault for key in container for fault in _faults_of_key(key, place))
            entries: Any = container.items()
        else:
            entries = enumerate(container)
        for key, value in entries:
            if not isinstance(value, (dict, list, tuple)):
                yield from _faults_of(value, (*place, key))
            elif len(place) < MAX_DEPTH:
                open_.append((value, (*place, key)))
            else:
                yield JsonFault(path_to(place[1:4]), TOO_DEEP)
                return


def _faults_of_key(key: object, place: _Place) -> Iterator[JsonFault]:
    if not isinstance(key, str):
        yield JsonFault(path_to(place[1:]), f"a key is {type(key).__name__}, and not text")
    elif is_broken(key):
        yield JsonFault(path_to(place[1:]), _BROKEN)


def _faults_of(value: object, place: _Place) -> Iterator[JsonFault]:
    path = path_to(place[1:])
    match value:
        case None | bool():
            return
        case str():
            if is_broken(value):
                yield JsonFault(path, _BROKEN)
        case int():
            if not -INT_BOUND <= value < INT_BOUND:
                yield JsonFault(path, _OUT_OF_RANGE)
        case float():
            if math.isnan(value):
                yield JsonFault(path, NOT_A_NUMBER)
            elif math.isinf(value):
                yield JsonFault(path, _OUT_OF_RANGE)
        case _:
            yield JsonFault(path, f"JSON has no {type(value).__name__}")


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
