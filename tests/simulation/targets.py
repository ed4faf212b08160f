"""The targets that drivers switch: slow, failing, hanging, and switched by others too.

A process reaches them through a driver of its own, so faults strike at every call, and a call that
its caller has given up may be carried out much later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.workspaces.records import Operation, Sighting, WorkspaceState
from shiftwork_core.errors import Transient
from shiftwork_core.ports.workspaces import Driver, DriverError
from shiftwork_platform.cloud.faults import Fault
from shiftwork_platform.cloud.hub import Signal
from shiftwork_platform.cloud.process import Process

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

#: How long a hanging call takes: longer than the function's timeout.
_HANG_S = 90.0

ON_THE_WAY = {
    Operation.START: WorkspaceState.STARTING,
    Operation.STOP: WorkspaceState.STOPPING,
}


@dataclass(slots=True)
class Target:
    """Something that can be on or off.

    `is_foreign`: its last switch was ordered without a job; `foreign_at` is when such a switch last
    changed its state. `version` tells a switch that was reversed midway from the one that counts.
    """

    name: str
    takes_s: float
    state: WorkspaceState = WorkspaceState.STOPPED
    changed_at: float = 0.0
    foreign_at: float = 0.0
    is_foreign: bool = False
    is_broken: bool = False
    version: int = 0
    #: The processes that run on it.
    processes: list[Process] = field(default_factory=list)
    started: list[Signal] = field(default_factory=list)

    @property
    def is_on(self) -> bool:
        """Whether processes run on it."""
        return self.state in (WorkspaceState.RUNNING, WorkspaceState.STOPPING)


class Targets:
    """All targets, by name."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._targets: dict[str, Target] = {}

    def get(self, name: str) -> Target:
        """Return a target; it is made at its first use."""
        target = self._targets.get(name)
        if target is None:
            # What it is like does not depend on who uses it first.
            random = Random(f"{self._simulation.case.seed} target {name}")
            takes_s = random.choice([0.0, 0.0, 2.0, 6.0, 12.0])
            state = random.choice([WorkspaceState.STOPPED, WorkspaceState.RUNNING])
            target = self._targets[name] = Target(name, takes_s, state)
        return target

    # -- what drivers ask ----------------------------------------------------------------------

    def look(self, name: str) -> WorkspaceState:
        """Return its state."""
        self._may_fail(self.get(name))
        return self.get(name).state

    def switch(self, name: str, operation: Operation, key: str) -> None:
        """Begin the switch, unless the target is already there or on its way."""
        simulation, target = self._simulation, self.get(name)
        self._may_fail(target)
        if target.state in (operation.goal, ON_THE_WAY[operation]):
            return
        self._set_off(target, operation, is_foreign=simulation.lifecycle.has_ended(key))
        if simulation.faults.strikes(Fault.TARGET_HANGS):
            simulation.hold_up(_HANG_S)

    def switch_without_platform(self, name: str, operation: Operation) -> None:
        """Switch it in the console of its own service."""
        target = self.get(name)
        if target.state not in (operation.goal, ON_THE_WAY[operation]):
            self._set_off(target, operation, is_foreign=True)

    def runs_on(self, name: str, process: Process) -> None:
        """Wait until a target is on; from then on the process dies when it is switched off."""
        target = self.get(name)
        while not target.is_on:
            signal = Signal(self._simulation.hub)
            target.started.append(signal)
            self._simulation.hub.wait(signal)
        target.processes.append(process)

    def repair(self) -> None:
        """Let every target work again."""
        for target in self._targets.values():
            target.is_broken = False

    # -- what becomes of it --------------------------------------------------------------------

    def _may_fail(self, target: Target) -> None:
        faults = self._simulation.faults
        if faults.strikes(Fault.TARGET_BROKEN):
            target.is_broken = True
        if target.is_broken:
            raise DriverError("access denied", is_final=faults.is_heads())
        if faults.strikes(Fault.TARGET_HANGS):
            self._simulation.hold_up(_HANG_S)
        if faults.strikes(Fault.TARGET_FAILED):
            raise DriverError("no capacity")

    def _set_off(self, target: Target, operation: Operation, *, is_foreign: bool) -> None:
        faults, before = self._simulation.faults, target.state
        target.is_foreign = is_foreign
        if not target.takes_s:
            self._arrive(target, operation.goal)
            return
        self._arrive(target, ON_THE_WAY[operation])
        ends_as = operation.goal
        if faults.strikes(Fault.TARGET_FAILED) and before is operation.opposite.goal:
            ends_as = before
        work = partial(self._arrive_later, target, ends_as, target.version)
        self._simulation.hub.spawn(f"target {target.name}", work)

    def _arrive_later(self, target: Target, state: WorkspaceState, version: int) -> None:
        self._simulation.hub.sleep(target.takes_s)
        if target.version == version:
            self._arrive(target, state)

    def _arrive(self, target: Target, state: WorkspaceState) -> None:
        target.state = state
        target.version += 1
        target.changed_at = self._simulation.hub.now
        if target.is_foreign:
            target.foreign_at = target.changed_at
        self._simulation.note(f"{target.name} is {state}")
        if not target.is_on:
            processes, target.processes = target.processes, []
            for process in processes:
                process.kill()
        elif target.started:
            started, target.started = target.started, []
            for signal in started:
                signal.set()


class SimulatedDriver(Driver):
    """The driver of one process.

    Its memory names the target that it is of, so that a memory given back for another target shows.
    """

    def __init__(self, simulation: Simulation, process: Process) -> None:
        self._simulation = simulation
        self._process = process

    def look(self, spec: JsonObject, memory: JsonObject) -> Sighting:
        self._check(spec, memory)
        state = self._call("look", self._simulation.targets.look, spec["id"])
        self._simulation.lifecycle.has_seen(spec["id"], state)
        return Sighting(state, f"{spec['id']} is {state}")

    def remember(self, spec: JsonObject, memory: JsonObject, operation: Operation) -> JsonObject:
        self._check(spec, memory)
        return {**memory, "target": spec["id"]}

    def plan(self, spec: JsonObject, memory: JsonObject, operation: Operation) -> list[str]:
        self._check(spec, memory)
        return [f"{operation} {spec['id']}"]

    def switch(
        self, spec: JsonObject, memory: JsonObject, operation: Operation, key: str
    ) -> JsonObject:
        self._check(spec, memory)
        clock = self._process.clock()
        self._simulation.lifecycle.is_asked(key, spec["id"], operation, clock)
        self._call("switch", self._simulation.targets.switch, spec["id"], operation, key)
        return {**memory, "last": operation.value}

    def _check(self, spec: JsonObject, memory: JsonObject) -> None:
        self._simulation.lifecycle.is_remembered(spec["id"], memory.get("target"))

    def _call(self, name: str, call: Callable[..., Any], *args: Any) -> Any:
        try:
            return self._process.call(name, call, *args)
        except Transient as error:
            raise DriverError(f"nobody answers: {error}") from error
