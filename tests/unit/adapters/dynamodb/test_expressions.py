"""What the parameters of a call say, and what they leave out."""

from __future__ import annotations

import pytest

from shiftwork_core.adapters.dynamodb.expressions import Action, put, remove, update

KEY = {"id": {"S": "1"}}


@pytest.mark.parametrize(
    ("action", "named", "valued"),
    [
        (put("t", KEY, ("id",), None), None, None),
        (put("t", KEY, ("id",), "attribute_not_exists(#id)"), {"#id"}, None),
        (update("t", KEY, None, {"at": None}), {"#at"}, None),
        (update("t", KEY, None, {"at": 1}), {"#at"}, {":to_at"}),
        (remove("t", KEY, "#at = :seen", {"seen": 1}), {"#at"}, {":seen"}),
    ],
)
def test_a_call_has_no_empty_list_of_names_or_values(
    action: Action, named: set[str] | None, valued: set[str] | None
) -> None:
    """DynamoDB refuses both; moto takes them."""
    for kind, expected in (("Names", named), ("Values", valued)):
        found = action.parameters.get(f"ExpressionAttribute{kind}")
        assert (None if found is None else set(found)) == expected
