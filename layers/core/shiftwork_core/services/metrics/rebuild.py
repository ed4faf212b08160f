"""Count all rows anew, while the platform runs: after a gap, or when in doubt.

What happened before a moment shortly after the start (the cut) is counted from the rows of the
tables; what happens from then on is counted from the streams, as always. The new counters replace
the old ones when all rows are counted. Each process that counts reads the counters' state first, so
that every change from the cut on is counted for the new ones too; and rows are read some time after
the cut, when what happened before it has been written.

A row tells when its request, step or attempt began and ended. It does not tell when a request
failed that a user retried later; one that is retried while a rebuild runs may be counted as failed
or retried once too often in the new counters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

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
from shiftwork_core.services.metrics.portions import Counted, portions, to_count

#: So many rows are counted in one transaction at most: a crash loses no more.
_ROWS_AT_ONCE = 2000

#: When something happened of which its row does not tell the time: in no series, before any cut.
_LONG_AGO = datetime.min.replace(tzinfo=UTC)

_BUSY = Unavailable("the counters' state is written too often; try again")


class Rebuilder:
    """Begins a rebuild, and goes on with one; several processes may do so at once."""

    def __init__(
        self, counters: CounterStore, tables: CountedTables, clock: Clock, margin: timedelta
    ) -> None:
        """`margin` is longer than CountOutcomes runs, and than a write takes to be made."""
        self._counters = counters
        self._tables = tables
        self._clock = clock
        self._margin = margin

    def begin(self) -> CounterState:
        """Begin a rebuild, unless one is under way; return the state then."""

        def attempt() -> CounterState | Lost[None]:
            now = self._clock()
            state = self._counters.state() or CounterState(epoch=1, since=now)
            if state.rebuild is not None:
                return state
            # Not when they were replaced: somebody may have been reading them.
            self._counters.drop(state.epoch - 1)
            cut = now + self._margin
            rebuild = Rebuild(state.epoch + 1, cut, cut + self._margin)
            begun = replace(state, rebuild=rebuild)
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
        if state is None or state.rebuild is None:
            return True
        if self._clock() < state.rebuild.scan_from:
            return False
        rebuild = state.rebuild
        while rebuild.table is not None:
            counted = self._count_table(state, rebuild, rebuild.table, may_go_on)
            if counted is None:
                return False
            state, rebuild = counted
        return self._replace_counters(state, rebuild)

    def _count_table(
        self, state: CounterState, rebuild: Rebuild, table: Table, may_go_on: Callable[[], bool]
    ) -> tuple[CounterState, Rebuild] | None:
        """Count the rest of a table; return how far it is behind it, None if that is to come."""
        for portion in portions(self._to_count(rebuild, table), _ROWS_AT_ONCE):
            rows = rebuild.rows + portion.size
            rebuild = replace(rebuild, after=portion.last.key, rows=rows)
            added = portion.additions.get(rebuild.epoch, Additions())
            counted = self._save(state, rebuild, added)
            if counted is None or not may_go_on():
                return None
            state, rebuild = counted
        tables = list(Table)
        behind = tables[tables.index(table) + 1 :]
        following = replace(rebuild, table=behind[0] if behind else None, after=None)
        carried = Additions() if behind else self._told_by_no_row(state)
        return self._save(state, following, carried)

    def _to_count(self, rebuild: Rebuild, table: Table) -> Iterator[tuple[Scanned, list[Counted]]]:
        now = self._clock()
        for scanned in self._tables.scan(table, rebuild.after):
            yield (
                scanned,
                [
                    counted
                    for one in happened(scanned.row)
                    for at in (one.at or _LONG_AGO,)
                    if at < rebuild.cut
                    for counted in to_count({rebuild.epoch: None}, one, at, now)
                ],
            )

    def _told_by_no_row(self, state: CounterState) -> Additions:
        """Return what the present counters have and no row tells: the sweeps' finds."""
        totals = self._counters.totals(state.epoch)
        return Additions(
            {key: numbers for key, numbers in totals.items() if key.subject is Subject.SWEEPS}
        )

    def _save(
        self, state: CounterState, rebuild: Rebuild, additions: Additions
    ) -> tuple[CounterState, Rebuild] | None:
        """Save how far the rebuild is, and return it with its state; None if another was faster."""
        state = replace(state, rebuild=rebuild)
        if not self._counters.count_rows(state, additions, self._clock()):
            return None
        return replace(state, revision=state.revision + 1), rebuild

    def _replace_counters(self, state: CounterState, rebuild: Rebuild) -> bool:
        # What was dropped before the cut has been counted from the rows.
        gaps = {table: since for table, since in state.gaps.items() if since >= rebuild.cut}
        over = CounterState(rebuild.epoch, self._clock(), None, gaps, state.revision)
        return self._counters.save_state(over)
