"""The deployment that `shiftwork dev` serves: real time, a file of tables, callbacks in process."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

from shiftwork_core.adapters.expressions import search
from shiftwork_core.adapters.memory import (
    MemoryJobStore,
    MemoryLifecycleJobStore,
    MemoryRequestStore,
    MemoryWorkspaceStore,
)
from shiftwork_core.adapters.targets.python import CallbackOf, PythonTarget
from shiftwork_core.adapters.threads import side_by_side
from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.requests.definitions import Target
from shiftwork_core.domain.requests.records import Attempt, Request, Step
from shiftwork_core.domain.requests.states import AttemptStatus
from shiftwork_core.domain.requests.wake_ups import wake_up
from shiftwork_core.domain.workspaces.records import LifecycleJob, Workspace
from shiftwork_core.ports.world import MAX_DELAY, JobTarget, Key, Result
from shiftwork_core.services.sweep import Sweep
from shiftwork_platform.cloud import schedules
from shiftwork_platform.cloud.cloud import Cloud
from shiftwork_platform.cloud.faults import NoFaults
from shiftwork_platform.cloud.functions import FunctionError
from shiftwork_platform.cloud.hub import Hub
from shiftwork_platform.cloud.process import Process, moment
from shiftwork_platform.cloud.queue import Stream
from shiftwork_platform.cloud.services import Services
from shiftwork_platform.cloud.tables import AnyRow, Observer
from shiftwork_platform.cloud.tracing import Trace
from shiftwork_platform.dev.debugging import Stopwatch
from shiftwork_platform.dev.hub import RealHub
from shiftwork_platform.dev.pretending import PretendingDriver
from shiftwork_platform.sqlite import SqliteTables

#: What is held by a process that died is given up so late.
LEASE = timedelta(seconds=20)
#: How often each sweep of the lifecycle runs, as template.yaml has it.
_MINUTE_S = 60.0


class WatchedTables(SqliteTables):
    """The tables in their file; an observer is told of each write."""

    def __init__(self, path: Path, observer: Observer) -> None:
        self._observer: Observer | None = None
        super().__init__(path)
        self._observer = observer

    def put_request(self, request: Request) -> Request:
        """Write it, and tell."""
        self._tell(self.requests.get(request.request_id), super().put_request(request))
        return request

    def put_step(self, step: Step) -> Step:
        """Write it, and tell."""
        self._tell(self.step(step.request_id, step.index), super().put_step(step))
        return step

    def put_attempt(self, attempt: Attempt) -> Attempt:
        """Write it, and tell."""
        self._tell(self.attempt(attempt.request_id, attempt.key), super().put_attempt(attempt))
        return attempt

    def put_workspace(self, workspace: Workspace) -> Workspace:
        """Write it, and tell."""
        before = self.workspaces.get(workspace.workspace_id)
        self._tell(before, super().put_workspace(workspace))
        return workspace

    def put_lifecycle_job(self, job: LifecycleJob) -> LifecycleJob:
        """Write it, and tell."""
        self._tell(self.lifecycle_jobs.get(job.id), super().put_lifecycle_job(job))
        return job

    def _tell(self, old: AnyRow | None, new: AnyRow) -> None:
        if self._observer is not None:
            self._observer.changed(old, new)


class DevProcess(Process):
    """A process of the deployment: its threads are the system's."""

    __slots__ = ()

    def side_by_side(
        self, calls: Mapping[Key, Callable[[], Result]], tick_s: Callable[[], float]
    ) -> Iterator[Mapping[Key, Future[Result]]]:
        """Make the calls in threads; see `ports.world.SideBySide`."""
        return side_by_side(calls, tick_s)


class DevDeployment(Cloud):
    """A deployment in real time.

    Parameters
    ----------
    state:
        The file of its tables.
    services:
        The URLs of the services that HTTP jobs call.
    token:
        The admin token.
    callback_of:
        Finds the callbacks that are to be used now.
    observer:
        Is told of each write.
    """

    def __init__(
        self,
        state: Path,
        services: JsonObject,
        token: str,
        callback_of: CallbackOf,
        observer: Observer,
    ) -> None:
        self._state = state
        self.service_urls = services
        self._token = token
        self._callback_of = callback_of
        self._told = observer
        self._driver = PretendingDriver()
        self.watch = Stopwatch()
        super().__init__(Random(), NoFaults(), Trace(is_kept=False), observer)
        self.queue.gathered_s = 0.0
        self._stream = Stream(self)

    # -- what it is made of --------------------------------------------------------------------

    def new_hub(self, chance: Random) -> Hub:
        """Return what has actors act in threads."""
        return RealHub(self.watch.stood_s)

    def add_stores(self, observer: Observer) -> None:
        """Add the tables in their file, and the stores over them."""
        self.tables: Any = WatchedTables(self._state, self)
        self.store = MemoryRequestStore(self.tables)
        self.jobs = MemoryJobStore(self.tables)
        self.workspaces = MemoryWorkspaceStore(self.tables)
        self.lifecycle_jobs = MemoryLifecycleJobStore(self.tables)

    def new_process(self, name: str) -> Process:
        """Return a process of this deployment."""
        return DevProcess(self, name)

    def services_of(self, process: Process) -> Services:
        """Return the services of a process."""
        return self.services(process)

    def services(self, process: Process, **ports: Any) -> Services:
        """Return the services of a process; `ports` replace some of its own."""
        given: dict[str, Any] = {
            "target_for": self._target_for,
            "driver_for": lambda kind: self._driver,
            "read_token_secret": lambda: json.dumps({"admin": self._token}),
            "lease": LEASE,
            "new_id": lambda letter: str(uuid4()) if letter in "rlw" else uuid4().hex[:12],
            "draw": random.random,
            "monotonic": lambda: time.monotonic() - self.watch.stood_s(),
        }
        return Services(self, process, **{**given, **ports})

    def _target_for(self, target: Target) -> JobTarget | None:
        match target:
            case Target.PYTHON:
                return PythonTarget(self._callback_of)
            case Target.HTTP:
                from shiftwork_core.adapters.named_services import NamedServices
                from shiftwork_core.adapters.targets.http import HttpTarget

                services = NamedServices(self.service_urls)
                return HttpTarget(services, search, lambda: moment(self.hub.now))
            case Target.LAMBDA:
                # A callback of the type's name stands in for the function.
                return PythonTarget(self._callback_of)
            case Target.WORKER:
                return None

    @property
    def now(self) -> datetime:
        """Return the time."""
        return moment(self.hub.now)

    # -- what happens --------------------------------------------------------------------------

    def changed(self, old: AnyRow | None, new: AnyRow) -> None:
        """Pass it on; a new lifecycle job is announced, as the table's stream does."""
        if isinstance(new, LifecycleJob) and old is None:
            self._stream.announce(new)
        self._told.changed(old, new)

    def deleted(self, old: Workspace) -> None:
        """Pass it on."""
        self._told.deleted(old)

    def start(self) -> None:
        """Go on where the process before this one was, and sweep from now on."""
        self._give_up_what_was_held()
        for sweep in (Sweep.NEW_REQUESTS, Sweep.INPROGRESS_REQUESTS, Sweep.JOBS):
            self.hub.spawn(f"first {sweep}", partial(schedules.run_sweep, self, sweep))
        schedules.spawn(self)
        for function in ("schedule_workspaces", "switch_workspaces"):
            self.hub.spawn(function, partial(self._each_minute, function))

    def running(self) -> list[Attempt]:
        """Return the attempts that are done in this process."""
        with self.tables.lock:
            return [
                attempt
                for attempts in self.tables.attempts.values()
                for attempt in attempts.values()
                if attempt.status is AttemptStatus.INPROGRESS and not attempt.is_polled
            ]

    def _give_up_what_was_held(self) -> None:
        """Let what the process before held be lost at once: it is dead, as only this one knows."""
        now = self.now
        with self.tables.lock:
            for attempt in self.running():
                self.tables.put_attempt(replace(attempt, lease_until=now))
            for request in list(self.tables.requests.values()):
                starts_later = request.start_at is not None and request.start_at > now
                if not (request.has_ended or starts_later or request.due_at is None):
                    self.tables.put_request(replace(request, due_at=now))
            self.tables.alive.clear()
            self._send_messages_again(now)

    def _send_messages_again(self, now: datetime) -> None:
        """Send what is to wake requests and jobs: the queue has died with the process before."""
        for request in self.tables.requests.values():
            if request.start_at is not None and now < request.start_at <= now + MAX_DELAY:
                wait = request.start_at - now
                self.queue.send({"request_id": request.request_id}, wait.total_seconds())
        for attempts in self.tables.attempts.values():
            for attempt in attempts.values():
                if attempt.wake_at is None or attempt.is_polled:
                    continue
                if attempt.status is AttemptStatus.NEW and attempt.wake_at <= now + MAX_DELAY:
                    wait = max(attempt.wake_at - now, timedelta(0))
                    self.queue.send(wake_up(attempt, 1), wait.total_seconds())

    def _each_minute(self, function: str) -> None:
        while True:
            with suppress(FunctionError):
                self.functions.call(function, {})
            self.hub.sleep(_MINUTE_S)
