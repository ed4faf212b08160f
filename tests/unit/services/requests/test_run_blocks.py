"""Blocks in a process of RunJobs: which it claims, what it insists on, and what it leaves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from shiftwork_core.callbacks import Failure, Job
from shiftwork_core.domain.requests.records import Attempt, batch_name
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.errors import Throttled
from shiftwork_core.services.requests import run_blocks
from tests.unit.services.conftest import counted
from tests.unit.services.requests.test_blocks import claimed, ran, submit
from tests.unit.services.requests.test_run_jobs_bounds import (
    WAIT_S,
    never,
    one_by_one,
    runner_of,
    waits,  # noqa: F401  (a fixture)
)
from tests.world.world import LEASE, World

LONG = timedelta(minutes=15)


class Noting:
    """A callback that notes the items of its jobs."""

    def __init__(self, *bad: int) -> None:
        self.items: list[int] = []
        self._bad = bad

    def __call__(self, job: Job) -> dict[str, Any]:
        self.items.append(job.item)
        if job.item in self._bad:
            raise Failure("for good")
        return {f"job {job.item}": 1}


def planned(world: World, count: int, function: Any, **of: Any) -> tuple[str, list[str]]:
    """Return a request whose blocks are handed out, and their names."""
    request_id = submit(world, count, function, **of)
    world.advancer.advance(request_id, 1)
    return request_id, [batch_name(attempt) for attempt in world.attempts(request_id)]


def planned_after_a_death(
    world: World, count: int, function: Any, **of: Any
) -> tuple[str, list[str]]:
    """Return the same of a block at which a process has died, so that each wave is written down."""
    request_id, _ = planned(world, count, function, batch_size=1, **of)
    lost = claimed(world, request_id)
    world.clock.advance(2 * LEASE.total_seconds())
    world.recorder.expire(lost)
    return request_id, [batch_name(world.attempts(request_id)[-1])]


def todo(world: World, request_id: str) -> list[tuple[range, int]]:
    """Return what the last attempt at a block is to do."""
    block = world.attempts(request_id)[-1].block
    assert block is not None
    return [(part.places, part.tries) for part in block.todo]


def test_jobs_of_a_block_have_the_params_of_their_request(world: World) -> None:
    params: list[Any] = []
    submit(world, 2, lambda job: params.append(job.params))
    world.run_through()
    assert params == [{"items": [0, 1]}] * 2


def test_jobs_of_a_target_that_the_process_does_not_have_fail_and_say_so(world: World) -> None:
    request_id = submit(world, 2, ran)
    world.targets.clear()
    world.run_through()
    error = world.request(request_id).error
    assert error is not None and error.type == "UnknownTarget"


# -- which blocks it claims ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("on_failure", "counts", "items"),
    [
        ("stop", {"failure": 1, "untouched": 1}, [0]),
        ("finish", {"failure": 1, "completed": 1}, [0, 1]),
    ],
)
def test_a_failure_ends_its_batch_of_blocks_if_it_ends_its_request(
    world: World, on_failure: str, counts: dict[str, int], items: list[int]
) -> None:
    function = Noting(0)
    request_id, names = planned(world, 2, function, entry={"block": 1}, on_failure=on_failure)
    assert runner_of(world, one_by_one).run(request_id, names, LONG).counts == counts
    assert function.items == items


@pytest.mark.parametrize(
    ("used_s", "statuses"), [(99, ["completed", "retry", "new"]), (100, ["completed", "new"])]
)
def test_no_block_is_claimed_once_the_time_of_the_process_is_over(
    world: World, used_s: int, statuses: list[str]
) -> None:
    request_id, names = planned(world, 2, ran, entry={"block": 1})

    def slowly(calls: Any, tick_s: Any) -> Iterator[Any]:
        for ended in one_by_one(calls, tick_s):
            world.clock.advance(used_s)
            yield ended

    runner_of(world, slowly).run(request_id, names, timedelta(seconds=110))
    assert [attempt.status for attempt in world.attempts(request_id)] == statuses


def test_a_block_that_is_held_or_has_an_outcome_is_left_alone(world: World) -> None:
    request_id, names = planned(world, 2, ran)
    held = claimed(world, request_id)
    assert world.runner.run(request_id, names, LONG).counts == {"held": 1}
    world.recorder.record_block(held, {})
    assert world.runner.run(request_id, names, LONG).counts == {"settled": 1}


def test_one_job_of_a_batch_of_blocks_begins_however_long_it_may_last(world: World) -> None:
    function = Noting()
    request_id, names = planned(world, 4, function, entry={"block": 2}, batch_size=1, timeout_s=600)
    world.runner.run(request_id, names, timedelta(seconds=110))
    assert function.items == [0]


# -- how long it insists -------------------------------------------------------------------------


def test_the_outcome_of_a_block_is_given_up_before_the_process_ends(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id, names = planned(world, 1, ran)
    calls: list[datetime] = []
    monkeypatch.setattr(world.jobs, "complete", never(calls, world))
    begun_at = world.clock()
    with pytest.raises(Throttled):
        runner_of(world, one_by_one).run(request_id, names, timedelta(seconds=35))
    assert [(at - begun_at).total_seconds() for at in calls] == [n * WAIT_S for n in range(10)]


def test_the_input_of_a_block_that_another_has_taken_is_not_asked_for_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id, names = planned(world, 2, ran)
    reads: list[datetime] = []
    read = never(reads, world)
    monkeypatch.setattr(type(world.payloads), "unpack", lambda self, payload: read())
    monkeypatch.setattr(world.jobs, "renew", lambda *_: False)
    with pytest.raises(Throttled):
        runner_of(world, one_by_one).run(request_id, names, LONG)
    third = LEASE.total_seconds() / 3
    assert len(reads) == third // WAIT_S + 2


# -- its lanes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("plan", [planned, planned_after_a_death])
def test_a_lane_that_dies_ends_its_block_and_its_error_is_raised(
    world: World, monkeypatch: pytest.MonkeyPatch, plan: Any
) -> None:
    request_id, names = plan(world, 3, ran)
    done: list[Attempt] = []

    def faulty(target: Any, job_type: Any, attempt: Attempt, read: Any) -> Any:
        done.append(attempt)
        raise ValueError("a fault of ours")

    monkeypatch.setattr(run_blocks, "do_job", faulty)
    monkeypatch.setattr(run_blocks, "lanes_of", lambda batch_size: 1)
    with pytest.raises(ValueError, match="ours"):
        runner_of(world, one_by_one).run(request_id, names, LONG)
    assert len(done) == 1
    *_, ended, _ = world.attempts(request_id)
    assert ended.error is not None and ended.error.type == "ValueError"
    assert todo(world, request_id) == [(range(1), done[0].tries + 1), (range(1, 3), 1)]


def test_a_block_of_which_every_lane_hangs_is_not_waited_for(world: World) -> None:
    request_id, names = planned(world, 4, ran, batch_size=2)

    def hang(calls: Any, tick_s: Any) -> Iterator[Any]:
        for call in calls.values():
            assert call.args[0].take(call.args[2], world.clock()) is not None
        world.clock.advance(61)
        yield {}
        pytest.fail("it waits for what was given up")

    runner_of(world, hang).run(request_id, names, LONG)
    assert todo(world, request_id) == [(range(2), 2), (range(2, 4), 1)]


def test_a_lease_is_renewed_while_the_jobs_of_a_block_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    function = Noting()

    def slow(job: Job) -> dict[str, Any]:
        world.loop.sleep(LEASE.total_seconds() / 3)
        return function(job)

    request_id, names = planned(world, 6, slow, batch_size=1)
    renewed = counted(monkeypatch, world.jobs, "renew")
    world.runner.run(request_id, names, LONG)
    assert function.items == list(range(6))
    assert len(renewed) == 6
    assert world.request(request_id).status is RequestStatus.INPROGRESS
    assert [attempt.status for attempt in world.attempts(request_id)] == ["completed"]


# -- waves ---------------------------------------------------------------------------------------


def test_after_a_death_each_wave_is_written_down_before_it_begins(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    function = Noting()
    request_id, names = planned_after_a_death(world, 3, function)
    written: list[tuple[int, int, list[int]]] = []
    renew = world.jobs.renew

    def note(attempt: Attempt, until: datetime) -> bool:
        block = attempt.block
        assert block is not None
        written.append((block.begun, block.completed, list(function.items)))
        return renew(attempt, until)

    monkeypatch.setattr(world.jobs, "renew", note)
    packed: list[object] = []
    pack = type(world.payloads).pack

    def note_packed(self: Any, *given: Any) -> Any:
        packed.append(given)
        return pack(self, *given)

    monkeypatch.setattr(type(world.payloads), "pack", note_packed)
    runner_of(world, one_by_one).run(request_id, names, LONG)
    assert written == [(2, 1, [0]), (3, 2, [0, 1])]
    assert len(packed) == len(written) + 1


@pytest.mark.parametrize("fault", ["the store of rows", "the store of payloads"])
def test_a_wave_that_cannot_be_written_down_does_not_begin(
    world: World, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    function = Noting()
    request_id, names = planned_after_a_death(world, 3, function)
    pack, faults = type(world.payloads).pack, iter([OSError("full")])

    def faulty(self: Any, *given: Any) -> Any:
        if error := next(faults, None):
            raise error
        return pack(self, *given)

    with monkeypatch.context() as patch:
        if fault == "the store of rows":
            patch.setattr(world.jobs, "renew", never([], world))
        else:
            patch.setattr(type(world.payloads), "pack", faulty)
        runner_of(world, one_by_one).run(request_id, names, LONG)
    assert function.items == [0]
    assert todo(world, request_id) == [(range(1, 3), 1)]
    world.run_through()
    assert function.items == [0, 1, 2]
