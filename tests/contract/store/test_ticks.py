"""The reads of a tick: they grow with what is due, not with how many workspaces there are."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shiftwork_core.domain.workspaces.records import Cause, Operation, Pending, WorkspaceState
from shiftwork_core.ports.shards import SHARDS
from shiftwork_platform.wiring import Services
from tests.contract.store.conftest import Aws
from tests.contract.store.interfering import Reading
from tests.contract.store.lifecycle_rows import a_job, a_workspace, saved
from tests.contract.store.rows import Stores
from tests.world.lifecycle import LifecycleWorld, Target

DAYS = {"windows": [{"start": "0 8 * * *", "stop": "0 18 * * *"}]}
DUE = 5


def add(stores: Stores, world: LifecycleWorld, name: str, due_in: timedelta) -> None:
    """Write two stopped workspaces: one is due after a time, the other's start is."""
    at = world.clock() + due_in
    for workspace_id in (f"{name}-to-plan", f"{name}-to-switch"):
        row = a_workspace(
            workspace_id,
            body={"driver": {"type": "fake", "id": workspace_id}, "schedule": DAYS},
            state=WorkspaceState.STOPPED,
            changed_at=world.clock(),
        )
        world.driver.targets[workspace_id] = Target(WorkspaceState.STOPPED)
        if workspace_id.endswith("plan"):
            saved(stores, replace(row, due_at=at))
            continue
        # By hand: whether the schedule still wants it is not asked.
        job = a_job(f"job-of-{name}", workspace_id, deadline=at, due_at=at, cause=Cause.MANUAL)
        pending = {Operation.START: Pending(job.id, at, Cause.MANUAL)}
        both = stores.lifecycle_jobs.insert_workspace_lifecycle_job(
            job, replace(row, pending=pending)
        )
        assert both.won


def reads(client: Reading) -> dict[str, int]:
    return {name: n for name, n in client.calls.items() if name in ("query", "get_item")}


@pytest.mark.parametrize("others", [0, 40])
def test_ticks_read_what_is_due_however_many_workspaces_there_are(aws: Aws, others: int) -> None:
    world = LifecycleWorld()
    for number in range(others):
        add(aws.stores(), world, f"other{number}", timedelta(minutes=2 + number))
    for number in range(DUE):
        add(aws.stores(), world, f"due{number}", -timedelta(seconds=number))

    def on(client: Reading) -> Services:
        stores = aws.stores(client, sleep=lambda seconds: None)
        return world.another_process(
            workspaces=stores.workspaces, lifecycle_jobs=stores.lifecycle_jobs
        )

    planning = Reading(aws.dynamodb)
    assert on(planning).scheduler.tick() == DUE
    # Each shard of the index, and the row of each workspace.
    assert reads(planning) == {"query": len(SHARDS), "get_item": DUE}
    assert planning.scanned == DUE

    switching = Reading(aws.dynamodb)
    assert on(switching).switcher.tick() == DUE
    assert reads(switching) == {"query": len(SHARDS), "get_item": DUE}
    assert switching.scanned == DUE
    assert len(world.driver.asked) == DUE

    idle = Reading(aws.dynamodb)
    assert on(idle).scheduler.tick() == on(idle).switcher.tick() == 0
    assert (reads(idle), idle.scanned) == ({"query": 2 * len(SHARDS)}, 0)
