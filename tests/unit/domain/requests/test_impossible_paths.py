"""Paths that no params can have: only what is certain is found."""

from __future__ import annotations

from typing import Any

import pytest

from shiftwork_core.adapters.expressions import parse
from shiftwork_core.domain.requests.impossible_paths import impossible_paths, misspelt_paths

CUSTOMER = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "address": {"$ref": "#/$defs/address"}},
    "additionalProperties": False,
}
SCHEMA = {
    "properties": {
        "customers": {"type": "array", "items": CUSTOMER},
        "lists": {"type": "array", "items": {"type": "array", "items": CUSTOMER}},
        "pair": {"type": "array", "prefixItems": [CUSTOMER, {}]},
        "options": {"type": "object", "additionalProperties": {"type": "integer"}},
        "maybe": {"type": ["object", "null"], "properties": {"a": {}}},
        "named": {"patternProperties": {"^x": {}}, "additionalProperties": False},
        "month": {"type": "string"},
        "any": True,
    },
    "additionalProperties": False,
}


def faults(job: dict[str, Any], schema: dict[str, Any] = SCHEMA) -> list[tuple[Any, str]]:
    found = impossible_paths(schema, [{"jobs": [job]}], parse)
    return [(fault.place[4:], fault.message) for fault in found]


def messages(expression: str, schema: dict[str, Any] = SCHEMA) -> list[str]:
    return [message for _, message in faults({"params": {"a": f"{{{expression}}}"}}, schema)]


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("params.custmers", "did you mean 'customers'?"),
        ("params.zzz", "allows no such field"),
        ("customers[0]", "an expression here sees params, extras, item"),
        ("params.month.first", "says is string"),
        ("params.customers.id", "says is array"),
        ("params.customers[0].idd", "did you mean 'id'?"),
        ("params.customers[*].idd", "did you mean 'id'?"),
        ("params.customers[1:].idd", "allows no such field"),
        ("params.customers[?id == 'x'].idd", "did you mean 'id'?"),
        ("params.customers[].idd", "did you mean 'id'?"),
        ("params.options.any.deep", "says is integer"),
        ("length(params.custmers)", "'custmers'"),
        ("params | custmers", "'custmers'"),
        ("[params.month, params.mnth]", "did you mean 'month'?"),
    ],
)
def test_a_path_that_no_params_have_is_found(expression: str, told: str) -> None:
    [message] = messages(expression)
    assert message.startswith(f"{expression!r} yields nothing")
    assert told in message


@pytest.mark.parametrize(
    "expression",
    [
        "params",
        "params.customers[*].id",
        "params.customers[0].address.street",
        "params.lists[].id",
        "params.lists[][].id",
        "params.pair[0].zzz",
        "params.options.whatever",
        "params.maybe.b",
        "params.named.other",
        "params.any.thing.at[0].all",
        "params.options.*.x",
        "extras.anything.at.all",
        "params.zzz || params.month",
        "not_null(params.zzz, 'x')",
        "params.zzz == null",
        "!params.zzz",
        "params.customers[?zzz].id",
        "sort_by(params.customers, &idd)",
        "item.whatever",
        "`1`.b",
        "@",
    ],
)
def test_what_may_be_there_is_not_spoken_of(expression: str) -> None:
    assert messages(expression) == []


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"properties": {"customers": {}}},
        {"properties": {"customers": {}}, "additionalProperties": {"type": "object"}},
        {"properties": {"customers": {}}, "unevaluatedProperties": False},
    ],
)
def test_a_schema_that_allows_others_rules_nothing_out(schema: dict[str, Any]) -> None:
    assert messages("params.custmers", schema) == []


def test_items_are_what_the_entry_makes_them_of() -> None:
    job = {"for_each": "params.customers", "params": {"to": ["{item.id}", {"b": "x {item.idd}"}]}}
    [(place, message)] = faults(job)
    assert place == ("params", "to", 1, "b")
    assert "did you mean 'id'?" in message
    assert faults(job | {"for_each": "extras.customers"}) == []


def test_what_makes_items_sees_none() -> None:
    [(place, message)] = faults({"for_each": "item.customers"})
    assert place == ("for_each",)
    assert "sees params, extras" in message


def test_so_many_faults_are_told_and_no_more() -> None:
    assert len(faults({"params": {str(n): "{params.zzz}" for n in range(1000)}})) == 50


OPEN: dict[str, Any] = {
    "properties": {"customers": {"items": {"properties": {"id": {}}}}, "free": {}}
}


@pytest.mark.parametrize(
    ("expression", "close"),
    [
        ("params.custmers", "customers"),
        ("params.customers[*].idd", "id"),
        ("params.customers[*].id", None),
        ("params.region", None),
        ("params.free.anything", None),
        ("params.fre || `1`", None),
        ("custmers", None),
    ],
)
def test_a_path_that_may_be_misspelt_is_doubted(expression: str, close: str | None) -> None:
    steps: list[Any] = [{"jobs": [{"params": {"a": f"{{{expression}}}"}}]}]
    found = misspelt_paths(OPEN, steps, parse)
    assert [one.close for one in found] == ([close] if close else [])
    assert all(f"did you mean '{close}'?" in one.message for one in found)


def test_a_schema_that_says_it_takes_other_fields_is_believed() -> None:
    steps: list[Any] = [{"jobs": [{"for_each": "params.custmers"}]}]
    assert misspelt_paths({**OPEN, "additionalProperties": True}, steps, parse) == []
