"""Queues of several shards: each job is found in its own, however the number of shards changes."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from shiftwork_core.domain.requests.definitions import Kind
from shiftwork_core.domain.requests.queue_order import QueueView
from shiftwork_core.domain.requests.states import AttemptStatus
from shiftwork_core.services.polling.claim import UNREAD_FOR
from shiftwork_core.services.polling.newest_types import KEPT
from shiftwork_core.services.polling.reports import Report, ReportStatus
from shiftwork_core.services.polling.tasks import Poller
from shiftwork_core.services.requests.requests import Submission
from tests.unit.services.conftest import counted
from tests.world.world import World

ME = Poller("w1")


def define(world: World, shards: int | None = None, **more: Any) -> None:
    """Put the job type; pollers see it once they look again."""
    worker = more if shards is None else {"shards": shards, **more}
    world.job_type("poll", target="worker", worker=worker)
    world.clock.advance(KEPT.total_seconds())


def submit(world: World, jobs: int = 1, priority: int = 0, domain: str | None = None) -> str:
    """Submit a request with so many jobs, one a shard or more; return its id."""
    world.request_type("some", [{"name": "poll", "type": "poll", "for_each": "params.items"}])
    domains = {} if domain is None else {"poll": domain}
    params = {"items": list(range(jobs))}
    submission = Submission("some", params, {}, priority=priority, domains=domains)
    request, _ = world.requests.submit(submission, None)
    world.run()
    return request.request_id


def poll(world: World, count: int = 1, poller: Poller = ME) -> list[str]:
    """Poll; return the ids of the attempts that were given."""
    return [task.attempt.attempt_id for task in world.tasks.poll("poll", poller, count)]


def ids_of(world: World, request_id: str) -> set[str]:
    return {attempt.attempt_id for attempt in world.attempts(request_id)}


@pytest.fixture
def reads(world: World, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the queues' shards that polls read, in order."""
    read: list[str] = []
    queued = world.jobs.queued

    def noted(queue: str, now: datetime, limit: int) -> QueueView:
        read.append(queue)
        return queued(queue, now, limit)

    monkeypatch.setattr(world.jobs, "queued", noted)
    return read


@pytest.fixture
def world() -> World:
    """A deployment with real chance, the same in every run."""
    return World(draw=random.Random(7).random)


# -- nothing is stranded -------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [[1, 8], [8, 1], [1, 8, 1], [8, 3, 16, 2], [8, None]])
def test_jobs_of_every_version_are_found_however_the_number_of_shards_changes(
    world: World, changes: list[int | None]
) -> None:
    waiting: set[str] = set()
    for shards in changes:
        define(world, shards)
        waiting |= ids_of(world, submit(world, 40))
    assert world.tasks.queue_sizes(["poll"]) == {"poll": 40 * len(changes)}
    given: set[str] = set()
    while found := poll(world, 7):
        given |= {*found}
    assert given == waiting


def _delete(world: World) -> None:
    world.definitions.delete(Kind.JOB_TYPE, "poll")


def _redefine(world: World) -> None:
    world.job_type("poll", target="python")


def _delete_and_put(world: World) -> None:
    _delete(world)
    world.job_type("poll", target="worker")


@pytest.mark.parametrize("change", [_delete, _redefine, _delete_and_put])
def test_jobs_of_a_sharded_type_are_found_whatever_becomes_of_the_type(
    world: World, change: Callable[[World], None]
) -> None:
    define(world, 8)
    waiting = ids_of(world, submit(world, 40))
    change(world)
    world.clock.advance(KEPT.total_seconds())
    assert {*poll(world, 100)} == waiting


def test_a_poller_that_knows_a_type_finds_its_new_shards_soon(world: World) -> None:
    define(world, 1)
    poll(world)
    world.job_type("poll", target="worker", worker={"shards": 8})
    submit(world, 40)
    world.clock.advance(KEPT.total_seconds())
    assert len(poll(world, 100)) == 40


def test_a_retry_waits_in_the_shard_of_its_job(world: World) -> None:
    define(world, 8)
    request_id = submit(world, 40)
    before = {a.key.job: a.shard for a in world.attempts(request_id)}
    assert {*before.values()} == set(range(8))
    for attempt_id in poll(world, 100):
        world.tasks.report(Report(attempt_id, ReportStatus.FAILED, {}, "again", "w1"))
    retries = {a.key.job: a.shard for a in world.attempts(request_id) if a.key.attempt == 2}
    assert retries == before
    world.clock.advance(60)
    assert len(poll(world, 100)) == 40


def test_jobs_that_workers_do_not_do_have_no_shard(world: World) -> None:
    world.job_type("quick", lambda job: {})
    world.request_type("some", [{"name": "j", "type": "quick", "for_each": "params.items"}])
    request_id = world.submit("some", items=list(range(9)))
    world.run()
    assert {attempt.shard for attempt in world.attempts(request_id)} == {0}


# -- what a poll reads ---------------------------------------------------------------------------


def test_a_queue_of_one_shard_is_read_by_one_read(world: World, reads: list[str]) -> None:
    define(world)
    submit(world, 2)
    poll(world)
    assert reads == ["poll"]


def test_a_poll_reads_one_shard_if_that_has_enough(world: World, reads: list[str]) -> None:
    define(world, 8)
    submit(world, 400)
    poll(world)
    reads.clear()
    for _ in range(20):
        assert len(poll(world, 2)) == 2
    assert len(reads) == 20


def test_polls_begin_at_any_shard(world: World, reads: list[str]) -> None:
    define(world, 4)
    submit(world, 400)
    poll(world)
    reads.clear()
    for _ in range(100):
        poll(world)
    began = Counter(reads)
    assert set(began) == {"poll", "poll##1", "poll##2", "poll##3"}
    assert min(began.values()) >= 10


def test_a_poll_goes_on_to_further_shards_until_it_has_enough(
    world: World, reads: list[str]
) -> None:
    define(world, 8)
    submit(world, 40)
    poll(world)
    reads.clear()
    assert len(poll(world, 20)) == 20
    assert 2 <= len(reads) == len({*reads}) < 8


def test_a_shard_that_was_not_read_lately_is_read_whatever_the_others_have(
    world: World, reads: list[str]
) -> None:
    define(world, 8)
    submit(world, 400)
    for _ in range(2):
        reads.clear()
        assert len(poll(world)) == 1
        assert len({*reads}) == 8
        world.clock.advance(UNREAD_FOR.total_seconds())


def test_a_poll_that_finds_nothing_reads_each_shard_once(world: World, reads: list[str]) -> None:
    define(world, 8)
    assert poll(world, 5) == []
    assert sorted(reads) == ["poll", *(f"poll##{shard}" for shard in range(1, 8))]


def crowd(world: World, size: int) -> None:
    """Let so many other workers poll the empty queue."""
    for number in range(size):
        assert poll(world, 1, Poller(f"other-{number}")) == []


def test_in_a_crowd_a_poll_reads_as_much_as_the_rivals_at_one_shard_need(
    world: World, reads: list[str]
) -> None:
    define(world, 8)
    crowd(world, 15)
    submit(world, 640)
    reads.clear()
    assert len(poll(world, 4)) == 4
    assert len(reads) == 1


def test_in_a_crowd_a_poll_that_has_read_all_shards_takes_a_share_of_all(world: World) -> None:
    define(world, 8)
    crowd(world, 15)
    submit(world, 32)
    assert len(poll(world, 10)) == 2


# -- order ---------------------------------------------------------------------------------------


def test_within_a_shard_the_highest_priority_goes_first(world: World) -> None:
    define(world, 8)
    submit(world, 400, priority=1)
    submit(world, 400, priority=9)
    given = [task for _ in range(20) for task in world.tasks.poll("poll", ME, 2)]
    assert {task.attempt.priority for task in given} == {9}


def test_a_poll_that_reads_all_shards_goes_by_priority_over_all(world: World) -> None:
    define(world, 8)
    submit(world, 20, priority=1)
    urgent = ids_of(world, submit(world, 1, priority=9))
    assert {poll(world, 21)[0]} == urgent


# -- what dead workers held ----------------------------------------------------------------------


def test_jobs_of_a_dead_worker_are_found_in_every_shard(world: World) -> None:
    define(world, 8, response_timeout_s=30)
    request_id = submit(world, 40)
    assert len(poll(world, 100, Poller("dead"))) == 40
    assert {a.shard for a in world.attempts(request_id)} == set(range(8))
    world.clock.advance(30)
    for _ in range(3):
        poll(world, 100)
        world.clock.advance(60)
    assert len({a.key.job for a in world.attempts(request_id) if a.worker_id == "w1"}) == 40


def test_a_job_of_a_dead_worker_is_given_back_though_other_shards_have_enough(
    world: World,
) -> None:
    define(world, 8, response_timeout_s=30)
    request_id = submit(world, 400)
    poll(world, 1, Poller("dead"))
    [attempt] = [a for a in world.attempts(request_id) if a.worker_id == "dead"]
    world.clock.advance(30)
    for _ in range(6):
        world.clock.advance(0.5)
        assert len(poll(world)) == 1
    row = world.jobs.get(request_id, attempt.key)
    assert row is not None and row.status is AttemptStatus.RETRY


# -- limits, sizes, domains ----------------------------------------------------------------------


def test_a_limit_holds_over_all_shards(world: World) -> None:
    define(world, 8, concurrency_limit=3)
    submit(world, 40)
    assert sum(len(poll(world, 1)) for _ in range(20)) == 3


def test_a_rate_holds_over_all_shards(world: World) -> None:
    define(world, 8, rate_limit={"count": 5, "per_s": 3600})
    submit(world, 40)
    assert sum(len(poll(world, 2)) for _ in range(20)) == 5


def test_a_domain_has_shards_of_its_own(world: World) -> None:
    define(world, 8)
    submit(world, 40)
    mine = ids_of(world, submit(world, 40, domain="gpu"))
    assert world.tasks.queue_sizes(["poll#gpu"]) == {"poll#gpu": 40}
    assert world.tasks.queue_sizes() == {"poll": 40}
    assert {*poll(world, 100, Poller("w2", "gpu"))} == mine


def test_an_attempt_that_a_person_names_is_held_in_its_shard(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    define(world, 8)
    request_id = submit(world, 40)
    attempt = next(a for a in world.attempts(request_id) if a.shard == 5)
    claims = counted(monkeypatch, world.jobs, "claim_queued")
    world.tasks.report_by_name(request_id, attempt.name, Report("", ReportStatus.COMPLETED, {}))
    [([claimed],)] = claims
    assert claimed.queue == "poll##5"
