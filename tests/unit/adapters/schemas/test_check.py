"""Checking params: within a budget of steps, whatever the schema and whatever the params."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from shiftwork_core.adapters.schemas import check
from shiftwork_core.adapters.schemas.bounds import bounds_faults
from shiftwork_core.adapters.schemas.check import check_schema
from tests.unit.adapters.schemas.test_bounds import doubling
from tests.world.counted import calls_of, no_hang

#: Functions that a step may call, those within jsonschema included. Measured: at most 60.
CALLS_PER_STEP = 120
#: Preparing a schema and naming its faults, once.
CALLS_BESIDES = 100_000


def nested(levels: int, name: str = "a") -> Any:
    value: Any = {}
    for _ in range(levels):
        value = {name: value}
    return value


def messages(schema: dict[str, Any], value: Any) -> list[str]:
    with no_hang():
        return [fault.message for fault in check_schema(schema, value)]


BELOW = {"$ref": "#"}
COSTLY: list[tuple[dict[str, Any], Any]] = [
    ({"allOf": [{"properties": {"a": BELOW}}, {"properties": {"a": BELOW}}]}, nested(30)),
    ({"anyOf": [{"properties": {"a": BELOW}, "required": [n]} for n in "xyz"]}, nested(30)),
    ({"oneOf": [{"properties": {"a": BELOW}}, {"properties": {"a": BELOW}}]}, nested(30)),
    ({"properties": {"a": BELOW}, "patternProperties": {"a": BELOW}}, nested(30)),
    ({"properties": {"a": BELOW}, "if": {"properties": {"a": BELOW}}}, nested(30)),
    ({"properties": {"a": BELOW}, "not": {"properties": {"a": BELOW}, "required": ["b"]}},
     nested(30)),
    ({"properties": {"a": BELOW}, "dependentSchemas": {"a": {"properties": {"a": BELOW}}}},
     nested(30)),
    ({"allOf": [{"properties": {"a": BELOW}}], "unevaluatedProperties": False}, nested(31)),
    ({"$dynamicAnchor": "n", "properties": {"a": {"$dynamicRef": "#n"}},
      "allOf": [{"properties": {"a": {"$dynamicRef": "#n"}}}]}, nested(30)),
    ({"items": {"enum": [{"n": [n]} for n in range(3000)]}}, [{"n": [0.5]}] * 3000),
    ({"items": {"contains": {"const": 1}}}, [[0] * 500] * 500),
    ({"anyOf": [{"type": "string"}] * 900}, list(range(50_000))),
    ({"allOf": [{"minItems": 10**6}] * 900}, list(range(50_000))),
    ({"allOf": [{"required": [f"k{n}" for n in range(5000)]}] * 40}, {}),
    ({"allOf": [{"uniqueItems": True}] * 900}, [[n] for n in range(20_000)]),
    ({"allOf": [{"contains": True}], "items": {"items": {}}, "unevaluatedItems": False},
     [[0] * 500] * 900),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "value"), COSTLY, ids=lambda part: str(part)[:50])
def test_params_that_would_take_too_long_to_check_are_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, schema: dict[str, Any], value: Any
) -> None:
    monkeypatch.setattr(check, "MAX_CHECK_STEPS", 20_000)
    [message] = messages(schema, value)
    assert message == (
        "to check them takes more than 20,000 steps of the type's schema; send less, or make the "
        "schema simpler"
    )


@pytest.mark.parametrize(
    ("schema", "value", "steps"),
    [
        ({"type": "integer", "minimum": 0}, 1, 2),
        ({"allOf": [{}] * 100}, 1, 1 + 100),
        ({"items": {}}, [0] * 100, 1 + 50),
        ({"properties": {"a": {}, "b": {}}}, {"a": 1, "b": 2, "c": 3}, 1 + 1),
        ({"enum": [0] * 399}, 0, 1 + 400 // 16 + 400 // 4),
        ({"const": "x" * 6400}, "x" * 6400, 1 + 101 // 4),
        ({"uniqueItems": True}, list(range(399)), 1 + 400 // 16 + 400 // 4),
        # A fault quotes the value: 3 steps, and more for its size.
        ({"type": "string"}, 1, 1 + 3),
        ({"type": "string"}, [0] * 1599, 1 + 3 + 1600 // 16 * 2),
        # A pattern's size times the text's, two thousand at a time; both are counted by RE2.
        ({"pattern": "^(a+)+$"}, "a" * 10_000, 1 + 1 + 8 * 10_000 // 2000),
        ({"patternProperties": {"^(a+)+$": {}}}, {"a" * 10_000: 1}, 1 + 1 + 8 * 10_000 // 2000),
        ({"unevaluatedProperties": False, "properties": {"a": {}}}, {"a": 1}, 1 + 2 + 1),
    ],
    ids=lambda part: str(part)[:50],
)
def test_a_check_takes_steps_for_what_it_looks_at(
    monkeypatch: pytest.MonkeyPatch, schema: dict[str, Any], value: Any, steps: int
) -> None:
    allowed = steps + 5
    monkeypatch.setattr(check, "MAX_CHECK_STEPS", allowed)
    assert not any("more than" in message for message in messages(schema, value))
    monkeypatch.setattr(check, "MAX_CHECK_STEPS", steps - 1)
    [message] = messages(schema, value)
    assert f"more than {steps - 1:,} steps" in message


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        # As large as params may be, and as dense.
        ({"items": {"type": "integer"}}, [1] * 130_000),
        (
            {"items": {"required": ["id"], "properties": {"id": {"pattern": "^u-[0-9]+$"}}}},
            [{"id": f"u-{n}"} for n in range(16_000)],
        ),
        ({"uniqueItems": True}, [{"id": n, "of": [n]} for n in range(10_000)]),
        ({"properties": {"of": {"items": {"$ref": "#"}}}}, {"of": [{"of": [{}] * 50}] * 50}),
        (
            {
                "$defs": {f"d{n}": {"$anchor": f"a{n}"} for n in range(400)},
                "items": {"$ref": "#a399"},
            },
            [1] * 5000,
        ),
    ],
    ids=lambda part: str(part)[:50],
)  # fmt: skip
def test_large_params_of_a_plain_schema_are_checked(schema: dict[str, Any], value: Any) -> None:
    assert messages(schema, value) == []


@pytest.mark.parametrize(
    ("schema", "name"),
    [
        ({"pattern": "(?=a)"}, "pattern: '(?=a)' is not accepted"),
        ({"properties": {"a": {"pattern": r"(.)\1"}}}, r"properties.a.pattern: '(.)\\1'"),
        (doubling(21), "$defs.d13: more than 1,000 subschemas"),
        ({"$ref": "#"}, "its root: it refers to itself for the same value, without end"),
    ],
)
def test_a_schema_from_before_the_bounds_refuses_params_and_says_what_to_change(
    schema: dict[str, Any], name: str
) -> None:
    [message] = messages(schema, {"a": "b"})
    assert name in message
    assert message.endswith("put the type again without that")


@pytest.mark.parametrize(
    "dialect",
    ["http://json-schema.org/draft-07/schema#", Draft202012Validator.META_SCHEMA["$id"]],
)
def test_no_dialect_that_a_schema_names_leads_out_of_the_budget(dialect: str) -> None:
    """To jsonschema it names the class of validators, also where a reference leads back."""
    below = {"properties": {"a": BELOW}}
    [message] = messages({"$schema": dialect, "allOf": [below, below]}, nested(16))
    assert "more than 200,000 steps" in message


@pytest.mark.parametrize(
    "reference", ["https://example.com/s.json", "file:///etc/passwd", "s.json"]
)
def test_a_reference_out_of_the_schema_is_never_followed(
    monkeypatch: pytest.MonkeyPatch, reference: str
) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise AssertionError("it was fetched")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setattr("builtins.open", refuse)
    for schema in (
        {"$ref": reference},
        {"$dynamicRef": reference},
        {"unevaluatedProperties": False, "$ref": reference},
    ):
        [message] = messages(schema, {"a": 1})
        assert message == f"the type's schema refers to {reference!r}, which is not in it"


@pytest.mark.parametrize(
    ("items", "are_unique"),
    [
        ([1, 1.0], False),
        ([1, True], True),
        ([0, False, None, "", [], {}], True),
        ([{"a": 1, "b": [2]}, {"b": [2.0], "a": 1}], False),
        ([[1, 2], [2, 1]], True),
        (["1", 1], True),
        (["é", "e\u0301"], True),
    ],
)
def test_items_are_unique_by_their_value(items: list[Any], are_unique: bool) -> None:
    assert (messages({"uniqueItems": True}, items) == []) == are_unique


# -- bombs ---------------------------------------------------------------------------------------

#: Each makes a level of a schema out of the next one.
LEVELS: list[Callable[[dict[str, Any]], dict[str, Any]]] = [
    lambda below: {"allOf": [below, below]},
    lambda below: {"anyOf": [{"required": ["x"], **below}, below]},
    lambda below: {"oneOf": [below, below]},
    lambda below: {"not": below},
    lambda below: {"if": below, "then": below, "else": below},
    lambda below: {"properties": {"a": below}, "patternProperties": {"^(a+)+$": below}},
    lambda below: {"dependentSchemas": {"a": below}, "additionalProperties": below},
    lambda below: {"allOf": [below], "unevaluatedProperties": False},
    lambda below: {"anyOf": [below], "unevaluatedItems": below},
    lambda below: {"items": below, "contains": below},
    lambda below: {"prefixItems": [below, below], "uniqueItems": True},
    lambda below: {"properties": {"a": {"allOf": [below, below]}}},
]
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from(["a" * 40 + "!", 1, None, [], {}]),
    lambda inner: (
        st.builds(lambda v: {"a": v, "b": v}, inner) | st.builds(lambda v: [v] * 4, inner)
    ),
    max_leaves=5,
)


@given(
    levels=st.lists(st.sampled_from(LEVELS), min_size=1, max_size=25),
    last=st.sampled_from([{}, {"pattern": "^(a|a)*$"}, {"$ref": "#"}, {"$ref": "#/$defs/d0"}]),
    value=VALUES,
)
@settings(deadline=None, max_examples=60)
def test_a_bomb_of_a_schema_is_refused_by_name_or_checked_within_the_budget(
    levels: list[Callable[[dict[str, Any]], dict[str, Any]]], last: dict[str, Any], value: Any
) -> None:
    parts = {f"d{n}": level({"$ref": f"#/$defs/d{n + 1}"}) for n, level in enumerate(levels)}
    schema = {"$defs": parts | {f"d{len(levels)}": last}, "$ref": "#/$defs/d0"}
    budget = 2000
    with pytest.MonkeyPatch.context() as patch, no_hang():
        patch.setattr(check, "MAX_CHECK_STEPS", budget)
        faults, calls = calls_of(lambda: check_schema(schema, value))
    assert calls < CALLS_BESIDES + CALLS_PER_STEP * budget
    if next(bounds_faults(schema), None):
        assert faults and "cannot be used" in faults[0].message


# -- the same words as before --------------------------------------------------------------------

NAMES = st.sampled_from("abc")
PLAIN = st.sampled_from(
    [True, False, {}, {"type": "string"}, {"type": "integer"}, {"const": 1}, {"enum": [1, "a"]}]
)
SCHEMAS: st.SearchStrategy[Any] = st.recursive(
    PLAIN,
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "properties": st.dictionaries(NAMES, inner, max_size=2),
            "patternProperties": st.dictionaries(
                st.sampled_from(["^a", "b$", "."]), inner, max_size=2
            ),
            "additionalProperties": inner,
            "unevaluatedProperties": inner,
            "prefixItems": st.lists(inner, min_size=1, max_size=2),
            "items": inner,
            "contains": inner,
            "unevaluatedItems": inner,
            "uniqueItems": st.booleans(),
            "allOf": st.lists(inner, min_size=1, max_size=2),
            "anyOf": st.lists(inner, min_size=1, max_size=2),
            "oneOf": st.lists(inner, min_size=1, max_size=2),
            "not": inner,
            "if": inner,
            "then": inner,
            "else": inner,
            "dependentSchemas": st.dictionaries(NAMES, inner, max_size=1),
        },
    ),
    max_leaves=8,
)
DATA = st.recursive(
    st.sampled_from([1, 1.0, True, "a", "b", None]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@given(schema=SCHEMAS, value=DATA)
@settings(max_examples=300, deadline=None)
def test_what_is_within_the_budget_is_valid_exactly_when_it_was(schema: Any, value: Any) -> None:
    if isinstance(schema, dict):
        assert (check_schema(schema, value) == []) == Draft202012Validator(schema).is_valid(value)


def test_a_check_takes_as_long_whatever_the_id_of_the_schema() -> None:
    schema: dict[str, Any] = {"$dynamicAnchor": "n", "items": {"$dynamicRef": "#n"}}
    named = {"$id": "https://a.test/" + "a/" * 1000, **schema}
    value: Any = [[]] * 100
    _, calls = calls_of(lambda: check_schema(schema, value))
    _, calls_with_id = calls_of(lambda: check_schema(named, value))
    assert calls_with_id < calls + 1000
