"""More failures than a step tolerates fail its request early, unless it is to finish."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shiftwork_core.domain.requests import step_state
from shiftwork_core.domain.requests.outcomes import Failed, JobError
from shiftwork_core.domain.requests.records import Attempt, AttemptKey
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.errors import Throttled
from shiftwork_core.services.requests.tolerance import ToleranceGuard
from tests.unit.services.conftest import counted
from tests.world.world import World

BAD = Failed(JobError("Bad", "row"))


def failed(world: World, failures: int, *, on_failure: str = "stop", **entry: Any) -> str:
    """Return a request of four jobs, of which so many have failed and nobody has looked since."""
    world.job_type("rows.load", lambda job: {})
    load = {"name": "load", "type": "rows.load", "for_each": "params.items", "tolerate": 1}
    world.request_type("load", [load | entry], on_failure=on_failure)
    request_id = world.submit("load", items=[0, 1, 2, 3])
    world.advancer.advance(request_id, 1)
    for attempt in world.attempts(request_id)[:failures]:
        held = world.runner.holder.claim(world.request(request_id), attempt.key)
        assert isinstance(held, Attempt)
        world.recorder.record(held, BAD)
    return request_id


@pytest.fixture
def guard(world: World) -> ToleranceGuard:
    """Return what RunJobs looks by after failures that are tolerated."""
    return world.runner._tolerance


@pytest.mark.parametrize(
    ("failures", "on_failure", "status"),
    [
        (1, "stop", RequestStatus.INPROGRESS),
        (2, "stop", RequestStatus.FAILED),
        (2, "finish", RequestStatus.INPROGRESS),
    ],
)
def test_an_execution_that_finds_too_many_failures_fails_the_request_unless_it_is_to_finish(
    world: World, failures: int, on_failure: str, status: RequestStatus
) -> None:
    request_id = failed(world, failures, on_failure=on_failure)
    world.advancer.advance(request_id, 1)
    assert world.request(request_id).status is status


# -- while others of its jobs run ----------------------------------------------------------------


@pytest.mark.parametrize("most_read", [500, 3])
@pytest.mark.parametrize(
    ("failures", "on_failure", "status"),
    [
        (1, "stop", RequestStatus.INPROGRESS),
        (2, "stop", RequestStatus.FAILED),
        (2, "finish", RequestStatus.INPROGRESS),
    ],
)
def test_a_process_that_sees_a_failure_fails_the_request_if_too_many_have(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    guard: ToleranceGuard,
    most_read: int,
    failures: int,
    on_failure: str,
    status: RequestStatus,
) -> None:
    monkeypatch.setattr(step_state, "MOST_JOBS_READ", most_read)
    request_id = failed(world, failures, on_failure=on_failure)
    if step_state.is_wide(4):
        world.store.add_tally(request_id, AttemptKey(1, 0, 1), {"failure": failures}, world.clock())
    guard.look(request_id, 1)
    assert world.request(request_id).status is status


def test_rows_of_a_wide_step_are_read_only_if_its_tally_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch, guard: ToleranceGuard
) -> None:
    monkeypatch.setattr(step_state, "MOST_JOBS_READ", 3)
    request_id = failed(world, 2)
    reads = counted(monkeypatch, world.jobs, "of_step")
    guard.look(request_id, 1)
    world.store.add_tally(request_id, AttemptKey(1, 0, 1), {"failure": 1}, world.clock())
    guard.look(request_id, 1)
    assert (len(reads), world.request(request_id).status) == (0, RequestStatus.INPROGRESS)
    world.store.add_tally(request_id, AttemptKey(1, 1, 1), {"failure": 1}, world.clock())
    guard.look(request_id, 1)
    assert (len(reads), world.request(request_id).status) == (1, RequestStatus.FAILED)


def test_failures_before_a_users_retry_do_not_count_in_a_tally(
    world: World, monkeypatch: pytest.MonkeyPatch, guard: ToleranceGuard
) -> None:
    monkeypatch.setattr(step_state, "MOST_JOBS_READ", 3)
    request_id = failed(world, 2)
    [step] = world.store.steps(request_id)
    world.tables.put_step(replace(step, counts={"failure": 2}))
    world.store.add_tally(request_id, AttemptKey(1, 0, 1), {"failure": 3}, world.clock())
    reads = counted(monkeypatch, world.jobs, "of_step")
    guard.look(request_id, 1)
    assert reads == []


@pytest.mark.parametrize("case", ["unknown", "ended", "at another step", "not planned"])
def test_nothing_is_read_or_written_of_a_request_that_does_not_run_this_step(
    world: World, monkeypatch: pytest.MonkeyPatch, guard: ToleranceGuard, case: str
) -> None:
    request_id = failed(world, 2)
    request = world.request(request_id)
    if case == "ended":
        world.tables.put_request(replace(request, status=RequestStatus.CANCELLED))
    elif case == "at another step":
        world.tables.put_request(replace(request, current_step=2))
        world.tables.put_step(replace(world.store.steps(request_id)[0], index=2))
    elif case == "not planned":
        world.tables.steps[request_id].clear()
    reads = counted(monkeypatch, world.jobs, "of_step")
    finishes = counted(monkeypatch, world.store, "finish")
    guard.look("another" if case == "unknown" else request_id, 1)
    assert (reads, finishes) == ([], [])


@pytest.mark.parametrize("is_retried", [False, True])
def test_the_execution_that_waits_is_woken_if_the_request_fails(
    world: World, monkeypatch: pytest.MonkeyPatch, guard: ToleranceGuard, is_retried: bool
) -> None:
    request_id = failed(world, 2)
    woken = counted(monkeypatch, world.barrier, "wake_waiter")
    monkeypatch.setattr(guard, "_barrier", world.barrier)
    finish = world.store.finish

    def late(*given: Any, **named: Any) -> Any:
        if is_retried:
            seen = world.request(request_id)
            world.tables.put_request(replace(seen, generation=seen.generation + 1))
        return finish(*given, **named)

    monkeypatch.setattr(world.store, "finish", late)
    guard.look(request_id, 1)
    assert world.request(request_id).has_ended is not is_retried
    assert len(woken) == (not is_retried)


def test_a_look_that_a_store_refuses_fails_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, guard: ToleranceGuard
) -> None:
    def refused(*_: object) -> None:
        raise Throttled("Rate exceeded")

    request_id = failed(world, 2)
    with monkeypatch.context() as patch:
        patch.setattr(world.jobs, "of_step", refused)
        guard.look(request_id, 1)
    assert world.request(request_id).status is RequestStatus.INPROGRESS
