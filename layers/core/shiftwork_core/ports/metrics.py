"""The ports of metrics: the store of counters, and the tables whose changes are counted.

A stream delivers its records in batches, and a batch again until it was handled. Then it begins
with the same record, but may be longer or shorter. So the records that were counted together are
kept under the first of them, in the transaction that adds to the counters: a batch that comes again
begins with a record that is known, and so does what follows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from shiftwork_core.domain.metrics.counters import Additions, Tally
from shiftwork_core.domain.metrics.happened import Row

#: How many counter rows one transaction may change: DynamoDB takes 100 actions, and the rest is for
#: the rows that say how far is counted.
MAX_ROWS = 90


class Table(StrEnum):
    """The tables whose changes are counted."""

    REQUESTS = "requests"
    JOBS = "jobs"
    LIFECYCLE_JOBS = "lifecycle_jobs"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a table's stream is counted, by its newest beat that was (see `send_beats`)."""

    table: Table
    counted_to: datetime


@dataclass(frozen=True, slots=True)
class Rebuild:
    """A recount: of all that happened before `cut`, into the counters of `epoch`.

    What happens from then on is counted there from the streams, as it is in the present counters.
    Rows are read from `scan_from` on, when whatever happened before the cut has been written.
    `table` and `after` say where it goes on (`after` is the key of the last row that was counted,
    None at a table's beginning); `table` is None when all rows are counted.
    """

    epoch: int
    cut: datetime
    scan_from: datetime
    table: Table | None = Table.REQUESTS
    after: Mapping[str, str] | None = None
    rows: int = 0


@dataclass(frozen=True, slots=True)
class CounterState:
    """Which counters count: those of `epoch`, begun at `since`, and those of a rebuild under way.

    What happened before `counts_from` was counted from the rows, so a stream that is behind adds
    nothing of it; None: everything is counted from the streams. `gaps` says, by table, since when
    changes may be missing. `replaced` are epochs whose totals are still to be deleted. `revision`
    rises with every write.
    """

    epoch: int
    since: datetime
    rebuild: Rebuild | None = None
    counts_from: datetime | None = None
    gaps: Mapping[Table, datetime] = field(default_factory=dict)
    replaced: tuple[int, ...] = ()
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Scanned:
    """A row of a table with its key; None for a row of which nothing is counted.

    An unreadable row is one that our code cannot read.
    """

    key: Mapping[str, str]
    row: Row | None
    is_readable: bool = True


@dataclass(frozen=True, slots=True)
class Change:
    """A stream's record: a row before and after a write. Neither, if nothing of it is counted.

    `written_at` is when the write was made. A beat means only that. An unreadable change is one
    that our code cannot read.
    """

    sequence: str
    written_at: datetime
    old: Row | None = None
    new: Row | None = None
    is_readable: bool = True
    is_beat: bool = False

    @property
    def place(self) -> int:
        """Return its place among the records of its part of the stream."""
        return int(self.sequence)


class CounterStore(Protocol):
    """Counters in shards, and how far they have counted."""

    def state(self) -> CounterState | None:
        """Read the state, strongly consistent; None before the first was saved."""

    def save_state(self, state: CounterState) -> bool:
        """Write the state, with its revision one up, if nobody has since it was read.

        Safe to send twice.
        """

    def counted_with(self, table: Table, first: str) -> Sequence[str] | None:
        """Read the records that were counted together of which this is the first, in order.

        None if there are none. Strongly consistent.
        """

    def count(
        self,
        table: Table,
        records: Sequence[str],
        additions: Additions,
        now: datetime,
    ) -> bool:
        """Add what these records of a table's stream report.

        All or nothing, and not if records are kept already of which theirs is the first. Sent twice
        it adds once; the second sending may report that it lost. Changes at most `MAX_ROWS`
        counters.
        """

    def keep_counted(self, table: Table, records: Sequence[str], now: datetime) -> None:
        """Keep that these records were counted, among others before them."""

    def save_progress(self, progress: Progress) -> None:
        """Say how far a stream is counted, unless it was counted further."""

    def progress(self) -> list[Progress]:
        """Read how far the streams are counted."""

    def add(self, additions: Additions, now: datetime) -> None:
        """Add what no stream tells. Sent twice it adds twice."""

    def totals(self, epoch: int) -> Tally:
        """Read the totals: one query for each shard, eventually consistent."""

    def minutes(self, since: datetime, until: datetime) -> dict[datetime, Tally]:
        """Read the series from `since` to before `until`, of which 14 days are kept."""

    def named_types(self, wanted: str, most: int) -> frozenset[str]:
        """Add a type to those with a name of their own, unless there are `most`; return them all.

        They never change otherwise, so that every process names the same.
        """

    def count_rows(self, state: CounterState, additions: Additions, now: datetime) -> bool:
        """Add rows that a rebuild has read, and save the state that says how far it is.

        All or nothing, and only if nobody has written the state since it was read. Changes at most
        `MAX_ROWS` counters.
        """

    def drop(self, epoch: int, most: int) -> bool:
        """Delete at most so many totals of an epoch that is over; return whether none is left."""


class CountedTables(Protocol):
    """The tables whose changes are counted."""

    def send_beats(self, now: datetime) -> None:
        """Change a row of each table that means nothing, so that each stream has a record of now.

        When that is counted, the stream is counted up to here; otherwise a table in which nothing
        changes could not be told from a stream that nobody reads.
        """

    def scan(self, table: Table, after: Mapping[str, str] | None) -> Iterable[Scanned]:
        """Yield the rows behind a key, strongly consistent, page by page, in a fixed order."""


class DeadLetters(Protocol):
    """The queues of messages that no function could handle."""

    def depths(self) -> Mapping[str, int]:
        """Return about how many messages there are, by the name of the queue they come from."""
