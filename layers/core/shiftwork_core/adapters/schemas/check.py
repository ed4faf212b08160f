"""Check params against the JSON Schema of their request type."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Any

from jsonschema.exceptions import ValidationError, best_match
from referencing.exceptions import Unresolvable

from shiftwork_core.adapters.schemas.bounds import (
    Fault,
    bounds_faults,
    registry_of,
    without_id,
)
from shiftwork_core.adapters.schemas.keywords import MeteredValidator, shorten
from shiftwork_core.adapters.schemas.meter import MAX_CHECK_STEPS, metered
from shiftwork_core.domain.json_bounds import path_to
from shiftwork_core.domain.payloads import Json, JsonObject, to_json
from shiftwork_core.domain.requests.budgets import OverBudget
from shiftwork_core.errors import FaultAt

_MAX_FAULTS = 50
#: The search stops after so many faults; the most telling of them are named.
_MAX_SEARCH = 1000


def check_schema(schema: JsonObject, value: Json) -> list[FaultAt]:
    """Return the faults of `value`, the most telling first, at paths such as `.prefix` or `[0]`.

    A schema that was put before it had bounds, and is beyond them, is the one fault of any value.
    """
    validator, fault = _prepared(to_json(schema))
    if fault is not None:
        return [fault]
    try:
        with metered(MAX_CHECK_STEPS):
            found = named(validator.iter_errors(value))
    except OverBudget:
        message = f"to check them takes more than {MAX_CHECK_STEPS:,} steps of the type's schema"
        return [FaultAt("", f"{message}; send less, or make the schema simpler")]
    except Unresolvable as error:
        return [FaultAt("", f"the type's schema refers to {error.ref!r}, which is not in it")]
    except RecursionError:
        return [FaultAt("", "the type's schema and these params are nested too deep to check")]
    return [FaultAt(_dotted(f.place), f.message) for f in found]


def _dotted(place: tuple[str | int, ...]) -> str:
    path = path_to(place)
    return path if not path or path.startswith("[") else f".{path}"


@lru_cache(maxsize=64)
def _prepared(schema_text: str) -> tuple[Any, FaultAt | None]:
    """Return a validator for the schema, and why it must not be used, if so.

    It fetches nothing, and its registry is crawled, so that finding an anchor takes no search.
    """
    schema = without_id(json.loads(schema_text))
    fault = next(bounds_faults(schema), None)
    if fault is not None:
        place = path_to(fault.place) or "its root"
        message = f"the type's schema cannot be used, because of {place}: {fault.message}"
        return None, FaultAt("", f"{message}; put the type again without that")
    registry = registry_of(schema)
    return MeteredValidator(schema, registry=registry, _resolver=registry.resolver()), None


def named(errors: Iterator[ValidationError]) -> list[Fault]:
    """Name errors, the least nested first: what is wrong higher up often explains the rest.

    Of an `anyOf` it names the branch that fits best.
    """
    found = [best_match([error]) or error for error in islice(errors, _MAX_SEARCH)]
    found.sort(key=lambda error: len(error.absolute_path))
    return [Fault(tuple(e.absolute_path), shorten(e.message)) for e in found[:_MAX_FAULTS]]
