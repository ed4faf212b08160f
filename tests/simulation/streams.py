"""The streams of the tables whose changes are counted, delivered as badly as a stream may be.

A stream has several parts (DynamoDB's shards), each with the changes of some rows in order. A part
is delivered in batches of any size; a batch comes again until it was counted and that was answered,
then perhaps longer or shorter, and sometimes everything from an earlier batch on comes again. One
part knows nothing of another.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from random import Random

from shiftwork_core.adapters.memory import MemoryCountedTables, MemoryCounterStore, MemoryTables
from shiftwork_core.domain.metrics.counters import Additions, CounterKey, Tally, add
from shiftwork_core.domain.metrics.happened import Row, happened
from shiftwork_core.domain.requests.records import Attempt, Request, Step
from shiftwork_core.domain.requests.states import ATTEMPT_OPEN
from shiftwork_core.domain.workspaces.records import LifecycleJob
from shiftwork_core.errors import Throttled, Transient, Unavailable
from shiftwork_core.ports.metrics import Change, CounterState, Table
from shiftwork_core.services.metrics.count import OutcomeCounter
from shiftwork_core.services.metrics.rebuild import Rebuilder
from shiftwork_platform.cloud.process import MAX_SKEW_S

#: Longer than two clocks of the simulation differ.
MARGIN = timedelta(seconds=2 * MAX_SKEW_S + 1)

_PARTS = 3
_MOST_IN_A_BATCH = 40


class Streams:
    """Keeps every change, in the part of the stream of its row's partition."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self.parts: dict[tuple[Table, int], list[Change]] = {}

    def change(self, old: Row | None, new: Row, now: datetime) -> None:
        """Keep a change, unless the template's filters leave it out."""
        match new:
            case Request() | Step():
                table, partition = Table.REQUESTS, new.request_id
            case Attempt():
                table, partition = Table.JOBS, new.request_id
                if new.status in ATTEMPT_OPEN and not (old is None and new.is_polled):
                    return
            case LifecycleJob():
                table, partition, old = Table.LIFECYCLE_JOBS, new.id, None
                if not new.has_ended:
                    return
        part = zlib.crc32(partition.encode()) % _PARTS
        number = f"{next(self._numbers) * 10**6 + part}"
        written_at = now.replace(microsecond=0)
        self.parts.setdefault((table, part), []).append(Change(number, written_at, old, new))


class FailingStore(MemoryCounterStore):
    """Counters whose writes fail now and then: before they are made, or only their reply."""

    def __init__(self, chance: Random, rate: float) -> None:
        super().__init__()
        self._chance = chance
        self._rate = rate

    def count(
        self,
        table: Table,
        records: Sequence[str],
        additions: Additions,
        now: datetime,
    ) -> bool:
        if self._chance.random() < self._rate:
            raise Throttled("the counters' table is throttled")
        won = super().count(table, records, additions, now)
        if self._chance.random() < self._rate:
            raise Unavailable("the reply was lost")
        return won

    def keep_counted(self, table: Table, records: Sequence[str], now: datetime) -> None:
        if self._chance.random() < self._rate:
            raise Throttled("the counters' table is throttled")
        super().keep_counted(table, records, now)


@dataclass(slots=True)
class Reader:
    """An event source mapping's place in one part, and the places where batches have begun."""

    table: Table
    changes: list[Change]
    at: int = 0
    begun: list[int] = field(default_factory=list)


class Delivery:
    """Delivers every change at least once to CountOutcomes, in batches that come again."""

    def __init__(self, streams: Streams, store: FailingStore, now: datetime, chance: Random):
        self._counter = OutcomeCounter(store, lambda: now, MARGIN)
        self._chance = chance
        self._readers = [Reader(table, changes) for (table, _), changes in streams.parts.items()]
        self._replays = 3 * len(self._readers)

    def deliver(self, until: datetime | None = None) -> None:
        """Deliver until all is counted that was written before a time."""

        def is_unread(reader: Reader) -> bool:
            rest = reader.changes[reader.at :]
            return bool(rest) and (until is None or rest[0].written_at < until)

        while unread := [reader for reader in self._readers if is_unread(reader)]:
            self._deliver_to(self._chance.choice(unread), until)

    def _deliver_to(self, reader: Reader, until: datetime | None) -> None:
        chance = self._chance
        batch = reader.changes[reader.at : reader.at + chance.randint(1, _MOST_IN_A_BATCH)]
        batch = [change for change in batch if until is None or change.written_at < until]
        size = len(batch)
        if chance.random() < 0.2:  # Records that are twice in a batch.
            batch = sorted([*batch, chance.choice(batch)], key=lambda change: change.place)
        reader.begun.append(reader.at)
        try:
            self._counter.count(reader.table, batch, {})
        except Transient:
            return
        if chance.random() < 0.2:  # The answer was lost.
            return
        reader.at += size
        if self._replays and chance.random() < 0.2:
            self._replays -= 1
            reader.at = chance.choice(reader.begun)


def rebuild_while_counting(
    delivery: Delivery,
    store: FailingStore,
    tables: MemoryTables,
    begin: datetime,
    counted_to: datetime | None,
    end: datetime,
) -> None:
    """Begin a rebuild when what was written by `begin` is counted, and end it after all.

    By then only what was written by `counted_to` is counted; the rest comes afterwards.
    """
    times = [begin]
    rebuilder = Rebuilder(store, MemoryCountedTables(tables), lambda: times[-1], MARGIN)
    assert store.save_state(CounterState(epoch=1, since=begin))
    delivery.deliver(begin)
    rebuilder.begin()
    delivery.deliver(counted_to)
    times.append(max(end, begin + 2 * MARGIN))
    while not rebuilder.advance(lambda: False):
        pass
    delivery.deliver()


def recount(tables: MemoryTables) -> Tally:
    """Count every row of the tables."""
    counted: Tally = {}
    for table in Table:
        for scanned in MemoryCountedTables(tables).scan(table, None):
            for one in happened(scanned.row):
                add(counted, one)
    return counted


def differences(counted: Tally, rows: Tally) -> dict[tuple[CounterKey, str], tuple[int, int]]:
    """Return the numbers that differ, as they were counted and as the rows have them."""
    fields = {
        (key, field)
        for tally in (counted, rows)
        for key, numbers in tally.items()
        for field in numbers
    }
    both = {
        (key, field): (counted.get(key, Counter())[field], rows.get(key, Counter())[field])
        for key, field in fields
    }
    return {place: numbers for place, numbers in both.items() if numbers[0] != numbers[1]}
