"""Executions that must not advance a request: it is gone or ended, or a newer one advances it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shiftwork_core.domain.requests.records import Attempt, StepStatus
from shiftwork_core.domain.requests.stalls import LastRound
from shiftwork_core.domain.requests.states import AttemptStatus, RequestStatus
from shiftwork_core.services.requests.dispatch import MAX_EVENTS, Action
from tests.unit.services.conftest import counted
from tests.world.world import World


@pytest.fixture
def woken(world: World, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the tokens that are woken from now on."""
    tokens: list[str] = []

    def wake(token: str) -> bool:
        tokens.append(token)
        return True

    monkeypatch.setattr(world.machine, "wake_execution", wake)
    return tokens


def waiting(world: World) -> str:
    """Return a request whose only job waits for a worker."""
    world.job_type("poll", target="worker")
    world.request_type("one", [{"name": "poll", "type": "poll"}])
    request_id = world.submit("one")
    world.advancer.advance(request_id, 1)
    return request_id


def test_an_execution_of_a_request_that_is_gone_fails(world: World) -> None:
    decision = world.advancer.advance("gone", 1)
    assert (decision.action, decision.error) == (Action.FAIL, "NotFound")
    decision = world.advancer.record_failure("gone", 1, "Boom", "it broke")
    assert (decision.action, decision.error, decision.cause) == (Action.FAIL, "Boom", "it broke")


def test_an_execution_with_nothing_to_wait_for_is_woken(world: World, woken: list[str]) -> None:
    world.barrier.wait("gone", 1, "of nothing")
    request_id = waiting(world)
    del world.tables.steps[request_id]
    world.barrier.wait(request_id, 1, "of no step")
    assert woken == ["of nothing", "of no step"]


def test_an_older_execution_does_not_wait(world: World, woken: list[str]) -> None:
    request_id = waiting(world)
    world.tables.put_request(replace(world.request(request_id), execution=2))
    world.barrier.wait(request_id, 1, "older")
    assert woken == ["older"]
    [step] = world.store.steps(request_id)
    assert step.token is None
    world.barrier.wait(request_id, 2, "newest")
    assert woken == ["older"]


def test_an_execution_that_waits_while_jobs_are_runnable_is_woken(
    world: World, woken: list[str]
) -> None:
    world.job_type("work", lambda job: None)
    world.request_type("one", [{"name": "j", "type": "work"}])
    request_id = world.submit("one")
    world.advancer.advance(request_id, 1)
    world.barrier.wait(request_id, 1, "token")
    assert woken == ["token"]
    [step] = world.store.steps(request_id)
    assert step.token is None


@pytest.mark.parametrize("status", [RequestStatus.CANCELLED, None])
def test_an_execution_that_waits_while_the_request_ends_is_woken(
    world: World,
    woken: list[str],
    monkeypatch: pytest.MonkeyPatch,
    status: RequestStatus | None,
) -> None:
    request_id = waiting(world)
    request = world.request(request_id)
    ended = None if status is None else replace(request, status=status)
    reads = iter([request, ended])
    monkeypatch.setattr(world.store, "get", lambda _: next(reads))
    world.barrier.wait(request_id, 1, "token")
    assert woken == ["token"]


def test_an_older_execution_fails_no_request(world: World) -> None:
    request_id = waiting(world)
    world.tables.put_request(replace(world.request(request_id), execution=2))
    decision = world.advancer.record_failure(request_id, 1, "Boom", "it broke")
    assert (decision.action, decision.error) == (Action.FAIL, "Boom")
    assert world.request(request_id).status is RequestStatus.INPROGRESS


@pytest.mark.parametrize(
    ("error", "cause", "recorded"),
    [
        ("Boom", "it broke", ("Boom", "it broke")),
        ("Boom", "", ("Boom", "Boom")),
        ("", "it broke", ("ExecutionFailed", "it broke")),
    ],
)
def test_a_failure_is_recorded_with_what_is_known_of_it(
    world: World, error: str, cause: str, recorded: tuple[str, str]
) -> None:
    request_id = waiting(world)
    world.advancer.record_failure(request_id, 1, error, cause)
    failure = world.request(request_id).error
    assert failure is not None
    assert (failure.type, failure.message) == recorded


@pytest.mark.parametrize("error", ["Throttled", "Lambda.ServiceException"])
def test_while_aws_is_busy_or_down_an_execution_ends_and_its_request_does_not(
    world: World, error: str
) -> None:
    request_id = waiting(world)
    decision = world.advancer.record_failure(request_id, 1, error, "too much at once")
    assert (decision.action, decision.error) == (Action.FAIL, error)
    assert world.request(request_id).status is RequestStatus.INPROGRESS


@pytest.mark.parametrize(
    ("events", "action"), [(MAX_EVENTS, Action.AWAIT), (MAX_EVENTS + 1, Action.DONE)]
)
def test_an_execution_hands_over_once_its_history_is_long(
    world: World, events: int, action: Action
) -> None:
    request_id = waiting(world)
    assert world.advancer.advance(request_id, 1, LastRound(events=events)).action is action
    is_handed_over = action is Action.DONE
    assert world.request(request_id).execution == (2 if is_handed_over else 1)


@pytest.mark.parametrize("status", [RequestStatus.CANCELLED, RequestStatus.FAILED])
def test_an_ended_request_closes_its_step_with_the_same_status(
    world: World, status: RequestStatus
) -> None:
    request_id = waiting(world)
    if status is RequestStatus.CANCELLED:
        world.requests.cancel(request_id)
        world.advancer.advance(request_id, 1)
    else:
        world.advancer.record_failure(request_id, 1, "Boom", "it broke")
    [step] = world.store.steps(request_id)
    assert step.status is StepStatus(status.value.lower())
    assert world.request(request_id).due_at is None


# -- waiting -------------------------------------------------------------------------------------


def test_a_wait_that_is_registered_twice_wakes_no_execution(world: World, woken: list[str]) -> None:
    request_id = waiting(world)
    for _ in range(2):
        world.barrier.wait(request_id, 1, "token")
    assert woken == []
    assert world.request(request_id).execution == 1


def test_an_older_execution_of_a_failed_request_fails_as_well(world: World) -> None:
    request_id = waiting(world)
    world.advancer.record_failure(request_id, 1, "Boom", "it broke")
    world.tables.put_request(replace(world.request(request_id), execution=2))
    decision = world.advancer.advance(request_id, 1)
    assert (decision.action, decision.error) == (Action.FAIL, "Boom")


# -- cleaning up ---------------------------------------------------------------------------------


def test_a_step_that_was_never_planned_is_planned_as_cancelled(world: World) -> None:
    """So that a planner that was held up can insert nothing any more."""
    world.job_type("poll", target="worker")
    world.request_type("one", [{"name": "poll", "type": "poll"}])
    request_id = world.submit("one")
    world.store.start(request_id, world.clock(), world.clock())
    world.advancer.record_failure(request_id, 1, "Boom", "it broke")
    assert world.statuses(request_id) == ["poll 1 cancelled"]


def test_cleaning_up_reads_and_plans_no_more_than_it_must(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = waiting(world)
    reads = counted(monkeypatch, world.jobs, "of_step")
    inserts = counted(monkeypatch, world.jobs, "insert")
    world.advancer.record_failure(request_id, 1, "Boom", "it broke")
    assert len(reads) == 2  # What to cancel, and what is left.
    assert inserts == []


def test_a_completed_request_is_cleaned_up_without_reading_its_jobs(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = waiting(world)
    completed = replace(world.request(request_id), status=RequestStatus.COMPLETED)
    world.tables.put_request(completed)
    monkeypatch.setattr(world.jobs, "of_step", None)
    world.cleaner.clean_up(completed)
    assert world.request(request_id).due_at is None


def test_a_request_cancelled_after_a_completed_step_is_not_due_any_more(world: World) -> None:
    request_id = waiting(world)
    [attempt] = world.attempts(request_id)
    world.tables.put_attempt(replace(attempt, status=AttemptStatus.COMPLETED))
    [step] = world.store.steps(request_id)
    world.store.close_step(step, StepStatus.COMPLETED, {"completed": 1}, world.clock())
    world.requests.cancel(request_id)
    world.cleaner.clean_up(world.request(request_id))
    assert world.request(request_id).due_at is None
    assert world.store.steps(request_id)[0].status is StepStatus.COMPLETED


def test_a_step_that_another_process_closes_keeps_its_request_due(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = waiting(world)
    world.requests.cancel(request_id)
    monkeypatch.setattr(world.store, "close_step", lambda *_: False)
    world.cleaner.clean_up(world.request(request_id))
    assert world.request(request_id).due_at is not None


def test_an_ended_request_is_due_when_the_lease_of_a_running_job_ends(world: World) -> None:
    request_id = waiting(world)
    [attempt] = world.attempts(request_id)
    held = world.runner.holder.claim(world.request(request_id), attempt.key)
    assert isinstance(held, Attempt)
    world.requests.cancel(request_id)
    world.clock.advance(10)
    world.cleaner.clean_up(world.request(request_id))
    assert world.request(request_id).due_at == held.lease_until
