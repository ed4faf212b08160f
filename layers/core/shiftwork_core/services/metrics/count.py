"""Count what the tables' streams report: each change once, however often it is delivered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from shiftwork_core.domain.metrics.counters import (
    Additions,
    CounterKey,
    Happened,
    Subject,
    Tally,
    merge,
    minute_of,
)
from shiftwork_core.domain.metrics.happened import difference
from shiftwork_core.errors import Unavailable
from shiftwork_core.optimistic import LOST, Lost, write_until_won
from shiftwork_core.ports.metrics import (
    Batch,
    Change,
    CounterState,
    CounterStore,
    Progress,
    Table,
)
from shiftwork_core.ports.world import Clock
from shiftwork_core.services.metrics.portions import Counted, portions, to_count

#: A stream keeps a record for 24 hours (DynamoDB's developer guide). When one this old is still to
#: be counted, older ones may be gone.
GAP_AFTER = timedelta(hours=23, minutes=50)

_BUSY = Unavailable("the counters' state is written too often; the batch is delivered again")


class OutcomeCounter:
    """Adds to the counters what a batch of changes reports.

    A stream delivers a batch until it was handled, and each time it begins with the same record. So
    how far it is counted is kept under that record. What comes after that is new, unless it begins
    another batch that was counted: so when the stream is read again from an earlier place, one
    batch after another is recognised.
    """

    def __init__(self, counters: CounterStore, clock: Clock) -> None:
        self._counters = counters
        self._clock = clock

    def count(self, table: Table, changes: Sequence[Change]) -> Tally:
        """Count the changes, which are in the stream's order; return what the totals grew by.

        Raises
        ------
        Transient
            If the counters cannot be written. What was counted by then is not counted again when
            the batch is delivered again.
        """
        state = self._state(table, changes)
        added: Tally = {}
        rest = list(changes)
        while rest:
            batch = Batch(table, rest[0].sequence)

            def attempt(
                batch: Batch = batch, rest: Sequence[Change] = rest
            ) -> list[Change] | Lost[None]:
                return self._count_batch(state, batch, rest, added)

            rest = write_until_won(attempt, busy=_BUSY)
        return added

    def count_finds(self, sweep: str, finds: int) -> None:
        """Count what a sweep found; when the reply of the store is lost, not at all or twice."""
        now = self._clock()
        additions = Additions()
        key = CounterKey(Subject.SWEEPS, (sweep,))
        additions.add(Happened(key, "finds", finds), minute_of(now))
        self._counters.add(self._read_state(now).epoch, additions, now)

    def _read_state(self, now: datetime) -> CounterState:
        def attempt() -> CounterState | Lost[None]:
            state = self._counters.state()
            if state is not None:
                return state
            self._counters.save_state(CounterState(epoch=1, since=now))
            return LOST

        return write_until_won(attempt, busy=_BUSY)

    def _state(self, table: Table, changes: Sequence[Change]) -> CounterState:
        """Return the state, in which a gap is noted if changes may have been dropped."""
        now = self._clock()
        oldest = min((change.written_at for change in changes), default=now)

        def attempt() -> CounterState | Lost[None]:
            state = self._read_state(now)
            if now - oldest < GAP_AFTER or table in state.gaps:
                return state
            counted_to = [p.counted_to for p in self._counters.progress() if p.table is table]
            since = max(counted_to, default=state.since)
            noted = replace(state, gaps={**state.gaps, table: since})
            return noted if self._counters.save_state(noted) else LOST

        return write_until_won(attempt, busy=_BUSY)

    def _count_batch(
        self, state: CounterState, batch: Batch, changes: Sequence[Change], added: Tally
    ) -> list[Change] | Lost[None]:
        """Count what of a batch is not counted yet; return what belongs to another batch."""
        through = self._counters.counted_through(batch)
        rest = [*changes]
        if through is not None:
            rest = [change for change in changes if change.place > int(through)]
            following = Batch(batch.table, rest[0].sequence) if rest else batch
            if rest and self._counters.counted_through(following) is not None:
                return rest
        now = self._clock()
        for portion in portions(self._to_count(state, batch.table, rest, now)):
            last = portion.last
            progress = Progress(batch.table, last.written_at, now)
            if not portion.additions:
                self._counters.save_progress(progress)
                continue
            if not self._counters.count_batch(
                batch, through, last.sequence, portion.additions, progress
            ):
                return LOST
            through = last.sequence
            merge(added, portion.additions[state.epoch].totals)
        return []

    def _to_count(
        self, state: CounterState, table: Table, changes: Sequence[Change], now: datetime
    ) -> Iterator[tuple[Change, list[Counted]]]:
        """Yield each change with what it adds to the counters, and to those of a rebuild."""
        epochs: dict[int, datetime | None] = {state.epoch: None}
        if state.rebuild is not None:
            epochs[state.rebuild.epoch] = state.rebuild.cut
        last = -1
        for change in changes:
            if change.place <= last:
                continue  # It is twice in the batch.
            last = change.place
            yield (
                change,
                [
                    counted
                    for happened in _happened_in(table, change)
                    for counted in to_count(epochs, happened, happened.at or change.written_at, now)
                ],
            )


def _happened_in(table: Table, change: Change) -> list[Happened]:
    if not change.is_readable:
        return [Happened(CounterKey(Subject.STREAMS, (table.value,)), "unreadable")]
    return [] if change.new is None else difference(change.old, change.new)
