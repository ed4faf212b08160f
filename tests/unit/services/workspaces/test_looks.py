"""The scheduler looks at a workspace while others write it: what it reads, writes and leaves."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shiftwork_core.domain.workspaces.records import (
    Cause,
    Desired,
    JobState,
    Operation,
    Override,
    WorkspaceState,
)
from shiftwork_core.errors import Throttled
from tests.unit.services.workspaces.races import before_next, counted
from tests.world.lifecycle import LifecycleWorld, at

DAYS = {"windows": [{"start": "0 8 * * *", "stop": "0 18 * * *"}]}
LATER = {"windows": [{"start": "0 9 * * *", "stop": "0 18 * * *"}]}
INSERT = "insert_workspace_lifecycle_job"
UPDATE = "update_workspace_lifecycle_job_by_id"
CANCEL = "update_workspace_lifecycle_job_with_cancel_by_id"


def put(world: LifecycleWorld, **body: object) -> None:
    """Have people define the workspace; the scheduler has not looked yet."""
    world.service.put("box", {"driver": {"type": "fake", "id": "box"}, **body})


def override(world: LifecycleWorld, since: datetime | None = None) -> None:
    """Have people change the workspace's row."""
    world.service.override(
        "box", Override(Desired.ON, since or at("01-03T00:00"), at("01-04T00:00"))
    )


def test_a_look_that_plans_a_job_reads_the_row_once_and_writes_it_once(
    world: LifecycleWorld,
) -> None:
    put(world, schedule=DAYS)
    before = world.row().revision
    reads = counted(world.workspaces, "get")
    row = world.look()
    assert len(world.open_jobs()) == 1
    assert row.due_at == at("01-01T18:00")
    assert (row.revision, len(reads)) == (before + 1, 1)


def test_a_workspace_stays_due_until_the_last_of_its_jobs_is_planned(
    world: LifecycleWorld,
) -> None:
    world.driver.target("box").state = WorkspaceState.MIXED  # It is to be started and stopped.
    put(world, schedule=DAYS)

    def dies() -> None:
        raise Throttled("too many writes")

    before_next(world.jobs, INSERT, lambda: before_next(world.jobs, INSERT, dies))
    with pytest.raises(Throttled):
        world.look()
    assert len(world.open_jobs()) == 1
    assert world.workspaces.due(world.clock.now, 10) == ["box"]


def test_what_a_driver_sees_is_recorded_though_people_change_the_workspace_meanwhile(
    world: LifecycleWorld,
) -> None:
    put(world)
    before_next(world.workspaces, "save", lambda: override(world))
    world.look()
    row = world.row()
    assert (row.state, row.override is not None) == (WorkspaceState.STOPPED, True)


@pytest.mark.parametrize("late_s", [0, 5])
def test_a_workspace_whose_job_is_being_executed_is_not_looked_at(
    world: LifecycleWorld, late_s: float
) -> None:
    world.define(schedule=DAYS)
    world.clock.now = at("01-01T08:00") + timedelta(seconds=late_s)
    world.driver.target("box").state = WorkspaceState.STARTING
    looks = counted(world.driver, "look")
    assert world.look().state is WorkspaceState.STOPPED
    assert looks == []


@pytest.mark.parametrize("late_s", [0, 5])
def test_a_job_that_has_fallen_due_is_left_to_the_switcher(
    world: LifecycleWorld, late_s: float
) -> None:
    world.define(schedule=DAYS)
    before = world.open_jobs()
    world.clock.now = at("01-01T08:00") + timedelta(seconds=late_s)
    world.define(schedule={})
    assert world.open_jobs() == before


def test_a_start_by_hand_is_not_called_off_by_a_scheduler_whose_clock_is_behind(
    world: LifecycleWorld,
) -> None:
    world.define()
    job = world.service.switch("box", Operation.START)
    world.clock.advance(-60)
    world.look()
    assert world.open_jobs() == [job]


def test_a_running_job_is_not_moved_by_a_scheduler_whose_clock_is_behind(
    world: LifecycleWorld,
) -> None:
    world.driver.takes_s = 30
    world.define(schedule=DAYS)
    world.clock.now = at("01-01T08:00")
    world.switcher.tick()
    before = world.open_jobs()
    assert before[0].state is JobState.RUNNING
    world.clock.now = at("01-01T07:59")
    world.driver.target("box").state = WorkspaceState.STOPPED  # What it answers lags behind.
    world.define(schedule=LATER)
    assert world.open_jobs() == before


def test_a_job_gets_its_new_cause_though_its_time_stays_the_same(world: LifecycleWorld) -> None:
    world.define(schedule=DAYS)
    [before] = world.open_jobs()
    override(world, since=before.deadline)
    world.define(schedule={})
    [after] = world.open_jobs()
    assert (after.id, after.deadline) == (before.id, before.deadline)
    assert (before.cause, after.cause) == (Cause.SCHEDULE, Cause.OVERRIDE)


def test_a_job_that_people_have_cancelled_meanwhile_is_not_moved(world: LifecycleWorld) -> None:
    world.define(schedule=DAYS)
    [job] = world.open_jobs()
    put(world, schedule=LATER)
    before_next(world.jobs, "get", lambda: world.service.cancel_job(job.id))
    moves = counted(world.jobs, UPDATE)
    world.look()
    assert moves == []
    assert world.service.job(job.id).state is JobState.CANCELLED
    assert [j.deadline for j in world.open_jobs()] == [at("01-01T09:00")]


def test_a_job_that_is_moved_in_a_race_is_woken_once(world: LifecycleWorld) -> None:
    world.clock.now = at("01-01T07:50")
    world.define(schedule=DAYS)
    [job] = world.open_jobs()
    put(world, schedule={"windows": [{"start": "55 7 * * *"}]})
    world.queue.messages.clear()
    before_next(world.jobs, UPDATE, lambda: override(world))
    world.look()
    assert world.service.job(job.id).deadline == at("01-01T07:55")
    woken = [(due, message) for due, message in world.queue.messages if "job" in message]
    assert [due for due, _ in woken] == [at("01-01T07:55")]


def test_a_job_that_is_kept_by_an_override_set_meanwhile_does_not_say_that_it_is_cancelled(
    world: LifecycleWorld,
) -> None:
    world.define(schedule=DAYS)
    [job] = world.open_jobs()
    put(world, schedule={})
    before_next(world.jobs, CANCEL, lambda: override(world))
    world.look()
    assert world.service.job(job.id).deadline == at("01-03T00:00")
    assert world.log(job) == []


def test_a_look_with_what_a_claimant_has_just_seen_reads_nothing_again(
    world: LifecycleWorld,
) -> None:
    put(world, schedule=DAYS)
    seen = world.row()
    written = world.workspaces.save(replace(seen, state=WorkspaceState.STOPPED)).row
    looks, reads = counted(world.driver, "look"), counted(world.workspaces, "get")
    world.scheduler.look_at("box", written)
    assert (looks, reads) == ([], [])
    assert [j.operation for j in world.open_jobs()] == [Operation.START]
