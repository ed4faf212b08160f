"""What the service reads of the workers that a workspace hosts: whom it counts, whom it drains."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shiftwork_core.domain.workspaces.records import Cause, LifecycleJob, Operation
from shiftwork_core.domain.workspaces.specs import Hosts
from shiftwork_core.errors import AnswerTooLarge
from shiftwork_core.services.workers import everyone
from tests.world.lifecycle import LifecycleWorld

HOSTS = Hosts(job_types=("render",), workers=("gpu-*",))


@pytest.fixture
def stop(world: LifecycleWorld) -> LifecycleJob:
    """A stop that has drained nobody yet."""
    now = world.clock.now
    return LifecycleJob("stop", "box", Operation.STOP, now, now, now, Cause.MANUAL)


def dies(world: LifecycleWorld, worker_id: str) -> None:
    """Let a worker fall silent, until all the others have checked in once more."""
    del world.crew[worker_id]
    world.clock.advance(100)
    for other, builds in world.crew.items():
        world.builds(other, *builds)


def test_builds_of_workers_elsewhere_and_of_dead_ones_do_not_count(world: LifecycleWorld) -> None:
    for worker_id in ("gpu-1", "gpu-2", "cpu-1"):
        world.registers(worker_id)
        world.builds(worker_id, f"of {worker_id}")
    dies(world, "gpu-2")
    hosted = world.hosted_workers.of(HOSTS)
    assert hosted.running == ("of gpu-1",)


def test_the_last_build_is_known_though_another_worker_has_built_nothing_yet(
    world: LifecycleWorld,
) -> None:
    world.registers("gpu-1")
    world.registers("gpu-2")
    world.builds("gpu-2", "a")
    world.clock.advance(10)
    finished_at = world.clock.now
    world.builds("gpu-2")
    world.clock.now = finished_at + timedelta(seconds=10)
    assert world.hosted_workers.of(HOSTS).finished_at == finished_at


def test_a_stop_drains_the_live_workers_that_nobody_has_drained(
    world: LifecycleWorld, stop: LifecycleJob
) -> None:
    for worker_id in ("gpu-dead", "gpu-by-people", "gpu-by-the-stop", "gpu-free", "cpu-1"):
        world.registers(worker_id)
    world.workers.drain("gpu-by-people")
    world.workers.drain("gpu-by-the-stop", stop_id=stop.id)
    dies(world, "gpu-dead")
    draining = replace(stop, drained=("gpu-by-the-stop",))
    assert world.hosted_workers.undrained(HOSTS, draining) == ["gpu-free"]


def test_a_worker_whose_record_alone_says_that_the_stop_drains_it_is_drained_again(
    world: LifecycleWorld, stop: LifecycleJob
) -> None:
    world.registers("gpu-1")
    world.workers.drain("gpu-1", stop_id=stop.id)
    assert world.hosted_workers.undrained(HOSTS, stop) == ["gpu-1"]


def test_nothing_is_said_of_hosted_workers_where_some_might_be_missed(
    world: LifecycleWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop must not end builds of a worker that was not looked at."""
    for worker_id in ("cpu-1", "gpu-1"):
        world.registers(worker_id)
    monkeypatch.setattr(everyone, "MOST_WORKERS", 1)
    with pytest.raises(AnswerTooLarge, match="more than 1 records of workers"):
        world.hosted_workers.of(HOSTS)
