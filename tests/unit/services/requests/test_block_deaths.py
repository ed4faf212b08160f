"""A process that dies while it does a block: what it has written down of its jobs counts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from shiftwork_core.callbacks import Job
from shiftwork_core.domain.requests.outcomes import Completed, Failed, JobError, Outcome, Retryable
from shiftwork_core.domain.requests.records import batch_name
from shiftwork_core.domain.requests.states import RequestStatus
from tests.unit.services.requests.test_blocks import NONE, counts, jobs, submit
from tests.world.world import LEASE, World

BAD, BUSY = JobError("Bad", "no. 1 is bad"), JobError("Busy", "later")
#: What came of the first three jobs before the process died at the fourth.
WRITTEN: list[Outcome] = [Completed({"job 0": 1}), Failed(BAD), Retryable(BUSY)]


class Block:
    """A block of six jobs, of which a failure is tolerated, done by one lane at a time."""

    def __init__(self, world: World) -> None:
        self.ran: list[int] = []
        self._world = world
        self.request_id = submit(world, 6, self, entry={"tolerate": 1}, batch_size=1)
        world.advancer.advance(self.request_id, 1)

    def __call__(self, job: Job) -> dict[str, Any]:
        self.ran.append(job.item)
        return {f"job {job.item}": job.attempt}

    def run_and_die(self, *, is_written: bool = True) -> None:
        """Do the first jobs, and die; before that a third of the lease has passed, or has not."""

        def die(calls: Any, tick_s: Any) -> Iterator[Any]:
            [call] = calls.values()
            work, _, lane = call.args
            for outcome in WRITTEN:
                work.end(work.take(lane, self._world.clock()), outcome)
            assert work.take(lane, self._world.clock()) is not None
            if is_written:
                self._world.clock.advance(LEASE.total_seconds() / 3)
            yield {}
            raise KeyboardInterrupt

        [*_, latest] = self._world.attempts(self.request_id)
        runner = self._world.another(side_by_side=die).runner
        with pytest.raises(KeyboardInterrupt):
            runner.run(self.request_id, [batch_name(latest)], timedelta(minutes=15))

    def expire(self) -> None:
        """Let its lease run out, and somebody notice."""
        self._world.clock.advance(2 * LEASE.total_seconds())
        [*_, latest] = self._world.attempts(self.request_id)
        self._world.recorder.expire(latest)

    def shown(self) -> dict[str, tuple[str, str | None]]:
        """Return the status and the error of each attempt at a job."""
        return {
            a.attempt_id.removeprefix(f"{self.request_id}.1."): (
                a.status.value,
                a.error.type if a.error else None,
            )
            for a in jobs(self._world, self.request_id)
        }


@pytest.fixture
def block(world: World) -> Block:
    return Block(world)


def test_each_third_of_a_lease_what_became_of_the_jobs_of_a_block_is_written_for_all_to_see(
    world: World, block: Block
) -> None:
    block.run_and_die()
    assert block.shown() == {
        "0.1": ("completed", None),
        "1.1": ("failure", "Bad"),
        "2.1": ("retry", "Busy"),
        "3.1": ("inprogress", None),
        "4.1": ("new", None),
        "5.1": ("new", None),
    }
    each = {"completed": 1, "failure": 1, "retry": 1, "inprogress": 1, "new": 2}
    assert counts(world, block.request_id) == NONE | each


def test_what_was_written_before_a_death_is_not_done_again(world: World, block: Block) -> None:
    block.run_and_die()
    block.expire()
    again = world.attempts(block.request_id)[-1].block
    assert again is not None
    assert [(todo.places, todo.tries) for todo in again.todo] == [
        (range(2, 4), 2),
        (range(4, 6), 1),
    ]
    assert (again.failed, again.deaths) == ((range(1, 2),), 1)
    world.run_through()
    assert block.ran == [2, 3, 4, 5]
    assert world.request(block.request_id).status is RequestStatus.COMPLETED
    extras = world.view(block.request_id)["extras"]
    assert extras == {"job 0": 1, "job 2": 2, "job 3": 2, "job 4": 2, "job 5": 2}
    assert block.shown() == {
        "0.1": ("completed", None),
        "1.1": ("failure", "Bad"),
        "2.1": ("retry", "Busy"),
        "3.1": ("retry", "LeaseExpired"),
        **{f"{n}.2": ("completed", None) for n in (2, 3, 4, 5)},
    }


def test_what_was_not_written_before_a_death_is_done_again(world: World, block: Block) -> None:
    block.run_and_die(is_written=False)
    block.expire()
    world.run_through()
    assert block.ran == [0, 1, 2, 3, 4, 5]
    assert len(world.view(block.request_id)["extras"]) == 6


def test_failures_that_were_written_before_a_death_count_to_what_is_tolerated(
    world: World, block: Block
) -> None:
    block.run_and_die()
    block.expire()

    def fail_too(job: Job) -> dict[str, Any]:
        raise ValueError("so is this")

    world.job_type("rows.load", fail_too, retry={"max_attempts": 1})
    world.run_through()
    error = world.request(block.request_id).error
    assert error is not None and error.type == "TooManyFailures"
    assert error.message.endswith("the first is load[1]: Bad: no. 1 is bad")
    assert error.attempt_id == f"{block.request_id}.1.1.1"
