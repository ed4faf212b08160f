"""Processes that die at any call: no switch is lost, and none is half recorded."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from shiftwork_core.domain.workspaces.records import JobState, Operation, WorkspaceState
from tests.world.lifecycle import LifecycleWorld, at

DAYS = {"windows": [{"start": "0 8 * * *", "stop": "0 18 * * *"}]}


class Died(BaseException):
    """The process is gone. No `except Exception` notices it."""


class Mortal:
    """Wraps adapters, and lets the process die before or after one of their calls."""

    def __init__(self, world: LifecycleWorld, dies_at: int, *, after: bool) -> None:
        self.world = world
        self.left = dies_at
        self.after = after

    def wrap(self, adapter: object) -> Any:
        mortal = self

        class Wrapped:
            def __getattr__(self, name: str) -> Any:
                method = getattr(adapter, name)

                def call(*args: Any, **named: Any) -> Any:
                    mortal.left -= 1
                    if mortal.left == 0 and not mortal.after:
                        raise Died
                    answer = method(*args, **named)
                    if mortal.left == 0:
                        raise Died
                    return answer

                return call

        return Wrapped()

    def ports(self) -> dict[str, Any]:
        world = self.world
        driver = self.wrap(world.driver)
        return {
            "workspaces": self.wrap(world.workspaces),
            "lifecycle_jobs": self.wrap(world.jobs),
            "driver_for": lambda kind: driver,
        }


def dies_in(world: LifecycleWorld, call: int, *, after: bool, work: str) -> bool:
    """Let a process die at a call of a tick; return whether the tick makes that many calls."""
    process = world.another_process(**Mortal(world, call, after=after).ports())
    part = process.scheduler if work == "plan" else process.switcher
    try:
        part.tick()
    except Died:
        return True
    return False


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_switcher_that_dies_at_any_call_loses_nothing(after: bool) -> None:
    for call in itertools.count(1):
        world = LifecycleWorld()
        world.define(schedule=DAYS)
        world.clock.now = at("01-01T08:00")
        has_died = dies_in(world, call, after=after, work="switch")
        world.run(180)
        jobs = world.history()
        assert [(j.operation, j.state) for j in jobs] == [
            (Operation.START, JobState.COMPLETED),
            (Operation.STOP, JobState.PENDING),
        ]
        assert world.driver.target("box").state is WorkspaceState.RUNNING
        row = world.row()
        assert row.state is WorkspaceState.RUNNING
        assert {op: p.job_id for op, p in row.pending.items()} == {Operation.STOP: jobs[1].id}
        # Asked again only if nobody knows whether the first call arrived.
        assert len(world.driver.asked) <= 2
        if not has_died:
            assert call > 10
            return


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_scheduler_that_dies_at_any_call_plans_each_transition_once(after: bool) -> None:
    for call in itertools.count(1):
        world = LifecycleWorld()
        world.service.put("box", {"driver": {"type": "fake", "id": "box"}, "schedule": DAYS})
        world.queue.messages.clear()
        has_died = dies_in(world, call, after=after, work="plan")
        world.scheduler.tick()
        world.scheduler.tick()
        assert [(j.operation, j.deadline) for j in world.open_jobs()] == [
            (Operation.START, at("01-01T08:00"))
        ]
        assert world.row().due_at == at("01-01T18:00")
        if not has_died:
            assert call > 3
            return
