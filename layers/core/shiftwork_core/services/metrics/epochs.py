"""Begin the counters, and begin them anew: the states between which they move."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from shiftwork_core.ports.metrics import CounterState, Rebuild, Table


def first_state(now: datetime, margin: timedelta) -> CounterState:
    """Return the counters' first state, which begins with a rebuild.

    There may be rows already: counters came with an upgrade, or their table was lost.
    """
    gaps = dict.fromkeys(Table, now)
    return with_rebuild(CounterState(epoch=1, since=now, gaps=gaps), now, margin)


def with_rebuild(state: CounterState, now: datetime, margin: timedelta) -> CounterState:
    """Return the state with a rebuild that begins now.

    `margin` is longer than CountOutcomes runs, which may have read the state before, and than it
    takes from the time of an event until its row is written.
    """
    cut = now + margin
    return replace(state, rebuild=Rebuild(state.epoch + 1, cut, scan_from=cut + margin))


def rebuilt(state: CounterState, rebuild: Rebuild, now: datetime) -> CounterState:
    """Return the state in which the rebuilt counters replace the others."""
    return CounterState(
        epoch=rebuild.epoch,
        since=now,
        counts_from=rebuild.cut,
        # What was dropped before the cut has been counted from the rows.
        gaps={table: since for table, since in state.gaps.items() if since >= rebuild.cut},
        replaced=(*state.replaced, state.epoch),
        revision=state.revision,
    )
