"""Which jobs the scheduler plans, by a workspace's state, schedule and override."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shiftwork_core.domain.workspaces.records import (
    Cause,
    Desired,
    JobState,
    Operation,
    Override,
    WorkspaceState,
)
from shiftwork_core.ports.workspaces import DriverError
from tests.world.lifecycle import LifecycleWorld, at

DAYS = {"windows": [{"start": "0 8 * * *", "stop": "0 18 * * *"}]}
START_ONLY = {"windows": [{"start": "0 8 * * *"}]}
STOP_ONLY = {"windows": [{"stop": "0 18 * * *"}]}

#: The source's four rules: the state, the schedule, the jobs that are pending before, and after.
RULES = {
    "running with an auto-stop time and no stop job: gets one": (
        WorkspaceState.RUNNING, DAYS, [], ["stop at 18"],
    ),
    "running with an auto-stop time and a stop job: keeps it": (
        WorkspaceState.RUNNING, DAYS, ["stop at 18"], ["stop at 18"],
    ),
    "running without an auto-stop time: gets none": (
        WorkspaceState.RUNNING, START_ONLY, [], [],
    ),
    "stopped with an auto-start time and no start job: gets one": (
        WorkspaceState.STOPPED, DAYS, [], ["start at 8"],
    ),
    "stopped with an auto-start time and a start job: keeps it": (
        WorkspaceState.STOPPED, DAYS, ["start at 8"], ["start at 8"],
    ),
    "stopped without an auto-start time: gets none": (
        WorkspaceState.STOPPED, STOP_ONLY, [], [],
    ),
    "a start job without an auto-start time: cancelled": (
        WorkspaceState.STOPPED, STOP_ONLY, ["start at 8"], [],
    ),
    "a stop job without an auto-stop time: cancelled": (
        WorkspaceState.RUNNING, START_ONLY, ["stop at 18"], [],
    ),
    "a start job without an auto-start time, of one that runs: cancelled": (
        WorkspaceState.RUNNING, STOP_ONLY, ["start at 8"], ["stop at 18"],
    ),
    "a stop job without an auto-stop time, of one that is stopped: cancelled": (
        WorkspaceState.STOPPED, START_ONLY, ["stop at 18"], ["start at 8"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_of_the_source_document_holds(world: LifecycleWorld, rule: str) -> None:
    state, schedule, before, after = RULES[rule]
    for name in before:
        # It comes from a schedule that names both, in the state in which it is planned.
        world.driver.target("box").state = Operation(name.split()[0]).opposite.goal
        world.define(schedule=DAYS)
    world.driver.target("box").state = state
    world.define(schedule=schedule)
    found = [f"{j.operation} at {j.deadline.hour}" for j in world.open_jobs()]
    assert found == after


def test_a_job_that_nothing_calls_for_any_more_says_so_in_its_log(world: LifecycleWorld) -> None:
    world.define(schedule=DAYS)
    world.define(schedule=STOP_ONLY)
    [job] = world.history()
    assert job.state is JobState.CANCELLED
    assert world.log(job) == ["cancelled: nothing starts the workspace any more"]


def test_a_changed_schedule_moves_the_pending_jobs_deadline(world: LifecycleWorld) -> None:
    world.define(schedule=DAYS)
    [before] = world.open_jobs()
    world.define(schedule={"windows": [{"start": "30 9 * * *", "stop": "0 18 * * *"}]})
    [after] = world.open_jobs()
    assert (after.id, after.deadline) == (before.id, at("01-01T09:30"))
    assert world.row().pending[Operation.START].at == at("01-01T09:30")


def test_looking_again_writes_nothing(world: LifecycleWorld) -> None:
    before = world.define(schedule=DAYS)
    world.clock.advance(3600)
    assert world.look() == before
    assert len(world.history()) == 1


def test_the_same_definition_again_changes_nothing(world: LifecycleWorld) -> None:
    before = world.define(schedule=DAYS)
    row, is_new = world.service.put("box", before.body)
    assert (row, is_new) == (before, False)


def test_a_window_that_begins_before_the_first_look_is_not_missed(world: LifecycleWorld) -> None:
    world.clock.now = at("01-01T07:59")
    world.service.put("box", {"driver": {"type": "fake", "id": "box"}, "schedule": DAYS})
    world.clock.now = at("01-01T08:01")
    world.look()
    assert [(j.operation, j.deadline) for j in world.open_jobs()] == [
        (Operation.START, at("01-01T08:00"))
    ]


def test_a_window_that_had_begun_before_the_definition_starts_nothing(
    world: LifecycleWorld,
) -> None:
    world.clock.now = at("01-01T10:00")
    world.define(schedule=DAYS)
    assert [j.deadline for j in world.open_jobs()] == [at("01-02T08:00")]


def test_a_workspace_is_due_again_when_its_window_ends_and_not_before(
    world: LifecycleWorld,
) -> None:
    row = world.define(schedule=DAYS)
    assert row.due_at == at("01-01T18:00")
    assert world.workspaces.due(at("01-01T17:59"), 10) == []
    assert world.workspaces.due(at("01-01T18:00"), 10) == ["box"]


def test_a_workspace_that_was_started_elsewhere_is_found_at_its_windows_end_and_stopped(
    world: LifecycleWorld,
) -> None:
    world.define(schedule=DAYS)
    world.clock.now = at("01-01T08:00")
    world.run(600, 60)
    world.clock.now = at("01-01T18:00")
    world.run(600, 60)
    assert world.row().state is WorkspaceState.STOPPED
    world.driver.target("box").state = WorkspaceState.RUNNING  # In the cloud's own console.
    world.clock.now = at("01-02T18:00") - timedelta(seconds=60)
    world.switcher.tick()  # The start of 08:00 finds it running.
    world.run(600, 60)
    assert world.driver.target("box").state is WorkspaceState.STOPPED


def test_a_workspace_that_was_started_elsewhere_is_stopped_by_the_end_at_which_it_is_found(
    world: LifecycleWorld,
) -> None:
    world.define(schedule=STOP_ONLY)
    world.clock.now = at("01-01T12:00")
    world.driver.target("box").state = WorkspaceState.RUNNING
    world.clock.now = at("01-01T18:00")
    world.run(60)
    assert world.row().state is WorkspaceState.STOPPED


def test_a_workspace_that_its_driver_cannot_see_says_so_and_is_checked_again_later(
    world: LifecycleWorld,
) -> None:
    world.driver.look_errors = [DriverError("access denied")]
    row = world.define(schedule=DAYS)
    assert row.state is WorkspaceState.UNKNOWN
    assert row.error == "its driver cannot see it: access denied"
    assert row.due_at == world.clock.now + timedelta(minutes=15)
    assert world.open_jobs() == []
    world.clock.advance(900)
    world.scheduler.tick()
    assert world.row().error is None
    assert len(world.open_jobs()) == 1


def test_a_group_that_runs_in_part_is_stopped_and_started_by_its_windows(
    world: LifecycleWorld,
) -> None:
    world.driver.target("box").state = WorkspaceState.MIXED
    world.define(schedule=DAYS)
    assert {j.operation: j.deadline for j in world.open_jobs()} == {
        Operation.START: at("01-01T08:00"),
        Operation.STOP: at("01-01T18:00"),
    }


# -- overrides -----------------------------------------------------------------------------------


def test_an_override_keeps_a_workspace_on_until_its_end(world: LifecycleWorld) -> None:
    world.define(schedule=DAYS)
    until = world.clock.now + timedelta(seconds=90)
    world.service.override("box", Override(Desired.ON, world.clock.now, until, "a demo"))
    world.run(30)
    assert world.row().state is WorkspaceState.RUNNING
    world.run(90)
    assert world.row().state is WorkspaceState.STOPPED
    assert [j.cause for j in world.history() if j.has_ended] == [Cause.OVERRIDE, Cause.OVERRIDE]


def test_an_override_off_skips_the_windows_that_it_covers(world: LifecycleWorld) -> None:
    world.define(schedule=DAYS)
    override = Override(Desired.OFF, world.clock.now, at("01-03T00:00"))
    world.service.override("box", override)
    world.look()
    assert [j.deadline for j in world.open_jobs()] == [at("01-03T08:00")]
    world.service.clear_override("box")
    world.look()
    assert [j.deadline for j in world.open_jobs()] == [at("01-01T08:00")]


def test_an_override_that_is_ended_early_lets_an_open_window_start_the_workspace(
    world: LifecycleWorld,
) -> None:
    world.define(schedule=DAYS)
    world.clock.now = at("01-01T08:00")
    world.run(60)
    override = Override(Desired.OFF, world.clock.now, at("01-03T00:00"))
    world.service.override("box", override)
    world.run(60)
    assert world.row().state is WorkspaceState.STOPPED
    world.service.clear_override("box")
    world.run(60)
    assert world.row().state is WorkspaceState.RUNNING


# -- by hand -------------------------------------------------------------------------------------


def test_a_start_by_hand_moves_the_pending_job_and_lasts_for_its_time_to_live(
    world: LifecycleWorld,
) -> None:
    world.define(schedule={**DAYS, "manual_ttl_s": 120})
    [pending] = world.open_jobs()
    job = world.service.switch("box", Operation.START)
    assert job.id == pending.id
    world.run(5)
    row = world.row()
    assert (row.state, row.started_by) == (WorkspaceState.RUNNING, Cause.MANUAL)
    assert row.deadline is not None and row.changed_at is not None
    assert row.deadline == row.changed_at + timedelta(seconds=120)
    world.run(180)
    assert world.row().state is WorkspaceState.STOPPED


def test_asking_twice_makes_one_job(world: LifecycleWorld) -> None:
    world.define()
    first = world.service.switch("box", Operation.START)
    assert world.service.switch("box", Operation.START) == first
    world.run(10)
    assert world.driver.asked == [("box", Operation.START)]


def test_a_stop_by_hand_is_not_overruled_by_the_open_window(
    world: LifecycleWorld,
) -> None:
    world.define(schedule=DAYS)
    world.clock.now = at("01-01T08:00")
    world.run(60)
    world.service.switch("box", Operation.STOP)
    world.run(300)
    assert world.row().state is WorkspaceState.STOPPED
    assert [j.deadline for j in world.open_jobs()] == [at("01-02T08:00")]


def test_a_stop_by_hand_ends_the_override_that_keeps_it_on(world: LifecycleWorld) -> None:
    world.define(schedule=DAYS)
    override = Override(Desired.ON, world.clock.now, at("01-01T06:00"))
    world.service.override("box", override)
    world.run(10)
    world.service.switch("box", Operation.STOP)
    world.run(120)
    assert world.row().state is WorkspaceState.STOPPED
    assert world.row().override is None


def test_a_stop_by_hand_cancels_a_start_that_has_not_ended(world: LifecycleWorld) -> None:
    world.driver.takes_s = 60
    world.define()
    start = world.service.switch("box", Operation.START)
    world.run(10)
    world.driver.takes_s = 0
    world.service.switch("box", Operation.STOP)
    world.run(120)
    assert world.told() == ["start cancelled", "stop completed"]
    assert world.log(start)[-1] == "cancelled: somebody asked for a stop meanwhile"
    assert world.driver.target("box").state is WorkspaceState.STOPPED


def test_a_cancelled_job_is_skipped_once(world: LifecycleWorld) -> None:
    world.define(schedule=DAYS)
    [job] = world.open_jobs()
    world.service.cancel_job(job.id)
    world.look()
    assert [j.deadline for j in world.open_jobs()] == [at("01-02T08:00")]
    assert world.service.cancel_job(job.id).state is JobState.CANCELLED


def test_a_cancelled_stop_leaves_the_workspace_on_until_the_next(world: LifecycleWorld) -> None:
    world.define(schedule={**DAYS, "manual_ttl_s": 600})
    world.service.switch("box", Operation.START)
    world.run(10)
    [stop] = world.open_jobs()
    assert stop.cause is Cause.DEADLINE
    world.service.cancel_job(stop.id)
    world.look()
    assert [j.deadline for j in world.open_jobs()] == [at("01-01T18:00")]


def test_activity_moves_the_deadline_up_and_never_back(world: LifecycleWorld) -> None:
    world.define(schedule={"ttl_s": 7200, "activity_bump_s": 3600, "max_lifetime_s": 9000})
    world.service.switch("box", Operation.START)
    world.run(5)
    started = world.row().changed_at
    assert started is not None
    assert world.service.active("box").deadline == started + timedelta(seconds=7200)
    world.clock.now = started + timedelta(seconds=5000)
    assert world.service.active("box").deadline == started + timedelta(seconds=8600)
    world.clock.now = started + timedelta(seconds=7000)
    assert world.service.active("box").deadline == started + timedelta(seconds=9000)
    world.look()
    assert [j.deadline for j in world.open_jobs()] == [started + timedelta(seconds=9000)]


def test_a_shorter_time_to_live_does_not_move_a_running_workspaces_deadline(
    world: LifecycleWorld,
) -> None:
    world.define(schedule={"ttl_s": 7200})
    world.service.switch("box", Operation.START)
    world.run(5)
    before = world.row().deadline
    assert world.define(schedule={"ttl_s": 60}).deadline == before


def test_deleting_a_workspace_cancels_its_pending_jobs(world: LifecycleWorld) -> None:
    world.define(schedule=DAYS)
    world.service.delete("box")
    assert world.told() == ["start cancelled"]
    assert world.scheduler.look_at("box") is None
    world.clock.now = at("01-01T08:00")
    world.run(120)
    assert world.driver.asked == []


def test_another_target_is_looked_at_as_if_it_were_new(world: LifecycleWorld) -> None:
    world.driver.target("box").state = WorkspaceState.RUNNING
    world.define(schedule=DAYS)
    world.service.put("box", {"driver": {"type": "fake", "id": "other"}, "schedule": DAYS})
    assert world.row().state is WorkspaceState.UNKNOWN
    row = world.look()
    assert row.state is WorkspaceState.STOPPED
    assert replace(row, pending={}).memory == {}
