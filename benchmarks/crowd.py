"""An in-memory client of DynamoDB that holds a million rows, more than an emulator could.

It does what the stores of workspaces ask of DynamoDB, and refuses everything else. Most rows are a
`Crowd`: they are in the index of due times, but each is made only when a query selects it. So a
query that reaches beyond what is due is seen to read them, as in DynamoDB, where a query reads the
rows that its key condition selects and no others.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from benchmarks.units import Item
from shiftwork_core.adapters.dynamodb import conditions as c
from shiftwork_core.adapters.dynamodb.namespaces import DEFAULT, PARTITION
from shiftwork_core.domain.names import KEY_SEPARATOR
from shiftwork_core.ports.shards import SHARDS
from tests.contract.store.tables import declared

_RANGE = re.compile(r"^#(\w+) = (:\w+) AND #(\w+) (?:<= (:\w+)|BETWEEN (:\w+) AND (:\w+))$")
_ABSENT = (c.IS_WORKSPACE_ABSENT, c.IS_LIFECYCLE_JOB_ABSENT, c.IS_LINE_ABSENT)


@dataclass
class Crowd:
    """Rows by number, each due later than the one before; `make` makes one."""

    size: int
    shard_of: Callable[[int], str]
    due_at: Callable[[int], str]
    make: Callable[[int], Item]
    _numbers: dict[str, array[int]] = field(init=False)

    def __post_init__(self) -> None:
        self._numbers = {shard: array("l") for shard in SHARDS}
        for number in range(self.size):
            self._numbers[self.shard_of(number)].append(number)

    def between(self, partition: str, first: str, last: str) -> Iterator[Item]:
        """Yield the rows of a partition that are due from `first` to `last`, both included."""
        numbers = self._numbers[partition.removeprefix(f"{DEFAULT}{KEY_SEPARATOR}")]
        start = bisect_left(numbers, first, key=self.due_at)
        end = bisect_right(numbers, last, key=self.due_at)
        yield from map(self.make, numbers[start:end])


class Table:
    """One table of template.yaml, and its index by_due if it has one."""

    def __init__(self, logical_id: str, crowd: Crowd | None = None) -> None:
        properties = declared(logical_id)
        self.key = tuple(part["AttributeName"] for part in properties["KeySchema"])
        self.crowd = crowd
        self.rows: dict[tuple[str, ...], Item] = {}
        indexes = {i["IndexName"]: i for i in properties.get("GlobalSecondaryIndexes", [])}
        has_keys_only = indexes.get("by_due", {}).get("Projection") == {
            "ProjectionType": "KEYS_ONLY"
        }
        self._shown = {*self.key, "due_lane", "due_at"} if has_keys_only else None

    def place(self, item: Item) -> tuple[str, ...]:
        """Return the key of a row."""
        return tuple(item[name]["S"] for name in self.key)

    def due(self, shard: str, first: str, last: str) -> list[Item]:
        """Return a shard's entries in the index, in order of due times."""
        found = [
            row
            for row in self.rows.values()
            if "due_lane" in row
            and row["due_lane"]["S"] == shard
            and first <= row["due_at"]["S"] <= last
        ]
        if self.crowd is not None:
            found += self.crowd.between(shard, first, last)
        found.sort(key=lambda row: str(row["due_at"]["S"]))
        if self._shown is None:
            return found
        return [{name: v for name, v in row.items() if name in self._shown} for row in found]


class CrowdedClient:
    """The calls of boto3's client that the stores make, on tables by name."""

    def __init__(self, tables: dict[str, Table]) -> None:
        self._tables = tables

    def get_item(self, *, TableName: str, Key: Item, ConsistentRead: bool) -> dict[str, Any]:
        """Return a row, if there is one."""
        table = self._tables[TableName]
        row = table.rows.get(table.place(Key))
        return {} if row is None else {"Item": row}

    def put_item(self, **action: Any) -> dict[str, Any]:
        """Write a row if its condition holds."""
        if (refused := self._refused(action)) is not None:
            raise _error("ConditionalCheckFailedException", Item=refused)
        self._put(action)
        return {}

    def transact_write_items(
        self, *, TransactItems: list[Any], ClientRequestToken: str
    ) -> dict[str, Any]:
        """Write all rows, or none."""
        puts = [item["Put"] for item in TransactItems]
        refused = [self._refused(put) for put in puts]
        if any(row is not None for row in refused):
            reasons = [
                {"Code": "None"} if row is None else {"Code": "ConditionalCheckFailed", "Item": row}
                for row in refused
            ]
            raise _error("TransactionCanceledException", CancellationReasons=reasons)
        for put in puts:
            self._put(put)
        return {}

    def query(self, **asked: Any) -> dict[str, Any]:
        """Return a page of by_due."""
        found = _RANGE.match(asked["KeyConditionExpression"])
        if found is None or asked["IndexName"] != "by_due" or "FilterExpression" in asked:
            raise NotImplementedError(f"a query like {asked}")
        values = {k: v["S"] for k, v in asked["ExpressionAttributeValues"].items()}
        _, shard, _, until, first, last = found.groups()
        rows = self._tables[asked["TableName"]].due(
            values[shard], values[first] if first else "", values[last or until]
        )
        start = asked.get("ExclusiveStartKey", {PARTITION: 0})[PARTITION]
        page = rows[start : start + asked["Limit"]]
        end = {PARTITION: start + len(page)}
        more = {"LastEvaluatedKey": end} if len(page) == asked["Limit"] else {}
        return {"Items": page, "ScannedCount": len(page), **more}

    def _put(self, action: Any) -> None:
        table = self._tables[action["TableName"]]
        table.rows[table.place(action["Item"])] = action["Item"]

    def _refused(self, action: Any) -> Item | None:
        """Return the row that makes the condition fail; None if it holds."""
        table = self._tables[action["TableName"]]
        row = table.rows.get(table.place(action["Item"]))
        condition = action["ConditionExpression"]
        if condition in _ABSENT:
            return row
        if condition not in (c.IS_REVISION_SEEN, c.IS_WORKSPACE_SEEN):
            raise NotImplementedError(f"the condition {condition}")
        values = action["ExpressionAttributeValues"]
        seen = {name.removeprefix(":seen_"): value for name, value in values.items()}
        is_as_seen = row is not None and all(row.get(name) == seen[name] for name in seen)
        return None if is_as_seen else row or {}


def _error(code: str, **more: Any) -> ClientError:
    answer: Any = {
        "Error": {"Code": code, "Message": code},
        "ResponseMetadata": {"HTTPStatusCode": 400},
        **more,
    }
    return ClientError(answer, "Write")
