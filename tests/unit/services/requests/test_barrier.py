"""When a request that only waits is due again, and what happens then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from shiftwork_core.callbacks import Job, Retry
from shiftwork_core.domain.requests.outcomes import Completed
from shiftwork_core.domain.requests.records import Attempt, AttemptKey
from shiftwork_core.domain.requests.stalls import LastRound
from shiftwork_core.domain.requests.states import AttemptStatus
from shiftwork_core.services.requests.barrier import CHECK_UP
from shiftwork_core.services.requests.outcome_writer import Recording, Result
from tests.unit.services.conftest import counted
from tests.world.world import LEASE, World

LATE = timedelta(hours=2)


def waiting(world: World, *targets: str, **worker: Any) -> str:
    """Return a request whose execution waits for a job of each target, RunJobs' for a retry."""

    def later(job: Job) -> None:
        raise Retry("later", delay_s=LATE.total_seconds())

    world.job_type("worker", target="worker", worker=worker)
    world.job_type("python", later)
    world.request_type("some", [{"name": target, "type": target} for target in targets])
    request_id = world.submit("some")
    world.run()
    [step] = world.store.steps(request_id)
    assert step.token is not None
    return request_id


def held(world: World, request_id: str) -> Attempt:
    """Return the first job, claimed."""
    claimed = world.runner.holder.claim(world.request(request_id), AttemptKey(1, 0, 1))
    assert isinstance(claimed, Attempt)
    return claimed


def waits(world: World, request_id: str) -> bool:
    return world.barrier.keeps_waiting(world.request(request_id))


def waits_when_due(world: World, request_id: str) -> bool:
    world.clock.advance(due_in(world, request_id).total_seconds())
    return waits(world, request_id)


def due_in(world: World, request_id: str) -> timedelta:
    due_at = world.request(request_id).due_at
    assert due_at is not None
    return due_at - world.clock()


def put_step(world: World, request_id: str, **values: Any) -> None:
    [step] = world.store.steps(request_id)
    world.tables.put_step(replace(step, **values))


# -- the look --------------------------------------------------------------------------------------


def test_a_request_that_waits_for_workers_keeps_waiting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = waiting(world, "worker")
    held(world, request_id)
    reads = counted(monkeypatch, world.jobs, "of_step")
    assert waits(world, request_id)
    assert len(reads) == 1


def test_a_request_without_a_waiting_execution_is_not_read_further(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = waiting(world, "worker")
    reads = counted(monkeypatch, world.jobs, "of_step")
    for values in ({"token": None}, {"token": "token", "target": 1, "arrivals": 1}):
        put_step(world, request_id, **values)
        assert not waits(world, request_id)
    del world.tables.steps[request_id]
    assert not waits(world, request_id)
    assert reads == []


def test_a_request_that_waits_for_no_worker_gets_an_execution(world: World) -> None:
    request_id = waiting(world, "python")
    assert not waits(world, request_id)


def test_a_request_with_an_uncounted_completion_does_not_keep_waiting(world: World) -> None:
    request_id = waiting(world, "worker", "worker")
    attempt = held(world, request_id)
    output = world.payloads.pack(request_id, {})
    world.jobs.complete(attempt, output, world.clock())
    assert not waits(world, request_id)


def test_a_completion_while_the_wait_begins_lowers_its_target(world: World) -> None:
    """It was counted behind the waiter's back, so the target is lower than what is out."""
    request_id = waiting(world, "worker", "worker")
    put_step(world, request_id, target=1)
    assert waits(world, request_id)


def test_a_request_with_runnable_jobs_does_not_keep_waiting(world: World) -> None:
    """A completion was counted behind the waiter's back, so its target is too low to tell."""
    request_id = waiting(world, "worker", "python")
    put_step(world, request_id, target=1)
    world.clock.advance((LATE + 2 * LEASE).total_seconds())
    assert not waits(world, request_id)


def test_a_silent_worker_loses_its_job_and_the_request_waits_for_the_others(world: World) -> None:
    request_id = waiting(world, "worker", "worker")
    lost = held(world, request_id)
    assert lost.lease_until is not None
    world.clock.now = lost.lease_until
    assert waits(world, request_id)
    assert world.statuses(request_id) == ["worker 1 retry", "worker 2 new", "worker 1 new"]


# -- the time of the next look ---------------------------------------------------------------------


@pytest.mark.parametrize("poll_timeout_s", [0, LEASE.total_seconds()])
def test_a_wait_that_begins_keeps_a_due_time_that_lies_ahead(
    world: World, monkeypatch: pytest.MonkeyPatch, poll_timeout_s: float
) -> None:
    """It may come from a worker that has yet to claim."""
    reads = counted(monkeypatch, world.jobs, "of_step")
    times = counted(monkeypatch, world.store, "set_due")
    request_id = waiting(world, "worker", poll_timeout_s=poll_timeout_s)
    assert due_in(world, request_id) == LEASE
    before = len(reads)
    assert waits(world, request_id)
    assert (due_in(world, request_id), len(reads)) == (LEASE, before + 1)
    assert times == []


def test_a_wait_for_a_held_job_is_due_when_its_lease_ends(world: World) -> None:
    request_id = waiting(world, "worker")
    world.clock.advance(LEASE.total_seconds() / 2)
    held(world, request_id)
    assert waits(world, request_id)
    assert due_in(world, request_id) == LEASE


def test_a_wait_for_jobs_that_complete_while_it_begins_ends_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that completed them may have looked for a token before there was one."""
    request_id = waiting(world, "worker", "worker")
    [step] = world.store.steps(request_id)
    assert step.token is not None
    register = world.store.register_waiter

    def complete_and_register(*args: Any) -> Any:
        put_step(world, request_id, arrivals=2)
        return register(*args)

    monkeypatch.setattr(world.store, "register_waiter", complete_and_register)
    woken = counted(monkeypatch, world.machine, "wake_execution")
    world.barrier.wait(request_id, 1, step.token)
    assert woken == [(step.token,)]


@pytest.mark.parametrize("poll_timeout_s", [0, 60, LATE.total_seconds()])
def test_a_request_that_waits_for_workers_is_due_now_and_then(
    world: World, poll_timeout_s: float
) -> None:
    """A completion left uncounted, because its recorder died, has no due time of its own."""
    request_id = waiting(world, "worker", poll_timeout_s=poll_timeout_s)
    if poll_timeout_s != 60:
        assert waits_when_due(world, request_id)
    expected = timedelta(minutes=1) if poll_timeout_s == 60 else CHECK_UP
    assert due_in(world, request_id) == expected


def test_a_request_that_waits_for_a_retry_is_due_when_its_wake_up_is_overdue(world: World) -> None:
    request_id = waiting(world, "python")
    assert due_in(world, request_id) == LATE + LEASE


def test_a_wait_for_unclaimed_jobs_reads_them_twice_and_sets_one_due_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = waiting(world, "worker")
    reads = counted(monkeypatch, world.jobs, "of_step")
    hastened = counted(monkeypatch, world.store, "bring_due_forward")
    assert waits_when_due(world, request_id)
    assert (len(reads), hastened) == (2, [])


def test_a_wait_for_a_retry_reads_the_attempts_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = waiting(world, "python")
    world.advancer.advance(request_id, 1, LastRound(events=20))
    [step] = world.store.steps(request_id)
    reads = counted(monkeypatch, world.jobs, "of_step")
    assert step.token is not None
    world.barrier.wait(request_id, 1, step.token)
    assert len(reads) == 1


def test_a_report_of_what_has_not_arrived_writes_nothing_to_the_step(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = waiting(world, "worker")
    counts = counted(monkeypatch, world.store, "count_arrivals")
    world.barrier.report(held(world, request_id), Recording(Result.RETRY))
    assert counts == []


@pytest.mark.parametrize(("arrivals", "joins", "reads"), [(1, 0, 0), (0, 1, 1), (0, 0, 1)], ids=str)
def test_a_batch_reads_its_step_once_unless_what_it_counts_shows_the_row(
    world: World, monkeypatch: pytest.MonkeyPatch, arrivals: int, joins: int, reads: int
) -> None:
    request_id = waiting(world, "python")
    put_step(world, request_id, token=None, target=None)
    found = counted(monkeypatch, world.store, "get_step")
    world.barrier.end_batch(request_id, 1, arrivals, joins=joins, is_joined=False)
    assert len(found) == reads


@pytest.mark.parametrize(("is_joined", "woken"), [(True, ["token"]), (False, [])])
def test_what_else_arrives_in_a_batch_that_a_map_joins_does_not_keep_it_from_waking_who_waits(
    world: World, monkeypatch: pytest.MonkeyPatch, is_joined: bool, woken: list[str]
) -> None:
    """The Map's execution may be dead; nothing else wakes the one that waits in its place."""
    request_id = waiting(world, "python")
    put_step(world, request_id, token="token", target=5)
    wakes = counted(monkeypatch, world.machine, "wake_execution")
    world.barrier.end_batch(request_id, 1, 1, is_joined=is_joined)
    assert [token for (token,) in wakes] == woken


def while_set(world: World, patch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Do something right before a due time is next set."""
    set_due = world.store.set_due

    def call(*args: Any) -> None:
        patch.setattr(world.store, "set_due", set_due)
        act()
        set_due(*args)

    patch.setattr(world.store, "set_due", call)


def test_a_claim_while_the_due_time_is_set_brings_it_forward(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = waiting(world, "worker")
    leases: list[datetime | None] = []
    while_set(world, monkeypatch, lambda: leases.append(held(world, request_id).lease_until))
    assert waits_when_due(world, request_id)
    assert leases == [world.request(request_id).due_at]


def test_a_claim_that_lapses_while_the_due_time_is_set_makes_the_request_due(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = waiting(world, "worker")

    def claim_and_be_silent() -> None:
        lease_until = held(world, request_id).lease_until
        assert lease_until is not None
        world.clock.now = lease_until

    while_set(world, monkeypatch, claim_and_be_silent)
    waits_when_due(world, request_id)
    assert world.request(request_id).due_at == world.clock()


def test_the_last_completion_while_the_due_time_is_set_leaves_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = waiting(world, "worker")
    done = Completed({})
    while_set(world, monkeypatch, lambda: world.record(held(world, request_id), done))
    waits_when_due(world, request_id)
    assert world.request(request_id).due_at is not None
    assert [a.status for a in world.attempts(request_id)] == [AttemptStatus.COMPLETED]
