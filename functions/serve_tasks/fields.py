"""Check the fields of what clients send: one function for each type.

A reader returns the value, or raises a ValueError that says what the value must be.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, TypeVar

from shiftwork_core.domain.names import KEY_SEPARATOR, line_fault, name_fault
from shiftwork_core.domain.payloads import Json, JsonObject
from shiftwork_core.errors import FaultAt, Invalid
from shiftwork_core.json_input import summarise

#: Longer numbers are beyond any bound.
_DIGITS = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,9})?")

T = TypeVar("T")


def check(path: str, value: Any, read: Callable[[Any], T]) -> T:
    """Return the value at `path` as `read` converts it.

    Raises
    ------
    Invalid
        With the message of the ValueError that `read` raises.
    """
    try:
        return read(value)
    except ValueError as error:
        raise fault_at(path, str(error)) from error


def fault_at(path: str, message: str) -> Invalid:
    """Return the error that names one fault of the input."""
    fault = FaultAt(path, message)
    return Invalid(summarise([fault]), [fault])


def short_text(value: Any) -> str | None:
    """Return one line of text; None for none."""
    return _checked(value, line_fault)


def optional_name(value: Any) -> str | None:
    """Return a name or an id; None for none."""
    return _checked(value, name_fault)


def name(value: Any) -> str:
    """Return a name or an id, which must not be missing."""
    text = optional_name(value)
    if text is None:
        raise ValueError("is required")
    return text


def queue(value: Any) -> str:
    """Return the name of a queue: a type, or `<type>#<domain>`."""
    parts = value.split(KEY_SEPARATOR, 1) if isinstance(value, str) else [value]
    return KEY_SEPARATOR.join(map(name, parts))


def _checked(value: Any, fault_of: Callable[[str], str | None]) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise ValueError("must be a text")
    if fault := fault_of(value):
        raise ValueError(fault)
    return value


def long_text(value: Any) -> str:
    """Return a text of any length, empty for none."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError("must be a text")
    return value


def map_of_json(value: Any) -> JsonObject:
    """Return a JSON object, empty for none."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError("must be an object")
    return value


def list_of_json(value: Any) -> list[Json]:
    """Return a JSON array, empty for none."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise ValueError("must be an array")
    return value


def boolean(value: Any) -> bool:
    """Return true or false, false for none."""
    if value is not None and not isinstance(value, bool):
        raise ValueError("must be true or false")
    return bool(value)


def number_in(value: Any) -> Any:
    """Return the number if the value is one in digits, as text; else the value itself.

    Conductor's server takes such texts for its numbers, and some of its clients send them.
    """
    if not isinstance(value, str) or not _DIGITS.fullmatch(value):
        return value
    return float(value) if "." in value else int(value)


def number_from(low: float, high: float) -> Callable[[Any], float]:
    """Return the reader of a number within bounds, `low` for none."""

    def read(value: Any) -> float:
        if value is None:
            return low
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or not low <= value <= high:
            raise ValueError(f"must be a number from {low:,} to {high:,}")
        return float(value)

    return read
