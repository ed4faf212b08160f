"""Store versions of request types and job types in DynamoDB."""

from __future__ import annotations

import json
import random
import time
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from shiftwork_core.adapters.dynamodb import conditions as c
from shiftwork_core.adapters.dynamodb import namespaces
from shiftwork_core.adapters.dynamodb.database import Database
from shiftwork_core.adapters.dynamodb.expressions import Item, Value, from_wire, put, to_wire
from shiftwork_core.domain.payloads import to_json
from shiftwork_core.domain.requests.definitions import Definition, Kind
from shiftwork_core.errors import TooLarge
from shiftwork_core.ports.stores import DefinitionStore

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

#: An item may have 400 KB (DynamoDB's quotas); this leaves room for the other attributes. A
#: larger body is kept compressed: ten thousand listed jobs compress well.
_MAX_BODY_BYTES = 390 * 1024


class DynamoDefinitionStore(DefinitionStore):
    """The definitions table."""

    def __init__(
        self,
        client: DynamoDBClient,
        table: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._database = Database(client, sleep, draw, {table: namespaces.DEFINITIONS})
        self._table = table

    def put(self, definition: Definition) -> bool:
        """Compress a body that would not fit into a row.

        Raises
        ------
        TooLarge
            If the body does not fit into a row, even compressed.
        """
        item = _item(definition)
        outcome = self._database.write(
            put(self._table, item, ("name", "version"), c.IS_NEW_VERSION)
        )
        return outcome.item == item

    def get(self, kind: Kind, name: str, version: int | None = None) -> Definition | None:
        if version is not None:
            key = to_wire({"name": _row_name(kind, name), "version": version})
            item = self._database.read(self._table, key)
        else:
            rows = self._database.query(
                self._table,
                "#name = :name",
                {"name": _row_name(kind, name)},
                is_descending=True,
                page_size=1,
            )
            item = next(rows, None)
        return None if item is None else _definition(item)

    def latest(self, kind: Kind) -> Iterator[Definition]:
        """Scan the table, old versions too: only people ask for this, and definitions are few."""
        rows = self._database.scan(
            self._table, "begins_with(#name, :prefix)", {"prefix": _row_name(kind, "")}
        )
        latest: dict[str, Item] = {}
        for row in rows:
            name, version = row["name"]["S"], int(row["version"]["N"])
            if name not in latest or int(latest[name]["version"]["N"]) < version:
                latest[name] = row
        yield from (_definition(latest[name]) for name in sorted(latest))


def _row_name(kind: Kind, name: str) -> str:
    return f"{kind.value}#{name}"


def _item(definition: Definition) -> Item:
    text = to_json(definition.body)
    body: Value = text
    if len(text.encode()) > _MAX_BODY_BYTES:
        body = zlib.compress(text.encode())
        if len(body) > _MAX_BODY_BYTES:
            raise TooLarge(
                f"the {definition.kind.value} does not fit into {_MAX_BODY_BYTES:,} bytes",
                "list fewer jobs: for_each makes one job of every item of a list",
            )
    return to_wire(
        {
            "name": _row_name(definition.kind, definition.name),
            "version": definition.version,
            "body": body,
            "created_at": definition.created_at,
            "is_deleted": definition.is_deleted or None,
            "queue_shards": None if definition.queue_shards == 1 else definition.queue_shards,
        }
    )


def _definition(item: Item) -> Definition:
    values = from_wire(item)
    kind, _, name = values["name"].partition("#")
    body = values["body"]
    text = zlib.decompress(body).decode() if isinstance(body, bytes) else body
    return Definition(
        kind=Kind(kind),
        name=name,
        version=values["version"],
        body=json.loads(text),
        created_at=values["created_at"],
        is_deleted=values.get("is_deleted", False),
        queue_shards=values.get("queue_shards", 1),
    )
