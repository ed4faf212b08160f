"""Many schedulers and switchers at once: one job for each switch, each executed once."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from shiftwork_core.domain.workspaces.records import JobState, Operation, WorkspaceState
from tests.world.lifecycle import LifecycleWorld, at

DAYS = {"windows": [{"start": "0 8 * * *", "stop": "0 18 * * *"}]}
WORKSPACES = 1000
RIVALS = 8


def test_eight_schedulers_and_eight_switchers_switch_a_thousand_workspaces_once_each() -> None:
    world = LifecycleWorld()
    names = [f"box{number}" for number in range(WORKSPACES)]
    for name in names:
        world.service.put(name, {"driver": {"type": "fake", "id": name}, "schedule": DAYS})
    processes = [world.another_process() for _ in range(RIVALS)]
    schedulers = [process.scheduler for process in processes]
    switchers = [process.switcher for process in processes]
    with ThreadPoolExecutor(2 * RIVALS) as pool:
        for hour in (0, 8, 18):
            world.clock.now = at(f"01-01T{hour:02}:00")
            ticks = [s.tick for s in schedulers] + [s.tick for s in switchers]
            turns = [pool.submit(tick) for tick in ticks]
            for turn in turns:
                turn.result()
            world.scheduler.tick()
            world.switcher.tick()
    jobs = list(world.tables.lifecycle_jobs.values())
    done = [job for job in jobs if job.has_ended]
    assert Counter((job.operation, job.state) for job in done) == {
        (Operation.START, JobState.COMPLETED): WORKSPACES,
        (Operation.STOP, JobState.COMPLETED): WORKSPACES,
    }
    assert Counter(world.driver.asked) == {
        (name, operation): 1 for name in names for operation in Operation
    }
    pending = Counter((job.workspace_id, job.operation) for job in jobs if not job.has_ended)
    assert pending == {(name, Operation.START): 1 for name in names}
    states = {row.state for row in world.tables.workspaces.values()}
    assert states == {WorkspaceState.STOPPED}
