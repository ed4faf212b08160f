"""Spread an index over several partitions.

At nine in the morning thousands of rows change at once, and a partition takes a thousand writes a
second (DynamoDB's quotas): an index of one partition would throttle the writes of its table.
"""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from shiftwork_core.adapters.dynamodb.database import Database
from shiftwork_core.adapters.dynamodb.expressions import Item, Values

#: The values of a sharded index's partition key. Each costs a query whenever an index is read, so
#: they are few; adding some later is safe, as rows are looked for in all.
SHARDS = tuple("01234567")


def shard_of(row_id: str) -> str:
    """Return a row's shard, which never changes."""
    return SHARDS[zlib.crc32(row_id.encode()) % len(SHARDS)]


def due_lane(row_id: str, due_at: datetime | None) -> str | None:
    """Return the values that put a row into the index of due times; None keeps it out."""
    return None if due_at is None else shard_of(row_id)


def sharded(lane: str, row_id: str) -> str:
    """Return the partition of a row in an index that keeps several lanes apart."""
    return _partition(lane, shard_of(row_id))


def _partition(lane: str, shard: str) -> str:
    return f"{lane}#{shard}"


@dataclass(frozen=True, slots=True)
class ShardedIndex:
    """An index whose partition key `lane` is a shard, and whose sort key is `sort`.

    Where it keeps several lanes apart, the partition key is a lane and a shard, as `sharded` makes
    it, and a read names the lane as `of`.
    """

    database: Database
    table: str
    name: str
    lane: str
    sort: str

    def of_shard(
        self,
        shard: str,
        condition: str,
        values: Values,
        page_size: int | None,
        *,
        where: str | None = None,
        is_descending: bool = False,
    ) -> Iterator[Item]:
        """Return rows of one shard in order, eventually consistent."""
        return self.database.query(
            self.table,
            f"#{self.lane} = :shard{condition and f' AND {condition}'}",
            {**values, "shard": shard},
            index=self.name,
            where=where,
            is_descending=is_descending,
            page_size=page_size,
        )

    def of_all(
        self,
        condition: str,
        values: Values,
        page_size: int | None,
        *,
        of: str | None = None,
        where: str | None = None,
        is_descending: bool = False,
    ) -> Iterator[Item]:
        """Return rows of all shards in one order, reading no page before it is needed."""
        return heapq.merge(
            *(
                self.of_shard(
                    shard if of is None else _partition(of, shard),
                    condition,
                    values,
                    page_size,
                    where=where,
                    is_descending=is_descending,
                )
                for shard in SHARDS
            ),
            key=lambda item: str(item[self.sort]["S"]),
            reverse=is_descending,
        )
