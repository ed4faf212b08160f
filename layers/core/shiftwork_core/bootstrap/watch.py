"""The worker records, as those who record outcomes tell them what workers do."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from shiftwork_core.bootstrap import stores, world

if TYPE_CHECKING:
    from shiftwork_core.domain.workers.workers import Liveness
    from shiftwork_core.ports.workers import WorkerWatch
    from shiftwork_core.services.workers.records import WorkerRecords


@cache
def watch() -> WorkerWatch:
    """Return what keeps the record of workers; most functions never tell it anything."""
    watch: WorkerWatch = world.late(records)
    return watch


@cache
def liveness() -> Liveness:
    """Return how long a silent worker is believed alive."""
    from shiftwork_core.domain.workers.workers import Liveness

    return Liveness.of(world.settings().worker_offline, world.settings().worker_retention)


@cache
def records() -> WorkerRecords:
    """Return the worker record."""
    from shiftwork_core.services.workers.records import WorkerRecords

    return WorkerRecords(stores.workers(), world.now, liveness())
