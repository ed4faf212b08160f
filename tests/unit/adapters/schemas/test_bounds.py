"""What a schema may say: every bound has a test on both sides of it."""

from __future__ import annotations

from typing import Any

import pytest

from shiftwork_core.adapters.schemas.bounds import (
    MAX_APPLIED,
    MAX_APPLIED_DEPTH,
    MAX_SUBSCHEMAS,
    bounds_faults,
)
from shiftwork_core.adapters.schemas.patterns import MAX_PATTERNS


def faults(schema: dict[str, Any]) -> dict[str, str]:
    return {"/".join(map(str, fault.place)): fault.message for fault in bounds_faults(schema)}


def doubling(levels: int, **extra: Any) -> dict[str, Any]:
    """Return a schema of which each level refers to the next one twice."""
    levels_below = {
        f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}, {"$ref": f"#/$defs/d{n + 1}"}]}
        for n in range(levels)
    }
    return {"$defs": levels_below | {f"d{levels}": {}}, "$ref": "#/$defs/d0", **extra}


def test_references_that_fan_out_over_21_levels_are_refused_where_they_become_too_many() -> None:
    [(place, message)] = faults(doubling(21)).items()
    assert place == "$defs/d13"
    assert f"more than {MAX_APPLIED:,} subschemas apply to one value" in message


@pytest.mark.parametrize("root", [{}, {"$id": "urn:a"}, {"$id": "https://example.com/a"}])
def test_an_id_hides_no_fan_out(root: dict[str, Any]) -> None:
    assert faults(doubling(21, **root))


@pytest.mark.parametrize("keyword", ["allOf", "anyOf", "oneOf"])
def test_every_keyword_that_applies_schemas_to_the_same_value_fans_out(keyword: str) -> None:
    schema: Any = {"type": "object"}
    for _ in range(10):
        schema = {keyword: [schema, {}, dict(schema)], "not": {}}
    with_refs = {"$defs": {"a": schema}, keyword: [{"$ref": "#/$defs/a"}] * 300}
    assert faults(with_refs)


@pytest.mark.parametrize(
    "branch",
    [
        {"not": {"$ref": "#"}},
        {"if": {"$ref": "#"}},
        {"if": True, "then": {"$ref": "#"}},
        {"if": True, "else": {"$ref": "#"}},
        {"dependentSchemas": {"a": {"$ref": "#"}}},
        {"allOf": [{"anyOf": [{"oneOf": [{"$ref": "#"}]}]}]},
        {"$ref": "#"},
        {"$dynamicRef": "#"},
        {"$anchor": "x", "allOf": [{"$ref": "#x"}]},
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
        # A part of the same schema is found first: that is no reason to overlook the circle.
        {"properties": {"a": {"$ref": "#"}}, "allOf": [{"$ref": "#"}]},
    ],
)
def test_a_schema_that_refers_to_itself_for_the_same_value_is_refused(
    branch: dict[str, Any],
) -> None:
    [message] = faults(branch).values()
    assert "refers to itself for the same value" in message


def test_a_schema_may_refer_to_itself_for_a_part_of_the_value() -> None:
    tree = {"properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}, "items": {"$ref": "#"}}
    assert not faults(tree)


def test_a_schema_may_have_many_subschemas_and_no_more() -> None:
    names = [f"p{n}" for n in range(MAX_SUBSCHEMAS)]
    assert not faults({"properties": {name: {} for name in names[1:]}})
    assert "2,000 subschemas" in faults({"properties": {name: {} for name in names}})[""]


def test_many_subschemas_may_apply_to_one_value_and_no_more() -> None:
    assert not faults({"allOf": [{} for _ in range(MAX_APPLIED - 1)]})
    assert faults({"allOf": [{} for _ in range(MAX_APPLIED)]}).keys() == {""}


def test_subschemas_for_one_value_may_be_nested_by_references_and_no_deeper() -> None:
    def chain(length: int) -> dict[str, Any]:
        links = {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(length - 1)}
        return {"$defs": links | {f"d{length - 1}": {}}}

    assert not faults(chain(MAX_APPLIED_DEPTH))
    assert faults(chain(MAX_APPLIED_DEPTH + 1)).keys() == {"$defs/d0"}


def test_a_schema_may_have_many_patterns_and_no_more() -> None:
    patterns = [{"pattern": f"a{n}"} for n in range(MAX_PATTERNS)]
    assert not faults({"allOf": [*patterns, {"pattern": "a0"}]})
    assert faults({"allOf": [*patterns, {"pattern": "b"}]}).keys() == {
        f"allOf/{MAX_PATTERNS}/pattern"
    }


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({"properties": {"pattern": {"pattern": "(?=a)"}}}, "properties/pattern/pattern"),
        ({"patternProperties": {r"(a)\1": {}}}, r"patternProperties/(a)\1"),
        ({"items": {"propertyNames": {"pattern": "(?!a)"}}}, "items/propertyNames/pattern"),
        ({"prefixItems": [{}, {"pattern": "("}]}, "prefixItems/1/pattern"),
        ({"x": {"pattern": "("}, "items": {"$ref": "#/x"}}, "items/$ref/pattern"),
        ({"items": {"$schema": "http://json-schema.org/draft-07/schema#"}}, "items/$schema"),
        ({"properties": {"$id": {"$id": "urn:b"}}}, "properties/$id/$id"),
        ({"$id": "urn:a", "$defs": {"b": {"$id": "urn:b", "$ref": "#"}}}, "$defs/b/$id"),
        ({"x": {"$id": "urn:b"}, "items": {"$ref": "#/x"}}, "items/$ref/$id"),
    ],
)
def test_what_is_out_of_bounds_is_named_with_its_place(schema: dict[str, Any], place: str) -> None:
    assert faults(schema).keys() == {place}


@pytest.mark.parametrize(
    "schema",
    [
        {"const": {"pattern": "("}},
        {"enum": [{"pattern": "(?=a)", "$schema": "x"}]},
        {"properties": {"pattern": {"type": "string"}}},
        {"const": {"$id": "urn:b"}, "properties": {"$id": {"type": "string"}}},
        {"default": {"allOf": [{"pattern": "("}]}},
    ],
)
def test_what_only_looks_like_a_schema_is_data(schema: dict[str, Any]) -> None:
    assert not faults(schema)
