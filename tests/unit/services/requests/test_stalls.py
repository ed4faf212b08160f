"""Batches that die before they claim a job come back ever later, and in the end not at all."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from shiftwork_core.domain.requests.records import Stall
from shiftwork_core.domain.requests.stalls import MAX_ROUNDS, MAX_ROUNDS_OF_AWS, LastRound
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.errors import Throttled
from shiftwork_core.ports.stores import Lane
from shiftwork_core.services.requests import dispatch
from shiftwork_core.services.requests.advance import NO_TIME
from tests.world.world import World

Patch = pytest.MonkeyPatch


class ImportModuleError(Exception):
    """As Lambda calls it when a function's module cannot be imported."""


class Deaths:
    """RunJobs dies so many times before it does anything; `batches` are those it was given."""

    def __init__(self, world: World, patch: Patch, times: int, error: Exception) -> None:
        self._run = world.runner.run
        self._times = times
        self._error = error
        self.batches: list[list[str]] = []
        patch.setattr(world.runner, "run", self)

    def __call__(self, request_id: str, keys: list[str], remaining: timedelta, **how: bool) -> Any:
        self.batches.append(keys)
        if len(self.batches) <= self._times:
            raise self._error
        return self._run(request_id, keys, remaining, **how)


@pytest.fixture(autouse=True, params=["called", "scheduled"])
def _first_round(world: World, request: pytest.FixtureRequest) -> None:
    """The batches of the first round are called by AdvanceRequest, or run by a Map."""
    if request.param == "scheduled":
        world.remaining = NO_TIME


GONE = ImportModuleError("No module named 'gone'")
ALWAYS = 10**6


def submit(world: World, jobs: int = 1) -> str:
    world.job_type("work", lambda job: {})
    world.request_type("some", [{"name": f"j{n}", "type": "work"} for n in range(jobs)])
    return world.submit("some")


def test_a_request_fails_by_what_its_batches_die_of_after_a_bound(
    world: World, monkeypatch: Patch
) -> None:
    deaths = Deaths(world, monkeypatch, ALWAYS, GONE)
    request_id, began_at = submit(world), world.clock()
    world.run()
    request = world.request(request_id)
    assert request.status is RequestStatus.FAILED
    assert request.error is not None
    assert (request.error.type, request.error.step) == ("ImportModuleError", 1)
    assert request.error.message == (
        f"in {MAX_ROUNDS} rounds its batches died before they claimed a job: No module named 'gone'"
    )
    assert len(deaths.batches) == MAX_ROUNDS
    assert timedelta(minutes=8) < world.clock() - began_at < timedelta(minutes=15)
    assert world.statuses(request_id) == ["j0 1 cancelled"]


def test_a_retry_after_that_starts_with_nothing_counted(world: World, monkeypatch: Patch) -> None:
    Deaths(world, monkeypatch, MAX_ROUNDS + 3, GONE)
    request_id = submit(world)
    world.run()
    world.requests.retry(request_id)
    world.run()
    assert world.request(request_id).status is RequestStatus.COMPLETED


def test_a_batch_that_lives_in_the_end_goes_on_as_if_nothing_was(
    world: World, monkeypatch: Patch
) -> None:
    Deaths(world, monkeypatch, 5, GONE)
    request_id = submit(world, jobs=3)
    world.run()
    assert world.request(request_id).status is RequestStatus.COMPLETED
    assert len(world.attempts(request_id)) == 3


def test_after_the_first_round_one_batch_is_tried_alone_and_another_each_time(
    world: World, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(
        dispatch, "cut_batches", lambda attempts, types: [[str(a.key)] for a in attempts]
    )
    deaths = Deaths(world, monkeypatch, 6, GONE)
    request_id = submit(world, jobs=3)
    world.run()
    assert world.request(request_id).status is RequestStatus.COMPLETED
    first, tried, rest = deaths.batches[:3], deaths.batches[3:7], deaths.batches[7:]
    assert len({key for [key] in first}) == 3
    assert len({key for [key] in tried}) == 3
    assert sorted([*tried[-1:], *rest]) == sorted(first)


def test_what_aws_cannot_do_now_is_waited_for_much_longer(world: World, monkeypatch: Patch) -> None:
    Deaths(world, monkeypatch, 3 * MAX_ROUNDS, Throttled("Rate exceeded"))
    request_id, began_at = submit(world), world.clock()
    world.run()
    assert world.request(request_id).status is RequestStatus.COMPLETED
    assert world.clock() - began_at > timedelta(hours=1)
    assert MAX_ROUNDS_OF_AWS > 3 * MAX_ROUNDS


def test_only_the_first_round_of_an_execution_that_replaces_another_is_noted(
    world: World, monkeypatch: Patch
) -> None:
    """Each note is a write, so a request that goes on as it should makes none."""
    noted: list[int] = []
    note = world.store.note_stall

    def note_stall(request_id: str, step: int, stall: Stall | None) -> None:
        noted.append(step)
        note(request_id, step, stall)

    monkeypatch.setattr(world.store, "note_stall", note_stall)
    world.job_type("work", lambda job: {})
    world.request_type("some", *([{"name": f"j{n}", "type": "work"}] for n in range(3)))
    world.submit("some")
    world.run()
    assert noted == []
    request_id = world.submit("some")
    world.executions.hand_over(world.request(request_id))
    world.run()
    assert world.request(request_id).status is RequestStatus.COMPLETED
    assert noted == [1]


def test_a_stall_is_explained_with_its_cause_and_the_next_try(
    world: World, monkeypatch: Patch
) -> None:
    Deaths(world, monkeypatch, ALWAYS, GONE)
    explanations = []
    advance_clock = world.clock.advance

    def pass_time(seconds: float) -> None:
        explanations.append(world.requests.explain(request_id))
        advance_clock(seconds)

    monkeypatch.setattr(world.machine, "sleep", pass_time)
    request_id = submit(world)
    world.run()
    third = explanations[2]
    assert third.summary.startswith(
        "Step 1 (s1) has completed 0 of 1 jobs; in 3 rounds its batches died before they claimed "
        "a job, the last of ImportModuleError: No module named 'gone'. One is tried at "
    )
    assert third.step is not None
    assert third.step.stall is not None
    assert third.wakes_at == third.step.stall.next_at


def test_executions_that_replace_one_another_count_on(world: World, monkeypatch: Patch) -> None:
    """As long as Lambda refuses RunJobs, an execution may be replaced before its round is over."""
    request_id = submit(world)
    for execution in (1, 2, 3, 4):
        decision = world.advancer.advance(request_id, execution)
        world.clock.advance(100)
        [due] = list(world.store.due(Lane.INPROGRESS, world.clock()))
        world.store.take_over(due, world.clock())
    step = world.store.get_step(request_id, 1)
    assert step is not None
    assert step.stall is not None
    assert (decision.action, step.stall.rounds) == ("try_one", 2)


def test_a_decision_whose_reply_is_lost_counts_its_round_once(world: World) -> None:
    """The machine calls AdvanceRequest again, up to eight times."""
    request_id = submit(world)
    first = world.advancer.advance(request_id, 1)
    last = LastRound(first.events, first.progress)
    decision = world.advancer.advance(request_id, 1, last)
    world.clock.advance(0.5)
    for _ in range(MAX_ROUNDS):
        assert world.advancer.advance(request_id, 1, last) == decision
    assert (decision.action, decision.wait_s) == ("try_one", 2)


def test_a_fresh_execution_whose_first_reply_is_lost_tries_nothing_alone(world: World) -> None:
    request_id = submit(world)
    world.advancer.advance(request_id, 1)
    world.clock.advance(100)
    [due] = list(world.store.due(Lane.INPROGRESS, world.clock()))
    world.store.take_over(due, world.clock())
    for _ in range(3):
        assert world.advancer.advance(request_id, 2).action == "run"
        world.clock.advance(1)
    explanation = world.requests.explain(request_id)
    assert "batches died" not in explanation.summary
    assert explanation.wakes_at == world.request(request_id).due_at
