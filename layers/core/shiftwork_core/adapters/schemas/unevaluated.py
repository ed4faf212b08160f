"""The keywords `unevaluatedItems` and `unevaluatedProperties`.

jsonschema's own run patterns that may backtrack, and look each name up in a list.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jsonschema.exceptions import ValidationError

from shiftwork_core.adapters.schemas.bounds import REFERENCES
from shiftwork_core.adapters.schemas.meter import current
from shiftwork_core.adapters.schemas.patterns import matches


def unevaluated_items(
    validator: Any, rest: Any, value: Any, schema: Any
) -> Iterator[ValidationError]:
    """Yield a fault if an item that no other keyword looked at does not fit `rest`."""
    if validator.is_type(value, "array"):
        seen = set(_evaluated(validator, value, schema))
        left = [repr(item)[:100] for index, item in enumerate(value) if index not in seen]
        yield from _faults("items", left)


def unevaluated_properties(
    validator: Any, rest: Any, value: Any, schema: Any
) -> Iterator[ValidationError]:
    """Yield a fault if a property that no other keyword looked at does not fit `rest`."""
    if validator.is_type(value, "object"):
        seen = set(_evaluated(validator, value, schema))
        yield from _faults("properties", [repr(name) for name in value if name not in seen])


def _faults(what: str, left: list[str]) -> Iterator[ValidationError]:
    if left:
        verb = "was" if len(left) == 1 else "were"
        names = ", ".join(left[:10])
        yield ValidationError(f"Unevaluated {what} are not allowed ({names} {verb} unexpected)")


def _evaluated(validator: Any, value: Any, schema: Any) -> Iterator[str | int]:
    """Yield the names or indexes that the schema looked at, or that fit its `unevaluated...`."""
    current().spend(1 + len(value) // 16)
    if not isinstance(schema, dict):
        return
    for reference in REFERENCES:
        if reference in schema:
            found = validator._resolver.lookup(schema[reference])
            inner = validator.evolve(schema=found.contents, _resolver=found.resolver)
            yield from _evaluated(inner, value, found.contents)
    look = _names if isinstance(value, dict) else _indexes
    yield from look(validator, value, schema)
    for branch in _branches(validator, value, schema):
        yield from _evaluated(validator, value, branch)


def _names(validator: Any, value: Any, schema: Any) -> Iterator[str]:
    yield from schema.get("properties", {}).keys() & value.keys()
    for pattern in schema.get("patternProperties", ()):
        yield from (name for name in value if matches(pattern, name))
    for keyword in ("additionalProperties", "unevaluatedProperties"):
        if keyword in schema:
            rest = schema[keyword]
            yield from (name for name in value if _fits(validator, value[name], rest))


def _indexes(validator: Any, value: Any, schema: Any) -> Iterator[int]:
    if "items" in schema:
        yield from range(len(value))
    yield from range(len(schema.get("prefixItems", ())))
    for keyword in ("contains", "unevaluatedItems"):
        if keyword in schema:
            rest = schema[keyword]
            yield from (index for index, v in enumerate(value) if _fits(validator, v, rest))


def _branches(validator: Any, value: Any, schema: Any) -> Iterator[Any]:
    """Yield the schemas within this one that the value fits, of those that apply to it as well."""
    if isinstance(value, dict):
        dependent = schema.get("dependentSchemas", {})
        yield from (branch for name, branch in dependent.items() if name in value)
    for keyword in ("allOf", "oneOf", "anyOf"):
        yield from (b for b in schema.get(keyword, ()) if _fits(validator, value, b))
    if "if" in schema:
        if _fits(validator, value, schema["if"]):
            yield schema["if"]
            yield schema.get("then", True)
        else:
            yield schema.get("else", True)


def _fits(validator: Any, value: Any, schema: Any) -> bool:
    current().spend(1)
    return next(iter(validator.descend(value, schema)), None) is None
