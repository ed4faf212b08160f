"""Build the real services for one process of the simulated platform."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from shiftwork_core.adapters.memory import (
    MemoryBlobStore,
    MemoryDefinitionStore,
    MemoryLimitStore,
    MemoryWorkerStore,
)
from shiftwork_core.domain.requests.definitions import Target
from tests.simulation.callbacks import Callbacks
from tests.simulation.cloud.targets import SimulatedDriver
from tests.simulation.faults import Fault
from tests.simulation.process import Process, Remote
from tests.simulation.workspace_workload import almanac_for
from tests.world import wiring

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation


class Services(wiring.Services):
    """The services of a process whose every call of a port may fail."""

    def __init__(self, simulation: Simulation, process: Process) -> None:
        self.process = process
        self._simulation = simulation

        def remote(adapter: object) -> Any:
            return Remote(process, adapter)

        super().__init__(
            wiring.Ports(
                requests=remote(simulation.store),
                jobs=remote(simulation.jobs),
                limits=remote(MemoryLimitStore(simulation.tables)),
                definitions=remote(MemoryDefinitionStore(simulation.tables)),
                blobs=remote(MemoryBlobStore(simulation.tables)),
                workers=remote(MemoryWorkerStore(simulation.tables)),
                workspaces=remote(simulation.workspaces),
                lifecycle_jobs=remote(simulation.lifecycle_jobs),
                machine=remote(simulation.machine),
                batch_caller=remote(simulation.batch_caller),
                wake_queue=remote(simulation.queue),
                switch_queue=remote(simulation.switch_queue),
                target_for={
                    Target.PYTHON: Callbacks(
                        simulation.behaviour,
                        lambda: simulation.faults.strikes(Fault.MODULE_BROKEN),
                    )
                }.get,
                driver_for=lambda kind: self._driver,
                almanac_for=almanac_for,
                clock=process.clock,
                new_id=self._new_id_of,
                draw=simulation.draw,
                side_by_side=process.side_by_side,
                sleep=simulation.hub.sleep,
                wait=simulation.hub.sleep,
                worker_id=process.name,
            )
        )
        #: What hands a batch to RunJobs.
        self.invoker: Any = remote(simulation.functions)

    def _new_id_of(self, letter: str) -> str:
        new_id = f"{letter}{next(self._simulation.ids)}"
        self.process.claim_ids.append(new_id)
        return new_id

    @cached_property
    def _driver(self) -> SimulatedDriver:
        return SimulatedDriver(self._simulation, self.process)
