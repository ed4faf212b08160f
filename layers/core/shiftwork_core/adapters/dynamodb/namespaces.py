"""Put the namespace in front of every partition key on the wire, and take it off again.

Stores know ids; DynamoDB knows `<namespace>#<id>`. So rows of several namespaces may lie in one
table, and no store can read or write those of another. On the wire every table's partition key is
the attribute `pk`, whatever its stores call it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from shiftwork_core.adapters.dynamodb.expressions import Item
from shiftwork_core.domain.names import KEY_SEPARATOR

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

#: How the keys of all tables are made. Whoever changes that makes this another number, and the name
#: of every table's partition key another: then CloudFormation makes new tables, and `make
#: deploy` says so. 1 had the ids themselves for keys.
SCHEMA = "2"
#: The only namespace so far.
DEFAULT = "default"
#: The partition key of every table.
PARTITION = "pk"

_EXPRESSIONS = (
    "KeyConditionExpression",
    "FilterExpression",
    "ConditionExpression",
    "UpdateExpression",
)


@dataclass(frozen=True, slots=True)
class TableKeys:
    """What a table's stores call its partition key, and the partition keys of its indexes."""

    partition: str
    of_indexes: frozenset[str] = frozenset()

    def __contains__(self, name: object) -> bool:
        return name == self.partition or name in self.of_indexes


REQUESTS = TableKeys("request_id", frozenset({"status_lane", "lane"}))
PAYLOADS = TableKeys("request_id")
BATCHES = TableKeys("request_id")
JOBS = TableKeys("lot", frozenset({"wake_lane", "queue"}))
LIMITS = TableKeys("name")
DEFINITIONS = TableKeys("name", frozenset({"kind"}))
WORKERS = TableKeys("worker_id", frozenset({"list_lane", "watch_lane"}))
TOKENS = TableKeys("token_id")
WORKSPACES = TableKeys("workspace_id", frozenset({"list_lane", "due_lane"}))
LIFECYCLE_JOBS = TableKeys("id", frozenset({"workspace_id", "list_lane", "due_lane"}))
LIFECYCLE_LOGS = TableKeys("job_id")
COUNTERS = TableKeys("part")


def to_row(keys: TableKeys, item: Item) -> Item:
    """Return a row as its stores know it."""
    return {
        keys.partition if name == PARTITION else name: _bare(value)
        if name == PARTITION or name in keys.of_indexes
        else value
        for name, value in item.items()
    }


def to_stored(keys: TableKeys, row: Item, namespace: str = DEFAULT) -> Item:
    """Return a row, or a key, as DynamoDB has it; what already is so stays."""
    if PARTITION in row:
        return row
    return {
        PARTITION if name == keys.partition else name: _prefixed(value, namespace)
        if name in keys
        else value
        for name, value in row.items()
    }


class NamespacedClient:
    """A client of DynamoDB for one namespace; `keys` are those of each table that it is used for.

    What one call answers as the place to go on from may be given to the next as it is.
    """

    def __init__(
        self,
        client: DynamoDBClient,
        keys: Mapping[str, TableKeys],
        namespace: str = DEFAULT,
    ) -> None:
        self._client: Any = client
        self._keys = keys
        self._namespace = namespace

    def get_item(self, **given: Any) -> Any:
        """Read a row."""
        return self._answered(given["TableName"], self._client.get_item(**self._wired(given)))

    def query(self, **given: Any) -> Any:
        """Read a page of rows."""
        return self._answered(given["TableName"], self._client.query(**self._wired(given)))

    def scan(self, **given: Any) -> Any:
        """Read a page of a whole table: of all namespaces."""
        return self._answered(given["TableName"], self._client.scan(**self._wired(given)))

    def batch_get_item(self, RequestItems: Any) -> Any:
        """Read rows by their keys."""
        asked = {
            table: wanted | {"Keys": [self._stored(table, key) for key in wanted["Keys"]]}
            for table, wanted in RequestItems.items()
        }
        answer = self._client.batch_get_item(RequestItems=asked)
        found = {
            table: [to_row(self._keys[table], item) for item in rows]
            for table, rows in answer["Responses"].items()
        }
        return answer | {"Responses": found}

    def put_item(self, **given: Any) -> Any:
        """Write a whole row."""
        with self._translated([given["TableName"]]):
            return self._client.put_item(**self._wired(given))

    def delete_item(self, **given: Any) -> Any:
        """Delete a row."""
        with self._translated([given["TableName"]]):
            return self._client.delete_item(**self._wired(given))

    def update_item(self, **given: Any) -> Any:
        """Change some attributes of a row."""
        with self._translated([given["TableName"]]):
            answer = self._client.update_item(**self._wired(given))
        return self._answered(given["TableName"], answer)

    def transact_write_items(self, TransactItems: Any, ClientRequestToken: str) -> Any:
        """Write all rows or none."""
        wired = [
            {kind: self._wired(parameters) for kind, parameters in action.items()}
            for action in TransactItems
        ]
        tables = [given["TableName"] for action in TransactItems for given in action.values()]
        with self._translated(tables):
            return self._client.transact_write_items(
                TransactItems=wired, ClientRequestToken=ClientRequestToken
            )

    def _wired(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of a call of one table as DynamoDB takes them."""
        table = given["TableName"]
        keys, wired = self._keys[table], dict(given)
        for part in ("Key", "Item", "ExclusiveStartKey"):
            if part in wired:
                wired[part] = self._stored(table, wired[part])
        names = wired.get("ExpressionAttributeNames", {})
        own = tuple(name for name in names.values() if name in keys)
        if not own:
            return wired
        if keys.partition in own:
            renamed = {f"#{keys.partition}": PARTITION}
            wired["ExpressionAttributeNames"] = names | renamed
        values = wired.get("ExpressionAttributeValues", {})
        texts = tuple(wired[name] for name in _EXPRESSIONS if name in wired)
        compared = {
            name: _prefixed(values[name], self._namespace) for name in _values_of(own, texts)
        }
        if compared:
            wired["ExpressionAttributeValues"] = values | compared
        return wired

    def _stored(self, table: str, row: Item) -> Item:
        return to_stored(self._keys[table], row, self._namespace)

    def _answered(self, table: str, answer: Any) -> Any:
        """Return an answer with its rows as the stores know them."""
        keys, rows = self._keys[table], dict(answer)
        for part in ("Item", "Attributes"):
            if part in rows:
                rows[part] = to_row(keys, rows[part])
        if "Items" in rows:
            rows["Items"] = [to_row(keys, item) for item in rows["Items"]]
        return rows

    @contextmanager
    def _translated(self, tables: list[str]) -> Iterator[None]:
        """Let the rows in an error, which a loser finds, be as the stores know them."""
        try:
            yield
        except ClientError as error:
            answer: Any = error.response
            if "Item" in answer:
                answer["Item"] = to_row(self._keys[tables[0]], answer["Item"])
            reasons = answer.get("CancellationReasons", [])
            for table, reason in zip(tables, reasons, strict=False):
                if "Item" in reason:
                    reason["Item"] = to_row(self._keys[table], reason["Item"])
            raise


def _prefixed(value: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    return {"S": f"{namespace}{KEY_SEPARATOR}{value['S']}"}


def _bare(value: Mapping[str, Any]) -> dict[str, Any]:
    return {"S": value["S"].partition(KEY_SEPARATOR)[2]}


@lru_cache(maxsize=1024)
def _values_of(names: tuple[str, ...], texts: tuple[str, ...]) -> list[str]:
    """Return the values that expressions compare with, or give to, these attributes."""
    found: list[str] = []
    for name in names:
        for text in texts:
            for match in _uses_of(name).finditer(text):
                found += [value for value in match.groups() if value is not None]
    return found


@cache
def _uses_of(name: str) -> re.Pattern[str]:
    return re.compile(
        rf"#{name} (?:=|<>|<=?|>=?) (:\w+)"
        rf"|#{name} BETWEEN (:\w+) AND (:\w+)"
        rf"|begins_with\(#{name}, (:\w+)\)"
    )
