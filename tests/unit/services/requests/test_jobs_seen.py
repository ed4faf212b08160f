"""What an explanation sees of a narrow step: its blocks, and failures that it tolerates."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from shiftwork_core.callbacks import Failure, Job, Retry
from shiftwork_core.domain.requests.outcomes import JobError
from shiftwork_core.services.requests.standing import JobsSeen, see_jobs
from tests.world.world import LEASE, World


def begun(world: World, batches: int, work: Callable[[Job], Any], **entry: Any) -> str:
    """Return a request of eight jobs of which so many batches, of one row each, have run."""
    # Jobs that may take long are not called, so that batches wait to be run.
    world.job_type("work", work, batch_size=1, timeout_s=100, retry={"max_attempts": 2})
    each = {"name": "j", "type": "work", "for_each": "params.items"}
    world.request_type("some", [each | entry])
    request_id = world.submit("some", items=list(range(8)))
    decision = world.advancer.advance(request_id, 1)
    for batch in decision.batches[:batches]:
        world.runner.run(request_id, batch["jobs"], timedelta(minutes=15))
    return request_id


def seen(world: World, request_id: str) -> JobsSeen:
    request = world.request(request_id)
    return see_jobs(world.records, request, world.store.get_step(request_id, 1))


def the_odd_fail(job: Job) -> None:
    if job.item % 2:
        raise Failure("odd")


def test_of_a_running_step_of_blocks_jobs_are_counted_and_not_rows(world: World) -> None:
    request_id = begun(world, 2, lambda job: None, block=2)
    found = seen(world, request_id)
    assert (found.done, found.left) == (4, 4)
    assert (found.counts["completed"], found.counts["new"]) == (4, 4)
    assert [a.key.job for a in found.blocking] == [2, 3]


def test_a_failure_that_is_tolerated_is_done_and_blocks_nothing_while_others_run(
    world: World,
) -> None:
    request_id = begun(world, 2, the_odd_fail, tolerate="100%")
    found = seen(world, request_id)
    assert (found.done, found.failed, found.left) == (2, 0, 6)
    assert [a.key.job for a in found.blocking] == [2, 3, 4, 5, 6, 7]


def test_a_block_that_completed_with_failures_blocks_nothing_while_others_run(
    world: World,
) -> None:
    request_id = begun(world, 1, the_odd_fail, block=4, tolerate="100%")
    found = seen(world, request_id)
    assert [a.key.job for a in found.blocking] == [1]
    assert found.failed_first == {}


def test_a_failure_that_stops_its_request_is_none_that_it_waits_with(world: World) -> None:
    def fails(job: Job) -> None:
        raise Failure("bad")

    request_id = begun(world, 1, fails)
    assert seen(world, request_id).failed == 0


def test_a_retry_is_explained_by_what_came_before_it(world: World) -> None:
    def work(job: Job) -> None:
        raise Retry(f"busy {job.item}")

    found = seen(world, begun(world, 1, work))
    assert found.blocking[0].key.attempt == 2
    assert (found.errors[0], found.failed_first) == (JobError("Retry", "busy 0"), {})


def test_the_retry_of_a_block_is_explained_by_its_first_job_until_it_is_claimed(
    world: World,
) -> None:
    def work(job: Job) -> None:
        raise Retry("busy") if job.item else Failure("bad")

    request_id = begun(world, 1, work, block=4, tolerate="100%")
    found = seen(world, request_id)
    assert found.errors == {0: JobError("Retry", "busy")}
    key = found.blocking[0].key
    lease_until = world.clock() + LEASE
    world.jobs.claim(
        request_id, key, claim_id="c", worker_id="w", now=world.clock(), lease_until=lease_until
    )
    assert seen(world, request_id).errors == {0: JobError("Failure", "bad")}
