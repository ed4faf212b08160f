"""Which writes and wake-ups follow from recording an outcome, and which do not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shiftwork_core.callbacks import Retry
from shiftwork_core.domain.requests.outcomes import Completed, Failed, JobError, Retryable
from shiftwork_core.domain.requests.records import Attempt
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.errors import Throttled
from shiftwork_core.services.requests.outcome_writer import Result
from tests.unit.services.conftest import counted
from tests.world.world import LEASE, World

DONE = Completed({})
AGAIN = Retryable(JobError("Retry", "again"))
NEVER = Failed(JobError("Failure", "never"))


def raise_(error: Exception) -> Any:
    """Raise, where a lambda cannot."""
    raise error


def held(world: World, target: str, jobs: int = 1) -> list[Attempt]:
    """Return the claimed attempts of a request's only step."""
    world.job_type("work", target=target)
    world.request_type("one", [{"name": f"j{n}", "type": "work"} for n in range(jobs)])
    request_id = world.submit("one")
    world.advancer.advance(request_id, 1)
    request = world.request(request_id)
    claims = [world.runner.holder.claim(request, a.key) for a in world.attempts(request_id)]
    return [claim for claim in claims if isinstance(claim, Attempt)]


def test_a_completion_that_a_map_joins_does_not_read_the_step(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    [attempt] = held(world, "python")
    looks = counted(monkeypatch, world.store, "get_step")
    assert world.record(attempt, DONE) == "completed"
    assert looks == []


def test_only_the_last_arrival_wakes_the_execution(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = held(world, "worker", jobs=2)
    world.run()
    woken = counted(monkeypatch, world.machine, "wake_execution")
    world.record(first, DONE)
    assert woken == []
    world.record(second, DONE)
    assert len(woken) == 1


def test_a_retry_of_a_polled_job_sends_no_message(world: World) -> None:
    [attempt] = held(world, "worker")
    assert world.record(attempt, AGAIN) == "retry"
    assert world.queue.messages == []


def test_a_retry_that_came_too_late_sends_no_message(world: World) -> None:
    [attempt] = held(world, "python")
    assert world.record(replace(attempt, fence=0), AGAIN) == "discarded"
    assert world.queue.messages == []


def test_a_message_says_what_may_share_a_batch_with_its_job(world: World) -> None:
    [attempt] = held(world, "python")
    world.record(attempt, AGAIN)
    [(_, message)] = world.queue.messages
    assert (message["type"], message["batch_size"]) == ("work", 10)


def test_jobs_that_fail_together_look_once_a_second_whether_their_request_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = held(world, "python", jobs=3)
    looks = counted(monkeypatch, world.store, "get")
    world.record(first, AGAIN)
    world.clock.advance(0.999)
    world.record(second, AGAIN)
    assert len(looks) == 1
    world.clock.advance(0.001)
    world.record(third, AGAIN)
    assert len(looks) == 2


def test_a_look_that_had_no_answer_is_none(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = held(world, "python", jobs=2)
    world.requests.cancel(first.request_id)
    get = world.store.get

    def throttled(request_id: str) -> Any:
        monkeypatch.setattr(world.store, "get", get)
        raise Throttled("too much")

    monkeypatch.setattr(world.store, "get", throttled)
    with pytest.raises(Throttled):
        world.record(first, AGAIN)
    assert world.record(second, AGAIN) == "failure"


def test_that_a_request_has_ended_is_asked_each_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = held(world, "python", jobs=2)
    world.requests.cancel(first.request_id)
    looks = counted(monkeypatch, world.store, "get")
    assert [world.record(one, AGAIN) for one in (first, second)] == ["failure"] * 2
    assert len(looks) == 2


def test_that_one_request_goes_on_says_nothing_of_another(world: World) -> None:
    [first], [second] = held(world, "python"), held(world, "python")
    world.requests.cancel(second.request_id)
    assert [world.record(one, AGAIN) for one in (first, second)] == ["retry", "failure"]


def test_a_failure_wakes_no_execution_of_a_request_that_a_user_has_retried_meanwhile(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    [attempt] = held(world, "worker")
    world.run()
    woken = counted(monkeypatch, world.machine, "wake_execution")
    retried = world.request(attempt.request_id)
    assert retried.status is RequestStatus.INPROGRESS
    monkeypatch.setattr(world.store, "get", lambda _: retried)
    assert world.record(attempt, NEVER) == "failure"
    assert woken == []


def test_the_outcomes_of_a_narrow_step_are_not_tallied(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All its rows are read to tell how far it is."""
    tallies = counted(monkeypatch, world.store, "add_tally")
    [attempt] = held(world, "worker")
    assert world.record(attempt, AGAIN) == "retry"
    world.job_type("again", lambda job: raise_(Retry("later", delay_s=30)))
    world.request_type("two", [{"name": "j", "type": "again"}])
    request_id = world.submit("two")
    world.run()
    assert "j 1 retry" in world.statuses(request_id)
    assert tallies == []


@pytest.mark.parametrize(("delay_s", "messages"), [(900, 1), (900.001, 0)])
def test_a_message_wakes_an_attempt_up_to_the_longest_delay_of_a_message(
    world: World, delay_s: float, messages: int
) -> None:
    """Beyond that the table's index has it."""
    [attempt] = held(world, "python")
    world.record(attempt, replace(AGAIN, delay_s=delay_s))
    assert len(world.queue.messages) == messages
    assert len(world.tables.by_wake()) == 1 - messages


def test_a_failure_that_came_too_late_reads_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    [attempt] = held(world, "python")
    looks = counted(monkeypatch, world.store, "get")
    assert world.record(replace(attempt, fence=0), NEVER) == "discarded"
    assert looks == []


# -- what it asks of others, and what not ----------------------------------------------------------


def planned(world: World, **body: Any) -> Attempt:
    """Return the only job's attempt of a request, not claimed yet."""
    world.job_type("work", **body)
    world.request_type("one", [{"name": "j", "type": "work"}])
    request_id = world.submit("one")
    world.advancer.advance(request_id, 1)
    [attempt] = world.attempts(request_id)
    return attempt


def claimed(world: World, attempt: Attempt) -> Attempt:
    found = world.runner.holder.claim(world.request(attempt.request_id), attempt.key)
    assert isinstance(found, Attempt)
    return found


@pytest.mark.parametrize(
    ("target", "is_taken", "is_heard_of", "told"),
    [
        ("worker", True, False, 1),
        ("worker", True, True, 0),
        ("worker", False, False, 0),
        ("python", True, False, 0),
    ],
)
def test_a_job_that_a_worker_lost_leaves_its_record(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    target: str,
    is_taken: bool,
    is_heard_of: bool,
    told: int,
) -> None:
    attempt = planned(world, target=target, worker={"poll_timeout_s": 60})
    if is_taken:
        attempt = claimed(world, attempt)
    world.clock.advance(60)
    if is_heard_of:
        assert world.jobs.renew(attempt, world.clock() + LEASE)
    lapses = counted(monkeypatch, world.watch, "lapsed")
    changes = counted(monkeypatch, world.watch, "changed")
    result = world.recorder.expire(attempt).result
    assert result is (Result.DISCARDED if is_heard_of else Result.RETRY)
    assert (len(lapses), len(changes)) == (told, 0)


def test_a_worker_whose_jobs_time_is_over_has_kept_its_lease(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = claimed(world, planned(world, target="worker", timeout_s=30))
    assert world.jobs.renew(attempt, world.clock() + timedelta(seconds=30))
    world.clock.advance(30)
    lapses = counted(monkeypatch, world.watch, "lapsed")
    changes = counted(monkeypatch, world.watch, "changed")
    renewed = world.jobs.get(attempt.request_id, attempt.key)
    assert renewed is not None
    assert world.recorder.expire(renewed).result is Result.RETRY
    assert (len(lapses), len(changes)) == (0, 1)


@pytest.mark.parametrize(("arrivals", "is_hastened"), [(0, True), (1, False), (2, False)])
def test_only_the_arrival_that_reaches_the_target_makes_its_request_due(
    world: World, monkeypatch: pytest.MonkeyPatch, arrivals: int, is_hastened: bool
) -> None:
    attempt = planned(world, target="worker")
    [step] = world.store.steps(attempt.request_id)
    world.tables.put_step(replace(step, token="token", target=1, arrivals=arrivals))
    woken = counted(monkeypatch, world.machine, "wake_execution")
    hastened = counted(monkeypatch, world.store, "bring_due_forward")
    world.barrier.arrive(attempt.request_id, 1, 1)
    assert (len(woken), len(hastened)) == (1, is_hastened)


def test_a_retry_whose_step_is_gone_wakes_nothing(world: World) -> None:
    [first] = held(world, "python")
    world.record(first, replace(AGAIN, delay_s=0))
    _, second = world.attempts(first.request_id)
    again = claimed(world, second)
    del world.tables.steps[first.request_id]
    assert world.record(again, DONE) == "completed"


def test_an_attempt_without_a_slot_frees_none(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    [attempt] = held(world, "python")
    freed = counted(monkeypatch, world.limits, "free")
    assert world.record(attempt, DONE) == "completed"
    assert freed == []


def test_a_cancel_wakes_no_execution_that_does_not_wait(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = planned(world, target="worker")
    woken = counted(monkeypatch, world.machine, "wake_execution")
    world.requests.cancel(attempt.request_id)
    del world.tables.steps[attempt.request_id]
    world.canceller.cancel_new(world.request(attempt.request_id))
    assert woken == []


@pytest.mark.parametrize(("target", "is_timed"), [("worker", True), ("python", False)])
def test_a_retrys_poll_timeout_begins_when_its_back_off_ends(
    world: World, target: str, is_timed: bool
) -> None:
    attempt = planned(world, target=target, worker={"poll_timeout_s": 30})
    world.record(claimed(world, attempt), replace(AGAIN, delay_s=10))
    _, second = world.attempts(attempt.request_id)
    assert second.poll_until == (world.clock() + timedelta(seconds=40) if is_timed else None)


def test_a_user_retrys_poll_timeout_begins_now(world: World) -> None:
    attempt = planned(world, target="worker", worker={"poll_timeout_s": 30})
    world.record(claimed(world, attempt), NEVER)
    world.requests.retry(attempt.request_id)
    world.advancer.advance(attempt.request_id, 2)
    _, second = world.attempts(attempt.request_id)
    assert second.poll_until == world.clock() + timedelta(seconds=30)
    assert second.generation == attempt.generation + 1


@pytest.mark.parametrize(
    ("token", "target", "woken"),
    [("token", 1, 1), ("token", 2, 0), (None, None, 0)],
)
def test_the_last_retry_wakes_the_execution_that_waits(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    token: str | None,
    target: int | None,
    woken: int,
) -> None:
    [first] = held(world, "python")
    world.record(first, replace(AGAIN, delay_s=0))
    _, second = world.attempts(first.request_id)
    again = claimed(world, second)
    [step] = world.store.steps(first.request_id)
    world.tables.put_step(replace(step, token=token, target=target))
    wakes = counted(monkeypatch, world.machine, "wake_execution")
    assert world.record(again, DONE) == "completed"
    assert len(wakes) == woken


def test_a_completion_that_came_too_late_is_not_counted(world: World) -> None:
    [attempt] = held(world, "worker")
    assert world.record(replace(attempt, fence=0), DONE) == "discarded"
    [step] = world.store.steps(attempt.request_id)
    assert step.arrivals == 0
