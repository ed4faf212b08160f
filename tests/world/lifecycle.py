"""The world of tests of workspaces: tables in memory, a queue, a fake driver, a clock."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from shiftwork_core.adapters.memory import (
    MemoryDefinitionStore,
    MemoryJobStore,
    MemoryLifecycleJobStore,
    MemoryTables,
    MemoryWorkerStore,
    MemoryWorkspaceStore,
)
from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.requests.records import Attempt, AttemptKey
from shiftwork_core.domain.workers.workers import WorkerReport
from shiftwork_core.domain.workspaces.records import (
    JobState,
    LifecycleJob,
    Operation,
    Sighting,
    Workspace,
    WorkspaceState,
)
from shiftwork_core.ports.workspaces import Driver, DriverError
from shiftwork_platform.wiring import Ports, Services
from tests.world.world import Clock, Queue

_ON_THE_WAY = {
    Operation.START: WorkspaceState.STARTING,
    Operation.STOP: WorkspaceState.STOPPING,
}


@dataclass
class Target:
    """A target that the fake driver switches; with a fault, it falls back to its state at once."""

    state: WorkspaceState = WorkspaceState.STOPPED
    ready_at: datetime | None = None
    goal: WorkspaceState | None = None
    fault: str = ""


@dataclass
class FakeDriver(Driver):
    """Switches targets by their `id`. `takes_s` is how long a start or stop takes."""

    clock: Clock
    takes_s: float = 0.0
    targets: dict[str, Target] = field(default_factory=dict)
    #: The switches that were asked for, in order: target and operation.
    asked: list[tuple[str, Operation]] = field(default_factory=list)
    #: The errors that the next looks and switches raise, in order.
    look_errors: list[DriverError] = field(default_factory=list)
    switch_errors: list[DriverError] = field(default_factory=list)
    #: Called during a switch.
    meanwhile: Callable[[], None] = lambda: None

    def look(self, spec: JsonObject, memory: JsonObject) -> Sighting:
        if self.look_errors:
            raise self.look_errors.pop(0)
        target = self.target(str(spec["id"]))
        if target.ready_at is not None and target.ready_at <= self.clock():
            assert target.goal is not None
            target.state, target.ready_at = target.goal, None
        told = f"{spec['id']} is {target.state}"
        return Sighting(target.state, told, fault=target.fault)

    def remember(self, spec: JsonObject, memory: JsonObject, operation: Operation) -> JsonObject:
        return memory

    def plan(self, spec: JsonObject, memory: JsonObject, operation: Operation) -> list[str]:
        return [f"{operation} {spec['id']}"]

    def switch(
        self, spec: JsonObject, memory: JsonObject, operation: Operation, key: str
    ) -> JsonObject:
        self.meanwhile()
        if self.switch_errors:
            raise self.switch_errors.pop(0)
        name = str(spec["id"])
        self.asked.append((name, operation))
        target = self.target(name)
        if target.fault and operation is Operation.START:
            return memory
        target.goal = operation.goal
        if self.takes_s:
            target.state = _ON_THE_WAY[operation]
            target.ready_at = self.clock() + timedelta(seconds=self.takes_s)
        else:
            target.state = operation.goal
        return memory

    def target(self, name: str) -> Target:
        return self.targets.setdefault(name, Target())


class RememberingDriver(FakeDriver):
    """A driver whose memory names the target that it was asked to switch."""

    def remember(self, spec: JsonObject, memory: JsonObject, operation: Operation) -> JsonObject:
        return {"of": spec["id"]}


class LifecycleWorld:
    """The lifecycle of workspaces in one deployment."""

    def __init__(self, *, draw: Callable[[], float] = lambda: 0.5) -> None:
        self.clock = Clock()
        self.tables = MemoryTables()
        self.workspaces = MemoryWorkspaceStore(self.tables)
        self.jobs = MemoryLifecycleJobStore(self.tables)
        self.polled_jobs = MemoryJobStore(self.tables)
        self.worker_store = MemoryWorkerStore(self.tables)
        self.queue = Queue(self.clock)
        self.driver = FakeDriver(self.clock)
        self.ids: Iterator[str] = map(str, itertools.count(1))
        self.announced: set[str] = set()
        #: Workers that check in twice a minute, and what they build.
        self.crew: dict[str, tuple[str, ...]] = {}
        services = Services(
            Ports(
                jobs=self.polled_jobs,
                definitions=MemoryDefinitionStore(self.tables),
                workers=self.worker_store,
                workspaces=self.workspaces,
                lifecycle_jobs=self.jobs,
                switch_queue=self.queue,
                driver_for=self.driver_for,
                clock=self.clock,
                new_id=lambda letter: next(self.ids),
                draw=draw,
            )
        )
        self._services = services
        self.definitions = services.definitions
        self.workers = services.workers
        self.hosted_workers = services.hosted_workers
        self.scheduler = services.scheduler
        self.switcher = services.switcher
        self.service = services.workspaces
        self.explainer = services.workspace_explainer

    def driver_for(self, kind: str) -> Driver:
        assert kind == "fake"
        return self.driver

    def another_process(self, **changes: Any) -> Services:
        """Return the services of another process; `changes` replace fields of its ports."""
        return self._services.another(**changes)

    # -- what tests do -------------------------------------------------------------------------

    def define(self, name: str = "box", /, **body: Any) -> Workspace:
        """Define a workspace of the fake driver, and let the scheduler check it."""
        self.service.put(name, {"driver": {"type": "fake", "id": name}, **body})
        return self.look(name)

    def due_start(self, **body: Any) -> LifecycleJob:
        """Define a workspace that starts by itself; return its start as it falls due, unclaimed."""
        self.define(**body)
        [job] = self.open_jobs()
        assert job.operation is Operation.START
        self.clock.now = job.deadline
        return job

    def look(self, name: str = "box") -> Workspace:
        """Let the scheduler check a workspace; return its row."""
        row = self.scheduler.look_at(name)
        assert row is not None
        return row

    def row(self, name: str = "box") -> Workspace:
        row = self.workspaces.get(name)
        assert row is not None
        return row

    def run(self, seconds: float, step_s: float = 1.0) -> None:
        """Let time pass, with ticks every minute and messages as they fall due."""
        until = self.clock.now + timedelta(seconds=seconds)
        while self.clock.now < until:
            self.clock.advance(min(step_s, (until - self.clock.now).total_seconds()))
            if self.clock.now.second % 30 == 0:
                for worker_id, builds in self.crew.items():
                    self.builds(worker_id, *builds)
            self.deliver()
            if self.clock.now.second == 0 and self.clock.now.microsecond == 0:
                self.scheduler.tick()
                self.switcher.tick()

    def deliver(self) -> None:
        """Handle the messages that have come due, and the stream's new jobs."""
        for job_id in [i for i in self.tables.lifecycle_jobs if i not in self.announced]:
            self.announced.add(job_id)
            self.switcher.announce(job_id)
        due = [entry for entry in self.queue.messages if entry[0] <= self.clock.now]
        self.queue.messages = [e for e in self.queue.messages if e[0] > self.clock.now]
        for _, message in due:
            if "workspace" in message:
                self.scheduler.look_at(str(message["workspace"]))
            else:
                self.switcher.run(str(message["job"]), str(message["due_at"]))

    def has_work(self, type: str, shard: int = 0) -> None:
        """Put a polled job into its type's queue."""
        key = AttemptKey(1, len(self.tables.attempts), 1)
        attempt = Attempt("request", key, "job", type, 1, self.clock(), is_polled=True, shard=shard)
        self.polled_jobs.insert([attempt])

    def registers(self, worker_id: str) -> None:
        """Register a worker that checks in from now on."""
        self.workers.register(worker_id, "", (), 4, generation="g1")
        self.builds(worker_id)

    def builds(self, worker_id: str, *builds: str) -> None:
        """Let a worker check in with what it builds."""
        self.crew[worker_id] = builds
        self.workers.check_in(worker_id, WorkerReport(running_build_ids=builds))

    def history(self, name: str = "box") -> list[LifecycleJob]:
        """Return all jobs of a workspace, the oldest first."""
        jobs = [j for j in self.tables.lifecycle_jobs.values() if j.workspace_id == name]
        return sorted(jobs, key=lambda job: (job.created_at, int(job.id)))

    def open_jobs(self, name: str = "box") -> list[LifecycleJob]:
        return [job for job in self.history(name) if not job.has_ended]

    def told(self, name: str = "box") -> list[str]:
        """Return a workspace's jobs as `start completed`."""
        return [f"{job.operation} {job.state}" for job in self.history(name)]

    def log(self, job: LifecycleJob) -> Sequence[str]:
        return [line.output for line in self.jobs.logs(job.id)]


def at(text: str) -> datetime:
    """Return a time of 2026, such as `01-05T08:00`, in UTC."""
    return datetime.fromisoformat(f"2026-{text}+00:00")


__all__ = ["JobState", "LifecycleWorld", "Target", "at"]
