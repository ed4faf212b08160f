"""Lambda within its quotas: environments that serve one call at a time, and take time to start."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from benchmarks.costs import read_prices
from benchmarks.quotas.limits import Bucket, quotas
from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.requests.wake_ups import together
from shiftwork_core.ports.world import Key, Result
from shiftwork_platform.cloud.functions import HANDLERS, TIMEOUT_S, FunctionError, Invocation
from shiftwork_platform.cloud.hub import Group, Signal
from shiftwork_platform.cloud.process import moment
from shiftwork_platform.cloud.threads import side_by_side
from tests.template import memory_mb

if TYPE_CHECKING:
    from benchmarks.quotas.model import Model

Answer = TypeVar("Answer")

#: What an invocation and a call of AWS take of a processor, as the costs assume it.
LAMBDA_TIME: dict[str, Any] = read_prices()["lambda_time"]
_LOGICAL_IDS = {
    "advance_request": "AdvanceRequestFunction",
    "run_jobs": "RunJobsFunction",
    "retry_jobs": "RetryJobsFunction",
    "sweep": "SweepFunction",
    "api": "ApiFunction",
    "serve_tasks": "ServeTasksFunction",
}


def _retry_jobs(services: Any, batch: list[JsonObject]) -> list[JsonObject]:
    """Handle a batch, one group of messages after the other; return those to deliver again."""
    failed = []
    for group in together((message, message) for message in batch):
        try:
            HANDLERS["retry_jobs"](services, group)
        except Exception:
            failed += group
    return failed


_HANDLERS = {**HANDLERS, "retry_jobs": _retry_jobs}


class Environment(Group):
    """A process of a function: it has a share of a processor, on which its threads take turns."""

    __slots__ = ("_free_at", "_model", "_ms", "_owed_ms", "function", "is_new", "services")

    def __init__(self, model: Model, function: str, number: int) -> None:
        super().__init__(f"{function}.{number}")
        share = memory_mb(_LOGICAL_IDS[function]) / LAMBDA_TIME["mb_per_vcpu"]
        #: Seconds of its share for a millisecond of a whole processor.
        self._ms = 0.001 / min(1.0, share)
        self._model = model
        self._free_at = 0.0
        self._owed_ms = 0.0
        self.function = function
        self.is_new = True
        self.services: Any = model.services_of(self)

    def clock(self) -> datetime:
        """Return the time."""
        return moment(self._model.hub.now)

    def compute(self, cpu_ms: float, then_ms: float = 0.0) -> None:
        """Use the processor, once it is free, and wait for an answer."""
        hub = self._model.hub
        cpu_ms, self._owed_ms = cpu_ms + self._owed_ms, 0.0
        self._free_at = max(hub.now, self._free_at) + cpu_ms * self._ms
        hub.sleep(self._free_at - hub.now + then_ms / 1000)

    def owe(self, cpu_ms: float) -> None:
        """Use the processor as part of what is computed next: a million jobs sleep too often."""
        self._owed_ms += cpu_ms

    def side_by_side(
        self, calls: Mapping[Key, Callable[[], Result]], tick_s: Callable[[], float]
    ) -> Iterator[Mapping[Key, Future[Result]]]:
        """Make the calls as threads of this process; see `ports.world.SideBySide`."""
        return side_by_side(self._model.hub, self, calls, tick_s)


class Functions:
    """All functions of the deployment, within the account's concurrency."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._limits = quotas()["lambda"]
        self._idle: dict[str, list[Environment]] = {name: [] for name in _LOGICAL_IDS}
        self._ramps: dict[str, Bucket] = {}
        self._count = 0
        self.running: Counter[str] = Counter()
        self.peak = 0
        self.invocations: Counter[str] = Counter()
        self.throttled: Counter[str] = Counter()
        self.timeouts: Counter[str] = Counter()
        #: When the last invocation of each function began.
        self.last_began_s: dict[str, float] = {}
        #: Billed seconds, by function.
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def call(self, function: str, event: Any) -> Any:
        """Invoke and wait for the answer.

        Raises
        ------
        FunctionError
            If Lambda refuses the call for its quotas, or the function raised or timed out.
        """
        hub, assumed = self._model.hub, quotas()["assumptions"]
        hub.sleep(assumed["invoke_ms"] / 1000)
        environment = self._environment(function)
        if environment is None:
            self.throttled[function] += 1
            raise FunctionError("Lambda.TooManyRequestsException", "Rate Exceeded")
        self.invocations[function] += 1
        self.running[function] += 1
        self.peak = max(self.peak, self.running.total())
        began = self.last_began_s[function] = hub.now
        invocation = Invocation(Signal(hub))
        work = partial(self._handle, environment, event, invocation)
        hub.spawn(environment.name, work, environment)
        if not hub.wait(invocation.done, TIMEOUT_S[function]):
            self.timeouts[function] += 1
            hub.kill(environment)
            invocation.end(error=FunctionError("Sandbox.Timedout", "timed out"))
        else:
            self._idle[function].append(environment)
        self.running[function] -= 1
        self.seconds[function] += hub.now - began
        if invocation.error is not None:
            raise invocation.error
        return invocation.answer

    def _environment(self, function: str) -> Environment | None:
        """Return an environment that is free; a new one if the account and the ramp allow it."""
        if self.running.total() >= self._limits["concurrency"]:
            return None
        if self._idle[function]:
            return self._idle[function].pop()
        if function not in self._ramps:
            size = self._limits["new_environments"]
            rate = size / self._limits["new_environments_every_s"]
            self._ramps[function] = Bucket(size, rate, lambda: self._model.hub.now)
        if not self._ramps[function].take():
            return None
        self._count += 1
        return Environment(self._model, function, self._count)

    def _handle(self, environment: Environment, event: Any, invocation: Invocation) -> None:
        if environment.is_new:
            self._model.hub.sleep(quotas()["assumptions"]["cold_start_ms"] / 1000)
            environment.is_new = False
        environment.compute(LAMBDA_TIME["base_ms"])
        try:
            answer = _HANDLERS[environment.function](environment.services, event)
        except Exception as error:
            invocation.end(error=FunctionError(type(error).__name__, str(error), error))
        else:
            invocation.end(answer)

    def gb_s(self) -> float:
        """Return the memory-seconds that are billed; INIT is left out."""
        return sum(
            s * memory_mb(_LOGICAL_IDS[function]) / 1024 for function, s in self.seconds.items()
        )

    # -- asynchronous events -------------------------------------------------------------------

    def invoke(self, request_id: str, jobs: list[str]) -> None:
        """Send an event to RunJobs; Lambda tries for hours, ever later, while it is throttled."""
        event = {"request_id": request_id, "execution": 0, "jobs": jobs}
        self._model.hub.spawn(f"event {request_id}", partial(self._deliver, event))

    def _deliver(self, event: Any) -> None:
        wait_s = 1.0
        while True:
            try:
                self.call("run_jobs", event)
                return
            except FunctionError as error:
                if error.name != "Lambda.TooManyRequestsException":
                    return
            self._model.hub.sleep(wait_s)
            wait_s = min(2 * wait_s, 300.0)
