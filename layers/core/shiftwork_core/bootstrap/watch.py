"""Build the worker records, which services that record outcomes keep up to date."""

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
    """Return the keeper of worker records, built when first used: most functions never use it."""
    watch: WorkerWatch = world.late(records)
    return watch


@cache
def liveness() -> Liveness:
    """Return how long a silent worker counts as alive."""
    from shiftwork_core.domain.workers.workers import Liveness

    return Liveness.of(world.settings().worker_offline, world.settings().worker_retention)


@cache
def records() -> WorkerRecords:
    """Return the service of worker records."""
    from shiftwork_core.services.workers.records import WorkerRecords

    return WorkerRecords(stores.workers(), world.now, liveness())
