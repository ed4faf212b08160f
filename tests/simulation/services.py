"""The real services, as one process of the platform holds them: built on first use and kept."""

from __future__ import annotations

from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING, Any

import jmespath

from shiftwork_core.adapters.memory import (
    MemoryBlobStore,
    MemoryDefinitionStore,
    MemoryLimitStore,
    MemoryWorkerStore,
)
from shiftwork_core.adapters.targets.python import PythonTarget
from shiftwork_core.domain.requests.definitions import Target
from shiftwork_core.domain.workers.workers import Liveness
from shiftwork_core.services.polling.claim import QueueClaimer
from shiftwork_core.services.polling.limits import Limiter
from shiftwork_core.services.polling.tasks import Tasks
from shiftwork_core.services.requests.advance import RequestAdvancer
from shiftwork_core.services.requests.cancel import Canceller
from shiftwork_core.services.requests.definitions import Definitions
from shiftwork_core.services.requests.outcomes import OutcomeRecorder
from shiftwork_core.services.requests.payloads import Payloads
from shiftwork_core.services.requests.requests import Requests
from shiftwork_core.services.requests.run_jobs import BatchRunner
from shiftwork_core.services.sweep import Sweeper
from shiftwork_core.services.workers.reaper import WorkerReaper
from shiftwork_core.services.workers.records import WorkerRecords
from shiftwork_core.services.workspaces.hosted_workers import HostedWorkers
from shiftwork_core.services.workspaces.logs import LifecycleLogs
from shiftwork_core.services.workspaces.schedule import WorkspaceScheduler
from shiftwork_core.services.workspaces.switch import WorkspaceSwitcher
from shiftwork_core.services.workspaces.wake import LifecycleWakeUps
from shiftwork_core.services.workspaces.workspaces import Workspaces
from tests.simulation.cloud.targets import SimulatedDriver
from tests.simulation.process import LEASE, Process, Remote
from tests.simulation.workspace_workload import almanac_for

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation


class Services:
    """What bootstrap joins, joined to the simulated world."""

    def __init__(self, simulation: Simulation, process: Process) -> None:
        self.process = process
        self._simulation = simulation
        self._clock = process.clock
        # The ports are typed by whoever takes them.
        self.store: Any = Remote(process, simulation.store)
        self.jobs: Any = Remote(process, simulation.jobs)
        self.limits: Any = Remote(process, MemoryLimitStore(simulation.tables))
        self.blobs: Any = Remote(process, MemoryBlobStore(simulation.tables))
        self.workers: Any = Remote(process, MemoryWorkerStore(simulation.tables))
        self.watch = WorkerRecords(self.workers, self._clock, Liveness())
        self.machine: Any = Remote(process, simulation.machine)
        self.queue: Any = Remote(process, simulation.queue)
        self.invoker: Any = Remote(process, simulation.functions)

    @cached_property
    def definitions(self) -> Definitions:
        store: Any = Remote(self.process, MemoryDefinitionStore(self._simulation.tables))
        return Definitions(store, self._clock)

    @cached_property
    def payloads(self) -> Payloads:
        return Payloads(self.blobs)

    @cached_property
    def canceller(self) -> Canceller:
        return Canceller(self.store, self.jobs, self.machine, self._clock)

    @cached_property
    def recorder(self) -> OutcomeRecorder:
        return OutcomeRecorder(
            store=self.store,
            jobs=self.jobs,
            limits=self.limits,
            watch=self.watch,
            definitions=self.definitions,
            payloads=self.payloads,
            machine=self.machine,
            queue=self.queue,
            canceller=self.canceller,
            clock=self._clock,
            draw=self._simulation.draw,
            lease=LEASE,
        )

    @cached_property
    def advancer(self) -> RequestAdvancer:
        return RequestAdvancer(
            store=self.store,
            jobs=self.jobs,
            blobs=self.blobs,
            definitions=self.definitions,
            payloads=self.payloads,
            machine=self.machine,
            recorder=self.recorder,
            canceller=self.canceller,
            search=jmespath.search,
            clock=self._clock,
            lease=LEASE,
        )

    @cached_property
    def runner(self) -> BatchRunner:
        targets = {Target.PYTHON: PythonTarget(), Target.WORKER: None}
        return BatchRunner(
            store=self.store,
            jobs=self.jobs,
            definitions=self.definitions,
            payloads=self.payloads,
            recorder=self.recorder,
            machine=self.machine,
            target_for=targets.get,
            side_by_side=self.process.side_by_side,
            clock=self._clock,
            new_id=self._new_id("c"),
            lease=LEASE,
            worker_id=self.process.name,
        )

    @cached_property
    def reaper(self) -> WorkerReaper:
        return WorkerReaper(
            workers=self.workers,
            jobs=self.jobs,
            recorder=self.recorder,
            clock=self._clock,
            rules=Liveness(),
        )

    @cached_property
    def sweeper(self) -> Sweeper:
        return Sweeper(
            store=self.store,
            jobs=self.jobs,
            advancer=self.advancer,
            machine=self.machine,
            queue=self.queue,
            reaper=self.reaper,
            clock=self._clock,
            lease=LEASE,
        )

    @cached_property
    def limiter(self) -> Limiter:
        return Limiter(self.jobs, self.limits, self.recorder, self._clock)

    @cached_property
    def tasks(self) -> Tasks:
        return Tasks(
            store=self.store,
            jobs=self.jobs,
            definitions=self.definitions,
            payloads=self.payloads,
            recorder=self.recorder,
            claimer=QueueClaimer(
                store=self.store,
                jobs=self.jobs,
                definitions=self.definitions,
                limiter=self.limiter,
                clock=self._clock,
                draw=self._simulation.draw,
                tally=lambda counts: None,
                soonest=LEASE,
            ),
            watch=self.watch,
            clock=self._clock,
            new_id=self._new_id("p"),
        )

    @cached_property
    def requests(self) -> Requests:
        return Requests(
            store=self.store,
            jobs=self.jobs,
            definitions=self.definitions,
            payloads=self.payloads,
            machine=self.machine,
            queue=self.queue,
            canceller=self.canceller,
            check_schema=lambda schema, value: [],
            clock=self._clock,
            new_id=self._new_id("r"),
            lease=LEASE,
        )

    # -- workspaces ----------------------------------------------------------------------------

    @cached_property
    def _lifecycle(self) -> dict[str, Any]:
        """What every part of the lifecycle has."""
        jobs: Any = Remote(self.process, self._simulation.lifecycle_jobs)
        queue: Any = Remote(self.process, self._simulation.switch_queue)
        driver = SimulatedDriver(self._simulation, self.process)
        return {
            "workspaces": Remote(self.process, self._simulation.workspaces),
            "jobs": jobs,
            "logs": LifecycleLogs(jobs, self._clock, self._new_id("g")),
            "hosted_workers": HostedWorkers(
                self.jobs, self.workers, self.watch, self._clock, Liveness()
            ),
            "driver_for": lambda kind: driver,
            "almanac_for": almanac_for,
            "wake_ups": LifecycleWakeUps(queue, self._clock),
            "clock": self._clock,
            "new_id": self._new_id("l"),
        }

    @cached_property
    def scheduler(self) -> WorkspaceScheduler:
        return WorkspaceScheduler(**self._lifecycle, side_by_side=self.process.side_by_side)

    @cached_property
    def switcher(self) -> WorkspaceSwitcher:
        return WorkspaceSwitcher(
            **self._lifecycle,
            scheduler=self.scheduler,
            side_by_side=self.process.side_by_side,
            draw=self._simulation.draw,
            tally=lambda counts: None,
            lease=LEASE,
        )

    @cached_property
    def workspaces(self) -> Workspaces:
        return Workspaces(**self._lifecycle)

    def _new_id(self, prefix: str) -> Any:
        ids: count[int] = self._simulation.ids
        return lambda: f"{prefix}{next(ids)}"
