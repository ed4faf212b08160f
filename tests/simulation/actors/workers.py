"""Workers: they poll for jobs through the task API, hold them under a lease, and report.

Some work as our runner does: an exchange takes results and returns jobs, and is repeated under its
id until it is answered. The others work as Conductor's SDKs do: polls, updates, heartbeats.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from random import Random
from threading import Event
from typing import TYPE_CHECKING, Any

from shiftwork_core.adapters.targets.python import PythonTarget
from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.requests.outcomes import Completed, Outcome, Retryable
from shiftwork_core.domain.workers.workers import WorkerReport
from shiftwork_core.errors import NotFound, Refusal
from shiftwork_core.ports.world import JobInput
from shiftwork_core.services.polling.claim import UNREAD_FOR
from shiftwork_core.services.polling.lookup import HeldTask
from shiftwork_core.services.polling.newest_types import KEPT
from shiftwork_core.services.polling.reports import Report, Reported, ReportStatus
from shiftwork_core.services.polling.tasks import Exchanged, Poller, Want
from shiftwork_platform.cloud.faults import Fault
from shiftwork_platform.cloud.functions import FunctionError
from shiftwork_platform.cloud.hub import Signal
from shiftwork_platform.cloud.process import MAX_SKEW_S, Process, moment
from shiftwork_platform.cloud.services import Services
from shiftwork_platform.guarantees.invariants import Invariant, Violation
from tests.simulation.workspace_workload import ALL_WORKERS

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

_POLL_S = 4.0
_LONGEST_IDLE_S = 30.0
_RESTART_S = 30.0
_CHECK_IN_S = 30.0
_REPORTS = 5
_LONGEST_RETRY_S = 5.0
_LONGEST_REST_S = 200.0
_PUT_BACKS = 2

#: A call of the task API.
Call = Callable[[Services], Any]


def spawn(simulation: Simulation) -> None:
    """Add workers, if the seed has jobs for them, and somebody who drains them."""
    polled = [
        name for name, body in simulation.workload.job_types.items() if body["target"] == "worker"
    ]
    if polled:
        hosts = {
            name: plan.bodies[0]["driver"]["id"]
            for plan in simulation.workspace_plans.values()
            for name in plan.workers
        }
        names = list(ALL_WORKERS)
        for number, name in enumerate(names):
            kind = Exchanging if number % 2 == 0 else Polling
            worker = kind(simulation, name, polled, hosts.get(name))
            simulation.hub.spawn(worker.name, worker.live)
        if Fault.WORKERS_DOWN in simulation.faults.rates:
            simulation.hub.spawn("power cuts", partial(_cut_power, simulation))
        if Fault.WORKER_DRAINED in simulation.faults.rates:
            simulation.hub.spawn("drainer", partial(_drain_some, simulation, names))


def _cut_power(simulation: Simulation) -> None:
    """Now and then kill some workers, or all, and keep those down for a while."""
    while not simulation.faults.are_workers_safe:
        simulation.rest(_LONGEST_REST_S)
        if simulation.faults.are_workers_safe:
            return
        down_s = _LONGEST_REST_S * simulation.draw()
        is_everywhere = simulation.faults.is_heads()
        for machine in simulation.machines:
            if is_everywhere or simulation.faults.is_heads():
                machine.cut_power(down_s)


def _drain_some(simulation: Simulation, names: list[str]) -> None:
    """Drain and resume workers while there are faults; in the end resume all of them."""
    while not simulation.faults.is_over:
        simulation.rest(_LONGEST_REST_S)
        name = simulation.choose(names)
        _set_drained(simulation, name, is_drained=name not in simulation.drained)
    for name in names:
        # Not those that a stop alone drains: it ends that itself. A call may outlast its caller.
        row = simulation.tables.workers.get(name)
        if name in simulation.drained or (row is not None and row.is_drained):
            _set_drained(simulation, name, is_drained=False)


def _set_drained(simulation: Simulation, name: str, *, is_drained: bool) -> None:
    """Drain or resume a worker; it counts as drained once the call has returned.

    A call that is given up and made again may outlast its caller, and undo what comes after it.
    """
    simulation.drained.discard(name)
    simulation.drains[name] += 1
    while True:
        try:
            simulation.functions.call("api", partial(_drain, name=name, is_drained=is_drained))
        except FunctionError as error:
            if isinstance(error.raised, NotFound):
                return  # It has never polled.
            simulation.given_up.add(name)
            simulation.hub.sleep(_LONGEST_RETRY_S * simulation.draw())
        else:
            break
    simulation.note(f"has {'drained' if is_drained else 'resumed'} {name}")
    if is_drained:
        simulation.drained.add(name)


def _drain(services: Services, name: str, is_drained: bool) -> None:
    (services.workers.drain if is_drained else services.workers.resume)(name)


@dataclass(slots=True)
class Job:
    """A job that a worker's process has been given."""

    task: HeldTask
    stop: Event = field(default_factory=Event)

    @property
    def attempt_id(self) -> str:
        """Return its id."""
        return self.task.attempt.attempt_id

    @property
    def lease_s(self) -> float:
        """Return how long its worker may be silent."""
        return self.task.job_type.worker.response_timeout_s


class Worker:
    """A machine on which the worker's process is started again whenever it dies.

    The machine is the target of the workspace that hosts the worker, if one does; otherwise it is
    always on.
    """

    def __init__(
        self, simulation: Simulation, name: str, types: list[str], host: str | None
    ) -> None:
        self._simulation = simulation
        self._types = types
        self._host = host
        self._process: Process | None = None
        self._dark_until = 0.0
        self.name = name
        simulation.machines.append(self)

    def live(self) -> None:
        """Keep a process running."""
        hub = self._simulation.hub
        while True:
            process = Process(self._simulation, self.name)
            died = Signal(hub)
            if self._host is not None:
                self._simulation.targets.runs_on(self._host, process)
            process.on_death = died.set
            self._process = process
            hub.spawn(self.name, partial(self.work, process), process)
            hub.wait(died)
            hub.sleep(_RESTART_S)
            while hub.now < self._dark_until and not self._simulation.faults.are_workers_safe:
                hub.sleep(_RESTART_S)

    def cut_power(self, seconds: float) -> None:
        """Kill the process, and start none for a while."""
        self._dark_until = self._simulation.hub.now + seconds
        if self._process is not None:
            self._process.kill()

    def work(self, process: Process) -> None:
        """Do what the process does until it dies."""
        raise NotImplementedError

    # -- what both kinds do --------------------------------------------------------------------

    def _call(self, call: Call) -> Any:
        """Call the task API; return None if it refuses."""
        try:
            return self._simulation.functions.call("serve_tasks", call)
        except FunctionError as error:
            if isinstance(error.raised, Refusal):
                return None
            raise

    def _may_die(self, process: Process) -> None:
        faults = self._simulation.faults
        if faults.strikes(Fault.KILLED):
            process.kill()
            self._simulation.hub.sleep(0.0)  # It does not wake.
        if faults.strikes(Fault.STALLED):
            self._simulation.hold_up(faults.seconds(_LONGEST_REST_S))

    def _polled(self, call: Callable[[], list[HeldTask] | None]) -> list[HeldTask]:
        """Call for jobs; the call returns None if it was refused.

        A worker that was drained during the whole call must be given none. One that may have work
        must leave nothing overdue in its queue, once the platform has no more faults: but in a
        shard that its process has just read, or does not know of yet, for some seconds; and unless
        a lease of the worker itself is declared over meanwhile: then its next call looks.
        """
        simulation = self._simulation
        drains = simulation.drains[self.name]
        was_drained = self.name in simulation.drained - simulation.given_up
        is_looking = simulation.faults.is_over and self._may_have_work
        called_s = seen_s = simulation.hub.now - 2 * MAX_SKEW_S
        if simulation.workload.has_shards:
            seen_s -= (KEPT + UNREAD_FOR).total_seconds()
        before = moment(max(0.0, seen_s))
        overdue = simulation.invariants.overdue(self._types, before)
        tasks = call()
        if was_drained and simulation.drains[self.name] == drains and tasks:
            ids = [task.attempt.attempt_id for task in tasks]
            raise Violation(Invariant.DRAINED, f"{self.name} is given {ids}")
        is_looking = is_looking and self._may_have_work and not self._has_lapsed_since(called_s)
        if is_looking and tasks is not None:
            simulation.invariants.poll_gives_back(overdue, self._types)
        return tasks or []

    @property
    def _may_have_work(self) -> bool:
        row = self._simulation.tables.workers.get(self.name)
        return row is not None and row.may_have_work

    def _has_lapsed_since(self, seconds: float) -> bool:
        row = self._simulation.tables.workers.get(self.name)
        return row is not None and row.has_lapsed_since(moment(max(0.0, seconds)))

    def _do(self, job: Job) -> Report:
        """Do a job, or part of it; return what to report."""
        task = job.task
        attempt = task.attempt
        random = Random(f"{self._simulation.case.seed} {attempt.attempt_id} {attempt.fence}")
        if attempt.poll_count <= _PUT_BACKS and random.random() < 0.25:
            report = partial(self._report, job, ReportStatus.IN_PROGRESS)
            callback_s = random.choice([0.0, 5.0, 50.0])
            return report({f"part{attempt.poll_count}": 1}, callback_after_s=callback_s)
        given = JobInput(attempt, task.params, task.extras, task.item, job.stop)
        outcome: Outcome = PythonTarget().run(task.job_type, given)
        if isinstance(outcome, Completed):
            merged = {**task.output, **outcome.output}
            self._simulation.invariants.returned(attempt.attempt_id, attempt.fence, merged)
            return self._report(job, ReportStatus.COMPLETED, outcome.output)
        is_retry = isinstance(outcome, Retryable)
        status = ReportStatus.FAILED if is_retry else ReportStatus.TERMINAL
        return self._report(job, status, {}, reason=outcome.error.message)

    def _report(self, job: Job, status: ReportStatus, output: JsonObject, **values: Any) -> Report:
        attempt = job.task.attempt
        return Report(
            attempt.attempt_id,
            status,
            output,
            worker_id=self.name,
            fence=attempt.fence,
            **values,
        )


class Exchanging(Worker):
    """A worker that works as our runner does, with room for three jobs."""

    _ROOM = 3

    def work(self, process: Process) -> None:
        """Register, exchange results for jobs, and check in meanwhile."""
        hub = self._simulation.hub
        self._persist(partial(_register, name=self.name, types=self._types, limit=self._ROOM))
        hub.spawn(f"{self.name}/check-in", self._check_in, process)
        running: dict[str, Job] = {}
        results: list[Report] = []
        idle_s = _POLL_S
        news = Signal(hub)

        def run(job: Job) -> None:
            report = self._do(job)
            if running.get(job.attempt_id) is job:
                del running[job.attempt_id]
                results.append(report)
                news.set()

        while True:
            if not results:
                hub.wait(news, min([idle_s, *(job.lease_s / 3 for job in running.values())]))
            news = Signal(hub)
            self._may_die(process)
            sent = results[:]
            answer = self._exchange(sent, running)
            if answer is None:
                continue
            del results[: len(sent)]
            for attempt_id in answer.stop:
                if job := running.pop(attempt_id, None):
                    job.stop.set()
            for task in answer.tasks:
                if task.attempt.attempt_id not in running:
                    job = running[task.attempt.attempt_id] = Job(task)
                    hub.spawn(f"{self.name}/job", partial(run, job), process)
            idle_s = _POLL_S if answer.tasks else min(1.5 * idle_s, _LONGEST_IDLE_S)

    def _check_in(self) -> None:
        while True:
            self._simulation.hub.sleep(_CHECK_IN_S)
            with suppress(FunctionError):
                self._call(partial(_check_in, name=self.name))

    def _persist(self, call: Call) -> None:
        while True:
            with suppress(FunctionError):
                self._call(call)
                return
            self._simulation.hub.sleep(_LONGEST_RETRY_S * self._simulation.draw())

    def _exchange(self, reports: list[Report], running: dict[str, Job]) -> Exchanged | None:
        """Repeat one exchange until it is answered; return None if it never is."""
        simulation = self._simulation
        room = max(0, self._ROOM - len(running))
        call = partial(
            _exchange,
            worker_id=self.name,
            reports=reports,
            wants=[Want(name, room) for name in self._types] if room else [],
            running=list(running),
            exchange_id=f"x{next(simulation.ids)}",
        )
        answer: Exchanged | None = None

        def first() -> list[HeldTask] | None:
            nonlocal answer
            answer = self._call(call)
            return answer.tasks if answer is not None and room else None

        with suppress(FunctionError):
            self._polled(first)
            return answer
        for _ in range(_REPORTS):
            simulation.hub.sleep(_LONGEST_RETRY_S * simulation.draw())
            with suppress(FunctionError):
                answer = self._call(call)
                return answer
        return None


class Polling(Worker):
    """A worker that works as Conductor's SDKs do, with room for two jobs."""

    _ROOM = 2

    def work(self, process: Process) -> None:
        """Poll for jobs while there is room."""
        hub = self._simulation.hub
        running: list[Job] = []
        idle_s = _POLL_S
        while True:
            hub.sleep(idle_s)
            self._may_die(process)
            room = self._ROOM - len(running)
            if not room:
                continue
            call = partial(_poll, type=self._simulation.choose(self._types), name=self.name)
            with suppress(FunctionError):
                tasks = self._polled(partial(self._call, partial(call, count=room)))
                for task in tasks:
                    job = Job(task)
                    running.append(job)
                    work = partial(self._look_after, process, job, running)
                    hub.spawn(f"{self.name}/job", work, process)
                idle_s = _POLL_S if tasks else min(1.5 * idle_s, _LONGEST_IDLE_S)

    def _look_after(self, process: Process, job: Job, running: list[Job]) -> None:
        """Do the job, renew its lease meanwhile, and report until that is answered."""
        hub = self._simulation.hub
        reports: list[Report] = []
        done = Signal(hub)

        def run() -> None:
            reports.append(self._do(job))
            done.set()

        hub.spawn(f"{self.name}/run", run, process)
        beat = self._report(job, ReportStatus.IN_PROGRESS, {}, extend_lease=True)
        while not hub.wait(done, job.task.job_type.worker.response_timeout_s * 0.8):
            with suppress(FunctionError):
                if self._call(partial(_tell, report=beat)) is Reported.STOP:
                    job.stop.set()
        for _ in range(_REPORTS):
            with suppress(FunctionError):
                self._call(partial(_tell, report=reports[0]))
                break
            hub.sleep(_POLL_S)
        running.remove(job)


def _exchange(services: Services, **values: Any) -> Exchanged:
    return services.tasks.exchange(**values)


def _register(services: Services, name: str, types: list[str], limit: int) -> None:
    services.workers.register(name, "", types, limit, generation="g1")


def _check_in(services: Services, name: str) -> None:
    services.workers.check_in(name, WorkerReport())


def _poll(services: Services, type: str, name: str, count: int) -> list[HeldTask]:
    return services.tasks.poll(type, Poller(name), count)


def _tell(services: Services, report: Report) -> Reported:
    return services.tasks.report(report)
