"""How long RunJobs insists, what it renews and gives up, and what one job does to its batch."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import datetime, timedelta
from typing import Any

import pytest

from shiftwork_core.callbacks import Failure, Job
from shiftwork_core.domain.requests.records import Attempt
from shiftwork_core.domain.requests.states import AttemptStatus
from shiftwork_core.errors import Throttled
from shiftwork_core.services.requests import holding, run_jobs
from shiftwork_core.services.requests.run_jobs import BatchRunner
from tests.world.world import LEASE, World

Patch = pytest.MonkeyPatch
#: Between two calls to a store that does not answer, in these tests.
WAIT_S = 3


@pytest.fixture(autouse=True)
def waits(monkeypatch: Patch) -> None:
    """Let each wait be as long as the other; the draw of the world takes off a quarter."""
    monkeypatch.setattr(holding, "FIRST_WAIT_S", WAIT_S / 0.75)
    monkeypatch.setattr(holding, "_LONGEST_WAIT_S", WAIT_S / 0.75)
    monkeypatch.setattr(run_jobs, "FIRST_WAIT_S", WAIT_S / 0.75)


def planned(world: World, callback: Any, count: int = 1, **step: Any) -> tuple[str, list[str]]:
    """Return a request whose jobs are handed out, and their keys."""
    world.job_type("work", callback, timeout_s=300, retry={"max_attempts": 1})
    jobs = [{"name": f"j{number}", "type": "work"} for number in range(count)]
    world.request_type("some", jobs, **step)
    request_id = world.submit("some")
    world.advancer.advance(request_id, 1)
    return request_id, [str(attempt.key) for attempt in world.attempts(request_id)]


def never(calls: list[datetime], world: World) -> Callable[..., Any]:
    """Return a call of a store that is throttled each time, and noted."""

    def call(*_: Any, **__: Any) -> Any:
        calls.append(world.clock())
        assert len(calls) < 100, "it does not give up"
        raise Throttled("too much")

    return call


def one_by_one(calls: dict[Any, Callable[[], Any]], tick: Any) -> Iterator[dict[Any, Future[Any]]]:
    """Run the calls one after the other."""
    for key, call in calls.items():
        future: Future[Any] = Future()
        try:
            future.set_result(call())
        except Exception as error:
            future.set_exception(error)
        yield {key: future}


def runner_of(world: World, side_by_side: Any) -> BatchRunner:
    return world.another(side_by_side=side_by_side, sleep=world.clock.advance).runner


# -- how long it insists -------------------------------------------------------------------------


def test_an_arrival_that_no_store_takes_is_given_up_before_the_process_ends(
    world: World, monkeypatch: Patch
) -> None:
    request_id, keys = planned(world, lambda job: {})
    calls: list[datetime] = []
    monkeypatch.setattr(world.store, "get_step", never(calls, world))
    begun_at = world.clock()
    with pytest.raises(Throttled):
        runner_of(world, one_by_one).run(request_id, keys, timedelta(seconds=35))
    assert [(at - begun_at).total_seconds() for at in calls] == [n * WAIT_S for n in range(10)]


def test_an_outcome_in_hand_is_given_up_before_the_process_ends(
    world: World, monkeypatch: Patch
) -> None:
    request_id, keys = planned(world, lambda job: {})
    calls: list[datetime] = []
    monkeypatch.setattr(world.jobs, "complete", never(calls, world))
    begun_at = world.clock()
    # Five seconds before the end is the bound: 30 s, which is when the eleventh call would be.
    with pytest.raises(Throttled):
        world.runner.run(request_id, keys, timedelta(seconds=35))
    assert [(at - begun_at).total_seconds() for at in calls] == [n * WAIT_S for n in range(10)]


def test_a_claim_is_repeated_for_a_lease(world: World, monkeypatch: Patch) -> None:
    request_id, keys = planned(world, lambda job: {})
    calls: list[datetime] = []
    monkeypatch.setattr(world.jobs, "claim", never(calls, world))
    with pytest.raises(Throttled):
        world.runner.run(request_id, keys, timedelta(minutes=15))
    assert len(calls) == LEASE.total_seconds() / WAIT_S


@pytest.mark.parametrize(("refused", "renewals"), [(9, 0), (10, 1)])
def test_a_claim_that_a_store_takes_later_is_renewed_if_half_its_lease_is_over(
    world: World, monkeypatch: Patch, refused: int, renewals: int
) -> None:
    request_id, keys = planned(world, lambda job: {})
    claim, renew = world.jobs.claim, world.jobs.renew
    answers = itertools.chain([False] * refused, itertools.repeat(True))
    renewed: list[datetime] = []

    def throttled_first(*args: Any, **values: Any) -> Any:
        if not next(answers):
            raise Throttled("too much")
        return claim(*args, **values)

    def note(attempt: Attempt, until: datetime) -> bool:
        renewed.append(until)
        return renew(attempt, until)

    monkeypatch.setattr(world.jobs, "claim", throttled_first)
    monkeypatch.setattr(world.jobs, "renew", note)
    runner = runner_of(world, one_by_one)
    monkeypatch.setattr(runner.holder, "renew", lambda _: None)
    report = runner.run(request_id, keys, timedelta(minutes=15))
    assert report.counts == {"completed": 1}
    assert len(renewed) == renewals


def test_a_claim_that_is_answered_late_renews_nothing_that_another_has_claimed(
    world: World, monkeypatch: Patch
) -> None:
    request_id, keys = planned(world, lambda job: {})
    claim, throttles = world.jobs.claim, iter(range(10))

    def throttled_first(request_id: str, key: Any, **values: Any) -> Any:
        if next(throttles, None) is not None:
            raise Throttled("too much")
        claim(request_id, key, **(values | {"claim_id": "theirs", "worker_id": "w9"}))
        return claim(request_id, key, **values)

    monkeypatch.setattr(world.jobs, "claim", throttled_first)
    monkeypatch.setattr(world.jobs, "renew", lambda *_: pytest.fail("it is theirs"))
    report = runner_of(world, one_by_one).run(request_id, keys, timedelta(minutes=15))
    assert report.counts == {"held": 1}


def test_a_timeout_that_no_store_takes_is_given_up_before_the_process_ends(
    world: World, monkeypatch: Patch
) -> None:
    request_id, keys = planned(world, lambda job: {})
    calls: list[datetime] = []
    monkeypatch.setattr(world.jobs, "fail", never(calls, world))
    monkeypatch.setattr(run_jobs, "FIRST_WAIT_S", 2.5)

    def without_end(calls: Any, tick: Any) -> Iterator[dict[Any, Future[Any]]]:
        for _ in one_by_one(calls, tick):
            """Nobody hears how it ended."""
        for _ in range(1000):
            world.clock.advance(0.5)
            yield {}

    runner = runner_of(world, without_end)
    monkeypatch.setattr(runner, "do", _hang)
    begun_at = world.clock()
    with pytest.raises(Throttled):
        runner.run(request_id, keys, timedelta(seconds=31))
    # Its time is over after 21 s, and so is that for recording it after 26.
    assert [(at - begun_at).total_seconds() for at in calls] == [21, 23.5]


def _hang(*_: Any) -> Any:
    raise RuntimeError("in place of a job that never ends")


# -- leases --------------------------------------------------------------------------------------


def test_a_lease_that_is_lost_is_not_renewed_again(world: World, monkeypatch: Patch) -> None:
    renewals: list[int] = []

    def renew(attempt: Attempt, until: datetime) -> bool:
        renewals.append(attempt.key.job)
        return attempt.key.job == 1

    def work(job: Job) -> None:
        for _ in range(20):  # It does not heed that it should stop.
            world.loop.sleep(5)

    monkeypatch.setattr(world.jobs, "renew", renew)
    request_id, keys = planned(world, work, 2)
    world.runner.run(request_id, keys, timedelta(minutes=15))
    assert renewals.count(0) == 1
    assert renewals.count(1) > 1


def test_an_outcome_that_waits_to_be_written_lets_the_loop_wait_too(
    world: World, monkeypatch: Patch
) -> None:
    ticks: list[Callable[[], float]] = []
    waits: list[float] = []
    complete = world.jobs.complete

    def late(*args: Any, **values: Any) -> Any:
        world.clock.advance(301)  # Longer than the job may take.
        waits.append(ticks[0]())
        return complete(*args, **values)

    def keeping(calls: Any, tick: Any) -> Any:
        ticks.append(tick)
        return one_by_one(calls, tick)

    request_id, keys = planned(world, lambda job: {})
    monkeypatch.setattr(world.jobs, "complete", late)
    tick_s = BatchRunner._tick_s

    def unhurried(self: BatchRunner, batch: Any) -> float:
        batch.renew_at = world.clock() + LEASE
        return tick_s(self, batch)

    monkeypatch.setattr(BatchRunner, "_tick_s", unhurried)
    runner_of(world, keeping).run(request_id, keys, timedelta(minutes=15))
    assert waits == [LEASE.total_seconds()]


# -- one job and its batch -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("on_failure", "counts"),
    [
        ("finish", {"failure": 1, "completed": 1}),
        ("stop", {"failure": 1, "untouched": 1}),
    ],
)
def test_a_failure_ends_its_batch_if_it_ends_its_request(
    world: World, on_failure: str, counts: dict[str, int]
) -> None:
    def work(job: Job) -> None:
        if job.name == "j0":
            raise Failure("for good")

    request_id, keys = planned(world, work, 2, on_failure=on_failure)
    report = runner_of(world, one_by_one).run(request_id, keys, timedelta(minutes=15))
    assert report.counts == counts


def test_a_job_of_which_a_fault_of_ours_was_raised_is_not_called_overdue(
    world: World, monkeypatch: Patch
) -> None:
    request_id, keys = planned(world, lambda job: {}, 2)

    def slowly(calls: Any, tick: Any) -> Iterator[dict[Any, Future[Any]]]:
        for ended in one_by_one(calls, tick):
            yield ended
            world.clock.advance(301)
            yield {}

    runner = runner_of(world, slowly)
    do, faults = runner.do, iter([ValueError("a fault of ours")])

    def faulty(*args: Any) -> Any:
        if fault := next(faults, None):
            raise fault
        return do(*args)

    monkeypatch.setattr(runner, "do", faulty)
    with pytest.raises(ValueError, match="ours"):
        runner.run(request_id, keys, timedelta(minutes=15))
    first, second = world.attempts(request_id)
    assert (first.status, second.status) == (AttemptStatus.INPROGRESS, AttemptStatus.COMPLETED)
