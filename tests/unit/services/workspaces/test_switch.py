"""Lifecycle jobs from their deadlines to their ends: claimed, executed, retried, postponed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from shiftwork_core.domain.workspaces.records import (
    Cause,
    Desired,
    JobState,
    LogLevel,
    Operation,
    Override,
    WorkspaceState,
    claimed,
)
from shiftwork_core.ports.workspaces import DriverError
from tests.world.lifecycle import LifecycleWorld, at
from tests.world.world import LEASE

DAYS = {"windows": [{"start": "0 8 * * *", "stop": "0 18 * * *"}]}
START = [("box", Operation.START)]
STEADY = {"backoff": "fixed", "delay_s": 10, "jitter": "none"}


def at_eight(world: LifecycleWorld, **body: Any) -> None:
    """Define a workspace that starts at eight, and let it become eight."""
    world.define(schedule=DAYS, **body)
    world.clock.now = at("01-01T07:59")
    world.run(59)
    assert world.driver.asked == []


def test_a_workspace_is_switched_at_its_deadline_to_the_second(world: LifecycleWorld) -> None:
    at_eight(world)
    world.run(1)
    assert world.driver.asked == START
    [job, *_] = world.history()
    assert job.started_at == job.completed_at == at("01-01T08:00")
    row = world.row()
    assert (row.state, row.changed_at) == (WorkspaceState.RUNNING, at("01-01T08:00"))
    assert row.started_by is Cause.SCHEDULE


def test_the_next_job_is_planned_as_soon_as_one_has_ended(world: LifecycleWorld) -> None:
    at_eight(world)
    world.run(1)
    assert [(j.operation, j.deadline) for j in world.open_jobs()] == [
        (Operation.STOP, at("01-01T18:00"))
    ]


def test_without_any_message_the_next_tick_executes_the_job(world: LifecycleWorld) -> None:
    world.define(schedule=DAYS)
    world.queue.messages.clear()
    world.clock.now = at("01-01T08:00")
    assert world.switcher.tick() == 1
    assert world.driver.asked == START


@pytest.mark.parametrize(
    ("planned", "ticks"),
    [
        pytest.param("00:00", ("07:58:31", "07:59:31"), id="by the tick before"),
        pytest.param("07:45", ("07:58:31", "07:59:31"), id="when it is written"),
        pytest.param("00:00", ("07:57:31", "07:59:31"), id="by the last tick"),
    ],
)
def test_of_the_ticks_that_see_a_job_soon_due_one_wakes_it(
    world: LifecycleWorld, planned: str, ticks: tuple[str, str]
) -> None:
    world.clock.now = at(f"01-01T{planned}")
    world.define(schedule=DAYS)
    world.deliver()
    for tick in ticks:
        world.clock.now = at(f"01-01T{tick}")
        assert world.switcher.tick() == 0
    assert [due for due, _ in world.queue.messages] == [at("01-01T08:00")]


def test_a_tick_wakes_a_job_at_the_end_of_its_lease(world: LifecycleWorld) -> None:
    """Few leases lapse, so a claimant sends no message."""
    world.define(schedule=DAYS)
    world.queue.messages.clear()
    world.clock.now = at("01-01T08:00")
    [job] = world.open_jobs()
    held = world.jobs.acquire_workspace_lifecycle_job(
        world.clock(), "c1", world.clock() + LEASE, job_id=job.id
    )
    assert held is not None
    assert world.switcher.tick() == 0
    assert [due for due, _ in world.queue.messages] == [held.due_at]


def test_a_workspace_in_its_goal_state_is_not_switched(world: LifecycleWorld) -> None:
    world.define(schedule=DAYS)
    world.driver.target("box").state = WorkspaceState.RUNNING
    world.clock.now = at("01-01T07:59")
    world.run(70)
    assert world.driver.asked == []
    job = world.history()[0]
    assert job.state is JobState.COMPLETED
    assert world.log(job) == ["the workspace is running already: box is running"]


def test_a_job_completes_when_the_workspace_reaches_its_goal_and_not_before(
    world: LifecycleWorld,
) -> None:
    world.driver.takes_s = 45
    at_eight(world)
    world.run(40)
    [job] = world.history()
    assert (job.state, job.attempt) == (JobState.RUNNING, 1)
    world.run(60)
    job = world.history()[0]
    assert (job.state, job.attempt) == (JobState.COMPLETED, 1)
    assert world.driver.asked == START
    assert world.log(job) == [
        "attempt 1: start",
        "start box",
        "the workspace is running now: box is running",
    ]


def test_a_workspace_that_does_not_reach_its_goal_in_time_is_switched_again(
    world: LifecycleWorld,
) -> None:
    world.driver.takes_s = 10_000
    at_eight(world, verify_timeout_s=100, retry={**STEADY, "max_attempts": 2})
    world.run(110)
    assert world.history()[0].state is JobState.PENDING
    world.driver.target("box").state = WorkspaceState.STOPPED  # It has given up by itself.
    world.driver.takes_s = 0
    world.run(30)
    assert world.driver.asked == START * 2
    job = world.history()[0]
    assert (job.state, job.attempt, job.error) == (JobState.COMPLETED, 2, None)
    assert any("after it was asked to start it is starting" in line for line in world.log(job))


@pytest.mark.parametrize("state", [WorkspaceState.STOPPED, WorkspaceState.MIXED])
def test_a_start_that_fell_back_says_why_at_once_and_is_tried_again(
    world: LifecycleWorld, state: WorkspaceState
) -> None:
    at_eight(world, verify_timeout_s=600, retry={**STEADY, "max_attempts": 2})
    target = world.driver.target("box")
    target.state, target.fault = state, "no capacity for box"
    world.run(20)
    [job] = world.history()
    assert (job.state, job.error) == (JobState.PENDING, "no capacity for box")
    target.fault = ""
    world.run(10)
    assert (world.history()[0].state, world.history()[0].attempt) == (JobState.COMPLETED, 2)


def test_a_fault_that_may_be_of_before_the_start_is_no_error(world: LifecycleWorld) -> None:
    """What AWS answers lags behind what it has done, and a reason is kept until the next stop."""
    at_eight(world)
    world.driver.takes_s = 8
    world.run(1)
    world.driver.target("box").fault = "no capacity yesterday"
    world.run(7)
    world.driver.target("box").fault = ""
    world.run(10)
    job = world.history()[0]
    assert (job.state, job.attempt) == (JobState.COMPLETED, 1)


def test_the_fault_of_a_member_does_not_hinder_the_stop_of_the_others(
    world: LifecycleWorld,
) -> None:
    at_eight(world)
    world.run(10)
    world.driver.takes_s, world.driver.target("box").fault = 60, "no capacity"
    world.clock.now = at("01-01T17:59")
    world.run(180)
    assert [job.state for job in world.history()[:2]] == [JobState.COMPLETED] * 2
    assert world.history()[1].attempt == 1


def test_a_group_with_members_left_behind_is_switched_again(world: LifecycleWorld) -> None:
    at_eight(world)
    target = world.driver.target("box")
    world.driver.takes_s = 30
    world.run(1)
    target.state, target.ready_at = WorkspaceState.MIXED, None
    world.driver.takes_s = 0
    world.run(10)
    job = world.history()[0]
    assert (job.state, job.attempt) == (JobState.COMPLETED, 1)
    assert world.driver.asked == START * 2


def test_after_each_failed_attempt_the_next_waits_longer_up_to_the_cap(
    world: LifecycleWorld,
) -> None:
    world.driver.switch_errors = [DriverError("no capacity") for _ in range(4)]
    retry = {"delay_s": 10, "max_delay_s": 30, "jitter": "none"}
    at_eight(world, retry=retry)
    world.run(200)
    job = world.history()[0]
    assert job.state is JobState.COMPLETED
    waits = [line for line in world.log(job) if "failed, the next is in" in line]
    assert waits == [
        f"attempt {n} of 5 failed, the next is in {wait} s: no capacity"
        for n, wait in enumerate([10, 20, 30, 30], 1)
    ]
    assert world.row().failures == 0


def test_a_job_fails_after_its_last_attempt_and_keeps_its_error(world: LifecycleWorld) -> None:
    world.driver.switch_errors = [DriverError("no capacity") for _ in range(99)]
    at_eight(world, retry={**STEADY, "max_attempts": 3})
    world.run(60)
    job = world.history()[0]
    assert (job.state, job.attempt, job.error) == (JobState.FAILED, 3, "no capacity")
    last = world.jobs.logs(job.id)[-1]
    assert (last.level, last.output) == (LogLevel.ERROR, "failed at attempt 3: no capacity")
    row = world.row()
    assert row.failures == 1 and row.error is not None
    assert row.error.startswith("start failed at 2026-01-01T08:00:20")


def test_a_final_error_is_not_retried(world: LifecycleWorld) -> None:
    world.driver.switch_errors = [DriverError("there is no such instance", is_final=True)]
    at_eight(world)
    world.run(60)
    assert world.history()[0].state is JobState.FAILED
    assert world.history()[0].attempt == 1


def test_a_workspace_whose_starts_keep_failing_is_started_ever_more_rarely(
    world: LifecycleWorld,
) -> None:
    world.driver.switch_errors = [DriverError("no capacity") for _ in range(999)]
    at_eight(world, retry={**STEADY, "max_attempts": 1})
    world.run(1)
    world.run(10 * 3600 - 60, 60)
    failed = [job.started_at for job in world.history() if job.state is JobState.FAILED]
    times = [at for at in failed if at is not None]
    waits = [(later - earlier) // timedelta(minutes=1) for earlier, later in pairwise(times)]
    assert waits[:6] == [5, 10, 20, 40, 80, 160]
    assert len(failed) <= 8


def test_an_attempt_that_was_cut_off_counts(world: LifecycleWorld) -> None:
    at_eight(world, retry={**STEADY, "max_attempts": 2})
    world.clock.advance(1)
    [job] = world.history()
    for attempt in (1, 2):
        taken = world.jobs.acquire_workspace_lifecycle_job(
            world.clock.now, f"dies-{attempt}", world.clock.now + LEASE
        )
        assert taken is not None and taken.attempt == attempt
        world.clock.advance(LEASE.total_seconds())
    world.switcher.tick()
    job = world.history()[0]
    assert job.state is JobState.FAILED
    assert job.error == "every attempt was cut off before it ended"


def test_a_claim_is_a_new_attempt_unless_it_only_looks_again(world: LifecycleWorld) -> None:
    world.define(schedule=DAYS)
    [job] = world.history()
    now = job.deadline
    first = claimed(job, "a", now, now + LEASE)
    assert (first.attempt, first.started_at) == (1, now)
    waiting = replace(first, claim_id=None, asked_at=now)
    assert claimed(waiting, "b", now, now + LEASE).attempt == 1
    lapsed = replace(first, asked_at=now)
    again = claimed(lapsed, "c", now, now + LEASE)
    assert (again.attempt, again.asked_at) == (2, None)


def test_a_start_waits_for_a_workspace_that_is_stopping(
    world: LifecycleWorld,
) -> None:
    target = world.driver.target("box")
    at_eight(world)
    target.state, target.goal = WorkspaceState.STOPPING, WorkspaceState.STOPPED
    target.ready_at = world.clock.now + timedelta(seconds=20)
    world.run(40)
    job = world.history()[0]
    assert (job.state, job.attempt) == (JobState.COMPLETED, 1)
    assert world.driver.asked == START


def test_the_late_call_of_a_claimant_that_was_held_up_beyond_its_lease_is_noticed(
    world: LifecycleWorld,
) -> None:
    at_eight(world)

    def others_act() -> None:
        # The lease runs out; another process starts the workspace, and people stop it again.
        world.driver.meanwhile = lambda: None
        world.clock.advance(LEASE.total_seconds() + 1)
        world.another_process().switcher.tick()
        world.service.switch("box", Operation.STOP)
        world.another_process().switcher.tick()
        assert world.row().state is WorkspaceState.STOPPED

    world.driver.meanwhile = others_act
    world.run(1)
    # Its late start was seen: it counts as somebody's who has started it by hand.
    assert world.driver.target("box").state is WorkspaceState.RUNNING
    assert world.row().state is WorkspaceState.RUNNING
    assert Operation.STOP in world.row().pending


def test_a_running_job_that_is_cancelled_records_no_outcome(world: LifecycleWorld) -> None:
    world.driver.takes_s = 30
    at_eight(world)
    world.run(5)
    [job] = world.history()
    world.service.cancel_job(job.id)
    world.run(120)
    assert world.history()[0].state is JobState.CANCELLED
    # What was asked for happened all the same, and is seen.
    assert world.row().state is WorkspaceState.RUNNING


def test_deleting_a_workspace_ends_its_running_job(world: LifecycleWorld) -> None:
    world.driver.takes_s = 30
    at_eight(world)
    world.run(5)
    world.service.delete("box")
    world.run(60)
    assert world.told() == ["start cancelled"]
    assert world.log(world.history()[0])[-1] == "cancelled: the workspace is gone"


def test_workspaces_with_a_spread_do_not_start_in_the_same_second(world: LifecycleWorld) -> None:
    for number in range(200):
        world.service.put(
            f"box{number}",
            {
                "driver": {"type": "fake", "id": f"box{number}"},
                "schedule": {**DAYS, "spread_s": 600},
            },
        )
    world.scheduler.tick()
    starts = [job.deadline for job in world.tables.lifecycle_jobs.values()]
    assert len(starts) == 200
    assert min(starts) >= at("01-01T08:00") and max(starts) < at("01-01T08:10")
    assert len({start.replace(second=0, microsecond=0) for start in starts}) == 10
    assert max(map(starts.count, set(starts))) <= 5


def test_a_clock_that_jumps_switches_nothing_twice(world: LifecycleWorld) -> None:
    at_eight(world)
    world.clock.advance(3600)
    world.switcher.tick()
    world.clock.advance(-3 * 3600)
    world.run(120)
    world.clock.advance(3 * 3600)
    world.run(120)
    assert world.driver.asked == START
    assert world.row().state is WorkspaceState.RUNNING


HALF_DAYS = {
    "windows": [
        {"start": "0 8 * * *", "stop": "0 12 * * *"},
        {"start": "0 13 * * *", "stop": "0 18 * * *"},
    ]
}


def test_a_late_stop_is_postponed_by_the_window_that_is_open_by_then(
    world: LifecycleWorld,
) -> None:
    world.define(schedule=HALF_DAYS)
    world.clock.now = at("01-01T08:00")
    world.run(60, 60)
    [stop] = world.open_jobs()
    world.clock.now = at("01-01T13:20")
    world.switcher.tick()
    assert world.driver.target("box").state is WorkspaceState.RUNNING
    assert [(job.id, job.deadline) for job in world.open_jobs()] == [(stop.id, at("01-01T18:00"))]
    assert world.log(stop)[-1].startswith("came too late, postponed to 2026-01-01T18:00")
    world.clock.now = at("01-01T18:00")
    world.run(60)
    assert world.driver.target("box").state is WorkspaceState.STOPPED


def test_a_stop_that_a_dead_process_has_made_is_seen_when_the_next_window_postpones_it(
    world: LifecycleWorld,
) -> None:
    world.define(schedule=HALF_DAYS)
    world.clock.now = at("01-01T08:00")
    world.run(60, 60)
    world.clock.now = at("01-01T12:59")
    assert world.jobs.acquire_workspace_lifecycle_job(
        world.clock.now, "dies", world.clock.now + LEASE
    )
    world.driver.target("box").state = WorkspaceState.STOPPED
    world.clock.now = at("01-01T13:01")
    world.switcher.tick()
    world.run(1)
    assert world.driver.target("box").state is WorkspaceState.RUNNING
    assert [(job.operation, job.deadline) for job in world.open_jobs()] == [
        (Operation.STOP, at("01-01T18:00"))
    ]


def test_a_late_start_waits_for_the_next_window_if_its_own_is_over(
    world: LifecycleWorld,
) -> None:
    world.define(schedule=HALF_DAYS)
    [start] = world.open_jobs()
    world.clock.now = at("01-01T12:30")
    world.switcher.tick()
    assert world.driver.asked == []
    world.clock.now = at("01-01T12:59")
    world.run(61)
    assert world.driver.asked == START
    assert world.service.job(start.id).state is JobState.COMPLETED


def test_a_job_whose_override_was_cleared_before_its_claim_is_cancelled(
    world: LifecycleWorld,
) -> None:
    world.define(schedule={})
    begin = world.clock.now + timedelta(minutes=5)
    override = Override(Desired.ON, begin, begin + timedelta(hours=1))
    world.service.override("box", override)
    world.look()
    [job] = world.open_jobs()
    world.clock.now = begin
    world.service.clear_override("box")
    world.switcher.tick()
    assert world.driver.asked == []
    assert world.service.job(job.id).state is JobState.CANCELLED


@pytest.mark.parametrize("missed_hours", [1, 9])
def test_a_missed_start_is_made_while_its_window_is_open(
    world: LifecycleWorld, missed_hours: int
) -> None:
    world.define(schedule=DAYS)
    world.clock.now = at("01-01T08:00") + timedelta(hours=missed_hours)
    world.scheduler.tick()
    world.switcher.tick()
    assert world.driver.asked == START


def test_a_start_that_keeps_failing_until_its_window_ends_is_postponed(
    world: LifecycleWorld,
) -> None:
    world.define(
        schedule={"windows": [{"start": "0 8 * * *", "ttl_s": 60}]},
        retry={**STEADY, "delay_s": 45},
    )
    world.driver.switch_errors = [DriverError("no capacity") for _ in range(2)]
    world.clock.now = at("01-01T08:00")
    world.run(180)
    assert world.driver.asked == []
    [start] = world.history()
    assert (start.state, start.deadline) == (JobState.PENDING, at("01-02T08:00"))
    assert world.log(start)[-1].startswith("came too late, postponed to 2026-01-02T08:00:00.000Z")


def test_an_override_set_as_a_stop_is_claimed_keeps_the_workspace_on(
    world: LifecycleWorld,
) -> None:
    at_eight(world)
    world.run(1)
    world.clock.now = at("01-01T18:00")
    row = world.row()
    override = Override(Desired.ON, world.clock.now, at("01-01T22:00"))
    world.workspaces.save(replace(row, override=override))
    world.switcher.tick()
    assert world.row().state is WorkspaceState.RUNNING
    assert [j.deadline for j in world.open_jobs()] == [at("01-01T22:00")]


def test_a_window_that_begins_while_a_stop_waits_is_not_missed(world: LifecycleWorld) -> None:
    world.define(
        schedule={
            "windows": [
                {"start": "0 8 * * *", "stop": "0 18 * * *"},
                {"start": "5 18 * * *", "stop": "0 22 * * *"},
            ]
        }
    )
    world.clock.now = at("01-01T08:00")
    world.run(60)
    world.clock.now = at("01-01T18:00")
    world.driver.takes_s = 400
    world.run(360)
    assert world.row().state is WorkspaceState.RUNNING
    world.driver.takes_s = 0
    world.run(120)
    assert world.row().state is WorkspaceState.RUNNING
    assert world.driver.asked[-2:] == [("box", Operation.STOP), ("box", Operation.START)]
