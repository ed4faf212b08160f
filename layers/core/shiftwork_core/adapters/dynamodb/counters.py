"""Store counters in DynamoDB: totals, series by minute, and how far the streams are counted.

The rows of the table, by `part` and `row`:

`<epoch>#totals#<shard>`           a total: `<subject>#<digest of its labels>`
`minutes#<shard>#<hour>`           a minute of a series: `<minute>#<subject>#<digest>`
`records#<table>#<number>`         the records that were counted together with that, the first
`progress`                         how far a table's stream is counted, by table
`state`                            which epoch counts, and the rebuild under way
`types`                            the types with a name of their own in CloudWatch

Records that are counted together add to the counters of one shard, so that several parts of a
stream, which are counted at the same time, seldom write the same rows. A counter's numbers are
attributes by name.
"""

from __future__ import annotations

import hashlib
import json
import random
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import accumulate, chain, islice, pairwise
from typing import TYPE_CHECKING, Any

from shiftwork_core.adapters.dynamodb import conditions as c
from shiftwork_core.adapters.dynamodb import namespaces
from shiftwork_core.adapters.dynamodb.database import Database
from shiftwork_core.adapters.dynamodb.expressions import (
    Action,
    Changes,
    Item,
    from_wire,
    put,
    remove,
    to_wire,
    update,
)
from shiftwork_core.adapters.dynamodb.items import epoch_s
from shiftwork_core.domain.metrics.counters import (
    MINUTES_KEPT,
    QUEUES_KEPT,
    TOTALS_KEPT,
    Additions,
    CounterKey,
    Subject,
    Tally,
    merge,
)
from shiftwork_core.domain.payloads import to_json
from shiftwork_core.domain.times import from_iso, to_iso
from shiftwork_core.errors import Unavailable
from shiftwork_core.optimistic import Lost, write_until_won_from
from shiftwork_core.ports.metrics import (
    CounterState,
    CounterStore,
    Progress,
    Rebuild,
    Table,
)
from shiftwork_core.ports.shards import SHARDS, shard_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_KEY = ("part", "row")
_STATE = to_wire({"part": "state", "row": "state"})
_TYPES = to_wire({"part": "types", "row": "types"})
_BUSY = Unavailable("too many types are named at once")
#: Attributes of a counter that are no numbers of it.
_NOT_FIELDS = {*_KEY, "subject", "labels", "expires_at"}
#: A stream may deliver a record again for a day.
_RECORDS_KEPT = timedelta(days=3)


class DynamoCounterStore(CounterStore):
    """The counters table."""

    def __init__(
        self,
        client: DynamoDBClient,
        table: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._database = Database(client, sleep, draw, {table: namespaces.COUNTERS})
        self._table = table

    # -- state ---------------------------------------------------------------------------------

    def state(self) -> CounterState | None:
        item = self._database.read(self._table, _STATE)
        return None if item is None else _state_from(item)

    def save_state(self, state: CounterState) -> bool:
        action = self._put_state(state)
        saved: Item = action.parameters["Item"]
        return self._database.write(action).item == saved

    def _put_state(self, state: CounterState) -> Action:
        condition = c.IS_REVISION_SEEN if state.revision else c.IS_ROW_ABSENT
        item = _state_item(replace(state, revision=state.revision + 1))
        return put(self._table, item, _KEY, condition, {"seen_revision": state.revision})

    # -- records of a stream -------------------------------------------------------------------

    def counted_with(self, table: Table, first: str) -> Sequence[str] | None:
        item = self._database.read(self._table, _records_key(table, first))
        return None if item is None else _unpack(item["records"]["B"])

    def count(
        self,
        table: Table,
        records: Sequence[str],
        additions: Additions,
        now: datetime,
    ) -> bool:
        adds = self._adds(additions, shard_of(records[0]), now)
        outcomes = self._database.transact([self._keep(table, records, now), *adds])
        return all(outcome.held for outcome in outcomes)

    def keep_counted(self, table: Table, records: Sequence[str], now: datetime) -> None:
        self._database.write(self._keep(table, records, now))

    def _keep(self, table: Table, records: Sequence[str], now: datetime) -> Action:
        item = _records_key(table, records[0]) | to_wire(
            {"records": _pack(records), "expires_at": epoch_s(now + _RECORDS_KEPT)}
        )
        return put(self._table, item, _KEY, c.IS_ROW_ABSENT)

    def save_progress(self, progress: Progress) -> None:
        key = to_wire({"part": "progress", "row": progress.table})
        counted_to: Changes = {"counted_to": progress.counted_to}
        self._database.write(update(self._table, key, c.IS_COUNTED_LESS_FAR, counted_to))

    def progress(self) -> list[Progress]:
        rows = self._database.query(self._table, "#part = :part", {"part": "progress"})
        return [Progress(Table(row["row"]["S"]), from_iso(row["counted_to"]["S"])) for row in rows]

    # -- counters ------------------------------------------------------------------------------

    def add(self, additions: Additions, now: datetime) -> None:
        for action in self._adds(additions, SHARDS[0], now):
            self._database.write(action)

    def _adds(self, additions: Additions, shard: str, now: datetime) -> Iterator[Action]:
        for epoch, tally in additions.totals.items():
            for key, numbers in tally.items():
                kept = QUEUES_KEPT if key.subject is Subject.QUEUES else TOTALS_KEPT
                yield self._add(_totals(epoch, shard), _row(key), key, numbers, now + kept)
        for minute, tally in additions.minutes.items():
            for key, numbers in tally.items():
                row = f"{to_iso(minute)}#{_row(key)}"
                kept_until = minute + MINUTES_KEPT
                yield self._add(_minutes(shard, minute), row, key, numbers, kept_until)

    def _add(
        self, part: str, row: str, key: CounterKey, numbers: Counter[str], kept_until: datetime
    ) -> Action:
        description: Changes = {
            "subject": key.subject,
            "labels": to_json(list(key.labels)),
            "expires_at": epoch_s(kept_until),
        }
        row_key = to_wire({"part": part, "row": row})
        return update(self._table, row_key, None, description, adds=numbers)

    def totals(self, epoch: int) -> Tally:
        totals: Tally = {}
        for shard in SHARDS:
            for item in self._rows(_totals(epoch, shard)):
                merge(totals, dict([_counter(item)]))
        return totals

    def minutes(self, since: datetime, until: datetime) -> dict[datetime, Tally]:
        series: dict[datetime, Tally] = {}
        for item in self._of_hours(since, until):
            minute = from_iso(item["row"]["S"].partition("#")[0])
            if since <= minute < until:
                merge(series.setdefault(minute, {}), dict([_counter(item)]))
        return series

    def _of_hours(self, since: datetime, until: datetime) -> Iterator[Item]:
        hour = since.replace(minute=0, second=0, microsecond=0)
        while hour < until:
            for shard in SHARDS:
                yield from self._rows(_minutes(shard, hour))
            hour += timedelta(hours=1)

    def _rows(self, part: str) -> Iterator[Item]:
        return self._database.query(
            self._table, "#part = :part", {"part": part}, is_consistent=False
        )

    # -- types ---------------------------------------------------------------------------------

    def named_types(self, wanted: str, most: int) -> frozenset[str]:
        item = self._database.read(self._table, _TYPES)

        def attempt(seen: Item | None) -> frozenset[str] | Lost[Item | None]:
            named: list[str] = [] if seen is None else json.loads(seen["types"]["S"])
            if wanted in named or len(named) >= most:
                return frozenset(named)
            changed = to_wire({"types": to_json([*named, wanted]), "revision": len(named) + 1})
            condition = c.IS_REVISION_SEEN if named else c.IS_ROW_ABSENT
            values = {"seen_revision": len(named)}
            added = put(self._table, _TYPES | changed, _KEY, condition, values)
            outcome = self._database.write(added)
            return frozenset([*named, wanted]) if outcome.held else Lost(outcome.item)

        return write_until_won_from(item, attempt, busy=_BUSY)

    # -- rebuild -------------------------------------------------------------------------------

    def count_rows(self, state: CounterState, additions: Additions, now: datetime) -> bool:
        shard = SHARDS[state.revision % len(SHARDS)]
        actions = [self._put_state(state), *self._adds(additions, shard, now)]
        return all(outcome.held for outcome in self._database.transact(actions))

    def drop(self, epoch: int, most: int) -> bool:
        parts = [_totals(epoch, shard) for shard in SHARDS]
        rows = chain.from_iterable(map(self._rows, parts))
        found = list(islice(rows, most + 1))
        for item in found[:most]:
            key = {name: item[name] for name in _KEY}
            self._database.write(remove(self._table, key, c.IS_ROW_PRESENT, {}))
        return len(found) <= most


def _totals(epoch: int, shard: str) -> str:
    return f"{epoch}#totals#{shard}"


def _minutes(shard: str, minute: datetime) -> str:
    return f"minutes#{shard}#{minute:%Y-%m-%dT%H}"


def _row(key: CounterKey) -> str:
    """Return the key's place. Labels may be of any text and length, so it has their digest."""
    digest = hashlib.sha256(to_json(list(key.labels)).encode()).hexdigest()[:32]
    return f"{key.subject}#{digest}"


def _records_key(table: Table, first: str) -> Item:
    return to_wire({"part": f"records#{table}#{first}", "row": "records"})


def _pack(records: Sequence[str]) -> bytes:
    """Pack sequence numbers, which have over twenty digits, into about five bytes each."""
    numbers = [0, *map(int, records)]
    steps = [after - before for before, after in pairwise(numbers)]
    return zlib.compress(to_json(steps).encode())


def _unpack(packed: bytes) -> list[str]:
    return [str(number) for number in accumulate(json.loads(zlib.decompress(packed)))]


def _counter(item: Item) -> tuple[CounterKey, Counter[str]]:
    values = from_wire(item)
    key = CounterKey(Subject(values["subject"]), tuple(json.loads(values["labels"])))
    numbers = {name: value for name, value in values.items() if name not in _NOT_FIELDS}
    return key, Counter(numbers)


def _state_item(state: CounterState) -> Item:
    return _STATE | to_wire(
        {
            "epoch": state.epoch,
            "since": state.since,
            "rebuild": None if state.rebuild is None else _rebuild_text(state.rebuild),
            "counts_from": state.counts_from,
            "gaps": to_json({table: to_iso(since) for table, since in state.gaps.items()}),
            "replaced": to_json(list(state.replaced)),
            "revision": state.revision,
        }
    )


def _state_from(item: Item) -> CounterState:
    values = from_wire(item)
    return CounterState(
        epoch=values["epoch"],
        since=from_iso(values["since"]),
        rebuild=_rebuild_in(values),
        counts_from=from_iso(values["counts_from"]) if "counts_from" in values else None,
        gaps={Table(t): from_iso(since) for t, since in json.loads(values["gaps"]).items()},
        replaced=tuple(json.loads(values["replaced"])),
        revision=values["revision"],
    )


def _rebuild_text(rebuild: Rebuild) -> str:
    return to_json(
        {
            "epoch": rebuild.epoch,
            "cut": to_iso(rebuild.cut),
            "scan_from": to_iso(rebuild.scan_from),
            "table": rebuild.table,
            "after": None if rebuild.after is None else dict(rebuild.after),
            "rows": rebuild.rows,
        }
    )


def _rebuild_in(values: dict[str, Any]) -> Rebuild | None:
    if "rebuild" not in values:
        return None
    kept = json.loads(values["rebuild"])
    return Rebuild(
        epoch=kept["epoch"],
        cut=from_iso(kept["cut"]),
        scan_from=from_iso(kept["scan_from"]),
        table=None if kept["table"] is None else Table(kept["table"]),
        after=kept["after"],
        rows=kept["rows"],
    )
