"""Workers: they take polled jobs through the stores, hold them under a lease, and report.

A worker reads the request after it has found a job and before it claims it, as a batch does: so
that once a cancel has returned, it claims nothing.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from threading import Event
from typing import TYPE_CHECKING

from shiftwork_core.adapters.targets.python import PythonTarget
from shiftwork_core.domain.outcomes import Outcome
from shiftwork_core.domain.records import Attempt, Request
from shiftwork_core.domain.states import RequestStatus
from shiftwork_core.errors import Transient
from shiftwork_core.ports import JobInput
from tests.simulation.hub import Signal
from tests.simulation.process import LEASE, Process
from tests.simulation.services import Services

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

_POLL_S = 4.0
_RESTART_S = 30.0
_REPORTS = 5


def spawn(simulation: Simulation) -> None:
    """Add workers, if the seed has jobs for them."""
    if any(body["target"] == "worker" for body in simulation.workload.job_types.values()):
        for number in range(2):
            worker = Worker(simulation, f"worker{number}")
            simulation.hub.spawn(worker.name, worker.live)


class Worker:
    """A machine on which the worker's process is started again whenever it dies."""

    def __init__(self, simulation: Simulation, name: str) -> None:
        self._simulation = simulation
        self.name = name

    def live(self) -> None:
        """Keep a process running."""
        hub = self._simulation.hub
        while True:
            process = Process(self._simulation, self.name)
            died = Signal(hub)
            process.on_death = died.set
            work = partial(self._work, Services(self._simulation, process))
            hub.spawn(self.name, work, process)
            hub.wait(died)
            hub.sleep(_RESTART_S)

    def _work(self, services: Services) -> None:
        while True:
            self._simulation.hub.sleep(_POLL_S)
            with suppress(Transient):  # What it holds by then comes back when its lease is over.
                if (held := self._claim(services)) is not None:
                    self._do(services, *held)

    def _claim(self, services: Services) -> tuple[Request, Attempt] | None:
        now = services.process.clock()
        found = [
            row
            for row in self._simulation.tables.polled.values()
            if row.wake_at is None or row.wake_at <= now
        ]
        if not found:
            return None
        wanted = self._simulation.choose(found)
        request = services.store.get(wanted.request_id)
        if request is None or request.status is not RequestStatus.INPROGRESS:
            return None
        now = services.process.clock()
        claim = services.jobs.claim(
            wanted.request_id,
            wanted.key,
            claim_id=f"{self.name}.{next(self._simulation.ids)}",
            worker_id=self.name,
            now=now,
            lease_until=now + LEASE,
        )
        return (request, claim.row) if claim.won else None

    def _do(self, services: Services, request: Request, attempt: Attempt) -> None:
        """Do the job, and meanwhile renew its lease; report until somebody answers."""
        hub = self._simulation.hub
        job_type = services.definitions.job_type(attempt.type, attempt.type_version)
        own = services.payloads.unpack(attempt.params)
        stop = Event()
        job = JobInput(
            attempt=attempt,
            params=services.payloads.unpack(request.params) if own is None else own,
            extras=services.payloads.unpack_object(request.extras),
            item=services.payloads.unpack(attempt.item),
            stop=stop,
        )
        outcomes: list[Outcome] = []
        done = Signal(hub)

        def run() -> None:
            outcomes.append(PythonTarget().run(job_type, job))
            done.set()

        hub.spawn(f"{self.name}/job", run, services.process)
        while not hub.wait(done, LEASE.total_seconds() / 3):
            with suppress(Transient):
                until = services.process.clock() + LEASE
                if not services.jobs.renew(attempt, until):
                    stop.set()
        for _ in range(_REPORTS):
            with suppress(Transient):
                services.recorder.record(attempt, outcomes[0])
                return
            hub.sleep(_POLL_S)
