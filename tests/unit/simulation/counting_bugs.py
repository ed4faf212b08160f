"""Deliberate bugs in the counting of streams, each with the invariant that must notice it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from shiftwork_core.adapters.memory import MemoryCounterStore
from shiftwork_core.domain.metrics.happened import happened
from shiftwork_core.ports.metrics import Rebuild, Table
from shiftwork_core.services.metrics import count, rebuild
from shiftwork_core.services.metrics.count import OutcomeCounter, ToCount
from shiftwork_core.services.metrics.rebuild import Rebuilder
from shiftwork_platform.guarantees.invariants import Invariant
from tests.unit.simulation.bugs import Patch, breaks


@breaks(Invariant.COUNTED_ONCE)
def the_rest_of_a_shorter_batch_is_not_kept(patch: Patch) -> None:
    def keep_nothing(self: Any, table: Table, records: Sequence[str], now: datetime) -> None:
        pass

    patch.setattr(MemoryCounterStore, "keep_counted", keep_nothing)


@breaks(Invariant.COUNTED_ONCE)
def what_follows_a_batch_that_comes_again_is_taken_for_counted(patch: Patch) -> None:
    patch.setattr(OutcomeCounter, "_skip", lambda self, progress, changes, counted: [])


@breaks(Invariant.COUNTED_ONCE)
def only_the_first_of_a_batch_is_known_again(patch: Patch) -> None:
    def skip_one(self: Any, progress: Any, changes: list[ToCount], counted: Any) -> list[ToCount]:
        return changes[1:]

    patch.setattr(OutcomeCounter, "_skip", skip_one)


@breaks(Invariant.COUNTED_ONCE)
def the_row_before_is_forgotten(patch: Patch) -> None:
    patch.setattr(count, "difference", lambda old, new: happened(new))


@breaks(Invariant.COUNTED_ONCE)
def a_rebuild_reads_no_row(patch: Patch) -> None:
    patch.setattr(rebuild, "happened", lambda row: [])


@breaks(Invariant.COUNTED_ONCE)
def a_rebuild_counts_also_what_the_streams_count(patch: Patch) -> None:
    to_count = Rebuilder._to_count

    def all_of_it(self: Any, begun: Rebuild, table: Table) -> Any:
        return to_count(self, replace(begun, cut=datetime.max.replace(tzinfo=UTC)), table)

    patch.setattr(Rebuilder, "_to_count", all_of_it)
