"""People, the scheduler and the switcher act at once, on rows that others have changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.workspaces.records import (
    JobState,
    LifecycleJob,
    Operation,
    Workspace,
    WorkspaceState,
)
from shiftwork_core.ports.workspaces import DriverError
from tests.world.lifecycle import LifecycleWorld, RememberingDriver, at

DAYS = {"windows": [{"start": "0 8 * * *", "stop": "0 18 * * *"}]}
HOSTS = {"job_types": ["render"], "workers": ["gpu-*"]}


def body(target: str = "box", **parts: Any) -> JsonObject:
    return {"driver": {"type": "fake", "id": target}, "schedule": DAYS, **parts}


@pytest.mark.parametrize("is_deleted", [False, True], ids=["another target", "recreated"])
def test_a_sighting_of_one_target_is_never_recorded_for_another(is_deleted: bool) -> None:
    world = LifecycleWorld()
    world.driver = RememberingDriver(world.clock)
    world.define(schedule=DAYS)
    world.driver.target("other").state = WorkspaceState.STOPPED

    def another_target() -> None:
        world.driver.meanwhile = lambda: None
        if is_deleted:
            world.service.delete("box")
            world.clock.advance(1)
        world.service.put("box", body("other"))

    world.driver.meanwhile = another_target
    world.clock.now = at("01-01T08:00")
    world.switcher.tick()
    row = world.row()
    assert row.memory == {}
    assert row.state in (WorkspaceState.UNKNOWN, WorkspaceState.STOPPED)
    world.run(60)  # The window had begun before the other one was there.
    world.service.switch("box", Operation.START)
    world.run(60)
    assert world.driver.target("other").state is WorkspaceState.RUNNING
    assert world.row().memory == {"of": "other"}


def draining(world: LifecycleWorld) -> LifecycleJob:
    """Return a stop that has drained a worker, and waits for its next attempt."""
    world.define(schedule=DAYS, hosts=HOSTS, retry={"delay_s": 600, "jitter": "none"})
    world.service.switch("box", Operation.START)
    world.run(2)
    world.registers("gpu-1")
    world.driver.switch_errors = [DriverError("no answer")]
    job = world.service.switch("box", Operation.STOP)
    world.run(20)
    assert world.workers.get("gpu-1").drained_for
    assert world.service.job(job.id).state is JobState.PENDING
    return job


@pytest.mark.parametrize(
    "act",
    [
        lambda world, job: world.service.delete("box"),
        lambda world, job: world.service.cancel_job(job.id),
        lambda world, job: world.service.switch("box", Operation.START),
    ],
    ids=["delete", "cancel", "start"],
)
def test_workers_that_a_failed_attempt_has_drained_are_resumed(
    act: Callable[[LifecycleWorld, LifecycleJob], object],
) -> None:
    world = LifecycleWorld()
    job = draining(world)
    act(world, job)
    assert world.service.job(job.id).state is JobState.CANCELLED
    assert world.workers.get("gpu-1").may_have_work


def test_a_stop_that_the_schedule_takes_back_resumes_its_workers() -> None:
    world = LifecycleWorld()
    world.define(schedule=DAYS, hosts=HOSTS, retry={"delay_s": 600, "jitter": "none"})
    world.clock.now = at("01-01T08:00")
    world.run(2)
    world.registers("gpu-1")
    world.clock.now = at("01-01T18:00")
    world.driver.switch_errors = [DriverError("no answer")]
    world.builds("gpu-1")
    world.switcher.tick()
    world.run(10)
    [stop] = world.open_jobs()
    assert world.workers.get("gpu-1").drained_for
    world.service.put("box", body(schedule={}, hosts=HOSTS))
    world.clock.now = at("01-01T17:59")  # By a clock that is behind.
    world.look()
    assert world.service.job(stop.id).state is JobState.CANCELLED
    assert world.workers.get("gpu-1").may_have_work


def hidden(world: LifecycleWorld, job: LifecycleJob, reads: int = 1) -> None:
    """Let the next reads not see a job that is being written."""
    get, left = world.jobs.get, [reads]

    def torn(job_id: str) -> LifecycleJob | None:
        if job_id == job.id and left[0]:
            left[0] -= 1
            return None
        return get(job_id)

    world.jobs.get = torn  # type: ignore[method-assign]


def test_a_start_by_hand_of_a_job_that_cannot_be_seen_yet_is_that_job() -> None:
    world = LifecycleWorld()
    world.define(schedule=DAYS)
    [job] = world.open_jobs()
    hidden(world, job)
    assert world.service.switch("box", Operation.START).id == job.id
    assert [j.id for j in world.open_jobs()] == [job.id]


def test_a_job_that_cannot_be_seen_yet_is_not_planned_again() -> None:
    world = LifecycleWorld()
    world.define(schedule=DAYS)
    [job] = world.open_jobs()
    hidden(world, job)
    world.service.put("box", body(schedule={"windows": [{"start": "0 9 * * *"}]}))
    world.look()
    assert [(j.id, j.deadline) for j in world.open_jobs()] == [(job.id, at("01-01T09:00"))]


def test_a_job_whose_row_was_lost_is_planned_again() -> None:
    world = LifecycleWorld()
    world.define(schedule=DAYS)
    [job] = world.open_jobs()
    del world.tables.lifecycle_jobs[job.id]
    started = world.service.switch("box", Operation.START)
    assert started.id != job.id
    assert world.service.job(job.id).state is JobState.CANCELLED
    assert [j.id for j in world.open_jobs()] == [started.id]


def test_a_job_that_its_workspace_does_not_refer_to_yet_is_not_cancelled_alone() -> None:
    world = LifecycleWorld()
    before = world.service.put("box", body())[0]
    world.look()
    [job] = world.open_jobs()
    get, seen = world.workspaces.get, [before]

    def torn(workspace_id: str) -> Workspace | None:
        return seen.pop() if seen else get(workspace_id)

    world.workspaces.get = torn  # type: ignore[method-assign]
    world.service.cancel_job(job.id)
    assert world.open_jobs() == []
    assert world.row().pending == {}
