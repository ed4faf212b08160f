"""Count what the tables' streams report: each change once, however often it is delivered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

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
    Change,
    CounterState,
    CounterStore,
    Progress,
    Table,
)
from shiftwork_core.ports.world import Clock
from shiftwork_core.services.metrics.epochs import first_state
from shiftwork_core.services.metrics.portions import Counted, portions, to_count

#: A stream keeps a record for 24 hours (DynamoDB's developer guide). When one this old is still to
#: be counted, older ones may be gone.
GAP_AFTER = timedelta(hours=23, minutes=50)

_EVER = datetime.min.replace(tzinfo=UTC)

#: A change, and what it adds to the counters.
ToCount = tuple[Change, list[Counted]]

_BUSY = Unavailable("the counters' state is written too often; the batch is delivered again")


class OutcomeCounter:
    """Adds to the counters what a batch of changes reports.

    A batch begins where the one before has ended, or where any has begun that is delivered again.
    So its first record tells whether it was counted, and with how many of those behind it; the next
    record tells the same of itself, to the end. Where a batch ends among records that were counted
    together, the rest of them is kept under its first record, with which the next batch begins.
    Records that add nothing are left out from the start.
    """

    def __init__(self, counters: CounterStore, clock: Clock, margin: timedelta) -> None:
        """`margin` is that of a rebuild: see `epochs.with_rebuild`."""
        self._counters = counters
        self._clock = clock
        self._margin = margin

    def count(self, table: Table, changes: Sequence[Change], counted: Tally) -> None:
        """Count the changes, which are in the stream's order; add to `counted` what was new.

        Raises
        ------
        Transient
            If the counters cannot be written. What was counted by then is in `counted`, and is not
            counted again when the batch is delivered again.
        """
        state = self._state(table, changes)
        rest = self._to_count(state, table, changes, self._clock())
        while rest:

            def attempt(rest: list[ToCount] = rest) -> list[ToCount] | Lost[None]:
                return self._count_first(table, rest, counted)

            rest = write_until_won(attempt, busy=_BUSY)
        if beats := [change.written_at for change in changes if change.is_beat]:
            self._counters.save_progress(Progress(table, max(beats)))

    def count_finds(self, sweep: str, finds: int) -> None:
        """Count what a sweep found; when the reply of the store is lost, not at all or twice."""
        now = self._clock()
        additions = Additions()
        key = CounterKey(Subject.SWEEPS, (sweep,))
        epoch = self._read_state(now).epoch
        additions.add(Happened(key, "finds", finds), (epoch,), minute_of(now))
        self._counters.add(additions, now)

    def _read_state(self, now: datetime) -> CounterState:
        def attempt() -> CounterState | Lost[None]:
            state = self._counters.state()
            if state is not None:
                return state
            self._counters.save_state(first_state(now, self._margin))
            return LOST

        return write_until_won(attempt, busy=_BUSY)

    def _state(self, table: Table, changes: Sequence[Change]) -> CounterState:
        """Return the state, in which a gap is noted if changes may have been dropped."""
        now = self._clock()

        def attempt() -> CounterState | Lost[None]:
            state = self._read_state(now)
            # What was written before the last rebuild's cut may be gone: its rows were counted.
            times = [c.written_at for c in changes if c.written_at >= (state.counts_from or _EVER)]
            if now - min(times, default=now) < GAP_AFTER or table in state.gaps:
                return state
            counted_to = [p.counted_to for p in self._counters.progress() if p.table is table]
            since = max(counted_to, default=state.since)
            noted = replace(state, gaps={**state.gaps, table: since})
            return noted if self._counters.save_state(noted) else LOST

        return write_until_won(attempt, busy=_BUSY)

    def _count_first(
        self, table: Table, changes: list[ToCount], counted: Tally
    ) -> list[ToCount] | Lost[None]:
        """Count the first of the changes, and as many more as go with it; return the others."""
        first, _ = changes[0]
        known = self._counters.counted_with(table, first.sequence)
        if known is not None:
            return self._skip(table, changes, known)
        portion = next(portions(changes))
        records = [change.sequence for change, _ in changes[: portion.size]]
        if not self._counters.count(table, records, portion.additions, self._clock()):
            return LOST
        merge(counted, portion.happened)
        return changes[portion.size :]

    def _skip(self, table: Table, changes: list[ToCount], counted: Sequence[str]) -> list[ToCount]:
        """Return the changes behind those that were counted together with the first."""
        last, _ = changes[-1]
        behind = [record for record in counted if int(record) > last.place]
        if behind:
            self._counters.keep_counted(table, behind, self._clock())
        return [(change, more) for change, more in changes if change.place > int(counted[-1])]

    def _to_count(
        self, state: CounterState, table: Table, changes: Sequence[Change], now: datetime
    ) -> list[ToCount]:
        """Return the changes by which something has happened, each once, and what they add.

        Which these are must not depend on the epochs: by the first of them a batch is known.
        """
        epochs = {state.epoch: state.counts_from}
        if state.rebuild is not None:
            epochs[state.rebuild.epoch] = state.rebuild.cut
        found: dict[int, ToCount] = {}
        for change in changes:
            counted = [
                to_count(epochs, happened, happened.at or change.written_at, now)
                for happened in _happened_in(table, change)
            ]
            if counted:
                found[change.place] = (change, counted)
        return list(found.values())


def _happened_in(table: Table, change: Change) -> list[Happened]:
    return difference(change.old, change.new) if change.is_readable else [unreadable(table)]


def unreadable(table: Table) -> Happened:
    """Return what is counted of a row that cannot be read."""
    return Happened(CounterKey(Subject.STREAMS, (table.value,)), "unreadable")
