"""Put a deployment together: tables, queues, functions and the state machine, in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import count
from random import Random
from typing import Any

from shiftwork_core.adapters.memory import (
    MemoryBlobStore,
    MemoryJobStore,
    MemoryLifecycleJobStore,
    MemoryRequestStore,
    MemoryWorkspaceStore,
)
from shiftwork_core.errors import Transient
from shiftwork_core.ports.workspaces import DriverError
from shiftwork_platform.cloud.executions import Machine
from shiftwork_platform.cloud.faults import Fault, Faults
from shiftwork_platform.cloud.functions import BatchCaller, Functions
from shiftwork_platform.cloud.hub import Group, Hub
from shiftwork_platform.cloud.process import Process
from shiftwork_platform.cloud.queue import Queue
from shiftwork_platform.cloud.services import Services
from shiftwork_platform.cloud.tables import (
    Index,
    JobStore,
    LifecycleJobStore,
    Observer,
    RequestStore,
    Tables,
    WorkspaceStore,
)
from shiftwork_platform.cloud.tracing import Trace
from shiftwork_platform.machine.interpreter import State, load_machine

#: How long AWS may throttle every call: beyond any retries of a client library.
_LONGEST_STARVED_S = 300.0


class Cloud:
    """A deployment. Whoever uses it adds actors to its `hub`; all else happens by itself.

    Parameters
    ----------
    chance:
        Decides who acts next, and what goes wrong at which moment.
    faults:
        What may go wrong.
    """

    def __init__(self, chance: Random, faults: Faults, trace: Trace, observer: Observer) -> None:
        self.hub = self.new_hub(chance)
        self.faults = faults
        self.trace = trace
        self.chance = chance
        self.ids = count(1)
        self.add_stores(observer)
        self.blobs = MemoryBlobStore(self.tables)
        self.functions = Functions(self)
        self.batch_caller = BatchCaller(self.functions.call)
        self.queue = Queue(self, "retry_jobs")
        self.switch_queue = Queue(self, "switch_workspaces")
        self.machine = Machine(self)
        #: The longest time of which AWS throttles every call, and the least time between two.
        self.longest_starved_s = _LONGEST_STARVED_S
        self.fed_s = 0.0
        self._starved_until = 0.0
        self._held_up: list[Any] = []
        self._network = Group("network")

    # -- what it is made of --------------------------------------------------------------------

    def new_hub(self, chance: Random) -> Hub:
        """Return what keeps time, and has actors act."""
        return Hub(chance)

    def new_process(self, name: str) -> Process:
        """Return a process that nothing has used."""
        return Process(self, name)

    def add_stores(self, observer: Observer) -> None:
        """Add the tables, and the stores over them."""
        self.tables = Tables(observer)
        index = Index(self.tables, self.faults)
        self.store: MemoryRequestStore = RequestStore(self.tables, index=index)
        self.jobs: MemoryJobStore = JobStore(self.tables, index, self.hub, self.faults)
        self.workspaces: MemoryWorkspaceStore = WorkspaceStore(self.tables, index)
        self.lifecycle_jobs: MemoryLifecycleJobStore = LifecycleJobStore(self.tables, index)

    # -- what differs by who uses it -----------------------------------------------------------

    def services_of(self, process: Process) -> Services:
        """Return the services of a process."""
        return Services(self, process)

    def definition_of(self, execution: str) -> State:
        """Return the state machine that an execution of this name goes by."""
        return load_machine()

    def after_event(self) -> None:
        """Do what is to be done between events."""

    def lost_claims(self, claim_ids: Sequence[str]) -> None:
        """Learn the claims of the call during which a process died."""

    def clock_jumps(self, seconds: float) -> None:
        """Learn that the clock of a process is wrong during a call."""

    # -- what actors and processes need --------------------------------------------------------

    def fault_at_call(self, name: str) -> Fault | None:
        """Draw the fault of a call. Calls are starved for a while once one is."""
        if self.hub.now < self._starved_until and not self.faults.is_over:
            return Fault.STARVED
        fault = self.faults.at_call(name)
        if fault is Fault.STARVED:
            if self.fed_s and self.hub.now < self._starved_until + self.fed_s:
                return None
            self._starved_until = self.hub.now + self.faults.seconds(self.longest_starved_s)
        return fault

    def draw(self) -> float:
        """Draw a number of [0, 1)."""
        return self.chance.random()

    def hold_up(self, seconds: float) -> None:
        """Keep the acting actor from acting, at most until the faults are over."""
        actor = self.hub.actor
        self._held_up.append(actor)
        self.hub.sleep(seconds)
        self._held_up.remove(actor)

    def stop_faults(self) -> None:
        """Let nothing go wrong any more, and let all act that faults hold up."""
        self.faults.stop()
        for actor in self._held_up:
            self.hub.unblock(actor)

    def echo(self, name: str, call: Callable[[], object], delay_s: float) -> None:
        """Let a request arrive later that its sender has given up."""

        def arrive() -> None:
            answer: object = None
            self.hub.sleep(delay_s)
            if not self.faults.is_over:
                with suppress(DriverError, Transient):
                    answer = call()
                self.after_event()
                self.note(name, ("late",), {}, answer)

        self.hub.spawn("echo", arrive, self._network)

    def note(
        self,
        what: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        answer: object = None,
        fault: Fault | None = None,
    ) -> None:
        """Add an event to the trace, if one is kept."""
        if self.trace.is_kept:
            self.trace.add(self.hub, what, args, kwargs or {}, answer, fault)
