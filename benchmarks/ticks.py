"""Count what a tick of ScheduleWorkspaces and of SwitchWorkspaces reads and writes.

Services and stores are the real ones; the stores' calls to their client are counted. Up to ten
thousand workspaces, moto holds every row of their tables; beyond that `benchmarks.crowd` does. At
ten thousand the two must count the same.
"""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from unittest import mock

import boto3
from moto import mock_aws

from benchmarks.crowd import Crowd, CrowdedClient, Table
from benchmarks.report import Figure, Section, at_most
from benchmarks.units import Item, evaluated_units, item_bytes, read_units
from shiftwork_core.adapters.dynamodb.lifecycle_jobs import DynamoLifecycleJobStore, LifecycleTables
from shiftwork_core.adapters.dynamodb.workspaces import DynamoWorkspaceStore
from shiftwork_core.domain.times import to_iso
from shiftwork_core.domain.workspaces.records import (
    Cause,
    LifecycleJob,
    Operation,
    Pending,
    Workspace,
    WorkspaceState,
)
from shiftwork_core.ports.shards import shard_of
from shiftwork_platform.wiring import Services
from tests.contract.store.tables import create_table
from tests.world.lifecycle import LifecycleWorld, Target

FILLED, CROWDS = 10_000, (10_000, 100_000, 1_000_000)
DUE = (0, 10, 100, 1000)
#: moto copies its tables for every transaction, so more would take too long.
FILLED_DUE = (0, 10)
#: The aim for a million workspaces of which so many are due: rows read in the hundreds.
AIM, AIM_DUE = 999, 100

_WORKSPACES, _JOBS, _LOGS = "workspaces", "jobs", "logs"
_TABLES = {
    _WORKSPACES: "WorkspacesTable",
    _JOBS: "WorkspaceLifecycleJobsTable",
    _LOGS: "WorkspaceLifecycleJobLogsTable",
}
#: Office hours, as most workspaces have.
_DAYS = {"windows": [{"start": "0 8 * * 1-5", "stop": "0 18 * * 1-5", "timezone": "Europe/Rome"}]}
#: The same with a window that is open at the world's midnight: a start outside one is put off.
_OPEN = {"windows": [{**_DAYS["windows"][0], "start": "0 0 * * 1-5"}]}
#: What is not due yet is due later, one row after the other.
_LATER, _APART = timedelta(minutes=5), timedelta(milliseconds=50)


@dataclass
class Tick:
    """The calls of one tick to DynamoDB, and the number of messages it sent."""

    function: str
    workspaces: int
    due: int
    calls: dict[str, int]
    rows_read: int
    rows_written: int
    read_units: float
    messages: int


@dataclass
class Counting:
    """A client that counts calls, rows and units."""

    client: Any
    calls: Counter[str] = field(default_factory=Counter)
    rows_read: int = 0
    rows_written: int = 0
    read_units: float = 0.0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.client, name)

        def call(**parameters: Any) -> Any:
            self.calls[name] += 1
            if name in ("put_item", "transact_write_items"):
                self.rows_written += len(parameters.get("TransactItems", "1"))
                return method(**parameters)
            answer = method(**parameters)
            is_consistent = parameters.get("ConsistentRead", False)
            if name == "query":
                self.rows_read += answer["ScannedCount"]
                units = evaluated_units(answer["Items"], is_consistent=is_consistent)
            elif name == "get_item":
                self.rows_read += "Item" in answer
                units = read_units(item_bytes(answer.get("Item", {})), is_consistent=is_consistent)
            else:
                raise NotImplementedError(name)
            self.read_units += units
            return answer

        return call


def measure() -> tuple[list[Section], dict[str, Any]]:
    """Count a tick at every size; return the figures and all counts."""
    ticks: dict[str, list[Tick]] = {"moto": [], "crowd": []}
    with _filled_moto() as client:
        ticks["moto"] = list(_ticks(client, FILLED, FILLED_DUE))
    for size in CROWDS:
        ticks["crowd"] += _ticks(_crowded(size), size, DUE)
    differing = [tick for tick in ticks["moto"] if tick not in ticks["crowd"]]
    if differing:
        raise RuntimeError(f"benchmarks.crowd does not count as moto does: {differing}")
    sections = [
        Section(f"A tick of {name}", _figures([t for t in ticks["crowd"] if t.function == name]))
        for name in ("ScheduleWorkspaces", "SwitchWorkspaces")
    ]
    return sections, {kind: [asdict(tick) for tick in found] for kind, found in ticks.items()}


def _figures(ticks: list[Tick]) -> list[Figure]:
    figures = []
    for due in DUE:
        *fewer, most = [tick for tick in ticks if tick.due == due]
        is_same = all(replace(tick, workspaces=most.workspaces) == most for tick in fewer)
        sizes = ", ".join(f"{tick.workspaces:,}" for tick in (*fewer, most))
        calls = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in most.calls.items())
        note = f"{most.read_units:g} read units; {calls}; {most.messages} messages"
        name = f"rows read, rows written: {due:,} due"
        measured = f"{most.rows_read:,}, {most.rows_written:,}"
        figures.append(Figure(name, measured, "", None, note))
        figures.append(
            Figure(
                f"the same with {sizes} workspaces",
                "yes" if is_same else "no",
                "yes",
                is_same,
            )
        )
        if due == AIM_DUE:
            name = f"rows read with {most.workspaces:,} workspaces"
            figures.append(at_most(name, most.rows_read, AIM, "{:,}"))
    return figures


# -- ticks ---------------------------------------------------------------------------------------


def _ticks(client: Any, size: int, dues: Any) -> Iterator[Tick]:
    for due in dues:
        yield _schedule(client, size, due)
        yield _switch(client, size, due)


def _schedule(client: Any, size: int, due: int) -> Tick:
    """Let a scheduler tick: each due workspace is stopped and needs a job."""
    bench = _Bench(client, f"scheduled-of-{due}")
    for number in range(due):
        bench.add(f"schedule-{due}-{number:04}", is_due=True)
    counting = Counting(client)
    bench.scheduler(counting).tick()
    return bench.tick("ScheduleWorkspaces", size, due, counting)


def _switch(client: Any, size: int, due: int) -> Tick:
    """Let a switcher tick: each due job starts a workspace that runs at once."""
    bench = _Bench(client, f"switched-of-{due}")
    for number in range(due):
        bench.add(f"switch-{due}-{number:04}", is_due=False)
    counting = Counting(client)
    bench.switcher(counting).tick()
    if len(bench.world.driver.asked) != due:
        raise RuntimeError(f"{len(bench.world.driver.asked)} of {due} were started")
    return bench.tick("SwitchWorkspaces", size, due, counting)


class _Bench:
    """The services on a client's tables; driver, clock and queue are those of tests."""

    def __init__(self, client: Any, name: str) -> None:
        self.world = LifecycleWorld()
        self.world.ids = (f"{name}-{number}" for number in itertools.count())
        self._workspaces, self._jobs = _stores(client)

    def add(self, workspace_id: str, *, is_due: bool) -> None:
        """Write a stopped workspace that is due, or one whose start is due."""
        now = self.world.clock()
        row = replace(_workspace(workspace_id, now), due_at=now if is_due else now + _LATER)
        self.world.driver.targets[workspace_id] = Target(WorkspaceState.STOPPED)
        if is_due:
            self._workspaces.save(row)
            return
        job = _job(f"job-of-{workspace_id}", workspace_id, now)
        row = replace(row, body={**row.body, "schedule": _OPEN})
        pending = {Operation.START: Pending(job.id, now, Cause.SCHEDULE)}
        self._jobs.insert_workspace_lifecycle_job(job, replace(row, pending=pending))

    def scheduler(self, client: Any) -> Any:
        return self._process(client).scheduler

    def switcher(self, client: Any) -> Any:
        return self._process(client).switcher

    def _process(self, client: Any) -> Services:
        workspaces, jobs = _stores(client)
        return self.world.another_process(workspaces=workspaces, lifecycle_jobs=jobs)

    def tick(self, function: str, size: int, due: int, counting: Counting) -> Tick:
        return Tick(
            function,
            size,
            due,
            dict(sorted(counting.calls.items())),
            counting.rows_read,
            counting.rows_written,
            counting.read_units,
            len(self.world.queue.messages),
        )


def _stores(client: Any) -> tuple[DynamoWorkspaceStore, DynamoLifecycleJobStore]:
    # No random waits, so that every count is the same each time.
    patience: Any = {"sleep": lambda seconds: None, "draw": lambda: 0.5}
    jobs = DynamoLifecycleJobStore(
        client,
        LifecycleTables(_JOBS, _LOGS, _WORKSPACES),
        retention=timedelta(days=90),
        **patience,
    )
    return DynamoWorkspaceStore(client, _WORKSPACES, **patience), jobs


# -- rows ----------------------------------------------------------------------------------------


def _workspace(workspace_id: str, now: datetime) -> Workspace:
    body = {"driver": {"type": "fake", "id": workspace_id}, "schedule": _DAYS}
    return Workspace(
        workspace_id,
        body,
        created_at=now,
        updated_at=now,
        state=WorkspaceState.STOPPED,
        changed_at=now - timedelta(hours=1),
        detail=f"{workspace_id} is stopped",
    )


def _job(job_id: str, workspace_id: str, at: datetime) -> LifecycleJob:
    return LifecycleJob(
        id=job_id,
        workspace_id=workspace_id,
        operation=Operation.START,
        deadline=at,
        created_at=at - timedelta(hours=14),
        updated_at=at - timedelta(hours=14),
        cause=Cause.SCHEDULE,
        reason="its window 0 8 * * 1-5 to 0 18 * * 1-5 (Europe/Rome) begins",
        due_at=at,
    )


class _LastRows:
    """A client that keeps the rows of the last transaction."""

    def __init__(self) -> None:
        self.rows: dict[str, Item] = {}

    def transact_write_items(self, *, TransactItems: Any, ClientRequestToken: str) -> None:
        """Keep the last row of each table."""
        self.rows = {item["Put"]["TableName"]: item["Put"]["Item"] for item in TransactItems}


def _crowds(size: int) -> dict[str, Crowd]:
    """Return workspaces with one planned start each, none of them due."""
    now = LifecycleWorld().clock()
    last = _LastRows()
    _, jobs = _stores(last)

    def due(number: int) -> str:
        return to_iso(now + _LATER + number * _APART)

    def row_of(table: str, number: int) -> Item:
        at = now + _LATER + number * _APART
        workspace = replace(_workspace(f"workspace-{number:07}", now), due_at=at)
        job = _job(f"job-{number:07}", workspace.workspace_id, at)
        jobs.insert_workspace_lifecycle_job(job, workspace)
        return last.rows[table]

    return {
        _WORKSPACES: Crowd(
            size, lambda n: shard_of(f"workspace-{n:07}"), due, partial(row_of, _WORKSPACES)
        ),
        _JOBS: Crowd(size, lambda n: shard_of(f"job-{n:07}"), due, partial(row_of, _JOBS)),
    }


def _crowded(size: int) -> CrowdedClient:
    crowds = _crowds(size)
    return CrowdedClient(
        {name: Table(logical_id, crowds.get(name)) for name, logical_id in _TABLES.items()}
    )


@contextmanager
def _filled_moto() -> Iterator[Any]:
    """Yield a client of tables that hold every row of a crowd."""
    environment = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}
    with mock.patch.dict(os.environ, environment), mock_aws():
        os.environ.pop("AWS_ENDPOINT_URL", None)
        client = boto3.client("dynamodb", region_name="us-east-1")
        for name, logical_id in _TABLES.items():
            create_table(client, logical_id, name)
        for name, crowd in _crowds(FILLED).items():
            for start in range(0, crowd.size, 25):
                rows = map(crowd.make, range(start, start + 25))
                puts: Any = [{"PutRequest": {"Item": row}} for row in rows]
                client.batch_write_item(RequestItems={name: puts})
        yield client
