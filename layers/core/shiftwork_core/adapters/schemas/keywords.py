"""The validator: jsonschema's keywords, each for the steps it takes.

Some keywords are our own: those that run patterns, and those whose time grows with the square of
the value.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from shiftwork_core.adapters.schemas.meter import Meter, current
from shiftwork_core.adapters.schemas.patterns import matches
from shiftwork_core.adapters.schemas.unevaluated import unevaluated_items, unevaluated_properties
from shiftwork_core.domain.payloads import Json

_MAX_MESSAGE_LENGTH = 300

_Keyword = Callable[[Any, Any, Any, Any], Iterable[ValidationError] | None]

#: Keywords that look at each entry of the value, and those that compare it with all that they have.
_OVER_THE_VALUE = frozenset(
    {
        "additionalProperties",
        "contains",
        "items",
        "patternProperties",
        "prefixItems",
        "propertyNames",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
_COMPARING = frozenset({"const", "dependentRequired", "enum"})
#: Keywords that try each of their schemas, and those that pick some by the value's names.
_BRANCHING = frozenset({"allOf", "anyOf", "not", "oneOf", "if"})
_BY_NAME = frozenset({"dependentSchemas", "properties"})


def _pattern(validator: Any, pattern: str, value: Any, schema: Any) -> Iterator[ValidationError]:
    if validator.is_type(value, "string") and not matches(pattern, value):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


def _pattern_properties(
    validator: Any, patterns: Any, value: Any, schema: Any
) -> Iterator[ValidationError]:
    if not validator.is_type(value, "object"):
        return
    for pattern, subschema in patterns.items():
        for name, each in value.items():
            if matches(pattern, name):
                yield from validator.descend(each, subschema, path=name, schema_path=pattern)


def _additional_properties(
    validator: Any, rest: Any, value: Any, schema: Any
) -> Iterator[ValidationError]:
    if not validator.is_type(value, "object"):
        return
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    extra = [n for n in value if n not in known and not any(matches(p, n) for p in patterns)]
    if isinstance(rest, dict):
        for name in extra:
            yield from validator.descend(value[name], rest, path=name)
    elif extra and not rest:
        names = ", ".join(map(repr, sorted(extra)))
        verb = "was" if len(extra) == 1 else "were"
        yield ValidationError(f"Additional properties are not allowed ({names} {verb} unexpected)")


def _unique_items(
    validator: Any, is_wanted: Any, value: Any, schema: Any
) -> Iterator[ValidationError]:
    if not is_wanted or not validator.is_type(value, "array"):
        return
    current().spend(current().weight_of(value) // 4)
    if len({_canonical(item) for item in value}) < len(value):
        yield ValidationError(f"{value!r} has non-unique elements")


def _canonical(value: Json) -> str:
    """Return a text that is the same for values that JSON Schema holds equal, as 1 and 1.0."""
    match value:
        case dict():
            entries = (f"{json.dumps(k)}:{_canonical(value[k])}" for k in sorted(value))
            return "{" + ",".join(entries) + "}"
        case list():
            return "[" + ",".join(map(_canonical, value)) + "]"
        case float() if value.is_integer():
            return str(int(value))
        case _:
            return json.dumps(value)


def _for_steps(name: str, check: _Keyword) -> _Keyword:
    """Return the keyword as one that takes steps before it looks, and for each fault it finds."""

    def check_for_steps(
        validator: Any, given: Any, value: Any, schema: Any
    ) -> Iterator[ValidationError]:
        meter = current()
        meter.spend(1 + _steps_of(name, given, value, meter))
        for error in check(validator, given, value, schema) or ():
            if not isinstance(error.validator, str):  # Found by this very keyword.
                # The message quotes them, and however long they are only a part is kept of it.
                meter.spend(2 + (meter.weight_of(value) + meter.weight_of(given)) // 16)
                error.message = shorten(error.message)
            meter.spend(1)
            yield error

    return check_for_steps


def _steps_of(name: str, given: Any, value: Any, meter: Meter) -> int:
    """Return the steps that a keyword takes for the sizes of what it was given and of the value.

    The schemas within it take their own, but for a schema that says nothing: that is a half.
    """
    given_length = len(given) if isinstance(given, (dict, list)) else 0
    value_length = len(value) if isinstance(value, (dict, list)) else 0
    if name in _OVER_THE_VALUE:
        return value_length // 2
    if name in _COMPARING:
        return meter.weight_of(given) // 4
    if name in _BRANCHING:
        return given_length or 1
    if name in _BY_NAME:
        return given_length // 16 + min(given_length, value_length) // 2
    if name == "$ref":
        return len(given) // 32
    return given_length // 16


def shorten(message: str) -> str:
    """Cut the middle: a message may quote a whole value, and its end says what is wrong."""
    if len(message) <= _MAX_MESSAGE_LENGTH:
        return message
    half = _MAX_MESSAGE_LENGTH // 2
    return f"{message[:half]} ... {message[-half:]}"


_OWN: dict[str, _Keyword] = {
    "additionalProperties": _additional_properties,
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "unevaluatedItems": unevaluated_items,
    "unevaluatedProperties": unevaluated_properties,
    "uniqueItems": _unique_items,
}

_CHECKS: dict[str, Any] = {**Draft202012Validator.VALIDATORS, **_OWN}
#: A validator that checks within the current meter.
MeteredValidator: Any = extend(  # type: ignore[no-untyped-call]  # Untyped in the stubs.
    Draft202012Validator, {name: _for_steps(name, check) for name, check in _CHECKS.items()}
)


def _evolve(self: Any, **changes: Any) -> Any:
    """Return a validator of another part of the schema: of this class, whatever `$schema` it names.

    jsonschema would pick the class of that dialect, which takes no steps.
    """
    kept = {
        "schema": self.schema,
        "format_checker": self.format_checker,
        "registry": self._registry,
        "_resolver": self._resolver,
    }
    return type(self)(**(kept | changes))


MeteredValidator.evolve = _evolve
