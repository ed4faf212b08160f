"""Store versions of request types and job types in DynamoDB."""

from __future__ import annotations

import json
import random
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from shiftwork_core.adapters.dynamodb import conditions as c
from shiftwork_core.adapters.dynamodb import namespaces
from shiftwork_core.adapters.dynamodb.database import Database
from shiftwork_core.adapters.dynamodb.expressions import Item, Value, from_wire, put, to_wire
from shiftwork_core.adapters.pages import newest_of, page_of, rows_to_look_at
from shiftwork_core.domain.payloads import to_json
from shiftwork_core.domain.requests.definitions import Definition, Kind
from shiftwork_core.errors import TooLarge
from shiftwork_core.ports.stores import MOST_LOOKED_AT, DefinitionStore, Page

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

#: An item may have 400 KB (DynamoDB's quotas); this leaves room for the other attributes. A
#: larger body is kept compressed: ten thousand listed jobs compress well.
_MAX_BODY_BYTES = 390 * 1024
#: No version has a higher number.
_MOST_VERSIONS = 10**10 - 1
_READ_AT_ONCE = 100


class DynamoDefinitionStore(DefinitionStore):
    """The definitions table. The index by_name lists all versions of a kind."""

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

    def find(self, kind: Kind, limit: int, next_token: str | None) -> Page[Definition]:
        page_size = rows_to_look_at(limit, is_filtered=True) + 1
        places = self._places(kind, next_token, page_size)
        wanted = newest_of(_name_in, lambda place: "is_deleted" not in place)
        page = page_of(places, limit, _name_in, wanted)
        return Page(self._at(page.items), page.next_token)

    def latest(self, kind: Kind) -> Iterator[Definition]:
        is_newest = newest_of(_name_in)
        newest = filter(is_newest, self._places(kind, None, MOST_LOOKED_AT))
        while chunk := list(islice(newest, _READ_AT_ONCE)):
            yield from self._at(chunk)

    def _places(self, kind: Kind, after: str | None, page_size: int) -> Iterator[Item]:
        """Return the index's entries behind those of a name: by name, its newest version first."""
        condition, values = "#kind = :kind", {"kind": kind.value}
        if after:  # `~` comes behind the digits of all versions.
            condition += " AND #place > :behind"
            values["behind"] = f"{after}#~"
        return self._database.query(
            self._table, condition, values, index="by_name", page_size=page_size
        )

    def _at(self, places: Sequence[Item]) -> list[Definition]:
        """Read the rows of some entries, strongly consistent, in order of their names."""
        keys = [{"name": place["name"], "version": place["version"]} for place in places]
        rows = map(_definition, self._database.read_many(self._table, keys))
        return sorted(rows, key=lambda definition: definition.name)


def _name_in(place: Item) -> str:
    name: str = place["name"]["S"]
    return name.partition("#")[2]


def _place(definition: Definition) -> str:
    """Return where a version stands among those of its kind.

    `#` comes before all characters of names, so names are in their own order. A name's newest
    version comes first: a list need not read the others.
    """
    return f"{definition.name}#{_MOST_VERSIONS - definition.version:010}"


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
            "kind": definition.kind,
            "place": _place(definition),
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
