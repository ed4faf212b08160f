"""Callbacks that do all jobs of a block by one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from shiftwork_core.callbacks import CALLBACKS, Failure, Job, Retry, callback
from shiftwork_core.domain.requests.records import batch_name
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.services.requests import block_work
from tests.unit.services.requests.test_blocks import claimed, jobs, submit
from tests.world.world import LEASE, World

Say = Callable[[list[Job]], Any]


class PerBlock:
    """Does blocks by the callback of the tests, as RunJobs does by those of a deployment."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.say: Say = lambda jobs: [{f"job {job.item}": job.attempt} for job in jobs]

    def __call__(self, jobs: list[Job]) -> Any:
        self.calls.append([job.item for job in jobs])
        return self.say(jobs)


@pytest.fixture
def per_block() -> Iterator[PerBlock]:
    function = PerBlock()
    CALLBACKS.pop("rows.load", None)

    @callback("rows.load", block=True)
    def load(jobs: list[Job]) -> Any:
        return function(jobs)

    yield function
    del CALLBACKS["rows.load"]


def results(world: World, request_id: str) -> dict[str, Any]:
    extras: dict[str, Any] = world.view(request_id)["extras"]
    return extras


def test_it_gets_all_jobs_of_a_block_by_one_call(world: World, per_block: PerBlock) -> None:
    request_id = submit(world, 25, None)
    world.run_through()
    assert sorted(per_block.calls) == [[*range(10)], [*range(10, 20)], [*range(20, 25)]]
    assert results(world, request_id) == {f"job {n}": 1 for n in range(25)}


def test_each_job_has_the_outcome_that_it_says(world: World, per_block: PerBlock) -> None:
    def mixed(jobs: list[Job]) -> list[Any]:
        said: dict[int, Any] = {
            1: None,
            2: Failure("bad row"),
            3: Retry("busy", delay_s=0) if jobs[0].attempt < 3 else {"job 3": jobs[0].attempt},
            4: ValueError("odd") if jobs[0].attempt < 2 else {"job 4": jobs[0].attempt},
            5: "no object",
        }
        return [said.get(job.item, {f"job {job.item}": 1}) for job in jobs]

    per_block.say = mixed
    request_id = submit(world, 6, None, entry={"tolerate": 2})
    world.run_through()
    assert world.request(request_id).status is RequestStatus.COMPLETED
    assert per_block.calls == [[*range(6)], [3, 4], [3]]
    assert results(world, request_id) == {"job 0": 1, "job 3": 3, "job 4": 2}
    errors = {a.name: a.error.type for a in jobs(world, request_id) if a.error and a.key.job != 3}
    assert errors == {"load[2]": "Failure", "load[4]": "ValueError", "load[5]": "InvalidResult"}


@pytest.mark.parametrize("error", [Retry("busy"), ValueError("odd"), SystemExit(1)])
def test_what_it_raises_is_the_outcome_of_all_jobs(
    world: World, per_block: PerBlock, error: BaseException
) -> None:
    def once(jobs: list[Job]) -> list[Any]:
        if jobs[0].attempt == 1:
            raise error
        return [{} for _ in jobs]

    per_block.say = once
    request_id = submit(world, 3, None)
    world.run_through()
    assert world.request(request_id).status is RequestStatus.COMPLETED
    assert per_block.calls == [[0, 1, 2], [0, 1, 2]]


@pytest.mark.parametrize("said", [[], [{}] * 4, {"job 0": {}}, None, "abc"])
def test_it_must_say_one_thing_for_each_job(world: World, per_block: PerBlock, said: Any) -> None:
    per_block.say = lambda jobs: said
    request_id = submit(world, 3, None)
    world.run_through()
    error = world.request(request_id).error
    assert error is not None and error.type == "Failure"
    assert "was given 3 jobs" in error.message


def test_a_job_without_params_fails_by_itself(world: World, per_block: PerBlock) -> None:
    entry = {"tolerate": 1, "params": {"half": "{item.half}", "sum": "{sum([item.n])}"}}
    world.job_type("rows.load")
    per_block.say = lambda jobs: [{f"job {job.item['n']}": job.params["sum"]} for job in jobs]
    world.request_type(
        "load",
        [{"name": "load", "type": "rows.load", "for_each": "params.items", "block": 9} | entry],
    )
    request_id = world.submit("load", items=[{"n": 1}, {"n": "x"}, {"n": 3}])
    world.run_through()
    assert results(world, request_id) == {"job 1": 1, "job 3": 3}


def test_a_job_with_a_row_of_its_own_is_a_list_of_one(world: World, per_block: PerBlock) -> None:
    per_block.say = lambda jobs: [
        Failure("bad row") if job.item == 1 else {f"job {job.item}": 1} for job in jobs
    ]
    request_id = submit(world, 3, None, entry={"block": None, "tolerate": 1})
    world.run_through()
    assert sorted(per_block.calls) == [[0], [1], [2]]
    assert results(world, request_id) == {"job 0": 1, "job 2": 1}


def test_after_a_death_it_gets_fewer_jobs_at_once(world: World, per_block: PerBlock) -> None:
    request_id = submit(world, 5, None, batch_size=2)
    world.advancer.advance(request_id, 1)
    held = claimed(world, request_id)
    world.clock.advance(2 * LEASE.total_seconds())
    world.recorder.expire(held)
    world.run_through()
    assert per_block.calls == [[0, 1], [2, 3], [4]]
    assert len(results(world, request_id)) == 5


def test_the_time_of_a_job_type_is_that_of_the_call(world: World, per_block: PerBlock) -> None:
    request_id = submit(world, 3, None, timeout_s=60)
    world.advancer.advance(request_id, 1)

    def hang(calls: Any, tick_s: Any) -> Any:
        [call] = calls.values()
        call.args[0].take_all(call.args[2], world.clock())
        world.clock.advance(61)
        yield {}

    runner = world.another(side_by_side=hang, sleep=world.clock.advance).runner
    [block] = world.attempts(request_id)
    runner.run(request_id, [batch_name(block)], timedelta(minutes=15))
    ended = [a.error.type for a in jobs(world, request_id) if a.error]
    assert ended == ["Timeout"] * 3


def test_two_callbacks_of_one_name_are_refused(per_block: PerBlock) -> None:
    with pytest.raises(ValueError, match=r"two callbacks are named .rows\.load."):

        @callback("rows.load")
        def other(job: Job) -> None: ...


def test_results_beyond_what_a_block_has_room_for_fail_their_jobs(
    world: World, per_block: PerBlock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block_work, "MAX_HELD_BYTES", 2_500)
    per_block.say = lambda jobs: [{"text": "x" * 1_000} for _ in jobs]
    request_id = submit(world, 6, None, entry={"tolerate": 6})
    world.run_through()
    assert [a.status for a in jobs(world, request_id)] == ["completed"] * 3 + ["failure"] * 3
    error = jobs(world, request_id)[-1].error
    assert error is not None and error.type == "ResultTooLarge"


def test_beyond_that_room_other_outcomes_stay_as_they_are(
    world: World, per_block: PerBlock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block_work, "MAX_HELD_BYTES", 100)
    per_block.say = lambda jobs: [{"text": "x" * 1_000}, Failure("bad row"), Retry("busy"), {}]
    request_id = submit(world, 4, None, entry={"tolerate": 4}, retry={"max_attempts": 1})
    world.run_through()
    errors = [a.error and a.error.type for a in jobs(world, request_id)]
    assert errors == [None, "Failure", "Retry", "ResultTooLarge"]


def test_it_is_not_called_for_a_block_of_which_no_job_has_params(
    world: World, per_block: PerBlock
) -> None:
    request_id = submit(world, 2, None, entry={"tolerate": 2, "params": {"n": "{sum(item)}"}})
    world.run_through()
    assert per_block.calls == []
    assert [a.error and a.error.type for a in jobs(world, request_id)] == ["ParamsFault"] * 2
