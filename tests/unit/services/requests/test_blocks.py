"""Jobs that share a row: claimed, done side by side, retried, failed and shown each by itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from shiftwork_core.callbacks import Failure, Job, Retry
from shiftwork_core.domain.requests import step_state
from shiftwork_core.domain.requests.records import Attempt, batch_name
from shiftwork_core.domain.requests.states import AttemptStatus, RequestStatus
from shiftwork_core.errors import Invalid
from shiftwork_core.services.requests.holding import Left
from tests.world.world import LEASE, World

EACH = {"name": "load", "type": "rows.load", "for_each": "params.items", "block": 10}
NONE = dict.fromkeys(("new", "inprogress", "completed", "failure", "retry", "cancelled"), 0)


def submit(
    world: World, count: int, function: Any, *, entry: dict[str, Any] | None = None, **of: Any
) -> str:
    step = {key: of.pop(key) for key in ("on_failure",) if key in of}
    world.job_type("rows.load", function, **{"retry": {"max_attempts": 3, "jitter": "none"}} | of)
    world.request_type("load", [EACH | (entry or {})], **step)
    return world.submit("load", items=list(range(count)))


def jobs(world: World, request_id: str, **wanted: Any) -> list[Attempt]:
    """Return all attempts at jobs, read page by page."""
    found: list[Attempt] = []
    token = None
    while True:
        page = world.requests.attempts(
            request_id, None, wanted.get("status"), wanted.get("limit", 7), token
        )
        found += [details.attempt for details in page.items]
        token = page.next_token
        if token is None:
            return found


def counts(world: World, request_id: str, step: int = 1) -> dict[str, int]:
    shown: dict[str, int] = world.view(request_id)["steps"][step - 1]["jobs"]
    return shown


def ran(job: Job) -> dict[str, Any]:
    return {f"job {job.item}": job.attempt_id}


# -- what completes ------------------------------------------------------------------------------


def test_each_job_of_a_block_runs_once_and_its_result_is_merged(world: World) -> None:
    request_id = submit(world, 23, ran)
    world.run_through()
    request = world.request(request_id)
    assert request.status is RequestStatus.COMPLETED
    extras = world.view(request_id)["extras"]
    assert extras == {f"job {n}": f"{request_id}.1.{n}.1" for n in range(23)}
    assert [str(a.key) for a in world.attempts(request_id)] == [
        "0001#000000#0001",
        "0001#000001#0001",
        "0001#000002#0001",
    ]
    assert counts(world, request_id) == NONE | {"completed": 23}


def test_people_see_jobs_and_not_blocks(world: World) -> None:
    request_id = submit(world, 23, ran)
    world.run_through()
    shown = jobs(world, request_id)
    assert [a.attempt_id for a in shown] == [f"{request_id}.1.{n}.1" for n in range(23)]
    assert [a.name for a in shown] == [f"load[{n}]" for n in range(23)]
    assert {a.status for a in shown} == {AttemptStatus.COMPLETED}
    page = world.requests.attempts(request_id, None, None, 50, None)
    assert [(d.item, d.output) for d in page.items] == [
        (n, {f"job {n}": f"{request_id}.1.{n}.1"}) for n in range(23)
    ]
    assert world.requests.attempt(f"{request_id}.1.17.1").name == "load[17]"


def test_jobs_with_rows_of_their_own_keep_their_numbers_beside_blocks(world: World) -> None:
    world.job_type("rows.load", ran)
    single = {"name": "single", "type": "rows.load"}
    few = {"name": "few", "type": "rows.load", "for_each": "params.items[:3]"}
    world.request_type("load", [EACH, single, few, EACH | {"name": "more", "block": 4}])
    request_id = world.submit("load", items=list(range(12)))
    world.run_through()
    shown = {a.attempt_id.removeprefix(f"{request_id}.1."): a.name for a in jobs(world, request_id)}
    assert shown == {
        "0.1": "single",
        **{f"{1 + n}.1": f"few[{n}]" for n in range(3)},
        **{f"{4 + n}.1": f"load[{n}]" for n in range(12)},
        **{f"{16 + n}.1": f"more[{n}]" for n in range(12)},
    }
    for attempt in jobs(world, request_id):
        assert world.requests.attempt(attempt.attempt_id) == attempt


def test_a_block_may_be_empty_or_have_one_job(world: World) -> None:
    for count in (0, 1):
        request_id = submit(world, count, ran)
        world.run()
        assert world.request(request_id).status is RequestStatus.COMPLETED
        assert len(jobs(world, request_id)) == count


def test_each_job_has_its_own_params_if_its_entry_says_how(world: World) -> None:
    def of(job: Job) -> dict[str, Any]:
        return {f"job {job.item}": job.params}

    request_id = submit(world, 3, of, entry={"params": {"n": "{item}", "text": "no. {item}"}})
    world.run_through()
    extras = world.view(request_id)["extras"]
    assert extras["job 2"] == {"n": 2, "text": "no. 2"}


def test_a_job_whose_params_cannot_be_made_fails_by_itself(world: World) -> None:
    request_id = submit(
        world, 3, ran, entry={"params": {"text": "no. {item.x}"}}, on_failure="finish"
    )
    world.run_through()
    errors = {a.error.type for a in jobs(world, request_id) if a.error is not None}
    assert errors == {"ParamsFault"}


# -- what is retried -----------------------------------------------------------------------------


def test_the_next_attempt_does_only_the_jobs_that_want_it(world: World) -> None:
    runs: list[str] = []

    def some(job: Job) -> dict[str, Any]:
        runs.append(job.attempt_id)
        if job.item in (3, 4, 17) and job.attempt < (3 if job.item == 4 else 2):
            raise Retry("again", delay_s=5)
        return {f"job {job.item}": job.attempt}

    request_id = submit(world, 20, some)
    world.run_through()
    assert world.request(request_id).status is RequestStatus.COMPLETED
    again = [run.removeprefix(f"{request_id}.1.") for run in runs if not run.endswith(".1")]
    assert sorted(again) == ["17.2", "3.2", "4.2", "4.3"]
    extras = world.view(request_id)["extras"]
    assert extras == {f"job {n}": {3: 2, 4: 3, 17: 2}.get(n, 1) for n in range(20)}
    assert counts(world, request_id) == NONE | {"completed": 20, "retry": 4}
    retried = jobs(world, request_id, status=AttemptStatus.RETRY)
    assert [a.attempt_id.removeprefix(f"{request_id}.1.") for a in retried] == [
        "3.1",
        "4.1",
        "4.2",
        "17.1",
    ]


def test_a_job_that_has_no_try_left_fails_the_request_with_its_own_error(world: World) -> None:
    def bad(job: Job) -> dict[str, Any]:
        if job.item == 7:
            raise KeyError("seven")
        return {}

    request_id = submit(world, 20, bad)
    world.run_through()
    request = world.request(request_id)
    assert request.status is RequestStatus.FAILED
    assert request.error is not None
    assert (request.error.type, request.error.job) == ("KeyError", "load[7]")
    assert request.error.attempt_id == f"{request_id}.1.7.3"
    assert "gave up after 3 attempts" in request.error.message


def test_a_job_that_fails_stops_its_block_and_a_retry_does_the_rest(world: World) -> None:
    runs: list[int] = []
    is_mended = False

    def bad(job: Job) -> dict[str, Any]:
        runs.append(job.item)
        if job.item == 4 and not is_mended:
            raise Failure("never")
        return {f"job {job.item}": 1}

    request_id = submit(world, 10, bad, batch_size=1)
    world.run_through()
    assert world.request(request_id).status is RequestStatus.FAILED
    assert runs == [0, 1, 2, 3, 4]
    shown = {a.status: 0 for a in jobs(world, request_id)}
    assert set(shown) == {
        AttemptStatus.COMPLETED,
        AttemptStatus.FAILURE,
        AttemptStatus.CANCELLED,
    }
    assert counts(world, request_id) == NONE | {"completed": 4, "failure": 1, "cancelled": 5}
    is_mended = True
    world.requests.retry(request_id)
    world.run_through()
    assert world.request(request_id).status is RequestStatus.COMPLETED
    assert runs == [0, 1, 2, 3, 4, 4, 5, 6, 7, 8, 9]
    assert world.view(request_id)["extras"] == {f"job {n}": 1 for n in range(10)}


def test_with_on_failure_finish_the_others_run_and_a_retry_does_those_that_failed(
    world: World,
) -> None:
    runs: list[int] = []
    is_mended = False

    def bad(job: Job) -> dict[str, Any]:
        runs.append(job.item)
        if job.item in (1, 12) and not is_mended:
            raise Failure("never")
        if job.item == 5 and job.attempt == 1:
            raise Retry("again")
        return {f"job {job.item}": 1}

    request_id = submit(world, 15, bad, on_failure="finish")
    world.run_through()
    request = world.request(request_id)
    assert request.status is RequestStatus.FAILED
    assert request.error is not None
    assert "1 more job failed" in request.error.message
    assert sorted(runs) == sorted([*range(15), 5])
    is_mended = True
    runs.clear()
    world.requests.retry(request_id)
    world.run_through()
    assert world.request(request_id).status is RequestStatus.COMPLETED
    assert sorted(runs) == [1, 12]
    assert world.view(request_id)["extras"] == {f"job {n}": 1 for n in range(15)}


def test_the_error_of_a_request_is_that_of_the_job_that_failed_for_good(world: World) -> None:
    def bad(job: Job) -> dict[str, Any]:
        if job.item == 5:
            raise Failure("row 5 is bad")
        if job.item == 2:
            raise Retry("busy")
        return {}

    request_id = submit(world, 10, bad)
    world.run_through()
    error = world.request(request_id).error
    assert error is not None
    assert (error.type, error.job, error.attempt_id) == (
        "Failure",
        "load[5]",
        f"{request_id}.1.5.1",
    )
    assert "row 5 is bad (and 1 more job of its block)" in error.message


def test_results_are_merged_in_the_order_of_jobs_whenever_they_completed(world: World) -> None:
    def once_more(job: Job) -> dict[str, Any]:
        if job.item == 3 and job.attempt == 1:
            raise Retry("busy")
        return {"last": job.item}

    request_id = submit(world, 10, once_more)
    world.run_through()
    assert world.view(request_id)["extras"] == {"last": 9}


def test_what_a_callback_does_later_to_what_it_has_returned_changes_nothing(world: World) -> None:
    shared: dict[str, Any] = {}

    def reuse(job: Job) -> dict[str, Any]:
        shared["job"] = job.item
        return shared

    request_id = submit(world, 3, reuse)
    world.run_through()
    page = world.requests.attempts(request_id, None, None, 9, None)
    assert [details.output for details in page.items] == [{"job": n} for n in range(3)]


def test_a_block_whose_lanes_all_hang_after_a_death_is_left_to_the_next_attempt(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = submit(world, 4, ran, batch_size=1)
    world.advancer.advance(request_id, 1)
    lost = claimed(world, request_id)
    world.clock.advance(2 * LEASE.total_seconds())
    world.recorder.expire(lost)
    renewals: list[object] = []
    renew = world.jobs.renew

    def noted(*given: Any) -> bool:
        renewals.append(given)
        return renew(*given)

    monkeypatch.setattr(world.jobs, "renew", noted)

    def hang(calls: Any, tick_s: Any) -> Any:
        for call in calls.values():
            running = call.args[0].take(call.args[2], world.clock())
            assert running is not None
            world.clock.advance(61)
            yield {}

    runner = world.another(side_by_side=hang, sleep=world.clock.advance).runner
    again = world.attempts(request_id)[-1]
    runner.run(request_id, [batch_name(again)], timedelta(minutes=15))
    assert len(renewals) < 5
    left = world.attempts(request_id)[-1].block
    assert left is not None and [(t.places, t.tries) for t in left.todo] == [
        (range(1), 3),
        (range(1, 4), 1),
    ]


def test_a_later_block_of_a_batch_begins_no_job_that_may_not_end_in_time(world: World) -> None:
    def slow(job: Job) -> dict[str, Any]:
        world.clock.advance(50)
        return {}

    request_id = submit(world, 2, slow, entry={"block": 1}, timeout_s=60)
    world.advancer.advance(request_id, 1)
    names = [batch_name(attempt) for attempt in world.attempts(request_id)]
    world.runner.run(request_id, names, timedelta(seconds=110))
    assert [a.status for a in world.attempts(request_id)] == ["completed", "retry", "new"]
    left = world.attempts(request_id)[-1].block
    assert left is not None and left.todo[0].tries == 1


# -- what dies -----------------------------------------------------------------------------------


def claimed(world: World, request_id: str, row: int = 0) -> Attempt:
    attempt = [a for a in world.attempts(request_id) if a.key.job == row][-1]
    held = world.runner.holder.claim(world.request(request_id), attempt.key)
    assert not isinstance(held, Left)
    return held


def test_what_a_dead_process_had_not_begun_keeps_its_tries(world: World) -> None:
    request_id = submit(world, 10, ran, batch_size=2)
    world.advancer.advance(request_id, 1)
    held = claimed(world, request_id)
    world.clock.advance(2 * LEASE.total_seconds())
    world.recorder.expire(held)
    again = world.attempts(request_id)[-1].block
    assert again is not None
    assert [(todo.places, todo.tries) for todo in again.todo] == [
        (range(2), 2),
        (range(2, 10), 1),
    ]
    assert again.deaths == 1
    world.run_through()
    assert world.request(request_id).status is RequestStatus.COMPLETED
    assert len(world.view(request_id)["extras"]) == 10


def test_a_block_of_which_a_store_keeps_nothing_keeps_none_of_its_batch_from_arriving(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = submit(world, 20, ran)
    world.advancer.advance(request_id, 1)
    names = [batch_name(attempt) for attempt in world.attempts(request_id)]
    complete = world.jobs.complete

    def fail_for_the_first(attempt: Attempt, *given: Any, **more: Any) -> Any:
        if attempt.key.job == 0:
            raise OSError("a fault that no waiting mends")
        return complete(attempt, *given, **more)

    monkeypatch.setattr(world.jobs, "complete", fail_for_the_first)
    with pytest.raises(OSError, match="no waiting mends"):
        world.runner.run(request_id, names, timedelta(minutes=15), is_called=True)
    assert [a.status for a in world.attempts(request_id)] == ["inprogress", "completed"]


def test_a_conductor_client_sees_the_jobs_of_blocks_too(world: World) -> None:
    request_id = submit(world, 23, ran)
    world.run_through()
    tasks = world.tasks.of_request(request_id, 23) or []
    assert [task.attempt.attempt_id for task in tasks] == [
        f"{request_id}.1.{n}.1" for n in range(23)
    ]
    assert [task.item for task in tasks] == list(range(23))
    assert world.tasks.of_request(request_id, 22) is None
    task = world.tasks.get(f"{request_id}.1.1.1")
    assert (task.attempt.name, task.item) == ("load[1]", 1)


def test_a_request_type_with_blocks_of_other_targets_is_refused(world: World) -> None:
    world.job_type("rows.load", target="worker")
    with pytest.raises(Invalid) as refused:
        world.request_type("load", [EACH])
    assert refused.value.faults[0].path == "steps[0].jobs[0].block"
    assert "python and lambda" in refused.value.faults[0].message


# -- failures that are tolerated -----------------------------------------------------------------


def bad_ones(*numbers: int) -> Any:
    def some_fail(job: Job) -> dict[str, Any]:
        if job.item in numbers:
            raise Failure(f"no. {job.item} is bad")
        return {f"job {job.item}": 1}

    return some_fail


@pytest.mark.parametrize("block", [None, 1, 10])
@pytest.mark.parametrize("tolerate", [2, "10%", "10.5%"])
def test_a_step_completes_though_as_many_jobs_fail_as_it_tolerates(
    world: World, block: int | None, tolerate: int | str
) -> None:
    entry = {"block": block, "tolerate": tolerate}
    request_id = submit(world, 20, bad_ones(3, 17), entry=entry)
    world.run_through()
    assert world.request(request_id).status is RequestStatus.COMPLETED
    assert counts(world, request_id) == NONE | {"completed": 18, "failure": 2}
    failed = jobs(world, request_id, status=AttemptStatus.FAILURE)
    assert [a.name for a in failed] == ["load[3]", "load[17]"]
    assert set(world.view(request_id)["extras"]) == {
        f"job {n}" for n in range(20) if n not in (3, 17)
    }


@pytest.mark.parametrize("is_wide", [False, True])
def test_what_has_not_begun_when_too_many_have_failed_does_not_begin(
    world: World, monkeypatch: pytest.MonkeyPatch, is_wide: bool
) -> None:
    if is_wide:  # Then the tally has to say so first.
        monkeypatch.setattr(step_state, "MOST_JOBS_READ", 5)
    request_id = submit(world, 60, bad_ones(3, 7), entry={"tolerate": 1})
    batches = world.advancer.advance(request_id, 1).batches
    assert len(batches) == 6
    for batch in batches:
        world.runner.run(request_id, batch["jobs"], timedelta(minutes=15))
    world.advancer.advance(request_id, 1)
    assert counts(world, request_id) == NONE | {"completed": 8, "failure": 2, "cancelled": 50}


@pytest.mark.parametrize("block", [None, 1, 10])
@pytest.mark.parametrize("tolerate", [0, 1, "9.9%"])
def test_a_request_fails_early_once_more_jobs_fail_than_it_tolerates(
    world: World, block: int | None, tolerate: int | str
) -> None:
    entry = {"block": block, "tolerate": tolerate}
    request_id = submit(world, 20, bad_ones(3, 7), entry=entry)
    world.run_through()
    request = world.request(request_id)
    assert request.status is RequestStatus.FAILED
    assert request.error is not None
    assert (request.error.type, request.error.job) == ("TooManyFailures", "load[3]")
    failed = "1 has" if tolerate == 0 and block == 1 else "2 have"
    what = f"of 20 jobs of 'load' {failed} failed, and {tolerate} may; the first is load[3]"
    assert what in request.error.message


def test_a_retry_of_a_request_with_too_many_failures_runs_just_those(world: World) -> None:
    bad = [3, 7, 12]
    # In one block: another might not begin once the request has failed by these.
    entry = {"tolerate": 1, "block": 20}
    request_id = submit(world, 20, lambda job: bad_ones(*bad)(job), entry=entry)
    world.run_through()
    assert world.request(request_id).status is RequestStatus.FAILED
    bad[:] = [7]
    world.requests.retry(request_id)
    world.run_through()
    assert world.request(request_id).status is RequestStatus.COMPLETED
    again = [a.attempt_id for a in jobs(world, request_id) if not a.attempt_id.endswith(".1")]
    assert again == [f"{request_id}.1.{n}.2" for n in (3, 7, 12)]
    assert len(world.view(request_id)["extras"]) == 19


def test_a_step_that_is_to_finish_tells_too_many_failures_at_its_end(world: World) -> None:
    request_id = submit(
        world, 20, bad_ones(0, 1, 2), entry={"tolerate": 2, "block": None}, on_failure="finish"
    )
    world.run_through()
    error = world.request(request_id).error
    assert error is not None and error.type == "TooManyFailures"
    assert counts(world, request_id) == NONE | {"completed": 17, "failure": 3}
