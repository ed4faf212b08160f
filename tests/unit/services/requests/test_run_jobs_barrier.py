"""Which of its jobs a batch waits for, and which executions it wakes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Event
from typing import Any

import pytest

from shiftwork_core.callbacks import Failure, Job
from shiftwork_core.domain.requests.outcomes import Completed
from shiftwork_core.domain.requests.records import Attempt, Step
from shiftwork_core.domain.requests.states import AttemptStatus
from shiftwork_core.errors import Throttled
from shiftwork_core.services.requests.holding import MARGIN
from shiftwork_core.services.requests.outcome_writer import Result
from shiftwork_core.services.requests.run_jobs import BatchReport
from tests.unit.services.conftest import counted
from tests.world.world import LEASE, World

WAIT_S = 10.0
LONG = timedelta(minutes=5)
FIRST, SECOND = "0001#000000#0001", "0001#000000#0002"


def planned(world: World, *types: str) -> str:
    """Return a request of one step, with a job of each type, that no batch has seen yet."""
    world.request_type("some", [{"name": type, "type": type} for type in types])
    request_id = world.submit("some")
    world.advancer.advance(request_id, 1)
    return request_id


def keys_of(world: World, request_id: str) -> list[str]:
    return [str(attempt.key) for attempt in world.attempts(request_id)]


@pytest.fixture
def first_has_ended(world: World, monkeypatch: pytest.MonkeyPatch) -> Event:
    """Return an event that is set once a batch has dealt with the end of its first call."""
    over = Event()
    side_by_side: Callable[..., Any] = world.runner._side_by_side

    def watched(calls: dict[Any, Any], tick_s: Callable[[], float]) -> Any:
        first = next(iter(calls))
        for ended in side_by_side(calls, tick_s):
            yield ended
            if first in ended:
                over.set()

    monkeypatch.setattr(world.runner, "_side_by_side", watched)
    return over


def test_a_batch_of_a_request_that_is_gone_does_nothing(world: World) -> None:
    assert world.runner.run("gone", [FIRST], LONG) == BatchReport()


def test_an_empty_batch_does_nothing(world: World) -> None:
    world.job_type("work", lambda job: None)
    request_id = planned(world, "work")
    assert world.runner.run(request_id, [], LONG) == BatchReport()


def test_a_batch_whose_step_is_gone_wakes_nothing(world: World) -> None:
    world.job_type("work", lambda job: None)
    request_id = planned(world, "work")
    del world.tables.steps[request_id]
    report = world.runner.run(request_id, [FIRST], LONG)
    assert report.counts == {"completed": 1}


@pytest.mark.parametrize(
    ("key", "arrivals", "is_woken"), [(FIRST, 0, True), (SECOND, 0, False), (SECOND, 1, True)]
)
def test_a_batch_wakes_an_execution_that_would_wait_forever(
    world: World, monkeypatch: pytest.MonkeyPatch, key: str, arrivals: int, is_woken: bool
) -> None:
    """First attempts are not counted; the process that counted a retry may die before it wakes."""
    world.job_type("work", lambda job: None)
    request_id = planned(world, "work")
    [step] = world.store.steps(request_id)
    world.tables.put_step(replace(step, token="token", target=1, arrivals=arrivals))
    woken: list[str] = []
    monkeypatch.setattr(world.machine, "wake_execution", woken.append)
    world.runner.run(request_id, [key], LONG)
    assert woken == (["token"] if is_woken else [])


def test_all_that_arrives_in_a_batch_is_counted_in_one_write(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.job_type("work", lambda job: None)
    request_id = planned(world, "work", "work", "work")
    retries = [
        replace(a, key=replace(a.key, attempt=2)) for a in world.attempts(request_id) if a.key.job
    ]
    for retry in retries:
        world.tables.put_attempt(retry)
    [step] = world.store.steps(request_id)
    world.tables.put_step(replace(step, token="token", target=2))
    counts = counted(monkeypatch, world.store, "count_arrivals")
    woken: list[str] = []
    monkeypatch.setattr(world.machine, "wake_execution", woken.append)
    world.runner.run(request_id, [str(retry.key) for retry in retries], LONG)
    assert len(counts) == 1
    assert world.store.steps(request_id)[0].arrivals == 2
    assert woken == ["token"]


def test_arrivals_are_counted_though_the_store_does_not_answer_at_first(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.job_type("work", lambda job: None)
    request_id = planned(world, "work")
    [work] = world.attempts(request_id)
    retry = replace(work, key=replace(work.key, attempt=2))
    world.tables.put_attempt(retry)
    count_arrivals = world.store.count_arrivals
    answers = iter([Throttled("busy")])

    def throttled_once(*args: Any) -> Step | None:
        for error in answers:
            raise error
        return count_arrivals(*args)

    monkeypatch.setattr(world.store, "count_arrivals", throttled_once)
    world.runner.run(request_id, [str(retry.key)], LONG)
    assert world.store.steps(request_id)[0].arrivals == 1


def test_a_first_attempt_reads_no_step_when_it_completes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Map's join counts it: one read at the end of the batch is enough for all of them."""
    world.job_type("work", lambda job: None)
    request_id = planned(world, "work", "work")
    reads = counted(monkeypatch, world.store, "get_step")
    world.runner.run(request_id, keys_of(world, request_id), LONG)
    assert len(reads) == 1


def test_a_batch_continues_when_a_job_it_gave_up_ends_after_all(
    world: World, first_has_ended: Event
) -> None:
    def late(job: Job) -> None:
        world.clock.advance(31)
        assert job.stop.wait(WAIT_S)  # type: ignore[attr-defined]

    world.job_type("late", late, timeout_s=30)
    world.job_type("other", lambda job: {"waited": first_has_ended.wait(WAIT_S)}, timeout_s=90)
    request_id = planned(world, "late", "other")
    report = world.runner.run(request_id, keys_of(world, request_id), LONG)
    assert report.counts == {"retry": 1, "completed": 1}


def test_a_batch_waits_for_the_other_jobs_before_it_raises_a_stores_error(
    world: World, first_has_ended: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete = world.jobs.complete

    def fail_for_the_first(attempt: Any, *args: Any, **rest: Any) -> Any:
        if attempt.name == "first":
            raise OSError("a fault that no waiting mends")
        return complete(attempt, *args, **rest)

    monkeypatch.setattr(world.jobs, "complete", fail_for_the_first)
    world.job_type("first", lambda job: None)
    world.job_type("other", lambda job: {"waited": first_has_ended.wait(WAIT_S)})
    request_id = planned(world, "first", "other")
    with pytest.raises(OSError, match="no waiting"):
        world.runner.run(request_id, keys_of(world, request_id), LONG)
    assert [a.status for a in world.attempts(request_id)] == [
        AttemptStatus.INPROGRESS,
        AttemptStatus.COMPLETED,
    ]


def test_a_batch_does_not_wait_for_a_job_it_has_given_up(world: World) -> None:
    may_end = Event()
    ended: list[str] = []

    def stuck(job: Job) -> None:
        world.clock.advance(30)  # At its time exactly.
        may_end.wait(WAIT_S)
        ended.append(job.name)

    world.job_type("stuck", stuck, timeout_s=30)
    request_id = planned(world, "stuck")
    report = world.runner.run(request_id, [FIRST], LONG)
    assert (report.counts, ended) == ({"retry": 1}, [])
    may_end.set()


def test_a_batch_starts_nothing_once_one_of_its_jobs_has_failed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_by_one(calls: dict[Any, Callable[[], Any]], _: object) -> Any:
        for key, call in calls.items():
            future: Future[Any] = Future()
            future.set_result(call())
            yield {key: future}

    def fail(job: Job) -> None:
        raise Failure("no")

    monkeypatch.setattr(world.runner, "_side_by_side", one_by_one)
    claims = counted(monkeypatch, world.jobs, "claim")
    world.job_type("bad", fail)
    request_id = planned(world, "bad", "bad")
    report = world.runner.run(request_id, keys_of(world, request_id), LONG)
    assert report.counts == {"failure": 1, "untouched": 1}
    assert len(claims) == 1


def test_a_batch_with_only_its_margin_left_starts_nothing(world: World) -> None:
    world.job_type("work", lambda job: None)
    request_id = planned(world, "work")
    assert world.runner.run(request_id, [FIRST], MARGIN).counts == {"untouched": 1}


@pytest.mark.parametrize("is_long", [False, True])
def test_a_lease_is_renewed_when_a_third_of_it_is_over_and_not_before(
    world: World, monkeypatch: pytest.MonkeyPatch, is_long: bool
) -> None:
    renewed = Event()
    renew = world.jobs.renew

    def note(*args: Any) -> bool:
        renewed.set()
        return renew(*args)

    def work(job: Job) -> dict[str, bool]:
        if is_long:
            world.clock.advance(LEASE.total_seconds() / 3)
            renewed.wait(WAIT_S)
        return {"renewed": renewed.is_set()}

    monkeypatch.setattr(world.jobs, "renew", note)
    world.job_type("work", work)
    request_id = planned(world, "work")
    world.runner.run(request_id, [FIRST], LONG)
    [attempt] = world.attempts(request_id)
    assert world.payloads.unpack(attempt.output) == {"renewed": is_long}


@pytest.mark.parametrize(("share", "renewals"), [(0.0, 0), (0.33, 0), (1 / 3, 1)])
def test_a_batch_renews_no_lease_too_early(
    world: World, monkeypatch: pytest.MonkeyPatch, share: float, renewals: int
) -> None:
    has_begun, may_end = Event(), Event()

    def look_once(calls: dict[Any, Callable[[], Any]], _: object) -> Any:
        [(key, call)] = calls.items()
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(call)
            assert has_begun.wait(WAIT_S)
            world.clock.advance(share * LEASE.total_seconds())
            yield {}
            may_end.set()
            future.exception(WAIT_S)
            yield {key: future}

    def work(job: Job) -> dict[str, bool]:
        has_begun.set()
        return {"may_end": may_end.wait(WAIT_S)}

    monkeypatch.setattr(world.runner, "_side_by_side", look_once)
    renewed = counted(monkeypatch, world.jobs, "renew")
    world.job_type("work", work)
    request_id = planned(world, "work")
    assert world.runner.run(request_id, [FIRST], LONG).counts == {"completed": 1}
    assert len(renewed) == renewals


@pytest.mark.parametrize(("own", "seen"), [({}, {"n": 1}), ({"params": {"m": 2}}, {"m": 2})])
def test_a_job_without_params_of_its_own_gets_the_requests(
    world: World, own: dict[str, Any], seen: dict[str, int]
) -> None:
    given: list[Any] = []
    world.job_type("work", lambda job: given.append(job.params))
    world.request_type("some", [{"name": "j", "type": "work"} | own])
    world.submit("some", n=1)
    world.run()
    assert given == [seen]


def test_a_job_for_which_there_is_no_target_fails(world: World) -> None:
    world.job_type("work", lambda job: None)
    request_id = planned(world, "work")
    world.targets.clear()
    world.runner.run(request_id, [FIRST], LONG)
    error = world.request(request_id).error
    assert error is not None
    assert error.type == "UnknownTarget"


def test_a_job_that_completes_before_its_step_has_a_row_wakes_nothing(world: World) -> None:
    """A worker may find a job before its planner is through."""
    world.job_type("poll", target="worker")
    request_id = planned(world, "poll")
    del world.tables.steps[request_id]
    [attempt] = world.attempts(request_id)
    held = world.runner.holder.claim(world.request(request_id), attempt.key)
    assert isinstance(held, Attempt)
    assert world.record(held, Completed({})) is Result.COMPLETED
