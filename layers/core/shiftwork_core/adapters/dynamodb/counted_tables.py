"""Read the rows of which something is counted: from a stream's records, or table by table.

This is the one place that knows how the tables' streams look. A record has the row before and after
a write. Which records reach CountOutcomes is said by the filters in template.yaml; one that is left
out must change nothing of what `domain.metrics.happened` reports of its row.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from shiftwork_core.adapters.dynamodb import items, namespaces
from shiftwork_core.adapters.dynamodb.database import Database
from shiftwork_core.adapters.dynamodb.expressions import Item, to_wire, update
from shiftwork_core.adapters.dynamodb.lifecycle_jobs import lifecycle_job_from
from shiftwork_core.adapters.dynamodb.namespaces import to_row
from shiftwork_core.domain.metrics.happened import Row
from shiftwork_core.ports.metrics import Change, CountedTables, Scanned, Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

logger = logging.getLogger("shiftwork.counted_tables")

#: What parsing a row raises that has other attributes than ours, or other values.
_UNREADABLE = (KeyError, ValueError, TypeError, AttributeError)

_KEYS = {
    Table.REQUESTS: namespaces.REQUESTS,
    Table.JOBS: namespaces.JOBS,
    Table.LIFECYCLE_JOBS: namespaces.LIFECYCLE_JOBS,
}
#: The id of the rows that only beat. No id that a caller can name has this character.
_BEAT = "#beat"
_BEATS: dict[Table, Item] = {
    Table.REQUESTS: to_wire({"request_id": _BEAT, "part": _BEAT}),
    Table.JOBS: to_wire({"lot": _BEAT, "key": _BEAT}),
    Table.LIFECYCLE_JOBS: to_wire({"id": _BEAT}),
}


@dataclass(frozen=True, slots=True)
class CountedTableNames:
    """The names of the tables whose changes are counted."""

    requests: str
    jobs: str
    lifecycle_jobs: str

    def name_of(self, table: Table) -> str:
        """Return a table's name."""
        name: str = getattr(self, table.value)
        return name


class DynamoCountedTables(CountedTables):
    """The tables of requests, jobs and lifecycle jobs."""

    def __init__(
        self,
        client: DynamoDBClient,
        names: CountedTableNames,
        *,
        sleep: Callable[[float], None] = time.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._database = Database(
            client, sleep, draw, {names.name_of(table): keys for table, keys in _KEYS.items()}
        )
        self._names = names

    def table_of(self, stream_arn: str) -> Table:
        """Return the table of a stream.

        Raises
        ------
        ValueError
            If it is none of these.
        """
        name = stream_arn.partition(":table/")[2].partition("/")[0]
        for table in Table:
            if self._names.name_of(table) == name:
                return table
        raise ValueError(f"the stream {stream_arn!r} belongs to no table that is counted")

    def send_beats(self, now: datetime) -> None:
        for table, key in _BEATS.items():
            name = self._names.name_of(table)
            self._database.write(update(name, key, None, {"beat_at": now}))

    def scan(self, table: Table, after: Mapping[str, str] | None) -> Iterator[Scanned]:
        start = None if after is None else to_wire(dict(after))
        for item in self._database.scan(self._names.name_of(table), after=start):
            key = {name: str(item[name]["S"]) for name in _BEATS[table]}
            try:
                yield Scanned(key, row_of(table, item))
            except _UNREADABLE:
                logger.exception("cannot be read", extra={"table": table, "key": key})
                yield Scanned(key, None, is_readable=False)


def changes_in(table: Table, records: Sequence[Mapping[str, Any]]) -> list[Change]:
    """Return the changes that a stream's records report, in order.

    A record that cannot be read is logged, and is a change that says so: it must not hold up all
    that come after it.
    """
    return [_change(table, record) for record in records]


def _change(table: Table, record: Mapping[str, Any]) -> Change:
    body = record["dynamodb"]
    sequence = str(body["SequenceNumber"])
    written_at = datetime.fromtimestamp(float(body["ApproximateCreationDateTime"]), UTC)
    if record["eventName"] == "REMOVE":  # The row has expired.
        return Change(sequence, written_at)
    keys = _KEYS[table]
    if to_row(keys, body["Keys"]) == _BEATS[table]:
        return Change(sequence, written_at, is_beat=True)
    try:
        old = row_of(table, to_row(keys, body["OldImage"])) if "OldImage" in body else None
        return Change(sequence, written_at, old, row_of(table, to_row(keys, body["NewImage"])))
    except _UNREADABLE:
        logger.exception("cannot be read", extra={"table": table, "key": body.get("Keys")})
        return Change(sequence, written_at, is_readable=False)


def row_of(table: Table, item: Item) -> Row | None:
    """Return the row of an item; None for one of which nothing is counted."""
    match table:
        case Table.REQUESTS:
            part = item["part"]["S"]
            if part == items.REQUEST_PART:
                return items.request_from(item)
            return items.step_from(item) if part.startswith(items.STEP_PREFIX) else None
        case Table.JOBS:  # Only attempts have keys that begin with a digit.
            return items.attempt_from(item) if item["key"]["S"][:1].isdigit() else None
        case Table.LIFECYCLE_JOBS:
            return None if item["id"]["S"] == _BEAT else lifecycle_job_from(item)
