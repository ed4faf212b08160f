"""Build conditional writes for DynamoDB, to send alone or in a transaction."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shiftwork_core.adapters.dynamodb.conditions import STATUS_VALUES
from shiftwork_core.domain.times import to_iso

#: An attribute's value, before it is wrapped for the wire.
Value = str | int | bool | bytes | datetime
#: Values that an expression names.
Values = Mapping[str, Value]
#: Attributes to set; None removes one.
Changes = Mapping[str, Value | None]
#: A row on the wire: `{"status": {"S": "new"}, ...}`.
Item = dict[str, Any]

_NAME = re.compile(r"#(\w+)")
_VALUE = re.compile(r":(\w+)")


def wrap(value: Value) -> dict[str, Any]:
    """Return a value in DynamoDB's form."""
    match value:
        case bool():
            return {"BOOL": value}
        case int():
            return {"N": str(value)}
        case bytes():
            return {"B": value}
        case datetime():
            return {"S": to_iso(value)}
        case str():
            return {"S": str(value)}


def to_wire(values: Changes) -> Item:
    """Return an item of those values that are not None."""
    return {name: wrap(value) for name, value in values.items() if value is not None}


def from_wire(item: Item) -> dict[str, Any]:
    """Return an item's values: text, whole numbers, truth values, bytes."""
    values: dict[str, Any] = {}
    for name, wrapped in item.items():
        ((kind, value),) = wrapped.items()
        values[name] = int(value) if kind == "N" else value
    return values


def expressions(values: Values, **texts: str) -> dict[str, Any]:
    """Return the expressions as parameters of a call, with the names and values they mention."""
    everything = " ".join(texts.values())
    known: dict[str, Value] = {**STATUS_VALUES, **values}
    parameters: dict[str, Any] = dict(texts)
    # DynamoDB refuses names, and values, of which there are none.
    if named := sorted(set(_NAME.findall(everything))):
        parameters["ExpressionAttributeNames"] = {f"#{name}": name for name in named}
    if mentioned := sorted(set(_VALUE.findall(everything))):
        parameters["ExpressionAttributeValues"] = {
            f":{name}": wrap(known[name]) for name in mentioned
        }
    return parameters


@dataclass(frozen=True, slots=True)
class Action:
    """A conditional write of one row, or a condition on one."""

    kind: str
    key: Item
    parameters: dict[str, Any]

    @property
    def table(self) -> str:
        """Return the table's name."""
        name: str = self.parameters["TableName"]
        return name


def put(
    table: str,
    item: Item,
    key: tuple[str, ...],
    condition: str | None,
    values: Values | None = None,
) -> Action:
    """Return an action that writes a whole row; `key` names the attributes of its key."""
    parameters = {"TableName": table, "Item": item, **_conditional(values or {}, condition)}
    return Action("Put", {name: item[name] for name in key}, parameters)


def update(
    table: str,
    key: Item,
    condition: str | None,
    changes: Changes,
    values: Values | None = None,
    adds: Mapping[str, int] | None = None,
) -> Action:
    """Return an action that changes some attributes; `adds` are added to numbers.

    Without a condition it makes the row if there is none.
    """
    sets = {name: value for name, value in changes.items() if value is not None}
    clauses = {
        "SET": [f"#{name} = :to_{name}" for name in sets],
        "REMOVE": [f"#{name}" for name, value in changes.items() if value is None],
        "ADD": [f"#{name} :add_{name}" for name in adds or {}],
    }
    text = " ".join(f"{verb} {', '.join(parts)}" for verb, parts in clauses.items() if parts)
    known = {
        **(values or {}),
        **{f"to_{name}": value for name, value in sets.items()},
        **{f"add_{name}": number for name, number in (adds or {}).items()},
    }
    conditional = _conditional(known, condition, UpdateExpression=text)
    return Action("Update", key, {"TableName": table, "Key": key, **conditional})


def remove(table: str, key: Item, condition: str, values: Values) -> Action:
    """Return an action that deletes a row."""
    parameters = {"TableName": table, "Key": key, **_conditional(values, condition)}
    return Action("Delete", key, parameters)


def check(table: str, key: Item, condition: str, values: Values) -> Action:
    """Return a condition on a row that a transaction does not write."""
    parameters = {"TableName": table, "Key": key, **_conditional(values, condition)}
    return Action("ConditionCheck", key, parameters)


def _conditional(values: Values, condition: str | None, **texts: str) -> dict[str, Any]:
    if condition is None:
        return expressions(values, **texts)
    return {
        **expressions(values, ConditionExpression=condition, **texts),
        # So a loser sees the winner without a second read.
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
