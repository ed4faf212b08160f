"""Decode JSON of unknown origin, such that `json_bounds.faults_in` finds what is out of bounds."""

from __future__ import annotations

import json
import math

from shiftwork_core.domain.json_bounds import INT_BOUND
from shiftwork_core.domain.payloads import Json, JsonObject

_INT_DIGITS = 19


class NotJson(ValueError):
    """A text is not JSON, or an object in it has a key twice."""


def decoded(text: str, name: str) -> Json:
    """Return the value in the text, not yet checked for faults.

    What is NaN or infinite in the text is NaN in the value, and an integer out of bounds is
    infinite: so the place of each is found.

    Parameters
    ----------
    name:
        What messages call the text.

    Raises
    ------
    NotJson
        If it cannot be read, or an object has a key twice.
    RecursionError
        If it is nested too deep to be read.
    """
    try:
        return json.loads(
            text,
            object_pairs_hook=_unique_keys,
            parse_constant=lambda constant: math.nan,
            parse_int=_bounded_int,
        )
    except json.JSONDecodeError as error:
        raise NotJson(
            f"{name} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from error
    except _Twice as error:
        raise NotJson(f"an object of {name} has the key {error.key[:100]!r} twice") from error


class _Twice(Exception):
    """An object has a key twice."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _unique_keys(pairs: list[tuple[str, Json]]) -> JsonObject:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        raise _Twice(next(key for key, _ in pairs if key in seen or seen.add(key)))  # type: ignore[func-returns-value]
    return found


def _bounded_int(digits: str) -> int | float:
    """Return the integer, or infinity for one out of bounds."""
    if len(digits.lstrip("-")) > _INT_DIGITS:
        return math.inf
    value = int(digits)
    return value if -INT_BOUND <= value < INT_BOUND else math.inf
