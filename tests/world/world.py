"""A deployment in memory: tables, machine, queue, functions and a clock that tests move."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import jmespath

from shiftwork_core.adapters.memory import (
    MemoryBlobStore,
    MemoryDefinitionStore,
    MemoryJobStore,
    MemoryLimitStore,
    MemoryRequestStore,
    MemoryTables,
    MemoryWorkerStore,
)
from shiftwork_core.adapters.targets.python import PythonTarget
from shiftwork_core.adapters.threads import side_by_side
from shiftwork_core.callbacks import CALLBACKS, Callback
from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.requests.definitions import Kind, Target
from shiftwork_core.domain.requests.records import Attempt, Request
from shiftwork_core.domain.workers.workers import Liveness
from shiftwork_core.ports.workers import WorkerWatch
from shiftwork_core.ports.world import JobTarget
from shiftwork_core.services.polling.claim import QueueClaimer
from shiftwork_core.services.polling.limits import Limiter
from shiftwork_core.services.polling.tasks import Tasks
from shiftwork_core.services.requests.advance import RequestAdvancer
from shiftwork_core.services.requests.cancel import Canceller
from shiftwork_core.services.requests.definitions import Definitions
from shiftwork_core.services.requests.outcomes import OutcomeRecorder
from shiftwork_core.services.requests.payloads import Payloads
from shiftwork_core.services.requests.requests import Requests, Submission
from shiftwork_core.services.requests.run_jobs import BatchRunner
from shiftwork_core.services.sweep import Sweep, Sweeper
from shiftwork_core.services.workers.reaper import WorkerReaper
from shiftwork_core.services.workers.records import WorkerRecords
from tests.world.machine import Execution
from tests.world.paths import load_definition

LEASE = timedelta(seconds=60)
RULES = Liveness()


@dataclass
class Clock:
    """A clock that only tests move."""

    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Machine:
    """Step Functions: executions by name, and the tokens they wait for."""

    start_execution: Callable[[str, JsonObject], Execution]
    executions: dict[str, Execution] = field(default_factory=dict)

    def start(self, request_id: str, execution: int) -> None:
        name = request_id if execution == 1 else f"{request_id}-{execution}"
        state = {"request_id": request_id, "execution": execution, "events": 0}
        if name not in self.executions:
            self.executions[name] = self.start_execution(name, state)

    def wake_execution(self, token: str) -> bool:
        waiting = [
            execution
            for execution in self.executions.values()
            if execution.token == token and execution.status == "RUNNING"
        ]
        for execution in waiting:
            execution.wake()
        return bool(waiting)


@dataclass
class Queue:
    """SQS: messages and when they may be received."""

    clock: Clock
    messages: list[tuple[datetime, JsonObject]] = field(default_factory=list)

    def send(self, message: JsonObject, delay_s: float) -> None:
        self.messages.append((self.clock() + timedelta(seconds=delay_s), message))


class World:
    """The engine of one deployment."""

    def __init__(
        self, draw: Callable[[], float] = lambda: 0.5, watch: WorkerWatch | None = None
    ) -> None:
        self.clock = Clock()
        self.tables = MemoryTables()
        self.store = MemoryRequestStore(self.tables)
        self.jobs = MemoryJobStore(self.tables)
        self.limits = MemoryLimitStore(self.tables)
        self.worker_store = MemoryWorkerStore(self.tables)
        self.workers = WorkerRecords(self.worker_store, self.clock, RULES)
        self.watch = watch or self.workers
        self.blobs = MemoryBlobStore(self.tables)
        self.machine = Machine(self.start_execution)
        self.queue = Queue(self.clock)
        self.definitions = Definitions(MemoryDefinitionStore(self.tables), self.clock)
        self.payloads = Payloads(self.blobs)
        self.ids = map(str, itertools.count(1))
        self._definition = load_definition()
        self.canceller = Canceller(self.store, self.jobs, self.machine, self.clock)
        self.recorder = OutcomeRecorder(
            store=self.store,
            jobs=self.jobs,
            limits=self.limits,
            watch=self.watch,
            definitions=self.definitions,
            payloads=self.payloads,
            machine=self.machine,
            queue=self.queue,
            canceller=self.canceller,
            clock=self.clock,
            draw=draw,
            lease=LEASE,
        )
        self.advancer = RequestAdvancer(
            store=self.store,
            jobs=self.jobs,
            blobs=self.blobs,
            definitions=self.definitions,
            payloads=self.payloads,
            machine=self.machine,
            recorder=self.recorder,
            canceller=self.canceller,
            search=jmespath.search,
            clock=self.clock,
            lease=LEASE,
        )
        self.targets: dict[Target, JobTarget] = {Target.PYTHON: PythonTarget()}
        self.runner = BatchRunner(
            store=self.store,
            jobs=self.jobs,
            definitions=self.definitions,
            payloads=self.payloads,
            recorder=self.recorder,
            machine=self.machine,
            target_for=self.targets.get,
            # The clock moves only when a test moves it, so look at it often.
            side_by_side=lambda calls, _: side_by_side(calls, lambda: 0.002),
            clock=self.clock,
            new_id=lambda: next(self.ids),
            lease=LEASE,
            worker_id="world",
        )
        self.workers = WorkerRecords(self.worker_store, self.clock, RULES)
        self.reaper = WorkerReaper(
            workers=self.worker_store,
            jobs=self.jobs,
            recorder=self.recorder,
            clock=self.clock,
            rules=RULES,
        )
        self.sweeper = Sweeper(
            store=self.store,
            jobs=self.jobs,
            advancer=self.advancer,
            machine=self.machine,
            queue=self.queue,
            reaper=self.reaper,
            clock=self.clock,
            lease=LEASE,
        )
        self.requests = Requests(
            store=self.store,
            jobs=self.jobs,
            definitions=self.definitions,
            payloads=self.payloads,
            machine=self.machine,
            queue=self.queue,
            canceller=self.canceller,
            check_schema=lambda schema, value: [],
            clock=self.clock,
            new_id=lambda: f"r{next(self.ids)}",
            lease=LEASE,
        )

        self.tally: Counter[str] = Counter()
        self.tasks = self.new_tasks(draw)

    def new_tasks(self, draw: Callable[[], float] = lambda: 0.5) -> Tasks:
        """Return the service of polled jobs, as another process has it."""
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
                limiter=Limiter(self.jobs, self.limits, self.recorder, self.clock),
                clock=self.clock,
                draw=draw,
                tally=self.tally.update,
                soonest=LEASE,
            ),
            watch=self.watch,
            clock=self.clock,
            new_id=lambda: f"p{next(self.ids)}",
        )

    # -- set-up --------------------------------------------------------------------------------

    def job_type(self, name: str, callback: Callback | None = None, **body: Any) -> None:
        """Put a job type, and register its callback."""
        self.definitions.put(Kind.JOB_TYPE, name, {"target": "python", **body})
        if callback is not None:
            CALLBACKS[name] = callback

    def request_type(self, name: str, *steps: list[JsonObject]) -> None:
        """Put a request type whose steps are lists of job specs."""
        body = {"steps": [{"name": f"s{n}", "jobs": jobs} for n, jobs in enumerate(steps, 1)]}
        self.definitions.put(Kind.REQUEST_TYPE, name, body)

    def submit(self, type: str, **params: Any) -> str:
        """Submit a request; return its id."""
        request, _ = self.requests.submit(Submission(type, params, {}), None)
        return request.request_id

    # -- running -------------------------------------------------------------------------------

    def start_execution(self, name: str, state: JsonObject) -> Execution:
        return Execution(name, state, self._definition, self.invoke, self._read_items)

    def _read_items(self, parameters: dict[str, str]) -> list[Any]:
        items: list[Any] = json.loads(self.blobs.get(parameters["Key"]))
        return items

    def invoke(self, function: str, event: JsonObject) -> Any:
        """Do what the function's handler does."""
        if "RunJobs" in function:
            report = self.runner.run(event["request_id"], event["jobs"], timedelta(minutes=15))
            return {"is_waiting": report.is_waiting}
        request_id, execution = event["request_id"], event["execution"]
        if "token" in event:
            self.advancer.await_step(request_id, execution, event["token"])
            return {}
        if "failure" in event:
            failure = event["failure"]
            decision = self.advancer.record_failure(
                request_id, execution, failure["Error"], failure["Cause"]
            )
        else:
            decision = self.advancer.advance(request_id, execution, event["events"])
        return decision.to_json()

    def run(self) -> None:
        """Let every execution go on as far as it can without time passing."""
        while self._step_executions() or self._deliver():
            pass

    def _step_executions(self) -> bool:
        runnable = [e for e in self.machine.executions.values() if e.is_runnable]
        for execution in runnable:
            execution.step()
        return bool(runnable)

    def _deliver(self) -> bool:
        due = [m for m in self.queue.messages if m[0] <= self.clock()]
        for message in due:
            self.queue.messages.remove(message)
            if "jobs" in message[1]:
                self.invoke("RunJobs", message[1])
            else:
                self.sweeper.start_now(message[1]["request_id"])
        return bool(due)

    def run_through(self, limit_s: float = 3600) -> None:
        """Run, moving the clock from message to message, until nothing is on its way."""
        end = self.clock() + timedelta(seconds=limit_s)
        self.run()
        while self.queue.messages and min(at for at, _ in self.queue.messages) <= end:
            self.clock.now = max(self.clock.now, min(at for at, _ in self.queue.messages))
            self.run()

    def sweep(self) -> None:
        """Run every sweep once, and what follows."""
        for sweep in Sweep:
            self.sweeper.sweep(sweep)
        self.run()

    # -- looking -------------------------------------------------------------------------------

    def request(self, request_id: str) -> Request:
        return self.requests.get(request_id)

    def view(self, request_id: str) -> JsonObject:
        return self.requests.view(self.request(request_id))

    def attempts(self, request_id: str) -> list[Attempt]:
        return [a for _, a in sorted(self.tables.attempts.get(request_id, {}).items())]

    def statuses(self, request_id: str) -> list[str]:
        """Return `job attempt status` of every attempt, in order."""
        return [f"{a.name} {a.key.attempt} {a.status}" for a in self.attempts(request_id)]
