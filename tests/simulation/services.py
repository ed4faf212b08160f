"""The real services, as one process of the platform holds them: built on first use and kept."""

from __future__ import annotations

from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING, Any

import jmespath

from shiftwork_core.adapters.memory import MemoryBlobStore, MemoryDefinitionStore
from shiftwork_core.adapters.targets.python import PythonTarget
from shiftwork_core.domain.definitions import Target
from shiftwork_core.services.cancelling import Canceller
from shiftwork_core.services.definitions import Definitions
from shiftwork_core.services.driving import Driver
from shiftwork_core.services.payloads import Payloads
from shiftwork_core.services.recording import Recorder
from shiftwork_core.services.requests import Requests
from shiftwork_core.services.running import BatchRunner
from shiftwork_core.services.sweeping import Sweeper
from tests.simulation.process import LEASE, Process, Remote

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation


class Services:
    """What bootstrap.py joins, joined to the simulated world."""

    def __init__(self, simulation: Simulation, process: Process) -> None:
        self.process = process
        self._simulation = simulation
        self._clock = process.clock
        # The ports are typed by whoever takes them.
        self.store: Any = Remote(process, simulation.store)
        self.jobs: Any = Remote(process, simulation.jobs)
        self.blobs: Any = Remote(process, MemoryBlobStore(simulation.tables))
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
    def recorder(self) -> Recorder:
        return Recorder(
            store=self.store,
            jobs=self.jobs,
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
    def driver(self) -> Driver:
        return Driver(
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
    def sweeper(self) -> Sweeper:
        return Sweeper(
            store=self.store,
            jobs=self.jobs,
            driver=self.driver,
            recorder=self.recorder,
            machine=self.machine,
            queue=self.queue,
            clock=self._clock,
            lease=LEASE,
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

    def _new_id(self, prefix: str) -> Any:
        ids: count[int] = self._simulation.ids
        return lambda: f"{prefix}{next(ids)}"
