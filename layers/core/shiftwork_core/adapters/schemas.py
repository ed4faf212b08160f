"""Check params against the JSON Schema of their request type.

It needs the edge layer, and is slow to import.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from referencing import Registry
from referencing.exceptions import Unresolvable

from shiftwork_core.domain.json_bounds import path_to
from shiftwork_core.domain.payloads import Json, JsonObject, to_json
from shiftwork_core.errors import FaultAt

_MAX_FAULTS = 50
#: The search stops after so many faults; the most telling of them are named.
_MAX_SEARCH = 1000
_MAX_MESSAGE_LENGTH = 300


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong at a place within a value."""

    place: tuple[str | int, ...]
    message: str


def check_schema(schema: JsonObject, value: Json) -> list[FaultAt]:
    """Return the faults of `value`, the most telling first, at paths such as `.prefix` or `[0]`."""
    try:
        found = named(_validator(to_json(schema)).iter_errors(value))
    except Unresolvable as error:
        return [FaultAt("", f"the type's schema refers to {error.ref!r}, which is not in it")]
    except RecursionError:
        return [FaultAt("", "the type's schema refers to itself without end")]
    return [FaultAt(_dotted(f.place), f.message) for f in found]


def _dotted(place: tuple[str | int, ...]) -> str:
    path = path_to(place)
    return path if not path or path.startswith("[") else f".{path}"


@lru_cache(maxsize=64)
def _validator(schema_text: str) -> Draft202012Validator:
    """Build a validator that fetches nothing; the registry without `retrieve` sees to that."""
    return Draft202012Validator(json.loads(schema_text), registry=Registry())


def named(errors: Iterator[ValidationError]) -> list[Fault]:
    """Name errors, the least nested first: what is wrong higher up often explains the rest.

    Of an `anyOf` it names the branch that fits best.
    """
    found = [best_match([error]) or error for error in islice(errors, _MAX_SEARCH)]
    found.sort(key=lambda error: len(error.absolute_path))
    return [Fault(tuple(e.absolute_path), _shorten(e.message)) for e in found[:_MAX_FAULTS]]


def _shorten(message: str) -> str:
    """Cut the middle: a message may quote a whole value, and its end says what is wrong."""
    if len(message) <= _MAX_MESSAGE_LENGTH:
        return message
    half = _MAX_MESSAGE_LENGTH // 2
    return f"{message[:half]} ... {message[-half:]}"
