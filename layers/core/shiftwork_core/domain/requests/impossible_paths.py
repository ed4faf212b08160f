"""Find paths in a request type's expressions that no params can have, by the params' schema.

Only what is certain is found: a field that the schema rules out by `additionalProperties: false`, a
field of what is no object, a name at the root besides `params`, `extras` and `item`. Extras may be
submitted with any name, so nothing is said of them; nor where an expression has another to fall
back on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from shiftwork_core.domain.payloads import Json
from shiftwork_core.domain.requests.templates import expressions

#: Parses JMESPath: nodes are mappings with `type`, `children` and perhaps `value`.
Parse = Callable[[str], Any]
#: A request type has so many places that are looked at, and so many faults that are told.
_MAX_PLACES = 10_000
_MAX_FAULTS = 50
#: A schema that allows anything: what is not known.
_ANY: Mapping[str, Any] = {}
#: What may be null on purpose.
_TOLERANT = frozenset({"or_expression", "and_expression", "not_expression", "comparator", "expref"})
_TOLERANT_FUNCTIONS = frozenset({"not_null", "type", "to_array"})

Place = tuple[str | int, ...]


class Impossible(NamedTuple):
    """A path that is always empty, or seems misspelt: where its expression is, and why."""

    place: Place
    message: str
    #: The field that is not there, and the one that may be meant.
    name: str = ""
    close: str = ""


class _Miss(Exception):
    """A field cannot be where an expression looks for it; `known` are those that can."""

    def __init__(self, name: str, within: Mapping[str, Any], known: list[str]) -> None:
        super().__init__(name)
        self.name = name
        self.within = within
        self.known = known


def impossible_paths(
    schema: Mapping[str, Any], steps: list[Mapping[str, Any]], parse: Parse
) -> list[Impossible]:
    """Return the first faults of a request type's steps, whose expressions can all be parsed."""
    entries = (
        (("steps", s, "jobs", j), job)
        for s, step in enumerate(steps)
        for j, job in enumerate(step["jobs"])
    )
    seen = (one for place, job in entries for one in _seen(schema, place, job, parse))
    return list(islice(filter(None, islice(seen, _MAX_PLACES)), _MAX_FAULTS))


def misspelt_paths(
    schema: Mapping[str, Any], steps: list[Mapping[str, Any]], parse: Parse
) -> list[Impossible]:
    """Return paths to a field that the schema allows but does not name, though it names one alike.

    That is no fault: params may have the field.
    """
    return [
        one._replace(
            message=f"the schema of the params does not name {one.name!r}, "
            f"though it allows it; did you mean {one.close!r}?"
        )
        for one in impossible_paths(_closed(schema), steps, parse)
        if one.close
    ]


def _closed(schema: Any) -> Any:
    """Return a schema that allows no fields but those that it names, at any depth."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(part) for name, part in schema.items()}
    return {"additionalProperties": False, **closed} if "properties" in schema else closed


def _seen(
    schema: Mapping[str, Any], at: Place, job: Mapping[str, Any], parse: Parse
) -> Iterator[Impossible | None]:
    """Yield what is wrong with each expression of an entry; None: nothing is."""
    entry = _Entry(schema, parse)
    for place, expression, is_of_items in _expressions_of(job):
        yield entry.fault_of((*at, *place), expression, has_item=not is_of_items)


def _expressions_of(job: Mapping[str, Any]) -> Iterator[tuple[Place, str, bool]]:
    """Yield each expression of an entry with its place, and whether it makes the entry's items."""
    for name in ("for_each", "for_each_in"):
        if job.get(name) is not None:
            yield (name,), job[name], True
    yield from ((("params", *place), one, False) for place, one in _in(job.get("params")))


def _in(template: Json) -> Iterator[tuple[Place, str]]:
    if isinstance(template, str):
        yield from (((), expression) for expression in expressions(template))
    elif isinstance(template, (dict, list)):
        pairs = template.items() if isinstance(template, dict) else enumerate(template)
        for key, value in pairs:
            yield from (((key, *place), expression) for place, expression in _in(value))


class _Entry:
    """What the expressions of an entry see."""

    def __init__(self, schema: Mapping[str, Any], parse: Parse) -> None:
        self._parse = parse
        self._given: dict[str, Any] = {"params": {"type": "object", **schema}, "extras": _ANY}
        self._item: Mapping[str, Any] = _ANY

    def fault_of(self, place: Place, expression: str, *, has_item: bool) -> Impossible | None:
        """Return why the expression yields nothing, whatever the params are; None if it may.

        The one that makes the items comes before those that see an item.
        """
        fields = self._given | ({"item": self._item} if has_item else {})
        root = {"type": "object", "properties": fields, "additionalProperties": False}
        try:
            shape = _shape(self._parse(expression), root)
        except _Miss as miss:
            return _told(place, expression, miss, root)
        if not has_item:
            self._item = _elements(shape)
        return None


def _told(place: Place, expression: str, miss: _Miss, root: Mapping[str, Any]) -> Impossible:
    from difflib import get_close_matches  # Few definitions have faults.

    close = get_close_matches(miss.name, miss.known, 1)
    if miss.within is root:
        why = f"an expression here sees {', '.join(miss.known)}"
    elif miss.known or "type" not in miss.within:
        why = "the schema of the params allows no such field"
    else:
        why = f"it would be a field of what the schema of the params says is {_type_of(miss)}"
    hint = f"; did you mean {close[0]!r}?" if close else ""
    message = f"{expression!r} yields nothing: there is no {miss.name!r} here, since {why}{hint}"
    return Impossible(place, message, miss.name, close[0] if close else "")


def _type_of(miss: _Miss) -> str:
    given = miss.within["type"]
    return " or ".join(given) if isinstance(given, list) else str(given)


# -- what an expression yields, as a schema --------------------------------------------------------


def _shape(node: Mapping[str, Any], of: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a schema of what a node yields, or `_ANY`.

    Raises
    ------
    _Miss
        If that is always nothing.
    """
    children = node["children"]
    match node["type"]:
        case "field":
            return _field(of, node["value"])
        case "identity" | "current":
            return of
        case "subexpression" | "pipe":
            for child in children:
                of = _shape(child, of)
            return of
        case "index_expression":
            whole = _shape(children[0], of)
            return whole if children[1]["type"] == "slice" else _elements(whole)
        case "projection" | "filter_projection":
            element = _shape(children[1], _elements(_shape(children[0], of)))
            return {"type": "array", "items": element}
        case "flatten":
            return _flat(_shape(children[0], of))
        case "value_projection":
            _shape(children[0], of)
        case "multi_select_list" | "multi_select_dict" | "key_val_pair" | "function_expression":
            _visit_parts(node, of)
    return _ANY


def _visit_parts(node: Mapping[str, Any], of: Mapping[str, Any]) -> None:
    if node["type"] == "function_expression" and node["value"] in _TOLERANT_FUNCTIONS:
        return
    for child in node["children"]:
        if child["type"] not in _TOLERANT:
            _shape(child, of)


def _field(of: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    types = of.get("type")
    if types is not None and "object" not in ([types] if isinstance(types, str) else types):
        raise _Miss(name, of, [])
    fields = of.get("properties", {})
    if name in fields:
        return _as_schema(fields[name])
    others = of.get("additionalProperties")
    if "patternProperties" in of:
        return _ANY
    if others is False:
        raise _Miss(name, of, list(fields))
    return _as_schema(others)


def _elements(of: Mapping[str, Any]) -> Mapping[str, Any]:
    return _ANY if "prefixItems" in of else _as_schema(of.get("items"))


def _flat(of: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what is left of an array whose elements that are arrays give theirs."""
    types = _elements(of).get("type")
    is_flat = types is not None and "array" not in ([types] if isinstance(types, str) else types)
    return of if is_flat else _ANY


def _as_schema(given: Any) -> Mapping[str, Any]:
    """Return a part of a schema; what it refers to is not looked at, so that it may be anything."""
    return given if isinstance(given, dict) and "$ref" not in given else _ANY
