"""Workspaces that host workers: work starts them, builds keep them on, idleness stops them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import pytest

from shiftwork_core.domain.requests.definitions import Kind
from shiftwork_core.domain.workspaces.records import (
    Cause,
    JobState,
    LifecycleJob,
    Operation,
    WorkspaceState,
)
from shiftwork_core.errors import Unavailable
from tests.world.lifecycle import LifecycleWorld, at

HOSTS = {"job_types": ["render"], "workers": ["gpu-*"], "idle_timeout_s": 300}
DAYS = {"windows": [{"start": "0 8 * * *", "stop": "0 18 * * *"}]}
LONG_DAYS = {"windows": [{"start": "0 8 * * *", "stop": "0 22 * * *"}]}


def stopping(world: LifecycleWorld) -> LifecycleJob:
    """Return a stop that has drained a worker, and waits for its build."""
    world.define(hosts=HOSTS)
    world.service.switch("box", Operation.START)
    world.run(2)
    world.registers("gpu-1")
    world.builds("gpu-1", "a")
    job = world.service.switch("box", Operation.STOP)
    world.run(10)
    assert world.workers.get("gpu-1").drained_for == (job.id,)
    return job


def builds_past_its_window(world: LifecycleWorld) -> None:
    """Let a window end while a worker of the workspace builds."""
    world.define(hosts=HOSTS, schedule=DAYS)
    world.clock.now = at("01-01T08:00")
    world.run(60)
    world.clock.now = at("01-01T17:59")
    world.registers("gpu-1")
    world.builds("gpu-1", "a")
    world.run(120)


def test_waiting_work_starts_the_workspace_within_a_minute(world: LifecycleWorld) -> None:
    world.define(hosts=HOSTS)
    world.run(120)
    assert world.driver.asked == []
    world.has_work("render")
    world.run(61)
    row = world.row()
    assert (row.state, row.started_by) == (WorkspaceState.RUNNING, Cause.WORK)
    assert world.history()[0].reason == "jobs of type render wait"


def test_work_in_any_shard_of_its_queue_starts_the_workspace(world: LifecycleWorld) -> None:
    body = {"target": "worker", "worker": {"shards": 8}}
    world.definitions.put(Kind.JOB_TYPE, "render", body)
    world.define(hosts=HOSTS)
    world.has_work("render", shard=7)
    world.run(61)
    assert world.row().started_by == Cause.WORK


def test_work_of_other_types_starts_nothing(world: LifecycleWorld) -> None:
    world.define(hosts=HOSTS)
    world.has_work("print")
    world.run(120)
    assert world.history() == []


def test_an_idle_workspace_is_stopped_after_its_idle_timeout(
    world: LifecycleWorld,
) -> None:
    world.define(hosts=HOSTS)
    world.service.switch("box", Operation.START)
    world.run(2)
    world.registers("gpu-1")
    world.builds("gpu-1", "a")
    world.run(600)
    assert world.row().state is WorkspaceState.RUNNING
    world.builds("gpu-1")
    world.run(280)
    assert world.row().state is WorkspaceState.RUNNING
    world.run(120)
    assert world.row().state is WorkspaceState.STOPPED
    assert world.history()[-1].cause is Cause.IDLE


def test_a_stop_drains_the_workers_and_waits_for_their_builds(world: LifecycleWorld) -> None:
    job = stopping(world)
    world.run(50)
    assert world.workers.get("gpu-1").drained_for == (job.id,)
    assert world.row().state is WorkspaceState.RUNNING
    world.builds("gpu-1")
    world.run(20)
    assert world.row().state is WorkspaceState.STOPPED
    assert world.workers.get("gpu-1").may_have_work
    assert world.log(job)[0] == "drains gpu-1"


def test_a_stop_waits_for_builds_no_longer_than_its_drain_timeout(world: LifecycleWorld) -> None:
    world.define(hosts={**HOSTS, "drain_timeout_s": 30})
    world.service.switch("box", Operation.START)
    world.run(2)
    world.registers("gpu-1")
    world.builds("gpu-1", "a")
    job = world.service.switch("box", Operation.STOP)
    world.run(60)
    assert world.row().state is WorkspaceState.STOPPED
    assert "the drain timeout is over: stops with 1 builds running" in world.log(job)


def test_a_worker_that_people_have_drained_stays_drained(world: LifecycleWorld) -> None:
    world.define(hosts=HOSTS)
    world.service.switch("box", Operation.START)
    world.run(2)
    world.registers("gpu-1")
    world.workers.drain("gpu-1")
    world.service.switch("box", Operation.STOP)
    world.run(30)
    assert world.row().state is WorkspaceState.STOPPED
    assert world.workers.get("gpu-1").is_drained


def test_a_worker_that_people_drain_while_a_stop_does_stays_drained(world: LifecycleWorld) -> None:
    stopping(world)
    world.workers.drain("gpu-1")
    world.builds("gpu-1")
    world.run(60)
    assert world.row().state is WorkspaceState.STOPPED
    row = world.workers.get("gpu-1")
    assert (row.is_drained, row.drained_for) == (True, ())


def test_a_worker_that_people_resume_is_drained_again_by_the_stop(world: LifecycleWorld) -> None:
    job = stopping(world)
    world.workers.resume("gpu-1")
    assert world.workers.get("gpu-1").may_have_work
    world.run(60)
    assert world.workers.get("gpu-1").drained_for == (job.id,)


@pytest.mark.parametrize("is_alive", [True, False])
def test_a_worker_left_drained_by_a_dead_process_is_resumed_within_a_minute(
    world: LifecycleWorld, is_alive: bool
) -> None:
    job = stopping(world)
    world.service.cancel_job(job.id)
    world.workers.drain("gpu-1", stop_id=job.id)  # By a process that was held up, and dies now.
    if not is_alive:
        world.clock.advance(600)
    world.run(60)
    assert world.workers.get("gpu-1").drained_for == ()


def test_a_worker_that_is_drained_for_a_stop_of_long_ago_is_resumed(world: LifecycleWorld) -> None:
    world.define(hosts=HOSTS)
    world.registers("gpu-1")
    world.workers.drain("gpu-1", stop_id="expired")
    world.run(60)
    assert world.workers.get("gpu-1").may_have_work


def test_a_cancelled_stop_resumes_its_drained_workers(world: LifecycleWorld) -> None:
    job = stopping(world)
    world.service.cancel_job(job.id)
    world.run(30)
    assert world.row().state is WorkspaceState.RUNNING
    assert world.workers.get("gpu-1").may_have_work


def test_work_that_arrives_before_an_idle_stop_is_executed_cancels_it(
    world: LifecycleWorld,
) -> None:
    world.define(hosts=HOSTS)
    world.service.switch("box", Operation.START)
    world.run(2)
    world.clock.advance(400)
    world.look()
    [stop] = world.open_jobs()
    assert stop.cause is Cause.IDLE
    world.has_work("render")
    world.switcher.tick()
    assert world.history()[-1].state is JobState.CANCELLED
    assert world.row().state is WorkspaceState.RUNNING


def test_a_window_that_ends_waits_for_the_builds_too(world: LifecycleWorld) -> None:
    builds_past_its_window(world)
    assert world.row().state is WorkspaceState.RUNNING
    world.builds("gpu-1")
    world.run(60)
    assert world.row().state is WorkspaceState.STOPPED
    stop = world.history()[1]
    assert stop.completed_at is not None
    assert stop.completed_at > world.clock.now - timedelta(seconds=60)


def test_workers_that_are_drained_for_a_job_that_was_cancelled_meanwhile_are_resumed(
    world: LifecycleWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.define(hosts=HOSTS)
    world.service.switch("box", Operation.START)
    world.run(2)
    world.registers("gpu-1")
    drain = world.hosted_workers.drain

    def late(worker_ids: Iterable[str], stop_id: str) -> None:
        world.service.cancel_job(stop_id)
        drain(worker_ids, stop_id)
        raise Unavailable("the reply was lost")

    monkeypatch.setattr(world.hosted_workers, "drain", late)
    world.service.switch("box", Operation.STOP)
    world.switcher.tick()
    assert world.told()[-1] == "stop cancelled"
    assert world.workers.get("gpu-1").may_have_work


def postponed_stop(world: LifecycleWorld) -> LifecycleJob:
    """Return a stop that has drained a worker, and that a longer window has postponed since."""
    builds_past_its_window(world)
    [stop] = world.open_jobs()
    assert world.workers.get("gpu-1").drained_for == (stop.id,)
    world.define(hosts=HOSTS, schedule=LONG_DAYS)
    world.run(60)
    stop = world.service.job(stop.id)
    assert stop.deadline == at("01-01T22:00")
    assert world.workers.get("gpu-1").may_have_work
    return stop


def test_a_postponed_stop_waits_for_builds_as_if_it_had_not_begun(
    world: LifecycleWorld,
) -> None:
    stop = postponed_stop(world)
    assert (stop.drained, stop.drain_until) == ((), None)
    world.clock.now = at("01-01T21:59")
    world.registers("gpu-1")
    world.builds("gpu-1", "b")
    world.run(180)
    assert world.row().state is WorkspaceState.RUNNING
    assert world.workers.get("gpu-1").drained_for == (stop.id,)
    world.builds("gpu-1")
    world.run(60)
    assert world.row().state is WorkspaceState.STOPPED
    assert world.workers.get("gpu-1").may_have_work


def test_a_worker_left_drained_for_a_postponed_stop_is_resumed(
    world: LifecycleWorld,
) -> None:
    stop = postponed_stop(world)
    world.workers.drain("gpu-1", stop_id=stop.id)  # By a process that was held up, and dies now.
    world.run(60)
    assert world.workers.get("gpu-1").may_have_work


def test_a_process_that_drains_for_a_stop_that_another_has_postponed_resumes_the_workers(
    world: LifecycleWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.define(hosts=HOSTS, schedule=DAYS)
    world.clock.now = at("01-01T08:00")
    world.run(60)
    world.clock.now = at("01-01T18:00")
    world.registers("gpu-1")
    world.builds("gpu-1", "a")
    drain = world.hosted_workers.drain

    def late(worker_ids: Iterable[str], stop_id: str) -> None:
        monkeypatch.setattr(world.hosted_workers, "drain", drain)
        world.define(hosts=HOSTS, schedule=LONG_DAYS)
        world.clock.advance(300)
        world.registers("gpu-1")
        world.another_process().switcher.tick()
        assert world.service.job(stop_id).deadline == at("01-01T22:00")
        drain(worker_ids, stop_id)

    monkeypatch.setattr(world.hosted_workers, "drain", late)
    world.switcher.tick()
    assert world.workers.get("gpu-1").may_have_work
