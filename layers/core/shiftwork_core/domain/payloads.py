"""JSON values of a row: inline while small, by reference once large; and merging of extras."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

#: Any JSON value. Spelled out, it would be a recursive union that every caller has to narrow.
Json = Any
JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Payload:
    """A JSON value as text, or the reference under which the blob store keeps it."""

    text: str | None = None
    ref: str | None = None


def to_json(value: Json) -> str:
    """Return `value` as compact JSON text, the same for equal values.

    Raises
    ------
    ValueError
        If `value` is not JSON: NaN, a set, a key that is not text.
    """
    try:
        return json.dumps(
            value, separators=(",", ":"), sort_keys=True, allow_nan=False, ensure_ascii=False
        )
    except TypeError as error:
        raise ValueError(str(error)) from error


def merge_extras(extras: JsonObject, results: list[JsonObject]) -> JsonObject:
    """Return `extras` with each result merged over it, top-level key by key; the last one wins."""
    merged = dict(extras)
    for result in results:
        merged.update(result)
    return merged
