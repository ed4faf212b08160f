"""A job of a block that has failed is told by its own id and error, whatever its block did after.

Its block goes on with the jobs that want a retry, so the attempt in which it failed is not always
the latest.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shiftwork_core.callbacks import Failure, Job, Retry
from shiftwork_core.domain.requests.block_jobs import tried_by
from shiftwork_core.domain.requests.outcomes import JobError
from shiftwork_core.domain.requests.records import AttemptKey
from shiftwork_core.domain.requests.states import AttemptStatus, RequestStatus
from shiftwork_core.errors import NotFound
from shiftwork_core.services.requests import block_failures
from shiftwork_core.services.requests.block_failures import BlockFailures, failed_job
from tests.unit.services.conftest import counted
from tests.unit.services.requests.test_blocks import claimed, submit
from tests.world.world import World


def fails_and_retries(*failing: int, retried: int = 8, for_ever: bool = False) -> Any:
    """Return a callback: some jobs fail at once, and another wants a retry, and then completes."""

    def some(job: Job) -> dict[str, Any]:
        if job.item in failing:
            raise Failure(f"no. {job.item} is bad")
        if job.item == retried and (for_ever or job.attempt == 1):
            raise Retry("busy")
        return {}

    return some


def test_a_request_that_finishes_names_the_job_that_failed_by_its_own_attempt_and_error(
    world: World,
) -> None:
    request_id = submit(world, 10, fails_and_retries(3), on_failure="finish")
    world.run_through()
    error = world.request(request_id).error
    assert error is not None
    assert (error.type, error.message) == ("Failure", "no. 3 is bad")
    assert (error.job, error.attempt_id) == ("load[3]", f"{request_id}.1.3.1")


def test_it_counts_the_others_that_failed(world: World) -> None:
    request_id = submit(world, 10, fails_and_retries(3, 5, for_ever=True), on_failure="finish")
    world.run_through()
    error = world.request(request_id).error
    assert error is not None
    assert error.message == "no. 3 is bad (and 2 more jobs failed)"


def test_too_many_failures_name_the_first_by_its_own_attempt_and_error(world: World) -> None:
    request_id = submit(world, 10, fails_and_retries(3, 8, retried=5), entry={"tolerate": 1})
    world.run_through()
    error = world.request(request_id).error
    assert error is not None and error.type == "TooManyFailures"
    assert error.message.endswith("the first is load[3]: Failure: no. 3 is bad")
    assert (error.job, error.attempt_id) == ("load[3]", f"{request_id}.1.3.1")


def test_too_many_failures_of_a_block_that_has_completed_have_an_error_too(world: World) -> None:
    request_id = submit(world, 10, fails_and_retries(3, 8), entry={"tolerate": 1})
    world.run_through()
    error = world.request(request_id).error
    assert error is not None
    assert error.message.endswith("the first is load[3]: Failure: no. 3 is bad")


def test_after_a_users_retry_only_what_failed_since_is_named(world: World) -> None:
    failing = [3, 6]
    request_id = submit(
        world, 10, lambda job: fails_and_retries(*failing)(job), on_failure="finish"
    )
    world.run_through()
    failing.remove(3)
    world.requests.retry(request_id)
    world.run_through()
    error = world.request(request_id).error
    assert error is not None
    assert error.message == "no. 6 is bad"
    assert error.attempt_id == f"{request_id}.1.6.3"


def test_an_error_that_has_expired_is_said_to_be_unknown(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = submit(world, 10, fails_and_retries(3), on_failure="finish")
    world.run_through()

    def gone(payload: object) -> None:
        raise NotFound("it is not stored any more")

    monkeypatch.setattr(type(world.records.payloads), "unpack_object", lambda self, p: gone(p))
    [blocker] = world.requests.explain(request_id).blockers
    assert blocker.attempt.attempt_id == f"{request_id}.1.3.1"
    assert "not stored any more" in blocker.reason


@pytest.mark.parametrize("latest", ["waits", "runs", "is over"])
def test_which_jobs_have_failed_is_known_from_rows_until_an_error_is_wanted(
    world: World, monkeypatch: pytest.MonkeyPatch, latest: str
) -> None:
    request_id = submit(world, 10, fails_and_retries(3, 5), on_failure="finish")
    if latest == "is over":
        world.run_through()
    else:
        [batch] = world.advancer.advance(request_id, 1).batches
        world.invoke("RunJobs", {"request_id": request_id, "jobs": batch["jobs"]})
    if latest == "runs":
        claimed(world, request_id)
    failures = BlockFailures(world.records, tried_by(world.attempts(request_id)))
    assert (failures.places, failures.is_read(3), failures.reads) == ([3, 5], False, 0)
    reads = counted(monkeypatch, type(world.payloads), "unpack_object")
    assert [failures.job(place).error for place in (3, 5)] == [
        JobError("Failure", f"no. {place} is bad") for place in (3, 5)
    ]
    assert failures.first().key == AttemptKey(1, 3, 1)
    assert (failures.is_read(5), failures.reads, len(reads)) == (True, 1, 1)


def test_of_a_block_without_failures_no_job_is_said_to_have_failed(world: World) -> None:
    request_id = submit(world, 3, fails_and_retries())
    world.run_through()
    [latest] = world.attempts(request_id)
    assert failed_job(world.records, latest) == latest


# -- explained -----------------------------------------------------------------------------------


def explained(world: World, request_id: str) -> list[tuple[str, str, str]]:
    return [
        (b.attempt.attempt_id.removeprefix(f"{request_id}.1."), b.attempt.status.value, b.reason)
        for b in world.requests.explain(request_id).blockers
    ]


def test_a_failure_is_explained_by_its_own_attempt_though_its_block_went_on(world: World) -> None:
    request_id = submit(world, 10, fails_and_retries(3, 5), on_failure="finish")
    world.run_through()
    assert explained(world, request_id) == [
        ("3.1", "failure", "Failure: no. 3 is bad (and 1 more job of its block)")
    ]


def test_while_a_block_goes_on_its_failures_are_explained_beside_what_it_waits_for(
    world: World,
) -> None:
    request_id = submit(world, 10, fails_and_retries(3, 5), on_failure="finish")
    [batch] = world.advancer.advance(request_id, 1).batches
    world.invoke("RunJobs", {"request_id": request_id, "jobs": batch["jobs"]})
    failed, waiting = explained(world, request_id)
    assert failed == ("3.1", "failure", "Failure: no. 3 is bad (and 1 more job of its block)")
    assert waiting[:2] == ("8.2", "new")
    assert waiting[2] == "attempt 2 waits for its back-off, after Retry: busy"


def test_a_block_of_which_several_jobs_are_retried_says_how_many(world: World) -> None:
    def busy(job: Job) -> None:
        raise Retry(f"no. {job.item} is busy")

    request_id = submit(world, 3, busy)
    [batch] = world.advancer.advance(request_id, 1).batches
    world.invoke("RunJobs", {"request_id": request_id, "jobs": batch["jobs"]})
    assert explained(world, request_id) == [
        (
            "0.2",
            "new",
            "attempt 2 waits for its back-off, after Retry: no. 0 is busy (and 2 more jobs of its "
            "block) (so do 2 more jobs of its block)",
        )
    ]


def test_failures_that_were_tolerated_are_explained_once_the_request_has_ended(
    world: World,
) -> None:
    for block in (10, None):
        entry = {"tolerate": 2, "block": block}
        request_id = submit(world, 10, fails_and_retries(3), entry=entry)
        world.run_through()
        assert world.request(request_id).status is RequestStatus.COMPLETED
        assert explained(world, request_id) == [("3.1", "failure", "Failure: no. 3 is bad")]


def test_failures_that_are_tolerated_block_nothing_while_the_request_runs(world: World) -> None:
    request_id = submit(world, 10, fails_and_retries(3), entry={"tolerate": 2})
    [batch] = world.advancer.advance(request_id, 1).batches
    world.invoke("RunJobs", {"request_id": request_id, "jobs": batch["jobs"]})
    [waiting] = explained(world, request_id)
    assert waiting[:2] == ("8.2", "new")


@pytest.fixture
def read(world: World, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Read one attempt at a time, and note their numbers."""
    monkeypatch.setattr(block_failures, "_READ_AT_ONCE", 1)
    numbers: list[int] = []
    get_many = world.jobs.get_many

    def note(ids: Any) -> Any:
        numbers.extend(key.attempt for _, key in ids)
        return get_many(ids)

    monkeypatch.setattr(world.jobs, "get_many", note)
    return numbers


def test_of_a_block_with_many_attempts_only_those_since_a_users_retry_are_read(
    world: World, read: list[int]
) -> None:
    request_id = submit(world, 10, fails_and_retries(3), on_failure="finish")
    world.run_through()
    world.requests.retry(request_id)
    world.run_through()
    latest = world.attempts(request_id)[-1]
    assert (latest.key, latest.status) == (AttemptKey(1, 0, 3), AttemptStatus.FAILURE)
    read.clear()
    assert failed_job(world.records, latest).key == AttemptKey(1, 3, 3)
    assert read == [3, 2]


def test_of_a_block_that_went_on_for_long_the_first_failure_is_found(
    world: World, read: list[int]
) -> None:
    request_id = submit(world, 10, fails_and_retries(3, for_ever=True), on_failure="finish")
    world.run_through()
    latest = world.attempts(request_id)[-1]
    assert latest.key == AttemptKey(1, 0, 3)
    read.clear()
    assert failed_job(world.records, latest).key == AttemptKey(1, 3, 1)
    assert read == [3, 2, 1]


def test_a_failure_of_which_only_the_latest_row_is_known_is_told_without_its_error(
    world: World,
) -> None:
    request_id = submit(world, 10, fails_and_retries(3), on_failure="finish")
    world.run_through()
    latest = replace(world.attempts(request_id)[-1], item=None, output=None)
    world.tables.attempts[request_id].clear()
    job = failed_job(world.records, latest)
    assert (job.key, job.error) == (AttemptKey(1, 3, 2), block_failures.EXPIRED)
