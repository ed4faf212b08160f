"""Keep DynamoDB's tables in memory, and charge each call's units to the partitions it touches.

It answers the calls that our adapters make, as DynamoDB does, in a fraction of a millisecond. That
it does so is checked by the tests of the stores, which run on it as well.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import RLock
from typing import Any, Protocol

from botocore.exceptions import ClientError

from benchmarks.quotas.expressions import changes, condition, plain
from benchmarks.units import Item, item_bytes, read_units, write_units

#: A query or scan ends its page when it has evaluated so much.
_PAGE_BYTES = 1024 * 1024
#: For how long a transaction's token is remembered.
_TOKEN_S = 600.0

_SORT_CONDITION = re.compile(
    r"begins_with\(#\w+, (?P<prefix>:\w+)\)"
    r"|#\w+ BETWEEN (?P<first>:\w+) AND (?P<last>:\w+)"
    r"|#\w+ (?P<sign>=|<|<=|>|>=) (?P<value>:\w+)"
)

#: Where a row stands in a partition: its sort key, and in an index its table's key as well.
Place = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition of a table, or of one of its indexes: what one partition key's rows share."""

    table: str
    index: str
    key: str


@dataclass(frozen=True, slots=True)
class Charge:
    """Units that a call takes from one partition."""

    partition: Partition
    units: float
    is_write: bool


class Capacity(Protocol):
    """Decides whether partitions have the units that a call needs."""

    def take(self, charges: Sequence[Charge]) -> bool:
        """Take all units, or none; return whether the partitions had them."""


class Unlimited:
    """Partitions without a limit."""

    def take(self, charges: Sequence[Charge]) -> bool:
        """Take nothing."""
        return True


@dataclass
class Index:
    """A table's own order of rows, or that of an index.

    Attributes
    ----------
    name
        Empty for the table's own.
    keys
        The attributes of its key: one, or two.
    projected
        What an entry holds beside its keys; None for everything.
    """

    name: str
    keys: tuple[str, ...]
    projected: frozenset[str] | None = None
    places: dict[Any, list[Place]] = field(default_factory=dict)

    def holds(self, row: Item) -> bool:
        """Whether the row has an entry."""
        return all(key in row for key in self.keys)

    def entry(self, row: Item) -> Item:
        """Return the entry of a row."""
        if self.projected is None:
            return row
        return {name: value for name, value in row.items() if name in self.projected}


class Table:
    """One table and its indexes."""

    def __init__(self, name: str, schema: Mapping[str, Any]) -> None:
        self.name = name
        self.keys = _names(schema["KeySchema"])
        self.rows: dict[Place, Item] = {}
        self.indexes = {"": Index("", self.keys)}
        for declared in schema.get("GlobalSecondaryIndexes", []):
            keys = _names(declared["KeySchema"])
            projection = declared["Projection"]
            projected = None
            if projection["ProjectionType"] != "ALL":
                extra = projection.get("NonKeyAttributes", [])
                projected = frozenset((*keys, *self.keys, *extra))
            index = Index(declared["IndexName"], keys, projected)
            self.indexes[index.name] = index

    def key_of(self, row: Item) -> Place:
        """Return the key of a row, or of a call's `Key`."""
        return tuple(plain(row[name]) for name in self.keys)

    def place(self, index: Index, row: Item) -> Place:
        """Return where a row stands in its partition."""
        sort = tuple(plain(row[name]) for name in index.keys[1:])
        return sort if not index.name else (*sort, *self.key_of(row))

    def put(self, key: Place, row: Item | None) -> None:
        """Set or remove a row, in the table and in each index."""
        old = self.rows.get(key)
        for index in self.indexes.values():
            before = old if old is not None and index.holds(old) else None
            after = row if row is not None and index.holds(row) else None
            self._move(index, before, after)
        if row is None:
            self.rows.pop(key, None)
        else:
            self.rows[key] = row

    def _move(self, index: Index, before: Item | None, after: Item | None) -> None:
        old = None if before is None else (plain(before[index.keys[0]]), self.place(index, before))
        new = None if after is None else (plain(after[index.keys[0]]), self.place(index, after))
        if old == new:
            return
        if old is not None:
            places = index.places[old[0]]
            del places[bisect_left(places, old[1])]
            if not places:
                del index.places[old[0]]
        if new is not None:
            insort(index.places.setdefault(new[0], []), new[1])

    def charges(self, key: Place, row: Item | None, *, is_transaction: bool) -> Iterator[Charge]:
        """Yield what it takes to write a row: of the table, and of each index that changes."""
        old = self.rows.get(key)
        size = max(item_bytes(old or {}), item_bytes(row or {}))
        units = write_units(size, is_transaction=is_transaction)
        yield Charge(Partition(self.name, "", _text(key[0])), units, True)
        for index in self.indexes.values():
            if index.name:
                yield from self._index_charges(index, old, row)

    def _index_charges(self, index: Index, old: Item | None, new: Item | None) -> Iterator[Charge]:
        before = index.entry(old) if old is not None and index.holds(old) else None
        after = index.entry(new) if new is not None and index.holds(new) else None
        if before == after:
            return
        moves = before is None or after is None or any(before[k] != after[k] for k in index.keys)
        for entry in (before, after) if moves else (after,):
            if entry is not None:
                partition = Partition(self.name, index.name, _text(plain(entry[index.keys[0]])))
                yield Charge(partition, write_units(item_bytes(entry)), True)


class Tables:
    """DynamoDB, as one client sees it.

    Parameters
    ----------
    capacity:
        Decides which calls are throttled.
    clock:
        Return the time in seconds; a transaction's token is forgotten after ten minutes.
    """

    def __init__(
        self, capacity: Capacity | None = None, clock: Callable[[], float] = lambda: 0.0
    ) -> None:
        self._capacity = capacity or Unlimited()
        self._clock = clock
        self._tables: dict[str, Table] = {}
        self._transactions: dict[str, tuple[float, str]] = {}
        #: Threads of tests call it too; a write is atomic.
        self._lock = RLock()

    def create_table(self, *, TableName: str, **schema: Any) -> None:
        """Create a table."""
        self._tables[TableName] = Table(TableName, schema)

    def delete_table(self, *, TableName: str) -> None:
        """Delete a table."""
        del self._tables[TableName]

    def table(self, name: str) -> Table:
        """Return a table."""
        if name not in self._tables:
            raise _error("ResourceNotFoundException", f"there is no table {name}")
        return self._tables[name]

    # -- reads ---------------------------------------------------------------------------------

    def get_item(self, *, TableName: str, Key: Item, ConsistentRead: bool = False) -> Item:
        """Answer GetItem."""
        table = self.table(TableName)
        row = table.rows.get(table.key_of(Key))
        self._charge_read(table, "", plain(Key[table.keys[0]]), _size([row]), ConsistentRead)
        return {} if row is None else {"Item": dict(row)}

    def batch_get_item(self, *, RequestItems: Mapping[str, Any]) -> Item:
        """Answer BatchGetItem; nothing is ever left out."""
        answers: dict[str, list[Item]] = {}
        for name, wanted in RequestItems.items():
            is_consistent = wanted.get("ConsistentRead", False)
            found = [
                self.get_item(TableName=name, Key=key, ConsistentRead=is_consistent)
                for key in wanted["Keys"]
            ]
            answers[name] = [answer["Item"] for answer in found if answer]
        return {"Responses": answers, "UnprocessedKeys": {}}

    def query(self, *, TableName: str, **given: Any) -> Item:
        """Answer Query: rows of one partition, in the order of their sort key."""
        table = self.table(TableName)
        index = table.indexes[given.get("IndexName", "")]
        names, values = _names_and_values(given)
        text = given["KeyConditionExpression"]
        partition_key = _partition_value(text, index.keys[0], names, values)
        places = index.places.get(partition_key, [])
        low, high = _range(text, values, places)
        chosen: Sequence[Place] = places[low:high]
        start = given.get("ExclusiveStartKey")
        if given.get("ScanIndexForward", True):
            if start is not None:
                chosen = chosen[bisect_right(chosen, table.place(index, start)) :]
        else:
            if start is not None:
                chosen = chosen[: bisect_left(chosen, table.place(index, start))]
            chosen = chosen[::-1]
        rows = (table.rows[self._key_at(table, index, partition_key, place)] for place in chosen)
        return self._page(table, index, partition_key, rows, len(chosen), given)

    def scan(self, *, TableName: str, **given: Any) -> Item:
        """Answer Scan."""
        table = self.table(TableName)
        index = table.indexes[given.get("IndexName", "")]
        keys = [
            self._key_at(table, index, partition, place)
            for partition, places in sorted(index.places.items())
            for place in places
        ]
        if "ExclusiveStartKey" in given:
            keys = keys[keys.index(table.key_of(given["ExclusiveStartKey"])) + 1 :]
        rows = (table.rows[key] for key in keys)
        return self._page(table, index, ("S", ""), rows, len(keys), given)

    def _key_at(self, table: Table, index: Index, partition: Any, place: Place) -> Place:
        return (partition, *place) if not index.name else place[len(index.keys) - 1 :]

    def _page(
        self,
        table: Table,
        index: Index,
        partition: Any,
        rows: Iterator[Item],
        count: int,
        given: Mapping[str, Any],
    ) -> Item:
        """Evaluate rows up to the bounds of a page, and answer those that the filter lets pass."""
        names, values = _names_and_values(given)
        where = given.get("FilterExpression")
        passes = condition(where) if where else None
        limit = given.get("Limit")
        size, seen, found = 0, 0, list[Item]()
        last: Item | None = None
        for row in rows:
            if seen == limit or size > _PAGE_BYTES:
                break
            entry = index.entry(row)
            size, seen, last = size + item_bytes(entry), seen + 1, row
            if passes is None or passes(entry, names, values):
                found.append(dict(entry))
        self._charge_read(table, index.name, partition, size, given.get("ConsistentRead", False))
        answer: Item = {"Count": len(found), "ScannedCount": seen}
        if given.get("Select") != "COUNT":
            answer["Items"] = found
        if last is not None and (seen == limit or seen < count):
            answer["LastEvaluatedKey"] = {name: last[name] for name in (*table.keys, *index.keys)}
        return answer

    def _charge_read(
        self, table: Table, index: str, key: Any, size: int, is_consistent: bool
    ) -> None:
        units = read_units(size, is_consistent=is_consistent)
        self._take([Charge(Partition(table.name, index, _text(key)), units, False)])

    # -- writes --------------------------------------------------------------------------------

    def put_item(self, **action: Any) -> Item:
        """Answer PutItem."""
        return self._write("Put", action)

    def delete_item(self, **action: Any) -> Item:
        """Answer DeleteItem."""
        return self._write("Delete", action)

    def update_item(self, **action: Any) -> Item:
        """Answer UpdateItem with the whole row, as our adapters want it."""
        return self._write("Update", action)

    def transact_write_items(
        self,
        *,
        TransactItems: Sequence[Mapping[str, Any]],
        ClientRequestToken: str = "",
        ReturnConsumedCapacity: str = "",
    ) -> Item:
        """Answer TransactWriteItems: all or none."""
        with self._lock:
            return self._transact(TransactItems, ClientRequestToken)

    def _transact(self, items: Sequence[Mapping[str, Any]], token: str) -> Item:
        actions = [next(iter(action.items())) for action in items]
        text = json.dumps(items, sort_keys=True, default=repr)
        now = self._clock()
        known = self._transactions.get(token)
        if token and known is not None and now < known[0] + _TOKEN_S:
            if known[1] != text:
                raise _error("IdempotentParameterMismatchException", "another transaction's token")
            return {}
        results = [self._result(kind, action) for kind, action in actions]
        charges = [
            charge
            for (table, key, row, _), (kind, _action) in zip(results, actions, strict=True)
            for charge in _of_transaction(table, key, row, is_check=kind == "ConditionCheck")
        ]
        self._take(charges)
        if not all(holds for _, _, _, holds in results):
            raise _cancelled(results, actions)
        for (table, key, row, _), (kind, _action) in zip(results, actions, strict=True):
            if kind != "ConditionCheck":
                table.put(key, row)
        if token:
            self._transactions[token] = (now, text)
        tables = dict.fromkeys(charge.partition.table for charge in charges)
        return {
            "ConsumedCapacity": [
                _consumed([c for c in charges if c.partition.table == name]) for name in tables
            ]
        }

    def _write(self, kind: str, action: Mapping[str, Any]) -> Item:
        with self._lock:
            return self._write_alone(kind, action)

    def _write_alone(self, kind: str, action: Mapping[str, Any]) -> Item:
        table, key, row, holds = self._result(kind, action)
        if not holds:
            # A condition that fails costs its table's units, and no index's.
            self._take(list(table.charges(key, table.rows.get(key), is_transaction=False)))
            raise _error(
                "ConditionalCheckFailedException",
                "the condition failed",
                **_old_row(action, table.rows.get(key)),
            )
        charges = list(table.charges(key, row, is_transaction=False))
        self._take(charges)
        table.put(key, row)
        answer: Item = {"Attributes": dict(row or {})} if kind == "Update" else {}
        return answer | {"ConsumedCapacity": _consumed(charges)}

    def _result(
        self, kind: str, action: Mapping[str, Any]
    ) -> tuple[Table, Place, Item | None, bool]:
        """Return an action's table and key, its row afterwards, and whether its condition holds."""
        table = self.table(action["TableName"])
        names, values = _names_and_values(action)
        item = action["Item"] if kind == "Put" else action["Key"]
        _check_keys(table, item)
        key = table.key_of(item)
        old = table.rows.get(key)
        text = action.get("ConditionExpression")
        holds = text is None or condition(text)(old or {}, names, values)
        row = old
        if kind == "Put":
            row = dict(item)
        elif kind == "Delete":
            row = None
        elif kind == "Update":
            row = changes(action["UpdateExpression"])(old or dict(item), names, values)
        return table, key, row, holds

    def _take(self, charges: Sequence[Charge]) -> None:
        if not self._capacity.take(charges):
            raise _error("ProvisionedThroughputExceededException", "a partition is over its limit")


def _of_transaction(
    table: Table, key: Place, row: Item | None, *, is_check: bool
) -> Iterator[Charge]:
    return table.charges(key, table.rows.get(key) if is_check else row, is_transaction=True)


def _partition_value(
    text: str, name: str, names: Mapping[str, str], values: Mapping[str, Any]
) -> Any:
    first = text.split(" AND ")[0].strip("()")
    alias, _, value = first.partition(" = ")
    if names.get(alias) != name:
        raise NotImplementedError(text)
    return plain(values[value])


def _range(text: str, values: Mapping[str, Any], places: Sequence[Place]) -> tuple[int, int]:
    """Return the range of places that the condition on the sort key names."""
    _, _, rest = text.partition(" AND ")
    if not rest:
        return 0, len(places)
    found = _SORT_CONDITION.fullmatch(rest)
    if found is None:
        raise NotImplementedError(text)
    if found["prefix"]:
        kind, prefix = plain(values[found["prefix"]])
        return _from(places, (kind, prefix)), _behind(places, (kind, prefix + "\U0010ffff"))
    if found["first"]:
        first, last = plain(values[found["first"]]), plain(values[found["last"]])
        return _from(places, first), _behind(places, last)
    value = plain(values[found["value"]])
    match found["sign"]:
        case "<":
            return 0, _from(places, value)
        case "<=":
            return 0, _behind(places, value)
        case ">":
            return _behind(places, value), len(places)
        case ">=":
            return _from(places, value), len(places)
        case _:
            return _from(places, value), _behind(places, value)


def _from(places: Sequence[Place], value: Any) -> int:
    return bisect_left(places, value, key=lambda place: place[0])


def _behind(places: Sequence[Place], value: Any) -> int:
    return bisect_right(places, value, key=lambda place: place[0])


def _names_and_values(given: Mapping[str, Any]) -> tuple[Item, Item]:
    """Return what a call's expressions mention. DynamoDB refuses an empty list of them."""
    for name in ("ExpressionAttributeNames", "ExpressionAttributeValues"):
        if given.get(name) == {}:
            raise _error("ValidationException", f"{name} must not be empty")
    return given.get("ExpressionAttributeNames", {}), given.get("ExpressionAttributeValues", {})


def _check_keys(table: Table, item: Item) -> None:
    """Refuse an empty key, as DynamoDB does."""
    for name in table.keys:
        if name not in item or item[name] == {"S": ""}:
            raise _error("ValidationException", f"the key {name} is absent or empty")


def _consumed(charges: Sequence[Charge]) -> Item:
    """Return the units of a write as DynamoDB reports them, with those of each index."""
    indexes: dict[str, Item] = {}
    for charge in charges:
        if charge.partition.index:
            known = indexes.setdefault(charge.partition.index, {"CapacityUnits": 0.0})
            known["CapacityUnits"] += charge.units
    return {
        "TableName": charges[0].partition.table,
        "CapacityUnits": sum(charge.units for charge in charges),
        "GlobalSecondaryIndexes": indexes,
    }


def _old_row(action: Mapping[str, Any], row: Item | None) -> dict[str, Any]:
    if row is None or action.get("ReturnValuesOnConditionCheckFailure") != "ALL_OLD":
        return {}
    return {"Item": dict(row)}


def _cancelled(
    results: Sequence[tuple[Table, Place, Item | None, bool]],
    actions: Sequence[tuple[str, Mapping[str, Any]]],
) -> ClientError:
    reasons = [
        {"Code": "None"}
        if holds
        else {"Code": "ConditionalCheckFailed", **_old_row(action, table.rows.get(key))}
        for (table, key, _, holds), (_, action) in zip(results, actions, strict=True)
    ]
    return _error("TransactionCanceledException", "a condition failed", CancellationReasons=reasons)


def _error(code: str, message: str, **more: Any) -> ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": 400},
        **more,
    }
    return ClientError(response, "DynamoDB")


def _size(rows: Sequence[Item | None]) -> int:
    return sum(item_bytes(row) for row in rows if row is not None)


def _names(schema: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    """Return the attributes of a key, the partition's first."""
    return tuple(k["AttributeName"] for k in sorted(schema, key=lambda k: k["KeyType"]))


def _text(key: Any) -> str:
    return str(key[1])
