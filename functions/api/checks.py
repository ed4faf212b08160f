"""Check the JMESPath expressions and JSON Schemas that definitions contain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from shiftwork_core.adapters.schemas import Fault, named
from shiftwork_core.domain.payloads import Json, JsonObject
from shiftwork_core.domain.requests.templates import expressions

MAX_EXPRESSION_LENGTH = 1000
_MAX_FAULTS = 50
_REFERENCES = ("$ref", "$dynamicRef")
#: It checks formats, so that a `pattern` which is not a regular expression is a fault.
_META = Draft202012Validator(
    Draft202012Validator.META_SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER
)


def expression_fault(expression: str) -> str | None:
    """Return what is wrong with a JMESPath expression, None if nothing is."""
    if len(expression) > MAX_EXPRESSION_LENGTH:
        return f"an expression has at most {MAX_EXPRESSION_LENGTH:,} characters"
    try:
        tree = jmespath.compile(expression).parsed
        unknown = sorted(_functions_in(tree) - set(Functions.FUNCTION_TABLE))
    except JMESPathError as error:
        return f"{expression!r} is not JMESPath: {str(error).splitlines()[0]}"
    except RecursionError:
        return "the expression is nested too deep"
    return f"{expression!r} calls {unknown[0]}(), which JMESPath does not have" if unknown else None


def _functions_in(tree: Any) -> set[str]:
    names = {tree["value"]} if tree["type"] == "function_expression" else set()
    children = [child for child in tree["children"] if isinstance(child, dict)]
    return names.union(*map(_functions_in, children))


def template_fault(template: Json) -> str | None:
    """Return what is wrong with the first faulty expression of a template, None if nothing is."""
    return next((f for e in expressions(template) if (f := expression_fault(e))), None)


def schema_faults(schema: JsonObject) -> list[Fault]:
    """Return the faults of a schema, which must be JSON Schema 2020-12 and complete in itself."""
    dialect = schema.get("$schema")
    if dialect not in (None, Draft202012Validator.META_SCHEMA["$id"]):
        return [Fault(("$schema",), "only JSON Schema 2020-12 is understood; leave $schema out")]
    return named(_META.iter_errors(schema)) or list(islice(_bad_references(schema), _MAX_FAULTS))


def _bad_references(schema: JsonObject) -> Iterator[Fault]:
    """Yield the faults of references that leave the document or lead nowhere in it."""
    root = DRAFT202012.create_resource({k: v for k, v in schema.items() if k != "$id"})
    lookup = Registry().with_resource("", root).resolver().lookup
    for place, target in _references(schema):
        if not target.startswith("#"):
            yield Fault(place, f"{target[:100]!r} leaves the document; only #... may be used")
        elif not _is_schema(lookup, target):
            yield Fault(place, f"there is no schema at {target[:100]!r}")


def _references(schema: JsonObject) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield the place and text of every reference.

    A text under `$ref` counts as a reference wherever it is, so that none is overlooked.
    """
    open_: list[tuple[Json, tuple[str | int, ...]]] = [(schema, ())]
    while open_:
        node, place = open_.pop()
        if isinstance(node, dict):
            open_ += [(value, (*place, key)) for key, value in node.items()]
            found = {key: node.get(key) for key in _REFERENCES}
            yield from (((*place, k), t) for k, t in found.items() if isinstance(t, str))
        elif isinstance(node, list):
            open_ += [(value, (*place, index)) for index, value in enumerate(node)]


def _is_schema(lookup: Callable[[str], Any], target: str) -> bool:
    try:
        found = lookup(target).contents
    except Unresolvable:
        return False
    except (TypeError, ValueError):  # The path leads through a number, or a list by a name.
        return False
    return isinstance(found, (dict, bool)) and _META.is_valid(found)
