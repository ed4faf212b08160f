"""Planning, batches and merged extras: how often the tables are read, and the largest sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shiftwork_core.domain.requests.definitions import TimeoutPolicy
from shiftwork_core.domain.requests.planning import MAX_INLINE_BATCHES
from shiftwork_core.domain.requests.records import Attempt
from shiftwork_core.domain.requests.states import AttemptStatus, RequestStatus
from shiftwork_core.services.requests.dispatch import Action
from shiftwork_core.services.requests.requests import Submission
from tests.unit.services.conftest import counted
from tests.world.world import LEASE, World

CHUNK = 500
MOMENT = timedelta(milliseconds=1)


def submitted(world: World, jobs: int = 1, block: int | None = None, **body: Any) -> str:
    """Return a request of one step of so many jobs, whose execution has not run yet."""
    world.job_type("work", lambda job: None, **body)
    entry = {"name": "j", "type": "work", "for_each": "params.items", "block": block}
    world.request_type("some", [entry])
    return world.submit("some", items=list(range(jobs)))


def complete(world: World, request_id: str) -> None:
    """Complete all jobs, as another process does that dies before its wake-up."""
    for attempt in world.attempts(request_id):
        held = world.runner.holder.claim(world.request(request_id), attempt.key)
        assert isinstance(held, Attempt)
        world.jobs.complete(held, world.payloads.pack(request_id, {}), world.clock())


# -- planning --------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["python", "worker"])
def test_only_polled_jobs_have_a_queue(world: World, target: str) -> None:
    worker = {"poll_timeout_s": 30, "timeout_policy": TimeoutPolicy.RETRY.value}
    world.job_type("work", target=target, worker=worker)
    world.request_type("some", [{"name": "j", "type": "work"}])
    submission = Submission(
        "some", {}, {}, priority=7, may_ignore_priority=True, domains={"work": "blue"}
    )
    request, _ = world.requests.submit(submission, None)
    world.advancer.advance(request.request_id, 1)
    [attempt] = world.attempts(request.request_id)
    queue = (attempt.priority, attempt.domain, attempt.poll_until)
    until = world.clock() + timedelta(seconds=30)
    assert queue == ((7, "blue", until) if target == "worker" else (0, None, None))


@pytest.mark.parametrize(("part", "signs"), [(LEASE / 3, 4), (LEASE / 3 - MOMENT, 2)])
def test_a_planner_that_takes_long_puts_off_its_requests_due_time_each_third_of_a_lease(
    world: World, monkeypatch: pytest.MonkeyPatch, part: timedelta, signs: int
) -> None:
    request_id = submitted(world, 2 * CHUNK + 1)
    insert = world.jobs.insert

    def insert_slowly(attempts: Sequence[Attempt]) -> int:
        world.clock.advance(part.total_seconds())
        return insert(attempts)

    monkeypatch.setattr(world.jobs, "insert", insert_slowly)
    postponed = counted(monkeypatch, world.store, "postpone_due")
    world.advancer.advance(request_id, 1)
    assert len(postponed) == signs
    due_at = world.request(request_id).due_at
    assert due_at is not None and due_at >= world.clock() + LEASE / 2


@pytest.mark.parametrize("block", [None, 2])
def test_a_planner_does_not_read_what_it_has_just_inserted(
    world: World, monkeypatch: pytest.MonkeyPatch, block: int | None
) -> None:
    request_id = submitted(world, 3, block=block)
    reads = [counted(monkeypatch, world.jobs, name) for name in ("of_step", "get")]
    assert world.advancer.advance(request_id, 1).action is Action.RUN
    assert reads == [[], []]


@pytest.mark.parametrize("block", [None, 2])
def test_a_planner_sees_the_outcomes_of_jobs_that_an_earlier_planner_inserted(
    world: World, monkeypatch: pytest.MonkeyPatch, block: int | None
) -> None:
    request_id = submitted(world, 3, block=block)

    def dies(_: object) -> None:
        raise RuntimeError("it died")

    with monkeypatch.context() as patch:
        patch.setattr(world.store, "add_step", dies)
        with pytest.raises(RuntimeError):
            world.advancer.advance(request_id, 1)
    complete(world, request_id)
    reads = counted(monkeypatch, world.jobs, "get")
    assert world.advancer.advance(request_id, 1).action is Action.DONE
    # It compares an earlier plan of blocks with its own, and no plan of single jobs.
    assert len(reads) == (0 if block is None else 1)
    assert world.request(request_id).status is RequestStatus.COMPLETED


def test_a_planner_sees_the_outcomes_of_its_jobs_after_it_was_held_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = submitted(world)
    add_step = world.store.add_step

    def twin(step: Any) -> Any:
        monkeypatch.setattr(world.store, "add_step", add_step)
        # It began at another time, so this one does not take its row for its own.
        add_step(replace(step, started_at=step.started_at - LEASE))
        complete(world, request_id)
        return add_step(step)

    monkeypatch.setattr(world.store, "add_step", twin)
    assert world.advancer.advance(request_id, 1).action is Action.DONE


def test_a_cancelled_request_whose_step_cannot_be_planned_is_not_due_any_more(world: World) -> None:
    submitted(world)
    request_id = world.submit("some", items=None)
    world.store.start(request_id, world.clock(), world.clock())
    world.requests.cancel(request_id)
    world.cleaner.clean_up(world.request(request_id))
    assert world.request(request_id).due_at is None
    assert world.attempts(request_id) == []


# -- replacing attempts ----------------------------------------------------------------------------


def test_replacing_a_lapsed_attempt_adds_no_other_attempt_and_tallies_no_narrow_step(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = submitted(world)
    world.advancer.advance(request_id, 1)
    [attempt] = world.attempts(request_id)
    world.runner.holder.claim(world.request(request_id), attempt.key)
    world.clock.advance(LEASE.total_seconds())
    inserts = counted(monkeypatch, world.jobs, "insert")
    tallies = counted(monkeypatch, world.store, "add_tally")
    assert world.advancer.advance(request_id, 1).action is Action.AWAIT
    assert (inserts, tallies) == ([], [])


@pytest.mark.parametrize("is_closed", [False, True])
def test_a_retry_reopens_its_step_if_that_was_closed(
    world: World, monkeypatch: pytest.MonkeyPatch, is_closed: bool
) -> None:
    request_id = submitted(world)
    world.advancer.advance(request_id, 1)
    world.advancer.record_failure(request_id, 1, "Boom", "it broke")
    world.requests.retry(request_id)
    if not is_closed:
        [step] = world.store.steps(request_id)
        world.store.close_step(step, type(step.status).RUNNING, {}, None)
    closed = counted(monkeypatch, world.store, "close_step")
    assert world.advancer.advance(request_id, 2).action is Action.RUN
    assert len(closed) == is_closed
    [step] = world.store.steps(request_id)
    assert (step.status, step.completed_at) == ("running", None)


# -- handing out -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("passed_s", "is_postponed"), [(0, False), (30, False), (30.001, True), (59, True)]
)
def test_a_requests_due_time_is_put_off_once_half_a_lease_is_left(
    world: World, passed_s: float, is_postponed: bool
) -> None:
    request_id = submitted(world)
    world.advancer.advance(request_id, 1)
    due_at = world.request(request_id).due_at
    world.clock.advance(passed_s)
    world.advancer.advance(request_id, 1)
    then = world.clock() + LEASE
    assert world.request(request_id).due_at == (then if is_postponed else due_at)


@pytest.mark.parametrize(
    ("jobs", "action"),
    [(MAX_INLINE_BATCHES, Action.RUN), (MAX_INLINE_BATCHES + 1, Action.RUN_WIDE)],
)
def test_a_decision_lists_as_many_batches_as_a_map_runs_at_once(
    world: World, jobs: int, action: Action
) -> None:
    request_id = submitted(world, jobs, batch_size=1)
    decision = world.advancer.advance(request_id, 1)
    assert decision.action is action
    assert len(decision.batches) == (jobs if action is Action.RUN else 0)
    assert bool(decision.manifest) is (action is Action.RUN_WIDE)


# -- completing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "status"), [(100, RequestStatus.COMPLETED), (101, RequestStatus.FAILED)]
)
def test_extras_have_a_largest_size(
    world: World, monkeypatch: pytest.MonkeyPatch, length: int, status: RequestStatus
) -> None:
    monkeypatch.setattr(
        "shiftwork_core.services.requests.results.MAX_RESULT_BYTES", len('{"a":""}') + 100
    )
    world.job_type("work", lambda job: {"a": "x" * length})
    world.request_type("some", [{"name": "j", "type": "work"}])
    request_id = world.submit("some")
    world.run()
    request = world.request(request_id)
    assert request.status is status
    if status is RequestStatus.FAILED:
        assert request.error is not None
        assert request.error.type == "ExtrasTooLarge"
    assert [a.status for a in world.attempts(request_id)] == [AttemptStatus.COMPLETED]


# -- whose request it is ---------------------------------------------------------------------------


def test_a_request_that_has_ended_cannot_fail(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = submitted(world)
    world.run()
    finishes: list[Any] = counted(monkeypatch, world.store, "finish")
    decision = world.advancer.record_failure(request_id, 1, "Boom", "it broke")
    assert (decision.action, decision.error) == (Action.FAIL, "Boom")
    assert finishes == []
