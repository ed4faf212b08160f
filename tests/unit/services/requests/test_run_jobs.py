"""A batch while its callbacks run: leases, timeouts, ends."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from queue import Queue
from typing import Any

import pytest

from shiftwork_core.callbacks import Failure, Job, Retry
from shiftwork_core.domain.requests.records import Request
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.services.requests.advance import NO_TIME
from shiftwork_platform.wiring import one_after_the_other
from tests.world.world import LEASE, World

WAIT_S = 10.0


@pytest.fixture(autouse=True)
def _scheduled(world: World) -> None:
    """A Map runs the batches: here callbacks move the clock, and nobody else waits for them."""
    world.remaining = NO_TIME


def wait_for_stop(job: Job) -> bool:
    """Wait until the job is told to stop; False if that takes far too long."""
    return bool(job.stop.wait(WAIT_S))  # type: ignore[attr-defined]


def lease_of(world: World, job: Job) -> datetime:
    """Return until when the job's only attempt is held."""
    [attempt] = world.attempts(job.request_id)
    assert attempt.lease_until is not None
    return attempt.lease_until


def test_a_callback_that_takes_too_long_is_told_to_stop_and_retried(world: World) -> None:
    told: Queue[bool] = Queue()

    def work(job: Job) -> dict[str, Any]:
        if job.attempt == 1:
            world.clock.advance(31)
            told.put(wait_for_stop(job))
        return {"attempt": job.attempt}

    world.job_type("work", work, timeout_s=30)
    world.request_type("one", [{"name": "j", "type": "work"}])
    request_id = world.submit("one")
    world.run_through()
    # Its thread is left behind, and may be told after all is done.
    assert told.get(timeout=WAIT_S)
    first, second = world.attempts(request_id)
    assert first.error and first.error.type == "Timeout"
    assert "30 s" in first.error.message
    assert (first.output, second.status) == (None, "completed")


def test_a_timeout_shorter_than_a_third_of_the_lease_does_not_wait_for_the_first_renewal(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks_s: list[Callable[[], float]] = []
    before_claims, at_work = [], []

    def watched(calls: Any, tick_s: Callable[[], float]) -> Any:
        ticks_s.append(tick_s)
        before_claims.append(tick_s())
        return one_after_the_other(calls, tick_s)

    monkeypatch.setattr(world.runner, "_side_by_side", watched)
    world.job_type("work", lambda job: at_work.append(ticks_s[0]()), timeout_s=2)
    world.request_type("one", [{"name": "j", "type": "work"}])
    world.submit("one")
    world.run()
    assert (before_claims, at_work) == ([1.0], [2.0])


def test_the_return_value_of_a_callback_told_to_stop_is_not_its_result(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    stops: list[Any] = []
    told_before: list[bool] = []
    retry = world.jobs.retry

    def give_up(*arguments: Any, **options: Any) -> Any:
        told_before.append(stops[0].is_set())
        return retry(*arguments, **options)

    def work(job: Job) -> None:
        if job.attempt == 1:
            stops.append(job.stop)
            world.clock.advance(31)
            wait_for_stop(job)

    monkeypatch.setattr(world.jobs, "retry", give_up)
    world.job_type("work", work, timeout_s=30)
    world.request_type("one", [{"name": "j", "type": "work"}])
    world.submit("one")
    world.run_through()
    assert told_before == [False]
    assert stops[0].wait(WAIT_S)


def test_every_attempt_at_a_job_has_a_higher_fence_and_the_same_key(world: World) -> None:
    seen: list[tuple[str, int]] = []

    def work(job: Job) -> None:
        seen.append((job.job_key, job.fence))
        if len(seen) < 3:
            raise Retry
        if len(seen) == 3:
            raise Failure

    world.job_type("work", work, retry={"max_attempts": 5})
    world.request_type("one", [{"name": "j", "type": "work"}])
    request_id = world.submit("one")
    world.run_through()
    world.requests.retry(request_id)
    world.run_through()
    assert seen == [(f"{request_id}.1.0", fence) for fence in (1, 2, 3, 4)]


def test_a_long_job_keeps_its_lease_and_its_request_out_of_the_sweep(world: World) -> None:
    leases: list[datetime] = []

    def work(job: Job) -> None:
        for _ in range(6):
            world.clock.advance(25)
            [attempt] = world.attempts(job.request_id)
            due_at = world.request(job.request_id).due_at
            while (lease := lease_of(world, job)) <= world.clock():
                assert not job.stop.wait(0.001)  # type: ignore[attr-defined]
            leases.append(lease)
            assert attempt.status == "inprogress" and due_at is not None

    world.job_type("work", work, timeout_s=300)
    world.request_type("one", [{"name": "j", "type": "work"}])
    request_id = world.submit("one")
    world.run()
    assert world.statuses(request_id) == ["j 1 completed"]
    assert leases == sorted(leases)
    assert leases[-1] - leases[0] >= timedelta(seconds=60)


def test_a_batch_that_runs_for_long_says_that_it_lives_and_leaves_the_requests_row(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[Request] = []
    noted: Queue[datetime] = Queue()
    note_alive = world.store.note_alive

    def note(request_id: str, until: datetime) -> None:
        note_alive(request_id, until)
        noted.put(until)

    def work(job: Job) -> None:
        world.clock.advance(21)
        noted.get(timeout=WAIT_S)
        rows.append(world.request(job.request_id))

    monkeypatch.setattr(world.store, "note_alive", note)
    world.job_type("work", work)
    world.request_type("one", [{"name": "j", "type": "work"}])
    request_id = world.submit("one")
    before = world.clock()
    world.run()
    assert world.store.alive_until(request_id) == before + timedelta(seconds=21) + LEASE
    assert rows[0].due_at == before + LEASE


def test_a_batch_that_lost_all_its_jobs_does_not_say_that_it_lives(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(job: Job) -> None:
        world.clock.advance(21)
        assert wait_for_stop(job)

    monkeypatch.setattr(world.jobs, "renew", lambda *_: False)
    world.job_type("work", work)
    world.request_type("one", [{"name": "j", "type": "work"}])
    request_id = world.submit("one")
    world.run()
    assert world.statuses(request_id) == ["j 1 completed"]
    assert world.store.alive_until(request_id) is None


def test_a_running_job_learns_that_its_request_is_cancelled(world: World) -> None:
    told: list[bool] = []

    def work(job: Job) -> None:
        world.requests.cancel(job.request_id)
        world.clock.advance(21)
        told.append(wait_for_stop(job))

    world.job_type("work", work)
    world.request_type("one", [{"name": "j", "type": "work"}])
    request_id = world.submit("one")
    world.run()
    assert told == [True]
    assert world.request(request_id).status is RequestStatus.CANCELLED
    assert world.statuses(request_id) == ["j 1 completed"]  # What runs may finish.


def test_a_batch_that_leaves_a_retry_says_that_some_of_its_jobs_are_still_out(world: World) -> None:
    def again(job: Job) -> None:
        raise Retry("later", delay_s=30)

    world.job_type("again", again)
    world.request_type("one", [{"name": "j", "type": "again"}])
    request_id = world.submit("one")
    world.advancer.advance(request_id, 1)
    keys = [str(attempt.key) for attempt in world.attempts(request_id)]
    report = world.runner.run(request_id, keys, timedelta(minutes=15))
    assert (report.counts, report.is_waiting) == ({"retry": 1}, True)


def test_a_batch_with_no_time_left_leaves_its_jobs_untouched(world: World) -> None:
    world.job_type("work", lambda job: None)
    world.request_type("one", [{"name": "j", "type": "work"}])
    request_id = world.submit("one")
    world.advancer.advance(request_id, 1)
    [attempt] = world.attempts(request_id)
    report = world.runner.run(request_id, [str(attempt.key)], timedelta(seconds=5))
    assert report.counts == {"untouched": 1}
    assert not report.is_waiting
    assert world.statuses(request_id) == ["j 1 new"]


def test_a_batch_of_an_ended_request_claims_nothing(world: World) -> None:
    world.job_type("work", lambda job: None)
    world.request_type("one", [{"name": "j", "type": "work"}])
    request_id = world.submit("one")
    world.advancer.advance(request_id, 1)
    [attempt] = world.attempts(request_id)
    world.requests.cancel(request_id)
    report = world.runner.run(request_id, [str(attempt.key)], timedelta(minutes=15))
    assert report.counts == {}
    assert world.statuses(request_id) == ["j 1 cancelled"]


def test_a_store_that_fails_for_one_job_keeps_the_outcomes_of_the_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete = world.jobs.complete

    def fail_once(attempt: Any, *rest: Any, **more: Any) -> Any:
        if attempt.name == "b":
            raise OSError("a fault that no waiting mends")
        return complete(attempt, *rest, **more)

    world.job_type("work", lambda job: None)
    world.request_type("three", [{"name": n, "type": "work"} for n in "abc"])
    request_id = world.submit("three")
    world.advancer.advance(request_id, 1)
    monkeypatch.setattr(world.jobs, "complete", fail_once)
    keys = [str(a.key) for a in world.attempts(request_id)]
    with pytest.raises(OSError, match="no waiting"):
        world.runner.run(request_id, keys, timedelta(minutes=15))
    assert world.statuses(request_id) == ["a 1 completed", "b 1 inprogress", "c 1 completed"]
    # The machine calls again: what is done is not done again, and the lost one is waited for.
    monkeypatch.undo()
    assert world.runner.run(request_id, keys, timedelta(minutes=15)).is_waiting
