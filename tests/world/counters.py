"""A store of counters that has what a test puts into it, and dead letters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

from shiftwork_core.adapters.memory import MemoryDefinitionStore, MemoryLifecycleJobStore
from shiftwork_core.domain.metrics.counters import CounterKey, Subject, Tally, merge
from shiftwork_core.ports.metrics import (
    CounterState,
    CounterStore,
    DeadLetters,
    Progress,
    Table,
)
from shiftwork_core.services.metrics.gauges import Sources
from tests.world.world import World

SINCE = datetime(2025, 12, 1, tzinfo=UTC)


@dataclass
class Counted:
    """The part of a store of counters that a scrape reads. With `error` every read fails."""

    counts: Tally = field(default_factory=dict)
    read: CounterState | None = field(default_factory=lambda: CounterState(1, SINCE))
    streams: list[Progress] = field(default_factory=list)
    error: Exception | None = None

    @property
    def store(self) -> CounterStore:
        return cast("CounterStore", self)

    def add(self, subject: Subject, *labels: str, **fields: int) -> None:
        """Add to the counter of these labels."""
        merge(self.counts, {CounterKey(subject, labels): fields})

    def behind(self, table: Table, counted_to: datetime) -> None:
        """Say how far a part of a stream is counted."""
        self.streams.append(Progress(table, counted_to, counted_to))

    def _checked(self, value: Any) -> Any:
        if self.error is not None:
            raise self.error
        return value

    def state(self) -> CounterState | None:
        return cast("CounterState | None", self._checked(self.read))

    def totals(self, epoch: int) -> Tally:
        assert self.read is not None and self.read.epoch == epoch
        return cast("Tally", self._checked(self.counts))

    def progress(self) -> list[Progress]:
        return cast("list[Progress]", self._checked(self.streams))


def sources_of(world: World, counters: Counted, letters: DeadLetters | None = None) -> Sources:
    """Return what a scrape of `world` reads."""
    return Sources(
        definitions=MemoryDefinitionStore(world.tables),
        requests=world.store,
        jobs=world.jobs,
        workers=world.worker_store,
        lifecycle_jobs=MemoryLifecycleJobStore(world.tables),
        counters=counters.store,
        dead_letters=letters or Letters(),
    )


@dataclass
class Letters(DeadLetters):
    """Dead letters of two queues."""

    found: Mapping[str, int] = field(default_factory=lambda: {"wake": 0, "switch": 0})
    error: Exception | None = None

    def depths(self) -> Mapping[str, int]:
        if self.error is not None:
            raise self.error
        return self.found
