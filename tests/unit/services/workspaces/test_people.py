"""What people ask for and get: definitions, switches, overrides, cancels, also in a race."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from shiftwork_core.domain.workspaces.records import (
    Cause,
    Desired,
    JobState,
    LifecycleJob,
    Operation,
    Override,
    WorkspaceState,
)
from shiftwork_core.errors import Conflict, Invalid, NotFound
from tests.unit.services.workspaces.races import before_next, counted
from tests.world.lifecycle import LifecycleWorld, at

DAYS = {"windows": [{"start": "0 8 * * *", "stop": "0 18 * * *"}]}
BODY = {"driver": {"type": "fake", "id": "box"}, "schedule": DAYS}
INSERT = "insert_workspace_lifecycle_job"
UPDATE = "update_workspace_lifecycle_job_by_id"
CANCEL = "update_workspace_lifecycle_job_with_cancel_by_id"
WAKES_THE_SCHEDULER = {"workspace": "box"}


def kept_on(world: LifecycleWorld) -> Override:
    """Return an override that holds now."""
    return Override(Desired.ON, world.clock.now, at("01-04T00:00"))


def is_kept_off_later(world: LifecycleWorld) -> None:
    """Have somebody else change the workspace's row."""
    override = Override(Desired.OFF, at("01-03T00:00"), at("01-04T00:00"))
    world.service.override("box", override)


def messages(world: LifecycleWorld) -> list[Any]:
    return [message for _, message in world.queue.messages]


def running(world: LifecycleWorld) -> LifecycleJob:
    """Return the scheduled stop of a workspace that runs."""
    world.driver.target("box").state = WorkspaceState.RUNNING
    world.define(schedule=DAYS)
    [stop] = world.open_jobs()
    assert stop.operation is Operation.STOP
    return stop


def starting(world: LifecycleWorld) -> LifecycleJob:
    """Return the scheduled start of a workspace, which takes half a minute, under way."""
    world.driver.takes_s = 30
    job = world.due_start(schedule=DAYS)
    world.switcher.tick()
    start = world.service.job(job.id)
    assert start.state is JobState.RUNNING
    return start


# -- definitions -----------------------------------------------------------------------------------


def test_a_new_workspace_is_told_from_one_that_is_replaced(world: LifecycleWorld) -> None:
    row, is_new = world.service.put("box", BODY)
    assert (row.body, is_new) == (BODY, True)
    assert messages(world) == [WAKES_THE_SCHEDULER]
    row, is_new = world.service.put("box", {**BODY, "schedule": {}})
    assert (row.body["schedule"], is_new) == ({}, False)
    assert messages(world) == [WAKES_THE_SCHEDULER] * 2


def test_of_two_definitions_at_once_the_second_replaces_the_first(world: LifecycleWorld) -> None:
    other = {**BODY, "schedule": {}}
    before_next(world.workspaces, "save", lambda: world.service.put("box", other))
    row, is_new = world.service.put("box", BODY)
    assert (row, is_new) == (world.row(), False)
    assert row.body == BODY


def test_what_does_not_exist_is_not_found(world: LifecycleWorld) -> None:
    with pytest.raises(NotFound):
        world.service.get("box")
    with pytest.raises(NotFound):
        world.service.job("1")


def test_a_workspace_one_of_whose_jobs_was_lost_can_be_deleted(world: LifecycleWorld) -> None:
    world.define(schedule=DAYS)
    [job] = world.open_jobs()
    del world.tables.lifecycle_jobs[job.id]
    world.service.delete("box")
    assert world.workspaces.get("box") is None


# -- switches --------------------------------------------------------------------------------------


def test_a_start_that_is_under_way_is_the_one_that_people_ask_for(world: LifecycleWorld) -> None:
    start = starting(world)
    assert world.service.switch("box", Operation.START) == start
    world.run(60)
    assert world.driver.asked == [("box", Operation.START)]


def test_a_start_is_new_if_the_one_before_ends_as_people_ask(world: LifecycleWorld) -> None:
    world.define()
    first = world.service.switch("box", Operation.START)
    before_next(world.jobs, "get", world.switcher.tick)
    second = world.service.switch("box", Operation.START)
    assert world.service.job(first.id).state is JobState.COMPLETED
    assert world.open_jobs() == [second]


def test_a_start_of_a_workspace_that_people_change_meanwhile_is_stored_and_woken_once(
    world: LifecycleWorld,
) -> None:
    world.define()
    world.queue.messages.clear()
    before_next(world.jobs, INSERT, lambda: is_kept_off_later(world))
    job = world.service.switch("box", Operation.START)
    assert world.open_jobs() == [job]
    assert [m["job"] for m in messages(world) if "job" in m] == [job.id]


def test_a_scheduled_start_that_is_moved_up_in_a_race_is_by_hand(world: LifecycleWorld) -> None:
    world.define(schedule=DAYS)
    before_next(world.jobs, UPDATE, lambda: is_kept_off_later(world))
    job = world.service.switch("box", Operation.START)
    assert (job.cause, job.deadline) == (Cause.MANUAL, world.clock.now)
    assert world.open_jobs() == [job]


def test_a_start_keeps_the_stop_that_lies_ahead(world: LifecycleWorld) -> None:
    stop = running(world)
    start = world.service.switch("box", Operation.START)
    assert world.open_jobs() == [stop, start]


def test_a_start_cancels_a_stop_that_falls_due_at_that_moment(world: LifecycleWorld) -> None:
    stop = running(world)
    world.clock.now = stop.deadline
    start = world.service.switch("box", Operation.START)
    assert world.service.job(stop.id).state is JobState.CANCELLED
    assert world.open_jobs() == [start]


def test_a_start_cancels_a_stop_under_way_also_where_the_clock_is_behind(
    world: LifecycleWorld,
) -> None:
    stop = running(world)
    world.clock.now = stop.deadline
    world.driver.takes_s = 30
    world.switcher.tick()
    world.clock.advance(-60)
    start = world.service.switch("box", Operation.START)
    assert world.service.job(stop.id).state is JobState.CANCELLED
    assert world.open_jobs() == [start]


def test_a_start_that_cancels_a_stop_in_a_race_says_so_once(world: LifecycleWorld) -> None:
    stop = running(world)
    world.clock.now = stop.deadline
    before_next(world.jobs, CANCEL, lambda: is_kept_off_later(world))
    start = world.service.switch("box", Operation.START)
    assert world.log(stop) == ["cancelled: somebody asked for a start meanwhile"]
    assert world.open_jobs() == [start]


def test_a_start_does_not_cancel_again_a_stop_that_people_cancel_meanwhile(
    world: LifecycleWorld,
) -> None:
    stop = running(world)
    world.clock.now = stop.deadline
    before_next(world.jobs, "get", lambda: world.service.cancel_job(stop.id))
    cancels = counted(world.jobs, CANCEL)
    start = world.service.switch("box", Operation.START)
    assert len(cancels) == 1
    assert world.log(stop) == ["cancelled by a user"]
    assert world.open_jobs() == [start]


def test_a_start_ends_a_stop_whose_row_was_lost(world: LifecycleWorld) -> None:
    stop = running(world)
    del world.tables.lifecycle_jobs[stop.id]
    start = world.service.switch("box", Operation.START)
    ended = world.service.job(stop.id)
    assert (ended.state, ended.reason) == (JobState.CANCELLED, "its row was lost")
    assert {op: p.job_id for op, p in world.row().pending.items()} == {Operation.START: start.id}


# -- overrides -------------------------------------------------------------------------------------


@pytest.mark.parametrize("since_s", [-60, 0, 60], ids=["over", "ends now", "ends as it begins"])
def test_an_override_that_would_never_hold_is_refused(
    world: LifecycleWorld, since_s: float
) -> None:
    world.define()
    since = world.clock.now + timedelta(seconds=since_s)
    until = max(world.clock.now, since) if since_s >= 0 else since + timedelta(seconds=30)
    with pytest.raises(Invalid, match="would never hold"):
        world.service.override("box", Override(Desired.ON, since, until))
    assert world.row().override is None


def test_an_override_is_shown_until_it_ends(world: LifecycleWorld) -> None:
    row = world.define()
    assert world.service.override_of(row) is None
    override = kept_on(world)
    row = world.service.override("box", override)
    world.clock.now = override.until - timedelta(seconds=1)
    assert world.service.override_of(row) == override
    world.clock.now = override.until
    assert world.service.override_of(row) is None


def test_the_same_override_again_writes_nothing_and_wakes_nobody(world: LifecycleWorld) -> None:
    world.define()
    override = kept_on(world)
    before = world.service.override("box", override)
    world.queue.messages.clear()
    world.clock.advance(60)
    assert world.service.override("box", override) == before == world.row()
    assert messages(world) == []


def test_an_override_wakes_the_scheduler_once(world: LifecycleWorld) -> None:
    world.define()
    world.queue.messages.clear()
    override = kept_on(world)
    assert world.service.override("box", override).override == override
    assert messages(world) == [WAKES_THE_SCHEDULER]


def test_an_override_is_kept_though_people_define_the_workspace_meanwhile(
    world: LifecycleWorld,
) -> None:
    world.define()
    before_next(world.workspaces, "save", lambda: world.service.put("box", BODY))
    row = world.service.override("box", kept_on(world))
    assert row == world.row()
    assert (row.override, row.body) == (kept_on(world), BODY)


# -- cancels ---------------------------------------------------------------------------------------


def test_a_cancel_says_so_and_wakes_the_scheduler(world: LifecycleWorld) -> None:
    world.define(schedule=DAYS)
    [job] = world.open_jobs()
    world.queue.messages.clear()
    assert world.service.cancel_job(job.id).state is JobState.CANCELLED
    assert world.log(job) == ["cancelled by a user"]
    assert messages(world) == [WAKES_THE_SCHEDULER]


def test_a_job_that_has_completed_cannot_be_cancelled(world: LifecycleWorld) -> None:
    world.define()
    job = world.service.switch("box", Operation.START)
    world.switcher.tick()
    with pytest.raises(Conflict, match="has completed already"):
        world.service.cancel_job(job.id)
    assert world.service.job(job.id).state is JobState.COMPLETED


def ahead(world: LifecycleWorld) -> LifecycleJob:
    """Return the start for an override that is ahead."""
    world.define()
    world.service.override("box", Override(Desired.ON, at("01-02T00:00"), at("01-04T00:00")))
    world.look()
    [job] = world.open_jobs()
    assert job.cause is Cause.OVERRIDE
    return job


def test_the_job_of_an_override_cannot_be_cancelled_while_the_override_would_plan_it_again(
    world: LifecycleWorld,
) -> None:
    job = ahead(world)
    with pytest.raises(Conflict, match="which would plan it again"):
        world.service.cancel_job(job.id)
    world.service.clear_override("box")
    assert world.service.cancel_job(job.id).state is JobState.CANCELLED


def test_another_job_can_be_cancelled_though_there_is_an_override(world: LifecycleWorld) -> None:
    world.define(schedule=DAYS)
    [job] = world.open_jobs()
    is_kept_off_later(world)
    assert world.service.cancel_job(job.id).state is JobState.CANCELLED


@pytest.mark.parametrize("make", [starting, ahead], ids=["of a window", "of an override"])
def test_a_job_whose_workspace_was_deleted_can_be_cancelled(
    world: LifecycleWorld, make: Any
) -> None:
    job = make(world)
    del world.tables.workspaces["box"]
    assert world.service.cancel_job(job.id).state is JobState.CANCELLED
    assert world.log(job)[-1] == "cancelled by a user"
