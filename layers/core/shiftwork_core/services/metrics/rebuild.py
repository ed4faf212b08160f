"""Count all rows anew, while the platform runs: after a gap, or when in doubt.

What happened before a moment shortly after the start (the cut) is counted from the rows of the
tables; what happens from then on is counted from the streams, as always. The new totals replace the
old ones when all rows are counted, and go on to leave out what happened before the cut: a stream
that is behind may still report it. The series is not rebuilt.

Each process that counts reads the counters' state first, so every change from the cut on is counted
for the new totals too; and rows are read some time after the cut, when what happened before it has
been written.

A row tells when its request, step or attempt began and ended, and when a user retried it for the
last time. A request that is retried twice while a rebuild runs may be counted as failed or retried
once too often in the new totals; a step that takes longer to plan than the margin, and what a clock
stamped that was wrong by more, may be missed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

from shiftwork_core.domain.metrics.counters import Additions, Subject
from shiftwork_core.domain.metrics.happened import happened
from shiftwork_core.errors import Unavailable
from shiftwork_core.optimistic import LOST, Lost, write_until_won
from shiftwork_core.ports.metrics import (
    CountedTables,
    CounterState,
    CounterStore,
    Rebuild,
    Scanned,
    Table,
)
from shiftwork_core.ports.world import Clock
from shiftwork_core.services.metrics.count import unreadable
from shiftwork_core.services.metrics.epochs import first_state, rebuilt, with_rebuild
from shiftwork_core.services.metrics.portions import Counted, portions

#: So many rows are counted in one transaction at most: a crash loses no more.
_ROWS_AT_ONCE = 2000

#: Counters that were replaced are deleted after so long, so many in a minute.
_STILL_READ = timedelta(minutes=5)
_DROPPED_AT_ONCE = 1000

_BUSY = Unavailable("the counters' state is written too often; try again")


class Rebuilder:
    """Begins a rebuild, and goes on with one; several processes may do so at once."""

    def __init__(
        self, counters: CounterStore, tables: CountedTables, clock: Clock, margin: timedelta
    ) -> None:
        """`margin` is explained by `epochs.with_rebuild`."""
        self._counters = counters
        self._tables = tables
        self._clock = clock
        self._margin = margin

    def begin(self) -> CounterState:
        """Begin a rebuild, unless one is under way; return the state then."""

        def attempt() -> CounterState | Lost[None]:
            now = self._clock()
            state = self._counters.state()
            if state is not None and state.rebuild is not None:
                return state
            if state is None:
                begun = first_state(now, self._margin)
            else:
                begun = with_rebuild(state, now, self._margin)
            return begun if self._counters.save_state(begun) else LOST

        return write_until_won(attempt, busy=_BUSY)

    def state(self) -> CounterState | None:
        """Return the counters' state, with the rebuild under way; None before the first count."""
        return self._counters.state()

    def advance(self, may_go_on: Callable[[], bool]) -> bool:
        """Count rows for the rebuild under way, for as long as it may; return whether it is over.

        It is over, too, if there is none. When another process goes on with it, this one stops.
        """
        state = self._counters.state()
        if state is None:
            return True
        if state.rebuild is None:
            self._drop_replaced(state)
            return True
        if self._clock() < state.rebuild.scan_from:
            return False
        rebuild = state.rebuild
        while rebuild.table is not None:
            counted = self._count_table(state, rebuild, rebuild.table, may_go_on)
            if counted is None:
                return False
            state, rebuild = counted
        over = rebuilt(state, rebuild, self._clock())
        # In the same transaction: a find that is counted in between would be lost.
        return self._counters.count_rows(over, self._told_by_no_row(state, rebuild), over.since)

    def _drop_replaced(self, state: CounterState) -> None:
        """Delete some totals of an epoch that is over, once nobody reads them any more."""
        if not state.replaced or self._clock() < state.since + _STILL_READ:
            return
        first, *others = state.replaced
        if self._counters.drop(first, _DROPPED_AT_ONCE):
            self._counters.save_state(replace(state, replaced=tuple(others)))

    def _count_table(
        self, state: CounterState, rebuild: Rebuild, table: Table, may_go_on: Callable[[], bool]
    ) -> tuple[CounterState, Rebuild] | None:
        """Count the rest of a table; return how far it is behind it, None if that is to come."""
        for portion in portions(self._to_count(rebuild, table), _ROWS_AT_ONCE):
            rows = rebuild.rows + portion.size
            rebuild = replace(rebuild, after=portion.last.key, rows=rows)
            counting = replace(state, rebuild=rebuild)
            if not self._counters.count_rows(counting, portion.additions, self._clock()):
                return None
            state = replace(counting, revision=state.revision + 1)
            if not may_go_on():
                return None
        tables = list(Table)
        behind = tables[tables.index(table) + 1 :]
        rebuild = replace(rebuild, table=behind[0] if behind else None, after=None)
        return replace(state, rebuild=rebuild), rebuild

    def _to_count(self, rebuild: Rebuild, table: Table) -> Iterator[tuple[Scanned, list[Counted]]]:
        """Yield the rows with what they add to the totals; the series is not rebuilt."""
        for scanned in self._tables.scan(table, rebuild.after):
            has_happened = happened(scanned.row) if scanned.is_readable else [unreadable(table)]
            before = [one for one in has_happened if one.at is None or one.at < rebuild.cut]
            yield scanned, [Counted(one, (rebuild.epoch,)) for one in before]

    def _told_by_no_row(self, state: CounterState, rebuild: Rebuild) -> Additions:
        """Return what the present counters have and no row tells: the sweeps' finds."""
        totals = self._counters.totals(state.epoch)
        finds = {key: totals[key] for key in totals if key.subject is Subject.SWEEPS}
        return Additions({rebuild.epoch: finds})
