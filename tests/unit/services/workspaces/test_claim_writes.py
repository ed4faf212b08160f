"""A claimant writes while others write: what it records, and when it gives up."""

from __future__ import annotations

from dataclasses import replace

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
from tests.unit.services.workspaces.races import Act, before_next, counted, seen_late
from tests.world.lifecycle import LifecycleWorld, RememberingDriver, at
from tests.world.world import LEASE

DAYS = {"windows": [{"start": "0 8 * * *", "stop": "0 18 * * *"}]}
OTHER = {"driver": {"type": "fake", "id": "other"}, "schedule": DAYS}
HOSTS = {"job_types": ["render"], "workers": ["gpu-*"], "idle_timeout_s": 300}
CANCEL = "update_workspace_lifecycle_job_with_cancel_by_id"


def due_idle_stop(world: LifecycleWorld) -> LifecycleJob:
    """Return the stop of an idle workspace, which gets work before it is executed."""
    world.define(hosts=HOSTS)
    world.service.switch("box", Operation.START)
    world.run(2)
    world.clock.advance(400)
    world.look()
    [stop] = world.open_jobs()
    assert stop.cause is Cause.IDLE
    world.has_work("render")
    return stop


def meanwhile(world: LifecycleWorld, act: Act) -> None:
    """Let somebody act once while the driver switches."""

    def once() -> None:
        world.driver.meanwhile = lambda: None
        act()

    world.driver.meanwhile = once


def override(world: LifecycleWorld) -> None:
    """Have somebody change the workspace's row."""
    world.service.override("box", Override(Desired.ON, world.clock.now, at("01-02T00:00")))


# -- what is recorded ------------------------------------------------------------------------------


def test_a_claimant_that_only_waits_leaves_its_drivers_memory_as_it_is(
    world: LifecycleWorld,
) -> None:
    world.driver = RememberingDriver(world.clock, takes_s=30)
    world.due_start(schedule=DAYS)
    world.run(10)
    assert world.row().memory == {"of": "box"}
    world.run(10)
    assert world.history()[0].state is JobState.RUNNING
    assert world.row().memory == {"of": "box"}


def test_a_workspace_is_not_written_while_its_drivers_memory_stays_the_same(
    world: LifecycleWorld,
) -> None:
    world.driver.takes_s = 30
    world.due_start(schedule=DAYS)
    before = world.row()
    world.run(10)
    assert world.driver.asked == [("box", Operation.START)]
    assert world.row() == before


def test_a_switch_is_recorded_at_once_though_people_change_the_workspace_meanwhile(
    world: LifecycleWorld,
) -> None:
    job = world.due_start(schedule=DAYS)
    meanwhile(world, lambda: override(world))
    world.switcher.tick()
    assert world.service.job(job.id).state is JobState.COMPLETED
    row = world.row()
    assert (row.state, row.started_by) == (WorkspaceState.RUNNING, Cause.SCHEDULE)
    assert row.override is not None


# -- claims that are lost --------------------------------------------------------------------------


@pytest.mark.parametrize("takes_s", [90, 0], ids=["still to wait", "to record the end"])
def test_a_claimant_that_was_overtaken_ends_quietly_and_leaves_the_job_to_its_new_holder(
    world: LifecycleWorld, takes_s: float
) -> None:
    job = world.due_start(schedule=DAYS)
    world.driver.takes_s = 90
    left: list[LifecycleJob] = []

    def overtaken() -> None:
        world.clock.advance(LEASE.total_seconds() + 1)
        world.another_process().switcher.run(job.id, "")
        left.append(world.service.job(job.id))
        world.driver.takes_s = takes_s

    meanwhile(world, overtaken)
    world.switcher.run(job.id, "")
    assert [world.service.job(job.id)] == left
    assert (left[0].state, left[0].attempt) == (JobState.RUNNING, 2)


def test_a_claimant_whose_job_is_gone_ends_quietly(world: LifecycleWorld) -> None:
    job = world.due_start(schedule=DAYS)
    meanwhile(world, lambda: world.tables.lifecycle_jobs.pop(job.id))
    world.switcher.run(job.id, "")
    assert job.id not in world.tables.lifecycle_jobs


@pytest.mark.parametrize("is_recreated", [False, True], ids=["deleted", "recreated"])
def test_a_job_whose_workspace_is_deleted_while_it_is_switched_is_cancelled_at_once(
    world: LifecycleWorld, is_recreated: bool
) -> None:
    job = world.due_start(schedule=DAYS)

    def deleted() -> None:
        body = world.row().body
        world.service.delete("box")
        world.clock.advance(1)
        if is_recreated:
            world.service.put("box", body)

    meanwhile(world, deleted)
    world.switcher.run(job.id, "")
    assert world.service.job(job.id).state is JobState.CANCELLED
    assert world.log(job)[-1] == "cancelled: the workspace is gone"
    if is_recreated:
        assert job.id not in {pending.job_id for pending in world.row().pending.values()}


def test_a_claimant_whose_workspace_gets_another_target_starts_over_and_says_so(
    world: LifecycleWorld,
) -> None:
    job = world.due_start(schedule=DAYS)
    meanwhile(world, lambda: world.service.put("box", OTHER))
    world.switcher.run(job.id, "")
    again = world.service.job(job.id)
    assert (again.state, again.attempt) == (JobState.PENDING, 0)
    assert world.log(job)[-1] == "starts over: the workspace has another target"


def test_a_claimant_that_loses_its_job_before_it_can_start_over_says_nothing(
    world: LifecycleWorld,
) -> None:
    job = world.due_start(schedule=DAYS)

    def another_target() -> None:
        world.service.put("box", OTHER)
        before_next(
            world.jobs,
            "update_workspace_lifecycle_job_by_id",
            lambda: world.service.cancel_job(job.id),
        )

    meanwhile(world, another_target)
    world.switcher.run(job.id, "")
    assert world.service.job(job.id).state is JobState.CANCELLED
    assert world.log(job)[-1] == "cancelled by a user"


# -- jobs that have nothing left to do -------------------------------------------------------------


def test_a_stop_that_is_called_off_leaves_nothing_in_its_workspaces_row(
    world: LifecycleWorld,
) -> None:
    stop = due_idle_stop(world)
    calls = counted(world.jobs, CANCEL)
    world.switcher.tick()
    assert world.service.job(stop.id).state is JobState.CANCELLED
    assert world.row().pending == {}
    assert len(calls) == 1


def test_a_stop_is_called_off_though_people_change_its_workspace_meanwhile(
    world: LifecycleWorld,
) -> None:
    stop = due_idle_stop(world)
    before_next(world.jobs, CANCEL, lambda: override(world))
    world.switcher.tick()
    assert world.service.job(stop.id).state is JobState.CANCELLED
    assert stop.id not in {pending.job_id for pending in world.row().pending.values()}
    assert world.log(stop) == ["cancelled: its workers have work again"]


def test_a_stop_that_others_cancel_before_it_is_called_off_is_theirs(
    world: LifecycleWorld,
) -> None:
    stop = due_idle_stop(world)
    calls = counted(world.jobs, CANCEL)
    before_next(world.jobs, CANCEL, lambda: world.service.cancel_job(stop.id))
    world.switcher.tick()
    assert world.log(stop) == ["cancelled by a user"]
    assert len(calls) == 2


def test_a_stop_whose_row_is_gone_before_it_is_called_off_ends_quietly(
    world: LifecycleWorld,
) -> None:
    stop = due_idle_stop(world)
    before_next(world.jobs, CANCEL, lambda: world.tables.lifecycle_jobs.pop(stop.id))
    world.switcher.run(stop.id, "")
    assert world.log(stop) == []


def test_a_job_that_its_workspace_does_not_refer_to_yet_waits_for_the_end_of_its_lease(
    world: LifecycleWorld,
) -> None:
    job = world.due_start(schedule=DAYS)
    seen_late(world.workspaces, "get", replace(world.row(), pending={}))
    world.switcher.run(job.id, "")
    assert world.driver.asked == []
    held = world.service.job(job.id)
    assert (held.state, held.due_at) == (JobState.RUNNING, world.clock.now + LEASE)
    world.clock.advance(LEASE.total_seconds())
    world.switcher.run(job.id, "")
    assert world.service.job(job.id).state is JobState.COMPLETED
