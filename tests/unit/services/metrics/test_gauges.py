"""What is measured for operators: queues, due requests, workers, lifecycle jobs, streams."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from shiftwork_core.adapters.memory import MemoryCounterStore
from shiftwork_core.adapters.threads import side_by_side
from shiftwork_core.domain.metrics.counters import CounterKey, Subject
from shiftwork_core.domain.metrics.gauges import (
    LOST_FOR,
    STUCK_AFTER,
    DueGauge,
    QueueGauge,
    StreamGauge,
)
from shiftwork_core.domain.requests.definitions import Kind
from shiftwork_core.domain.requests.records import Attempt, AttemptKey
from shiftwork_core.domain.workers import workers as domain
from shiftwork_core.domain.workers.workers import WorkerStatus
from shiftwork_core.domain.workspaces.records import Cause, LifecycleJob, Operation
from shiftwork_core.errors import Throttled
from shiftwork_core.ports.metrics import CounterState, Table
from shiftwork_core.ports.stores import Lane
from shiftwork_core.services.metrics import gauges as service
from shiftwork_core.services.metrics.gauges import GaugeReader, Sources
from shiftwork_core.services.requests.requests import Submission
from tests.unit.services.conftest import counted
from tests.world.counters import EPOCH, SINCE, Counted, Letters, sources_of
from tests.world.world import RULES, World

SECOND = timedelta(seconds=1)


class Platform:
    """A deployment whose gauges are read."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.counters = Counted()
        self.letters = Letters()
        self.sources = sources_of(world, self.counters, self.letters)
        self.reader = self.another(self.sources)

    def another(self, sources: Sources, calls: Any = side_by_side) -> GaugeReader:
        return GaugeReader(sources, RULES, self.world.clock, calls)

    @property
    def now(self) -> datetime:
        return self.world.clock()

    def queued(self, number: int, age_s: float, **values: Any) -> None:
        """Queue an attempt for workers."""
        given: dict[str, Any] = {"type": "poll", "type_version": 1, "is_polled": True} | values
        created_at = self.now - timedelta(seconds=age_s)
        key = AttemptKey(1, number, 1)
        self.world.jobs.insert([Attempt("r", key, name="j", created_at=created_at, **given)])

    def worker(self, name: str, silent_s: float = 0, **values: Any) -> None:
        """Store a worker that was last seen so many seconds ago."""
        row = domain.registered(None, name, "", [], 2, self.now, RULES, generation="g1")
        last_seen_at = self.now - timedelta(seconds=silent_s)
        self.world.worker_store.save(replace(row, last_seen_at=last_seen_at, **values))

    def lifecycle_job(self, id: str, due_in_s: float | None, **values: Any) -> None:
        """Store a lifecycle job that may be claimed so many seconds from now."""
        due_at = None if due_in_s is None else self.now + timedelta(seconds=due_in_s)
        times: dict[str, Any] = {
            "deadline": self.now,
            "created_at": self.now,
            "updated_at": self.now,
        }
        self.world.tables.put_lifecycle_job(
            LifecycleJob(
                id, "w", Operation.START, cause=Cause.SCHEDULE, due_at=due_at, **times, **values
            )
        )


@pytest.fixture
def platform(world: World) -> Platform:
    world.job_type("work", lambda job: None)
    world.request_type("some", [{"name": "j", "type": "work"}])
    return Platform(world)


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return what is logged as a warning."""
    return counted(monkeypatch, service.logger, "warning")


@pytest.fixture(autouse=True)
def _nothing_is_left_out(warnings: list[Any]) -> Iterator[None]:
    """A test that leaves something out takes its warning out of the list."""
    yield
    assert warnings == []


# -- queues --------------------------------------------------------------------------------------


def test_each_worker_type_has_a_queue_before_any_job_waits(platform: Platform) -> None:
    platform.world.job_type("poll", target="worker")
    assert platform.reader.read().queues == (QueueGauge("poll", "", 0, 0.0),)


def test_a_queue_is_measured_by_its_jobs_and_its_oldest(platform: Platform) -> None:
    platform.world.job_type("poll", target="worker")
    for number, age_s in enumerate([3, 7, 5]):
        platform.queued(number, age_s)
    platform.queued(9, 0, wake_at=platform.now + SECOND)
    assert platform.reader.read().queues == (QueueGauge("poll", "", 3, 7.0),)


def test_queues_of_domains_and_of_deleted_types_are_known_from_the_counters(
    platform: Platform,
) -> None:
    platform.world.job_type("poll", target="worker")
    platform.world.definitions.delete(Kind.JOB_TYPE, "poll")
    for domain_of in ("", "gpu"):
        platform.counters.add_to(Subject.QUEUES, "poll", domain_of, queued=2)
    platform.queued(1, 4, domain="gpu")
    assert platform.reader.read().queues == (
        QueueGauge("poll", "", 0, 0.0),
        QueueGauge("poll", "gpu", 1, 4.0),
    )


def test_a_new_type_is_measured_within_five_minutes(platform: Platform) -> None:
    assert platform.reader.read().queues == ()
    platform.world.job_type("poll", target="worker")
    platform.world.clock.advance(299)
    assert platform.reader.read().queues == ()
    platform.world.clock.advance(1)
    assert [queue.job_type for queue in platform.reader.read().queues] == ["poll"]


def test_a_hundred_queues_are_read_by_few_threads(platform: Platform) -> None:
    for number in range(100):
        platform.world.job_type(f"poll-{number:03}", target="worker")
    most: list[int] = []

    def watched(
        calls: Mapping[Any, Callable[[], Any]], tick_s: Callable[[], float]
    ) -> Iterator[Mapping[Any, Future[Any]]]:
        most.append(len(calls))
        return side_by_side(calls, tick_s)

    gauges = platform.another(platform.sources, watched).read()
    assert [queue.job_type for queue in gauges.queues] == [f"poll-{n:03}" for n in range(100)]
    assert max(most) == 16


def test_the_number_of_queues_is_bounded_and_defined_types_come_first(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, warnings: list[Any]
) -> None:
    monkeypatch.setattr(service, "MOST_SHARDS", 2)
    platform.world.job_type("z", target="worker")
    for name in ("b", "a"):
        platform.counters.add_to(Subject.QUEUES, name, "", queued=1)
    assert [queue.job_type for queue in platform.reader.read().queues] == ["a", "z"]
    assert warnings.pop()[1] == 1


def test_a_queue_is_measured_over_all_its_shards_also_of_earlier_versions(
    platform: Platform,
) -> None:
    for shards in (8, 2):
        platform.world.job_type("poll", target="worker", worker={"shards": shards})
    platform.counters.add_to(Subject.QUEUES, "poll", "gpu", queued=1)
    for number, age_s in enumerate([3, 9, 7, 5]):
        platform.queued(number, age_s, shard=2 * number)
    platform.queued(9, 4, shard=7, domain="gpu")
    assert platform.reader.read().queues == (
        QueueGauge("poll", "", 4, 9.0),
        QueueGauge("poll", "gpu", 1, 4.0),
    )


def test_a_queue_counts_by_its_shards_against_the_bound(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, warnings: list[Any]
) -> None:
    monkeypatch.setattr(service, "MOST_SHARDS", 9)
    for name in ("a", "b"):
        platform.world.job_type(name, target="worker", worker={"shards": 8})
    assert [queue.job_type for queue in platform.reader.read().queues] == ["a"]
    assert warnings.pop()[1] == 1


def test_the_jobs_of_all_shards_are_counted_up_to_the_bound_of_one_queue(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MOST_COUNTED", 3)
    platform.world.job_type("poll", target="worker", worker={"shards": 2})
    for number in range(4):
        platform.queued(number, number, shard=number % 2)
    assert platform.reader.read().queues == (QueueGauge("poll", "", 3, 3.0),)


# -- due requests --------------------------------------------------------------------------------


def submitted(platform: Platform, due_s: float) -> None:
    """Store a request that is due since then."""
    request, _ = platform.world.requests.submit(Submission("some", {}, {}), None)
    due_at = platform.now - timedelta(seconds=due_s)
    platform.world.tables.put_request(replace(request, due_at=due_at))


def test_without_requests_nothing_is_due_in_either_lane(platform: Platform) -> None:
    due = platform.reader.read().due_requests
    assert due == {lane.value: DueGauge(0.0, 0) for lane in Lane}


def test_the_longest_due_request_is_the_oldest(platform: Platform) -> None:
    for due_s in (5, 20, -30):
        submitted(platform, due_s)
    due = platform.reader.read().due_requests
    assert due[Lane.NEW] == DueGauge(20.0, 0)
    assert due[Lane.INPROGRESS] == DueGauge(0.0, 0)


def test_requests_that_are_due_for_over_ten_minutes_are_stuck(platform: Platform) -> None:
    for extra_s in (-1, 0, 1, 100):
        submitted(platform, STUCK_AFTER.total_seconds() + extra_s)
    assert platform.reader.read().due_requests[Lane.NEW] == DueGauge(700.0, 2)


def test_a_request_that_starts_later_is_not_due(platform: Platform) -> None:
    later = Submission("some", {}, {}, start_at=platform.now + timedelta(days=1))
    platform.world.requests.submit(later, None)
    platform.world.clock.advance(3600)
    assert platform.reader.read().due_requests[Lane.NEW] == DueGauge(0.0, 0)


# -- workers -------------------------------------------------------------------------------------


def test_without_workers_every_status_is_zero(platform: Platform) -> None:
    gauges = platform.reader.read()
    assert gauges.workers == dict.fromkeys(WorkerStatus, 0)
    assert gauges.lost_workers == 0


def test_workers_are_counted_by_the_status_that_people_are_shown(platform: Platform) -> None:
    platform.worker("idle")
    platform.worker("available", status=WorkerStatus.AVAILABLE)
    platform.worker("busy", status=WorkerStatus.BUSY)
    platform.worker("error", status=WorkerStatus.ERROR)
    platform.worker("silent", silent_s=RULES.offline_after.total_seconds() + 1)
    platform.worker("left", active=False)
    assert platform.reader.read().workers == dict.fromkeys(WorkerStatus, 1)


def test_workers_and_job_types_are_measured_up_to_a_bound_which_is_logged(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, warnings: list[Any]
) -> None:
    for name in ("a", "b", "c"):
        platform.worker(name)
        platform.world.job_type(name, target="worker")
    monkeypatch.setattr(service, "MOST_WORKERS", 2)
    monkeypatch.setattr(service, "MOST_TYPES", 2)
    gauges = platform.reader.read()
    assert sum(gauges.workers.values()) == 2
    assert [queue.job_type for queue in gauges.queues] == ["a", "b"]
    logged = {warnings.pop()[0] for _ in range(2)}
    assert logged == {"only %d workers are counted", "no more than %d job types are measured"}


def test_a_worker_that_fell_silent_without_leaving_is_lost_for_fifteen_minutes(
    platform: Platform,
) -> None:
    offline_s = RULES.offline_after.total_seconds()
    platform.worker("alive", silent_s=offline_s)
    platform.worker("just-lost", silent_s=offline_s + 1)
    platform.worker("lately-lost", silent_s=offline_s + LOST_FOR.total_seconds() - 1)
    platform.worker("long-lost", silent_s=offline_s + LOST_FOR.total_seconds())
    platform.worker("left", silent_s=offline_s + 1, active=False)
    gauges = platform.reader.read()
    assert gauges.lost_workers == 2
    assert gauges.workers[WorkerStatus.OFFLINE] == 3
    assert gauges.workers[WorkerStatus.STOPPED] == 1


# -- lifecycle jobs, dead letters, streams -------------------------------------------------------


def test_the_longest_due_switch_is_the_latest(platform: Platform) -> None:
    assert platform.reader.read().late_switch_s == 0.0
    for number, due_in_s in enumerate([-5, -60, 60, None]):
        platform.lifecycle_job(f"j{number}", due_in_s)
    platform.lifecycle_job("ended", -900, completed_at=platform.now)
    assert platform.reader.read().late_switch_s == 60.0


def test_dead_letters_are_counted_by_queue(platform: Platform) -> None:
    platform.letters.found = {"wake": 3, "switch": 0}
    assert platform.reader.read().dead_letters == {"wake": 3, "switch": 0}


def test_a_stream_is_as_far_behind_as_its_newest_part(platform: Platform) -> None:
    for seconds in (60, 5, 90):
        platform.counters.behind(Table.JOBS, platform.now - seconds * SECOND)
    platform.counters.behind(Table.REQUESTS, platform.now + SECOND)
    assert platform.reader.read().streams == {
        "jobs": StreamGauge(5.0, False),
        "requests": StreamGauge(0.0, False),
    }


def test_a_gap_is_seen_even_where_nothing_was_counted(platform: Platform) -> None:
    gaps = {Table.JOBS: platform.now - 60 * SECOND, Table.REQUESTS: platform.now - 60 * SECOND}
    assert platform.counters.save_state(CounterState(EPOCH, SINCE, gaps=gaps, revision=1))
    platform.counters.behind(Table.JOBS, platform.now - 5 * SECOND)
    assert platform.reader.read().streams == {
        "jobs": StreamGauge(5.0, True),
        "requests": StreamGauge(60.0, True),
    }


def test_the_totals_come_with_the_gauges(platform: Platform) -> None:
    platform.counters.add_to(Subject.REQUESTS, "some", Queuing=3)
    scrape = platform.reader.scrape()
    assert scrape.totals == {CounterKey(Subject.REQUESTS, ("some",)): {"Queuing": 3}}
    assert scrape.gauges.counters_up
    assert scrape.gauges.counters_since == SINCE


def test_counters_that_were_not_begun_are_empty_and_up(platform: Platform) -> None:
    sources = replace(platform.sources, counters=MemoryCounterStore())
    scrape = platform.another(sources).scrape()
    assert scrape.totals == {}
    assert scrape.gauges.counters_up
    assert scrape.gauges.counters_since is None


# -- what cannot be read -------------------------------------------------------------------------


def full(platform: Platform) -> None:
    """Fill the platform so that every part has something to show."""
    platform.world.job_type("poll", target="worker")
    platform.queued(1, 4)
    platform.worker("host")
    platform.lifecycle_job("j", -5)
    submitted(platform, 9)
    platform.counters.behind(Table.JOBS, platform.now)


@pytest.mark.parametrize("error", [Throttled("slow down"), RuntimeError("no such table")])
def test_without_the_counters_everything_else_is_measured(
    platform: Platform, error: Exception, warnings: list[Any]
) -> None:
    full(platform)
    whole = platform.reader.read()
    platform.counters.error = error
    scrape = platform.reader.scrape()
    assert scrape.totals == {}
    assert scrape.gauges == replace(whole, streams={}, counters_up=False, counters_since=None)
    assert warnings.pop()


class Broken:
    """A store of which every call fails."""

    def __getattr__(self, name: str) -> Any:
        def fail(*arguments: Any) -> Any:
            raise Throttled("slow down")

        return fail


@pytest.mark.parametrize(
    ("source", "left_out"),
    [
        ("definitions", {"queues": ()}),
        ("jobs", {"queues": ()}),
        ("requests", {"due_requests": {}}),
        ("workers", {"workers": {}, "lost_workers": None}),
        ("lifecycle_jobs", {"late_switch_s": None}),
        ("dead_letters", {"dead_letters": {}}),
    ],
)
def test_a_part_that_fails_takes_no_other_down(
    platform: Platform, source: str, left_out: dict[str, Any], warnings: list[Any]
) -> None:
    full(platform)
    whole = platform.reader.read()
    sources = replace(platform.sources, **{source: Broken()})
    assert platform.another(sources).read() == replace(whole, **left_out)
    assert warnings.pop()


# -- what it costs -------------------------------------------------------------------------------


class Counting:
    """Counts the calls of a store."""

    def __init__(self, store: Any, calls: dict[str, int]) -> None:
        self._store = store
        self._calls = calls
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        def call(*arguments: Any) -> Any:
            with self._lock:
                self._calls[name] = self._calls.get(name, 0) + 1
            return method(*arguments)

        return call


def test_a_scrape_makes_a_fixed_number_of_calls_and_one_for_each_queue(
    platform: Platform,
) -> None:
    for number in range(20):
        platform.world.job_type(f"poll-{number}", target="worker")
        platform.counters.add_to(Subject.QUEUES, f"poll-{number}", "", queued=1)
    calls: dict[str, int] = {}
    stores = {
        name: Counting(getattr(platform.sources, name), calls)
        for name in Sources.__dataclass_fields__
    }
    reader = platform.another(Sources(**stores))
    reader.read()
    once = {"state": 1, "totals": 1, "progress": 1, "all": 1, "upcoming": 1, "depths": 1}
    assert calls == {**once, "due": 4, "latest": 1, "queue_head": 20}
    calls.clear()
    reader.read()
    assert calls == {**once, "due": 4, "queue_head": 20}
