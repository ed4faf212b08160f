"""What a schema may say: patterns that RE2 takes, and not more subschemas than a check affords.

References are followed within the document only. Those that lead elsewhere are faults of another
kind, and are never fetched.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from shiftwork_core.adapters.schemas.patterns import MAX_PATTERNS, pattern_fault
from shiftwork_core.domain.payloads import Json, JsonObject

#: Those that are written in a schema.
MAX_SUBSCHEMAS = 2000
#: Those that one value may have to fit, with each reference's target counted in its place.
MAX_APPLIED = 1000
#: How deep those may be nested. Checking a level takes some five frames of Python's stack.
MAX_APPLIED_DEPTH = 64

REFERENCES = ("$ref", "$dynamicRef")
#: Keywords with one schema, a list of them, or an object of them; first those whose schemas apply
#: to the same value, then those that apply to a part of it.
_SAME = {
    **dict.fromkeys(("not", "if", "then", "else"), "one"),
    **dict.fromkeys(("allOf", "anyOf", "oneOf"), "list"),
    "dependentSchemas": "object",
}
_PART = {
    **dict.fromkeys(
        (
            "additionalProperties",
            "contains",
            "contentSchema",
            "items",
            "propertyNames",
            "unevaluatedItems",
            "unevaluatedProperties",
        ),
        "one",
    ),
    "prefixItems": "list",
    **dict.fromkeys(("$defs", "definitions", "patternProperties", "properties"), "object"),
}

Place = tuple[str | int, ...]
_ROOT: Place = ()
Lookup = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong at a place within a value."""

    place: Place
    message: str


@dataclass(slots=True)
class _Subschema:
    """A subschema, and the identities of those that apply to the same value."""

    place: Place
    schema: JsonObject
    same: list[int] = field(default_factory=list)


def without_id(schema: JsonObject) -> JsonObject:
    """Return the schema without its `$id`: no reference can use it, and to join it takes time."""
    return {keyword: value for keyword, value in schema.items() if keyword != "$id"}


def registry_of(schema: JsonObject) -> Registry[Any]:
    """Return a registry of the schema alone, which fetches nothing and finds anchors at once."""
    resource = DRAFT202012.create_resource(schema)
    registry: Registry[Any] = Registry().with_resource("", resource)
    return registry.crawl()


def lookup_in(schema: JsonObject) -> Lookup:
    """Return what finds the target of a reference in the schema, which has no `$id`."""
    return registry_of(schema).resolver().lookup


def id_faults(schema: JsonObject) -> Iterator[Fault]:
    """Yield where a part of a schema has an `$id`: its references would lead elsewhere.

    Nothing may look anything up in such a schema. Each of its ids is joined with those around it,
    and that again for each value; what takes a step would take as long as they are.
    """
    yield from _id_faults(_written(deque([(_ROOT, schema)]), {}))


def _id_faults(found: Iterable[_Subschema]) -> Iterator[Fault]:
    for each in found:
        if each.place and isinstance(each.schema.get("$id"), str):
            yield Fault((*each.place, "$id"), "only the whole schema has an $id; leave it out")


def bounds_faults(schema: JsonObject) -> Iterator[Fault]:
    """Yield where a schema is out of bounds; it may be none at all, which is no fault here."""
    schema = without_id(schema)
    hidden = list(id_faults(schema))
    if hidden:
        yield from hidden
        return
    found = _subschemas(schema)
    if len(found) > MAX_SUBSCHEMAS:
        yield Fault((), f"a schema has at most {MAX_SUBSCHEMAS:,} subschemas")
        return
    yield from _id_faults(found.values())  # Also those that only a reference leads to.
    yield from _pattern_faults(found)
    for each in found.values():
        if each.place and isinstance(each.schema.get("$schema"), str):
            yield Fault((*each.place, "$schema"), "the whole schema has one dialect; leave it out")
    yield from _nesting_faults(found)


def _pattern_faults(found: dict[int, _Subschema]) -> Iterator[Fault]:
    seen: set[str] = set()
    for each in found.values():
        for place, pattern in _patterns(each):
            if len(seen) == MAX_PATTERNS and pattern not in seen:
                yield Fault(place, f"a schema has at most {MAX_PATTERNS} different patterns")
                return
            seen.add(pattern)
            if message := pattern_fault(pattern):
                yield Fault(place, message)


def _patterns(each: _Subschema) -> Iterator[tuple[Place, str]]:
    pattern, names = each.schema.get("pattern"), each.schema.get("patternProperties")
    if isinstance(pattern, str):
        yield (*each.place, "pattern"), pattern
    if isinstance(names, dict):
        yield from (((*each.place, "patternProperties", name), name) for name in names)


def _nesting_faults(found: dict[int, _Subschema]) -> Iterator[Fault]:
    """Yield where more subschemas apply to one value than may, or would without end."""
    try:
        order = list(TopologicalSorter({k: each.same for k, each in found.items()}).static_order())
    except CycleError as error:
        place = min((found[key].place for key in error.args[1]), key=len)
        yield Fault(place, "it refers to itself for the same value, without end")
        return
    counts: dict[int, int] = {}
    depths: dict[int, int] = {}
    for key in order:
        same = found[key].same
        counts[key] = 1 + sum(counts[other] for other in same)
        depths[key] = 1 + max((depths[other] for other in same), default=0)
        if counts[key] > MAX_APPLIED >= max((counts[other] for other in same), default=0):
            message = f"more than {MAX_APPLIED:,} subschemas apply to one value"
            yield Fault(found[key].place, f"{message}, counted through its references")
        elif depths[key] == MAX_APPLIED_DEPTH + 1:
            message = f"subschemas for one value are nested more than {MAX_APPLIED_DEPTH} deep"
            yield Fault(found[key].place, f"{message}, counted through their references")


def _subschemas(root: JsonObject) -> dict[int, _Subschema]:
    """Return the subschemas that are objects, by identity; some more than may be, if there are."""
    found: dict[int, _Subschema] = {}
    lookup = lookup_in(root)
    open_ = deque([(_ROOT, root)])
    while open_:
        # All that is written is found first: its place says more than that of a reference to it.
        referring = [(e, *t) for e in list(_written(open_, found)) for t in _targets(e, lookup)]
        for each, place, target in referring:
            each.same.append(id(target))
            open_.append((place, target))
        if len(found) > MAX_SUBSCHEMAS:
            break
    return found


def _written(
    open_: deque[tuple[Place, JsonObject]], found: dict[int, _Subschema]
) -> Iterator[_Subschema]:
    """Add the schemas and what is written within them to those found, and yield what is new."""
    while open_ and len(found) <= MAX_SUBSCHEMAS:
        place, schema = open_.popleft()
        if id(schema) in found:
            continue
        each = found[id(schema)] = _Subschema(place, schema)
        for below, child, is_same in _children(schema):
            if is_same:
                each.same.append(id(child))
            open_.append(((*place, *below), child))
        yield each


def _children(schema: JsonObject) -> Iterator[tuple[Place, JsonObject, bool]]:
    for keyword, shape in (_SAME | _PART).items():
        value = schema.get(keyword)
        entries: Iterator[tuple[Place, Json]] = iter(())
        if shape == "one":
            entries = iter([((keyword,), value)])
        elif shape == "list" and isinstance(value, list):
            entries = (((keyword, index), each) for index, each in enumerate(value))
        elif shape == "object" and isinstance(value, dict):
            entries = (((keyword, name), each) for name, each in value.items())
        for place, child in entries:
            if isinstance(child, dict):
                yield place, child, keyword in _SAME


def _targets(each: _Subschema, lookup: Lookup) -> Iterator[tuple[Place, JsonObject]]:
    for keyword in REFERENCES:
        reference = each.schema.get(keyword)
        if isinstance(reference, str) and reference.startswith("#"):
            target = target_of(lookup, reference)
            if isinstance(target, dict):
                yield (*each.place, keyword), target


def target_of(lookup: Lookup, reference: str) -> Json:
    """Return what is at a reference within the document, None if nothing is."""
    try:
        return lookup(reference).contents
    # The last two: its path leads through a number, or through a list by a name.
    except (Unresolvable, TypeError, ValueError):
        return None
