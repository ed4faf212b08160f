"""Races with an advancing execution: a cancel, a retry or another execution between two calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from shiftwork_core.domain.requests.outcomes import Failed, JobError
from shiftwork_core.domain.requests.records import Attempt
from shiftwork_core.domain.requests.stalls import LastRound
from shiftwork_core.domain.requests.states import AttemptStatus, RequestStatus
from shiftwork_core.ports.stores import DueRequest
from shiftwork_core.services.requests.dispatch import MAX_EVENTS, Action
from shiftwork_core.services.requests.outcome_writer import Result
from tests.unit.services.conftest import counted
from tests.world.world import LEASE, World


@pytest.fixture
def woken(world: World, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the tokens that are woken from now on."""
    tokens: list[str] = []
    monkeypatch.setattr(world.machine, "wake_execution", tokens.append)
    return tokens


@pytest.fixture
def before(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Do something, once, right before the next call of a method."""

    def come_before(owner: object, name: str, act: Callable[[], object]) -> None:
        method: Callable[..., Any] = getattr(owner, name)

        def call(*args: Any, **named: Any) -> Any:
            monkeypatch.setattr(owner, name, method)
            act()
            return method(*args, **named)

        monkeypatch.setattr(owner, name, call)

    return come_before


def submitted(world: World, steps: int = 1) -> str:
    """Return a request of one job a step, whose execution has not run yet."""
    world.job_type("work", lambda job: None)
    world.request_type("some", *[[{"name": "j", "type": "work"}] for _ in range(steps)])
    return world.submit("some")


def complete(world: World, request_id: str) -> None:
    """Complete the job of the current step without waking the execution."""
    attempt = world.attempts(request_id)[-1]
    held = world.runner.holder.claim(world.request(request_id), attempt.key)
    assert isinstance(held, Attempt)
    world.jobs.complete(held, world.payloads.pack(request_id, {}), world.clock())


def take_over(world: World, request_id: str) -> None:
    """Do what a sweep does that finds the request due."""
    request = world.request(request_id)
    assert request.due_at is not None
    seen = DueRequest(request_id, request.execution, request.due_at)
    assert world.store.take_over(seen, world.clock() + 2 * LEASE).won


# -- while a step is planned -----------------------------------------------------------------------


@pytest.mark.parametrize("call", [("jobs", "insert"), ("store", "add_step")])
def test_jobs_planned_while_the_request_is_cancelled_do_not_start(
    world: World, before: Callable[..., None], call: tuple[str, str]
) -> None:
    request_id = submitted(world)
    owner, name = call
    before(getattr(world, owner), name, lambda: world.requests.cancel(request_id))
    assert world.advancer.advance(request_id, 1).action is Action.DONE
    assert world.statuses(request_id) == ["j 1 cancelled"]
    assert world.request(request_id).due_at is None


def test_jobs_planned_while_the_request_disappears_do_not_start(
    world: World, before: Callable[..., None]
) -> None:
    request_id = submitted(world)
    before(world.store, "add_step", lambda: world.tables.requests.pop(request_id))
    assert world.advancer.advance(request_id, 1).action is Action.DONE


def test_a_step_is_planned_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    request_id = submitted(world)
    inserts = counted(monkeypatch, world.jobs, "insert")
    for _ in range(2):
        assert world.advancer.advance(request_id, 1).action is Action.RUN
    assert len(inserts) == 1


# -- while attempts are replaced -------------------------------------------------------------------


def reopened(world: World) -> str:
    """Return a request that a user retries, and whose second execution has not run yet."""
    request_id = submitted(world)
    world.advancer.advance(request_id, 1)
    world.advancer.record_failure(request_id, 1, "Boom", "it broke")
    world.requests.retry(request_id)
    return request_id


def test_a_retry_that_is_cancelled_while_its_attempts_are_added_starts_none(
    world: World, before: Callable[..., None]
) -> None:
    request_id = reopened(world)
    before(world.jobs, "insert", lambda: world.requests.cancel(request_id))
    assert world.advancer.advance(request_id, 2).action is Action.DONE
    assert world.statuses(request_id) == ["j 1 cancelled", "j 2 cancelled"]


def test_a_request_that_disappears_while_attempts_are_replaced_ends_its_execution(
    world: World, before: Callable[..., None]
) -> None:
    request_id = reopened(world)
    before(world.jobs, "insert", lambda: world.tables.requests.pop(request_id))
    # The rows of the step are still there: only the wake-up is missing.
    assert world.advancer.advance(request_id, 2).action is Action.RUN


# -- while a step is completed ---------------------------------------------------------------------


@pytest.mark.parametrize("token", ["of-the-newer", None])
def test_an_older_execution_that_completes_a_step_wakes_the_newer_one_that_waits(
    world: World, before: Callable[..., None], woken: list[str], token: str | None
) -> None:
    request_id = submitted(world, steps=2)
    world.advancer.advance(request_id, 1)
    complete(world, request_id)
    [step] = world.store.steps(request_id)

    def newer() -> None:
        take_over(world, request_id)
        world.tables.put_step(replace(step, token=token))

    before(world.store, "close_step", newer)
    assert world.advancer.advance(request_id, 1, LastRound(events=20)).action is Action.DONE
    assert woken == ([] if token is None else [token])
    assert [a.key.step for a in world.attempts(request_id)] == [1]


def test_a_request_that_has_already_ended_in_the_next_step_is_not_advanced(
    world: World, before: Callable[..., None]
) -> None:
    request_id = submitted(world, steps=2)
    world.advancer.advance(request_id, 1)
    complete(world, request_id)

    def twin() -> None:
        world.advancer.advance(request_id, 1, LastRound(events=20))
        # The canceller dies before it cancels what is new.
        world.store.finish(
            request_id, RequestStatus.CANCELLED, world.clock(), due_at=world.clock() + LEASE
        )

    before(world.store, "close_step", twin)
    assert world.advancer.advance(request_id, 1, LastRound(events=20)).action is Action.DONE
    assert world.statuses(request_id) == ["j 1 completed", "j 1 cancelled"]


# -- while an execution is superseded --------------------------------------------------------------


def test_a_hand_over_after_a_sweep_starts_nothing(
    world: World, before: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = submitted(world)
    world.advancer.advance(request_id, 1)
    starts = counted(monkeypatch, world.machine, "start")
    before(world.store, "take_over", lambda: take_over(world, request_id))
    assert (
        world.advancer.advance(request_id, 1, LastRound(events=MAX_EVENTS + 1)).action
        is Action.DONE
    )
    assert world.request(request_id).execution == 2
    assert starts == []  # The sweep does, and it alone.


def test_only_an_execution_that_has_just_begun_wakes_the_one_before_it(
    world: World, woken: list[str]
) -> None:
    world.job_type("poll", target="worker")
    world.request_type("one", [{"name": "poll", "type": "poll"}])
    request_id = world.submit("one")
    world.advancer.advance(request_id, 1)
    world.barrier.wait(request_id, 1, "token")
    take_over(world, request_id)
    world.advancer.advance(request_id, 2, LastRound(events=20))
    assert woken == []
    world.advancer.advance(request_id, 2, LastRound(events=0))
    assert woken == ["token"]


# -- while a failure is recorded -------------------------------------------------------------------


def held(world: World, request_id: str) -> Attempt:
    """Plan the request's step, and return its first job's attempt, claimed."""
    world.advancer.advance(request_id, 1)
    claimed = world.runner.holder.claim(
        world.request(request_id), world.attempts(request_id)[0].key
    )
    assert isinstance(claimed, Attempt)
    return claimed


def test_a_job_that_fails_after_its_request_was_cancelled_changes_only_itself(world: World) -> None:
    request_id = submitted(world)
    attempt = held(world, request_id)
    world.requests.cancel(request_id)
    assert world.record(attempt, Failed(JobError("Boom", "no"))) is Result.FAILURE
    assert world.statuses(request_id) == ["j 1 failure"]
    assert world.request(request_id).status is RequestStatus.CANCELLED


def test_a_failure_whose_request_is_retried_at_once_cancels_nothing(
    world: World, before: Callable[..., None]
) -> None:
    world.job_type("work", lambda job: None)
    world.request_type("some", [{"name": name, "type": "work"} for name in ("a", "b")])
    request_id = world.submit("some")
    attempt = held(world, request_id)
    before(world.store, "get", lambda: world.requests.retry(request_id))
    world.record(attempt, Failed(JobError("Boom", "no")))
    assert world.statuses(request_id) == ["a 1 failure", "b 1 new"]


# -- tables that were changed by hand --------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "says"), [(None, "failure"), (JobError("Boom", "it broke"), "Boom")]
)
def test_a_failed_job_ends_a_request_that_is_in_progress(
    world: World, error: JobError | None, says: str
) -> None:
    request_id = submitted(world)
    world.advancer.advance(request_id, 1)
    [attempt] = world.attempts(request_id)
    world.tables.put_attempt(replace(attempt, status=AttemptStatus.FAILURE, error=error))
    decision = world.advancer.advance(request_id, 1)
    assert (decision.action, decision.error) == (Action.FAIL, says)
    ended = world.request(request_id).error
    assert ended is not None
    assert (ended.job, ended.attempt_id) == ("j", attempt.attempt_id)


def test_a_failed_request_without_an_error_fails_its_execution(world: World) -> None:
    request_id = submitted(world)
    world.advancer.advance(request_id, 1)
    world.advancer.record_failure(request_id, 1, "Boom", "it broke")
    world.tables.put_request(replace(world.request(request_id), error=None))
    decision = world.advancer.advance(request_id, 1)
    assert (decision.action, decision.error) == (Action.FAIL, "Failed")


# -- what is not done ------------------------------------------------------------------------------


def test_a_completed_request_needs_no_clean_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = submitted(world)
    cleaned_up = counted(monkeypatch, world.store, "set_due")
    world.run()
    assert world.request(request_id).status is RequestStatus.COMPLETED
    assert cleaned_up == []


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_a_planned_job_stores_only_the_inputs_it_has(world: World, is_cancelled: bool) -> None:
    request_id = submitted(world)
    if is_cancelled:
        world.store.start(request_id, world.clock(), world.clock())
        world.requests.cancel(request_id)
    world.advancer.advance(request_id, 1)
    [attempt] = world.attempts(request_id)
    assert (attempt.item, attempt.params) == (None, None)
    assert attempt.completed_at == (world.clock() if is_cancelled else None)
