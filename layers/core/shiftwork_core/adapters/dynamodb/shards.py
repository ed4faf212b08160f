"""Spread an index over several partitions.

At nine in the morning thousands of rows change at once, and a partition takes a thousand writes a
second (DynamoDB's quotas): an index of one partition would throttle the writes of its table.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from shiftwork_core.adapters.dynamodb import conditions as c
from shiftwork_core.adapters.dynamodb.database import Database
from shiftwork_core.adapters.dynamodb.expressions import Changes, Item, Values, update
from shiftwork_core.domain.put_offs import (
    PutOff,
    put_off_again,
    put_off_from_text,
    put_off_to_text,
)
from shiftwork_core.domain.times import from_iso, to_iso
from shiftwork_core.ports.shards import SHARDS, shard_of

#: A sweep reads so many rows of a shard at once.
_DUE_PAGE = 100


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
        is_descending: bool = False,
    ) -> Iterator[Item]:
        """Return rows of one shard in order, eventually consistent."""
        return self.database.query(
            self.table,
            f"#{self.lane} = :shard{condition and f' AND {condition}'}",
            {**values, "shard": shard},
            index=self.name,
            is_descending=is_descending,
            page_size=page_size,
        )

    def due(self, before: datetime, shard: str | None, *, of: str | None = None) -> Iterator[Item]:
        """Return rows due before a time, the longest due first: of one shard, or of all.

        It reads page by page, each behind the last. So whatever a sweep does with the rows, it
        meets none of them again, and none keeps it from the next.
        """
        condition, values = f"#{self.sort} < :before", {"before": before}
        if shard is None:
            return self.of_all(condition, values, _DUE_PAGE, of=of)
        partition = shard if of is None else _partition(of, shard)
        return self.of_shard(partition, condition, values, _DUE_PAGE)

    def put_off(self, key: Item, before: datetime) -> PutOff | None:
        """Make a row due later that a sweep of what is due before a time cannot handle.

        It reads nothing else of the row, which may be what is wrong. None: the row is no longer
        due before that time, or somebody is just handling it.
        """
        row = self.database.read(self.table, key)
        if row is None or self.lane not in row or row[self.sort]["S"] >= to_iso(before):
            return None
        seen_due_at = from_iso(row[self.sort]["S"])
        known = put_off_from_text(row.get("put_off", {}).get("S"))
        # As rows keep times, so that the next sweep knows its own.
        put_off = put_off_again(known, seen_due_at, from_iso(to_iso(before)))
        changes: Changes = {self.sort: put_off.until, "put_off": put_off_to_text(put_off)}
        condition = c.both(f"#{self.sort} = :seen_due_at", f"attribute_exists(#{self.lane})")
        written = self.database.write(
            update(self.table, key, condition, changes, {"seen_due_at": seen_due_at})
        )
        is_ours = written.item is not None and written.item.get("put_off") == {
            "S": put_off_to_text(put_off)
        }
        return put_off if is_ours else None

    def of_all(
        self,
        condition: str,
        values: Values,
        page_size: int | None,
        *,
        of: str | None = None,
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
                    is_descending=is_descending,
                )
                for shard in SHARDS
            ),
            key=lambda item: str(item[self.sort]["S"]),
            reverse=is_descending,
        )
