"""Build what counts, and what counts anew."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from shiftwork_core.bootstrap import stores, world

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shiftwork_core.ports.metrics import Change, Table
    from shiftwork_core.services.metrics.count import OutcomeCounter
    from shiftwork_core.services.metrics.rebuild import Rebuilder
    from shiftwork_core.services.metrics.series import MetricSeries
    from shiftwork_core.services.metrics.type_labels import TypeLabels


@cache
def counter() -> OutcomeCounter:
    """Return the counter of what the streams report."""
    from shiftwork_core.services.metrics.count import OutcomeCounter

    return OutcomeCounter(stores.counters(), world.now, world.settings().rebuild_margin)


@cache
def rebuilder() -> Rebuilder:
    """Return the rebuilder: it counts all rows anew."""
    from shiftwork_core.services.metrics.rebuild import Rebuilder

    return Rebuilder(
        stores.counters(), stores.counted_tables(), world.now, world.settings().rebuild_margin
    )


@cache
def series() -> MetricSeries:
    """Return the reader of the counters minute by minute."""
    from shiftwork_core.services.metrics.series import MetricSeries

    return MetricSeries(stores.counters(), world.now)


@cache
def type_labels() -> TypeLabels:
    """Return what names types in CloudWatch."""
    from shiftwork_core.services.metrics.type_labels import TypeLabels

    return TypeLabels(stores.counters())


def changes_of(records: Sequence[Mapping[str, Any]]) -> tuple[Table, list[Change]]:
    """Return the changes that a batch of stream records reports, and their table."""
    from shiftwork_core.adapters.dynamodb.counted_tables import changes_in

    table = stores.counted_tables().table_of(records[0]["eventSourceARN"])
    return table, changes_in(table, records)


def send_beats() -> None:
    """Let each stream that is counted have a record of now."""
    stores.counted_tables().send_beats(world.now())


def count_finds(sweep: str, finds: int) -> None:
    """Count what a sweep found. That it cannot be counted is no reason for the sweep to fail."""
    from shiftwork_core.telemetry import logger

    try:
        counter().count_finds(sweep, finds)
    except Exception:  # Even if the counters' table is gone.
        logger.exception("finds are not counted")
