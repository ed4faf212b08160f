"""AdvanceRequest calls the batches of narrow steps, and does not depend on their answers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest

from shiftwork_core.callbacks import Job, Retry
from shiftwork_core.domain.requests.outcomes import Completed, JobError
from shiftwork_core.domain.requests.records import Attempt, AttemptKey
from shiftwork_core.domain.requests.stalls import LastRound
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.errors import Throttled
from shiftwork_core.ports.world import CALL_WAIT
from shiftwork_core.services.polling.reports import Report, ReportStatus
from shiftwork_core.services.requests.call import KEPT, BatchCalls, Called
from shiftwork_core.services.requests.dispatch import Action
from shiftwork_platform.wiring import one_after_the_other
from tests.unit.services.conftest import counted
from tests.world.releases import RELEASE_BEFORE
from tests.world.world import World

Patch = pytest.MonkeyPatch
ENOUGH = timedelta(minutes=5)
NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)


def jobs(count: int, type: str = "work") -> list[dict[str, Any]]:
    return [{"name": f"{type}{n}", "type": type} for n in range(count)]


def narrow(world: World, steps: int = 1, width: int = 2, **body: Any) -> str:
    world.job_type("work", lambda job: {job.name: 1}, batch_size=1, **body)
    world.request_type("narrow", *[jobs(width) for _ in range(steps)])
    return world.submit("narrow")


@pytest.fixture
def one_by_one(world: World, monkeypatch: Patch) -> None:
    """Batches are called one after the other, so that one may move the clock for all."""
    monkeypatch.setattr(world.dispatcher._calls, "_side_by_side", one_after_the_other)


def calls_come_to(patch: Patch, world: World, *, runs: bool, error: Exception | JobError) -> None:
    """Have called batches run, or not, and their caller learn of an error anyway."""
    call = world.caller.call

    def call_in_vain(request_id: str, execution: int, jobs: list[str]) -> JobError | None:
        if runs:
            call(request_id, execution, jobs)
        if isinstance(error, Exception):
            raise error
        return error

    patch.setattr(world.caller, "call", call_in_vain)


def claim(world: World, request_id: str, key: str) -> Attempt:
    """Claim an attempt, as a batch that runs elsewhere does."""
    held = world.runner.holder.claim(world.request(request_id), AttemptKey.parse(key))
    assert isinstance(held, Attempt)
    return held


def wait_at_the_barrier(world: World) -> Callable[[Job], None]:
    """Return a callback during which the execution comes to wait: all jobs are under way."""
    under_way = Barrier(2)

    def work(job: Job) -> None:
        under_way.wait(10)
        if job.name == "work0":
            world.barrier.wait(job.request_id, 1, "token")
        under_way.wait(10)

    return work


@pytest.mark.parametrize("steps", [1, 5])
def test_a_request_of_narrow_steps_takes_three_transitions_however_many_steps(
    world: World, steps: int
) -> None:
    request_id = narrow(world, steps, width=4)
    world.run()
    assert world.request(request_id).status is RequestStatus.COMPLETED
    [execution] = world.machine.executions.values()
    assert execution.history == ["AdvanceRequest", "WhatNext?", "RequestEnded"]
    assert execution.transitions == 3


def test_a_scheduled_step_takes_three_transitions_and_one_for_each_batch(world: World) -> None:
    narrow(world, steps=3, width=5)
    world.run()
    [execution] = world.machine.executions.values()
    assert execution.transitions == 3 * (3 + 5) + 3


@pytest.mark.parametrize(
    ("width", "timeout_s", "is_called"),
    [(4, 60, True), (5, 60, False), (4, 60.5, False)],
    ids=["narrow", "too many batches", "too long"],
)
def test_a_step_is_called_if_its_batches_are_few_and_may_be_quick(
    world: World, width: int, timeout_s: float, is_called: bool
) -> None:
    request_id = narrow(world, width=width, timeout_s=timeout_s)
    world.run()
    history = world.machine.executions[request_id].history
    assert ("RunBatches" not in history) is is_called


@pytest.mark.parametrize(("most", "is_called"), [(1, False), (2, True), (3, True)])
def test_a_step_is_scheduled_if_fewer_of_its_batches_may_run_at_once(
    world: World, most: int, is_called: bool
) -> None:
    request_id = narrow(world, width=2, max_concurrency=most)
    world.run()
    history = world.machine.executions[request_id].history
    assert ("RunBatches" not in history) is is_called


@pytest.mark.parametrize(
    ("remaining", "action"), [(KEPT + CALL_WAIT, Action.DONE), (KEPT, Action.RUN)]
)
def test_nothing_is_called_without_time_for_what_follows(
    world: World, remaining: timedelta, action: Action
) -> None:
    request_id = narrow(world)
    assert world.advancer.advance(request_id, 1, remaining=remaining).action is action


@pytest.mark.usefixtures("one_by_one")
def test_steps_that_take_longer_than_an_invocation_go_on_in_the_next(world: World) -> None:
    def work(job: Job) -> None:
        world.clock.advance(10)

    world.job_type("work", work)
    world.request_type("long", *[jobs(1) for _ in range(20)])
    request_id = world.submit("long")
    world.run()
    assert world.request(request_id).status is RequestStatus.COMPLETED
    history = world.machine.executions[request_id].history
    assert 2 <= history.count("AdvanceRequest") <= 5


def test_an_invocation_that_goes_through_many_steps_is_one_round(world: World) -> None:
    world.job_type("poll", target="worker")
    world.job_type("work", lambda job: None)
    world.request_type("mixed", *[jobs(1) for _ in range(9)], jobs(1, "poll"))
    request_id = world.submit("mixed")
    decision = world.advancer.advance(request_id, 1, LastRound(), ENOUGH)
    assert (decision.action, decision.events) == (Action.AWAIT, 21)


def test_a_called_batch_whose_caller_waits_writes_nothing_to_the_step(
    world: World, monkeypatch: Patch
) -> None:
    counts = counted(monkeypatch, world.store, "count_arrivals")
    request_id = narrow(world)
    world.run()
    assert world.request(request_id).status is RequestStatus.COMPLETED
    assert counts == []


@pytest.mark.parametrize("is_called", [True, False])
def test_of_the_batches_whose_caller_gave_up_the_last_wakes_the_execution(
    world: World, monkeypatch: Patch, is_called: bool
) -> None:
    """Of those that a Map runs each wakes it."""
    woken: list[str] = []
    monkeypatch.setattr(world.machine, "wake_execution", woken.append)
    world.job_type("work", wait_at_the_barrier(world), batch_size=2)
    world.request_type("one", jobs(4))
    request_id = world.submit("one")
    world.advancer.advance(request_id, 1)
    keys = [str(attempt.key) for attempt in world.attempts(request_id)]
    for key in keys[2:]:
        claim(world, request_id, key)
    world.runner.run(request_id, keys[:2], ENOUGH, is_called=is_called)
    assert woken == ([] if is_called else ["token"])
    [step] = world.store.steps(request_id)
    assert step.token == "token"
    assert (step.arrivals, step.target) == ((2, 4) if is_called else (0, 4))


@pytest.mark.parametrize("width", [1, 2])
def test_a_batch_that_ends_just_before_the_token_is_written_is_not_waited_for(
    world: World, monkeypatch: Patch, width: int
) -> None:
    """It was not counted: the execution comes round, though others are still under way."""
    woken: list[str] = []
    monkeypatch.setattr(world.machine, "wake_execution", woken.append)
    world.job_type("work", lambda job: None)
    world.request_type("one", jobs(width))
    request_id = world.submit("one")
    world.advancer.advance(request_id, 1)
    held, *_ = (claim(world, request_id, f"0001#{job:06}#0001") for job in range(width))
    register = world.store.register_waiter

    def register_late(*args: Any) -> Any:
        recording = world.recorder.record(held, Completed({}))
        world.barrier.end_batch(request_id, 1, 0, joins=recording.joins, is_joined=False)
        return register(*args)

    monkeypatch.setattr(world.store, "register_waiter", register_late)
    world.barrier.wait(request_id, 1, "token")
    assert woken == ["token"]


@pytest.mark.usefixtures("one_by_one")
def test_a_job_type_that_was_waited_for_in_vain_is_scheduled_from_then_on(world: World) -> None:
    def slow(job: Job) -> None:
        world.clock.advance(CALL_WAIT.total_seconds() + 1)

    world.job_type("slow", slow)
    world.job_type("work", lambda job: None)
    # The wait for `work`, called second, is over when `slow` has ended.
    world.request_type("some", [*jobs(1, "slow"), *jobs(1, "work")], jobs(1), jobs(1, "slow"))
    request_id = world.submit("some")
    decision = world.advancer.advance(request_id, 1, LastRound(), ENOUGH)
    assert (decision.action, decision.slow_types) == (Action.RUN, ["work"])
    assert [batch["jobs"] for batch in decision.batches] == [["0001#000001#0001"]]


@pytest.mark.parametrize("runs", [True, False])
@pytest.mark.parametrize(
    "error",
    [Throttled("Rate exceeded"), JobError("Runtime.ExitError", "signal: killed")],
    ids=["throttled", "died"],
)
def test_an_error_counts_only_if_nothing_began(
    world: World, monkeypatch: Patch, runs: bool, error: Exception | JobError
) -> None:
    calls_come_to(monkeypatch, world, runs=runs, error=error)
    request_id = narrow(world, steps=2)
    decision = world.advancer.advance(request_id, 1, LastRound(), ENOUGH)
    step = world.store.get_step(request_id, 1)
    assert step is not None
    if runs:
        assert decision.action is Action.DONE
        assert world.request(request_id).status is RequestStatus.COMPLETED
        assert step.stall is None
    else:
        assert (decision.action, decision.wait_s) == (Action.TRY_ONE, 2)
        assert step.stall is not None
        assert step.stall.error in (error, JobError("Throttled", "Rate exceeded"))


def test_a_retry_of_a_called_job_is_awaited(world: World) -> None:
    def work(job: Job) -> None:
        if job.attempt == 1:
            raise Retry("later", delay_s=30)

    world.job_type("work", work)
    world.request_type("one", jobs(2))
    request_id = world.submit("one")
    world.run()
    assert world.machine.executions[request_id].history[-1] == "AwaitStep"
    world.run_through()
    assert world.request(request_id).status is RequestStatus.COMPLETED
    assert world.machine.executions[request_id].transitions == 6


def test_a_request_that_is_cancelled_while_its_batches_run_ends(world: World) -> None:
    def work(job: Job) -> None:
        world.requests.cancel(job.request_id)

    world.job_type("work", work)
    world.request_type("two", jobs(1), jobs(1))
    request_id = world.submit("two")
    world.run()
    assert world.request(request_id).status is RequestStatus.CANCELLED
    assert [step.index for step in world.store.steps(request_id)] == [1]
    assert world.machine.executions[request_id].status == "SUCCEEDED"


def test_an_execution_that_is_replaced_while_its_batches_run_leaves_the_rest(world: World) -> None:
    def work(job: Job) -> None:
        if job.name == "work0":
            world.executions.hand_over(world.request(job.request_id))

    world.job_type("work", work)
    world.request_type("two", jobs(1), [{"name": "last", "type": "work"}])
    request_id = world.submit("two")
    assert world.advancer.advance(request_id, 1, LastRound(), ENOUGH).action is Action.DONE
    assert world.request(request_id).status is RequestStatus.INPROGRESS
    world.run()
    assert world.request(request_id).status is RequestStatus.COMPLETED


def test_an_execution_that_is_replaced_while_its_batches_run_does_not_wait_for_what_is_left(
    world: World,
) -> None:
    """Its token would take the place of the newer one's."""

    def work(job: Job) -> None:
        world.executions.hand_over(world.request(job.request_id))
        raise Retry("later", delay_s=30)

    world.job_type("work", work)
    world.request_type("one", jobs(1))
    request_id = world.submit("one")
    assert world.advancer.advance(request_id, 1, LastRound(), ENOUGH).action is Action.DONE


@pytest.mark.parametrize("width", [2, 6])
@pytest.mark.parametrize("type", ["work", "again", "poll"])
def test_an_execution_of_the_release_before_goes_on_with_the_functions_of_this_one(
    world: World, monkeypatch: Patch, width: int, type: str
) -> None:
    monkeypatch.setattr(world.machine, "definition", RELEASE_BEFORE)

    def again(job: Job) -> None:
        if job.attempt == 1:
            raise Retry("later", delay_s=5)

    world.job_type("work", lambda job: {job.name: 1}, batch_size=1)
    world.job_type("again", again, batch_size=1)
    world.job_type("poll", target="worker")
    world.request_type("old", jobs(width), [*jobs(width), *jobs(1, type)], jobs(width, "again"))
    request_id = world.submit("old")
    world.run_through()
    for attempt in world.attempts(request_id):
        if attempt.is_polled:
            world.tasks.report(Report(attempt.attempt_id, ReportStatus.COMPLETED, {}))
    world.run_through()
    assert world.request(request_id).status is RequestStatus.COMPLETED
    assert "RunBatches" in world.machine.executions[request_id].history


@pytest.mark.parametrize("dying", [0, 1, None])
def test_the_error_of_a_batch_that_died_is_told_whichever_answers_last(
    dying: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    class Caller:
        def call(self, request_id: str, execution: int, jobs: list[str]) -> JobError | None:
            return JobError("Died", "oom") if jobs == [str(dying)] else None

    calls = BatchCalls(Caller(), one_after_the_other, lambda: NOW)
    called = calls.call("r", 1, [["0"], ["1"]])
    assert called == Called([], None if dying is None else JobError("Died", "oom"))
    assert ("called batches failed" in caplog.messages) is (dying is not None)


def test_the_wait_is_over_when_its_time_has_come() -> None:
    times = iter([NOW])

    class Caller:
        def call(self, request_id: str, execution: int, jobs: list[str]) -> JobError | None:
            return None

    calls = BatchCalls(Caller(), one_after_the_other, lambda: next(times, NOW + CALL_WAIT))
    called = calls.call("r", 1, [["0"], ["1"]])
    assert called.error == JobError("NoAnswer", "none within 15 s")
    assert called.unanswered == [["1"]]
