"""Jobs that do not simply return: retries, failures, lost holders, cancels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shiftwork_core.callbacks import Failure, Job, Retry
from shiftwork_core.domain.requests.outcomes import Completed, Failed, JobError, Retryable
from shiftwork_core.domain.requests.records import Attempt, RequestError
from shiftwork_core.domain.requests.states import AttemptStatus, RequestStatus
from shiftwork_core.domain.times import to_iso
from shiftwork_core.errors import Conflict
from tests.world.world import World


def jobs(*names: str) -> list[dict[str, Any]]:
    return [{"name": name, "type": name} for name in names]


def test_a_retry_leaves_its_history_and_a_new_row_follows(world: World) -> None:
    def work(job: Job) -> dict[str, int]:
        if job.attempt == 1:
            raise Retry("lost a race")
        return {"attempt": job.attempt}

    world.job_type("work", work, retry={"delay_s": 8, "jitter": "none"})
    world.request_type("one", jobs("work"))
    request_id = world.submit("one")
    world.run()
    assert world.statuses(request_id) == ["work 1 retry", "work 2 new"]
    first, second = world.attempts(request_id)
    assert first.error and first.error.message == "lost a race"
    assert second.wake_at and (second.wake_at - world.clock()).total_seconds() == 8
    world.run_through()
    assert world.statuses(request_id) == ["work 1 retry", "work 2 completed"]
    assert world.view(request_id)["extras"] == {"attempt": 2}


def test_attempts_that_run_out_fail_the_job_and_its_request(world: World) -> None:
    def work(job: Job) -> None:
        raise Retry("still down")

    world.job_type("work", work, retry={"max_attempts": 2})
    world.request_type("one", jobs("work"))
    request_id = world.submit("one")
    world.run_through()
    assert world.statuses(request_id) == ["work 1 retry", "work 2 failure"]
    error = world.view(request_id)["error"]
    assert error["message"] == "still down (gave up after 2 attempts)"
    assert (error["step"], error["job"]) == (1, "work")
    execution = world.machine.executions[request_id]
    assert execution.status == "FAILED"
    assert execution.error == ("Retry", error["message"])


def test_attempts_after_a_retry_are_counted_from_it(world: World) -> None:
    def work(job: Job) -> None:
        raise Retry("still down")

    world.job_type("work", work, retry={"max_attempts": 2})
    world.request_type("one", jobs("work"))
    request_id = world.submit("one")
    world.run_through()
    assert world.view(request_id)["retried_at"] is None
    world.clock.advance(3600)
    retried_at = to_iso(world.clock())
    world.requests.retry(request_id)
    world.run_through()
    assert world.statuses(request_id)[-1] == "work 4 failure"
    view = world.view(request_id)
    assert view["error"]["message"] == "still down (gave up after 2 attempts since the retry)"
    assert view["retried_at"] == retried_at


def test_an_untyped_exception_follows_the_job_types_policy(world: World) -> None:
    def work(job: Job) -> None:
        if job.attempt < 3:
            raise KeyError("oops")

    world.job_type("work", work)
    world.request_type("one", jobs("work"))
    request_id = world.submit("one")
    world.run_through()
    assert [a.status for a in world.attempts(request_id)] == ["retry", "retry", "completed"]
    assert world.attempts(request_id)[0].error.type == "KeyError"  # type: ignore[union-attr]


def test_a_typed_failure_ends_the_request_cancels_siblings_and_plans_no_step(world: World) -> None:
    def fail(job: Job) -> None:
        raise Failure("never")

    world.job_type("fail", fail)
    world.job_type("poll", target="worker")
    world.request_type("two", jobs("fail", "poll"), jobs("poll"))
    request_id = world.submit("two")
    world.run()
    assert world.request(request_id).status is RequestStatus.FAILED
    assert world.statuses(request_id) == ["fail 1 failure", "poll 1 cancelled"]
    assert [s["status"] for s in world.view(request_id)["steps"]] == ["failed", "pending"]
    assert world.request(request_id).due_at is None


def test_an_unknown_callback_is_a_failure_that_says_so(world: World) -> None:
    world.job_type("nobody")
    world.request_type("one", jobs("nobody"))
    request_id = world.submit("one")
    world.run()
    error = world.view(request_id)["error"]
    assert error["type"] == "UnknownCallback"
    assert "'nobody'" in error["message"]


@pytest.mark.parametrize("result", [[1], "text", 7, {"x": {1, 2}}, {"x": float("nan")}])
def test_a_result_that_is_no_json_object_is_a_failure(world: World, result: Any) -> None:
    world.job_type("work", lambda job: result)
    world.request_type("one", jobs("work"))
    request_id = world.submit("one")
    world.run()
    assert world.view(request_id)["error"]["type"] == "InvalidResult"


def test_a_back_off_beyond_a_messages_delay_waits_in_the_table(world: World) -> None:
    def work(job: Job) -> None:
        if job.attempt == 1:
            raise Retry("tomorrow", delay_s=86_400)

    world.job_type("work", work)
    world.request_type("one", jobs("work"))
    request_id = world.submit("one")
    world.run()
    assert world.queue.messages == []
    world.clock.advance(86_400 - 600)
    world.sweep()
    [(at, _)] = world.queue.messages
    assert at == world.attempts(request_id)[1].wake_at
    world.sweep()
    assert len(world.queue.messages) == 1
    world.run_through()
    assert world.request(request_id).status is RequestStatus.COMPLETED


def test_a_lost_wake_up_is_made_good_by_the_sweep(world: World) -> None:
    def work(job: Job) -> None:
        if job.attempt == 1:
            raise Retry("again", delay_s=5)

    world.job_type("work", work)
    world.request_type("one", jobs("work"))
    request_id = world.submit("one")
    world.run()
    world.queue.messages.clear()
    world.clock.advance(5 + 61)
    world.sweep()
    assert world.request(request_id).status is RequestStatus.COMPLETED


def test_a_doubled_wake_up_runs_the_job_once(world: World) -> None:
    ran: list[int] = []

    def work(job: Job) -> None:
        ran.append(job.attempt)
        if job.attempt == 1:
            raise Retry("again", delay_s=5)

    world.job_type("work", work)
    world.request_type("one", jobs("work"))
    request_id = world.submit("one")
    world.run()
    world.queue.messages *= 2
    world.run_through()
    assert ran == [1, 2]
    assert world.request(request_id).status is RequestStatus.COMPLETED


def test_a_job_whose_holder_died_is_taken_over_when_its_lease_has_run_out(world: World) -> None:
    world.job_type("work", lambda job: {"attempt": job.attempt})
    world.request_type("one", jobs("work"))
    request_id = world.submit("one")
    world.advancer.advance(request_id, 1)
    [attempt] = world.attempts(request_id)
    held = world.runner.holder.claim(world.request(request_id), attempt.key)
    world.run()  # The machine finds it held, and waits.
    assert world.request(request_id).status is RequestStatus.INPROGRESS
    world.clock.advance(61)
    world.sweep()
    world.run_through()
    assert world.statuses(request_id) == ["work 1 retry", "work 2 completed"]
    assert world.attempts(request_id)[0].error.type == "LeaseExpired"  # type: ignore[union-attr]
    # The dead one rises: its outcome is too late.
    assert world.record(held, Completed({"attempt": 1})) == "discarded"  # type: ignore[arg-type]
    assert world.view(request_id)["extras"] == {"attempt": 2}


def test_an_execution_that_was_stopped_is_replaced_by_the_sweep(world: World) -> None:
    world.job_type("work", lambda job: None)
    world.request_type("two", jobs("work"), jobs("work"))
    request_id = world.submit("two")
    execution = world.machine.executions[request_id]
    execution.step()
    execution.status = "ABORTED"
    world.clock.advance(61)
    world.sweep()
    assert world.request(request_id).status is RequestStatus.COMPLETED


def test_a_request_whose_execution_never_started_is_started_by_the_sweep(world: World) -> None:
    world.job_type("work", lambda job: None)
    world.request_type("one", jobs("work"))
    request_id = world.submit("one")
    world.machine.executions.clear()
    world.sweep()
    assert world.request(request_id).status is RequestStatus.QUEUING  # Not overdue yet.
    world.clock.advance(61)
    world.sweep()
    assert world.request(request_id).status is RequestStatus.COMPLETED


def test_cancel_starts_nothing_more(world: World) -> None:
    world.job_type("poll", target="worker")
    world.request_type("two", jobs("poll"), jobs("poll"))
    request_id = world.submit("two")
    world.run()
    world.requests.cancel(request_id)
    [attempt] = world.attempts(request_id)
    assert attempt.status is AttemptStatus.CANCELLED
    claim = world.runner.holder.claim(world.request(request_id), attempt.key)
    assert claim == "settled"
    world.run()
    assert world.request(request_id).status is RequestStatus.CANCELLED
    assert world.machine.executions[request_id].status == "SUCCEEDED"
    assert world.request(request_id).due_at is None
    world.requests.cancel(request_id)  # Again: the same answer.


def test_cancel_before_the_first_step_leaves_nothing_to_run(world: World) -> None:
    world.job_type("work", lambda job: None)
    world.request_type("one", jobs("work"))
    request_id = world.submit("one")
    world.requests.cancel(request_id)
    world.run()
    assert world.attempts(request_id) == []
    assert world.request(request_id).due_at is None


@pytest.mark.parametrize("end", ["Completed", "Failed"])
def test_a_request_that_has_ended_cannot_be_cancelled(world: World, end: str) -> None:
    def work(job: Job) -> None:
        if end == "Failed":
            raise Failure("no")

    world.job_type("work", work)
    world.request_type("one", jobs("work"))
    request_id = world.submit("one")
    world.run()
    with pytest.raises(Conflict, match=end):
        world.requests.cancel(request_id)


def test_retry_of_a_failed_request_runs_only_what_failed_and_continues(world: World) -> None:
    is_fixed = False
    ran: list[str] = []

    def work(job: Job) -> dict[str, int]:
        ran.append(job.name)
        if job.name == "b" and not is_fixed:
            raise Failure("broken")
        return {job.name: job.attempt}

    world.job_type("work", work, batch_size=1)
    steps = [[{"name": n, "type": "work"} for n in names] for names in ("ab", "c")]
    world.request_type("two", *steps)
    request_id = world.submit("two")
    world.run()
    assert world.request(request_id).status is RequestStatus.FAILED
    with pytest.raises(Conflict):
        world.requests.cancel(request_id)
    is_fixed = True
    world.clock.advance(30 * 86_400)
    world.requests.retry(request_id)
    world.run()
    assert [*sorted(ran[:2]), *ran[2:]] == ["a", "b", "b", "c"]  # The first two side by side.
    view = world.view(request_id)
    assert view["status"] == "Completed"
    assert view["error"] is None
    assert view["extras"] == {"a": 1, "b": 2, "c": 1}


def test_a_retried_request_starts_its_jobs_attempts_over(world: World) -> None:
    def work(job: Job) -> None:
        raise Retry("down")

    world.job_type("work", work, retry={"max_attempts": 2})
    world.request_type("one", jobs("work"))
    request_id = world.submit("one")
    world.run_through()
    world.requests.retry(request_id)
    world.run_through()
    assert [a.status for a in world.attempts(request_id)] == ["retry", "failure"] * 2


def test_a_late_clean_up_of_a_failed_request_cancels_nothing_of_its_retry(world: World) -> None:
    world.job_type("poll", target="worker")
    world.request_type("one", jobs("poll", "poll"))
    request_id = world.submit("one")
    world.advancer.advance(request_id, 1)
    held = world.runner.holder.claim(world.request(request_id), world.attempts(request_id)[0].key)
    assert isinstance(held, Attempt)
    error = JobError("Failure", "never")
    failure = RequestError("Failure", "never")
    world.jobs.fail(held, error, world.clock(), request=failure, due_at=world.clock())
    failed = world.request(request_id)
    world.requests.retry(request_id)
    world.advancer.advance(request_id, 2)
    before = world.statuses(request_id)
    assert before == ["poll 1 failure", "poll 2 new", "poll 1 new"]
    world.canceller.cancel_new(failed)
    assert world.statuses(request_id) == before


def test_closing_a_step_late_overwrites_no_newer_end(world: World) -> None:
    def fail(job: Job) -> None:
        raise Failure("never")

    world.job_type("fail", fail)
    world.job_type("poll", target="worker")
    world.request_type("one", jobs("poll", "fail"))
    request_id = world.submit("one")
    world.advancer.advance(request_id, 1)
    assert world.runner.holder.claim(world.request(request_id), world.attempts(request_id)[0].key)
    close_step = world.store.close_step

    def close_late(*values: Any) -> bool:
        """The first clean-up sees an attempt that still runs; it is held up while that lapses."""
        patch.undo()
        world.clock.advance(61)
        world.cleaner.clean_up(world.request(request_id))
        return close_step(*values)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.store, "close_step", close_late)
        world.run()
    [step] = world.store.steps(request_id)
    assert (step.status, step.counts["failure"], step.counts["inprogress"]) == ("failed", 2, 0)


def test_an_execution_that_was_held_up_does_not_fail_a_request_retried_since(world: World) -> None:
    world.job_type("poll", target="worker")
    world.request_type("one", jobs("poll"))
    request_id = world.submit("one")
    world.advancer.advance(request_id, 1)
    finish = world.store.finish

    def finish_late(*values: Any, **named: Any) -> Any:
        """Another process fails the request, and its user retries it, before this one goes on."""
        patch.undo()
        world.advancer.record_failure(request_id, 1, "Boom", "first")
        world.requests.retry(request_id)
        return finish(*values, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.store, "finish", finish_late)
        world.advancer.record_failure(request_id, 1, "Boom", "late")
    assert world.request(request_id).status is RequestStatus.INPROGRESS
    assert world.request(request_id).due_at is not None


def test_a_lapsed_attempt_of_a_retried_request_that_failed_again_is_cleaned_up_at_once(
    world: World,
) -> None:
    def fail(job: Job) -> None:
        raise Failure("never")

    world.job_type("fail", fail)
    world.job_type("poll", target="worker")
    world.request_type("one", jobs("poll", "fail"))
    request_id = world.submit("one")
    world.advancer.advance(request_id, 1)
    assert world.runner.holder.claim(world.request(request_id), world.attempts(request_id)[0].key)
    world.run()
    world.requests.retry(request_id)
    world.run()
    world.clock.advance(61)
    world.cleaner.clean_up(world.request(request_id))
    # The last is a tombstone: a planner of the retry that was held up cannot insert it any more.
    assert world.statuses(request_id)[:2] == ["poll 1 failure", "poll 2 cancelled"]
    assert world.request(request_id).due_at is None


def test_a_retry_whose_next_attempt_is_not_visible_yet_keeps_its_request_due(
    world: World,
) -> None:
    world.job_type("poll", target="worker")
    world.request_type("one", jobs("poll", "poll"))
    request_id = world.submit("one")
    world.advancer.advance(request_id, 1)
    request = world.request(request_id)
    first, second = (world.runner.holder.claim(request, a.key) for a in world.attempts(request_id))
    assert isinstance(first, Attempt) and isinstance(second, Attempt)
    world.record(first, Retryable(JobError("Retry", "again")))
    of_step = world.jobs.of_step

    def read_before_the_transaction_is_through(*step: Any) -> Any:
        return [a for a in of_step(*step) if a.key.attempt == 1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.jobs, "of_step", read_before_the_transaction_is_through)
        world.record(second, Failed(JobError("Failure", "never")))
        world.cleaner.clean_up(world.request(request_id))
    assert world.request(request_id).due_at is not None
    world.clock.advance(61)
    world.sweep()
    assert world.statuses(request_id) == ["poll 1 retry", "poll 2 cancelled", "poll 1 failure"]
    assert world.request(request_id).due_at is None


def test_only_a_failed_request_can_be_retried(world: World) -> None:
    world.job_type("work", lambda job: None)
    world.request_type("one", jobs("work"))
    request_id = world.submit("one")
    world.run()
    with pytest.raises(Conflict, match="only a Failed request"):
        world.requests.retry(request_id)


def test_a_polled_job_waits_as_new_and_its_completion_wakes_the_machine(world: World) -> None:
    world.job_type("poll", target="worker")
    world.request_type("one", jobs("poll"))
    request_id = world.submit("one")
    world.run()
    world.clock.advance(30)
    world.sweep()
    assert world.statuses(request_id) == ["poll 1 new"]
    held = world.runner.holder.claim(world.request(request_id), world.attempts(request_id)[0].key)
    world.record(held, Completed({"done": True}))  # type: ignore[arg-type]
    world.run()
    assert world.view(request_id)["extras"] == {"done": True}
    assert world.machine.executions[request_id].transitions <= 4 + 4


def test_an_execution_that_loses_the_registration_leaves_the_others_token_and_is_woken(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.job_type("poll", target="worker")
    world.request_type("one", jobs("poll"))
    request_id = world.submit("one")
    world.run()
    waiting = world.store.get_step(request_id, 1)
    assert waiting is not None and waiting.token is not None
    woken: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(world.store, "get_step", lambda *_: replace(waiting, token=None))
        patch.setattr(world.machine, "wake_execution", woken.append)
        world.barrier.wait(request_id, 1, "late")
    assert woken == ["late"]
    assert world.store.get_step(request_id, 1) == waiting


def test_the_last_polled_completion_is_seen_though_its_execution_was_stopped(world: World) -> None:
    from shiftwork_core.domain.requests.outcomes import Completed

    world.job_type("poll", target="worker")
    world.request_type("one", jobs("poll"))
    request_id = world.submit("one")
    world.run()
    world.machine.executions[request_id].status = "ABORTED"
    held = world.runner.holder.claim(world.request(request_id), world.attempts(request_id)[0].key)
    world.record(held, Completed({"done": True}))  # type: ignore[arg-type]
    world.clock.advance(1)
    world.sweep()
    assert world.request(request_id).status is RequestStatus.COMPLETED


def test_a_wait_that_begins_too_late_leaves_the_due_time(world: World) -> None:
    from shiftwork_core.domain.requests.outcomes import Completed

    world.job_type("poll", target="worker")
    world.request_type("one", jobs("poll"))
    request_id = world.submit("one")
    world.advancer.advance(request_id, 1)
    world.machine.executions[request_id].status = "ABORTED"
    of_step = world.jobs.of_step

    def complete_after(*step: Any) -> Any:
        """The waiter reads the attempts, and then all are completed."""
        attempts = list(of_step(*step))
        held = world.runner.holder.claim(world.request(request_id), attempts[0].key)
        world.record(held, Completed({}))  # type: ignore[arg-type]
        return attempts

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.jobs, "of_step", complete_after)
        world.barrier.wait(request_id, 1, "token")
    world.clock.advance(61)
    world.sweep()
    assert world.request(request_id).status is RequestStatus.COMPLETED


def test_an_execution_that_cannot_go_on_fails_its_request_with_the_cause(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    world.job_type("work", lambda job: None)
    world.request_type("one", jobs("work"))
    request_id = world.submit("one")
    monkeypatch.setattr(world.advancer, "advance", broken)
    world.run()
    assert world.view(request_id)["error"]["message"] == "a bug"
    assert world.machine.executions[request_id].error == ("RuntimeError", "a bug")


def test_a_retry_of_what_has_not_failed_writes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.job_type("work", lambda job: {})
    world.request_type("some", [{"name": "j", "type": "work"}])
    request_id = world.submit("some")
    world.run()
    monkeypatch.setattr(world.store, "reopen", lambda *_: pytest.fail("it is written"))
    with pytest.raises(Conflict):
        world.requests.retry(request_id)
