"""A step with `on_failure: finish` runs all its jobs to their end before its request fails."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shiftwork_core.adapters.memory import MemoryJobStore
from shiftwork_core.callbacks import Failure, Job, Retry
from shiftwork_core.domain.requests.outcomes import Failed, JobError
from shiftwork_core.domain.requests.records import Attempt, AttemptKey, Stall
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.services.polling.reports import Report, Reported, ReportStatus
from shiftwork_core.services.polling.tasks import Poller
from shiftwork_core.services.requests.advance import NO_TIME
from tests.world.world import LEASE, World

NEVER = Failed(JobError("Rejected", "never"))
WORKER = Poller("w1")


def rows(job: Job) -> dict[str, str]:
    """Fail the rows whose number is bad, and the flaky one until its third attempt."""
    number = int(job.name[4:-1])
    if number in job.params.get("bad", []):
        raise Failure(f"row {number} is wrong")
    if number in job.params.get("flaky", []) and job.attempt < 3:
        raise Retry("not yet")
    return {job.name: "loaded"}


def submit(world: World, count: int = 20, **params: Any) -> str:
    """Submit a request that loads rows, four in a batch, and then reports."""
    world.job_type("load", rows, batch_size=4, retry={"jitter": "none", "delay_s": 5})
    world.job_type("report", lambda job: None)
    each = {"name": "row", "type": "load", "for_each": "params.rows"}
    report = {"name": "report", "type": "report"}
    world.request_type("import", [each], [report], on_failure="finish")
    return world.submit("import", rows=list(range(count)), **params)


def polled(world: World, *, on_failure: str = "finish", **body: Any) -> tuple[str, list[Attempt]]:
    """Return a request that waits for three polled jobs, and these, claimed."""
    world.job_type("poll", target="worker", **({"retry": {"max_attempts": 1}} | body))
    each = {"name": "j", "type": "poll", "for_each": "params.items"}
    world.request_type("some", [each], on_failure=on_failure)
    request_id = world.submit("some", items=[1, 2, 3])
    world.run()
    return request_id, [task.attempt for task in world.tasks.poll("poll", WORKER, 3)]


def report(world: World, attempt: Attempt, status: ReportStatus) -> None:
    world.tasks.report(Report(attempt.attempt_id, status, {}, "no", WORKER.worker_id))
    world.run()


def latest(world: World, request_id: str) -> list[str]:
    found = {a.key.job: a.status.value for a in world.attempts(request_id) if a.key.step == 1}
    return list(found.values())


def test_one_round_shows_every_failure_and_loses_no_retry(world: World) -> None:
    request_id = submit(world, bad=[2, 3, 17], flaky=[5])
    world.run_through()
    request = world.request(request_id)
    assert request.status is RequestStatus.FAILED and request.due_at is None
    statuses = latest(world, request_id)
    assert [n for n, status in enumerate(statuses) if status == "failure"] == [2, 3, 17]
    assert statuses.count("completed") == 17
    assert request.error is not None
    assert request.error.message == "row 2 is wrong (and 2 more jobs failed)"
    assert request.error.job == "row[2]"
    # What the others returned is not lost, and no job of the next step exists.
    assert len(world.view(request_id)["extras"]) == 17
    assert all(a.key.step == 1 for a in world.attempts(request_id))
    assert world.machine.executions[request_id].status == "FAILED"


def test_the_error_of_a_request_is_that_of_the_job_that_failed_first(world: World) -> None:
    request_id, attempts = polled(world)
    for attempt in reversed(attempts):
        world.clock.advance(1)
        report(world, attempt, ReportStatus.TERMINAL)
    error = world.request(request_id).error
    assert error is not None
    assert (error.job, error.message) == ("j[2]", "no (and 2 more jobs failed)")


def test_the_error_of_the_only_job_that_failed_speaks_of_no_others(world: World) -> None:
    request_id = submit(world, bad=[2])
    world.run_through()
    error = world.request(request_id).error
    assert error is not None
    assert error.message == "row 2 is wrong"


def test_a_step_that_stops_fails_its_request_at_the_first_failure(world: World) -> None:
    world.job_type("load", rows, batch_size=1)
    each = {"name": "row", "type": "load", "for_each": "params.rows"}
    world.request_type("import", [each], on_failure="stop")
    world.remaining = NO_TIME  # A Map runs the batches, here one after the other.
    request_id = world.submit("import", rows=[0, 1, 2], bad=[0])
    world.run_through()
    assert latest(world, request_id) == ["failure", "cancelled", "cancelled"]


def test_a_retry_of_the_request_runs_all_failed_jobs_in_one_round(world: World) -> None:
    request_id = submit(world, bad=[2, 3, 17])
    world.run_through()
    world.job_type("load", rows, batch_size=4)
    before = len(world.attempts(request_id))
    world.requests.retry(request_id)
    world.run_through()
    assert [a.name for a in world.attempts(request_id) if a.key.attempt == 2] == [
        "row[2]",
        "row[3]",
        "row[17]",
    ]
    assert len(world.attempts(request_id)) == before + 3
    assert world.request(request_id).status is RequestStatus.FAILED


def test_a_retried_request_completes_once_all_its_failed_jobs_do(world: World) -> None:
    is_mended: list[bool] = []

    def work(job: Job) -> None:
        if not is_mended:
            raise Failure("not yet mended")

    world.job_type("work", work)
    jobs = [{"name": f"j{n}", "type": "work"} for n in range(3)]
    world.request_type("some", jobs, on_failure="finish")
    request_id = world.submit("some")
    world.run()
    is_mended.append(True)
    world.requests.retry(request_id)
    world.run()
    assert world.request(request_id).status is RequestStatus.COMPLETED
    assert [s["status"] for s in world.view(request_id)["steps"]] == ["completed"]


def test_a_failure_of_a_batch_keeps_none_of_its_jobs_from_running(world: World) -> None:
    """A batch that runs its jobs one after the other fails by the first."""
    world.runner._side_by_side = lambda calls, _: ({key: done(call)} for key, call in calls.items())
    request_id = submit(world, 4, bad=[0])
    world.run_through()
    assert latest(world, request_id) == ["failure", "completed", "completed", "completed"]


def done(call: Any) -> Any:
    from concurrent.futures import Future

    future: Future[Any] = Future()
    future.set_result(call())
    return future


def test_a_cancel_still_stops_at_once(world: World) -> None:
    request_id, (first, second, _) = polled(world)
    report(world, first, ReportStatus.TERMINAL)
    world.requests.cancel(request_id)
    world.run()
    assert world.request(request_id).status is RequestStatus.CANCELLED
    report(world, second, ReportStatus.FAILED)
    world.clock.advance(3 * LEASE.total_seconds())
    world.sweep()
    assert latest(world, request_id) == ["failure", "failure", "failure"]
    assert world.request(request_id).status is RequestStatus.CANCELLED


# -- what arrives, and wakes the execution ---------------------------------------------------------


@pytest.mark.parametrize("status", [ReportStatus.FAILED, ReportStatus.TERMINAL])
def test_a_workers_failure_arrives_at_the_barrier_as_a_completion_does(
    world: World, status: ReportStatus
) -> None:
    request_id, (first, second, third) = polled(world)
    report(world, first, status)
    assert world.request(request_id).status is RequestStatus.INPROGRESS
    report(world, second, ReportStatus.COMPLETED)
    report(world, third, status)
    # Without a sweep: the last one to arrive woke the execution.
    assert world.request(request_id).status is RequestStatus.FAILED
    assert latest(world, request_id) == ["failure", "completed", "failure"]


def test_a_repeated_report_of_a_failure_counts_an_arrival_left_uncounted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id, (first, *others) = polled(world)
    for other in others:
        report(world, other, ReportStatus.COMPLETED)
    with monkeypatch.context() as patch:
        patch.setattr(world.barrier, "arrive", lambda *_: None)
        report(world, first, ReportStatus.TERMINAL)
    assert world.request(request_id).status is RequestStatus.INPROGRESS
    report(world, first, ReportStatus.TERMINAL)
    assert world.request(request_id).status is RequestStatus.FAILED


def test_a_repeated_result_that_was_refused_counts_an_arrival_left_uncounted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id, (first, *others) = polled(world)
    for other in others:
        report(world, other, ReportStatus.COMPLETED)
    worker_id = WORKER.worker_id
    refused = Report(
        first.attempt_id, ReportStatus.COMPLETED, {"loss": float("nan")}, worker_id=worker_id
    )
    with monkeypatch.context() as patch:
        patch.setattr(world.barrier, "arrive", lambda *_: None)
        assert world.tasks.report(refused) is Reported.RECORDED
    assert latest(world, request_id) == ["failure", "completed", "completed"]
    assert world.request(request_id).status is RequestStatus.INPROGRESS
    assert world.tasks.report(refused) is Reported.RECORDED
    world.run()
    assert world.request(request_id).status is RequestStatus.FAILED
    # Another result is another report.
    assert world.tasks.report(replace(refused, output={"loss": 1})) is Reported.LATE


def test_a_failed_retry_is_counted_and_wakes_the_execution(world: World) -> None:
    def work(job: Job) -> None:
        raise Retry("again", delay_s=1)

    world.job_type("work", work, retry={"max_attempts": 2})
    jobs = [{"name": f"j{n}", "type": "work"} for n in range(2)]
    world.request_type("some", jobs, on_failure="finish")
    request_id = world.submit("some")
    world.run_through()
    assert latest(world, request_id) == ["failure", "failure"]
    assert world.request(request_id).status is RequestStatus.FAILED
    assert world.store.steps(request_id)[0].arrivals == 2


def test_the_last_attempt_of_a_dead_worker_arrives_when_it_is_declared_lost(world: World) -> None:
    request_id, attempts = polled(world, worker={"response_timeout_s": 20})
    world.workers.polling(WORKER.worker_id, {"poll": 3}, world.clock())
    world.clock.advance(3600)
    world.reaper.check(WORKER.worker_id)
    world.run()
    assert latest(world, request_id) == ["failure"] * len(attempts)
    assert world.request(request_id).status is RequestStatus.FAILED


def test_lapsed_last_attempts_arrive_while_others_are_out(world: World) -> None:
    """A request that only waits for workers keeps its execution, though some of them are lost."""
    request_id, (first, *others) = polled(world, worker={"response_timeout_s": 60})
    world.clock.advance(50)
    held = timedelta(minutes=10)
    for other in others:
        assert world.jobs.renew(other, world.clock() + held)
    world.clock.advance(20)
    assert world.barrier.keeps_waiting(world.request(request_id))
    assert world.jobs.get(request_id, first.key).status.value == "failure"  # type: ignore[union-attr]
    for other in others:
        report(world, other, ReportStatus.COMPLETED)
    assert world.request(request_id).status is RequestStatus.FAILED
    assert list(world.machine.executions) == [request_id]


def test_a_slot_found_lapsed_lets_its_job_arrive(world: World) -> None:
    request_id, _ = polled(world, worker={"response_timeout_s": 20, "concurrency_limit": 3})
    world.clock.advance(30)
    world.submit("some", items=[1])
    world.run()
    assert len(world.tasks.poll("poll", Poller("w2"), 1)) == 1
    world.run()
    assert world.request(request_id).status is RequestStatus.FAILED


def test_a_timeout_that_grants_no_further_attempt_lets_the_others_finish(world: World) -> None:
    request_id, attempts = polled(
        world,
        retry={"max_attempts": 5},
        timeout_s=20,
        worker={"response_timeout_s": 20, "timeout_policy": "TIME_OUT_WF"},
    )
    first, *others = attempts
    world.clock.advance(40)
    world.recorder.expire(first)
    assert world.request(request_id).status is RequestStatus.INPROGRESS
    assert world.jobs.get(request_id, first.key).status.value == "failure"  # type: ignore[union-attr]
    assert len(others) == 2


def test_a_failure_that_no_job_caused_ends_the_request_at_once(world: World) -> None:
    request_id, _ = polled(world)
    world.advancer.record_failure(request_id, 1, "States.Runtime", "the machine cannot go on")
    assert world.request(request_id).status is RequestStatus.FAILED


def test_an_old_failure_does_not_fail_a_request_that_was_retried_meanwhile(world: World) -> None:
    request_id, (first, *others) = polled(world)
    world.advancer.record_failure(request_id, 1, "States.Runtime", "the machine cannot go on")
    world.requests.retry(request_id)
    world.run()
    report(world, first, ReportStatus.TERMINAL)
    assert world.request(request_id).status is RequestStatus.INPROGRESS
    for other in others:
        report(world, other, ReportStatus.COMPLETED)
    again = world.jobs.get(request_id, AttemptKey(1, first.key.job, 2))
    assert again is not None and again.generation == 1 and again.is_waiting


def test_a_failure_sent_twice_is_recorded_once(world: World) -> None:
    request_id, (first, *_) = polled(world)
    assert world.record(first, NEVER) is world.record(first, NEVER)
    assert world.request(request_id).status is RequestStatus.INPROGRESS


# -- explained -------------------------------------------------------------------------------------


def test_a_request_that_is_bound_to_fail_is_explained_as_such(world: World) -> None:
    request_id, (first, second, third) = polled(world)
    report(world, first, ReportStatus.TERMINAL)
    explanation = world.requests.explain(request_id)
    assert explanation.summary == (
        "Step 1 (s1) has completed 0 of 3 jobs. 1 has failed: "
        "the request fails when the other 2 have run to the end (on_failure: finish)."
    )
    assert explanation.next_command == f"shiftwork failures {request_id}"
    assert explanation.blockers[0].reason == "TaskFailed: no"
    report(world, second, ReportStatus.TERMINAL)
    assert "2 have failed: the request fails when the other job has run to the end" in (
        world.requests.explain(request_id).summary
    )
    MemoryJobStore(world.tables).fail(third, JobError("x", ""), world.clock(), request=None)
    assert "3 have failed: the request is about to fail." in (
        world.requests.explain(request_id).summary
    )


def test_a_request_that_is_bound_to_fail_and_stalls_is_explained_by_both(world: World) -> None:
    request_id, (first, *_) = polled(world)
    report(world, first, ReportStatus.TERMINAL)
    world.store.note_stall(request_id, 1, Stall(3, "", world.clock(), JobError("Killed", "why")))
    summary = world.requests.explain(request_id).summary
    assert "in 3 rounds its batches died before they claimed a job, the last of Killed" in summary
    assert summary.endswith(
        " 1 has failed: the request fails when the other 2 have run to the end "
        "(on_failure: finish)."
    )


def test_a_retried_request_is_not_explained_by_its_old_failures(world: World) -> None:
    request_id, attempts = polled(world)
    for attempt in attempts:
        report(world, attempt, ReportStatus.TERMINAL)
    world.requests.retry(request_id)
    assert "failed" not in world.requests.explain(request_id).summary
