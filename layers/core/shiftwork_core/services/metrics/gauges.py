"""Measure what waits, who works and how far the counters are behind, at one moment.

What one scrape reads, by part, side by side:

- the counters: their state, a query for each shard of the totals, how far the streams are counted;
- the definitions of job types: `MOST_TYPES` of them, at most every five minutes;
- each shard of a queue: two queries while it is empty, else usually four (`JobStore.queue_head`);
  at most `MOST_SHARDS` shards in all, over `_THREADS` threads;
- due requests: one or two queries for each of the two lanes;
- workers: a scan of their records, of `MOST_WORKERS` at most;
- lifecycle jobs: a query for each of the eight shards of their index of due times, of one row;
- dead letters: a call for each of the two queues.

A part that cannot be read is logged and left out: whoever looks at the others needs them most then.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import accumulate, islice
from typing import Any

from shiftwork_core.domain.metrics.counters import Subject, Tally
from shiftwork_core.domain.metrics.gauges import (
    LOST_FOR,
    MOST_COUNTED,
    STUCK_AFTER,
    DueGauge,
    Gauges,
    QueueGauge,
    StreamGauge,
)
from shiftwork_core.domain.requests.definitions import Kind, Target
from shiftwork_core.domain.requests.queue_names import queue_name
from shiftwork_core.domain.workers.workers import Liveness, Worker, WorkerStatus
from shiftwork_core.ports.jobs import JobStore
from shiftwork_core.ports.metrics import CounterState, CounterStore, DeadLetters, Progress
from shiftwork_core.ports.stores import DefinitionStore, Lane, RequestStore
from shiftwork_core.ports.workers import WorkerStore
from shiftwork_core.ports.workspaces import LifecycleJobStore
from shiftwork_core.ports.world import Clock, SideBySide
from shiftwork_core.services.polling.queues import queue_head
from shiftwork_core.services.workers.everyone import MOST_WORKERS

logger = logging.getLogger("shiftwork.metrics")

#: So many shards of queues are measured: queues of the defined job types, then those with domains,
#: by how much they are used. Most queues have one.
MOST_SHARDS = 500
#: So many job types are known, the first by name. Of the others only those queues are measured that
#: have been used.
MOST_TYPES = 2_000
#: So many groups of queues are read side by side.
_THREADS = 16
#: Definitions change seldom.
_TYPES_KEPT = timedelta(minutes=5)
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
#: Only a caller that wants to act between reads needs them sooner.
_TICK_S = 60.0

#: A job type, and a domain, "" for the queue that all workers share.
_Queue = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Types:
    """The job types whose jobs workers poll for, and the shards of every type's queues."""

    polled: Sequence[str] = ()
    shards: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sources:
    """Where everything that is measured is kept."""

    definitions: DefinitionStore
    requests: RequestStore
    jobs: JobStore
    workers: WorkerStore
    lifecycle_jobs: LifecycleJobStore
    counters: CounterStore
    dead_letters: DeadLetters


@dataclass(frozen=True, slots=True)
class Scrape:
    """The totals of all counters, empty where they cannot be read, and the gauges."""

    gauges: Gauges
    totals: Tally = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Counted:
    state: CounterState | None
    totals: Tally
    progress: Sequence[Progress]


class GaugeReader:
    """Reads the gauges, alone or with the counters' totals."""

    def __init__(
        self, sources: Sources, rules: Liveness, clock: Clock, side_by_side: SideBySide
    ) -> None:
        self._sources = sources
        self._rules = rules
        self._clock = clock
        self._side_by_side = side_by_side
        self._types: tuple[datetime, _Types] | None = None

    def read(self) -> Gauges:
        """Measure everything."""
        return self.scrape().gauges

    def scrape(self) -> Scrape:
        """Measure everything, and read the totals, which say what queues there are."""
        now = self._clock()
        parts = self._read(
            {
                "counters": self._counters,
                "types": lambda: self._worker_types(now),
                "due requests": lambda: self._due_requests(now),
                "workers": lambda: self._workers(now),
                "lifecycle jobs": lambda: self._late_switch_s(now),
                "dead letters": self._sources.dead_letters.depths,
            }
        )
        types: _Types = parts.get("types", _Types())
        counted: _Counted | None = parts.get("counters")
        totals = counted.totals if counted else {}
        state = counted.state if counted else None
        workers, lost = parts.get("workers", ({}, None))
        gauges = Gauges(
            at=now,
            queues=self._queues(_queues_of(types.polled, totals), types.shards, now),
            due_requests=parts.get("due requests", {}),
            workers=workers,
            lost_workers=lost,
            late_switch_s=parts.get("lifecycle jobs"),
            dead_letters=parts.get("dead letters", {}),
            streams=_streams(counted, now) if counted else {},
            counters_up=counted is not None,
            counters_since=state.since if state else None,
        )
        return Scrape(gauges, totals)

    def _read(self, parts: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
        """Return what could be read."""
        found: dict[str, Any] = {}
        for ended in self._side_by_side(parts, lambda: _TICK_S):
            for part, future in ended.items():
                if error := future.exception():
                    logger.warning("a part was not measured: %s", part, exc_info=error)
                else:
                    found[part] = future.result()
        return found

    # -- the parts -----------------------------------------------------------------------------

    def _counters(self) -> _Counted:
        store = self._sources.counters
        state = store.state()
        totals = {} if state is None else store.totals(state.epoch)
        return _Counted(state, totals, store.progress())

    def _worker_types(self, now: datetime) -> _Types:
        if self._types is None or now - self._types[0] >= _TYPES_KEPT:
            latest = list(islice(self._sources.definitions.latest(Kind.JOB_TYPE), MOST_TYPES))
            if len(latest) == MOST_TYPES:
                logger.warning("no more than %d job types are measured", MOST_TYPES)
            polled = [d.name for d in latest if d.body.get("target") == Target.WORKER]
            shards = {definition.name: definition.queue_shards for definition in latest}
            self._types = (now, _Types(polled, shards))
        return self._types[1]

    def _due_requests(self, now: datetime) -> dict[str, DueGauge]:
        return {lane.value: self._due_in(lane, now) for lane in Lane}

    def _due_in(self, lane: Lane, now: datetime) -> DueGauge:
        due = self._sources.requests.due
        stuck = list(islice(due(lane, now - STUCK_AFTER), MOST_COUNTED))
        oldest = stuck or list(islice(due(lane, now), 1))
        return DueGauge(_age_s(oldest[0].due_at, now) if oldest else 0.0, len(stuck))

    def _workers(self, now: datetime) -> tuple[dict[WorkerStatus, int], int]:
        """Count the workers by status, and those that were lost lately."""
        by_status = Counter(dict.fromkeys(WorkerStatus, 0))
        lost = 0
        for number, worker in enumerate(self._sources.workers.all()):
            if number == MOST_WORKERS:
                logger.warning("only %d workers are counted", MOST_WORKERS)
                break
            by_status[worker.shown_status(now, self._rules)] += 1
            lost += self._is_lost(worker, now)
        return dict(by_status), lost

    def _is_lost(self, worker: Worker, now: datetime) -> bool:
        is_news = now - worker.alive_until(self._rules) < LOST_FOR
        return worker.active and worker.is_silent(now, self._rules) and is_news

    def _late_switch_s(self, now: datetime) -> float:
        due = self._sources.lifecycle_jobs.upcoming(_BEGINNING, now, 1)
        return _age_s(due[0].due_at, now) if due and due[0].due_at else 0.0

    # -- queues --------------------------------------------------------------------------------

    def _queues(
        self, queues: Sequence[_Queue], shards: Mapping[str, int], now: datetime
    ) -> tuple[QueueGauge, ...]:
        """Measure the queues, in a bounded number of groups side by side."""
        sizes = accumulate(shards.get(job_type, 1) for job_type, _ in queues)
        measured = [queue for queue, size in zip(queues, sizes, strict=True) if size <= MOST_SHARDS]
        if len(measured) < len(queues):
            logger.warning("%d queues are not measured", len(queues) - len(measured))
        groups = {
            f"queues from {measured[n]}": [(*q, shards.get(q[0], 1)) for q in measured[n::_THREADS]]
            for n in range(min(_THREADS, len(measured)))
        }
        found = self._read({part: self._measuring(group, now) for part, group in groups.items()})
        gauges = (one for group in found.values() for one in group)
        return tuple(sorted(gauges, key=lambda one: (one.job_type, one.domain)))

    def _measuring(
        self, queues: Iterable[tuple[str, str, int]], now: datetime
    ) -> Callable[[], list[QueueGauge]]:
        return lambda: [self._queue(*queue, now) for queue in queues]

    def _queue(self, job_type: str, domain: str, shards: int, now: datetime) -> QueueGauge:
        name = queue_name(job_type, domain or None)
        head = queue_head(self._sources.jobs, name, shards, now, MOST_COUNTED)
        oldest_s = _age_s(head.oldest_at, now) if head.oldest_at else 0.0
        return QueueGauge(job_type, domain, head.jobs, oldest_s)


def _queues_of(types: Iterable[str], totals: Tally) -> list[_Queue]:
    """Return the queue that all workers share of each type, then others by how much they are used.

    Who submits a request may name a domain: names of many must not hide the queues that are used.
    """
    queues = [key for key in totals if key.subject is Subject.QUEUES]
    used = [key.labels for key in sorted(queues, key=lambda key: (-totals[key]["queued"], key))]
    return list(dict.fromkeys([*((name, "") for name in types), *((q[0], q[1]) for q in used)]))


def _streams(counted: _Counted, now: datetime) -> dict[str, StreamGauge]:
    """Say how far each table's stream is counted in its newest part.

    A table of which nothing was counted is as far behind as its gap is old.
    """
    gaps = counted.state.gaps if counted.state else {}
    counted_to = dict(gaps)
    for progress in sorted(counted.progress, key=lambda progress: progress.counted_to):
        counted_to[progress.table] = progress.counted_to
    return {
        table.value: StreamGauge(_age_s(counted_to[table], now), table in gaps)
        for table in sorted(counted_to)
    }


def _age_s(moment: datetime, now: datetime) -> float:
    return max((now - moment).total_seconds(), 0.0)
