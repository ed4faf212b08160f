"""What a poller reads, tries and claims: alone, in a crowd, with limits, by an index that lags."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import pytest

from shiftwork_core.domain.requests.definitions import Kind
from shiftwork_core.domain.requests.outcomes import JobError
from shiftwork_core.domain.requests.queue_order import Queued, QueueView
from shiftwork_core.domain.requests.records import Attempt, Request
from shiftwork_core.domain.requests.states import AttemptStatus, RequestStatus
from shiftwork_core.services.polling.claim import Claimant
from shiftwork_core.services.polling.tasks import Poller
from tests.unit.services.conftest import counted
from tests.world.world import LEASE, World

ONE, TWO = Poller("w1"), Poller("w2")


@dataclass
class Calls:
    """What pollers ask the stores for; `shown`, if set, is all that the lagging index shows."""

    looks: list[int] = field(default_factory=list)
    reads: list[int] = field(default_factory=list)
    claims: list[int] = field(default_factory=list)
    shown: list[Queued] | None = None


@pytest.fixture
def calls(world: World, monkeypatch: pytest.MonkeyPatch) -> Calls:
    calls = Calls()
    jobs = world.jobs
    queued, get_many, claim = jobs.queued, jobs.get_many, jobs.claim_queued

    def look(queue: str, now: datetime, limit: int) -> QueueView:
        calls.looks.append(limit)
        shown = calls.shown
        return queued(queue, now, limit) if shown is None else QueueView(shown[:limit], [])

    def read(ids: Sequence[Any]) -> list[Attempt]:
        calls.reads.append(len(ids))
        return get_many(ids)

    def claim_queued(found: Sequence[Queued], **values: Any) -> list[Attempt | None]:
        calls.claims.append(len(found))
        return claim(found, **values)

    monkeypatch.setattr(jobs, "queued", look)
    monkeypatch.setattr(jobs, "get_many", read)
    monkeypatch.setattr(jobs, "claim_queued", claim_queued)
    return calls


def submit(world: World, jobs: int = 1, **body: Any) -> str:
    world.job_type("poll", target="worker", **body)
    world.request_type("some", [{"name": "poll", "type": "poll", "for_each": "params.items"}])
    request_id = world.submit("some", items=list(range(jobs)))
    world.run()
    return request_id


def poll(world: World, poller: Poller = ONE, count: int = 1) -> list[int]:
    """Poll; return the numbers of the jobs that were given."""
    return [task.attempt.key.job for task in world.tasks.poll("poll", poller, count)]


def stop_index(world: World, calls: Calls) -> None:
    """Let the index go on showing what it shows now."""
    calls.shown = world.jobs.queued("poll", world.clock(), 500).waiting
    forget(calls)


def claim_elsewhere(world: World, request_id: str, numbers: range) -> None:
    """Let a worker that another process serves claim these jobs."""
    now = world.clock()
    values: dict[str, Any] = {"claim_id": "c", "worker_id": "w9", "now": now}
    for attempt in world.attempts(request_id):
        if attempt.key.job in numbers:
            world.jobs.claim(request_id, attempt.key, **values, lease_until=now + LEASE)


def forget(calls: Calls) -> None:
    for noted in (calls.looks, calls.reads, calls.claims):
        noted.clear()


def lose(world: World, monkeypatch: pytest.MonkeyPatch, counts: Iterator[int]) -> None:
    """Let another claim so many of the jobs of each call just before it."""
    claim = world.jobs.claim_queued

    def claim_queued(found: Sequence[Queued], **values: Any) -> list[Attempt | None]:
        lost = next(counts)
        rival = {"claim_id": "theirs", "worker_id": "w9", "now": values["now"]}
        claim(found[:lost], **rival, leases=values["leases"][:lost])
        return claim(found, **values)

    monkeypatch.setattr(world.jobs, "claim_queued", claim_queued)


def held(world: World, request_id: str, worker_id: str = "w1") -> list[int]:
    return [a.key.job for a in world.attempts(request_id) if a.worker_id == worker_id]


# -- alone, and in a crowd -----------------------------------------------------------------------


def test_a_poller_claims_in_order_alone_and_as_is_drawn_with_a_rival() -> None:
    draws = itertools.count(0, -1)
    world = World(draw=lambda: next(draws))
    submit(world, 20)
    assert poll(world, count=2) == [0, 1]
    assert poll(world, TWO) == [11]  # The last of the ten that are read.


def test_a_rival_counts_for_half_a_minute_after_its_poll(world: World, calls: Calls) -> None:
    submit(world)
    poll(world, TWO)
    world.clock.advance(30)
    poll(world)
    world.clock.advance(0.001)
    poll(world)
    assert calls.looks == [1, 8, 1]


@pytest.mark.parametrize(("gone", "reads"), [(3, [5]), (6, [5, 5])])
def test_in_a_crowd_rows_are_read_before_what_is_gone_is_claimed(
    world: World, calls: Calls, gone: int, reads: list[int]
) -> None:
    request_id = submit(world, 30)
    poll(world, TWO)
    stop_index(world, calls)
    claim_elsewhere(world, request_id, range(1, gone + 1))
    assert poll(world, count=2) == [gone + 1, gone + 2]
    assert (calls.reads, calls.claims) == (reads, [2])
    assert world.tally["lost"] == 0


def test_in_a_crowd_a_job_that_was_cancelled_is_not_claimed(world: World, calls: Calls) -> None:
    request_id = submit(world, 30)
    poll(world, TWO)
    stop_index(world, calls)
    attempts = world.attempts(request_id)
    for attempt in attempts[1:4]:
        world.tables.put_attempt(replace(attempt, status=AttemptStatus.CANCELLED))
    assert poll(world) == [4]
    assert world.tally["lost"] == 0


def test_what_was_claimed_here_is_not_tried_again_though_an_index_shows_it(
    world: World, calls: Calls
) -> None:
    submit(world, 9)
    stop_index(world, calls)
    assert [poll(world) for _ in range(4)] == [[0], [1], [2], [3]]
    assert world.tally["lost"] == 0
    # As much more is read as is known to be gone, and that is forgotten after ten seconds.
    assert calls.looks == [1, 2, 3, 4]
    world.clock.advance(10)
    calls.shown = None
    assert poll(world) == [4]
    assert calls.looks[4:] == [1]


# -- claims that are lost ------------------------------------------------------------------------


def test_a_lost_claim_tells_a_poller_of_rivals_for_half_a_minute(
    world: World, calls: Calls
) -> None:
    request_id = submit(world, 200)
    stop_index(world, calls)
    claim_elsewhere(world, request_id, range(3))
    assert len(poll(world, count=3)) == 3
    assert world.tally["lost"] == 1
    assert calls.claims == [1, 3]
    assert calls.looks == [3, 8 * 8 * 3 + 1]
    calls.shown = None
    world.clock.advance(30)
    forget(calls)
    poll(world)
    world.clock.advance(0.001)
    poll(world)
    assert calls.looks == [8 * 8, 1 + 1]


def test_a_poller_that_always_loses_gives_up_after_a_bound(
    world: World, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = submit(world, 300)
    lose(world, monkeypatch, itertools.repeat(5))
    assert poll(world, count=5) == []
    # Alone it takes one loss to learn of rivals; with rivals it reads again after five.
    assert world.tally["lost"] == 1 + 5 + 5
    assert len(calls.looks) == 3
    assert len(held(world, request_id, "w9")) == 11


def test_whatever_was_claimed_is_given_though_other_claims_were_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = submit(world, 40)
    poll(world, TWO)
    lose(world, monkeypatch, itertools.chain([1], itertools.repeat(0)))
    given = poll(world, count=3)
    assert len(given) == 3
    assert sorted(given) == held(world, request_id)
    assert world.tally["lost"] == 1


# -- jobs that are not given ---------------------------------------------------------------------


def test_a_short_queue_of_dead_jobs_is_read_once(world: World, calls: Calls) -> None:
    request_id = submit(world, 3)
    world.store.finish(request_id, RequestStatus.CANCELLED, world.clock())
    assert poll(world, count=5) == []
    assert calls.looks == [5]


def test_a_job_whose_request_is_gone_keeps_no_other_from_a_poller(world: World) -> None:
    gone = submit(world)
    world.clock.advance(1)
    request_id = submit(world)
    del world.tables.requests[gone]
    [task] = world.tasks.poll("poll", ONE, 2)
    assert task.request.request_id == request_id


def test_a_request_is_read_once_for_all_its_jobs_and_once_after_their_claims(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(world, 5)
    reads: list[str] = []
    get = world.store.get

    def read(request_id: str) -> Request | None:
        reads.append(request_id)
        return get(request_id)

    monkeypatch.setattr(world.store, "get", read)
    assert len(poll(world, count=5)) == 5
    assert len(reads) == 2


@pytest.mark.parametrize("changes", [None, {"status": RequestStatus.CANCELLED, "due_at": None}])
def test_a_job_is_given_though_its_request_ends_or_goes_meanwhile(
    world: World, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any] | None
) -> None:
    request = world.request(submit(world))
    ended = None if changes is None else replace(request, **changes)
    reads: list[Request | None] = [request, ended]
    monkeypatch.setattr(world.store, "get", lambda _: reads.pop(0))
    assert poll(world) == [0]
    assert reads == []


def test_a_request_is_read_anew_for_what_a_further_look_finds(
    world: World, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have ended before that was put there: nothing else keeps that from running."""
    request_id = submit(world)
    claim = world.jobs.claim_queued

    def ends_meanwhile(found: Sequence[Queued], **values: Any) -> list[Attempt | None]:
        monkeypatch.setattr(world.jobs, "claim_queued", claim)
        claim_elsewhere(world, request_id, range(1))
        [held] = world.attempts(request_id)
        world.requests.cancel(request_id)
        key = replace(held.key, attempt=2)
        successor = replace(held, key=key, status=AttemptStatus.NEW, lease_until=None)
        world.jobs.retry(held, JobError("Broken", ""), successor, world.clock())
        return claim(found, **values)

    monkeypatch.setattr(world.jobs, "claim_queued", ends_meanwhile)
    assert poll(world) == []
    assert len(calls.looks) > 1
    assert world.attempts(request_id)[-1].status is AttemptStatus.NEW


def test_a_job_is_given_before_its_step_is_wholly_planned(world: World) -> None:
    request_id = submit(world)
    del world.tables.steps[request_id]
    world.tables.put_request(replace(world.request(request_id), due_at=world.clock() + 9 * LEASE))
    assert poll(world) == [0]


def test_a_lease_is_no_longer_than_the_attempt_may_take(world: World) -> None:
    request_id = submit(world, timeout_s=10)
    poll(world)
    [attempt] = world.attempts(request_id)
    assert attempt.lease_until is not None
    assert (attempt.lease_until - world.clock()).total_seconds() == 10


# -- limits --------------------------------------------------------------------------------------


def test_at_a_limit_the_queue_and_no_row_of_it_is_read_once(world: World, calls: Calls) -> None:
    submit(world, 30, worker={"concurrency_limit": 1})
    poll(world)
    forget(calls)
    assert poll(world, TWO) == []
    assert len(calls.looks) == 1
    assert calls.reads == [1]  # The holder of the slot.


def test_at_a_rate_limit_a_poller_gets_nothing_though_it_is_alone(world: World) -> None:
    submit(world, 9, worker={"rate_limit": {"count": 3, "per_s": 10}})
    assert len(poll(world, count=3)) == 3
    assert poll(world) == []


def test_an_empty_queue_costs_no_look_at_its_limits(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(world, 0, worker={"concurrency_limit": 1})
    monkeypatch.setattr(world.limits, "slots", lambda *_: pytest.fail("they are read"))
    assert poll(world) == []


def test_jobs_of_a_type_that_was_deleted_are_still_given(world: World) -> None:
    submit(world, worker={"concurrency_limit": 1})
    world.definitions.delete(Kind.JOB_TYPE, "poll")
    assert poll(world) == [0]


def test_the_limits_of_a_type_are_read_every_ten_seconds(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(world, 30)
    reads = counted(monkeypatch, world.definitions, "newest_job_type")
    for _ in range(20):
        assert len(poll(world)) == 1
        world.clock.advance(1)
    assert len(reads) == 2


def test_a_slot_that_others_have_taken_is_no_lost_claim(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(world, 9, worker={"concurrency_limit": 2})
    poll(world)
    monkeypatch.setattr(world.limits, "slots", lambda _: [])  # It was read too early.
    assert len(poll(world)) == 1
    assert world.tally["lost"] == 0
    assert poll(world) == []
    # A look ends with its last slot; three looks are the bound.
    assert world.tally["lost"] == 3


def test_a_slot_is_tried_again_only_if_the_job_was_lost(
    world: World, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = submit(world, 9, worker={"concurrency_limit": 2})
    slots: list[int] = []
    claim = world.jobs.claim_limited

    def claim_limited(queued: Queued, slot: Any, **values: Any) -> Any:
        slots.append(slot.number)
        if queued.key.job == 1:
            lost = world.attempts(request_id)[1]
            world.tables.put_attempt(replace(lost, status=AttemptStatus.INPROGRESS, fence=1))
        return claim(queued, slot, **values)

    monkeypatch.setattr(world.jobs, "claim_limited", claim_limited)
    world.claimer.claim("poll", None, 0, Claimant("w2", "c0"))  # A rival, so that rows are read.
    found = world.claimer.claim("poll", None, 2, Claimant("w1", "c1"))
    assert [attempt.key.job for _, attempt in found] == [0, 2]
    assert (len(calls.looks), slots) == (2, [0, 1, 1])


def test_one_attempt_is_claimed_if_it_waits_and_its_limits_allow_it(world: World) -> None:
    request_id = submit(world, 2, worker={"concurrency_limit": 1})
    request, [first, second] = world.request(request_id), world.attempts(request_id)
    claimed = world.claimer.claim_one(request, first, Claimant("by hand", "c1"))
    assert claimed is not None
    assert (claimed.key, claimed.worker_id) == (first.key, "by hand")
    assert world.claimer.claim_one(request, second, Claimant("by hand", "c2")) is None


# -- the due time --------------------------------------------------------------------------------


def test_a_claim_writes_the_due_time_once_and_reads_no_step_if_that_is_in_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = submit(world, 3)
    world.clock.advance(2 * LEASE.total_seconds())
    world.sweep()  # From now on the request is due in an hour.
    steps: list[int] = []
    writes: list[datetime] = []
    get_step, bring = world.store.get_step, world.store.bring_due_forward

    def read(request_id: str, step: int) -> Any:
        steps.append(step)
        return get_step(request_id, step)

    def write(request_id: str, due_at: datetime) -> None:
        writes.append(due_at)
        bring(request_id, due_at)

    monkeypatch.setattr(world.store, "get_step", read)
    monkeypatch.setattr(world.store, "bring_due_forward", write)
    poll(world)
    assert (writes, len(steps)) == ([world.clock() + LEASE], 1)
    assert world.request(request_id).due_at == world.clock() + LEASE
    poll(world)
    assert (len(writes), len(steps)) == (1, 1)
