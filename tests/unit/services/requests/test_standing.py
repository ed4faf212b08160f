"""A wide step is shown and explained from its tally and few of its rows, a narrow one from all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from shiftwork_core.callbacks import Failure, Job
from shiftwork_core.domain.requests import step_state
from shiftwork_core.domain.requests.records import Attempt, AttemptKey
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.errors import Unavailable
from shiftwork_core.services.polling.reports import Report, ReportStatus
from shiftwork_core.services.polling.tasks import Poller
from shiftwork_core.services.requests import standing
from shiftwork_core.services.requests.holding import Left
from tests.world.world import LEASE, World

EACH = {"name": "j", "type": "work", "for_each": "params.items"}
NONE = dict.fromkeys(("new", "inprogress", "completed", "failure", "retry", "cancelled"), 0)


@pytest.fixture(autouse=True)
def _six_jobs_are_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_state, "MOST_JOBS_READ", 5)


def work(job: Job) -> dict[str, int]:
    """Fail the jobs whose number is bad."""
    if job.item in job.params.get("bad", []):
        raise Failure("bad")
    return {f"job {job.item}": job.item}


def submit(world: World, count: int, *, bad: list[int] | None = None, **of_each: Any) -> str:
    world.job_type("work", work, batch_size=2, retry={"max_attempts": 2})
    world.request_type("rows", [EACH], **of_each)
    return world.submit("rows", items=list(range(count)), bad=bad or [])


def run_batches(world: World, request_id: str, batches: int) -> None:
    """Plan the step and run its first batches, as a Map does."""
    decision = world.advancer.advance(request_id, 1)
    for batch in decision.batches[:batches]:
        world.runner.run(request_id, batch["jobs"], LEASE)


def polled(world: World, count: int) -> tuple[str, list[Attempt]]:
    """Return a request that waits for polled jobs, and three of them, claimed."""
    world.job_type("work", target="worker", retry={"max_attempts": 2})
    world.request_type("rows", [EACH])
    request_id = world.submit("rows", items=list(range(count)))
    world.run()
    return request_id, [task.attempt for task in world.tasks.poll("work", Poller("w1"), 3)]


def shown(world: World, request_id: str) -> dict[str, int]:
    counts: dict[str, int] = world.view(request_id)["steps"][0]["jobs"]
    return counts


def forbid(world: World, monkeypatch: pytest.MonkeyPatch, store: object, method: str) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError(f"{method} was called")

    monkeypatch.setattr(store, method, refuse)


def calls_noted(
    world: World, monkeypatch: pytest.MonkeyPatch, *methods: str
) -> list[tuple[str, tuple[Any, ...]]]:
    """Return a list that grows with each call of these methods of the requests' store."""
    calls: list[tuple[str, tuple[Any, ...]]] = []

    def noting(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*given: Any) -> Any:
            calls.append((name, given))
            return method(*given)

        return noted

    for name in methods:
        monkeypatch.setattr(world.store, name, noting(name, getattr(world.store, name)))
    return calls


def rows_read(world: World, monkeypatch: pytest.MonkeyPatch) -> list[Attempt]:
    """Return a list that grows with each attempt that is read of a step."""
    read: list[Attempt] = []
    of_step = world.jobs.of_step

    def noted(*given: Any) -> Iterator[Attempt]:
        for attempt in of_step(*given):
            read.append(attempt)
            yield attempt

    monkeypatch.setattr(world.jobs, "of_step", noted)
    return read


# -- shown ---------------------------------------------------------------------------------------


def test_a_wide_running_step_is_shown_without_reading_a_row_of_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = submit(world, 9)
    run_batches(world, request_id, 2)
    forbid(world, monkeypatch, world.jobs, "of_step")
    assert shown(world, request_id) == NONE | {"completed": 4, "new": 5}


def test_a_narrow_running_step_is_counted_row_by_row_and_costs_no_write_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid(world, monkeypatch, world.store, "add_tally")
    forbid(world, monkeypatch, world.store, "tally")
    request_id = submit(world, 5)
    run_batches(world, request_id, 1)
    assert world.runner.holder.claim(world.request(request_id), world.attempts(request_id)[2].key)
    assert shown(world, request_id) == NONE | {"completed": 2, "inprogress": 1, "new": 2}


def test_a_batch_of_a_wide_step_adds_to_the_tally_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = calls_noted(world, monkeypatch, "add_tally")
    request_id = submit(world, 6, bad=[1], on_failure="finish")
    run_batches(world, request_id, 2)
    added = [counts for _, (_, _, counts, _) in calls]
    assert added == [{"completed": 1, "failure": 1}, {"completed": 2}]
    # The same batch again finds its jobs done.
    world.runner.run(request_id, [str(a.key) for a in world.attempts(request_id)[:2]], LEASE)
    assert len(calls) == 2


def test_a_settled_step_has_exact_counts_whatever_its_tally_says(world: World) -> None:
    request_id = submit(world, 6)
    run_batches(world, request_id, 1)
    first = world.attempts(request_id)[0].key
    world.store.add_tally(request_id, first, {"completed": 3, "retry": 9}, world.clock())
    world.run()
    assert world.request(request_id).status is RequestStatus.COMPLETED
    assert shown(world, request_id) == NONE | {"completed": 6}


def test_what_workers_report_on_a_wide_step_is_tallied(world: World) -> None:
    request_id, [first, second, third] = polled(world, 6)
    for attempt, status in ((first, ReportStatus.COMPLETED), (second, ReportStatus.FAILED)):
        world.tasks.report(Report(attempt.attempt_id, status, {}, "no", "w1"))
    assert shown(world, request_id) == NONE | {"completed": 1, "retry": 1, "new": 5}
    world.barrier.report(third, world.recorder.expire(third))
    assert shown(world, request_id) == NONE | {"completed": 1, "retry": 2, "new": 5}
    # A report that comes again is counted once.
    world.tasks.report(Report(first.attempt_id, ReportStatus.COMPLETED, {}, "", "w1"))
    assert shown(world, request_id)["completed"] == 1


def test_what_a_worker_reports_in_one_call_is_tallied_at_once_after_it_has_arrived(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id, attempts = polled(world, 6)
    calls = calls_noted(world, monkeypatch, "count_arrivals", "add_tally")
    reports = [Report(one.attempt_id, ReportStatus.COMPLETED, {}, "", "w1") for one in attempts]
    world.tasks.exchange("w1", reports, [], None, exchange_id="e1")
    assert [name for name, _ in calls] == ["count_arrivals", "add_tally"]
    assert shown(world, request_id) == NONE | {"completed": 3, "new": 3}


def test_leases_that_the_planner_finds_run_out_are_tallied_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = submit(world, 6)
    run_batches(world, request_id, 0)
    request, attempts = world.request(request_id), world.attempts(request_id)
    for attempt in attempts[:2]:
        assert not isinstance(world.runner.holder.claim(request, attempt.key), Left)
    world.clock.advance(2 * LEASE.total_seconds())
    calls = calls_noted(world, monkeypatch, "add_tally")
    world.advancer.advance(request_id, 1)
    assert [counts for _, (_, _, counts, _) in calls] == [{"retry": 2}]


@pytest.mark.parametrize("error", [Unavailable("no answer"), KeyError("a bug")])
def test_outcomes_are_recorded_though_they_cannot_be_tallied(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    def unavailable(*_: object) -> None:
        raise error

    monkeypatch.setattr(world.store, "add_tally", unavailable)
    request_id = submit(world, 6)
    run_batches(world, request_id, 1)
    assert shown(world, request_id) == NONE | {"new": 6}
    assert "outcomes not tallied" in caplog.messages
    world.run()
    assert shown(world, request_id) == NONE | {"completed": 6}


def test_no_more_jobs_are_shown_than_there_are(world: World) -> None:
    request_id = submit(world, 6)
    run_batches(world, request_id, 1)
    world.store.add_tally(request_id, AttemptKey(1, 0, 1), {"completed": 9}, world.clock())
    assert shown(world, request_id) == NONE | {"completed": 6}


def test_jobs_of_a_wide_step_that_a_user_has_retried_are_new_again(world: World) -> None:
    request_id = submit(world, 6, bad=[0, 1, 2], on_failure="finish")
    world.run()
    assert world.request(request_id).status is RequestStatus.FAILED
    assert shown(world, request_id) == NONE | {"completed": 3, "failure": 3}
    world.requests.retry(request_id)
    world.advancer.advance(request_id, 2)
    assert shown(world, request_id) == NONE | {"completed": 3, "failure": 3, "new": 3}
    world.run()
    assert shown(world, request_id) == NONE | {"completed": 3, "failure": 6}


@pytest.mark.parametrize("count", [5, 6])
def test_a_cancelled_step_has_exact_counts_once_it_is_closed(world: World, count: int) -> None:
    request_id = submit(world, count)
    run_batches(world, request_id, 1)
    world.requests.cancel(request_id)
    world.clock.advance(LEASE.total_seconds() + 1)
    world.sweep()
    assert shown(world, request_id) == NONE | {"completed": 2, "cancelled": count - 2}


@pytest.mark.parametrize(("count", "merged"), [(5, {"job 0": 0, "job 1": 1}), (6, {})])
def test_results_of_a_step_in_which_a_request_has_ended_are_merged_unless_it_is_wide(
    world: World, count: int, merged: dict[str, int]
) -> None:
    request_id = submit(world, count)
    run_batches(world, request_id, 1)
    world.requests.cancel(request_id)
    assert world.view(request_id)["extras"] == merged


def test_jobs_that_were_tried_very_often_are_counted_up_to_a_bound(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing, "MOST_ROWS_READ", 3)
    request_id = submit(world, 4)
    run_batches(world, request_id, 1)
    read = rows_read(world, monkeypatch)
    assert shown(world, request_id) == NONE | {"completed": 2, "new": 2}
    assert len(read) == 4
    world.requests.cancel(request_id)
    assert world.view(request_id)["extras"] == {}


# -- explained -----------------------------------------------------------------------------------


def test_a_wide_step_is_explained_by_its_first_blockers(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = submit(world, 60)
    run_batches(world, request_id, 3)
    read = rows_read(world, monkeypatch)
    explanation = world.requests.explain(request_id)
    assert explanation.summary == "Step 1 (s1) has completed 6 of 60 jobs and waits for the others."
    assert [b.attempt.name for b in explanation.blockers] == [f"j[{n}]" for n in range(6, 26)]
    assert explanation.counts == NONE | {"completed": 6, "new": 54}
    assert len(read) == 27  # It sees that the last blocker is the latest attempt of its job.


def test_an_explanation_says_that_it_has_not_read_all_of_a_wide_step(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing, "MOST_ROWS_READ", 4)
    request_id = submit(world, 9)
    run_batches(world, request_id, 2)
    read = rows_read(world, monkeypatch)
    explanation = world.requests.explain(request_id)
    assert explanation.blockers == []
    assert explanation.summary.startswith("Step 1 (s1) has completed 4 of 9 jobs")
    assert explanation.summary.endswith("attempts of the step were looked at.")
    assert len(read) == 4


def test_failed_jobs_of_a_wide_step_that_finishes_are_counted_by_its_tally(world: World) -> None:
    request_id = submit(world, 8, bad=[0, 3], on_failure="finish")
    run_batches(world, request_id, 2)
    explanation = world.requests.explain(request_id)
    assert explanation.summary == (
        "Step 1 (s1) has completed 2 of 8 jobs. 2 have failed: the request fails when "
        "the other 4 have run to the end (on_failure: finish)."
    )
    assert explanation.next_command == f"shiftwork failures {request_id}"


def test_a_wide_step_without_a_tally_is_all_new(world: World) -> None:
    request_id = submit(world, 6)
    world.advancer.advance(request_id, 1, remaining=timedelta(0))
    assert shown(world, request_id) == NONE | {"new": 6}
