"""What counts as JSON."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shiftwork_core.domain import json_bounds
from shiftwork_core.domain.json_bounds import MAX_DEPTH, TOO_DEEP, JsonFault, faults_in

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(json_values)
def test_json_has_no_fault(value: Any) -> None:
    assert list(faults_in(value)) == []
    assert json.loads(json.dumps(value)) == value


class Colour(StrEnum):
    RED = "red"


@pytest.mark.parametrize("value", [(1, 2), Colour.RED, True, 2**63 - 1, -(2**63)])
def test_what_json_writes_as_such_is_json(value: object) -> None:
    assert list(faults_in({"a": value})) == []


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (math.nan, "JSON has no NaN and no Infinity"),
        (-math.inf, "the number is out of range"),
        (2**63, "the number is out of range"),
        (-(2**63) - 1, "the number is out of range"),
        ("half a pair \udc80", "the text is not Unicode: half a surrogate pair"),
        (b"bytes", "JSON has no bytes"),
        ({1, 2}, "JSON has no set"),
        (Decimal(1), "JSON has no Decimal"),
        (datetime(2026, 1, 1, tzinfo=UTC), "JSON has no datetime"),
        (object(), "JSON has no object"),
    ],
)
def test_what_is_not_json_is_named_with_its_place(value: object, message: str) -> None:
    assert list(faults_in({"rows": [1, {"cell": value}]})) == [JsonFault("rows[1].cell", message)]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (1, "a key is int, and not text"),
        (None, "a key is NoneType, and not text"),
        ("\ud800", "the text is not Unicode: half a surrogate pair"),
    ],
)
def test_keys_are_text(key: Any, message: str) -> None:
    assert list(faults_in({"rows": [{key: 1}]})) == [JsonFault("rows[0]", message)]


def nested(levels: int) -> Any:
    value: Any = "bottom"
    for _ in range(levels):
        value = [value]
    return value


def test_a_value_may_be_nested_so_deep_and_no_deeper() -> None:
    assert list(faults_in(nested(MAX_DEPTH))) == []
    [fault] = faults_in(nested(MAX_DEPTH + 1))
    assert fault.message == TOO_DEEP
    [fault] = faults_in(nested(100_000))
    assert fault.message == TOO_DEEP


def test_a_value_that_holds_itself_is_too_deep() -> None:
    circle: list[Any] = []
    circle.append(circle)
    [fault] = faults_in({"circle": circle})
    assert fault.message == TOO_DEEP


def test_a_path_is_made_up_for_each_fault_and_for_no_other_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[Any] = []

    def path_to(place: Any) -> str:
        made.append(place)
        return "here"

    monkeypatch.setattr(json_bounds, "path_to", path_to)
    deep: Any = [*range(1000), [], {}, "text", None, 1.5, math.nan]
    for _ in range(MAX_DEPTH - 2):
        deep = {"key": deep}
    assert list(faults_in(deep)) == [JsonFault("here", "JSON has no NaN and no Infinity")]
    assert len(made) == 1
