# long: every service of the platform stands here once
"""Connect the services of one process to ports, whatever adapters are behind them.

Whoever runs the platform in one process provides the adapters. Which service gets which of them is
said here alone, as in `shiftwork_core.bootstrap` for what is deployed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from typing import Any

from shiftwork_core.adapters.expressions import search
from shiftwork_core.adapters.memory import MemoryManifestSource
from shiftwork_core.adapters.targets.python import PythonTarget
from shiftwork_core.domain.requests.definitions import Target
from shiftwork_core.domain.workers.workers import Liveness
from shiftwork_core.domain.workspaces.schedules import Almanac, Schedule
from shiftwork_core.ports.jobs import JobStore, LimitStore
from shiftwork_core.ports.manifests import ManifestSource
from shiftwork_core.ports.stores import DefinitionStore, Lane, RequestStore
from shiftwork_core.ports.workers import TokenStore, WorkerStore, WorkerWatch
from shiftwork_core.ports.workspaces import DriverFor, LifecycleJobStore, WorkspaceStore
from shiftwork_core.ports.world import (
    BatchCaller,
    BlobStore,
    Clock,
    JobTarget,
    Key,
    Machine,
    NewId,
    Queue,
    Result,
    Runtime,
    SideBySide,
)
from shiftwork_core.services.polling.claim import QueueClaimer
from shiftwork_core.services.polling.lapsed import LapsedAttempts
from shiftwork_core.services.polling.limits import Limiter
from shiftwork_core.services.polling.newest_types import NewestTypes
from shiftwork_core.services.polling.tasks import Tasks
from shiftwork_core.services.requests.advance import RequestAdvancer
from shiftwork_core.services.requests.barrier import StepBarrier
from shiftwork_core.services.requests.call import BatchCalls
from shiftwork_core.services.requests.cancel import Canceller
from shiftwork_core.services.requests.cleanup import RequestCleaner
from shiftwork_core.services.requests.definitions import Definitions
from shiftwork_core.services.requests.dispatch import Dispatcher
from shiftwork_core.services.requests.executions import Executions
from shiftwork_core.services.requests.held import BatchHost
from shiftwork_core.services.requests.manifests import Manifests
from shiftwork_core.services.requests.outcomes import OutcomeRecorder
from shiftwork_core.services.requests.overdue import DueRequests, DueWakeUps
from shiftwork_core.services.requests.payloads import Payloads
from shiftwork_core.services.requests.plan import StepPlanner
from shiftwork_core.services.requests.records import RequestRecords
from shiftwork_core.services.requests.requests import CheckSchema, Requests
from shiftwork_core.services.requests.run_jobs import BatchRunner
from shiftwork_core.services.sweep import Sweep, Sweeper, SweepHost
from shiftwork_core.services.workers.access import Access
from shiftwork_core.services.workers.explain import WorkerExplainer
from shiftwork_core.services.workers.reaper import WorkerReaper
from shiftwork_core.services.workers.records import WorkerRecords
from shiftwork_core.services.workers.register import Registrations
from shiftwork_core.services.workspaces.execute import LifecycleExecutor
from shiftwork_core.services.workspaces.explain import WorkspaceExplainer
from shiftwork_core.services.workspaces.hosted_workers import HostedWorkers
from shiftwork_core.services.workspaces.logs import LifecycleLogs
from shiftwork_core.services.workspaces.records import (
    AlmanacFor,
    LifecycleRecords,
    SpecLookup,
)
from shiftwork_core.services.workspaces.schedule import WorkspaceScheduler
from shiftwork_core.services.workspaces.switch import WorkspaceSwitcher
from shiftwork_core.services.workspaces.wake import LifecycleWakeUps
from shiftwork_core.services.workspaces.workspaces import Workspaces

LEASE = timedelta(seconds=60)
RETENTION = timedelta(days=90)
RULES = Liveness()
#: The port is left out: nothing that the test calls uses it.
_ABSENT: Any = None


def one_after_the_other(
    calls: Mapping[Key, Callable[[], Result]], tick_s: Callable[[], float]
) -> Iterator[Mapping[Key, Future[Result]]]:
    """Make the calls in order; see `ports.world.SideBySide`."""
    for key, call in calls.items():
        future: Future[Result] = Future()
        try:
            future.set_result(call())
        except Exception as error:
            future.set_exception(error)
        yield {key: future}


def _almanac_for(schedule: Schedule) -> Almanac:
    from shiftwork_core.adapters.schedules.almanacs import almanac_of  # Few have schedules.

    return almanac_of(schedule)


@dataclass(frozen=True, kw_only=True)
class Ports:
    """The adapters and settings that the services of one process are given."""

    # Stores.
    requests: RequestStore = _ABSENT
    jobs: JobStore = _ABSENT
    limits: LimitStore = _ABSENT
    definitions: DefinitionStore = _ABSENT
    blobs: BlobStore = _ABSENT
    workers: WorkerStore = _ABSENT
    tokens: TokenStore = _ABSENT
    manifests: ManifestSource = field(default_factory=MemoryManifestSource)
    workspaces: WorkspaceStore = _ABSENT
    lifecycle_jobs: LifecycleJobStore = _ABSENT
    # The platform.
    machine: Machine = _ABSENT
    batch_caller: BatchCaller = _ABSENT
    wake_queue: Queue = _ABSENT
    switch_queue: Queue = _ABSENT
    target_for: Callable[[Target], JobTarget | None] = {Target.PYTHON: PythonTarget()}.get
    driver_for: DriverFor = _ABSENT
    almanac_for: AlmanacFor = _almanac_for
    read_token_secret: Callable[[], str] = _ABSENT
    #: None means the process's own worker records.
    watch: WorkerWatch | None = None
    # The process.
    clock: Clock
    #: Seconds by which what is known of tokens grows old.
    monotonic: Callable[[], float] = lambda: 0.0
    #: Returns a new id, given the letter of its kind: r for a request, c for a claim by a batch and
    #: p for one by a poll, l for a lifecycle job or its claim, g for a line of its log, w for a
    #: worker's token.
    new_id: Callable[[str], str] = _ABSENT
    draw: Callable[[], float] = lambda: 0.5
    side_by_side: SideBySide = one_after_the_other
    sleep: Callable[[float], None] = lambda seconds: None
    #: Lets time pass where no batch runs meanwhile.
    wait: Callable[[float], None] = lambda seconds: None
    worker_id: str = "test"
    # Settings.
    lease: timedelta = LEASE
    rules: Liveness = RULES
    is_enabled: bool = True
    check_schema: CheckSchema = lambda schema, value: []
    #: Counts business outcomes by their metrics' names.
    tally: Callable[[dict[str, int]], None] = lambda counts: None


class Services:
    """The services of one process, each built on first use and kept."""

    def __init__(self, ports: Ports) -> None:
        self.ports = ports

    def another(self, **changes: Any) -> Services:
        """Return the services of another process; `changes` replace fields of its ports."""
        return Services(replace(self.ports, **changes))

    def _new_id(self, letter: str) -> NewId:
        new_id = self.ports.new_id
        return lambda: new_id(letter)

    # -- requests ------------------------------------------------------------------------------

    @cached_property
    def definitions(self) -> Definitions:
        return Definitions(self.ports.definitions, self.ports.clock)

    @cached_property
    def payloads(self) -> Payloads:
        return Payloads(self.ports.blobs, RETENTION)

    @cached_property
    def canceller(self) -> Canceller:
        ports = self.ports
        return Canceller(ports.requests, ports.jobs, ports.machine, ports.clock)

    @cached_property
    def records(self) -> RequestRecords:
        ports = self.ports
        return RequestRecords(
            ports.requests, ports.jobs, self.definitions, self.payloads, lambda: self.manifests
        )

    @cached_property
    def manifests(self) -> Manifests:
        ports = self.ports
        return Manifests(ports.manifests, self.payloads, lambda place: place.bucket != "forbidden")

    def _runtime(self, letter: str) -> Runtime:
        ports = self.ports
        return Runtime(ports.clock, self._new_id(letter), ports.draw, ports.lease)

    @cached_property
    def runtime(self) -> Runtime:
        return self._runtime("c")

    @cached_property
    def recorder(self) -> OutcomeRecorder:
        return OutcomeRecorder(
            records=self.records,
            limits=self.ports.limits,
            watch=self.watch,
            queue=self.ports.wake_queue,
            canceller=self.canceller,
            runtime=self.runtime,
        )

    @cached_property
    def executions(self) -> Executions:
        ports = self.ports
        return Executions(ports.requests, ports.machine, ports.wake_queue, self.runtime, ports.wait)

    @cached_property
    def barrier(self) -> StepBarrier:
        return StepBarrier(
            records=self.records,
            machine=self.ports.machine,
            executions=self.executions,
            recorder=self.recorder,
            runtime=self.runtime,
        )

    @cached_property
    def planner(self) -> StepPlanner:
        return StepPlanner(self.records, self.recorder, search, self.runtime)

    @cached_property
    def cleaner(self) -> RequestCleaner:
        return RequestCleaner(
            self.records, self.planner, self.recorder, self.canceller, self.runtime
        )

    @cached_property
    def dispatcher(self) -> Dispatcher:
        ports = self.ports
        calls = BatchCalls(ports.batch_caller, ports.side_by_side, ports.clock)
        return Dispatcher(self.records, calls, self.executions, self.runtime)

    @cached_property
    def advancer(self) -> RequestAdvancer:
        return RequestAdvancer(
            records=self.records,
            planner=self.planner,
            cleaner=self.cleaner,
            barrier=self.barrier,
            dispatcher=self.dispatcher,
            runtime=self.runtime,
        )

    @cached_property
    def runner(self) -> BatchRunner:
        ports = self.ports
        return BatchRunner(
            records=self.records,
            recorder=self.recorder,
            barrier=self.barrier,
            host=BatchHost(
                ports.target_for, ports.side_by_side, ports.worker_id, ports.sleep, search
            ),
            runtime=self.runtime,
        )

    @cached_property
    def requests(self) -> Requests:
        return Requests(
            records=self.records,
            executions=self.executions,
            canceller=self.canceller,
            check_schema=self.ports.check_schema,
            runtime=self._runtime("r"),
            is_enabled=self.ports.is_enabled,
        )

    # -- polling -------------------------------------------------------------------------------

    @cached_property
    def limiter(self) -> Limiter:
        ports = self.ports
        return Limiter(ports.jobs, ports.limits, self.recorder, self.barrier, ports.clock)

    @cached_property
    def claimer(self) -> QueueClaimer:
        lapsed = LapsedAttempts(self.ports.jobs, self.recorder, self.barrier, self.runtime)
        newest = NewestTypes(self.definitions, self.ports.clock)
        return QueueClaimer(
            self.records, newest, self.limiter, lapsed, self.ports.tally, self.runtime
        )

    @cached_property
    def tasks(self) -> Tasks:
        return Tasks(
            records=self.records,
            recorder=self.recorder,
            claimer=self.claimer,
            barrier=self.barrier,
            watch=self.watch,
            runtime=self._runtime("p"),
        )

    # -- workers -------------------------------------------------------------------------------

    @cached_property
    def workers(self) -> WorkerRecords:
        return WorkerRecords(self.ports.workers, self.ports.clock, self.ports.rules)

    @cached_property
    def watch(self) -> WorkerWatch:
        return self.workers if self.ports.watch is None else self.ports.watch

    @cached_property
    def access(self) -> Access:
        return Access(
            self.ports.read_token_secret, self.workers.generation_of, self.ports.monotonic
        )

    @cached_property
    def registrations(self) -> Registrations:
        return Registrations(
            self.workers,
            self.ports.tokens,
            self.access,
            lambda: self.reaper,
            self.ports.clock,
            self._new_id("w"),
        )

    @cached_property
    def worker_explainer(self) -> WorkerExplainer:
        ports = self.ports
        return WorkerExplainer(self.definitions, ports.jobs, ports.limits, ports.clock, ports.rules)

    @cached_property
    def reaper(self) -> WorkerReaper:
        return WorkerReaper(
            workers=self.ports.workers,
            jobs=self.ports.jobs,
            recorder=self.recorder,
            barrier=self.barrier,
            clock=self.ports.clock,
            rules=self.ports.rules,
        )

    # -- sweeps --------------------------------------------------------------------------------

    @cached_property
    def sweeper(self) -> Sweeper:
        return Sweeper(
            {
                Sweep.NEW_REQUESTS: self._due_requests(Lane.NEW),
                Sweep.INPROGRESS_REQUESTS: self._due_requests(Lane.INPROGRESS),
                Sweep.JOBS: DueWakeUps(self.records, self.ports.wake_queue, self.ports.clock),
                Sweep.WORKERS: self.reaper,
            },
            SweepHost(self.ports.side_by_side, self.ports.clock, self.ports.draw, self.ports.tally),
        )

    def _due_requests(self, lane: Lane) -> DueRequests:
        return DueRequests(lane, self.records, self.advancer, self.executions, self.runtime)

    # -- workspaces ----------------------------------------------------------------------------

    @cached_property
    def lifecycle_logs(self) -> LifecycleLogs:
        return LifecycleLogs(self.ports.lifecycle_jobs, self.ports.clock, self._new_id("g"))

    @cached_property
    def lifecycle_wake_ups(self) -> LifecycleWakeUps:
        return LifecycleWakeUps(self.ports.switch_queue, self.ports.clock)

    @cached_property
    def hosted_workers(self) -> HostedWorkers:
        ports = self.ports
        return HostedWorkers(
            self.definitions, ports.jobs, ports.workers, self.workers, ports.clock, ports.rules
        )

    @cached_property
    def lifecycle_records(self) -> LifecycleRecords:
        ports = self.ports
        return LifecycleRecords(
            ports.workspaces, ports.lifecycle_jobs, self.lifecycle_logs, self.lifecycle_wake_ups
        )

    @cached_property
    def specs(self) -> SpecLookup:
        return SpecLookup(self.ports.driver_for, self.ports.almanac_for)

    @cached_property
    def lifecycle_runtime(self) -> Runtime:
        ports = self.ports
        return Runtime(ports.clock, self._new_id("l"), ports.draw, ports.lease)

    @cached_property
    def scheduler(self) -> WorkspaceScheduler:
        return WorkspaceScheduler(
            records=self.lifecycle_records,
            specs=self.specs,
            hosted_workers=self.hosted_workers,
            side_by_side=self.ports.side_by_side,
            clock=self.ports.clock,
            new_id=self._new_id("l"),
        )

    @cached_property
    def executor(self) -> LifecycleExecutor:
        return LifecycleExecutor(
            records=self.lifecycle_records,
            specs=self.specs,
            hosted_workers=self.hosted_workers,
            scheduler=self.scheduler,
            runtime=self.lifecycle_runtime,
        )

    @cached_property
    def switcher(self) -> WorkspaceSwitcher:
        return WorkspaceSwitcher(
            records=self.lifecycle_records,
            executor=self.executor,
            side_by_side=self.ports.side_by_side,
            runtime=self.lifecycle_runtime,
        )

    @cached_property
    def workspaces(self) -> Workspaces:
        return Workspaces(
            records=self.lifecycle_records,
            specs=self.specs,
            hosted_workers=self.hosted_workers,
            clock=self.ports.clock,
            new_id=self._new_id("l"),
        )

    @cached_property
    def workspace_explainer(self) -> WorkspaceExplainer:
        return WorkspaceExplainer(
            self.ports.lifecycle_jobs,
            self.hosted_workers,
            self.ports.almanac_for,
            self.ports.clock,
        )
