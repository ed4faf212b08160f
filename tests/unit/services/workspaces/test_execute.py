"""What the executor does with a claimed job: when it asks, waits, drains, records and looks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pytest

from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.workspaces.records import (
    JobState,
    LifecycleJob,
    LogLevel,
    Operation,
    WorkspaceState,
)
from shiftwork_core.errors import Throttled
from shiftwork_core.ports.workspaces import DriverError
from tests.unit.services.workspaces.races import before_next, counted
from tests.world.lifecycle import FakeDriver, LifecycleWorld, at
from tests.world.world import LEASE

DAYS = {"windows": [{"start": "0 8 * * *", "stop": "0 18 * * *"}]}
HOSTS = {"job_types": ["render"], "workers": ["gpu-*"]}
STEADY = {"backoff": "fixed", "delay_s": 10, "jitter": "none"}
START, STOP = ("box", Operation.START), ("box", Operation.STOP)
UPDATE = "update_workspace_lifecycle_job_by_id"


@dataclass
class Recounting(FakeDriver):
    """A driver whose switch returns a memory of its own."""

    def switch(
        self, spec: JsonObject, memory: JsonObject, operation: Operation, key: str
    ) -> JsonObject:
        super().switch(spec, memory, operation, key)
        return {"last": str(operation)}


def hosting(world: LifecycleWorld, **hosts: object) -> LifecycleJob:
    """Return a stop by hand of a workspace that hosts an idle worker; nobody has claimed it."""
    world.define(hosts={**HOSTS, **hosts})
    world.service.switch("box", Operation.START)
    world.run(2)
    world.registers("gpu-1")
    return world.service.switch("box", Operation.STOP)


# -- attempts --------------------------------------------------------------------------------------


def test_a_job_whose_last_attempt_was_cut_off_fails_with_the_error_of_the_one_before(
    world: LifecycleWorld,
) -> None:
    job = world.due_start(schedule=DAYS, retry={**STEADY, "max_attempts": 2})
    world.driver.switch_errors = [DriverError("no capacity")]
    world.switcher.tick()
    world.clock.advance(10)
    assert world.jobs.acquire_workspace_lifecycle_job(
        world.clock.now, "dies", world.clock.now + LEASE
    )
    world.clock.advance(LEASE.total_seconds())
    world.switcher.tick()
    failed = world.service.job(job.id)
    assert (failed.state, failed.error) == (JobState.FAILED, "no capacity")


def test_a_stop_that_falls_due_does_not_cut_in_before_the_next_attempt_at_a_start(
    world: LifecycleWorld,
) -> None:
    world.driver.target("box").state = WorkspaceState.MIXED
    world.define(schedule=DAYS, retry={**STEADY, "delay_s": 90})
    world.clock.now = at("01-01T17:59")
    world.driver.switch_errors = [DriverError("no capacity")]
    world.service.switch("box", Operation.START)
    world.run(80)
    assert world.driver.asked == []
    world.run(30)
    assert world.driver.asked == [START]


def test_a_workspace_that_somebody_is_starting_already_is_waited_for_and_not_asked(
    world: LifecycleWorld,
) -> None:
    job = world.due_start(schedule=DAYS)
    target = world.driver.target("box")
    target.state, target.goal = WorkspaceState.STARTING, WorkspaceState.RUNNING
    target.ready_at = world.clock.now + timedelta(seconds=20)
    world.switcher.tick()
    world.run(40)
    assert world.driver.asked == []
    assert world.service.job(job.id).state is JobState.COMPLETED
    assert world.log(job)[0] == "the workspace is starting already: box is starting"


def test_a_start_waits_for_a_stop_under_way_no_longer_than_the_time_to_verify(
    world: LifecycleWorld,
) -> None:
    world.due_start(schedule=DAYS, verify_timeout_s=100)
    world.driver.target("box").state = WorkspaceState.STOPPING
    world.switcher.tick()
    world.run(99)
    assert world.driver.asked == []
    world.run(1)
    assert world.driver.asked == [START]


@pytest.mark.parametrize(("after_s", "error"), [(9.9, None), (10, "no capacity for box")])
def test_a_fault_counts_from_ten_seconds_after_the_start_was_asked_for(
    world: LifecycleWorld, after_s: float, error: str | None
) -> None:
    job = world.due_start(schedule=DAYS, retry=STEADY)
    world.driver.target("box").fault = "no capacity for box"
    world.switcher.tick()
    world.clock.advance(after_s)
    world.switcher.run(job.id, "")
    assert world.service.job(job.id).error == error


@pytest.mark.parametrize(("waited_s", "state"), [(100, JobState.RUNNING), (101, JobState.PENDING)])
def test_a_switch_may_take_the_whole_time_to_verify_and_no_longer(
    world: LifecycleWorld, waited_s: float, state: JobState
) -> None:
    world.driver.takes_s = 10_000
    job = world.due_start(schedule=DAYS, verify_timeout_s=100, retry=STEADY)
    world.switcher.tick()
    world.clock.advance(waited_s)
    world.switcher.run(job.id, "")
    assert world.service.job(job.id).state is state


# -- drains ----------------------------------------------------------------------------------------


def test_a_stop_waits_for_the_job_that_a_poll_under_way_gets_while_it_drains(
    world: LifecycleWorld,
) -> None:
    stop = hosting(world)
    world.switcher.run(stop.id, "")
    assert world.driver.asked == [START]
    world.builds("gpu-1", "late")
    world.run(60)
    assert world.driver.asked == [START]
    world.builds("gpu-1")
    world.run(30)
    assert world.driver.asked == [START, STOP]


def test_a_stop_says_once_whom_it_drains_and_that_it_stops(world: LifecycleWorld) -> None:
    stop = hosting(world)
    world.builds("gpu-1", "a")
    world.run(50)
    world.builds("gpu-1")
    world.run(30)
    assert world.log(stop) == [
        "drains gpu-1",
        "attempt 1: stop",
        "stop box",
        "the workspace is stopped now: box is stopped",
    ]
    assert {line.level for line in world.jobs.logs(stop.id)} == {LogLevel.INFO}


def test_a_worker_that_registers_during_a_drain_is_drained_and_does_not_prolong_it(
    world: LifecycleWorld,
) -> None:
    stop = hosting(world, drain_timeout_s=60)
    world.builds("gpu-1", "a")
    world.switcher.run(stop.id, "")
    world.run(30)
    world.registers("gpu-2")
    world.run(28)
    assert world.workers.get("gpu-2").drained_for == (stop.id,)
    assert world.driver.asked == [START]
    world.run(20)
    assert world.driver.asked == [START, STOP]


def test_builds_are_waited_for_until_the_drain_timeout_and_not_at_its_end(
    world: LifecycleWorld,
) -> None:
    stop = hosting(world, drain_timeout_s=60)
    world.builds("gpu-1", "a")
    world.switcher.run(stop.id, "")
    until = world.service.job(stop.id).drain_until
    assert until is not None
    world.clock.now = until
    world.switcher.run(stop.id, "")
    assert world.driver.asked == [START, STOP]


def test_a_claimant_that_was_overtaken_leaves_drained_what_the_new_holder_drains(
    world: LifecycleWorld,
) -> None:
    stop = hosting(world)
    world.builds("gpu-1", "a")
    left: list[LifecycleJob] = []

    def overtaken() -> None:
        world.clock.advance(LEASE.total_seconds() + 1)
        world.builds("gpu-1", "a")
        world.another_process().switcher.run(stop.id, "")
        left.append(world.service.job(stop.id))

    before_next(world.hosted_workers, "drain", overtaken)
    world.switcher.run(stop.id, "")
    assert [world.service.job(stop.id)] == left
    assert world.workers.get("gpu-1").drained_for == (stop.id,)


# -- what is recorded, and who looks then ----------------------------------------------------------


def test_the_memory_of_a_switch_that_is_done_at_once_is_kept(world: LifecycleWorld) -> None:
    world.driver = Recounting(world.clock)
    job = world.due_start(schedule=DAYS)
    world.switcher.tick()
    assert world.service.job(job.id).state is JobState.COMPLETED
    assert world.row().memory == {"last": "start"}


def test_after_a_success_the_next_job_is_planned_without_another_look(
    world: LifecycleWorld,
) -> None:
    job = world.due_start(schedule=DAYS)
    looks, reads = counted(world.driver, "look"), counted(world.workspaces, "get")
    world.switcher.run(job.id, "")
    assert [j.operation for j in world.open_jobs()] == [Operation.STOP]
    assert len(looks) == 2  # Before the switch and after it.
    assert len(reads) == 1


def test_a_job_that_waits_reads_its_workspace_once_at_each_look(world: LifecycleWorld) -> None:
    world.driver.takes_s = 30
    job = world.due_start(schedule=DAYS)
    reads = counted(world.workspaces, "get")
    world.switcher.run(job.id, "")
    assert world.service.job(job.id).state is JobState.RUNNING
    assert len(reads) == 1


def test_a_claimant_that_has_asked_for_nothing_makes_nobody_look_when_it_loses_its_claim(
    world: LifecycleWorld,
) -> None:
    job = world.due_start(schedule=DAYS)
    before_next(world.driver, "look", lambda: world.service.cancel_job(job.id))
    looks, reads = counted(world.driver, "look"), counted(world.workspaces, "get")
    world.switcher.run(job.id, "")
    assert world.driver.asked == []
    assert len(looks) == 1
    assert len(reads) == 2  # By the claimant and by the cancel.


def test_a_claimant_that_is_throttled_and_has_drained_nobody_makes_no_more_calls(
    world: LifecycleWorld,
) -> None:
    job = world.due_start(schedule=DAYS)

    def throttled() -> None:
        raise Throttled("too many writes")

    before_next(world.driver, "plan", lambda: before_next(world.jobs, UPDATE, throttled))
    with pytest.raises(Throttled, match="too many writes"):
        world.switcher.run(job.id, "")
    world.clock.advance(LEASE.total_seconds())
    before_next(
        world.driver,
        "switch",
        lambda: before_next(
            world.jobs, "update_workspace_lifecycle_job_with_complete_by_id", throttled
        ),
    )
    jobs, rows = counted(world.jobs, "get"), counted(world.workspaces, "get")
    with pytest.raises(Throttled, match="too many writes"):
        world.switcher.run(job.id, "")
    assert (len(jobs), len(rows)) == (1, 1)
