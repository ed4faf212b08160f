"""What a scrape reads besides the engine's stores: counters with what a test adds, dead letters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from shiftwork_core.adapters.memory import (
    MemoryCounterStore,
    MemoryDefinitionStore,
    MemoryLifecycleJobStore,
)
from shiftwork_core.domain.metrics.counters import Additions, CounterKey, Subject, Tally
from shiftwork_core.ports.metrics import CounterState, DeadLetters, Progress, Table
from shiftwork_core.services.metrics.gauges import Sources
from tests.world.world import World

SINCE = datetime(2025, 12, 1, tzinfo=UTC)
EPOCH = 1


class Counted(MemoryCounterStore):
    """Counters that were begun at `SINCE`. With an `error` none can be read."""

    def __init__(self) -> None:
        super().__init__()
        self.error: Exception | None = None
        self._streams: list[Progress] = []
        assert self.save_state(CounterState(EPOCH, SINCE))

    def state(self) -> CounterState | None:
        if self.error is not None:
            raise self.error
        return super().state()

    def progress(self) -> list[Progress]:
        """Return how far each part of a stream is counted, as DynamoDB's store does."""
        return self._streams

    def add_to(self, subject: Subject, *labels: str, **fields: int) -> None:
        """Add to the counter of these labels."""
        self.add_all({CounterKey(subject, labels): Counter(fields)})

    def add_all(self, tally: Tally) -> None:
        """Add to counters."""
        self.add(Additions({EPOCH: tally}), SINCE)

    def behind(self, table: Table, counted_to: datetime) -> None:
        """Say how far a part of a stream is counted."""
        self._streams.append(Progress(table, counted_to))


@dataclass
class Letters(DeadLetters):
    """Dead letters of two queues."""

    found: Mapping[str, int] = field(default_factory=lambda: {"wake": 0, "switch": 0})

    def depths(self) -> Mapping[str, int]:
        return self.found


def sources_of(world: World, counters: Counted, letters: DeadLetters | None = None) -> Sources:
    """Return what a scrape of `world` reads."""
    return Sources(
        definitions=MemoryDefinitionStore(world.tables),
        requests=world.store,
        jobs=world.jobs,
        workers=world.worker_store,
        lifecycle_jobs=MemoryLifecycleJobStore(world.tables),
        counters=counters,
        dead_letters=letters or Letters(),
    )
