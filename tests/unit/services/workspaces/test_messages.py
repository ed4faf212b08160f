"""Messages and ticks of the switcher: early, late, doubled, and for jobs that are gone."""

from __future__ import annotations

from shiftwork_core.domain.times import to_iso
from shiftwork_core.domain.workspaces.lifecycle_jobs import cancelled
from shiftwork_core.domain.workspaces.records import JobState, LifecycleJob, Operation
from tests.unit.services.workspaces.races import before_next, counted
from tests.world.lifecycle import LifecycleWorld, at

DAYS = {"windows": [{"start": "0 8 * * *", "stop": "0 18 * * *"}]}
ACQUIRE = "acquire_workspace_lifecycle_job"


def planned(world: LifecycleWorld) -> LifecycleJob:
    """Return a start that falls due in ten minutes, without its message."""
    world.define(schedule=DAYS)
    world.queue.messages.clear()
    world.clock.now = at("01-01T07:50")
    [job] = world.open_jobs()
    return job


def test_a_message_that_has_come_too_early_is_sent_again_for_its_time(
    world: LifecycleWorld,
) -> None:
    job = planned(world)
    message = {"job": job.id, "due_at": to_iso(job.deadline)}
    world.switcher.run(job.id, message["due_at"])
    assert world.queue.messages == [(job.deadline, message)]


def test_the_message_of_a_job_that_has_been_moved_since_is_dropped(world: LifecycleWorld) -> None:
    job = planned(world)
    world.switcher.run(job.id, to_iso(at("01-01T07:50")))
    assert world.queue.messages == []


def test_a_message_for_a_job_that_is_gone_does_nothing(world: LifecycleWorld) -> None:
    world.switcher.announce("gone")
    world.switcher.run("gone", to_iso(world.clock.now))
    assert world.queue.messages == []


def test_a_job_that_another_process_claims_first_is_left_to_it(world: LifecycleWorld) -> None:
    job = planned(world)
    world.clock.now = job.deadline
    world.driver.takes_s = 30
    other = world.another_process().switcher
    before_next(world.jobs, ACQUIRE, lambda: other.run(job.id, ""))
    world.switcher.run(job.id, "")
    assert world.driver.asked == [("box", Operation.START)]
    assert world.service.job(job.id).attempt == 1


def test_a_tick_does_not_count_the_job_that_another_process_claims_first(
    world: LifecycleWorld,
) -> None:
    job = planned(world)
    world.clock.now = job.deadline
    world.driver.takes_s = 30
    other = world.another_process().switcher
    before_next(world.jobs, ACQUIRE, lambda: other.run(job.id, ""))
    assert world.switcher.tick() == 0
    assert world.driver.asked == [("box", Operation.START)]


def test_a_tick_claims_nothing_that_is_not_due_yet(world: LifecycleWorld) -> None:
    job = planned(world)
    world.clock.now = at("01-01T07:59")
    claims = counted(world.jobs, ACQUIRE)
    assert world.switcher.tick() == 0
    assert claims == []
    assert [message["job"] for _, message in world.queue.messages] == [job.id]


def test_a_tick_sends_no_message_for_what_it_executes_itself(world: LifecycleWorld) -> None:
    job = planned(world)
    world.clock.now = job.deadline
    assert world.switcher.tick() == 1
    assert world.service.job(job.id).state is JobState.COMPLETED
    assert world.queue.messages == []


def test_a_job_that_has_ended_has_no_wake_up(world: LifecycleWorld) -> None:
    ended = cancelled(planned(world), world.clock.now)
    wake_ups = world.another_process().lifecycle_wake_ups
    assert not wake_ups.has_woken(ended)
    wake_ups.wake_lifecycle_job(ended)
    assert world.queue.messages == []
