"""Gauges: what waits, who works and how far the counters are behind, measured at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shiftwork_core.domain.workers.workers import WorkerStatus

#: A request that is due for longer than this is stuck: sweeps find one within a few minutes.
STUCK_AFTER = timedelta(minutes=10)
#: A worker that fell silent longer ago than this is no news any more.
LOST_FOR = timedelta(minutes=15)
#: At most so many rows of each kind are counted; a greater number is shown as this.
MOST_COUNTED = 1000


@dataclass(frozen=True, slots=True)
class QueueGauge:
    """A queue of polled jobs: how many could be claimed now, and since when the oldest could."""

    job_type: str
    domain: str
    jobs: int
    oldest_s: float


@dataclass(frozen=True, slots=True)
class DueGauge:
    """What is due in one lane: how long the oldest has been, and how many are stuck."""

    oldest_s: float = 0.0
    stuck: int = 0


@dataclass(frozen=True, slots=True)
class StreamGauge:
    """How far the counters are behind a table's stream, and whether they have missed changes."""

    lag_s: float
    has_gap: bool


@dataclass(frozen=True, slots=True)
class Gauges:
    """Everything that was measured; a part that could not be measured is empty, or None.

    `due_requests` is by lane (`new-requests`, `inprogress-requests`), `dead_letters` by queue
    (`wake`, `switch`), `streams` by table. `lost_workers` are those that fell silent, without
    having left, in the last 15 minutes. `late_switch_s` is how long the longest due lifecycle job
    has been due. Where the counters cannot be read (`counters_up`), there are no queues of domains
    and no streams. They were begun, or rebuilt for the last time, at `counters_since`.
    """

    at: datetime
    queues: tuple[QueueGauge, ...] = ()
    due_requests: Mapping[str, DueGauge] = field(default_factory=dict)
    workers: Mapping[WorkerStatus, int] = field(default_factory=dict)
    lost_workers: int | None = None
    late_switch_s: float | None = None
    dead_letters: Mapping[str, int] = field(default_factory=dict)
    streams: Mapping[str, StreamGauge] = field(default_factory=dict)
    counters_up: bool = False
    counters_since: datetime | None = None
