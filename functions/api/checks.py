"""Check the JMESPath expressions and JSON Schemas that definitions contain."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions
from jsonschema import Draft202012Validator
from jsonschema_specifications import REGISTRY

from shiftwork_core.adapters.expressions import TooDeep, parse
from shiftwork_core.adapters.schemas.bounds import (
    REFERENCES,
    Fault,
    bounds_faults,
    id_faults,
    lookup_in,
    target_of,
    without_id,
)
from shiftwork_core.adapters.schemas.check import named
from shiftwork_core.adapters.schemas.keywords import MeteredValidator
from shiftwork_core.adapters.schemas.meter import metered
from shiftwork_core.domain.payloads import Json, JsonObject
from shiftwork_core.domain.requests.budgets import OverBudget
from shiftwork_core.domain.requests.impossible_paths import Impossible, impossible_paths
from shiftwork_core.domain.requests.templates import expressions

MAX_EXPRESSION_LENGTH = 1000
#: Of all expressions of a definition. Parsing a character takes 1 to 3 us.
MAX_EXPRESSIONS_LENGTH = 300_000
_MAX_FAULTS = 50
#: What checking a schema against that of schemas may take, about a second: enough for 2,000
#: subschemas with a dozen keywords each.
_MAX_SCHEMA_STEPS = 200_000
_META_SCHEMA = Draft202012Validator.META_SCHEMA
_META = MeteredValidator(
    _META_SCHEMA, registry=REGISTRY, _resolver=REGISTRY.resolver(_META_SCHEMA["$id"])
)


def expression_fault(expression: str) -> str | None:
    """Return what is wrong with a JMESPath expression, None if nothing is."""
    if len(expression) > MAX_EXPRESSION_LENGTH:
        return f"an expression has at most {MAX_EXPRESSION_LENGTH:,} characters"
    try:
        tree = parse(expression)
        unknown = sorted(_functions_in(tree) - set(Functions.FUNCTION_TABLE))
    except JMESPathError as error:
        return f"{expression!r} is not JMESPath: {str(error).splitlines()[0]}"
    except TooDeep as error:
        return f"the expression cannot be used: {error}"
    return f"{expression!r} calls {unknown[0]}(), which JMESPath does not have" if unknown else None


def _functions_in(tree: Any) -> set[str]:
    names = {tree["value"]} if tree["type"] == "function_expression" else set()
    children = [child for child in tree["children"] if isinstance(child, dict)]
    return names.union(*map(_functions_in, children))


def template_fault(template: Json) -> str | None:
    """Return what is wrong with the first faulty expression of a template, None if nothing is."""
    return next((f for e in expressions(template) if (f := expression_fault(e))), None)


def expressions_fault(definition: Json) -> str | None:
    """Return why a part of a definition has too many expressions, None if it has not.

    A text is counted as an expression wherever it could be one, before the definition is read.
    """
    length = sum(map(len, expressions(definition)))
    length += sum(_length_under(name, definition) for name in ("for_each", "for_each_in"))
    if length <= MAX_EXPRESSIONS_LENGTH:
        return None
    return f"its expressions have {length:,} characters; {MAX_EXPRESSIONS_LENGTH:,} are the most"


def _length_under(name: str, definition: Json) -> int:
    length, open_ = 0, [definition]
    while open_:
        node = open_.pop()
        if isinstance(node, dict):
            text = node.get(name)
            length += len(text) if isinstance(text, str) else 0
            open_ += node.values()
        elif isinstance(node, list):
            open_ += node
    return length


def impossible_paths_in(schema: JsonObject, steps: list[Any]) -> list[Impossible]:
    """Return the expressions of steps that yield nothing, whatever params the schema allows."""
    return impossible_paths(schema, steps, parse)


def schema_faults(schema: JsonObject) -> list[Fault]:
    """Return the faults of a schema: it must be JSON Schema 2020-12, complete in itself, in bounds.

    The first kind that has any is named.
    """
    dialect = schema.get("$schema")
    if dialect not in (None, _META_SCHEMA["$id"]):
        return [Fault(("$schema",), "only JSON Schema 2020-12 is understood; leave $schema out")]
    try:
        with metered(_MAX_SCHEMA_STEPS):
            return (
                named(_META.iter_errors(schema))
                or list(islice(id_faults(schema), _MAX_FAULTS))
                or list(islice(_bad_references(without_id(schema)), _MAX_FAULTS))
                or list(islice(bounds_faults(schema), _MAX_FAULTS))
            )
    except OverBudget:
        return [Fault((), "the schema is too large to check")]


def _bad_references(schema: JsonObject) -> Iterator[Fault]:
    """Yield the faults of references that leave the document or lead nowhere in it."""
    lookup = lookup_in(schema)
    checked: set[int] = set()
    for place, reference in _references(schema):
        if not reference.startswith("#"):
            yield Fault(place, f"{reference[:100]!r} leaves the document; only #... may be used")
            continue
        target = target_of(lookup, reference)
        if id(target) in checked:
            continue
        if not isinstance(target, (dict, bool)) or not _META.is_valid(target):
            yield Fault(place, f"there is no schema at {reference[:100]!r}")
        else:
            checked.add(id(target))


def _references(schema: JsonObject) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield the place and text of every reference.

    A text under `$ref` counts as a reference wherever it is, so that none is overlooked.
    """
    open_: list[tuple[Json, tuple[str | int, ...]]] = [(schema, ())]
    while open_:
        node, place = open_.pop()
        if isinstance(node, dict):
            open_ += [(value, (*place, key)) for key, value in node.items()]
            found = {key: node.get(key) for key in REFERENCES}
            yield from (((*place, k), t) for k, t in found.items() if isinstance(t, str))
        elif isinstance(node, list):
            open_ += [(value, (*place, index)) for index, value in enumerate(node)]
