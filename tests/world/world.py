"""The world of tests of the engine: tables, machine, queue and functions in memory, and a clock."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Condition
from typing import Any

from shiftwork_core.adapters.memory import (
    MemoryBlobStore,
    MemoryDefinitionStore,
    MemoryJobStore,
    MemoryLimitStore,
    MemoryRequestStore,
    MemoryTables,
    MemoryTokenStore,
    MemoryWorkerStore,
)
from shiftwork_core.adapters.targets.python import PythonTarget
from shiftwork_core.adapters.threads import side_by_side
from shiftwork_core.callbacks import CALLBACKS, Callback
from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.requests.definitions import Kind, Target
from shiftwork_core.domain.requests.outcomes import JobError, Outcome
from shiftwork_core.domain.requests.records import Attempt, Request
from shiftwork_core.domain.requests.stalls import last_round
from shiftwork_core.ports.workers import WorkerWatch
from shiftwork_core.ports.world import JobTarget
from shiftwork_core.services.requests.outcome_writer import Result
from shiftwork_core.services.requests.requests import Submission
from shiftwork_core.services.sweep import Sweep
from shiftwork_platform.wiring import LEASE, RULES, Ports, Services
from tests.world import edge
from tests.world.executions import Machine


@dataclass
class Clock:
    """A clock that only tests move."""

    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Loop:
    """The loop that a batch goes round while its jobs run, and the threads that sleep meanwhile.

    The clock moves only when a test moves it, so the loop goes round often.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._turn = Condition()
        self._rounds = 0

    def tick_s(self) -> float:
        """Begin another round; return how long it may wait for a job to end."""
        with self._turn:
            self._rounds += 1
            self._turn.notify_all()
        return 0.002

    def sleep(self, seconds: float) -> None:
        """Let so much time pass, and the loop go round once after that."""
        self._clock.advance(seconds)
        with self._turn:
            before = self._rounds
            self._turn.wait_for(lambda: self._rounds > before + 1, timeout=10)


@dataclass
class Queue:
    """SQS: messages, each with the time from which it may be received."""

    clock: Clock
    messages: list[tuple[datetime, JsonObject]] = field(default_factory=list)

    def send(self, message: JsonObject, delay_s: float) -> None:
        self.messages.append((self.clock() + timedelta(seconds=delay_s), message))


@dataclass
class BatchCaller:
    """Calls RunJobs, and waits until it has ended; see `ports.world.BatchCaller`."""

    invoke: Callable[[str, JsonObject], Any]

    def call(self, request_id: str, execution: int, jobs: list[str]) -> JobError | None:
        event = {"request_id": request_id, "execution": execution, "jobs": jobs, "is_called": True}
        try:
            self.invoke("RunJobs", event)
        except Exception as error:
            return JobError(type(error).__name__, str(error))
        return None


class World(Services):
    """A deployment in memory; its own services are those of one process."""

    def __init__(
        self, draw: Callable[[], float] = lambda: 0.5, watch: WorkerWatch | None = None
    ) -> None:
        self.clock = Clock()
        self.loop = Loop(self.clock)
        self.tables = MemoryTables()
        self.store = MemoryRequestStore(self.tables)
        self.jobs = MemoryJobStore(self.tables)
        self.limits = MemoryLimitStore(self.tables)
        self.worker_store = MemoryWorkerStore(self.tables)
        self.blobs = MemoryBlobStore(self.tables)
        self.machine = Machine(self.invoke, self._read_items, self.clock.advance)
        self.caller = BatchCaller(self.invoke)
        self.queue = Queue(self.clock)
        self.targets: dict[Target, JobTarget] = {Target.PYTHON: PythonTarget()}
        self.ids = map(str, itertools.count(1))
        self.tally: Counter[str] = Counter()
        #: The time that an invocation of AdvanceRequest has.
        self.remaining = timedelta(minutes=5)
        super().__init__(
            Ports(
                requests=self.store,
                jobs=self.jobs,
                limits=self.limits,
                definitions=MemoryDefinitionStore(self.tables),
                blobs=self.blobs,
                workers=self.worker_store,
                tokens=MemoryTokenStore(self.tables),
                machine=self.machine,
                batch_caller=self.caller,
                wake_queue=self.queue,
                target_for=self.targets.get,
                read_token_secret=lambda: '{"admin": "a-token"}',
                watch=watch,
                clock=self.clock,
                new_id=lambda letter: f"{letter}{next(self.ids)}",
                draw=draw,
                side_by_side=lambda calls, _: side_by_side(calls, self.loop.tick_s),
                sleep=self.loop.sleep,
                wait=self.clock.advance,
                worker_id="world",
                tally=self.tally.update,
            )
        )

    # -- set-up --------------------------------------------------------------------------------

    def job_type(self, name: str, callback: Callback | None = None, **body: Any) -> None:
        """Put a job type, and register its callback."""
        self.definitions.put(Kind.JOB_TYPE, name, {"target": "python", **body})
        if callback is not None:
            CALLBACKS[name] = callback

    def request_type(self, name: str, *steps: list[JsonObject], **of_each: Any) -> None:
        """Put a request type whose steps are lists of job specs; `of_each` goes into each."""
        numbered = enumerate(steps, 1)
        body = {"steps": [{"name": f"s{n}", "jobs": jobs, **of_each} for n, jobs in numbered]}
        self.definitions.put(Kind.REQUEST_TYPE, name, body)

    def submit(self, type: str, **params: Any) -> str:
        """Submit a request; return its id."""
        request, _ = self.requests.submit(Submission(type, params, {}), None)
        return request.request_id

    def record(self, attempt: Attempt, outcome: Outcome) -> Result:
        """Record an outcome and report what arrived to the barrier."""
        return self.barrier.report(attempt, self.recorder.record(attempt, outcome))

    # -- running -------------------------------------------------------------------------------

    def _read_items(self, parameters: dict[str, str]) -> list[Any]:
        items: list[Any] = json.loads(self.blobs.get(parameters["Key"]))
        return items

    def invoke(self, function: str, event: JsonObject) -> Any:
        """Do what the function's handler does."""
        if function == "RunJobs":
            is_called = event.get("is_called", False)
            report = self.runner.run(
                event["request_id"], event["jobs"], timedelta(minutes=15), is_called=is_called
            )
            return {"is_waiting": report.is_waiting}
        request_id, execution = event["request_id"], event["execution"]
        if "token" in event:
            self.barrier.wait(request_id, execution, event["token"])
            return {}
        if "failure" in event:
            failure = event["failure"]
            decision = self.advancer.record_failure(
                request_id, execution, failure["Error"], failure["Cause"]
            )
        else:
            decision = self.advancer.advance(
                request_id, execution, last_round(event), self.remaining
            )
        return decision.to_json()

    def run(self) -> None:
        """Let every execution advance as far as it can without time passing."""
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
                self.executions.start_in_time(message[1]["request_id"])
        return bool(due)

    def run_through(self, limit_s: float = 3600) -> None:
        """Run, moving the clock from message to message, until the queue is empty."""
        end = self.clock() + timedelta(seconds=limit_s)
        self.run()
        while self.queue.messages and min(at for at, _ in self.queue.messages) <= end:
            self.clock.now = max(self.clock.now, min(at for at, _ in self.queue.messages))
            self.run()

    def sweep(self) -> None:
        """Run every sweep once, and what follows from it."""
        for sweep in Sweep:
            self.sweeper.sweep(sweep)
        self.run()

    # -- looking -------------------------------------------------------------------------------

    def request(self, request_id: str) -> Request:
        return self.requests.get(request_id)

    def view(self, request_id: str) -> JsonObject:
        return edge.request_view(self.requests.details(self.request(request_id)))

    def attempts(self, request_id: str) -> list[Attempt]:
        return [a for _, a in sorted(self.tables.attempts.get(request_id, {}).items())]

    def statuses(self, request_id: str) -> list[str]:
        """Return `job attempt status` of every attempt, in order."""
        return [f"{a.name} {a.key.attempt} {a.status}" for a in self.attempts(request_id)]


__all__ = ["LEASE", "RULES", "Clock", "Queue", "World"]
