"""Blocks of which a process keeps the lease, or not: no job begins that others may begin too."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from shiftwork_core.callbacks import Job
from shiftwork_core.domain.requests.records import batch_name
from shiftwork_core.domain.requests.states import AttemptStatus
from shiftwork_core.errors import Throttled
from shiftwork_core.services.requests import block_work
from tests.unit.services.conftest import counted
from tests.unit.services.requests.test_blocks import claimed, submit
from tests.world.world import LEASE, World

LONG = timedelta(minutes=15)


def run_block(world: World, request_id: str) -> None:
    """Run the last attempt at the first block, in a process of its own."""
    [*_, block] = world.attempts(request_id)
    runner = world.another(sleep=world.clock.advance).runner
    runner.run(request_id, [batch_name(block)], LONG)


def test_a_lease_is_renewed_while_the_input_of_a_block_cannot_be_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[int] = []
    request_id = submit(world, 3, lambda job: ran.append(job.item))
    world.advancer.advance(request_id, 1)
    unpack, until = world.payloads.unpack, world.clock() + 2 * LEASE

    def refused(payload: Any) -> Any:
        if world.clock() < until:
            raise Throttled("Rate exceeded")
        return unpack(payload)

    renewed = counted(monkeypatch, world.jobs, "renew")
    monkeypatch.setattr(type(world.payloads), "unpack", lambda self, payload: refused(payload))
    run_block(world, request_id)
    assert len(renewed) >= 5
    assert sorted(ran) == [0, 1, 2]
    assert [a.status for a in world.attempts(request_id)] == ["completed"]


def test_no_job_begins_once_the_block_has_been_taken_from_a_process_that_read_for_too_long(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[int] = []
    request_id = submit(world, 3, lambda job: ran.append(job.item))
    world.advancer.advance(request_id, 1)
    unpack = world.payloads.unpack
    is_first = True

    def slow(payload: Any) -> Any:
        nonlocal is_first
        if is_first:
            is_first = False
            world.clock.advance(2 * LEASE.total_seconds())
            [held] = world.attempts(request_id)
            world.recorder.expire(held)
        return unpack(payload)

    monkeypatch.setattr(type(world.payloads), "unpack", lambda self, payload: slow(payload))
    run_block(world, request_id)
    assert ran == []
    assert [a.status for a in world.attempts(request_id)] == ["retry", "new"]


def test_no_job_begins_while_a_lease_that_may_be_over_cannot_be_renewed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[int] = []

    def first_is_slow(job: Job) -> None:
        ran.append(job.item)
        world.clock.advance(LEASE.total_seconds() + 1)

    request_id = submit(world, 3, first_is_slow, batch_size=1, timeout_s=600)
    world.advancer.advance(request_id, 1)

    def refused(*_: object) -> bool:
        raise Throttled("Rate exceeded")

    with monkeypatch.context() as patch:
        patch.setattr(world.jobs, "renew", refused)
        run_block(world, request_id)
    assert ran == [0]
    block = world.attempts(request_id)[-1].block
    assert block is not None and [t.places for t in block.todo] == [range(1, 3)]


def test_an_attempt_that_writes_down_each_job_goes_on_in_the_next_after_so_many_waves(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block_work, "MAX_WAVES", 3)
    request_id = submit(world, 8, lambda job: {f"job {job.item}": 1}, batch_size=1)
    world.advancer.advance(request_id, 1)
    lost = claimed(world, request_id)
    world.clock.advance(2 * LEASE.total_seconds())
    world.recorder.expire(lost)
    world.run_through()
    done = [a.block.completed for a in world.attempts(request_id) if a.block is not None]
    assert done == [0, 3, 3, 2]
    assert len(world.view(request_id)["extras"]) == 8


def test_blocks_of_jobs_that_hang_leave_no_more_threads_than_a_process_has_room_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = submit(world, 300, lambda job: None, entry={"block": 100}, batch_size=40)
    world.advancer.advance(request_id, 1)
    threads: list[int] = []

    def hang(calls: Any, tick_s: Any) -> Any:
        threads.append(len(calls))
        for call in calls.values():
            call.args[0].take(call.args[2], world.clock())
        world.clock.advance(61)
        yield {}

    runner = world.another(side_by_side=hang, sleep=world.clock.advance).runner
    names = [batch_name(attempt) for attempt in world.attempts(request_id)]
    runner.run(request_id, names, LONG)
    assert threads == [40, 24]
    statuses = [attempt.status for attempt in world.attempts(request_id)]
    assert statuses.count(AttemptStatus.NEW) == 3
